"""The bottom-up ConvNets of DesNet: images [B, S, S, 3] less the mean colour -> f [B].

No normalisation: batch statistics would couple the chains of a batch.  Each is told the step size
of the chains, which the reach of f depends on.
"""

from __future__ import annotations

from collections.abc import Callable

from common.layers import conv2d, dense, leaky_relu, reduce_mean, weighted_sum
from common.session import tf

# With rectifiers, dividing the images by a scale and multiplying f by it changes nothing but how
# fast the biases learn.  They must keep up, for they alone tell apart flat images of nearly the
# mean colour.
SCALE = 30.0
UNITS = 64  # that see all of an image
SLOWER = 0.1  # factor of what they see: of 8192 weights each, which then learn as much more slowly
SIDE = 8  # of the image whose colours they see


def _body(x: tf.Tensor, activation: Callable[[tf.Tensor], tf.Tensor], on_gpu: bool) -> tf.Tensor:
    x = activation(conv2d(x, 32, 5, 2, "conv_1", stddev=0.01, on_gpu=on_gpu))  # [B, 32, 32, 32]
    x = activation(conv2d(x, 64, 5, 2, "conv_2", stddev=0.01, on_gpu=on_gpu))  # [B, 16, 16, 64]
    return conv2d(x, 128, 5, 2, "conv_3", stddev=0.01, on_gpu=on_gpu)  # [B, 8, 8, 128]


def _smooth(x: tf.Tensor, step_size: float, on_gpu: bool) -> tf.Tensor:
    x = _body(x / SCALE, tf.nn.silu, on_gpu)
    return weighted_sum(x, "value", 0.01, tf.nn.silu, SCALE)  # [B]


def _strided(x: tf.Tensor, step_size: float, on_gpu: bool) -> tf.Tensor:
    image = x / SCALE
    x = _body(image, leaky_relu, on_gpu)
    # The drift of a step, (delta^2 / 2) df / dY, is the same whatever delta is: a larger delta
    # means more noise, not a longer stride.  0.3 is the assignment's.
    scale = SCALE * (0.3 / step_size) ** 2
    # A sum over places alone cannot tell an image from one whose parts are of several.
    seen = SLOWER * dense(leaky_relu(x), UNITS, "whole", 0.01)  # [B, 64]
    block = image.shape[1] // SIDE
    blocks = tf.reshape(image, [-1, SIDE, block, SIDE, block, 3])
    seen += dense(reduce_mean(blocks, [2, 4]), UNITS, "colours", 0.01)
    x = tf.concat([tf.reshape(x, [-1, x.shape[1:].num_elements()]), seen], 1)  # [B, 8192 + 64]
    return weighted_sum(x, "value", 0.01, leaky_relu, scale)  # [B]


def _assignment(x: tf.Tensor, step_size: float, on_gpu: bool) -> tf.Tensor:
    x = leaky_relu(conv2d(x, 64, 4, 2, "conv_1", stddev=0.01, on_gpu=on_gpu))  # [B, 32, 32, 64]
    x = conv2d(x, 128, 2, 1, "conv_2", stddev=0.01, on_gpu=on_gpu)  # [B, 32, 32, 128]
    return weighted_sum(x, "value", 0.01, leaky_relu)  # [B]


NETWORKS: dict[str, Callable] = {
    "strided": _strided,
    "smooth": _smooth,
    "assignment": _assignment,
}
