"""How likely 8-bit images are, in bits per dimension: one scale for models of every kind.

A dimension is a channel of a pixel, and an image of D of them has the probability p(Y), a number in
(0, 1]: -log2 p(Y) / D bits per dimension, 8 for one that tells nothing.  A density over continuous
images is integrated over the grey level of every dimension, [y - 1/2, y + 1/2]; those of 0 and 255
reach to infinity, so that it adds up to 1 (Salimans et al., PixelCNN++, ICLR 2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy

FILE = "likelihood.json"  # in the folder of a run
MEASURED = 32  # images of a part whose likelihood is told, at most: the first


def bits_per_dim(nats: np.ndarray, dimensions: int) -> np.ndarray:
    """Bits per dimension of images of D dimensions whose log probabilities are these, in nats."""
    return -np.asarray(nats) / np.log(2) / dimensions


def gaussian_grey_levels(images: np.ndarray, means: np.ndarray, sigma: Any) -> np.ndarray:
    """Log p(Y), nats, of 8-bit images under N(mean, sigma^2 I), integrated over the grey levels.

    Args:
        images: [..., D], whole numbers in [0, 255].
        means: [..., D], in grey levels.
        sigma: standard deviation in grey levels, a number or an array like the means.

    Returns:
        The sum over D, [...].
    """
    low = np.where(images <= 0, -np.inf, (images - 0.5 - means) / sigma)
    high = np.where(images >= 255, np.inf, (images + 0.5 - means) / sigma)
    # The same mass, mirrored so that it lies in the lower tail, whose logarithm is exact.
    mirrored = low + high > 0
    low, high = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    top, bottom = scipy.special.log_ndtr(high), scipy.special.log_ndtr(low)
    return (top + np.log1p(-np.exp(bottom - top))).sum(-1)


def told(
    how: str, nats: dict[str, np.ndarray], names: dict[str, list[str]], dimensions: int, **more: Any
) -> dict[str, Any]:
    """What likelihood.json says.

    Args:
        how: it was computed, in a few words.
        nats: log p(Y) of the images of each part, "learned" and "held_out".
        names: of the images of each part.
        dimensions: D.
        more: what stands beside it, such as bounds.

    Returns:
        how; by part bits_per_dim (the mean), images (how many) and by_image; and `more`.
    """
    parts: dict[str, Any] = {}
    for part, values in nats.items():
        if len(values):
            bits = bits_per_dim(values, dimensions)
            parts[part] = {
                "bits_per_dim": float(bits.mean()),
                "images": len(bits),
                "by_image": dict(zip(names[part], bits.tolist(), strict=True)),
            }
    return {"how": how, **parts, **more}
