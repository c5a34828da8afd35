"""The table of the families: its columns, and a cell for every figure."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from common.experiment import ABILITIES

NOTHING = "—"  # of what a model has not
BOUND = "at least"  # how a likelihood is known, at its end, if its bits are a lower bound alone
ABOVE = 99.0  # bits per dimension, which are not told to the digit


class Column(NamedTuple):
    """A column."""

    heading: str
    note: str
    text: Callable[[dict[str, Any]], str]  # the cell, of the figures of `measures.measure`


def _number(name: str, digits: int, factor: float = 1.0) -> Callable[[dict[str, Any]], str]:
    def text(figures: dict[str, Any]) -> str:
        value = figures.get(name)
        return NOTHING if value is None else f"{factor * value:,.{digits}f}"

    return text


def _bits(name: str) -> Callable[[dict[str, Any]], str]:
    def text(figures: dict[str, Any]) -> str:
        value = figures.get(name)
        if value is None:
            return NOTHING
        bound = "≥ " if str(figures.get("how")).endswith(BOUND) else ""
        return bound + (f"{value:.2f}" if value < ABOVE else f"{value:,.0f}")

    return text


def _modes(figures: dict[str, Any]) -> str:
    hit = figures.get("modes_hit")
    return NOTHING if hit is None else f"{hit} of {figures['images']}"


def _coverage(figures: dict[str, Any]) -> str:
    share = figures.get("coverage")
    return NOTHING if share is None else f"{share:.2f} ({figures['expected_coverage']:.2f})"


LIKELIHOOD = [
    Column("bits", "bits per dimension of the learned images, lower is better", _bits("bits")),
    Column("held out", "the same of every fourth image, left out", _bits("bits_held_out")),
    Column(
        *("σ fitted", "of these, with the noise of a decoder fitted to them"),
        _bits("bits_held_out_fitted"),
    ),
]
CLOSENESS = [  # how likely images are, and how well they are drawn again
    Column("side", "pixels along an edge", _number("image_size", 0)),
    *LIKELIHOOD,
    Column("PSNR", "of reconstructions, dB", _number("psnr", 1)),
    Column("SSIM", "of reconstructions", _number("ssim", 3)),
    Column("PSNR, h. o.", "of reconstructions of held-out images, dB", _number("psnr_held_out", 1)),
]
SAMPLES = [  # what samples are like, and what they cost
    Column("modes", "training images that a sample is of", _modes),
    Column("coverage", "with k = 1, and what independent draws would have", _coverage),
    Column("patches", "distance of samples' patches, 0 if alike", _number("patch_distance", 3)),
    Column("natural", "% in the range of the training images", _number("natural_tiles", 0, 100)),
    Column("copies", "% that are a training image", _number("copied_tiles", 0, 100)),
    Column("learning", "seconds", _number("learning_seconds", 0)),
    Column("a sample", "milliseconds", _number("seconds_a_sample", 1, 1000)),
    Column("size", "millions of parameters", _number("parameters", 2, 1e-6)),
]
COLUMNS = [*CLOSENESS, *SAMPLES]


def cells(figures: dict[str, Any], columns: list[Column]) -> list[str]:
    """The row of a model, or of a yardstick, which has bits per dimension alone."""
    return [column.text(figures) for column in columns]


def bits_alone(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What has bits per dimension alone, of a category: bounds of models, then yardsticks."""
    for model, figures in found["models"].items():
        for word, bits in figures["bounds"].items():
            yield f"{model}, {word}", bits
    for side, by_name in found["yardsticks"].items():
        for yardstick, bits in by_name.items():
            yield f"{yardstick}, {side} pixels", bits


def can(figures: dict[str, Any]) -> list[str]:
    """The row of a model in the matrix of what models can do."""
    return ["yes" if ability in figures["abilities"] else NOTHING for ability in ABILITIES]


def lines(headings: Iterable[str], rows: Iterable[tuple[str, list[str]]]) -> list[str]:
    """A table for the console: the first column to the left, the others to the right."""
    table = [("", list(headings)), *rows]
    first = max(len(name) for name, _ in table)
    columns = zip(*(row for _, row in table), strict=True)
    widths = [max(len(cell) for cell in column) for column in columns]
    texts = []
    for name, row in table:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        texts.append("  ".join([name.ljust(first), *padded]).rstrip())
    return texts
