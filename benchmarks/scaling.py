"""Measure two workers of a core each beside one process on both cores, and calculate on to 1,000.

Rounds alternate between the two; the median is reported: of the default batch, which the workers
divide, and of twice as many images, so that each of two workers has a default batch.  Writes
scaling.json and scaling.png next to this file.  What lies beyond two workers is a calculation from
what was measured, not a measurement: every worker keeps its share of the batch, the ring of
TensorFlow's collectives sends 2 (n - 1) / n times the network through every connection, and its
2 (n - 1) steps wait each for half of what a sum of one number over two workers takes.

Example: python benchmarks/scaling.py --rounds 3
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "GenNet"), str(ROOT)]

from bench import write_copies  # noqa: E402

from cluster import free_addresses  # noqa: E402
from common import datasets, flags  # noqa: E402
from common.files import write_json, write_whole  # noqa: E402

CATEGORIES = {"GenNet": "lion_tiger", "DesNet": "egret"}
COLLECTIVES = {"GenNet": 6, "DesNet": 3}  # in an iteration, with the one that asks whether to stop
COUNT = 704  # images
BANDWIDTHS = {"1 Gbit/s": 1e9, "10 Gbit/s": 1e10, "100 Gbit/s": 1e11}
WORKERS = np.unique(np.geomspace(1, 1000, 61).round().astype(int))
BATCHES = {"the default batch": 1, "twice that": 2}  # of all workers together


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("benchmarks/scaling.py", __doc__)
    add = parser.add_argument
    add("--data_path", type=Path, default=ROOT / "data", help="folder that holds the categories")
    add("--rounds", type=flags.whole(1, 100), default=3, help="alternating rounds")
    add("--iterations", type=flags.whole(1, 10**6), default=30, help="iterations in a round")
    return parser


def learn(model: str, folder: Path, iterations: int, times: int, cores: list[list[int]]) -> dict:
    """What the first of some workers measures, each of which has some cores.

    Args:
        model: its name.
        folder: of images.
        iterations: that are timed.
        times: the default batch is taken.
        cores: of each worker.
    """
    addresses = free_addresses(len(cores))
    processes = []
    for rank, own in enumerate(cores):
        task = {"type": "worker", "index": rank}
        told = {"cluster": {"worker": addresses}, "task": task}
        words = [str(HERE / "scaling_worker.py"), model, str(folder), str(iterations), str(times)]
        process = subprocess.Popen(
            [sys.executable, *words, *map(str, own)],
            env={**os.environ, "TF_CONFIG": json.dumps(told)},
            stdout=subprocess.PIPE,
        )
        processes.append(process)
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"a worker of {model} ended with an error")
    return json.loads(outputs[0])


def measure(
    model: str, folder: Path, args: argparse.Namespace, times: int, cores: list[int]
) -> dict:
    """Images a second of one process and of two workers on the same cores.

    Args:
        model: its name.
        folder: of images.
        args: rounds and iterations.
        times: the default batch is taken.
        cores: two.
    """
    ways = {"one process": [cores], "two workers": [[core] for core in cores]}
    found: dict[str, list[dict]] = {way: [] for way in ways}
    for _ in range(args.rounds):
        for way, divided in ways.items():
            found[way].append(learn(model, folder, args.iterations, times, divided))
    result: dict = {}
    for way, measured in found.items():
        keys = measured[0].keys()
        result[way] = {key: statistics.median(m[key] for m in measured) for key in keys}
        result[way]["images_per_second"] = result[way]["images"] / result[way]["seconds"]
    result["ratio"] = (
        result["two workers"]["images_per_second"] / result["one process"]["images_per_second"]
    )
    return result


def calculated(model: str, measured: dict, bits_per_second: float) -> np.ndarray:
    """Images a second of each number of WORKERS: a calculation, not a measurement."""
    two = measured["two workers"]
    step = two["sum_of_one"] / 2
    compute = two["seconds"] - two["sum"] - (COLLECTIVES[model] - 1) * two["sum_of_one"]
    sent = 2 * (WORKERS - 1) / WORKERS * 32 * two["parameters"] / bits_per_second
    waited = COLLECTIVES[model] * 2 * (WORKERS - 1) * step
    return WORKERS * (two["images"] / 2) / (max(compute, 1e-9) + sent + waited)


def chart(results: dict) -> Figure:
    """The growth of each model, a default batch a worker, beside what was measured."""
    figure = Figure((11, 4), 100, layout="constrained")
    for axes, (model, batches) in zip(figure.subplots(1, 2), results.items(), strict=True):
        measured = batches["twice that"]
        for name, bits in BANDWIDTHS.items():
            axes.plot(WORKERS, calculated(model, measured, bits), label=f"calculated, {name}")
        rates = [measured[way]["images_per_second"] for way in ("one process", "two workers")]
        axes.plot([2], rates[1:], "ko", label="measured, two workers of a core")
        axes.axhline(rates[0], color="0.7", lw=1, zorder=0, label="measured, one process, 2 cores")
        axes.set(xscale="log", yscale="log", xlabel="workers of a core", ylabel="images a second")
        axes.set_title(f"{model}: a calculation from two workers", loc="left", fontsize=11)
        axes.legend(fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Measure, print and write; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        parser.exit(2, f"{parser.prog}: needs Linux and two cores\n")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for model, category in CATEGORIES.items():
            try:
                images = datasets.load(args.data_path / category, 64).images
            except datasets.DatasetError as mistake:
                parser.exit(2, f"{parser.prog}: {mistake}\n")
            path = Path(folder) / model
            write_copies(path, images.astype(np.float32), COUNT)
            results[model] = {}
            for batch, times in BATCHES.items():
                measured = measure(model, path, args, times, cores)
                results[model][batch] = measured
                images = measured["one process"]["images"]
                print(f"{model}, {COUNT} images, {images:.0f} an iteration ({batch})")
                for way in ("one process", "two workers"):
                    print(f"  {way:<12}{measured[way]['images_per_second']:7.1f} images a second")
                print(f"  ratio       {measured['ratio']:7.2f}")
    write_json(HERE / "scaling.json", results)
    picture = chart(results)
    write_whole(HERE / "scaling.png", lambda file: picture.savefig(file, format="png"))


if __name__ == "__main__":
    main()
