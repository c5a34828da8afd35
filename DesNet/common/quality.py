"""How good images are: near others, one by one or as assigned, and unlike each other."""

from __future__ import annotations

import numpy as np
import scipy  # whose parts take half a second to load: when they are first used

from common.session import tf

EQUAL = 100.0  # dB: the PSNR of an image to itself, which has no finite one


def psnr_and_ssim(images: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare images [N, S, S, 3] in [0, 255] one by one with as many references.

    Images are clipped to [0, 255], as a picture of them is.

    Returns:
        PSNR [N] in dB, at most EQUAL, and SSIM [N] (Wang et al., 2004: an 11 x 11 Gaussian
        window, sigma 1.5; of smaller images a window as large as they are).
    """
    window = min(11, images.shape[1])
    with tf.Graph().as_default(), tf.Session() as session:
        a = tf.constant(np.clip(images, 0, 255), tf.float32)
        b = tf.constant(references, tf.float32)
        psnr, ssim = session.run([tf.image.psnr(a, b, 255.0), tf.image.ssim(a, b, 255.0, window)])
        return np.minimum(psnr, EQUAL), ssim


def psnr(mean_squared_error: tf.Tensor) -> tf.Tensor:
    """PSNR in dB, at most EQUAL, of mean squared errors in grey levels: tensors of any shape."""
    decibels = 10 / np.log(10) * tf.math.log(255.0**2 / mean_squared_error)
    return tf.minimum(decibels, EQUAL)


def squared_distances(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """||x - y||^2 of each of x [n, D] and each of y [m, D]: [n, m]; rounded, it may be below 0."""
    squares = [tf.reduce_sum(tf.square(part), 1) for part in (x, y)]
    products = tf.matmul(x, y, transpose_b=True)
    return squares[0][:, None] + squares[1] - 2 * products


def squared_errors(images: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
    """Mean squared error of each of images [n, S, S, 3] to each of references [m, S, S, 3].

    Of images in [0, 255], which are clipped, not rounded.

    Returns:
        [n, m], in squared grey levels.
    """
    size = references.shape[1:].num_elements()
    # The nearer numbers are to 0, the less is lost in the differences of their squares.
    made, real = (
        tf.reshape(tf.clip_by_value(part, 0, 255), [-1, size]) - 127.5
        for part in (images, references)
    )
    return tf.nn.relu(squared_distances(made, real)) / size


def assigned_psnr(errors: np.ndarray) -> float:
    """Mean PSNR in dB of the best pairs, one to one, by `squared_errors` [n, m].

    NaN if an error is not finite.
    """
    if not np.isfinite(errors).all():
        return np.nan
    least = errors[scipy.optimize.linear_sum_assignment(errors)]
    with np.errstate(divide="ignore"):
        return float(np.minimum(10 * np.log10(255**2 / least), EQUAL).mean())


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
    _, assigned = scipy.optimize.linear_sum_assignment(
        scipy.spatial.distance.cdist(_flat(synthesized), _flat(images), "sqeuclidean")
    )
    psnr, ssim = psnr_and_ssim(synthesized, images[assigned])
    return {"assigned": assigned, "psnr": psnr, "ssim": ssim}


def nearest(synthesized: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Which of the training images is nearest to each synthesized one, [n]."""
    return scipy.spatial.distance.cdist(_flat(synthesized), _flat(images), "sqeuclidean").argmin(1)


def nearest_quality(synthesized: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PSNR and SSIM [n] of each synthesized image to the training image nearest to it."""
    return psnr_and_ssim(synthesized, images[nearest(synthesized, images)])


def distance(images: np.ndarray) -> float:
    """Mean root-mean-square difference between two images of a set, in grey levels; one gives 0."""
    flat = _flat(images)
    return (
        float((scipy.spatial.distance.pdist(flat) / np.sqrt(flat.shape[1])).mean())
        if len(images) > 1
        else 0.0
    )


def out_of_range(images: np.ndarray) -> float:
    """Share of the values outside [0, 255]."""
    return float(((images < 0) | (images > 255)).mean())
