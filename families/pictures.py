"""The figures of the comparison: samples of every family in rows, and its numbers as bars."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from common import figures

SHOWN = 8  # samples of a family
SIDE = 64  # pixels of an image in a row, whatever its own size
BARS = {  # figure -> title, and where its axis ends
    "bits": ("Bits per dimension, learned: lower is better", 9.0),
    "bits_held_out_fitted": ("Bits per dimension, held out, σ fitted", 12.0),
    "psnr": ("PSNR of reconstructions, dB", None),
    "modes_hit": ("Training images that samples hit", None),
    "patch_distance": ("Distance of samples’ patches: 0 if alike", None),
    "learning_seconds": ("Seconds to learn", None),
}


def _enlarged(images: np.ndarray) -> np.ndarray:
    """Images [n, S, S, 3] at SIDE, every pixel as a square where they are smaller."""
    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.NEAREST))
            for image in figures.to_uint8(images)
        ]
    )


def rows(families: dict[str, dict[str, np.ndarray]], category: str) -> Figure:
    """Eight samples of each family in a row, below training images.

    Args:
        families: by name, the arrays of a run by role; those without samples are left out.
        category: what they learned.
    """
    some = next(iter(families.values()))["images"]
    shown = {"training images": some} | {
        name: arrays["samples"] for name, arrays in families.items() if "samples" in arrays
    }
    tiles = []
    for images in shown.values():
        row = _enlarged(images[:SHOWN])
        blank = np.full((SHOWN - len(row), *row.shape[1:]), 255, row.dtype)
        tiles.append(np.concatenate([row, blank]))
    title = f"The first {SHOWN} samples of every model of {category}"
    return figures.panel(tiles, title, list(shown))


def bars(models: dict[str, dict[str, Any]], category: str) -> Figure:
    """Every figure of BARS, a bar for each model that has it.

    Args:
        models: by name, figures as of `measures.measure`.
        category: what they learned.
    """
    height = 0.28 * len(models) + 0.7
    figure = Figure((11, 2 * height + 0.4), figures.DPI, layout="constrained")
    figure.suptitle(f"The models of {category}", x=0.01, ha="left", fontsize=figures.TITLE)
    for axes, (name, (title, end)) in zip(figure.subplots(2, 3).ravel(), BARS.items(), strict=True):
        values = [figures_of.get(name) for figures_of in models.values()]
        there = [value for value in values if value is not None]
        end = end or (1.15 * max(there) if there and max(there) > 0 else 1.0)
        axes.barh(
            range(len(models)),
            [0 if value is None else min(value, end) for value in values],
            color="#4878a8",
            height=0.7,
        )
        for place, value in enumerate(values):
            text = "—" if value is None else f"{value:.4g}"
            at = 0 if value is None else min(value, end)
            inside = at > 0.75 * end
            axes.text(
                *(at, place, f" {text} "),
                va="center",
                ha="right" if inside else "left",
                color="white" if inside else "black",
                fontsize=8,
            )
        axes.set(xlim=(0, end), ylim=(len(models) - 0.5, -0.5))
        axes.set_yticks(range(len(models)), list(models), fontsize=8)
        axes.tick_params(axis="x", labelsize=7)
        axes.set_title(title, loc="left", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
