"""The probability of 8-bit images under Gaussian noise, in a graph; see common/likelihood.py."""

from __future__ import annotations

import numpy as np

from common.session import tf

FAR = 5.0  # standard deviations from which on erfc, which ends at 1e-38, gives way to its series


def gaussian(images: tf.Tensor, means: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Log p(Y), nats, under N(mean, sigma^2 I), integrated over the grey levels: [B].

    As `likelihood.gaussian_grey_levels`, to single precision.

    Args:
        images: [1 or B, ...], whole numbers in [0, 255]; those of 0 and 255 reach to infinity.
        means: [B, ...], in grey levels.
        sigma: scalar, in grey levels.
    """
    low = tf.where_v2(images < 0.5, -np.inf, (images - 0.5 - means) / sigma)
    high = tf.where_v2(images > 254.5, np.inf, (images + 0.5 - means) / sigma)
    # The same mass, mirrored so that most of it lies in the upper tail: from near to far.
    near, far = tf.maximum(low, -high), tf.maximum(-low, high)
    log_mass = tf.where_v2(near < FAR, _inner(near, far), _tail(tf.maximum(near, FAR), far))
    return tf.reduce_sum(log_mass, np.arange(1, len(means.shape)))


def _inner(near: tf.Tensor, far: tf.Tensor) -> tf.Tensor:
    """Log(Phi(far) - Phi(near)), in standard deviations, where near is no far tail."""
    upper = [tf.math.erfc(end / np.sqrt(2)) / 2 for end in (near, far)]
    return tf.math.log(tf.maximum(upper[0] - upper[1], 1e-30))


def _tail(near: tf.Tensor, far: tf.Tensor) -> tf.Tensor:
    """The same by Phi(-a) = phi(a) / a (1 - 1 / a^2 + 3 / a^4 - 15 / a^6 + ...)."""

    def log_upper(a: tf.Tensor) -> tf.Tensor:
        inverse = 1 / tf.square(a)
        series = tf.math.log1p(inverse * (-1 + inverse * (3 - 15 * inverse)))
        return series - tf.math.log(a) - np.log(2 * np.pi) / 2

    between = tf.where_v2(tf.math.is_inf(far), near, far)  # any number
    gap = (near - between) * (near + between) / 2 + log_upper(between) - log_upper(near)
    rest = tf.where_v2(tf.math.is_inf(far), 0.0, tf.exp(tf.minimum(gap, -1e-6)))
    return log_upper(near) - tf.square(near) / 2 + tf.math.log1p(-rest)
