"""The posterior of a z of two dimensions, and the likelihood of an image, by quadrature.

For Y = f(z) + eps, z ~ N(0, I_2), eps ~ N(0, sigma^2 I) in D dimensions, p(Y) is the integral of
N(Y; f(z), sigma^2 I) N(z; 0, I) over the plane.  It is all in a few spots, far narrower than a grid
over the plane can be fine: the grid only tells where to climb from, and a grid in each spot's own
scale then adds it up.

`Decode` maps z [n, 2] to outputs f(z) [n, D].  Everything else is in float64.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy

Decode = Callable[[np.ndarray], np.ndarray]

CHUNK = 64  # points that are decoded at once
REACH = 4.0  # of the grid over the plane, in standard deviations of the prior
SIDE = 65  # points along an edge of it
STARTS = 8  # of its local maxima that are climbed from, the highest first
DIFFERENCE = 1e-3  # of z, for the Jacobian
CLIMBS = 25  # steps from a start at most
DEPTH = 50.0  # nats below the highest: modes lower than that hold no mass
APART = 3.0  # standard deviations: modes closer than that share a grid
EXTENT = 6.0  # standard deviations, from the middle of a mode's grid to an edge
SPACINGS = (0.5, 0.25)  # standard deviations, of a mode's first grid and of its last


class Grid(NamedTuple):
    """A grid of midpoints about a mode: z = centre + factor w, w in the square of +-EXTENT."""

    centre: np.ndarray  # [2]
    factor: np.ndarray  # [2, 2]
    z: np.ndarray  # [m m, 2], w_1 the fastest
    log_mass: np.ndarray  # [m m], log of p(Y, z) times the cell; -inf in another mode's domain


class Posterior(NamedTuple):
    """p(z | Y), on the grids of its modes."""

    log_p: float  # log p(Y), nats
    mean: np.ndarray  # [2]
    covariance: np.ndarray  # [2, 2]
    grids: list[Grid]  # the mode with most mass first
    masses: np.ndarray  # [modes], the share of each


def _decode(decode: Decode, z: np.ndarray) -> np.ndarray:
    parts = [decode(z[i : i + CHUNK]) for i in range(0, len(z), CHUNK)]
    return np.concatenate(parts).astype(np.float64)


def _log_joint(error: np.ndarray, z: np.ndarray, dimensions: int, sigma: float) -> np.ndarray:
    """Log N(Y; f(z), sigma^2 I) N(z; 0, I) with all constants, from error = ||Y - f(z)||^2."""
    likelihood = -error / (2 * sigma**2) - dimensions / 2 * np.log(2 * np.pi * sigma**2)
    return likelihood - (z**2).sum(-1) / 2 - np.log(2 * np.pi)


def squared_errors(decode: Decode, z: np.ndarray, images: np.ndarray) -> np.ndarray:
    """||Y_i - f(z)||^2 for images [N, D] and z [n, 2]: [N, n].  Every f(z) is evaluated once."""
    errors = []
    for i in range(0, len(z), CHUNK):
        outputs = _decode(decode, z[i : i + CHUNK])  # [n, D]
        # About the middle of the outputs, where the squares are small: less is lost by rounding.
        middle = outputs.mean(0)
        a, b = images - middle, outputs - middle
        errors.append((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1))
    return np.concatenate(errors, 1)


def log_joint(decode: Decode, z: np.ndarray, images: np.ndarray, sigma: float) -> np.ndarray:
    """Log p(Y_i, z) for images [N, D] and z [n, 2]: [N, n].  Every f(z) is evaluated once."""
    return _log_joint(squared_errors(decode, z, images), z, images.shape[1], sigma)


def survey(
    decode: Decode, images: np.ndarray, advance: Callable[[], object] = lambda: None
) -> np.ndarray:
    """||Y_i - f(z)||^2 for images [N, D] on a grid over the plane: [N, SIDE, SIDE], z_1 the last.

    Args:
        decode: f.
        images: [N, D].
        advance: called after each of the SIDE rows of the grid.
    """
    rows = []
    for z in _grid_of_plane():
        rows.append(squared_errors(decode, z, images))
        advance()
    return np.stack(rows, 1)


def _grid_of_plane() -> np.ndarray:
    """The z of the survey, [SIDE, SIDE, 2]."""
    axis = np.linspace(-REACH, REACH, SIDE)
    return np.stack(np.meshgrid(axis, axis), -1)


def starts(
    decode: Decode, images: np.ndarray, sigma: float, advance: Callable[[], object] = lambda: None
) -> list[np.ndarray]:
    """Where to climb from, for each of images [N, D]; see `survey` and `peaks`."""
    return peaks(survey(decode, images, advance), images.shape[1], sigma)


def peaks(errors: np.ndarray, dimensions: int, sigma: float) -> list[np.ndarray]:
    """Where to climb from for each image: local maxima of log p(Y, z) on the grid of a survey.

    Args:
        errors: of a survey, [N, SIDE, SIDE].
        dimensions: D.
        sigma: standard deviation of the noise.

    Returns:
        For each image z [n, 2], at most STARTS, the highest first.
    """
    grid = _grid_of_plane()
    values = _log_joint(errors, grid, dimensions, sigma)
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    shifts = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    around = np.max([padded[:, i : i + SIDE, j : j + SIDE] for i, j in shifts], 0)
    found = []
    for value, is_peak in zip(values, values >= around, strict=True):
        row, column = np.nonzero(is_peak)
        order = np.argsort(-value[row, column])[:STARTS]
        found.append(grid[row[order], column[order]])
    return found


def _slopes(
    decode: Decode, z: np.ndarray, image: np.ndarray, sigma: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log p(Y, z) [n], its score [n, 2] and the Gauss-Newton metric [n, 2, 2]."""
    shifts = DIFFERENCE * np.array([[0, 0], [1, 0], [0, 1]])
    outputs = _decode(decode, (z + shifts[:, None]).reshape(-1, 2)).reshape(3, len(z), -1)
    residual = image - outputs[0]  # [n, D]
    jacobian = (outputs[1:] - outputs[0]) / DIFFERENCE  # [2, n, D]
    score = np.einsum("ind,nd->ni", jacobian, residual) / sigma**2 - z
    metric = np.eye(2) + np.einsum("ind,jnd->nij", jacobian, jacobian) / sigma**2
    return _log_joint((residual**2).sum(1), z, len(image), sigma), score, metric


def climb(
    decode: Decode, z: np.ndarray, image: np.ndarray, sigma: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ascend log p(Y, z) of one image [D] from z [n, 2] by damped Gauss-Newton steps.

    A step that does not ascend is taken back and damped more (Levenberg and Marquardt), so that it
    arrives from wherever the slope leads there.

    Returns:
        Where it arrived [n, 2], log p(Y, z) there [n], the metric G there [n, 2, 2].
    """
    z = z.astype(np.float64)
    value, score, metric = _slopes(decode, z, image, sigma)
    damping = np.full(len(z), 1e-2)
    moving = np.arange(len(z))
    for _ in range(CLIMBS):
        damped = metric[moving] * (1 + damping[moving, None, None] * np.eye(2))
        step = np.linalg.solve(damped, score[moving][..., None])[..., 0]
        trial = z[moving] + step
        new = _slopes(decode, trial, image, sigma)
        better = new[0] > value[moving]
        damping[moving] *= np.where(better, 0.1, 10)
        gained = moving[better]
        z[gained] = trial[better]
        for old, improved in zip((value, score, metric), new, strict=True):
            old[gained] = improved[better]
        # In standard deviations: a hundredth is nothing to a grid over +-6.
        length = np.sqrt(np.einsum("ni,nij,nj->n", step, metric[moving], step))
        moving = moving[(length > 1e-2) & (damping[moving] < 1e6)]
        if not len(moving):
            break
    return z, value, metric


def _distance(z: np.ndarray, centre: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """How many standard deviations z [n, 2] is away from a mode: [n]."""
    return np.linalg.norm(np.linalg.solve(factor, (z - centre).T), axis=0)


def _modes(
    z: np.ndarray, value: np.ndarray, metric: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The distinct modes among the ends of the climbs, the highest first: centre and factor."""
    modes: list[tuple[np.ndarray, np.ndarray]] = []
    for i in np.argsort(-value):
        if value[i] < value.max() - DEPTH:
            break
        if all(_distance(z[i : i + 1], *mode)[0] > APART for mode in modes):
            # G = L L^T; L^-T w has the covariance G^-1.
            modes.append((z[i], np.linalg.inv(np.linalg.cholesky(metric[i])).T))
    return modes


def _grids(
    decode: Decode,
    modes: list[tuple[np.ndarray, np.ndarray]],
    image: np.ndarray,
    sigma: float,
    spacing: float,
) -> list[Grid]:
    """A grid about every mode; a point counts only for the mode that it is nearest to."""
    axis = np.arange(-EXTENT + spacing / 2, EXTENT, spacing)
    w = np.stack([np.tile(axis, len(axis)), np.repeat(axis, len(axis))], 1)  # [m m, 2]
    grids = []
    for k, (centre, factor) in enumerate(modes):
        z = centre + w @ factor.T
        log_mass = log_joint(decode, z, image[None], sigma)[0]
        log_mass += np.log(spacing**2 * abs(np.linalg.det(factor)))
        nearest = np.argmin([_distance(z, *mode) for mode in modes], 0)
        grids.append(Grid(centre, factor, z, np.where(nearest == k, log_mass, -np.inf)))
    return grids


def _moments(z: np.ndarray, log_mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weights = np.exp(log_mass - scipy.special.logsumexp(log_mass))
    mean = weights @ z
    return mean, np.einsum("n,ni,nj->ij", weights, z - mean, z - mean)


def _scale(covariance: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """A factor of the covariance that a grid found, of a mode narrower than its cells a wider one.

    In the grid's own coordinates a variance below 1e-2 is that of a point or two: not a width.
    """
    whitened = np.linalg.solve(factor, np.linalg.solve(factor, covariance).T)
    values, vectors = np.linalg.eigh(whitened)
    return factor @ vectors * np.sqrt(np.maximum(values, 1e-2))


def posterior(
    decode: Decode,
    image: np.ndarray,
    sigma: float,
    start: np.ndarray,
    spacings: Sequence[float] = SPACINGS,
) -> Posterior:
    """The posterior of an image by the midpoint rule on a grid about every mode.

    The first grids have the scale of the Gauss-Newton metric; the second that of the covariance
    that the first found, so that a metric that is off (a bend in f, a bad fit) does no harm.

    Args:
        decode: f.
        image: [D].
        sigma: standard deviation of the noise.
        start: [n, 2], from where modes are looked for (see `starts`).
        spacings: of the first grids and of those after them, in standard deviations.
    """
    modes = _modes(*climb(decode, start, image, sigma))
    for spacing in spacings:
        grids = _grids(decode, modes, image, sigma, spacing)
        modes = []
        for grid in grids:
            mean, covariance = _moments(grid.z, grid.log_mass)
            modes.append((mean, _scale(covariance, grid.factor)))
    totals = np.array([scipy.special.logsumexp(grid.log_mass) for grid in grids])
    log_p = float(scipy.special.logsumexp(totals))
    order = np.argsort(-totals)
    grids = [grids[k] for k in order]
    mean, covariance = _moments(
        np.concatenate([grid.z for grid in grids]),
        np.concatenate([grid.log_mass for grid in grids]),
    )
    return Posterior(log_p, mean, covariance, grids, np.exp(totals[order] - log_p))


def cells(posterior: Posterior, z: np.ndarray) -> np.ndarray:
    """The cell of the partition that each z [n, 2] lies in, from 0 to 8: [n].

    In the whitened coordinates of the mode with most mass, each axis is cut at -1 and 1: nine
    cells, the middle one of which holds 47 % of a normal law.
    """
    centre, factor = posterior.grids[0].centre, posterior.grids[0].factor
    w = np.linalg.solve(factor, (z - centre).T)  # [2, n]
    column, row = np.digitize(w, [-1, 1])
    return 3 * row + column


def cell_masses(posterior: Posterior) -> np.ndarray:
    """The posterior's mass in every cell of the partition: [9]."""
    masses = np.zeros(9)
    for grid in posterior.grids:
        weights = np.exp(grid.log_mass - posterior.log_p)
        masses += np.bincount(cells(posterior, grid.z), weights, 9)
    return masses


def density(posterior: Posterior, axis_1: np.ndarray, axis_2: np.ndarray) -> np.ndarray:
    """p(z | Y) at z_1 = axis_1[column], z_2 = axis_2[row], from the grids by linear interpolation.

    Returns:
        [len(axis_2), len(axis_1)]; 0 outside the grids.
    """
    points = np.stack(np.meshgrid(axis_1, axis_2), -1).reshape(-1, 2)
    total = np.zeros(len(points))
    for grid in posterior.grids:
        side = round(len(grid.z) ** 0.5)
        spacing = 2 * EXTENT / side
        cell = spacing**2 * abs(np.linalg.det(grid.factor))
        values = np.exp(grid.log_mass - posterior.log_p).reshape(side, side) / cell
        w = np.linalg.solve(grid.factor, (points - grid.centre).T)  # [2, n]
        total += scipy.ndimage.map_coordinates(values, (w[::-1] + EXTENT) / spacing - 0.5, order=1)
    return total.reshape(len(axis_2), len(axis_1))
