"""Panels of images as matplotlib figures, sprites and moving pictures.

Pixels are shown in a fixed range.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from PIL import Image, ImageDraw, ImageFont

from common import fitting

DPI = 100  # of every figure: a panel's pixels are shown one to one at this resolution
SCALE = 2  # a panel shows a pixel of an image as so many squared
GAP = 2  # pixels between the tiles of a panel
MARGIN = 14  # pixels around it that stay blank
CAPTION = 16  # pixels under a tile that has one
STRIP, STRIP_LEFT = 26, 6  # pixels under a frame for its text, and left of that
TITLE, POINTS, SMALL = 11, 10, 8  # sizes of letters: of titles, labels and captions
TILE = 64  # pixels: a sprite shows larger images at this size
QUALITIES = (90, 75, 50, 35, 25, 10)  # of WebP
SPRITE_BYTES = 2_000_000  # a page of several runs carries a few sprites
GIF_BYTES = 1_900_000  # what mail and chat still take
GIF_WIDTH = 1600  # pixels
# What Pillow raises of a file that is no picture, or a damaged one.
NO_PICTURE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [0, 255], rounded and clipped.  Never stretched, so that range errors show."""
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


@functools.cache
def _renderer() -> RendererAgg:
    return FigureCanvasAgg(Figure(dpi=DPI)).get_renderer()


def text_width(text: str, points: float) -> float:
    """How many pixels of a figure a line of text takes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # that a font lacks: a box stands for it
        font = FontProperties(size=points)
        return _renderer().get_text_width_height_descent(text, font, ismath=False)[0]


def broken(text: str, width: float, points: float) -> list[str]:
    """A text in lines of at most `width` pixels, if its words are not longer."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", points) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def shortened(text: str, width: float, points: float) -> str:
    """A line of text in at most `width` pixels: of one that is longer, the middle is left out."""
    for kept in range(len(text), 0, -1):
        left, right = text[: -(-kept // 2)], text[len(text) - kept // 2 :]
        short = text if kept == len(text) else f"{left}…{right}"
        if text_width(short, points) <= width:
            return short
    return "…"


def tiles(rows: Sequence[np.ndarray], scale: int = SCALE, below: int = 0) -> np.ndarray:
    """Rows of images [n, S, S, 3] in [0, 255] as one picture, uint8 [H, W, 3].

    A pixel becomes `scale` x `scale`, crisp; a row may be shorter than the others.

    Args:
        rows: of images.
        scale: of a pixel.
        below: white pixels under each row, besides the gap.
    """
    side = rows[0].shape[1] * scale
    pitch = side + GAP
    columns = max(len(row) for row in rows)
    size = (len(rows) * (pitch + below) - GAP, columns * pitch - GAP, 3)
    picture = np.full(size, 255, np.uint8)
    for i, row in enumerate(rows):
        top = i * (pitch + below)
        for j, image in enumerate(to_uint8(row)):
            tile = image.repeat(scale, 0).repeat(scale, 1)
            picture[top : top + side, j * pitch : j * pitch + side] = tile
    return picture


def panel(
    rows: Sequence[np.ndarray],
    title: str,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    row_axis: str = "",
    column_axis: str = "",
    captions: Sequence[str] = (),
    scale: int = SCALE,
) -> Figure:
    """Rows of images [n, S, S, 3] in [0, 255] with a title and labels, shown one to one.

    Args:
        rows: of images.
        title: of the figure, which is as wide as it takes.
        row_labels: left of each row.
        column_labels: under each column.
        row_axis: what the rows stand for.
        column_axis: what the columns stand for.
        captions: under each image, row by row; one that is too wide loses its middle.
        scale: of a pixel.
    """
    line = CAPTION * bool(captions)
    picture = tiles(rows, scale, line)
    height, width = picture.shape[:2]
    labels = max((text_width(label, POINTS) for label in row_labels), default=0)
    left = MARGIN + (labels + 8) * bool(row_labels) + 24 * bool(row_axis)
    below = MARGIN + 20 * bool(column_labels) + 22 * bool(column_axis)
    above, right = 36, MARGIN
    wide = max(width, text_width(title, TITLE))
    size = (np.ceil(left + wide + right), above + height + below)  # pixels
    figure = Figure((size[0] / DPI, size[1] / DPI), DPI)
    axes = figure.add_axes((left / size[0], below / size[1], width / size[0], height / size[1]))
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    axes.set_title(title, loc="left", fontsize=TITLE)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=POINTS)
    pitch = rows[0].shape[1] * scale + GAP
    axes.set_yticks((pitch + line) * np.arange(len(row_labels)) + pitch / 2, row_labels)
    axes.set_xticks(pitch * (np.arange(len(column_labels)) + 0.5), column_labels)
    axes.set_ylabel(row_axis)
    axes.set_xlabel(column_axis)
    places = [(i, j) for i, row in enumerate(rows) for j in range(len(row))]
    for (i, j), caption in zip(places, captions, strict=False):
        text = shortened(caption, pitch, SMALL)
        place = (j * pitch + (pitch - GAP) / 2, i * (pitch + line) + pitch)
        axes.text(*place, text, ha="center", va="top", fontsize=SMALL, parse_math=False)
    return figure


def write_panel(panel: Figure, file: IO[bytes], side: int) -> None:
    """Write a panel of images that are `side` wide as PNG that says where its tiles lie.

    "tiles" of the PNG: their left, top, right and bottom edge, the side of a tile and the gap to
    the next, in pixels.  So the report can show them on a background of its own.
    """
    width, height = panel.get_size_inches() * DPI
    left, bottom, right, top = panel.axes[0].get_position().extents
    edges = (left * width, (1 - top) * height, right * width, (1 - bottom) * height)
    tiles = " ".join(str(round(number)) for number in (*edges, SCALE * side, GAP))
    panel.savefig(file, format="png", metadata={"tiles": tiles})


def stacked(
    parts: dict[str, np.ndarray], title: str, columns: int, most: int, scale: int = SCALE
) -> Figure:
    """A panel of images that belong together, one below another.

    Args:
        parts: by label, as many images [N, S, S, 3] in [0, 255] in each.
        title: of the figure.
        columns: images in a row, at most.
        most: images of each part, at most.
        scale: of a pixel.
    """
    each = [wrapped(part[:most], columns) for part in parts.values()]
    rows = [row for together in zip(*each, strict=True) for row in together]
    labels = list(parts) * len(each[0])
    count = len(next(iter(parts.values())))
    return panel(rows, first_of(title, most, count), labels, scale=scale)


def first_of(title: str, shown: int, count: int) -> str:
    """The title of a panel of at most `shown` images of `count`, which says if there are more."""
    return title if count <= shown else f"{title}: the first {shown} of {count}"


def wrapped(images: np.ndarray, columns: int) -> list[np.ndarray]:
    """Images [N, S, S, 3] as rows of at most `columns` for a panel."""
    return [images[i : i + columns] for i in range(0, len(images), columns)]


def sprite(images: np.ndarray, columns: int, tile: int = TILE) -> np.ndarray:
    """Images [N, S, S, 3] in [0, 255] row by row in one picture, uint8 [H, W, 3], without gaps.

    A tile is min(S, `tile`) pixels wide; the last row is filled up with black.
    """
    side = min(images.shape[1], tile)
    tiles = [
        np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX))
        for image in to_uint8(images)
    ]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = np.stack(tiles).reshape(-1, columns, side, side, 3)
    return rows.swapaxes(1, 2).reshape(-1, columns * side, 3)


def write_webp(file: IO[bytes], picture: np.ndarray, most: int = SPRITE_BYTES) -> None:
    """Write uint8 [H, W, 3] as WebP, at the best quality that stays under `most` bytes."""
    file.write(fitting.webp(Image.fromarray(picture), QUALITIES, most))


def write_gif(
    file: IO[bytes], frames: Sequence[np.ndarray], milliseconds: int, hold: int = 0
) -> None:
    """Write frames uint8 [H, W, 3] as an endless GIF of at most GIF_BYTES and GIF_WIDTH.

    Wide frames are reduced by a whole factor.  Of more frames than fit, some between the first and
    the last are left out, in even strides, and the others are shown longer; of these two alone, the
    factor grows.

    Args:
        file: open for writing.
        frames: at least one, all of a size.
        milliseconds: that a frame is shown.
        hold: milliseconds more for the last one.
    """
    for factor in itertools.count(-(-frames[0].shape[1] // GIF_WIDTH)):
        pictures = [Image.fromarray(frame).reduce(factor).quantize(256) for frame in frames]
        content = _gif(pictures, milliseconds * len(frames), hold)
        while len(content) > GIF_BYTES and len(pictures) > 2:
            fit = int(len(pictures) * GIF_BYTES / len(content))
            pictures = [
                pictures[i]
                for i in fitting.evenly(len(pictures), max(2, min(fit, len(pictures) - 1)))
            ]
            content = _gif(pictures, milliseconds * len(frames), hold)
        if len(content) <= GIF_BYTES:
            break
    file.write(content)


def _gif(pictures: Sequence[Image.Image], milliseconds: int, hold: int) -> bytes:
    """An endless GIF of so many milliseconds, `hold` more for the last frame."""
    content = io.BytesIO()
    times = [milliseconds // len(pictures)] * len(pictures)
    times[-1] += hold
    pictures[0].save(
        content, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0
    )
    return content.getvalue()


def numbered(frames: Sequence[np.ndarray], texts: Sequence[str]) -> list[np.ndarray]:
    """Frames uint8 [H, W, 3] over a white strip with a line of text each: [H + STRIP, W', 3].

    They are as wide as the longest text takes, at least.
    """
    font = ImageFont.load_default(STRIP - 10)
    longest = max((font.getlength(text) for text in texts), default=0)
    labelled = []
    for frame, text in zip(frames, texts, strict=True):
        height, width = frame.shape[:2]
        size = (max(width, int(longest) + 2 * STRIP_LEFT), height + STRIP)
        picture = Image.new("RGB", size, "white")
        picture.paste(Image.fromarray(frame))
        ImageDraw.Draw(picture).text((STRIP_LEFT, height + 3), text, "black", font)
        labelled.append(np.asarray(picture))
    return labelled


def read_panels(folder: Path) -> dict[int, np.ndarray]:
    """The panels that a run has saved in its progress folder: iteration -> uint8 [H, W, 3].

    One that is damaged, or of another size than the last, is left out: after all learning is no
    time to fail for a frame of a film.
    """
    paths = {int(path.stem): path for path in folder.glob("*.png") if path.stem.isdecimal()}
    panels = {}
    for number, path in sorted(paths.items()):
        with contextlib.suppress(*NO_PICTURE), Image.open(path, formats=["PNG"]) as picture:
            panels[number] = np.asarray(picture.convert("RGB"))
    last = panels[max(panels)].shape if panels else None
    return {number: panel for number, panel in panels.items() if panel.shape == last}
