"""How good synthesized images are: near the training images, and unlike each other."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, pdist

import metrics


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)


def assigned_quality(synthesized: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
    """PSNR and SSIM [N] of each synthesized image to the training image that it is assigned to.

    The assignment is the one-to-one assignment of least squared error: chains owe nothing to
    the image whose mean colour they start from.

    Args:
        synthesized: [N, S, S, 3] in [0, 255].
        images: training images, likewise.
    """
    _, assigned = linear_sum_assignment(cdist(_flat(synthesized), _flat(images), "sqeuclidean"))
    psnr, ssim = metrics.psnr_and_ssim(synthesized, images[assigned])
    return {"assigned": assigned, "psnr": psnr, "ssim": ssim}


def nearest_quality(synthesized: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PSNR and SSIM [n] of each synthesized image to the training image nearest to it."""
    nearest = cdist(_flat(synthesized), _flat(images), "sqeuclidean").argmin(1)
    return metrics.psnr_and_ssim(synthesized, images[nearest])


def distance(images: np.ndarray) -> float:
    """Mean root-mean-square difference between two images of a set, in grey levels; one gives 0."""
    flat = _flat(images)
    return float((pdist(flat) / np.sqrt(flat.shape[1])).mean()) if len(images) > 1 else 0.0


def out_of_range(images: np.ndarray) -> float:
    """Share of the values outside [0, 255]."""
    return float(((images < 0) | (images > 255)).mean())
