"""Charts of numbers by iteration, each readable in few pixels.

What is constant is said instead of drawn, a running mean lies over what is noisy, and a few points
far away do not flatten all others: the axis leaves them out, and the panel says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.figures import DPI, broken, text_width

MAX_HEIGHT = 1200  # pixels, of a figure
ROWS = 4  # panels in a column at most
PANEL = (900, 640)  # pixels that a panel is wide in one column, and in each of several
PANEL_HEIGHT = 270
LEFT, RIGHT, ABOVE, BELOW = 112, 18, 26, 26  # pixels around the axes of a panel
LINE = 20  # pixels of a line of text
SMOOTHED = 20  # iterations from which on there is a running mean, of
SHARE = 25  # that part of them
NOISY = 0.02  # of the range of a series: it has a running mean if it strays farther from it
GREY = "0.35"
THOUSANDS = {1e6: "million", 1e3: "thousand"}


class Series(NamedTuple):
    """A number by iteration."""

    title: str
    values: Sequence[float]  # of each iteration, from 1
    label: str  # of its axis: the quantity, and after a comma its unit
    log: bool = False  # whether that is logarithmic


def draw(series: Sequence[Series], title: str = "") -> Figure:
    """A panel for each series that is not constant, in as many columns as it takes; at most
    MAX_HEIGHT pixels tall.

    Args:
        series: all of the same iterations.
        title: of the figure.
    """
    drawn = [one for one in series if not _constant(one)]
    columns = max(1, -(-len(drawn) // ROWS))
    rows = -(-len(drawn) // columns)
    width = PANEL[0] if columns == 1 else columns * PANEL[1]
    said = [_said(one) for one in series if _constant(one)]
    about = broken(" ".join(said), width - 2 * RIGHT, 9)
    window = max(5, len(series[0].values) // SHARE) | 1
    if any(_is_noisy(_logged(one), window) for one in drawn):
        about.append(f"Faint: every iteration. Dark: the running mean over {window}.")
    top = (LINE + 8) * bool(title) + LINE * len(about) + 8
    below = LINE if drawn else 0  # for the name of the axis of iterations
    pitch = min(PANEL_HEIGHT, (MAX_HEIGHT - top - below) // max(rows, 1))  # pixels
    height = top + rows * pitch + below
    figure = Figure((width / DPI, height / DPI), DPI)
    if title:
        figure.text(RIGHT / width, 1 - 10 / height, title, fontsize=13, va="top")
    for i, line in enumerate(about):
        y = top - LINE * (len(about) - i) - 2
        figure.text(RIGHT / width, 1 - y / height, line, fontsize=9, va="top", color=GREY)
    for i, one in enumerate(drawn):
        column, row = divmod(i, rows)
        size = (width // columns - LEFT - RIGHT, pitch - ABOVE - BELOW)
        place = (column * (width // columns) + LEFT, height - top - (row + 1) * pitch + BELOW)
        axes = figure.add_axes(
            (place[0] / width, place[1] / height, size[0] / width, size[1] / height)
        )
        _draw(axes, one, window)
        if row == rows - 1 or i == len(drawn) - 1:
            axes.set_xlabel("iteration")
    return figure


def _finite(one: Series) -> np.ndarray:
    """The values of a series, [n], NaN where there is no finite number."""
    values = np.asarray(one.values, np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _constant(one: Series) -> bool:
    """Whether there is nothing to draw: no number, or the same one in several iterations."""
    values = _finite(one)
    there = values[np.isfinite(values)]
    # Means in float32 of equal numbers differ in the last digit.
    return not len(there) or (len(values) > 1 and np.ptp(there) <= 1e-6 * np.abs(there).max())


def _said(one: Series) -> str:
    values = _finite(one)
    if np.isnan(values).all():
        return f"{one.title}: no number throughout."
    number = f"{np.nanmean(values):.4g}"
    unit = one.label.rpartition(", ")[2] if ", " in one.label else ""
    if number == "1":
        unit = unit.removesuffix("s")
    return f"{one.title}: {f'{number} {unit}'.strip()} throughout."


def _logged(one: Series) -> np.ndarray:
    """What is drawn, [n]: the values, or their logarithms, -inf for what has none."""
    values = _finite(one)
    if not _is_log(one):
        return values
    with np.errstate(divide="ignore"):
        return np.log10(np.maximum(values, 0))


def _is_log(one: Series) -> bool:
    """Whether the axis can be logarithmic: chains that never moved have a score of 0."""
    return one.log and bool((_finite(one) > 0).any())


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Between which values [n] lie, without the few that are far away.

    Far is farther from the nine tenths in the middle than these are wide.
    """
    there = values[np.isfinite(values)]
    low, high = np.quantile(there, [0.05, 0.95])
    span = high - low
    near = there if span == 0 else there[np.abs(there - (low + high) / 2) <= 1.5 * span]
    return float(near.min()), float(near.max())


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Over `window` values around each of [n]; fewer at the ends, and without NaN."""
    there = np.isfinite(values)
    ones = np.ones(min(window, len(values)))
    count = np.convolve(there, ones, "same")
    total = np.convolve(np.where(there, values, 0), ones, "same")
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _within(values: np.ndarray) -> np.ndarray:
    """The values [n] that are drawn; NaN for those that lie beyond the axis."""
    low, high = _limits(values)
    return np.where((values >= low) & (values <= high), values, np.nan)


def _is_noisy(values: np.ndarray, window: int) -> bool:
    """Whether a running mean shows what the values [n] themselves do not."""
    if len(values) < SMOOTHED:
        return False
    within = _within(values)
    rest = within - _running_mean(within, window)
    return bool(np.nanstd(rest) > NOISY * (np.nanmax(within) - np.nanmin(within)))


def _draw(axes: Axes, one: Series, window: int) -> None:
    """One series in a panel of its own."""
    values, log = _logged(one), _is_log(one)
    low, high = _limits(values)
    label, unit = one.label, 1.0
    if not log:
        unit = next((u for u in THOUSANDS if max(abs(low), abs(high)) >= 10 * u), 1.0)
        if unit > 1:
            quantity, comma, what = label.rpartition(", ")
            label = (
                f"{quantity}, {THOUSANDS[unit]} {what}" if comma else f"{what}, {THOUSANDS[unit]}s"
            )

    def shown(numbers: np.ndarray) -> np.ndarray:
        return 10**numbers if log else numbers / unit

    iterations = np.arange(1, len(values) + 1)
    noisy = _is_noisy(values, window)
    few = len(values) == 1 or np.isfinite(values).sum() < 3  # these have no line: mark them
    axes.plot(
        *(iterations, shown(values)),
        lw=0.7 if noisy else 1.2,
        alpha=0.4 if noisy else 1,
        color="C0",
        marker="o" if few else None,
    )
    if noisy:
        mean = _running_mean(_within(values), window)
        axes.plot(iterations, shown(mean), lw=1.6, color="C0")
    if log:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.6g}".replace("-", "−"))
    margin = 0.06 * (high - low) or (1 if log else 0.06 * abs(high)) or 1
    axes.set_ylim(*shown(np.array([low - margin, high + margin])))
    _say_beyond(axes, values < low, "below, down to", shown(values))
    _say_beyond(axes, values > high, "above, up to", shown(values))
    axes.set_title(one.title, loc="left", fontsize=11)
    axes.set_ylabel("\n".join(_fitted(axes, label)), fontsize=9)
    axes.tick_params(labelsize=9)
    if len(values) == 1:
        axes.set_xticks([1])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)


def _fitted(axes: Axes, label: str) -> list[str]:
    """The label of an upright axis in lines that are not longer than it."""
    length = axes.get_window_extent().height
    quantity, comma, unit = label.rpartition(", ")
    lines = broken(label, length, 9)
    if len(lines) > 1 and comma and text_width(quantity, 9) < length:
        return [f"{quantity},", unit]
    return lines


def _say_beyond(axes: Axes, beyond: np.ndarray, words: str, values: np.ndarray) -> None:
    """Say how many of the values [n] lie beyond one end of the axis, and how far, in its unit."""
    if not beyond.any():
        return
    above = "above" in words
    points = "point lies" if beyond.sum() == 1 else "points lie"
    most = values[beyond].max() if above else values[beyond].min()
    number = f"{most:,.0f}" if abs(most) >= 1000 else f"{most:.3g}"
    axes.text(
        *(
            0.99,
            0.96 if above else 0.04,
            f"{beyond.sum()} {points} {words} {number.replace('-', '−')}",
        ),
        transform=axes.transAxes,
        ha="right",
        va="top" if above else "bottom",
        fontsize=9,
        bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 2},
    )
