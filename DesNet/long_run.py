"""What becomes of chains that run on after learning: `--long_run N`."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

import evaluation
import figures
from DesNet import DesNet

CHAINS = 4  # from each kind of start
PIECE = 250  # steps from one move of the progress bar to the next


def checkpoints(num_steps: int) -> list[int]:
    """Numbers of steps at which the chains are looked at: 0, 100, 1000, ... and the last."""
    return sorted({0, num_steps} | {10**k for k in range(2, 10) if 10**k < num_steps})


def starting_points(
    images: np.ndarray, mean_images: np.ndarray, ref_sigma: float, seed: int
) -> dict[str, np.ndarray]:
    """Where the chains start: at most CHAINS images [n, S, S, 3] in [0, 255] of each kind.

    The noise is the model's reference N(mean colour, s^2 I).
    """
    images, mean_images = images[:CHAINS], mean_images[:CHAINS]
    noise = np.random.default_rng([seed, 2]).normal(size=images.shape)
    noise = images.mean((0, 1, 2)) + ref_sigma * noise
    return {"mean image": mean_images, "noise": noise, "training image": images}


def run(
    model: DesNet,
    images: np.ndarray,
    mean_images: np.ndarray,
    num_steps: int,
    advance: Callable[[int], object],
) -> tuple[dict[str, np.ndarray], dict[str, list[dict[str, float]]]]:
    """Run chains of the learned model on for `num_steps` steps.

    Args:
        model: learned.
        images: training images [N, S, S, 3] in [0, 255].
        mean_images: likewise.
        num_steps: length of the chains.
        advance: told after every piece how many steps it had.

    Returns:
        By start: the chains [F, n, S, S, 3] at the checkpoints; and a record for each checkpoint:
        steps; energy, the mean -log p(Y) in nats, and energy_drift, its change since the
        checkpoint before; psnr and ssim to the nearest training image; out_of_range; distance, the
        mean root-mean-square difference between two chains, in grey levels.
    """
    starts = starting_points(images, mean_images, model.ref_sigma, model.seed)
    chains = np.concatenate(list(starts.values())).astype(np.float32)
    films: dict[str, list[np.ndarray]] = {kind: [] for kind in starts}
    records: dict[str, list[dict[str, float]]] = {kind: [] for kind in starts}
    done = 0
    for checkpoint in checkpoints(num_steps):
        while done < checkpoint:
            piece = min(PIECE, checkpoint - done)
            chains = model.run_chains(chains, piece, done)
            done += piece
            advance(piece)
        for kind, part in zip(starts, np.split(chains, len(starts)), strict=True):
            films[kind].append(part)
            psnr, ssim = evaluation.nearest_quality(part, images)
            energy = float(model.energies(part).mean())
            before = records[kind][-1]["energy"] if records[kind] else energy
            records[kind].append(
                {
                    "steps": checkpoint,
                    "energy": energy,
                    "energy_drift": energy - before,
                    # A start from a training image is that image: no error, no finite PSNR.
                    "psnr": min(float(psnr.mean()), 100.0),
                    "ssim": float(ssim.mean()),
                    "out_of_range": evaluation.out_of_range(part),
                    "distance": evaluation.distance(part),
                }
            )
    return {kind: np.stack(film) for kind, film in films.items()}, records


def film_strip(films: dict[str, np.ndarray], steps: list[int]) -> Figure:
    """The chains [F, n, S, S, 3] of every kind of start, a row for each of F checkpoints."""
    rows = [row for film in films.values() for row in film]
    labels = [f"{step:,} steps" if step else f"from {kind}" for kind in films for step in steps]
    return figures.panel(rows, "Chains of the learned model in the long run", labels)
