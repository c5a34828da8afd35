"""What of a picture or a film fits: fewer frames, and the best quality of so many bytes."""

from __future__ import annotations

import bisect
import functools
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image


def evenly(count: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `count` things, from the first to the last in even strides."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def webp(
    picture: Image.Image, qualities: Sequence[int], most: float, lossless: bool = False
) -> bytes:
    """A picture as WebP, at the best of descending qualities that takes at most `most` bytes.

    The last is taken as it is.
    """

    @functools.cache
    def content(quality: int) -> bytes:
        written = io.BytesIO()
        picture.save(written, "WEBP", quality=quality, lossless=lossless)
        return written.getvalue()

    # The better, the larger.
    place = bisect.bisect_left(
        qualities, True, hi=len(qualities) - 1, key=lambda quality: len(content(quality)) <= most
    )
    return content(qualities[place])
