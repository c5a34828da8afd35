"""The pictures of the denoising autoencoder: images denoised, and filters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import baseline_pictures
from common import figures
from common.run_folder import Picture, png

COLUMNS, ROWS = 18, 4  # of filters in the picture, at most, with noise and as many without
SIDE = 48  # pixels that a filter takes, at least


class Denoised(NamedTuple):
    """Images [n, S, S, 3] in [0, 255], and what was made of them."""

    images: np.ndarray
    corrupted: np.ndarray
    denoised: np.ndarray  # by the model
    twin: np.ndarray  # by the one that learned without noise


def denoised(made: Denoised) -> Picture:
    """Images, corrupted, denoised and clean."""
    parts = {"corrupted": made.corrupted, "denoised": made.denoised, "clean": made.images}
    scale = baseline_pictures.scale(made.images)
    columns = baseline_pictures.COLUMNS
    return png(figures.stacked(parts, "Images denoised", columns, 2 * columns, scale))


def as_images(filters: np.ndarray) -> np.ndarray:
    """Filters [n, p, p, 3] as images: 0 is grey, and the largest weight of each black or white.

    Those of the largest norm come first.
    """
    order = np.argsort(-np.square(filters).sum((1, 2, 3)), kind="stable")
    largest = np.abs(filters).max((1, 2, 3), keepdims=True)
    return (127.5 + 127.5 * filters / np.maximum(largest, 1e-12))[order]


def filters(learned: np.ndarray, twin: np.ndarray) -> Picture:
    """The filters [n, p, p, 3] with the largest norms, over those of the twin."""
    rows: list[np.ndarray] = []
    labels: list[str] = []
    for label, part in (("with noise", learned), ("without", twin)):
        wrapped = figures.wrapped(as_images(part)[: COLUMNS * ROWS], COLUMNS)
        rows += wrapped
        labels += [label] * len(wrapped)
    scale = max(figures.SCALE, SIDE // learned.shape[1])
    return png(figures.panel(rows, "Filters of the first layer", labels, scale=scale))


FILES = {"learned": "denoised.png", "held_out": "denoised_holdout.png"}
SECTIONS: dict[str, dict[str, Any]] = {
    part: {
        "kind": "picture",
        "title": title,
        "picture": FILES[part],
        "alt": "Images with noise, what the model makes of them, and the clean images",
        "caption": "Corrupted, denoised, clean.",
    }
    for part, title in (
        ("learned", "Training images with new noise"),
        ("held_out", "Held-out images with noise"),
    )
}
TABLE: dict[str, Any] = {
    "kind": "table",
    "title": "How much noise is gone",
    "caption": "Mean PSNR to the clean images, in dB: of the corrupted images, of what the model"
    " makes of them, and of what its twin does that has learned without noise.",
    "file": "metrics.json",
    "row": "images",
    "rows": {"learned": "learned", "held_out": "held out"},
    "columns": [
        {"path": ["denoising", "*", name], "heading": heading}
        for name, heading in (
            ("corrupted", "corrupted"),
            ("denoised", "denoised"),
            ("twin", "without noise"),
        )
    ],
}
FILTERS: dict[str, Any] = {
    "kind": "picture",
    "title": "Learned filters",
    "picture": "filters.png",
    "alt": "Filters of hidden units that have learned with noise, over those without",
    "caption": "What each hidden unit looks for, the strongest first: black against white. With"
    " noise, strokes, edges and spots; without, most look like noise (Vincent et al., 2010).",
}
