"""Panels and charts as matplotlib figures, sprites and moving pictures.

Pixels are shown in a fixed range.
"""

from __future__ import annotations

import bisect
import contextlib
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

DPI = 100  # of every figure: a panel's pixels are shown one to one at this resolution
SCALE = 2  # a panel shows a pixel of an image as so many squared
GAP = 2  # pixels between the tiles of a panel
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


def tiles(rows: Sequence[np.ndarray], scale: int = SCALE) -> np.ndarray:
    """Rows of images [n, S, S, 3] in [0, 255] as one picture, uint8 [H, W, 3].

    A pixel becomes `scale` x `scale`, crisp; a row may be shorter than the others.
    """
    side = rows[0].shape[1] * scale
    pitch = side + GAP
    columns = max(len(row) for row in rows)
    picture = np.full((len(rows) * pitch - GAP, columns * pitch - GAP, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(to_uint8(row)):
            tile = image.repeat(scale, 0).repeat(scale, 1)
            picture[i * pitch : i * pitch + side, j * pitch : j * pitch + side] = tile
    return picture


def panel(
    rows: Sequence[np.ndarray],
    title: str,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    row_axis: str = "",
    column_axis: str = "",
    scale: int = SCALE,
) -> Figure:
    """Rows of images [n, S, S, 3] in [0, 255] with a title and labels, shown one to one."""
    picture = tiles(rows, scale)
    height, width = picture.shape[:2]
    left = 24 + 7 * max((len(label) for label in row_labels), default=0) + 20 * bool(row_axis)
    below = 14 + 22 * bool(column_labels) + 22 * bool(column_axis)
    above, right = 36, 14
    size = (max(left + width + right, 10 * len(title)), above + height + below)  # pixels
    figure = Figure((size[0] / DPI, size[1] / DPI), DPI)
    axes = figure.add_axes((left / size[0], below / size[1], width / size[0], height / size[1]))
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    pitch = rows[0].shape[1] * scale + GAP
    axes.set_yticks(pitch * (np.arange(len(row_labels)) + 0.5), row_labels)
    axes.set_xticks(pitch * (np.arange(len(column_labels)) + 0.5), column_labels)
    axes.set_ylabel(row_axis)
    axes.set_xlabel(column_axis)
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


def wrapped(images: np.ndarray, columns: int) -> list[np.ndarray]:
    """Images [N, S, S, 3] as rows of at most `columns` for a panel."""
    return [images[i : i + columns] for i in range(0, len(images), columns)]


def charts(series: dict[str, tuple[Sequence[float], str]], log: Sequence[str] = ()) -> Figure:
    """One chart by iteration for each title: values and the label of their axis.

    Args:
        series: title -> (a value for each iteration from 1, label of the y axis).
        log: titles whose y axis is logarithmic.
    """
    figure = Figure((9, 0.6 + 2.9 * len(series)), DPI, layout="constrained")
    all_axes: list[Axes] = list(figure.subplots(len(series), 1, squeeze=False)[:, 0])
    for axes, (title, (values, label)) in zip(all_axes, series.items(), strict=True):
        iterations = np.arange(1, len(values) + 1)
        # A single iteration has no line: mark it.
        axes.plot(iterations, values, lw=1, marker="o" if len(values) == 1 else None)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if title in log and max(values) > 0:  # chains that never moved have a score of 0
            axes.set_yscale("log")
    all_axes[-1].set_xlabel("iteration")
    return figure


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

    @cache
    def content(quality: int) -> bytes:
        written = io.BytesIO()
        Image.fromarray(picture).save(written, "WEBP", quality=quality)
        return written.getvalue()

    # The better, the larger; the last fits or not.
    place = bisect.bisect_left(
        QUALITIES, True, hi=len(QUALITIES) - 1, key=lambda quality: len(content(quality)) <= most
    )
    file.write(content(QUALITIES[place]))


def write_gif(
    file: IO[bytes], frames: Sequence[np.ndarray], milliseconds: int, hold: int = 0
) -> None:
    """Write frames uint8 [H, W, 3] as an endless GIF of at most GIF_BYTES and GIF_WIDTH.

    Wide frames are reduced by a whole factor; then every second frame is left out until it fits.

    Args:
        file: open for writing.
        frames: at least one, all of a size.
        milliseconds: that a frame is shown.
        hold: milliseconds more for the last one.
    """
    factor = -(-frames[0].shape[1] // GIF_WIDTH)
    pictures = [Image.fromarray(frame).reduce(factor).quantize(256) for frame in frames]
    while True:
        content = io.BytesIO()
        times = [milliseconds] * (len(pictures) - 1) + [milliseconds + hold]
        pictures[0].save(
            content, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0
        )
        if content.tell() <= GIF_BYTES or len(pictures) == 1:
            break
        pictures = pictures[:0:-2][::-1]  # the last frame stays
        milliseconds *= 2
    file.write(content.getvalue())


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
