"""The bottom-up ConvNets of DesNet: images [B, S, S, 3] less the mean colour -> f [B].

One is told the level of noise on each image as well, see `ConditionalNetwork`.

No normalisation: batch statistics would couple the chains of a batch.  Each is told the step size
of the chains, which the reach of f depends on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.layers import conv2d, dense, fourier_features, leaky_relu, reduce_mean, weighted_sum
from common.session import tf

# With rectifiers, dividing the images by a scale and multiplying f by it changes nothing but how
# fast the biases learn.  They must keep up, for they alone tell apart flat images of nearly the
# mean colour.
SCALE = 30.0
UNITS = 64  # that see all of an image
SLOWER = 0.1  # factor of what they see: of 8192 weights each, which then learn as much more slowly
SIDE = 8  # of the image whose colours they see
TOLD = 64  # features of a level of noise and a flat colour


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


def _shifted(x: tf.Tensor, told: tf.Tensor, name: str) -> tf.Tensor:
    """The features x [B, ..., n], each scaled and shifted by what is told [B, m], and rectified.

    Perez et al. (2018).  Where a rectifier is flat or straight, score matching, which sees only
    slopes of f, would learn no shift at all: an exponential unit is curved below 0.
    """
    size = x.shape[-1]
    film = dense(told, 2 * size, name, 0.05)
    film = tf.reshape(film, [-1, *[1] * (x.shape.rank - 2), 2 * size])
    scale, shift = tf.split(film, 2, -1)
    return tf.nn.elu(x * (1 + scale) + shift)


def _of_level(position: tf.Tensor) -> tf.Tensor:
    """Features [B, TOLD] of a position [B] in [-1, 1]."""
    waves = fourier_features(position[:, None], 8 / np.arange(1, 17))
    return dense(waves, TOLD, "level", 32**-0.5)


def colour_energy(colours: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """Of flat colours [B, 3] of the order of 1, at positions [B] in [0, 1]: [B]."""
    told = tf.nn.elu(_of_level(2 * position - 1))
    waves = fourier_features(colours, np.array([8.0, 4.0, 2.0, 1.0]))
    x = tf.concat([colours, waves], 1)  # [B, 27]
    x = _shifted(dense(x, 128, "dense_1", 27**-0.5), told, "noise_1")
    x = _shifted(dense(x, 128, "dense_2", 128**-0.5), told, "noise_2")
    return weighted_sum(x, "value", 0.01, tf.identity)


def _noise_conditional(
    x: tf.Tensor,
    waves: tf.Tensor,
    position: tf.Tensor,
    step_size: float,
    on_gpu: bool,
) -> tf.Tensor:
    """Of images over the scale of the reference, waves of their colours, and their positions."""
    image = x
    # The colour tells of which image the detail may be, until the detail itself does.
    of_colour = dense((1 + position[:, None]) / 2 * waves, TOLD, "colour", 36**-0.5)
    told = tf.nn.elu(_of_level(position) + of_colour)
    for number, channels in enumerate([32, 64, 128], 1):
        # Learning differentiates twice, for which the forms of a convolution that are fast on a
        # processor have no fast second derivative.
        deviation = (25 * int(x.shape[3])) ** -0.5
        x = conv2d(x, channels, 5, 2, f"conv_{number}", deviation, on_gpu=True)
        x = _shifted(x, told, f"noise_{number}")
    features = x.shape[1:].num_elements()
    x = tf.reshape(x, [-1, features])  # [B, 8192]
    pixels, block = image.shape[1:].num_elements(), image.shape[1] // SIDE
    blocks = reduce_mean(tf.reshape(image, [-1, SIDE, block, SIDE, block, 3]), [2, 4])
    # The mean of a block, in standard deviations of its noise: it is seen when all else is not.
    colours = dense(block * blocks, 64, "colours", (3 * SIDE**2) ** -0.5)
    seen = [
        dense(x, 128, "whole", features**-0.5),
        dense(image, 64, "pixels", pixels**-0.5),
        colours,
    ]
    units = _shifted(tf.concat(seen, 1), told, "noise_whole")  # [B, 256]
    combined = tf.nn.elu(dense(units, 128, "combined", 256**-0.5))
    # Of thousands of features that see a part, and hundreds that see all, with as much to say.
    value = weighted_sum(x, "value", 0.02, tf.identity)
    whole = tf.concat([units, combined], 1)
    return value + weighted_sum(whole, "value_whole", 1.0, tf.identity, 30)


NETWORKS: dict[str, Callable] = {
    "strided": _strided,
    "smooth": _smooth,
    "assignment": _assignment,
    "noise_conditional": _noise_conditional,
}
