"""Means of importance weights, which are known by their logarithms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy


class Estimate(NamedTuple):
    """A mean of weights, by its logarithm."""

    log_mean: float  # nats
    standard_error: float  # of it, by the jackknife over the chains
    effective_chains: float  # (sum w)^2 / sum w^2: 1 if a single one outweighs all others


def estimate(log_weights: np.ndarray) -> Estimate:
    """The logarithm of the mean weight of n >= 2 chains, and how much it leans on any of them."""
    n = len(log_weights)
    weights = np.exp(log_weights - log_weights.max())
    rest = weights.sum() - weights  # without each
    without = np.log(np.maximum(rest, 1e-300)) + log_weights.max() - np.log(n - 1)
    for i in np.flatnonzero(rest < 1e-6 * weights.sum()):  # which rounding has left little of
        without[i] = scipy.special.logsumexp(np.delete(log_weights, i)) - np.log(n - 1)
    error = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    total = scipy.special.logsumexp(log_weights)
    effective = np.exp(2 * total - scipy.special.logsumexp(2 * log_weights))
    return Estimate(float(total - np.log(n)), float(error), float(effective))
