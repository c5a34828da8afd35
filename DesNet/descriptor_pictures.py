"""The pictures of DesNet: panels of synthesis, and chains step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from common import figures, fitting
from common.run_folder import Picture, png
from descriptor_settings import STARTS
from DesNet import DesNet

COLUMNS = 7  # images in a row of a panel, and chains that are shown step by step
SHOWN = 28  # images in the panel of synthesis
FRAMES = 31  # steps of a chain that its pictures show
MILLISECONDS = 120  # that a step is shown


def synthesis_panel(
    images: np.ndarray, starts: np.ndarray, synthesized: np.ndarray, start: str
) -> Figure:
    """The first SHOWN training images, where their chains start, and where these end.

    Args:
        images: [N, S, S, 3] in [0, 255].
        starts: likewise.
        synthesized: likewise.
        start: the setting.
    """
    one, all_of_them = STARTS[start]
    parts = {"training image": images, one: starts, "synthesized": synthesized}
    return figures.stacked(parts, f"Synthesis from {all_of_them}", COLUMNS, SHOWN)


def film(
    run: Callable[[np.ndarray, int, int], np.ndarray], starts: np.ndarray, steps: Sequence[int]
) -> np.ndarray:
    """Chains after each of some numbers of steps.

    Args:
        run: takes chains [n, S, S, 3] so many steps further, from a step on: `DesNet.run_chains`.
        starts: likewise.
        steps: F numbers, ascending.

    Returns:
        [F, n, S, S, 3] in [0, 255], unclipped.
    """
    frames, frame, done = [], starts, 0
    for step in steps:
        frame = run(frame, step - done, done)
        frames.append(frame)
        done = step
    return np.stack(frames)


def chain_pictures(model: DesNet) -> dict[str, Picture]:
    """Chains step by step, from the first starts.

    chain.webp is a sprite (see `figures.sprite`): a row is a step, from the first to the last in
    even strides, and a column is a chain.
    """
    length = model.chain_length
    steps = fitting.evenly(length + 1, FRAMES).tolist()
    chains = film(model.run_chains, model.starts(min(COLUMNS, len(model.colours))), steps)
    sprite = figures.sprite(chains.reshape(-1, *chains.shape[2:]), chains.shape[1])
    words = [f"step {step:,}" for step in steps]
    frames = figures.numbered([figures.tiles([step]) for step in chains], words)
    chain = figures.panel(
        figures.wrapped(chains[:, 0], 8),
        f"One chain over {length:,} steps, row by row",
        captions=words,
    )
    told = {"unit": "step", "frames": steps, "milliseconds": MILLISECONDS}
    return {
        "langevin.png": png(chain),
        "chain.webp": Picture(lambda file: figures.write_webp(file, sprite), told),
        "langevin.gif": Picture(
            lambda file: figures.write_gif(file, frames, MILLISECONDS, hold=1500), told
        ),
    }
