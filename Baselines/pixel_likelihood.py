"""Distributions of the three 8-bit levels of a pixel, given features of the pixels before it.

R comes first, G is conditioned on R, and B on R and G.  Both are exact: the probabilities of the
256 levels of a channel add up to 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from common.layers import Network, valid_conv2d
from common.session import tf
from masked import to_unit

LEVELS = 256
LEVEL = 2 / 255  # between neighbouring levels, of numbers in [-1, 1]
UNIFORMS = 4  # that a pixel is drawn by
LEAST_LOG_SCALE = -7.0  # of a logistic: a ninth of a level
FIRST_LOG_SCALE = -3.0  # where learning begins: six levels
SPREAD = 0.1  # of the means of the components there
WIDTH = 32  # channels for each of R, G and B in the softmax


class Given(NamedTuple):
    """What pixels are conditioned on; of each pixel of a region."""

    features: tf.Tensor  # [B, H, W, c]
    prediction: tf.Tensor  # [B, H, W, 3], linear, in [-1, 1] or a little outside


class Distribution(ABC):
    """Of the levels of pixels [B, H, W, 3]."""

    def __init__(self, seed: int) -> None:
        """Describe it.

        Args:
            seed: of the values that its variables start from.
        """
        self.network = Network("levels", self._layers, seed)

    @abstractmethod
    def _layers(self, x: tf.Tensor) -> tf.Tensor:
        """The layers of the network."""

    @abstractmethod
    def log_probs(self, given: Given, levels: tf.Tensor) -> tf.Tensor:
        """Log p(R), log p(G | R) and log p(B | R, G), nats: [B, H, W, 3]."""

    @abstractmethod
    def draw(self, given: Given, uniforms: tf.Tensor) -> tf.Tensor:
        """Levels [B, H, W, 3], by uniform numbers [B, H, W, UNIFORMS] in (0, 1)."""


def both_signs(x: tf.Tensor) -> tf.Tensor:
    """Elu(x) and elu(-x): [..., 2 c]."""
    return tf.nn.elu(tf.concat([x, -x], -1))


class Components(NamedTuple):
    """Of the mixture, for each pixel."""

    log_weights: tf.Tensor  # [B, H, W, K]
    means: tf.Tensor  # [B, H, W, 3, K], with what the channels before add left out
    log_scales: tf.Tensor  # [B, H, W, 3, K]
    slopes: tf.Tensor  # [B, H, W, 3, K]: of G in R, of B in R, of B in G


class Logistics(Distribution):
    """A mixture of discretized logistics (Salimans et al., "PixelCNN++", ICLR 2017).

    p(R, G, B) = sum_k w_k prod_c P(channel c; m_kc, s_kc), where P is the mass of a logistic
    between half a level below and half a level above, and to infinity at 0 and 255.  The means are
    linear: with r, g, b the differences from the linear prediction, that of g is m + a r, and that
    of b is m + a' r + a'' g.
    """

    def __init__(self, components: int, seed: int) -> None:
        """Describe it.

        Args:
            components: K.
            seed: of the values that its variables start from.
        """
        super().__init__(seed)
        self._count = components

    def _layers(self, x: tf.Tensor) -> tf.Tensor:
        x = both_signs(x)
        stddev = 0.1 * x.shape[3] ** -0.5  # at first, nearly the linear prediction
        return valid_conv2d(x, 10 * self._count, (1, 1), "components", stddev)

    def _components(self, features: tf.Tensor) -> Components:
        x, count = self.network(features), self._count
        height, width = x.shape[1:3]
        rest = tf.reshape(x[..., count:], [-1, height, width, 3, 3, count])
        means, log_scales, slopes = tf.unstack(rest, axis=3)
        first = np.array([1.0, 0.5, 0.5], np.float32)[:, None]  # the channels as those before them
        return Components(
            tf.nn.log_softmax(x[..., :count]),
            means + np.linspace(-SPREAD, SPREAD, count, dtype=np.float32),
            tf.maximum(log_scales + FIRST_LOG_SCALE, LEAST_LOG_SCALE),
            slopes + first,
        )

    def log_probs(self, given: Given, levels: tf.Tensor) -> tf.Tensor:
        """Log p(R), log p(G | R) and log p(B | R, G), nats: [B, H, W, 3]."""
        components = self._components(given.features)
        difference = tf.unstack((to_unit(levels) - given.prediction)[..., None], axis=3)
        joint, totals = components.log_weights, []  # of the component and the channels so far
        for channel in range(3):
            mean = _mean(components, difference[:channel])
            log_scale = components.log_scales[..., channel, :]
            level = levels[..., channel, None]
            joint += log_mass(difference[channel] - mean, log_scale, level)
            totals.append(tf.reduce_logsumexp(joint, -1))
        red, green, blue = totals
        return tf.stack([red, green - red, blue - green], -1)

    def draw(self, given: Given, uniforms: tf.Tensor) -> tf.Tensor:
        """Levels [B, H, W, 3]: the first number chooses the component."""
        components = self._components(given.features)
        chosen = tf.one_hot(_inverse(components.log_weights, uniforms[..., 0]), self._count)
        noise = tf.math.log(uniforms) - tf.math.log1p(-uniforms)  # logistic
        levels: list[tf.Tensor] = []
        difference: list[tf.Tensor] = []
        for channel in range(3):
            log_scale = components.log_scales[..., channel, :]
            value = (
                _mean(components, difference) + tf.exp(log_scale) * noise[..., channel + 1, None]
            )
            value = tf.reduce_sum(value * chosen, -1) + given.prediction[..., channel]
            level = tf.clip_by_value(tf.round((value + 1) * 127.5), 0, LEVELS - 1)
            levels.append(level)
            difference.append((to_unit(level) - given.prediction[..., channel])[..., None])
        return tf.stack(levels, -1)


def _mean(components: Components, before: list[tf.Tensor]) -> tf.Tensor:
    """Of the channel that comes after those with these differences [B, H, W, 1]: [B, H, W, K]."""
    first = [0, 0, 1][len(before)]  # of its slopes
    mean = components.means[..., len(before), :]
    for slope, difference in enumerate(before, first):
        mean += components.slopes[..., slope, :] * difference
    return mean


def log_mass(centred: tf.Tensor, log_scale: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
    """Log of the mass that a logistic of mean 0 has on a level.

    With a and b the ends of the level in units of the scale, and S the logistic function, it is
    log(S(a) - S(b)) = log S(a) + log S(-b) + log(1 - exp(b - a)), where nothing cancels.

    Args:
        centred: the level less the mean, in [-1, 1].
        log_scale: of the logistic.
        levels: the level in [0, 255]: what is beyond the first and the last one is theirs.
    """
    per_scale = tf.exp(-log_scale)
    top, bottom = (centred + LEVEL / 2) * per_scale, (centred - LEVEL / 2) * per_scale
    below_top, above_bottom = -tf.nn.softplus(-top), -tf.nn.softplus(bottom)
    inner = below_top + above_bottom + tf.math.log(-tf.math.expm1(-LEVEL * per_scale))
    last = tf.where_v2(levels > LEVELS - 1.5, above_bottom, inner)
    return tf.where_v2(levels < 0.5, below_top, last)


def _inverse(log_weights: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Which of the last axis a uniform number falls on, by the cumulated weights: int32 [...]."""
    below = tf.cumsum(tf.exp(log_weights), -1)[..., :-1] < uniforms[..., None]
    return tf.reduce_sum(tf.cast(below, tf.int32), -1)


class Softmax(Distribution):
    """A probability for each level (van den Oord et al., "Pixel recurrent neural networks", 2016).

    Channels are in groups of R, G and B.  Mask A of the first layer shows the levels of the groups
    before to a group; mask B of the second one the group's own features besides.
    """

    def _layers(self, x: tf.Tensor) -> tf.Tensor:
        features, levels = both_signs(x[..., :-3]), x[..., -3:]
        groups = np.ones([3, 3])
        before = np.kron(np.triu(groups, 1), np.ones([1, WIDTH]))
        up_to = np.kron(np.triu(groups), np.ones([WIDTH, WIDTH]))
        stddev = features.shape[3] ** -0.5
        y = valid_conv2d(features, 3 * WIDTH, (1, 1), "features", stddev)
        y = tf.nn.relu(y + valid_conv2d(levels, 3 * WIDTH, (1, 1), "mask_a", 1.0, before))
        y = tf.nn.relu(valid_conv2d(y, 3 * WIDTH, (1, 1), "mask_b", WIDTH**-0.5, up_to))
        logits = [
            valid_conv2d(group, LEVELS, (1, 1), f"logits_{channel}", 0.1 * WIDTH**-0.5)
            for channel, group in zip("rgb", tf.split(y, 3, -1), strict=True)
        ]
        return tf.stack(logits, 3)  # [B, H, W, 3, 256]

    def _log_softmax(self, given: Given, levels: tf.Tensor) -> tf.Tensor:
        return tf.nn.log_softmax(self.network(tf.concat([given.features, to_unit(levels)], -1)))

    def log_probs(self, given: Given, levels: tf.Tensor) -> tf.Tensor:
        """Log p(R), log p(G | R) and log p(B | R, G), nats: [B, H, W, 3]."""
        index = tf.cast(levels, tf.int32)
        return tf.gather(self._log_softmax(given, levels), index, batch_dims=4)

    def draw(self, given: Given, uniforms: tf.Tensor) -> tf.Tensor:
        """Levels [B, H, W, 3], one channel after the other."""
        levels = tf.zeros_like(given.prediction)
        for channel in range(3):
            log_weights = self._log_softmax(given, levels)[..., channel, :]
            level = _inverse(log_weights, uniforms[..., channel])
            levels += tf.cast(level, tf.float32)[..., None] * tf.one_hot(channel, 3)
        return levels


def distribution(name: str, components: int, seed: int) -> Distribution:
    """The distribution of a name, logistics or softmax.

    Args:
        name: of the settings.
        components: of a mixture of logistics.
        seed: of the values that its variables start from.
    """
    return Logistics(components, seed) if name == "logistics" else Softmax(seed)
