"""A descriptor that is told the level of noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.layers import Network, fourier_features, reduce_mean, reduce_sum
from common.session import tf
from heights import Heights
from noise_levels import NoiseLevels, gather

LEAST_SPREAD = 2.5  # grey levels, of the flat colours: they may be all the same
# Lightness, and red and blue against green, whose features g is told; and their wave lengths.
AXES = np.array([[1 / 3, 1 / 3, 1 / 3], [1, -1, 0], [0, -1, 1]], np.float32).T
WAVE_LENGTHS = 8.0 * 2.0 ** np.arange(6)  # grey levels


class ConditionalNetwork(Network):
    """f(Y, i) = k_i g(Y / s, c, i) + h_i(c) - q_i(Y), where c is the flat colour of Y.

    The ConvNet g is of the detail, and h of the colour, which comes first: where it does, k is 0,
    and after that h is.  With the reference, the quadratic q makes log p_i(Y) that of images
    without any detail, whose colours are normal, up to k g + h: the gradient of k g is what is seen
    of the detail below the noise, over sigma^2, and that of h what colours are nearer to than to
    their mean.  k = a_i s^2 / sigma_i^2 makes that of g of the order of 1, and h is scaled likewise
    (preconditioning: Karras et al., 2022).

    Attributes:
        levels: of the noise.
        heights: of the images at the lowest level.
        spreads: of the flat colours, standard deviations along their principal axes, [3], in grey
            levels.
    """

    def __init__(
        self,
        layers: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
        colour_layers: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        seed: int,
        levels: NoiseLevels,
        ref_sigma: float,
        colours: np.ndarray,
    ) -> None:
        """Describe it.

        Args:
            layers: g, of [B, S, S, 3], Fourier features [B, 36] of flat colours, and positions [B]
                of levels.
            colour_layers: h but for its scale, of colours [B, 3] of the order of 1, and shares
                [B] of the way to the level of mean images.
            seed: of the values that their variables start from.
            levels: see there.
            ref_sigma: s.
            colours: flat colours of images less their mean, [N, 3].
        """
        super().__init__("descriptor", layers, seed)
        self._colours = Network("descriptor_of_colours", colour_layers, seed)
        self.levels, self._ref_sigma = levels, ref_sigma
        self.heights = Heights(len(colours), levels.side, float(levels.sigma[-1]))
        variances, axes = np.linalg.eigh(np.cov(colours.T, bias=True))
        self.spreads = np.sqrt(variances.clip(LEAST_SPREAD**2)).astype(np.float32)
        self._axes = axes.astype(np.float32)  # [3, 3], in its columns
        self._factor = levels.detail * ref_sigma**2 / levels.sigma**2  # k, [lowest + 1]
        coming = np.arange(levels.lowest + 1) < levels.mean  # the colour is
        noise = levels.tau[:, None] / levels.side  # of a flat colour
        spread = np.where(coming, levels.colour, 0)[:, None] * self.spreads
        # Of q, for the detail and for the flat colour.
        self._of_detail = 1 / levels.sigma**2 - 1 / ref_sigma**2
        self._of_colour = 1 / (noise**2 + spread**2) - levels.pixels / ref_sigma**2
        self._colour_scale = np.hypot(noise, spread)
        self._colour_factor = spread.mean(1) / noise[:, 0]  # of h
        self._colour_position = np.arange(levels.lowest + 1) / levels.mean

    def variables(self) -> list[tf.Variable]:
        """Those of the current graph."""
        return super().variables() + self._colours.variables()

    def matrices(self) -> list[tf.Variable]:
        """The weights of g that map features to features."""
        return [variable for variable in super().variables() if variable.shape.rank > 1]

    def state(self) -> list[tf.Variable]:
        """The variables, and the heights."""
        return [*self.variables(), self.heights.thumbnails, self.heights.values]

    def __call__(self, y: tf.Tensor, level: tf.Tensor | None = None) -> tf.Tensor:  # type: ignore[override]
        """F [B] of images [B, S, S, 3] at levels int [B], by default the lowest, with its heights.

        Chains and learning, which go by slopes alone, name the level.
        """
        if level is None:
            return self(y, tf.fill(tf.shape(y)[:1], self.levels.lowest)) + self.heights(y)
        colours = reduce_mean(y, [1, 2])  # [B, 3]
        pixels = self.levels.pixels
        of_detail = reduce_sum(tf.square(y), [1, 2, 3]) - pixels * reduce_sum(
            tf.square(colours), [1]
        )
        waves = fourier_features(tf.matmul(colours, tf.constant(AXES, y.dtype)), WAVE_LENGTHS)
        value = super().__call__(
            y / self._ref_sigma, waves, gather(self.levels.position, level, y.dtype)
        )
        value = gather(self._factor, level, y.dtype) * value + self.of_colours(colours, level)
        return value - gather(self._of_detail, level, y.dtype) * of_detail / 2

    def of_colours(self, colours: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
        """The part of f [B] that is of flat colours [B, 3] alone, at levels int [B]."""
        turned = self.turned(colours)
        scaled = turned / gather(self._colour_scale, level, colours.dtype)
        value = self._colours(scaled, gather(self._colour_position, level, colours.dtype))
        of_colour = reduce_sum(
            gather(self._of_colour, level, colours.dtype) * tf.square(turned), [1]
        )
        return gather(self._colour_factor, level, colours.dtype) * value - of_colour / 2

    def turned(self, colours: tf.Tensor) -> tf.Tensor:
        """Colours [n, 3] along the principal axes of those of the images."""
        return tf.matmul(colours, tf.constant(self._axes, colours.dtype))

    def gradient(self, y: tf.Tensor, level: tf.Tensor | None = None) -> tf.Tensor:  # type: ignore[override]
        """Df / dY, [B, S, S, 3]."""
        value = self(y, level)
        return tf.gradients(value, y, tf.ones_like(value))[0]
