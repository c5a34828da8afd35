"""Places in a latent space: draws of the prior, and an even grid over its first two dimensions."""

from __future__ import annotations

import numpy as np

from common import streams
from common.streams import Stream


def draw(n: int, z_dim: int, seed: int) -> np.ndarray:
    """N draws of the prior, z ~ N(0, I): [n, d], the first ones always the same."""
    return streams.generator(seed, Stream.SAMPLES).normal(size=(n, z_dim))


def plane(z_dim: int, n: int, reach: float) -> np.ndarray:
    """An even n x n grid over (-reach, reach)^2 of the first two z, the others 0: [n n, d].

    z_1 grows to the right, z_2 upward.
    """
    axis = np.linspace(-reach, reach, n)
    z = np.zeros([n * n, z_dim])
    z[:, 0] = np.tile(axis, n)
    if z_dim > 1:
        z[:, 1] = np.repeat(axis[::-1], n)
    return z
