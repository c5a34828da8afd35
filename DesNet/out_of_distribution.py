"""Whether a density tells the images that it is of from others, by their log p(Y) alone.

All are seen with the noise that the density was learned with: without it, an image is farther from
the typical ones than any of them.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import scipy
from matplotlib.figure import Figure

from common import datasets, streams
from common.datasets import DatasetError
from common.figures import DPI
from common.streams import Stream
from DesNet import DesNet

FOLDERS = 8  # beside the run's own, at most
PATCH = 8  # pixels: side of the patches that are shuffled
INLIERS = ("learned", "held-out", "synthesized")  # what the others are told from
SIZE = (760, 96, 34)  # pixels of the chart: its width, its axis and title, and a row
LEFT = 150  # pixels for the names of the rows


def shuffled_patches(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images [n, S, S, 3] whose patches of PATCH x PATCH have changed places."""
    n, side = images.shape[:2]
    patch = min(PATCH, side // 2)
    count = side // patch
    whole = images[:, : count * patch, : count * patch]
    patches = whole.reshape(n, count, patch, count, patch, 3).swapaxes(2, 3)
    patches = patches.reshape(n, count**2, patch, patch, 3)
    mixed = np.stack([one[rng.permutation(count**2)] for one in patches])
    mixed = mixed.reshape(n, count, count, patch, patch, 3).swapaxes(2, 3)
    shuffled = images.copy()
    shuffled[:, : count * patch, : count * patch] = mixed.reshape(whole.shape)
    return shuffled


def other_categories(model: DesNet, most: int) -> dict[str, np.ndarray]:
    """The first images of FOLDERS beside the run's own, as large as its, by folder and a "/"."""
    settings = model.settings
    found: dict[str, np.ndarray] = {}
    for name in datasets.visible_folders(settings.data_path):
        if len(found) == FOLDERS:
            break
        if name == settings.category:
            continue
        with suppress(DatasetError):  # a folder that cannot be read
            files = datasets.image_files(settings.data_path / name)[:most]
            images = datasets.decode(files, settings.image_size, settings.fit).images
            if len(images):  # it is no folder of something else
                found[f"{name}/"] = images
    return found


def log_probs(model: DesNet, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Log p(Y) of the images of each part, up to log Z, in nats: [n] each."""
    rng = streams.generator(model.settings.seed, Stream.DATA_NOISE)
    sigma, found = float(model.settings.data_noise or 0), {}
    for name, images in parts.items():
        noisy = images + sigma * rng.standard_normal(images.shape, np.float32)
        found[name] = -model.energies(noisy).astype(np.float64)
    return found


def measure(
    model: DesNet, parts: dict[str, np.ndarray], made: np.ndarray, most: int
) -> tuple[dict[str, np.ndarray], dict[str, dict[str, float]]]:
    """How likely images of each kind are, and how well that tells the others from the own ones.

    The area under the curve is the probability that an own image is more likely than another one:
    1 if log p(Y) tells all of them, 1/2 if nothing (Hendrycks and Gimpel, ICLR 2017).

    Args:
        model: learned.
        parts: "learned" and "held_out" images, [n, S, S, 3] in [0, 255].
        made: images that the model has synthesized, with the noise of its density.
        most: images of another folder, at most.

    Returns:
        log p(Y) [n] by kind, up to log Z, in nats; and, of every kind of others, by kind of own
        ones, the area under the curve.
    """
    rng = streams.generator(model.settings.seed, Stream.REFERENCE)
    learned = parts["learned"].astype(np.float32)
    kinds = {"learned": learned, "held-out": parts["held_out"].astype(np.float32)}
    others = {
        **other_categories(model, most),
        "shuffled patches": shuffled_patches(learned, rng),
        "noise": model.starts(len(learned), "noise"),
    }
    values = log_probs(model, {name: of for name, of in kinds.items() if len(of)})
    values["synthesized"] = -model.energies(made).astype(np.float64)
    values |= log_probs(model, others)
    return values, {
        other: {
            own: float(scipy.stats.mannwhitneyu(values[own], values[other]).statistic)
            / (len(values[own]) * len(values[other]))
            for own in INLIERS
            if own in values
        }
        for other in others
    }


def chart(bits: dict[str, np.ndarray]) -> Figure:
    """Every image of each kind by its energy: -log2 p(Y) [n] by kind, in bits per dimension."""
    width, frame, row = SIZE
    height = frame + row * len(bits)
    figure = Figure((width / DPI, height / DPI), DPI)
    axes = figure.add_axes(
        (LEFT / width, 60 / height, 1 - (LEFT + 20) / width, row * len(bits) / height)
    )
    for number, (name, energies) in enumerate(bits.items()):
        colour = "C0" if name in INLIERS else "C3"
        axes.plot(
            energies, np.full(len(energies), number), "o", color=colour, alpha=0.5, markersize=6
        )
    axes.set_yticks(range(len(bits)), list(bits))
    axes.set_ylim(len(bits) - 0.5, -0.5)
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlabel("energy, −log₂ p(Y), bits per dimension")
    axes.set_title("Own images (blue) and others (red)", loc="left", fontsize=11)
    axes.grid(axis="x", alpha=0.3)
    return figure
