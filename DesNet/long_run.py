"""What becomes of chains that run on after learning: `--long_run N`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from common import figures, quality, streams
from common.streams import Stream
from DesNet import DesNet

CHAINS = 4  # from each kind of start
# What a ladder of noise calls them.
KINDS = {"mean image": "mean", "noise": "noise", "training image": "image"}
PIECE = 250  # steps from one move of the progress bar to the next


def stops(num_steps: int) -> list[int]:
    """Numbers of steps at which the chains are looked at: 0, 100, 1000, ... and the last."""
    return sorted({0, num_steps} | {10**k for k in range(2, 10) if 10**k < num_steps})


def starting_points(model: DesNet, images: np.ndarray) -> dict[str, np.ndarray]:
    """Where the chains start: at most CHAINS images [n, S, S, 3] in [0, 255] of each kind.

    The noise is the model's reference N(mean colour, s^2 I).

    Args:
        model: learned.
        images: training images, likewise.
    """
    images = images[:CHAINS]
    rng = streams.generator(model.settings.seed, Stream.REFERENCE)
    noise = images.mean((0, 1, 2)) + model.settings.ref_sigma * rng.normal(size=images.shape)
    mean_images = model.mean_images(len(images))
    return {"mean image": mean_images, "noise": noise, "training image": images}


def run(
    model: DesNet,
    images: np.ndarray,
    num_steps: int,
    advance: Callable[[int], object],
) -> tuple[dict[str, np.ndarray], dict[str, list[dict[str, float]]]]:
    """Run chains of the learned model on for `num_steps` steps.

    Args:
        model: learned.
        images: training images [N, S, S, 3] in [0, 255].
        num_steps: length of the chains.
        advance: told after every piece how many steps it had.

    Returns:
        By start: the chains [F, n, S, S, 3] at the stops; and a record for each stop:
        steps; energy, the mean -log p(Y) in nats, and energy_drift, its change since the
        stop before; psnr and ssim to the nearest training image; out_of_range; distance, the
        mean root-mean-square difference between two chains, in grey levels.
    """
    starts = starting_points(model, images)
    kinds = [KINDS[kind] for kind, part in starts.items() for _ in part]
    chains = np.concatenate(list(starts.values())).astype(np.float32)
    films: dict[str, list[np.ndarray]] = {kind: [] for kind in starts}
    records: dict[str, list[dict[str, float]]] = {kind: [] for kind in starts}
    done = 0
    for stop in stops(num_steps):
        while done < stop:
            piece = min(PIECE, stop - done)
            chains = model.run_chains(chains, piece, done, kinds)
            done += piece
            advance(piece)
        for kind, part in zip(starts, np.split(chains, len(starts)), strict=True):
            films[kind].append(part)
            psnr, ssim = quality.nearest_quality(part, images)
            energy = float(model.energies(part).mean())
            before = records[kind][-1]["energy"] if records[kind] else energy
            records[kind].append(
                {
                    "steps": stop,
                    "energy": energy,
                    "energy_drift": energy - before,
                    "psnr": float(psnr.mean()),
                    "ssim": float(ssim.mean()),
                    "out_of_range": quality.out_of_range(part),
                    "distance": quality.distance(part),
                }
            )
    return {kind: np.stack(film) for kind, film in films.items()}, records


def film_strip(films: dict[str, np.ndarray], steps: list[int]) -> Figure:
    """The chains [F, n, S, S, 3] of every kind of start, a row for each of F stops."""
    rows = [row for film in films.values() for row in film]
    labels = [f"{step:,} steps" if step else f"from {kind}" for kind in films for step in steps]
    return figures.panel(rows, "Chains of the learned model in the long run", labels)
