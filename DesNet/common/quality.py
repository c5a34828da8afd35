"""How good images are: near others, one by one or as assigned, and unlike each other."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, pdist

from common.session import tf

EQUAL = 100.0  # dB: the PSNR of an image to itself, which has no finite one


def psnr_and_ssim(images: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare images [N, S, S, 3] in [0, 255] one by one with as many references.

    Images are clipped to [0, 255], as a picture of them is.

    Returns:
        PSNR [N] in dB, at most EQUAL, and SSIM [N] (Wang et al., 2004: an 11 x 11 Gaussian
        window, sigma 1.5).
    """
    with tf.Graph().as_default(), tf.Session() as session:
        a = tf.constant(np.clip(images, 0, 255), tf.float32)
        b = tf.constant(references, tf.float32)
        psnr, ssim = session.run([tf.image.psnr(a, b, 255.0), tf.image.ssim(a, b, 255.0)])
        return np.minimum(psnr, EQUAL), ssim


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
    psnr, ssim = psnr_and_ssim(synthesized, images[assigned])
    return {"assigned": assigned, "psnr": psnr, "ssim": ssim}


def nearest_quality(synthesized: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PSNR and SSIM [n] of each synthesized image to the training image nearest to it."""
    nearest = cdist(_flat(synthesized), _flat(images), "sqeuclidean").argmin(1)
    return psnr_and_ssim(synthesized, images[nearest])


def distance(images: np.ndarray) -> float:
    """Mean root-mean-square difference between two images of a set, in grey levels; one gives 0."""
    flat = _flat(images)
    return float((pdist(flat) / np.sqrt(flat.shape[1])).mean()) if len(images) > 1 else 0.0


def out_of_range(images: np.ndarray) -> float:
    """Share of the values outside [0, 255]."""
    return float(((images < 0) | (images > 255)).mean())
