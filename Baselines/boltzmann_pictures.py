"""The pictures of a Boltzmann machine: its graph, and what is exact beside Gibbs sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from common.figures import DPI, TITLE
from energies import Energy

SHOWN = 16  # configurations of the chart
NUMBERED = 24  # edges at most that have their weights written on them
ATTRACTS, REPELS = "tab:blue", "tab:red"


def number(value: float) -> str:
    """A number in few digits, with a real minus."""
    return f"{value:.3g}".replace("-", "−")


def graph(energy: Energy, marginals: np.ndarray) -> Figure:
    """Nodes in a circle, x1 on top and on clockwise, coloured by p(x_i = 1); edges by weight."""
    n = len(energy.biases)
    figure = Figure((8, 8.4), DPI, layout="constrained")
    axes = figure.subplots()
    turn = np.pi / 2 - 2 * np.pi * np.arange(n) / n
    places = np.stack([np.cos(turn), np.sin(turn)], 1)  # [n, 2]
    radius = min(0.2, 2.2 / n)
    _edges(axes, energy.weights, places)
    colours = colormaps["viridis"]
    for i, place in enumerate(places):
        colour = colours(marginals[i])
        axes.add_patch(Circle(place, radius, facecolor=colour, edgecolor="black", zorder=3))
        words = f"x{i + 1}\n{marginals[i]:.2f}"
        ink = "black" if marginals[i] > 0.5 else "white"
        size = 13 if n <= 10 else 8
        axes.text(
            place[0], place[1], words, ha="center", va="center", color=ink, fontsize=size, zorder=4
        )
        if energy.biases[i]:
            outside = place * (1 + radius + 0.16)
            bias = f"b = {number(energy.biases[i])}"
            axes.text(outside[0], outside[1], bias, ha="center", va="center", fontsize=size - 1)
    reach = 1.3 + radius
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.axis("off")
    axes.set_title(
        "E(x) = −Σ bᵢ xᵢ + Σ wᵢⱼ xᵢ xⱼ. In a node: the exact probability that it is on, also its"
        " colour.\nBlue edges attract (w < 0), red ones repel (w > 0); wide ones are strong.",
        loc="left",
        fontsize=TITLE,
    )
    return figure


def _edges(axes: Axes, weights: np.ndarray, places: np.ndarray) -> None:
    """The edges between nodes at places [n, 2]."""
    first, second = np.nonzero(np.triu(weights))
    most = np.abs(weights).max() or 1.0
    for i, j in zip(first, second, strict=True):
        ends, weight = places[[i, j]], weights[i, j]
        colour = ATTRACTS if weight < 0 else REPELS
        axes.plot(*ends.T, color=colour, lw=1 + 5 * abs(weight) / most, zorder=1)
        if len(first) <= NUMBERED:
            box = {"facecolor": "white", "lw": 0, "pad": 1.5}
            # Off the middle, where edges across the circle would all have theirs.
            place = 0.58 * ends[0] + 0.42 * ends[1]
            words, ha, va = number(weight), "center", "center"
            axes.text(place[0], place[1], words, ha=ha, va=va, bbox=box, zorder=2)


def distribution(said: dict[str, Any]) -> Figure:
    """What is exact beside Gibbs sampling: configurations, nodes, and the distance by sweeps."""
    figure = Figure((10, 10), DPI, layout="constrained")
    top, middle, bottom = figure.subplots(3, 1)
    likeliest = dict(list(said["likeliest"].items())[:SHOWN])
    _pairs_of_bars(
        *(top, list(likeliest)),
        [about["probability"] for about in likeliest.values()],
        [about["gibbs"] for about in likeliest.values()],
    )
    if said["nodes"] > 6:  # too long to stand side by side
        for label in top.get_xticklabels():
            label.set(rotation=60, ha="right", rotation_mode="anchor")
    top.set_title("The likeliest configurations, x1 first", loc="left", fontsize=TITLE)
    top.set(ylabel="p(x)", ylim=(0, 1.3 * top.dataLim.y1))
    nodes = [f"x{i + 1}" for i in range(said["nodes"])]
    _pairs_of_bars(middle, nodes, said["marginals"], said["gibbs"]["marginals"])
    middle.set_title("Nodes", loc="left", fontsize=TITLE)
    middle.set(ylabel="p(xᵢ = 1)", ylim=(0, 1.3), yticks=[0, 0.25, 0.5, 0.75, 1])
    distances = said["gibbs"]["total_variation_by_sweeps"]
    bottom.loglog(list(distances), list(distances.values()), marker=".", label="Gibbs sampling")
    least = said["gibbs"]["total_variation_floor"]
    bottom.axhline(least, ls="--", color="0.4", label="as many independent draws as all of these")
    chains = said["gibbs"]["chains"]
    title = f"Total variation to what is exact, of {chains} chains: 0 if they agree"
    bottom.set_title(title, loc="left", fontsize=TITLE)
    bottom.set(xlabel="sweeps over all nodes", ylabel="total variation")
    bottom.legend()
    return figure


def _pairs_of_bars(axes: Axes, names: list[str], exact: list[float], drawn: list[float]) -> None:
    """Two bars for each name."""
    x = np.arange(len(names))
    axes.bar(x - 0.2, exact, 0.4, label="exact")
    axes.bar(x + 0.2, drawn, 0.4, label="Gibbs sampling")
    axes.set_xticks(x, names)
    axes.legend()


def made(energy: Energy, said: dict[str, Any]) -> dict[str, Figure]:
    """The pictures of a machine, of what boltzmann.json says of it."""
    return {
        "graph.png": graph(energy, np.array(said["marginals"])),
        "distribution.png": distribution(said),
    }
