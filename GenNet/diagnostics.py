"""How well Markov chains have sampled: against each other, and against a law that is known."""

import math

import numpy as np


def convergence(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank-normalised split R-hat and bulk effective sample size (Vehtari et al., 2021).

    Args:
        z: [n, C, draws, d], C chains of each of n laws, at least 4 draws each.

    Returns:
        R-hat [n] and the effective number of draws of all C chains [n], each that of the worst
        dimension; NaN where a chain stood still, of which neither can be told.
    """
    # Imported here, for it takes as long as a fifth of all else, before anything is learned.
    from arviz_stats.base import array_stats

    with np.errstate(divide="ignore", invalid="ignore"):
        r_hat = array_stats.rhat(z, chain_axis=1, draw_axis=2)  # [n, d]
        size = array_stats.ess(z, chain_axis=1, draw_axis=2)
    still = stood_still(z)
    return np.where(still, np.nan, r_hat.max(1)), np.where(still, np.nan, size.min(1))


def stood_still(z: np.ndarray) -> np.ndarray:
    """Whether, for each law, a chain of z [n, C, draws, d] never moved: bool [n]."""
    return (z == z[:, :, :1]).all((2, 3)).any(1)


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """Half of sum |p - q| of two laws [cells]: the most they differ by on any union of cells."""
    return float(np.abs(p - q).sum() / 2)


def expected_total_variation(p: np.ndarray, draws: float, rng: np.random.Generator) -> float:
    """The mean total variation between p [cells] and as many independent draws of it.

    What exact chains would show: a floor, by simulation of 1000 sets of draws.
    """
    count = max(1, round(draws))
    shares = rng.multinomial(count, p / p.sum(), 1000) / count
    return float(np.abs(shares - p).sum(1).mean() / 2)


def number(value: float) -> float | None:
    """A number as JSON can hold it: none if it is not finite."""
    return float(value) if math.isfinite(value) else None
