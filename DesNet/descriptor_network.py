"""The bottom-up ConvNets of DesNet: images [B, S, S, 3] less the mean colour -> f [B].

No normalisation: batch statistics would couple the chains of a batch.
"""

from __future__ import annotations

from collections.abc import Callable

from common.layers import conv2d, leaky_relu, weighted_sum
from common.session import tf


def _strided(x: tf.Tensor, activation: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    # With rectifiers, dividing the images by a scale and multiplying f by it changes
    # nothing but how fast the biases learn.  They must keep up, for they alone tell apart
    # flat images of nearly the mean colour.
    scale = 30.0
    x = activation(conv2d(x / scale, 32, 5, 2, "conv_1", stddev=0.01))  # [B, 32, 32, 32]
    x = activation(conv2d(x, 64, 5, 2, "conv_2", stddev=0.01))  # [B, 16, 16, 64]
    x = conv2d(x, 128, 5, 2, "conv_3", stddev=0.01)  # [B, 8, 8, 128]
    return weighted_sum(x, "value", 0.01, activation, scale)  # [B]


def _assignment(x: tf.Tensor) -> tf.Tensor:
    x = leaky_relu(conv2d(x, 64, 4, 2, "conv_1", stddev=0.01))  # [B, 32, 32, 64]
    x = conv2d(x, 128, 2, 1, "conv_2", stddev=0.01)  # [B, 32, 32, 128]
    return weighted_sum(x, "value", 0.01, leaky_relu)  # [B]


NETWORKS: dict[str, Callable] = {
    "strided": lambda x: _strided(x, leaky_relu),
    "smooth": lambda x: _strided(x, tf.nn.silu),
    "assignment": _assignment,
}
