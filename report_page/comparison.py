"""Runs side by side: a row for each, and one for each group that differs only by its seed."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from report_page.again import flag_words
from report_page.run_files import Run
from report_page.sections import duration
from report_page.tables import number

# What does not change what a run computes, or is the seed.
ASIDE = {"seed", "output_dir", "data_path", "name", "log_step", "device"}

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
        known = run.config and run.manifest
        groups.setdefault(_group(runs, run) if known else i, []).append(i)
    table = []
    for members in groups.values():
        table += [_row(runs, i) for i in members]
        by_seed = {str(runs[i].config.get("seed")): runs[i] for i in reversed(members)}
        if len(by_seed) > 1:
            table.append(_mean_row(runs, list(by_seed.values()), table[-1].flags))
    return table


def _group(runs: list[Run], run: Run) -> tuple[object, ...]:
    """What runs have in common that differ by their seeds alone."""
    flags = [(flag, str(run.config.get(flag))) for flag in sorted(_said(runs, run))]
    epochs = [sitting["num_epochs"] for sitting in run.manifest["sittings"]]
    return run.model, run.category, tuple(flags), tuple(epochs)


def _said(runs: list[Run], run: Run) -> set[str]:
    """The flags by which the runs of a model are told apart: those that one of them has to say."""
    peers = [peer for peer in runs if peer.model == run.model]
    return {flag for peer in peers for flag in peer.manifest.get("flags", [])} - ASIDE


def _differs(runs: list[Run], run: Run, flag: str) -> bool:
    """Whether the runs of its model have different values of a flag."""
    return len({str(peer.config.get(flag)) for peer in runs if peer.model == run.model}) > 1


def headings(runs: list[Run]) -> dict[str, str]:
    """The figures that at least one of the runs has, and their headings."""
    return {
        name: heading
        for name, heading in FIGURES.items()
        if any(run.figure(name) is not None for run in runs)
    }


def remarks(runs: list[Run]) -> list[str]:
    """What to know of the table."""
    said = []
    if any("assigned_to" in run.metrics for run in runs):
        said.append(
            "Synthesized images are compared with the training images that they are closest to,"
            " one to one."
        )
    if "diversity" in headings(runs):
        said.append(
            "Diversity: how much they differ among themselves, as a share of how much the training"
            " images do; 1 is ideal, near 0 all look the same."
        )
    return [*said, "Spread: standard deviation over seeds."]


def _row(runs: list[Run], i: int) -> Row:
    run = runs[i]
    values = [run.figure(name) for name in headings(runs)]
    apart = [
        word
        for flag, value in run.config.items()
        if flag in _said([run], run) and _differs(runs, run, flag)
        for word in flag_words(flag, value)
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


def _mean_row(every: list[Run], runs: list[Run], flags: str) -> Row:
    return Row(
        f"Mean ± spread of {len(runs)} seeds",
        "",
        ", ".join(str(run.config.get("seed")) for run in runs),
        [mean_and_spread(run.figure(name) for run in runs) for name in headings(every)],
        "",
        "",
        flags,
    )


def mean_and_spread(values: Iterable[float | None]) -> str:
    """Mean ± sample standard deviation of the values that are there."""
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return number(there[0] if there else None)
    with np.errstate(over="ignore", invalid="ignore"):  # figures that no run reaches
        return f"{np.mean(there):.4g} ± {np.std(there, ddof=1):.2g}"
