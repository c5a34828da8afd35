"""The ladder of noise that `--learning score_matching` learns a density at every level of.

An image is a flat colour c and detail D, both less the mean colour, and is seen at level i as

    Y_i = a_i D + b_i c + sigma_i U + tau_i V,

where U and V are the detail and the flat colour of noise N(0, I).  At the top, a = 0, b is next to
0 and sigma = tau = s: what is seen is the reference.  First the colour comes: down to the level of
mean images, tau falls to --data_noise and b rises to 1.  Then the detail comes, by a diffusion that
preserves variance (Song et al., ICLR 2021), and the colour stays as it is.  At the lowest level,
a = b = 1 and sigma = tau = --data_noise.  Chains go from one level to the next with every step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.session import tf

# The detail of an image is lost where sigma / a is so many times s: thousands of pixels, of which
# each tells a little, show through much noise.  Of larger images it takes more, by their side.
DETAIL_LOST = 60.0
UNIT = 64  # pixels, side of an image of which that holds
COLOUR_LOST = 400.0  # 1 / b where the colour is lost as well
STEPS_OF_DETAIL = 0.64  # share of the steps from the top that come after the colour is there


class NoiseLevels:
    """Levels 0 (the top) to `lowest`, where chains stay.

    Attributes:
        side: of an image.
        pixels: of an image.
        mean: number of the level of mean images.
        lowest: number of the lowest level, and of steps from the top to it.
        detail: a, [lowest + 1].
        colour: b, likewise.
        sigma: of the detail's noise, likewise, in grey levels.
        tau: of the colour's noise, likewise; that of a mean over pixels is smaller by their root.
        position: what the network is told, from 1 at the level of mean images to -1; [lowest + 1].
        growth: factors of detail and colour in the step from each level, [lowest + 1, 2].
        drift: factors of their scores, likewise, in squared grey levels.
        width: standard deviations of their noise, likewise, in grey levels.
    """

    def __init__(
        self, ref_sigma: float, data_noise: float, image_size: int, num_steps: int, step_size: float
    ) -> None:
        """Lay them out.

        Args:
            ref_sigma: s.
            data_noise: sigma and tau of the lowest level.
            image_size: side of an image.
            num_steps: of a chain from a mean image.
            step_size: delta at the lowest level; in proportion to sigma and tau at the others.
        """
        self.mean = round(num_steps * (1 - STEPS_OF_DETAIL) / STEPS_OF_DETAIL)
        self.lowest = self.mean + num_steps
        self._ref_sigma, self.side, self.pixels = ref_sigma, image_size, image_size**2
        to_come = np.linspace(1, 0, self.mean, endpoint=False)  # of the colour
        flat = np.ones(num_steps + 1)
        self.colour = np.append(COLOUR_LOST**-to_come, flat)
        self.tau = data_noise * np.append((ref_sigma / data_noise) ** to_come, flat)
        lost = ref_sigma * DETAIL_LOST * max(1.0, image_size / UNIT)
        down = np.linspace(0, 1, num_steps)
        ratio = np.append(lost ** (1 - down) * data_noise**down, data_noise)  # sigma / a
        kept = 1 / np.hypot(1, ratio / ref_sigma)
        detail = kept / kept[-1]
        self.detail = np.append(np.zeros(self.mean), detail)
        sigma = np.minimum(detail * ratio, ref_sigma)
        self.sigma = np.append(np.full(self.mean, ref_sigma), sigma)
        self.position = np.concatenate([np.ones(self.mean), np.linspace(1, -1, num_steps), [-1]])
        self._lay_out_steps(step_size / data_noise)

    def _lay_out_steps(self, relative: float) -> None:
        """Steps from each level to the next.

        Of y = a x + n, where a x = y + sigma^2 score is the mean of what may be below the noise n,

            y <- a' x + sqrt(sigma'^2 - delta^2) n / sigma + delta U,

        whose noise is exactly that of the next level (Song, Meng and Ermon, 2021, equation 12).
        From a level to itself it is a step of Langevin dynamics, y + (delta^2 / 2) score + delta U,
        up to terms of delta^4; at the lowest level it is that.

        Args:
            relative: delta over sigma', and over tau'.
        """
        seen = np.stack([self.detail, self.colour], 1)
        noise = np.stack([self.sigma, self.tau], 1)
        next_seen, next_noise = (np.append(part[1:], part[-1:], 0) for part in (seen, noise))
        next_noise[-2, 0] = 0  # the last step down takes all of the noise of the detail
        self.width = relative * next_noise
        self.width[self.mean : -1, 1] = 0  # the colour is there, and stays
        self.growth = np.where(seen > 0, next_seen / seen.clip(1e-9), 1)
        kept = np.sqrt((next_noise**2 - self.width**2).clip(0)) / noise
        self.drift = (self.growth - kept) * noise**2
        self.drift[-1] = self.width[-1] ** 2 / 2

    def entry(self, kind: str) -> int:
        """The level that a chain enters at: of STARTS, or a "picture", or an "image" learned.

        A picture enters where its detail is as large as the noise: its like comes out.
        """
        if kind == "noise":
            return 0
        if kind == "image":
            return self.lowest
        if kind == "picture":
            return int(np.searchsorted(self.detail / self.sigma, 1 / self._ref_sigma))
        return self.mean

    def entries(self, kinds: str | Sequence[str], count: int) -> np.ndarray:
        """Those of `count` chains, of one kind or of one each: int32 [count]."""
        kinds = [kinds] * count if isinstance(kinds, str) else kinds
        return np.array([self.entry(kind) for kind in kinds], np.int32)

    def seen(self, images: np.ndarray, level: np.ndarray) -> np.ndarray:
        """What is to be seen of images at levels [n], but for the noise.

        Args:
            images: [n, S, S, 3] in grey levels less the mean colour.
            level: int [n].
        """
        colours = images.mean((1, 2))
        return self.mixed(images - colours[:, None, None], colours, level)

    def mixed(self, detail: np.ndarray, colours: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Likewise, of the detail Y - c [n, S, S, 3] and the colours c [n, 3] of images."""
        a, b = (part[level].astype(np.float32) for part in (self.detail, self.colour))
        seen = a[:, None, None, None] * detail
        seen += (b[:, None] * colours)[:, None, None]
        return seen

    def noisy(self, seen: np.ndarray, level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What is seen at levels [n], with its noise."""
        noise = rng.standard_normal(seen.shape, np.float32)
        sigma, tau = (
            part[level, None, None, None].astype(np.float32) for part in (self.sigma, self.tau)
        )
        flat = noise.mean((1, 2), keepdims=True)
        noise *= sigma
        noise += (tau - sigma) * flat
        return noise + seen

    def entered(
        self, starts: np.ndarray, level: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Where chains from starts stand at the levels they enter at; arguments as for `seen`.

        What starts at the top, noise, and at the lowest level, images, has its noise already.
        """
        inside = (level > 0) & (level < self.lowest)
        entered = self.noisy(self.seen(starts, level), level, rng)
        return np.where(inside[:, None, None, None], entered, starts).astype(np.float32)


def gather(values: np.ndarray, level: tf.Tensor, dtype: tf.DType | None = None) -> tf.Tensor:
    """Those of levels [n], of values by level: [n, ...], by default in float32."""
    return tf.gather(tf.constant(values, dtype or tf.float32), level)


def in_parts(factors: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The detail and the flat colour of x [B, S, S, 3], each times its factor, [B, 2]."""
    # Not factors[:, i, None, ...], which TensorFlow's optimizer takes wrongly from a stack.
    of_detail, of_colour = (tf.reshape(f, [-1, 1, 1, 1]) for f in tf.unstack(factors, axis=1))
    return of_detail * x + (of_colour - of_detail) * tf.reduce_mean(x, [1, 2], keepdims=True)
