"""Codes beside principal components: how far the images are that each gives back, and a picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from common import figures

DIGIT = re.compile(r"\d{4}_(\d)\.png")  # a file of the category digits, and its digit
POINTS = 2000  # images that are compared at most


class View(NamedTuple):
    """Images as points, by a map to few numbers and back."""

    points: np.ndarray  # [N, d]
    errors: dict[str, float]  # root mean squared, in grey levels, of images learned and held_out

    def told(self, digits: np.ndarray | None) -> dict[str, float]:
        """Its errors and, of digits [N], the share whose nearest point is the same digit."""
        if digits is None or len(digits) < 2:
            return self.errors
        nearest = cKDTree(self.points).query(self.points, 2)[1][:, 1]
        return {**self.errors, "same_digit": float((digits[nearest] == digits).mean())}


def error(images: np.ndarray, others: np.ndarray) -> float:
    """The root of the mean squared error, in grey levels."""
    return float(np.sqrt(np.mean((np.asarray(images, np.float64) - others) ** 2)))


def principal_components(parts: dict[str, np.ndarray], d: int) -> View:
    """The view by the first d principal components of parts["learned"].

    Args:
        parts: images [n, S, S, 3] by part.
        d: how many.
    """
    flat = {part: np.reshape(images, (len(images), -1)) for part, images in parts.items()}
    mean = flat["learned"].mean(0, dtype=np.float64)
    axes = np.linalg.svd(flat["learned"] - mean, full_matrices=False)[2][:d]  # [d, D]
    points = {part: (images - mean) @ axes.T for part, images in flat.items()}
    errors = {part: error(images, mean + points[part] @ axes) for part, images in flat.items()}
    return View(points["learned"], errors)


def digits_of(names: Sequence[str]) -> np.ndarray | None:
    """The digit that each file name ends with; None if one is named in another way."""
    found = [DIGIT.fullmatch(name) for name in names]
    return np.array([int(match[1]) for match in found if match]) if all(found) else None


def codes_by_digit(views: dict[str, View], digits: np.ndarray) -> Figure:
    """Each view's first two dimensions, a digit a colour: Hinton and Salakhutdinov's figure.

    Args:
        views: by name.
        digits: [N].
    """
    colours = matplotlib.colormaps["tab10"]
    figure = Figure((6 * len(views), 6.4), figures.DPI, layout="constrained")
    for axes, (name, view) in zip(
        np.atleast_1d(figure.subplots(1, len(views))), views.items(), strict=True
    ):
        told = view.told(digits)
        for digit in np.unique(digits):
            place = view.points[digits == digit]
            axes.scatter(*place.T[:2], s=7, color=colours(digit), label=str(digit), lw=0)
            centre = np.median(place, 0)
            axes.text(
                *centre[:2], str(digit), ha="center", va="center", fontsize=16, weight="bold",
                bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "ec": colours(digit)},
            )  # fmt: skip
        held = f", held out {told['held_out']:.1f}" if "held_out" in told else ""
        axes.set_title(
            f"{name}: error {told['learned']:.1f} grey levels{held}\n"
            f"nearest point of the same digit: {100 * told['same_digit']:.0f} %",
            loc="left",
            fontsize=figures.TITLE,
        )
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


LATENT: dict[str, Any] = {
    "kind": "picture",
    "title": "The codes of the training images",
    "picture": "latent.png",
    "alt": "Training images where their codes lie",
    "caption": "Every training image at its code, moved and scaled as one so that the codes have"
    " mean 0 and covariance I.",
}
CODES: dict[str, Any] = {
    "kind": "picture",
    "title": "Codes and principal components",
    "picture": "codes.png",
    "alt": "Digits as points, coloured by digit: by their codes, and by two principal components",
    "caption": "Every digit as a point, as in Hinton and Salakhutdinov (2006): left by its code,"
    " right by the first two principal components.",
}
COMPRESSION: dict[str, Any] = {
    "kind": "table",
    "title": "As many numbers an image",
    "caption": "Root mean squared error of the images that come back from the code, and from as"
    " many principal components of the training images, in grey levels. Below, learning was worth"
    " it.",
    "file": "metrics.json",
    "row": "by",
    "rows": {"code": "code", "principal_components": "principal components"},
    "columns": [
        {"path": ["compression", "*", "learned"], "heading": "learned"},
        {"path": ["compression", "*", "held_out"], "heading": "held out"},
    ],
}
