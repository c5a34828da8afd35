"""The exact likelihood of 8-bit images under any decoder of a z of two dimensions.

For Y = f(z) + eps, z ~ N(0, I_2), eps ~ N(0, sigma^2 I), with the density of Y integrated over each
grey level, p(Y) is an integral over the plane, which quadrature.py finds.  Sigma is refitted: the
root mean square of what f leaves of the learned images at their best z, where their likelihood is
highest but for a share of 2 / D.  So decoders that learned with another noise, or with none, are
compared by what they draw.  Of held-out images there is also the likelihood by the sigma that is
fitted to them: a decoder that draws the learned ones to a grey level rules all others out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy
from tqdm import tqdm

import quadrature
from common import likelihood
from common.likelihood import gaussian_grey_levels

LEAST = 0.3  # grey levels: sigma of a decoder that draws images as they are
# Standard deviations of a posterior, of its first grids and of those that count: the integral of a
# normal law by the midpoint rule is off by 2 exp(-2 pi^2 / spacing^2), 1e-15.
SPACINGS = (0.75, 0.75)
FAR = 10.0  # nats below the highest point: what lies lower is no part of the sum


class Exact(NamedTuple):
    """The likelihood of 8-bit images."""

    sigma: float  # of the noise, in grey levels, fitted to the learned images
    learned: np.ndarray  # log p(Y), nats, [N]
    held_out: np.ndarray  # likewise, [M]
    held_out_sigma: float  # of the noise fitted to the held-out images themselves, and
    held_out_fitted: np.ndarray  # their log p(Y) with it, the best that any sigma gives, [M]


def measure(
    decode: quadrature.Decode,
    learned: np.ndarray,
    held_out: np.ndarray,
    known: np.ndarray | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Exact:
    """Log p(Y) of images that were learned and of others.

    Args:
        decode: z [n, 2] -> f(z) [n, D] in grey levels.
        learned: 8-bit images [N, D].
        held_out: 8-bit images [M, D], perhaps none.
        known: z [N, 2] near which learned images are drawn, where that is known.
        advance: called as often as `steps` says.
    """
    parts = [part.astype(np.float64) for part in (learned, held_out)]
    errors = quadrature.survey(decode, np.concatenate(parts), advance)
    dimensions = learned.shape[1]
    rough = _root_mean(errors[: len(learned)].min((1, 2)) / dimensions)
    starts = quadrature.peaks(errors, dimensions, rough)
    if known is not None:
        for i, z in enumerate(known):
            starts[i] = np.concatenate([starts[i], z[None]])
    begins = starts[: len(learned)], starts[len(learned) :]
    climbs = [_climbed(decode, *each, rough) for each in zip(parts, begins, strict=True)]
    sigma, own = (_root_mean(squares / dimensions) for squares, _ in climbs)

    def log_p(number: int, sigma: float) -> np.ndarray:
        nats = []
        for image, start in zip(parts[number], climbs[number][1], strict=True):
            nats.append(_log_p(decode, image, sigma, start))
            advance()
        return np.array(nats)

    return Exact(sigma, log_p(0, sigma), log_p(1, sigma), own, log_p(1, own))


def steps(num_learned: int, num_held_out: int) -> int:
    """How often `measure` calls `advance`, for so many images."""
    return quadrature.SIDE + num_learned + 2 * num_held_out


def figures(
    generate: Callable[[np.ndarray], np.ndarray],
    parts: dict[str, np.ndarray],
    names: dict[str, list[str]],
    known: np.ndarray | None = None,
) -> dict[str, Any]:
    """What likelihood.json says of a decoder of a plane; see `likelihood.told`.

    Args:
        generate: z [n, 2] -> images [n, S, S, 3] in grey levels.
        parts: 8-bit images [n, S, S, 3], "learned" and perhaps "held_out".
        names: of the images of each.
        known: see `measure`.
    """
    none = np.empty([0, *parts["learned"].shape[1:]])
    learned, held_out = (
        np.asarray(part).reshape(len(part), parts["learned"][0].size)
        for part in (parts["learned"], parts.get("held_out", none))
    )
    total = steps(len(learned), len(held_out))
    with tqdm(total=total, desc="Likelihood", leave=False, dynamic_ncols=True) as bar:
        exact = measure(
            *(lambda z: generate(z).reshape(len(z), -1), learned, held_out, known, bar.update)
        )
    nats = {"learned": exact.learned, "held_out": exact.held_out}
    told = likelihood.told(
        "exact by quadrature over z", nats, names, learned.shape[1], sigma=exact.sigma
    )
    if len(held_out):
        bits = likelihood.bits_per_dim(exact.held_out_fitted, learned.shape[1])
        told["held_out"] |= {"fitted_sigma": exact.held_out_sigma, "fitted": float(bits.mean())}
    return told


def _root_mean(squares: np.ndarray) -> float:
    """The root of the mean of squared residuals [n], at least LEAST; that of none."""
    return max(float(np.sqrt(squares.mean())), LEAST) if len(squares) else LEAST


def _climbed(
    decode: quadrature.Decode, images: np.ndarray, starts: list[np.ndarray], sigma: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """||Y - f(z)||^2 [N] of images [N, D] at their best z, and z [n, 2] where climbs ended."""
    ends = [
        quadrature.climb(decode, start, image, sigma)[0]
        for image, start in zip(images, starts, strict=True)
    ]
    squares = [
        quadrature.squared_errors(decode, z, image[None]).min()
        for image, z in zip(images, ends, strict=True)
    ]
    return np.array(squares), ends


def _log_p(decode: quadrature.Decode, image: np.ndarray, sigma: float, start: np.ndarray) -> float:
    """Log p(Y) of an 8-bit image [D], by the grids of its posterior in the density's stead."""
    found = quadrature.posterior(decode, image, sigma, start, SPACINGS)
    masses = []
    for grid in found.grids:
        near = grid.log_mass > max(g.log_mass.max() for g in found.grids) - FAR
        if not near.any():
            continue
        means = np.concatenate(
            [decode(part) for part in np.array_split(grid.z[near], -(-near.sum() // 64))]
        ).astype(np.float64)
        density = -((image - means) ** 2).sum(1) / (2 * sigma**2)
        density -= image.size / 2 * np.log(2 * np.pi * sigma**2)
        # The grid's masses, with the density of the likelihood replaced by its grey levels.
        levels = gaussian_grey_levels(image, means, sigma)
        masses.append(grid.log_mass[near] - density + levels)
    return float(scipy.special.logsumexp(np.concatenate(masses)))
