"""What a run of any baseline shows of what its model can do: panels, and sections of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from common import figures, naturalness
from common.run_folder import Picture, png
from generator_pictures import interpolation_panel

COLUMNS = 11  # images in a row of a panel of reconstructions
SHOWN = 55  # pairs in it at most
LEAST = 96  # pixels that an image takes in a panel, however small it is


def scale(images: np.ndarray) -> int:
    """How many pixels squared a pixel of images [n, S, S, 3] takes in a panel."""
    return max(figures.SCALE, LEAST // images.shape[1])


def reconstruction_panel(
    images: np.ndarray, reconstructions: np.ndarray, scale: int = figures.SCALE
) -> Figure:
    """Images over their reconstructions."""
    parts = {"image": images, "reconstruction": reconstructions}
    return figures.stacked(parts, "Images and their reconstructions", COLUMNS, SHOWN, scale)


def samples_panel(samples: np.ndarray, columns: int = 8, scale: int = figures.SCALE) -> Figure:
    """Samples in rows."""
    return figures.panel(figures.wrapped(samples, columns), "Samples of the model", scale=scale)


def common_pictures(arrays: dict[str, np.ndarray], z_dim: int) -> dict[str, Picture]:
    """Pictures of what the arrays of a run hold, and of the plane of a z of so many dimensions."""
    shown: dict[str, Picture] = {}
    large = scale(arrays["images"])
    for name, part, made in (
        ("reconstruction", "images", "reconstructions"),
        ("holdout", "holdout", "holdout_reconstructions"),
    ):
        if made in arrays:
            shown[f"{name}.png"] = png(reconstruction_panel(arrays[part], arrays[made], large))
    if "samples" in arrays:
        shown["samples.png"] = png(samples_panel(arrays["samples"], scale=large))
    if "interpolation" in arrays:
        plane = interpolation_panel(arrays["interpolation"], z_dim, large)
        shown["interpolation.png"] = png(plane)
    return shown


# Sections of the report, by the picture that a run has if it has the section

SECTIONS: dict[str, dict[str, Any]] = {
    "reconstruction": {
        "kind": "tiles",
        "title": "Reconstructions",
        "arrays": {"images": "Training image", "reconstructions": "Reconstruction"},
        "caption": "Above the training image, below what the model makes of it. PSNR · SSIM of"
        " each.",
    },
    "holdout": {
        "kind": "picture",
        "title": "Held-out images",
        "picture": "holdout.png",
        "alt": "Images that were left out of learning over their reconstructions",
        "caption": "Images that were left out of learning, over their reconstructions.",
    },
    "samples": {
        "kind": "sheet",
        "title": "Samples",
        "array": "samples",
        "alt": "64 images that the model has made",
        "caption": "New images. Good ones could be training images, and few are a blend of two.",
    },
    "interpolation": {
        "kind": "sheet",
        "title": "Interpolation",
        "array": "interpolation",
        "alt": "8 by 8 images over the plane of z from -2 to 2",
        "caption": "An even grid over (−2, 2)² of z: z₁ grows to the right, z₂ upward. Neighbours"
        " should differ by little.",
    },
}

NATURAL: dict[str, Any] = {
    "kind": "figures",
    "title": "How natural the samples are",
    "caption": "The samples beside the training images, by pixels alone.",
    "file": "metrics.json",
    "figures": naturalness.FIGURES,
}

LIKELIHOOD: dict[str, Any] = {
    "kind": "table",
    "title": "How likely the images are",
    "caption": "Bits per dimension of 8-bit images: 8 for a model that knows nothing; lower is"
    " better.",
    "file": "likelihood.json",
    "row": "images",
    "rows": {"learned": "learned", "held_out": "held out"},
    "columns": [
        {"path": ["*", "bits_per_dim"], "heading": "bits per dimension"},
        {"path": ["*", "images"], "heading": "images"},
    ],
}
