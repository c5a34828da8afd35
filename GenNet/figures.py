"""Panels of images and charts, as matplotlib figures.  Pixels are shown in a fixed range."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DPI = 100  # of every figure: a panel's pixels are shown one to one at this resolution
GAP = 2  # pixels between the tiles of a panel


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [0, 255], rounded and clipped.  Never stretched, so that range errors show."""
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def tiles(rows: Sequence[np.ndarray], scale: int = 2) -> np.ndarray:
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
    scale: int = 2,
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
        if title in log:
            axes.set_yscale("log")
    all_axes[-1].set_xlabel("iteration")
    return figure
