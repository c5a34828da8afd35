"""The ladder of noise that `--learning score_matching` learns a density at every level of.

At level i an image Y, of flat colour c, both less the mean colour, is seen as

    Y_i = a_i (Y - c) + b_i c + sigma_i U,    U ~ N(0, I),

a diffusion that preserves variance (Song et al., ICLR 2021), but for the colour, which it keeps
until the detail is gone.  At the top, a = b = 0 and sigma = s: what is seen is the reference.  At
the level of mean images, a = 0 and b = 1.  At the lowest, a = b = 1 and sigma is --data_noise.
Chains go from one level to the next with every step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The detail of an image is lost where sigma / a is so many times s: thousands of pixels, of which
# each tells a little, show through much noise.  Of larger images it takes more, by their side.
DETAIL_LOST = 60.0
UNIT = 64  # pixels, side of an image of which that holds
COLOUR_LOST = 40.0  # 1 / b where the colour is lost as well
STEPS_OF_DETAIL = 0.64  # share of the steps from the top that come after the colour is there


class NoiseLevels:
    """Levels 0 (the top) to `lowest`, where chains stay.

    Attributes:
        pixels: of an image.
        lowest: number of the lowest level, and of steps from the top to it.
        detail: a, [lowest + 1].
        colour: b, likewise.
        sigma: likewise, in grey levels.
        position: what the network is told, from 1 at the top to -1.
        drift: factor of the score in the step from each level, in squared grey levels.
        width: standard deviation of that step's noise, in grey levels.
    """

    def __init__(
        self, ref_sigma: float, data_noise: float, image_size: int, num_steps: int, step_size: float
    ) -> None:
        """Lay them out.

        Args:
            ref_sigma: s.
            data_noise: sigma of the lowest level.
            image_size: side of an image.
            num_steps: of a chain from a mean image.
            step_size: delta at the lowest level; in proportion to sigma at the others.
        """
        self._mean = round(num_steps * (1 - STEPS_OF_DETAIL) / STEPS_OF_DETAIL)
        self.lowest = self._mean + num_steps
        self._ref_sigma, self.pixels = ref_sigma, image_size**2
        lost = ref_sigma * DETAIL_LOST * max(1.0, image_size / UNIT)
        down = np.linspace(0, 1, num_steps)
        ratio = lost ** (1 - down) * data_noise**down  # sigma / a
        ratio = np.concatenate([np.full(self._mean, lost), ratio, [data_noise]])
        colour = COLOUR_LOST ** -np.linspace(1, 0, self._mean, endpoint=False)
        self.colour = np.concatenate([colour, np.ones(num_steps + 1)])
        kept = 1 / np.hypot(1, ratio / ref_sigma)
        self.detail = kept / kept[-1]
        self.sigma = np.minimum(self.detail * ratio, ref_sigma)
        self.position = np.append(np.linspace(1, -1, self.lowest), -1)
        self.width = step_size * self.sigma / data_noise
        self.drift = self.width**2 / 2
        # The last step down goes to the mean of what may be below the noise (Tweedie's formula).
        self.width[-2], self.drift[-2] = 0, self.sigma[-2] ** 2

    def entry(self, kind: str) -> int:
        """The level that a chain enters at: of STARTS, or a "picture", or an "image" learned.

        A picture enters where its detail is as large as the noise: its like comes out.
        """
        if kind == "noise":
            return 0
        if kind == "image":
            return self.lowest
        if kind == "picture":
            return int(np.searchsorted(-self.sigma / self.detail, -self._ref_sigma))
        return self._mean

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
        noise *= self.sigma[level, None, None, None].astype(np.float32)
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
