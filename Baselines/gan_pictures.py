"""What a run of the GAN shows: which images samples hit, walks between two z, arithmetic on z."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from common import figures
from common.coverage import ALIKE, Nearest, nearest
from common.quality import psnr_and_ssim

WALKS, STEPS = 6, 9  # pairs of samples, and images from one to the other
SSIM = 0.5  # of a sample to its nearest training image, from which on it is of that one too
TERMS = 3  # samples whose z are averaged to one term of the arithmetic
COLUMNS = 4  # of its picture


class Hits(NamedTuple):
    """How samples lie to the training images."""

    nearest: Nearest
    ssim: np.ndarray  # [n], to that one


def hits(samples: np.ndarray, images: np.ndarray) -> Hits:
    """The training image [N, S, S, 3] nearest to each sample [n, S, S, 3], and how near."""
    found = nearest(samples, images)
    return Hits(found, psnr_and_ssim(samples, images[found.image])[1])


def modes(found: Hits) -> dict[str, float]:
    """How many training images some sample hits, by its correlation and by its SSIM."""
    image, correlation = found.nearest
    return {
        "modes_by_correlation": len(set(image[correlation > ALIKE])),
        "modes_by_ssim": len(set(image[found.ssim > SSIM])),
        "modes_nearest": len(set(image)),
        "correlation": float(correlation.mean()),
        "ssim_to_nearest": float(found.ssim.mean()),
    }


def walks(z: np.ndarray) -> np.ndarray:
    """Even steps from the first z [n, d] to the second, the third to the fourth, ...: [m, T, d]."""
    share = np.linspace(0, 1, STEPS)[:, None]
    pairs = z[: 2 * WALKS].reshape(-1, 2, 1, z.shape[1])
    return (1 - share) * pairs[:, 0] + share * pairs[:, 1]


def walks_panel(images: np.ndarray, scale: int) -> Figure:
    """A walk a row."""
    title = "From one z to another, in even steps"
    return figures.panel(figures.wrapped(images, STEPS), title, scale=scale)


# Arithmetic


class Arithmetic(NamedTuple):
    """Rows a, b, c and a - b + c of z, each of COLUMNS."""

    z: np.ndarray  # [4, COLUMNS, d]
    rows: list[str]  # what each is
    columns: list[str]


def class_of(name: str) -> str:
    """The class in the file name of an image, such as lion of lion_1.png; "" if it has none."""
    head, found, _ = name.partition("_")
    return head if found else ""


def arithmetic(z: np.ndarray, found: Nearest, names: list[str]) -> Arithmetic:
    """z(a) - z(b) + z(c), of the samples that are nearest to their training images.

    Where file names tell classes, b and a are samples of the two that most samples are of, and c
    others of b, so that the result is to be an a: the terms are single samples, and at last their
    averages, as in DCGAN.  Without classes a, b and c are single samples.

    Args:
        z: of the samples, [n, d].
        found: where the samples lie.
        names: of the training images.
    """
    order = np.argsort(-found.correlation, kind="stable")
    kinds = np.array([class_of(names[i]) or names[i] for i in found.image[order]])
    common = [kind for kind, _ in Counter(kinds.tolist()).most_common()]
    by_class = len({class_of(name) for name in names}) > 1
    if by_class and len(common) > 1:
        second, first = common[:2]
        a, b = (z[order[kinds == kind]] for kind in (first, second))
        if len(a) >= TERMS and len(b) >= 2 * TERMS:
            singles = np.stack([a[:TERMS], b[:TERMS], b[TERMS : 2 * TERMS]])  # [3, TERMS, d]
            terms = np.concatenate([singles, singles.mean(1, keepdims=True)], 1)
            rows = [first, f"− {second}", f"+ {second}", f"= {first}?"]
            return _with_result(terms, rows, [*["one sample"] * TERMS, "averages"])
    terms = np.resize(z[order], (3 * COLUMNS, z.shape[1])).reshape(3, COLUMNS, -1)
    return _with_result(terms, ["a", "− b", "+ c", "= a − b + c"], ["one sample"] * COLUMNS)


def _with_result(terms: np.ndarray, rows: list[str], columns: list[str]) -> Arithmetic:
    result = terms[0] - terms[1] + terms[2]
    return Arithmetic(np.concatenate([terms, result[None]]), rows, columns)


def arithmetic_panel(images: np.ndarray, told: Arithmetic, scale: int) -> Figure:
    """The terms and the result below them."""
    rows = figures.wrapped(images, COLUMNS)
    return figures.panel(rows, "Arithmetic on z", told.rows, told.columns, scale=scale)


# Sections of the report

SECTIONS: list[dict[str, Any]] = [
    {
        "kind": "figures",
        "title": "Training images that samples hit",
        "caption": "Every sample goes to the training image nearest to it, by mean squared error.",
        "file": "metrics.json",
        "figures": [
            {
                "path": ["modes_by_correlation"],
                "name": "training images hit, by correlation",
                "note": f"some sample’s luminance correlates with its by over {ALIKE}",
            },
            {
                "path": ["modes_by_ssim"],
                "name": "training images hit, by SSIM",
                "note": f"some sample’s SSIM to it is over {SSIM}",
            },
            {
                "path": ["modes_nearest"],
                "name": "training images nearest to a sample",
                "note": "however unlike it",
            },
            {
                "path": ["correlation"],
                "name": "correlation",
                "note": "of a sample to the training image nearest to it, mean",
            },
        ],
    },
    {
        "kind": "picture",
        "title": "Walks between two z",
        "picture": "walks.png",
        "alt": "Images along straight lines between two z",
        "caption": "From one sample to another, in even steps of z. Look for images that all could"
        " be training images, and for how suddenly one becomes the other.",
    },
    {
        "kind": "picture",
        "title": "Arithmetic on z",
        "picture": "arithmetic.png",
        "alt": "Images of three z and of the first less the second plus the third",
        "caption": "z(a) − z(b) + z(c). With classes in the file names, such as lion_1.png, a lion"
        " less a tiger plus another tiger is to be a lion.",
    },
]
