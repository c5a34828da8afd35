"""What a run of PixelCNN or PixelRNN shows: completions, and how well every pixel is foretold."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

import baseline_pictures as pictures
from autoregressive import Autoregressive
from baseline import Experiment
from common import figures
from common.experiment import Chart
from common.quality import EQUAL
from common.run_folder import Picture, png

COMPLETIONS = 3  # of an image
COMPLETED = {"images": 6, "holdout": 3}  # images, at most
MOST_BITS = 24.0  # of a pixel: what one that was not foretold at all takes


def lower_half(images: np.ndarray) -> np.ndarray:
    """What is seen of images [n, S, S, 3] when their lower half is hidden: bool [n, S, S, 1]."""
    visible = np.ones([*images.shape[:3], 1], bool)
    visible[:, images.shape[1] // 2 :] = False
    return visible


def completions(model: Autoregressive, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The lower halves of images, drawn given the upper ones.

    Args:
        model: learned.
        parts: images [n, S, S, 3] of each part; all are drawn together.

    Returns:
        COMPLETIONS of each image, by part, [COMPLETIONS, n, S, S, 3].
    """
    images = np.concatenate([np.concatenate([part] * COMPLETIONS) for part in parts.values()])
    drawn = model.complete(images, lower_half(images))
    ends = np.cumsum([COMPLETIONS * len(part) for part in parts.values()])[:-1]
    return {
        name: each.reshape(COMPLETIONS, *part.shape)
        for (name, part), each in zip(parts.items(), np.split(drawn, ends), strict=True)
    }


def completion_panel(images: np.ndarray, drawn: np.ndarray, scale: int) -> Figure:
    """Images, what is seen of them, and completions [COMPLETIONS, n, S, S, 3]."""
    seen = np.where(lower_half(images), images, 127.5)
    labels = ["image", "seen", *[f"drawn {i + 1}" for i in range(len(drawn))]]
    return figures.panel([images, seen, *drawn], "Lower halves drawn", labels, scale=scale)


def surprise_panel(model: Autoregressive, images: np.ndarray, scale: int) -> Figure:
    """Images over the bits of each of their pixels, white at MOST_BITS."""
    shown = np.repeat(model.bits(images)[..., None], 3, -1) * 255 / MOST_BITS
    parts = {"image": images, "bits": shown}
    title = "Bits of every pixel, given those before it"
    return figures.stacked(parts, title, pictures.COLUMNS, pictures.SHOWN, scale)


def hidden_psnr(images: np.ndarray, drawn: np.ndarray) -> float:
    """PSNR in dB of the lower halves [..., n, S, S, 3], the mean over images and draws."""
    half = images.shape[1] // 2
    error = np.square(drawn[..., half:, :, :] - images[:, half:]).mean((-3, -2, -1))
    decibels = 20 * np.log10(255 / np.sqrt(np.maximum(error, 1e-12)))
    return float(np.minimum(decibels, EQUAL).mean())


class AutoregressiveExperiment(Experiment):
    """A model of pixels on a category of images."""

    abilities = ("sample", "score", "complete")
    losses = [
        Chart(
            *("loss", "Negative log probability", "−log p(Y), nats an image", False),
            "Should fall and level off.",
        )
    ]
    diagnostics = [
        Chart(
            *("bits_per_dim", "Bits per dimension of the batch", "−log₂ p(Y) / D, bits", False),
            "8 tell nothing. Far below those of held-out images, images are learned by heart.",
        ),
        Chart("gradient_norm", "Gradient of the loss", "norm, nats a dimension", True),
    ]
    model: Autoregressive

    def progress(self) -> Figure:
        """The first images over the bits of their pixels."""
        first = self.evaluated[: pictures.COLUMNS]
        return surprise_panel(self.model, first, pictures.scale(first))

    def own_arrays(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The completions."""
        held = self.held.images.astype(np.float32)
        parts = {"images": self.evaluated, "holdout": held}
        parts = {name: part[: COMPLETED[name]] for name, part in parts.items() if len(part)}
        drawn = completions(self.model, parts)
        names = {"images": "completions", "holdout": "holdout_completions"}
        return {names[name]: array for name, array in drawn.items()}

    def own_pictures(self, arrays: dict[str, np.ndarray]) -> dict[str, Picture]:
        """The completions, and the bits of every pixel."""
        scale = pictures.scale(self.evaluated)
        parts = {"images": ("completion", ""), "holdout": ("holdout_completion", "holdout_")}
        shown = {}
        for part, (name, prefix) in parts.items():
            if f"{prefix}completions" in arrays:
                drawn = arrays[f"{prefix}completions"]
                images = arrays[part][: drawn.shape[1]]
                shown[f"{name}.png"] = png(completion_panel(images, drawn, scale))
                panel = surprise_panel(self.model, arrays[part], scale)
                shown[f"{prefix}surprise.png"] = png(panel)
        return shown

    def own_figures(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """How close completions are, beside the mean image."""
        numbers = {}
        mean = arrays["images"].mean(0)
        for part, prefix in {"images": "", "holdout": "holdout_"}.items():
            if f"{prefix}completions" in arrays:
                drawn = arrays[f"{prefix}completions"]
                images = arrays[part][: drawn.shape[1]]
                numbers[f"{prefix}completion_psnr"] = hidden_psnr(images, drawn)
                of_mean = hidden_psnr(images, np.broadcast_to(mean, images.shape))
                numbers[f"{prefix}completion_psnr_baseline"] = of_mean
        return numbers

    def own_sections(self) -> list[dict[str, Any]]:
        """The same."""
        return SECTIONS


SECTIONS: list[dict[str, Any]] = [
    {
        "kind": "picture",
        "title": "Lower halves of training images, drawn anew",
        "picture": "completion.png",
        "alt": "Training images, what is seen of them, and three completions of each",
        "caption": "Each pixel below is drawn given all above and to its left. Where a model knows"
        " its few images by heart, it goes on with the one that it sees.",
    },
    {
        "kind": "picture",
        "title": "Lower halves of held-out images, drawn",
        "picture": "holdout_completion.png",
        "alt": "Held-out images, what is seen of them, and three completions of each",
        "caption": "The same of images that were left out of learning.",
    },
    {
        "kind": "picture",
        "title": "How well every pixel is foretold",
        "picture": "surprise.png",
        "alt": "Training images over the bits of each of their pixels",
        "caption": "Bits of a pixel given those before it: black for none, white for 24, those of"
        " a pixel that was not foretold at all. Their sum is −log₂ p(Y).",
    },
    {
        "kind": "picture",
        "title": "How well every pixel of held-out images is foretold",
        "picture": "holdout_surprise.png",
        "alt": "Held-out images over the bits of each of their pixels",
        "caption": "The same of images that were left out of learning.",
    },
]
