"""Where chains of images start: what --start says."""

from __future__ import annotations

import numpy as np

from common import datasets, streams
from common.streams import Stream
from descriptor_settings import START_NOISE, Settings


def draw_starts(
    settings: Settings,
    colours: np.ndarray,
    mean_colour: np.ndarray,
    iteration: int = 0,
    rank: int = 0,
    start: str | None = None,
) -> np.ndarray:
    """Mean images, mean images with noise N(0, START_NOISE^2), or noise N(mean colour, s^2).

    Args:
        settings: resolved.
        colours: mean colours [n, 3] of the training images whose chains start.
        mean_colour: of all training images, [3].
        iteration: whose noise it is, counted from 1; 0: of what is shown, always the same.
        rank: of the worker that draws.
        start: of STARTS; by default that of the settings.

    Returns:
        [n, S, S, 3] in grey levels, unclipped.
    """
    start, width = start or settings.start, START_NOISE
    if start == "noise":
        colours, width = np.broadcast_to(mean_colour, colours.shape), settings.ref_sigma
    flat = datasets.flat_images(colours, settings.image_size)
    if start == "mean":
        return flat
    rng = streams.generator(settings.seed, Stream.STARTS, iteration, rank)
    return flat + np.float32(width) * rng.standard_normal(flat.shape, np.float32)
