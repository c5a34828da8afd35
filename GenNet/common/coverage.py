"""How much of a training set samples cover, in the space of pixels.

Not by an Inception distance: that fits Gaussians of 2,048 features, which tens of images cannot.
Samples and training images are [n, S, S, 3] in [0, 255]; samples are clipped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy

from common.naturalness import unit_luminance

ALIKE = 0.8  # correlation of luminance from which on a sample is of its nearest training image


def _flat(images: np.ndarray) -> np.ndarray:
    return np.clip(images, 0, 255).reshape(len(images), -1).astype(np.float64)


class Nearest(NamedTuple):
    """The training image that each sample lies nearest to."""

    image: np.ndarray  # [n], its number: that of least squared error
    correlation: np.ndarray  # [n], of its luminance with the sample's


def nearest(samples: np.ndarray, images: np.ndarray) -> Nearest:
    """The training image [N, S, S, 3] nearest to each sample [n, S, S, 3]."""
    image = scipy.spatial.distance.cdist(_flat(samples), _flat(images), "sqeuclidean").argmin(1)
    return Nearest(image, (unit_luminance(samples) * unit_luminance(images)[image]).sum(1))


def modes_hit(samples: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Whether each training image is hit: bool [N].

    It is, if a sample to which it is the nearest of all is like it: their luminance correlates by
    more than ALIKE.  A blend of all images hits none.
    """
    found = nearest(samples, images)
    return np.isin(np.arange(len(images)), found.image[found.correlation > ALIKE])


def coverage(samples: np.ndarray, images: np.ndarray) -> float | None:
    """The share of training images that have a sample nearer than their nearest other one.

    Coverage with k = 1 (Naeem et al., "Reliable fidelity and diversity metrics for generative
    models", ICML 2020); None of fewer than two images.
    """
    if len(images) < 2:
        return None
    real = scipy.spatial.distance.cdist(_flat(images), _flat(images))
    np.fill_diagonal(real, np.inf)
    return float(
        (scipy.spatial.distance.cdist(_flat(images), _flat(samples)).min(1) < real.min(1)).mean()
    )


def expected_coverage(num_samples: int, num_images: int) -> float:
    """What `coverage` would be on average, were samples drawn as the training images were.

    A sample falls into none of the balls with k = 1 if the nearest of M samples and N - 1 other
    images to an image is one of these: 1 - (N - 1) / (M + N - 1) (ibid., appendix).
    """
    return 1 - (num_images - 1) / (num_samples + num_images - 1)
