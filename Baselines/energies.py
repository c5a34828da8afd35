"""Energies of binary variables, written as in the lecture: "-x1 - x2 + 2 x3 - x1 x2"."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from common.endings import MistakeError

NODES = 20  # that are enumerated: 2^20 configurations
LARGEST = 1e6  # of a coefficient
TERM = re.compile(
    r"\s*(?P<sign>[+-]?)\s*(?P<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)?"
    r"(?P<factors>(?:[\s*·]*x\d{1,9}(?!\d))*)\s*",
    re.ASCII | re.IGNORECASE,
)


class EnergyError(MistakeError):
    """An energy that cannot be read; the message is a sentence for the user."""


class Energy(NamedTuple):
    """E(x) = -sum_i b_i x_i + sum_{i<j} w_ij x_i x_j + c of n binary nodes, x_i of 0 and 1."""

    biases: np.ndarray  # b [n]: a node with a positive one is rather on
    weights: np.ndarray  # w [n, n], symmetric, 0 on the diagonal: negative ones attract
    constant: float = 0.0  # c, which no probability depends on

    def of(self, x: np.ndarray) -> np.ndarray:
        """E of configurations [..., n]: [...]."""
        return self.constant - x @ self.biases + ((x @ self.weights) * x).sum(-1) / 2

    def __str__(self) -> str:
        """As it is written, terms of one node first."""
        n = len(self.biases)
        terms = [(-self.biases[i], f"x{i + 1}") for i in range(n)]
        terms += [
            (self.weights[i, j], f"x{i + 1} x{j + 1}") for i in range(n) for j in range(i + 1, n)
        ]
        terms.append((self.constant, ""))
        words = []
        for number, factors in terms:
            if number:
                size = "" if abs(number) == 1 and factors else f"{abs(number):.15g}"
                words += ["-" if number < 0 else "+", f"{size} {factors}".strip()]
        if not words:
            return "0"
        return " ".join(words[1:] if words[0] == "+" else ["-" + words[1], *words[2:]])


def parse(text: str) -> Energy:
    """The energy that a polynomial of x1, x2, ... says; nodes that it leaves out have no term.

    A product of a node with itself is the node, for it is 0 or 1; a `*` may stand between factors.

    Raises:
        EnergyError: it is no such polynomial; the sentence says where.
    """
    text = text.replace("−", "-")
    sums: dict[tuple[int, ...], float] = {}
    at = 0
    while at < len(text):
        found = TERM.match(text, at)
        if found is None or not (found["number"] or found["factors"]) or (at and not found["sign"]):
            raise EnergyError(
                f"--energy cannot be read from {text[at : at + 20]!r} on: write a sum of terms such"
                " as -x1, 2 x3 and -0.5 x1 x2"
            )
        nodes = tuple(sorted({int(word) for word in re.findall(r"\d+", found["factors"])}))
        number = float(found["number"] or 1) * (-1 if found["sign"] == "-" else 1)
        _check(nodes, number, found[0].strip())
        sums[nodes] = sums.get(nodes, 0.0) + number
        at = found.end()
    n = max((node for nodes in sums for node in nodes), default=0)
    if n == 0:
        raise EnergyError("--energy has no node in it: write a sum of terms such as -x1 - x1 x2")
    biases, weights = np.zeros(n), np.zeros((n, n))
    for nodes, number in sums.items():
        if len(nodes) == 1:
            biases[nodes[0] - 1] = -number
        elif len(nodes) == 2:
            i, j = nodes[0] - 1, nodes[1] - 1
            weights[i, j] = weights[j, i] = number
    return Energy(biases, weights, sums.get((), 0.0))


def _check(nodes: tuple[int, ...], number: float, term: str) -> None:
    """See that a term is one of a Boltzmann machine.

    Raises:
        EnergyError: it is not.
    """
    if len(nodes) > 2:
        raise EnergyError(
            f"--energy has the term {term!r} of {len(nodes)} nodes: a Boltzmann machine has terms"
            " of one node and of two"
        )
    if nodes and not 1 <= nodes[0] <= nodes[-1] <= NODES:
        raise EnergyError(
            f"--energy has the term {term!r}: nodes are x1 to x{NODES}, for all 2^n configurations"
            " are added up"
        )
    if abs(number) > LARGEST:
        raise EnergyError(f"--energy has the term {term!r}: choose numbers up to {LARGEST:g}")
