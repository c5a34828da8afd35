"""Boltzmann machine of binary nodes: what it says exactly, by enumeration, and by Gibbs sampling.

As in the lecture, n nodes x_i of 0 and 1 have the energy E(x) = -sum_i b_i x_i + sum_{i<j} w_ij x_i
x_j and the probability p(x) = exp(-E(x)) / Z, Z = sum_x exp(-E(x)).  Up to 20 nodes all 2^n
configurations are added up.  Gibbs sampling draws one node after another given all others,

    p(x_i = 1 | others) = 1 / (1 + exp -(b_i - sum_j w_ij x_j)),

and what its draws say stands beside what is exact.

Example: python Baselines/main.py boltzmann --energy "-x1 - x2 + 2 x3 - x1 x2" --probability 110
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

import boltzmann_pictures as pictures
from common import endings, flags, session, streams
from common.console import doing, say
from common.endings import shown
from common.files import check_writable, write_json, write_whole
from common.session import tf
from common.streams import Stream, fold_in
from energies import NODES, Energy, EnergyError, parse
from partition import all_configurations

LECTURE = "-x1 - x2 + 2 x3 - x1 x2 - x2 x3 - x3 x4 - x4 x5"
BLOCK = 2**14  # configurations that are in memory at once
LISTED = 32  # configurations of boltzmann.json: the most likely, and those of lowest energy
EQUAL = 1e-9  # energies that differ by less are one
BURN_IN = 10  # the first sweeps of a chain, one in so many, are dropped
CHECKED = 50  # numbers of sweeps, at which the draws so far are compared


class Exact(NamedTuple):
    """What enumeration says of a machine."""

    energies: np.ndarray  # of all configurations, [2^n]
    log_z: float
    probabilities: np.ndarray  # [2^n]
    marginals: np.ndarray  # p(x_i = 1), [n]
    pairs: np.ndarray  # p(x_i = 1 and x_j = 1), [n, n]


def enumerate_all(energy: Energy) -> Exact:
    """Go through all configurations, in the order of the binary numbers that they spell."""
    n = len(energy.biases)
    firsts = range(0, 2**n, BLOCK)
    blocks = partial(all_configurations, n, count=min(BLOCK, 2**n))
    energies = np.concatenate([energy.of(blocks(first)) for first in firsts])
    log_z = float(logsumexp(-energies))
    probabilities = np.exp(-energies - log_z)
    pairs = np.zeros((n, n))
    for first in firsts:
        x = blocks(first)
        pairs += x.T @ (x * probabilities[first : first + len(x), None])
    return Exact(energies, log_z, probabilities, np.diag(pairs).copy(), pairs)


def gibbs(energy: Energy, num_steps: int, num_chains: int, seed: int) -> np.ndarray:
    """Chains of Gibbs sampling that start at fair coins.

    Args:
        energy: of n nodes.
        num_steps: sweeps over all nodes.
        num_chains: side by side.
        seed: of the draws.

    Returns:
        The configuration of each chain after each sweep, as the binary number that it spells,
        [num_steps, num_chains].
    """
    n = len(energy.biases)
    with tf.Graph().as_default():
        places = tf.constant(2 ** np.arange(n)[::-1], tf.int32)
        key = streams.key(seed, Stream.SAMPLES)
        weights, biases = tf.constant(energy.weights), tf.constant(energy.biases)

        def sweep(step: tf.Tensor, x: tf.Tensor, drawn: tf.TensorArray) -> tuple[Any, ...]:
            uniform = tf.random.stateless_uniform([num_chains, n], fold_in(key, step + 1))
            for i in range(n):
                odds = biases[i] - tf.linalg.matvec(x, weights[i])
                on = tf.cast(tf.cast(uniform[:, i], x.dtype) < tf.sigmoid(odds), x.dtype)
                x = tf.concat([x[:, :i], on[:, None], x[:, i + 1 :]], 1)
            numbers = tf.reduce_sum(tf.cast(x, tf.int32) * places, 1)
            return step + 1, x, drawn.write(step, numbers)

        start = tf.random.stateless_uniform([num_chains, n], fold_in(key, 0))
        state = (
            tf.constant(0),
            tf.cast(start < 0.5, tf.float64),
            tf.TensorArray(tf.int32, num_steps),
        )
        drawn = tf.while_loop(
            lambda step, *_: step < num_steps,
            *(sweep, state),
            back_prop=False,
            parallel_iterations=1,
        )[2].stack()
        with tf.Session(config=session.configuration("cpu")) as run:
            return run.run(drawn)


def shares(numbers: np.ndarray, n: int) -> np.ndarray:
    """How often each configuration was drawn, of all draws: [2^n]."""
    return np.bincount(numbers.ravel(), minlength=2**n) / numbers.size


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """Half the sum of |p - q|: 0 if they are one, 1 if they share nothing."""
    return float(np.abs(p - q).sum() / 2)


def floor(exact: Exact, count: int, seed: int) -> float:
    """The total variation of so many independent draws, on which chance alone is to blame."""
    drawn = streams.generator(seed, Stream.FLOOR).multinomial(count, exact.probabilities)
    return total_variation(drawn / count, exact.probabilities)


def by_sweeps(exact: Exact, drawn: np.ndarray, n: int) -> dict[int, float]:
    """The total variation of all draws up to a sweep, by the number of sweeps."""
    checked = np.unique(np.geomspace(1, len(drawn), CHECKED).astype(int))
    return {
        int(sweeps): total_variation(shares(drawn[:sweeps], n), exact.probabilities)
        for sweeps in checked
    }


# What is told


def spelled(number: int, n: int) -> str:
    """A configuration in zeros and ones, x1 first."""
    return f"{number:0{n}b}"


def configuration(text: str, n: int) -> int:
    """The number of a configuration that is spelled by zeros and ones, x1 first.

    Raises:
        EnergyError: it is none of n nodes.
    """
    if len(text) != n or set(text) - {"0", "1"}:
        raise EnergyError(
            f"--probability {text}: a configuration of this machine is {n} digits, 0 or 1, x1 first"
        )
    return int(text, 2)


def moments(drawn: np.ndarray, n: int) -> np.ndarray:
    """How often nodes were on together, of all draws: [n, n]; each by itself on the diagonal."""
    numbers, counts = np.unique(drawn, return_counts=True)
    x = ((numbers[:, None] >> np.arange(n)[::-1]) & 1).astype(np.float64)
    return x.T @ (x * counts[:, None]) / drawn.size


def told(energy: Energy, exact: Exact, drawn: np.ndarray, args: argparse.Namespace) -> dict:
    """All that boltzmann.json says.

    Args:
        energy: of the machine.
        exact: by enumeration.
        drawn: by Gibbs sampling, see `gibbs`, without the first sweeps.
        args: of the command line.
    """
    n = len(energy.biases)
    sampled, pairs = shares(drawn, n), moments(drawn, n)
    lowest = float(exact.energies.min())
    at_lowest = np.flatnonzero(exact.energies <= lowest + EQUAL)
    likeliest = np.argsort(-exact.probabilities, kind="stable")[:LISTED]

    def about(number: int) -> dict[str, float]:
        return {
            "energy": float(exact.energies[number]),
            "probability": float(exact.probabilities[number]),
            "gibbs": float(sampled[number]),
        }

    asked = args.probability and configuration(args.probability, n)
    return {
        "energy": str(energy),
        "nodes": n,
        "biases": energy.biases.tolist(),
        "weights": energy.weights.tolist(),
        "log_z": exact.log_z,
        "lowest_energy": lowest,
        "lowest": [spelled(number, n) for number in at_lowest[:LISTED]],
        "lowest_count": len(at_lowest),
        "asked": {} if asked is None else {args.probability: about(asked)},
        "likeliest": {spelled(number, n): about(number) for number in likeliest},
        "marginals": exact.marginals.tolist(),
        "pairs": exact.pairs.tolist(),
        "gibbs": {
            "sweeps": len(drawn),
            "chains": args.chains,
            "seed": args.seed,
            "marginals": np.diag(pairs).tolist(),
            "pairs": pairs.tolist(),
            "total_variation": total_variation(sampled, exact.probabilities),
            "total_variation_floor": floor(exact, drawn.size, args.seed),
            "total_variation_by_sweeps": by_sweeps(exact, drawn, n),
        },
    }


def summary(said: dict[str, Any], folder: Path) -> str:
    """What the console shows of boltzmann.json."""
    gibbs, n = said["gibbs"], said["nodes"]
    count, listed = said["lowest_count"], ", ".join(said["lowest"][:4])
    more = "" if count <= 4 else f" and {count - 4} more"
    rows = [
        f"E(x) = {said['energy']}",
        f"{n} nodes, {2**n:,} configurations: log Z = {said['log_z']:.6f}",
        f"lowest energy {said['lowest_energy']:.6g}, at x = {listed}{more}",
    ]
    for text, about in said["asked"].items():
        rows.append(
            f"p({text}) = {about['probability']:.6g}, by Gibbs sampling {about['gibbs']:.6g};"
            f" its energy is {about['energy']:.6g}"
        )
    rows.append("node   p(x = 1)   by Gibbs sampling")
    both = zip(said["marginals"], gibbs["marginals"], strict=True)
    rows += [f"x{i:<5} {exact:8.4f}   {drawn:8.4f}" for i, (exact, drawn) in enumerate(both, 1)]
    rows += [
        f"total variation of {gibbs['sweeps']:,} sweeps of {gibbs['chains']} chains:"
        f" {gibbs['total_variation']:.4f}; of as many independent draws"
        f" {gibbs['total_variation_floor']:.4f}",
        f"Written to {folder}: boltzmann.json graph.png distribution.png",
    ]
    return "\n".join(rows)


# Command line


def make_parser(prog: str) -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser(prog, __doc__ or "")
    add = parser.add_argument_group("machine").add_argument
    add(
        "--energy",
        default=LECTURE,
        help=f"E(x), a sum of terms of one node and of two, of x1 to x{NODES}; --energy=... if it"
        " begins with a minus",
    )
    add("--probability", metavar="X", help="a configuration that is asked for, such as 10110")
    add = parser.add_argument_group("Gibbs sampling").add_argument
    number = flags.whole(1, 10**5)
    add("--steps", type=number, default=1000, help="sweeps over all nodes, a tenth of them before")
    add("--chains", type=flags.whole(1, 1000), default=100, help="chains side by side")
    add("--seed", type=flags.whole(0, 2**31 - 1), default=0, help="of the draws")
    add = parser.add_argument_group("output").add_argument
    add("--name", type=flags.folder_name, default="machine", help="of the folder")
    add(
        "--output_dir",
        type=Path,
        default=flags.PROJECT / "output" / "Boltzmann",
        help="files are written to OUTPUT_DIR/NAME; those that are there are written anew",
    )
    return parser


def use(args: argparse.Namespace) -> None:
    """Enumerate the machine, draw from it, and write what both say.

    Raises:
        EnergyError: the energy or the configuration cannot be read.
        FileError: a file cannot be written.
    """
    energy = parse(args.energy)
    if args.probability is not None:
        configuration(args.probability, len(energy.biases))
    folder = args.output_dir / args.name
    check_writable(folder / "boltzmann.json")
    with doing("Enumeration"):
        exact = enumerate_all(energy)
    burn_in = max(1, args.steps // BURN_IN)
    with doing("Gibbs sampling"):
        drawn = gibbs(energy, burn_in + args.steps, args.chains, args.seed)[burn_in:]
        said = told(energy, exact, drawn, args)
    write_json(folder / "boltzmann.json", said)
    for name, figure in pictures.made(energy, said).items():
        write_whole(folder / name, partial(figure.savefig, format="png"))
    say(shown_lines(summary(said, folder)))


def shown_lines(text: str) -> str:
    """Lines as a terminal may show them."""
    return "\n".join(shown(line) for line in text.split("\n"))


def main(prog: str, arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser(prog)
    endings.end_in_a_sentence(
        prog, lambda: use(parser.parse_args(arguments)), "stopped; the same command begins anew"
    )
