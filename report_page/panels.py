"""Panels of training's progress, cut out of their white paper, which glares on a dark page."""

import re

import numpy as np
from PIL import Image


def cut(panel: Image.Image) -> Image.Image:
    """The tiles of a panel in RGBA, transparent between them; all of it in RGB if it tells none.

    A PNG says where they lie (see `figures.write_panel` of the runs): left, top, right and bottom
    edges, the side of a tile and the gap to the next, in pixels.
    """
    told = str(panel.info.get("tiles", ""))
    numbers = [int(text) for text in told.split()] if re.fullmatch(r"(\d{1,6} ?){6}", told) else []
    if len(numbers) != 6:
        return panel.convert("RGB")
    left, top, right, bottom, side, gap = numbers
    if not (left < right <= panel.width and top < bottom <= panel.height and side):
        return panel.convert("RGB")
    tiles = panel.convert("RGB").crop((left, top, right, bottom))
    across, down = (np.arange(size) % (side + gap) < side for size in tiles.size)
    tiles.putalpha(Image.fromarray(255 * np.outer(down, across).astype(np.uint8)))
    return tiles
