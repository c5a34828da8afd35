"""Chains outside of learning: as many at once as fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from common.session import tf

if TYPE_CHECKING:
    from DesNet import DesNet

GROUP = 64  # chains that are run together


def enter(
    model: DesNet,
    starts: np.ndarray,
    kind: str | Sequence[str],
    rng: np.random.Generator,
    first_step: int,
) -> dict[tf.Tensor, np.ndarray]:
    """What is fed of chains down a ladder of noise: where they are, and at what level they entered.

    Args:
        model: that has a ladder.
        starts: [n, S, S, 3] in [0, 255].
        kind: of all starts, or of each; see `DesNet.run_chains`.
        rng: of the noise that those who begin enter with.
        first_step: number of the first step; chains that go on have their noise.
    """
    levels = model.levels
    assert levels is not None
    entry = levels.entries(kind, len(starts))
    if not first_step:
        starts = levels.entered(starts - model.mean_colour, entry, rng) + model.mean_colour
    return {model.inputs.starts: starts, model.inputs.entry: entry}


def run_in_groups(
    model: DesNet,
    ends: tf.Tensor,
    rows: dict[tf.Tensor, np.ndarray],
    num_steps: int,
    first_step: int,
) -> np.ndarray:
    """Where chains end, GROUP of them at a time.

    Args:
        model: whose they are; chain i has the step size of its chain i, modulo their number.
        ends: [B, S, S, 3], of chains that `rows` are fed to.
        rows: what is fed of every chain, [n, ...].
        num_steps: how far they go.
        first_step: number of the first step, for chains that go on.

    Returns:
        [n, S, S, 3].
    """
    inputs, parts = model.inputs, []
    count = len(next(iter(rows.values())))
    for first in range(0, count, GROUP):
        part = slice(first, first + GROUP)
        feed = {
            **{place: values[part] for place, values in rows.items()},
            inputs.index: np.arange(count)[part] % model.num_chains,
            inputs.num_steps: num_steps,
            inputs.first_step: first_step,
            inputs.group: first // GROUP,
        }
        parts.append(model.session.run(ends, feed))
    return np.concatenate(parts)
