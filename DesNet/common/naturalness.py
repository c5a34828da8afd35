"""How natural images are beside a training set, by measures of pixels alone.

Tiles (what a model shows) and training images are [n, S, S, 3] in [0, 255]; tiles are unclipped.

* Natural tiles.  Four statistics of an image: the share of its values at or beyond 0 or 255 once
  rounded, its saturation (mean of largest less smallest channel), its contrast (standard deviation
  of luminance) and its fine detail (mean |Laplacian| of luminance).  A tile is natural if each lies
  in the training images' range, widened by a quarter of its width on either side, and at least, of
  equal or grey images, by what nobody sees; fewer values at 0 or 255 are as natural as any.
* Patch distance.  The sliced Wasserstein distance (Karras et al., ICLR 2018) between 7 x 7 patches
  of tiles and of training images, on three levels of the Laplacian pyramid, each in standard
  deviations of the training images' patches; the mean of the levels.
* Ghost energy.  Of luminance in two bands (1 to 2 and 2 to 4 pixels): the share of a tile's energy
  that the best non-negative mixture of training images explains, less what the best single one
  does.  0 for a copy, 1/2 for two unlike images laid over each other.  Of many training images some
  mixture explains part of anything: beyond FEW of them the figure says little.
* Copies.  Tiles whose luminance correlates by over 0.98 with a training image's.  A plane without
  ghosts may be one of copies; the two figures belong together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

from common import streams
from common.streams import Stream

LUMINANCE = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)
WIDENED = 0.25  # of the width of a range, on either side, or
LEAST = np.array([0.001, 2, 2, 2])  # a thousandth of the values, and grey levels
LEVELS = 3  # of the Laplacian pyramid
PATCH = 7  # pixels: side of a patch
DIRECTIONS = 128  # that the patch distance is sliced along
QUANTILES = 512  # of each slice
BANDS = (1.0, 2.0, 4.0)  # pixels: standard deviations of the Gaussians between which a band lies
FEW = 30  # training images
GHOST = 0.1  # ghost energy from which on a tile is a ghost
COPY = 0.98  # correlation from which on it is a copy
FIGURES: list[dict[str, Any]] = [  # of the report: what each number of `measure` means
    {
        "path": ["natural_tiles"],
        "name": "natural images",
        "unit": "%",
        "note": "in the training images’ range of clipped pixels, saturation, contrast and detail",
    },
    {
        "path": ["ghost_tiles"],
        "name": "ghosts",
        "unit": "%",
        "note": "over a tenth of them only a mixture of training images explains",
    },
    {
        "path": ["ghost_energy"],
        "name": "ghost energy",
        "note": "the mean of that: 0 for a copy, 0.5 for two images laid over each other",
    },
    {
        "path": ["copied_tiles"],
        "name": "copies",
        "unit": "%",
        "note": "correlate by over 0.98 with a training image",
    },
    {
        "path": ["patch_distance"],
        "name": "patch distance",
        "note": "between their patches, in standard deviations; 0 if alike",
    },
]


def _luminance(images: np.ndarray) -> np.ndarray:
    """[n, S, S, 3] -> [n, S, S], of clipped images."""
    return np.clip(images, 0, 255).astype(np.float64) @ LUMINANCE


def _statistics(images: np.ndarray) -> np.ndarray:
    """Clipped values, saturation, contrast and fine detail of every image: [n, 4]."""
    clipped = ((images < 0.5) | (images > 254.5)).mean((1, 2, 3))
    shown, grey = np.clip(images, 0, 255), _luminance(images)
    saturation = (shown.max(3) - shown.min(3)).mean((1, 2))
    detail = np.abs([scipy.ndimage.laplace(image, mode="nearest") for image in grey]).mean((1, 2))
    return np.stack([clipped, saturation, grey.std((1, 2)), detail], 1)


def natural(tiles: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Whether each tile's statistics lie within the images' widened ranges: bool [n]."""
    ranges, values = _statistics(images), _statistics(tiles)
    low, high = ranges.min(0), ranges.max(0)
    margin = np.maximum(WIDENED * (high - low), LEAST)
    low = low - margin
    low[0] = 0  # a white of 253 looks like one of 255
    return ((values >= low) & (values <= high + margin)).all(1)


def _pyramid(images: np.ndarray) -> list[np.ndarray]:
    """Laplacian pyramid of [n, S, S, 3]: the details at S, S / 2, ..., and the rest."""
    levels, rest = [], np.clip(images, 0, 255).astype(np.float64)
    for _ in range(LEVELS - 1):
        small = scipy.ndimage.gaussian_filter(rest, (0, 1, 1, 0))[:, ::2, ::2]
        large = scipy.ndimage.gaussian_filter(small.repeat(2, 1).repeat(2, 2), (0, 1, 1, 0))
        levels.append(rest - large[:, : rest.shape[1], : rest.shape[2]])
        rest = small
    return [*levels, rest]


def _patches(level: np.ndarray) -> np.ndarray:
    """Every second patch along each axis of every image, flat: [m, side side 3]."""
    side = min(PATCH, level.shape[1])
    windows = np.lib.stride_tricks.sliding_window_view(level, (side, side), (1, 2))[:, ::2, ::2]
    return windows.reshape(-1, side * side * level.shape[3])


def patch_distance(tiles: np.ndarray, images: np.ndarray) -> float:
    """The sliced Wasserstein distance of patches, in the training images' standard deviations."""
    rng = streams.generator(0, Stream.SLICES)  # the same slices for every run
    at = (np.arange(QUANTILES) + 0.5) / QUANTILES
    distances = []
    for level, reference in zip(_pyramid(tiles), _pyramid(images), strict=True):
        ours, theirs = _patches(level), _patches(reference)
        axes = rng.normal(size=(ours.shape[1], DIRECTIONS))
        axes /= np.linalg.norm(axes, axis=0)
        slices = [np.quantile(patches @ axes, at, axis=0) for patches in (ours, theirs)]
        difference = np.abs(slices[0] - slices[1]).mean()
        distances.append(difference / max(theirs.std(), 1e-9))
    return float(np.mean(distances))


def _bands(images: np.ndarray) -> np.ndarray:
    """Luminance in each band, flat: [n, bands S S]."""
    grey = _luminance(images)
    blurred = [scipy.ndimage.gaussian_filter(grey, (0, width, width)) for width in BANDS]
    bands = [fine - coarse for fine, coarse in zip(blurred[:-1], blurred[1:], strict=True)]
    return np.concatenate([band.reshape(len(band), -1) for band in bands], 1)


def ghost_energy(tiles: np.ndarray, images: np.ndarray) -> np.ndarray:
    """What only a mixture of training images explains of each tile, over its energy: [n]."""
    atoms = _bands(images)
    norms = np.maximum((atoms**2).sum(1), 1e-9)
    shares = []
    for tile in _bands(tiles):
        energy = max(float((tile**2).sum()), 1e-9)
        _, residual = scipy.optimize.nnls(atoms.T, tile)
        single = (np.maximum(atoms @ tile, 0) ** 2 / norms).max()
        shares.append((energy - residual**2 - single) / energy)
    return np.maximum(shares, 0)


def unit_luminance(images: np.ndarray) -> np.ndarray:
    """Luminance, centred and of length 1, whose inner products are correlations: [n, S S]."""
    flat = _luminance(images).reshape(len(images), -1)
    flat -= flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def similarity(tiles: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The correlation of each tile's luminance with the most alike training image's: [n]."""
    return (unit_luminance(tiles) @ unit_luminance(images).T).max(1)


def measure(tiles: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """All figures of tiles beside training images; those of tiles are shares of them, in [0, 1]."""
    ghosts = ghost_energy(tiles, images)
    return {
        "natural_tiles": float(natural(tiles, images).mean()),
        "patch_distance": patch_distance(tiles, images),
        "ghost_tiles": float((ghosts > GHOST).mean()),
        "ghost_energy": float(ghosts.mean()),
        "copied_tiles": float((similarity(tiles, images) > COPY).mean()),
    }
