"""Pictures as text that a page carries in itself."""

import base64
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from common import fitting

LARGEST = 128  # pixels: larger images are reduced to this
QUALITIES = (90, 75, 60, 45, 30, 15)  # of WebP: at the first, no difference is seen on the page
WIDEST = 1500  # pixels: wider panels and charts are reduced to this
TALLEST = 16_000  # pixels: what WebP can hold, rounded down


class Picture(NamedTuple):
    """A picture in a data URI, and its size in pixels."""

    uri: str
    width: int
    height: int


class Film(NamedTuple):
    """Frames one below another in one picture, and a label for each."""

    picture: Picture
    labels: list[str]
    milliseconds: int  # that a frame is shown
    still: Picture  # the last frame, for a page without scripts


def embed(picture: Image.Image, room: float = math.inf, lossless: bool = False) -> Picture:
    """A picture as WebP in a data URI, at the best quality that fits in `room` bytes."""
    return carry(fitting.webp(picture, QUALITIES, room, lossless), picture.size)


def whole(picture: Image.Image) -> Picture:
    """A panel or a chart, at most WIDEST wide: exact, unless it is shorter as photographs are."""
    if picture.width > WIDEST:
        height = max(1, round(picture.height * WIDEST / picture.width))
        picture = picture.resize((WIDEST, height), Image.Resampling.LANCZOS)
    exact, close = embed(picture, lossless=True), embed(picture)
    return exact if len(exact.uri) <= len(close.uri) else close


def carry(webp: bytes, size: tuple[int, int]) -> Picture:
    """The content of a WebP file as it is."""
    return Picture(f"data:image/webp;base64,{base64.b64encode(webp).decode()}", *size)


def as_picture(image: np.ndarray) -> Image.Image:
    """An image [S, S, 3] in [0, 255], rounded and clipped, at most LARGEST wide."""
    picture = Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    return picture.reduce(-(-picture.width // LARGEST))


def grid(images: np.ndarray, columns: int, room: float = math.inf) -> Picture:
    """Images [N, S, S, 3] row by row in one picture, without gaps; the last row may be shorter."""
    return embed(joined([as_picture(image) for image in images], columns), room)


def joined(tiles: Sequence[Image.Image], columns: int, paper: str | None = None) -> Image.Image:
    """Square tiles of a size row by row; where there is none, paper of a colour, or nothing."""
    side = tiles[0].width
    size = (columns * side, -(-len(tiles) // columns) * side)
    sheet = Image.new("RGB", size, paper) if paper else Image.new("RGBA", size)
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (i % columns * side, i // columns * side))
    return sheet


def film(
    frames: Sequence[Image.Image],
    labels: Sequence[str],
    milliseconds: int,
    room: float = math.inf,
) -> Film:
    """Frames of the size of the first; of too many, some in even strides, first and last."""
    width, height = frames[0].size
    most = max(1, TALLEST // height)
    shown = fitting.evenly(len(frames), most)
    sheet = Image.new(frames[0].mode, (width, height * len(shown)))
    for place, i in enumerate(shown):
        sheet.paste(frames[i], (0, place * height))
    return Film(embed(sheet, room), [labels[i] for i in shown], milliseconds, embed(frames[-1]))


def density(values: np.ndarray) -> Picture:
    """A density [m, m], rows from the top, as a veil: the denser, the less transparent."""
    alpha = (values / max(values.max(), 1e-300) * 255).round().astype(np.uint8)
    veil = np.zeros([*alpha.shape, 4], np.uint8)
    veil[..., :3] = (37, 99, 235)
    veil[..., 3] = alpha
    return embed(Image.fromarray(veil), lossless=True)
