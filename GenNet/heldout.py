"""What the model did not see: images left out of learning, and hidden pixels.

Both are restored by the model and by two that need no learning: the mean image, and principal
components, as many as z has dimensions.  Pixels are compared in grey levels, [0, 255], after
clipping.  The protocol is that of Han et al. (AAAI 2017), sections 5.2 and 5.3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from common import datasets, figures
from common.occlusion import visible_pixels

MAX_ROUNDS = 500  # of imputing hidden pixels
TOLERANCE = 1e-3  # grey levels: root mean square change of the hidden pixels at which it ends
SHOWN = 33  # images in a panel, and
COLUMNS = 11  # in a row of it
HIDDEN_COLOUR = 127.5  # of a hidden pixel in a picture
WAYS = {"generator": "f(Z)", "pca": "PCA", "mean_image": "mean image"}  # of restoring, in words


class Part(NamedTuple):
    """Some images of a category, and which of their pixels are seen."""

    images: np.ndarray  # [n, S, S, 3] in [0, 255]
    names: list[str]  # file names, n of them
    visible: np.ndarray  # [n, S, S, 1] bool


class Restored(NamedTuple):
    """A part, and how the model, principal components and the mean image restore it."""

    part: Part
    generator: np.ndarray  # [n, S, S, 3] in [0, 255], as are the next two
    pca: np.ndarray
    mean_image: np.ndarray  # [S, S, 3]


def split(
    data: datasets.Dataset, holdout: list[str] | None, occlude: str | None, seed: int
) -> tuple[Part, Part]:
    """Divide a category into what is learned and what is held out.

    Args:
        data: the category.
        holdout: file names of the images to hold out; None: none.
        occlude: what to hide of every image, as for `visible_pixels`; None: nothing.
        seed: of the run.

    Returns:
        The images to learn, and the others.  Of several workers, names and visible pixels are those
        of all images, and only images of which the first ones are this worker's are there.

    Raises:
        DatasetError: a name is not there, none is left to learn, or a square is too large.
    """
    parts = datasets.split(data, holdout)
    num_images, image_size = len(data.names), data.images.shape[1]
    visible = np.broadcast_to(True, [num_images, image_size, image_size, 1])
    if occlude:
        visible = visible_pixels(occlude, num_images, image_size, seed)
    learned, held = (
        Part(part.images, part.names, visible[np.isin(data.names, part.names)]) for part in parts
    )
    return learned, held


def mean_image(images: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Each pixel's mean over the images in which it is visible, [S, S, 3].

    Where it is visible in none, the mean colour of all that is visible.

    Args:
        images: [N, S, S, 3].
        visible: [N, S, S, 1] bool.
    """
    count = visible.sum(0)  # [S, S, 1]
    total = np.where(visible, images, 0).sum(0, dtype=np.float64)  # [S, S, 3]
    colour = total.sum((0, 1)) / count.sum()
    return np.where(count > 0, total / np.maximum(count, 1), colour)


class PCA:
    """Principal components of images some of whose pixels are hidden.

    Hidden pixels start as the mean image; a rank-d approximation of all images gives better ones,
    until they change no more: the EM algorithm of Roweis (1997) in its noiseless limit, whose
    result is the least-squares fit of mean and components to the visible pixels.  With nothing
    hidden, it is the singular value decomposition.

    Attributes:
        mean: [D].
        components: orthonormal rows, [at most d, D].
        fitted: the images that were fitted, by their components, [N, S, S, 3].
    """

    def __init__(self, images: np.ndarray, visible: np.ndarray, num_components: int) -> None:
        """Fit them.

        Args:
            images: [N, S, S, 3].
            visible: [N, S, S, 1] bool.
            num_components: d.
        """
        seen = np.broadcast_to(visible, images.shape).reshape(len(images), -1)  # [N, D]
        known = images.reshape(len(images), -1).astype(np.float64)
        start = np.broadcast_to(mean_image(images, visible), images.shape)
        data = np.where(seen, known, start.reshape(known.shape))
        for _ in range(MAX_ROUNDS):
            self.mean = data.mean(0)
            centred = data - self.mean
            # N images are far fewer than their D numbers: the N x N matrix has the same axes.
            axes = np.linalg.eigh(centred @ centred.T)[1][:, ::-1][:, :num_components]  # [N, d]
            fitted = self.mean + axes @ (axes.T @ centred)
            change = (fitted - data)[~seen]
            data = np.where(seen, known, fitted)
            if not change.size or np.sqrt(np.mean(change**2)) < TOLERANCE:
                break
        self.components = np.linalg.svd(axes.T @ centred, full_matrices=False)[2]
        self.fitted = fitted.reshape(images.shape)

    def project(self, images: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """The least-squares fit of the components to the visible pixels of other images.

        Args:
            images: [n, S, S, 3].
            visible: [n, S, S, 1] bool.

        Returns:
            [n, S, S, 3].
        """
        projected = np.empty(images.shape)
        for i, image in enumerate(images):
            seen = np.broadcast_to(visible[i], image.shape).ravel()
            residual = (image.ravel() - self.mean)[seen]
            weights = np.linalg.lstsq(self.components[:, seen].T, residual, rcond=None)[0]
            projected[i] = (self.mean + weights @ self.components).reshape(image.shape)
        return projected


def _by_way(restored: Restored) -> dict[str, np.ndarray]:
    shape = restored.part.images.shape
    return {
        "generator": restored.generator,
        "pca": restored.pca,
        "mean_image": np.broadcast_to(restored.mean_image, shape),
    }


def errors(restored: Restored) -> dict[str, dict]:
    """How far each way is off: on the hidden pixels, or on all of them if none is hidden.

    Returns:
        For "generator", "pca" and "mean_image": "psnr" in dB, "mae", the mean absolute error, and
        "rms", its root mean square, both in grey levels, each the mean over the images; and under
        "by_image" the same for each image, by its name.
    """
    part = restored.part
    where = part.visible if part.visible.all() else ~part.visible  # [n, S, S, 1]
    by_image: dict[str, dict] = {name: {} for name in part.names}
    means = {}
    for way, images in _by_way(restored).items():
        for name, image, reference, at in zip(
            part.names, images, part.images, where[..., 0], strict=True
        ):
            error = np.clip(image, 0, 255)[at].astype(np.float64) - reference[at]  # [pixels, 3]
            rms = float(np.sqrt(np.mean(error**2)))
            by_image[name][way] = {
                "psnr": float(20 * np.log10(255 / max(rms, 1e-3))),
                "mae": float(np.abs(error).mean()),
                "rms": rms,
            }
        means[way] = {
            key: float(np.mean([errors[way][key] for errors in by_image.values()]))
            for key in ("psnr", "mae", "rms")
        }
    return {**means, "by_image": by_image}


def mean_errors(title: str, means: dict[str, dict]) -> dict[str, float]:
    """The means that `errors` found as lines for the console: a name and a number each."""
    return {
        f"{title} {key}, {label}": means[way][key]
        for key in ("psnr", "mae", "rms")
        for way, label in WAYS.items()
    }


def panel(restored: Restored, title: str) -> Figure:
    """Rows of images, what was seen of them (if pixels are hidden), and the three ways."""
    part = restored.part
    rows = {"image": part.images}
    if not part.visible.all():
        rows["seen"] = np.where(part.visible, part.images, HIDDEN_COLOUR)
    rows |= {WAYS[way]: images for way, images in _by_way(restored).items()}
    return figures.stacked(rows, title, COLUMNS, SHOWN)
