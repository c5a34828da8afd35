"""A descriptor that is told the level of noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.layers import Network, reduce_mean, reduce_sum
from common.session import tf
from noise_levels import NoiseLevels


class ConditionalNetwork(Network):
    """f(Y, i) = k_i g(Y / s, i) - q_i(Y), and g a ConvNet.

    With the reference, the quadratic q makes log p_i(Y) that of images without any detail, whose
    colours are normal, up to k g: its gradient is what is seen of the detail below the noise, over
    sigma^2, and what colours gain by it.  k = a_i s^2 / sigma_i^2 makes that of g of the order of 1
    (preconditioning: Karras et al., 2022).
    """

    def __init__(
        self,
        layers: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        seed: int,
        levels: NoiseLevels,
        ref_sigma: float,
        colour_spread: float,
    ) -> None:
        """Describe it.

        Args:
            layers: g, of [B, S, S, 3] and positions [B] of levels.
            seed: of the values that its variables start from.
            levels: of the noise.
            ref_sigma: s.
            colour_spread: root mean square of the flat colours, in grey levels.
        """
        super().__init__("descriptor", layers, seed)
        self._levels, self._ref_sigma = levels, ref_sigma
        self._factor = levels.detail * ref_sigma**2 / levels.sigma**2  # k, [lowest + 1]
        # Of q, for the detail and for the flat colour, whose pixels all say the same.
        self._of_detail = 1 / levels.sigma**2 - 1 / ref_sigma**2
        # The more of the detail is seen, the better it tells the colour, and no prior has to.
        unseen = (levels.detail.min() / levels.detail) ** 2
        variance = levels.sigma**2 + levels.pixels * (levels.colour * colour_spread * unseen) ** 2
        self._of_colour = 1 / variance - 1 / ref_sigma**2

    def _at(self, values: np.ndarray, level: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.constant(values, like.dtype), level)

    def _told(self, y: tf.Tensor, level: tf.Tensor | None) -> tuple[tf.Tensor, ...]:
        """What g is told of images and their levels, by default the lowest; and these."""
        if level is None:
            level = tf.fill(tf.shape(y)[:1], self._levels.lowest)
        return y / self._ref_sigma, self._at(self._levels.position, level, y), level

    def __call__(self, y: tf.Tensor, level: tf.Tensor | None = None) -> tf.Tensor:  # type: ignore[override]
        """F [B] of images [B, S, S, 3] at levels int [B]."""
        *told, level = self._told(y, level)
        flat = reduce_mean(y, [1, 2])  # [B, 3]
        of_colour = self._levels.pixels * reduce_sum(tf.square(flat), [1]) / 2
        of_detail = reduce_sum(tf.square(y), [1, 2, 3]) / 2 - of_colour
        value = self._at(self._factor, level, y) * super().__call__(*told)
        value -= self._at(self._of_detail, level, y) * of_detail
        return value - self._at(self._of_colour, level, y) * of_colour

    def gradient(self, y: tf.Tensor, level: tf.Tensor | None = None) -> tf.Tensor:  # type: ignore[override]
        """Df / dY, [B, S, S, 3]."""
        *told, level = self._told(y, level)
        flat = tf.reduce_mean(y, [1, 2], keepdims=True)
        factor, of_detail, of_colour = (
            self._at(values, level, y)[:, None, None, None]
            for values in (self._factor / self._ref_sigma, self._of_detail, self._of_colour)
        )
        return factor * super().gradient(*told) - of_detail * (y - flat) - of_colour * flat
