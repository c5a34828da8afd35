"""Runs side by side: a row for each, and one for each group that differs only by its seed."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from report_page.run_files import Run
from report_page.sections import duration, shown_flag

# What does not change what a run computes, or is the seed.
ASIDE = {"seed", "output_dir", "data_path", "log_step", "device"}

FIGURES = {  # as in metrics.json -> heading
    "psnr": "PSNR, dB",
    "psnr_worst": "worst PSNR, dB",
    "ssim": "SSIM",
    "diversity": "diversity",
}


class Row(NamedTuple):
    """A row of the table: a run, or the runs of several seeds."""

    title: str
    link: str  # id of the run's section, "" for a group
    seed: str
    cells: list[str]  # one for each of FIGURES
    iterations: str
    duration: str
    flags: str  # those in which the runs of a model differ


def rows(runs: list[Run]) -> list[Row]:
    """The rows of all runs, those of one group together, followed by its mean and spread."""
    groups: dict[object, list[int]] = {}
    for i, run in enumerate(runs):
        # Without flags there is nothing to tell what a run would belong to.
        key = (run.model, run.category, _flags(run)) if run.config else i
        groups.setdefault(key, []).append(i)
    table = []
    for members in groups.values():
        table += [_row(runs, i) for i in members]
        by_seed = {str(runs[i].config.get("seed")): runs[i] for i in reversed(members)}
        if len(by_seed) > 1:
            table.append(_mean_row(list(by_seed.values()), table[-1].flags))
    return table


def _flags(run: Run) -> frozenset[tuple[str, str]]:
    return frozenset((flag, str(value)) for flag, value in run.config.items() if flag not in ASIDE)


def _row(runs: list[Run], i: int) -> Row:
    run = runs[i]
    values = [run.figure(name) for name in FIGURES]
    peers = [peer for peer in runs if peer.model == run.model]
    apart = [
        f"--{flag} {shown_flag(flag, value)}"
        for flag, value in run.config.items()
        if flag not in ASIDE and len({str(peer.config.get(flag)) for peer in peers}) > 1
    ]
    return Row(
        run.name,
        f"run-{i + 1}",
        str(run.config.get("seed", "–")),
        [number(value) for value in values],
        number(run.figure("iterations") or float(len(run.history.get("iteration", [])))),
        duration(run) or "–",
        " ".join(apart),
    )


def _mean_row(runs: list[Run], flags: str) -> Row:
    return Row(
        f"Mean ± spread of {len(runs)} seeds",
        "",
        ", ".join(str(run.config.get("seed")) for run in runs),
        [mean_and_spread(run.figure(name) for run in runs) for name in FIGURES],
        "",
        "",
        flags,
    )


def number(value: float | None) -> str:
    """Four significant digits, a dash for none."""
    return "–" if value is None else f"{value:.4g}"


def mean_and_spread(values: Iterable[float | None]) -> str:
    """Mean ± sample standard deviation of the values that are there."""
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return number(there[0] if there else None)
    with np.errstate(over="ignore", invalid="ignore"):  # figures that no run reaches
        return f"{np.mean(there):.4g} ± {np.std(there, ddof=1):.2g}"
