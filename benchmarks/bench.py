"""Measure this project beside PyTorch, in one run on one machine.

Every contender lives in a process of its own and waits while another is timed.  Rounds alternate
between them, so that the drift of a shared machine meets all alike; the median of the rounds is
reported, with the least and the most.  Writes results.json and chart.png next to this file.

Example: python benchmarks/bench.py --data_path ~/pictures --generator_category cats
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from importlib import import_module, metadata
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "GenNet")]

from common import datasets, flags  # noqa: E402
from common.files import read_json, write_json, write_whole  # noqa: E402

GOALS = [25.0, 30.0, 37.0]  # dB
SAMPLERS = ("preconditioned", "mala", "hmc", "langevin")
ITERATIONS = {"images": 40, "image_size": 12, "z_dim": 12}  # whose median tells of growth
TURN = 2.0  # seconds that a contender runs, at least, before the next: caches fill, threads settle

# FLOP, multiplications and additions counted apart, of a pass through each network for an image of
# 64 x 64.  A Langevin step is a pass forward and one backward; a learning step, three passes.
GENERATOR_FLOP = 2 * (
    2 * 256 + 256 * 8192 + 25 * (16 * 512 * 256 + 64 * 256 * 128 + 256 * 128 * 64 + 1024 * 64 * 3)
)
DESCRIPTOR_FLOP = 2 * 1024 * (16 * 3 * 64 + 4 * 64 * 128 + 128)
STEPS = 30

# What is timed for the same number of Langevin steps: the module, and options of its function.
CONTENDERS: dict[str, tuple[str, dict]] = {
    "PyTorch": ("peers", {"channels_last": False}),
    "PyTorch, channels last": ("peers", {"channels_last": True}),
    "PyTorch, bfloat16": ("peers", {"channels_last": False, "bfloat16": True}),
    "ours, float32": ("ours", {"precision": "float32"}),
    "ours, as it ships": ("ours", {"precision": "auto"}),
}
SAME_STEPS: dict[str, dict] = {  # the assignment's iteration: 30 steps, no more than it asks for
    "GenNet": {"sampler": "langevin", "parameter_expansion": False, "prior_draws": 0},
    "DesNet": {"network": "assignment", "mode_penalty": 0.0, "weight_decay": 0.0},
}


def data_parser(prog: str, description: str) -> flags.Parser:
    """The flags that say what is learned, and how often it is timed."""
    parser = flags.Parser(prog, description)
    add = parser.add_argument
    add("--data_path", type=Path, default=ROOT / "data", help="folder that holds the categories")
    add("--generator_category", default="lion_tiger", help="images that GenNet learns")
    add("--descriptor_category", default="egret", help="images that DesNet learns")
    add("--rounds", type=flags.whole(1, 1000), default=7, help="alternating rounds")
    return parser


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = data_parser("benchmarks/bench.py", __doc__)
    add = parser.add_argument
    add(
        "--limit",
        type=flags.number(1, 1e6),
        default=400.0,
        help="seconds that learning may take to its goals",
    )
    add(
        "--parts",
        nargs="+",
        choices=list(PARTS),
        default=list(PARTS),
        help="what to measure; what an earlier run measured of the rest is kept",
    )
    return parser


# Processes


def _serve(connection: Connection, module: str, function: str, arguments: dict) -> None:
    """In a process of its own: prepare a task, then run and time it whenever it is its turn."""
    run: Callable[[], object] = getattr(import_module(module), function)(**arguments)
    run()
    connection.send("ready")
    while connection.recv():
        count, seconds, start = 0, 0.0, time.perf_counter()
        while seconds < TURN:
            run()
            count += 1
            seconds = time.perf_counter() - start
        connection.send(seconds / count)


class Contender:
    """A task in a process of its own."""

    def __init__(self, module: str, function: str, arguments: dict) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, module, function, arguments), daemon=True
        )
        self._process.start()
        theirs.close()  # or else the end of the process goes unnoticed
        self._connection.recv()

    def seconds(self) -> float:
        """The mean time of the runs of a turn."""
        self._connection.send(True)
        return float(self._connection.recv())

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.send(False)
        self._process.join()


def _call(module: str, function: str, arguments: dict) -> Any:
    return getattr(import_module(module), function)(**arguments)


def apart(module: str, function: str, **arguments: Any) -> Any:
    """What a function returns that is called in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_call, module, function, arguments).result()


def alternate(tasks: dict[str, tuple[str, str, dict]], rounds: int) -> dict[str, dict]:
    """Time tasks in turn: by name the seconds of a run, median, least and most of the rounds."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    with ExitStack() as stack:
        contenders = {name: stack.enter_context(Contender(*task)) for name, task in tasks.items()}
        for _ in range(rounds):
            for name, contender in contenders.items():
                times[name].append(contender.seconds())
    return {
        name: {"median": statistics.median(of), "least": min(of), "most": max(of)}
        for name, of in times.items()
    }


def load_images(parser: flags.Parser, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """By model a batch of images [N, 64, 64, 3]; a sentence and exit code 2 if there are none."""
    if find_spec("torch") is None:
        parser.exit(2, f"{parser.prog}: no PyTorch; pip install -r benchmarks/requirements.txt\n")
    folders = {"GenNet": (args.generator_category, 11), "DesNet": (args.descriptor_category, 7)}
    try:
        return {
            model: datasets.load(args.data_path / category, 64).images[:batch].astype(np.float32)
            for model, (category, batch) in folders.items()
        }
    except datasets.DatasetError as mistake:
        parser.exit(2, f"{parser.prog}: {mistake}\n")


# Parts


def count_flop(model: str, images: np.ndarray) -> float:
    """FLOP of an iteration of the same work on images of 64 x 64."""
    flop = {"GenNet": GENERATOR_FLOP, "DesNet": DESCRIPTOR_FLOP}[model]
    passes = {"GenNet": 2 * STEPS + 3, "DesNet": 2 * STEPS + 6}[model]
    return flop * passes * len(images)


def measure_steps(args: argparse.Namespace, images: dict[str, np.ndarray]) -> dict:
    """An iteration of the same work: ours and PyTorch's; GFLOP/s; a matrix product beside it."""
    result: dict[str, dict] = {}
    size = {"size": 4096}
    for model in images:
        products = {
            dtype: ("ours", "matrix_product", size | {"dtype": dtype})
            for dtype in ("float32", "bfloat16")
        }
        peak = alternate(products, 3)
        tasks = {}
        for name, (module, options) in CONTENDERS.items():
            arguments = {"images": images[model], **options}
            if module == "ours":
                arguments |= SAME_STEPS[model]
            tasks[name] = (module, model.lower(), arguments)
        times = alternate(tasks, args.rounds)
        flop = count_flop(model, images[model])
        for row in times.values():
            row["gflop_per_second"] = flop / row["median"] / 1e9
        result[model] = {
            "images": len(images[model]),
            "gflop": flop / 1e9,
            "times": times,
            "matrix_product_gflop_per_second": {
                dtype: 2 * size["size"] ** 3 / row["least"] / 1e9 for dtype, row in peak.items()
            },
        }
        print_steps(model, result[model])
    return result


def print_steps(model: str, part: dict) -> None:
    """The rows of a model."""
    product = part["matrix_product_gflop_per_second"]
    print(
        f"{model}: {part['images']} images, {STEPS} Langevin steps and one of Adam,"
        f" {part['gflop']:.0f} GFLOP; a matrix product reaches {product['float32']:.0f} GFLOP/s in"
        f" float32, {product['bfloat16']:.0f} in bfloat16"
    )
    times = part["times"]
    eager = min(times[name]["median"] for name in ("PyTorch", "PyTorch, channels last"))
    for name, row in times.items():
        print(
            f"  {name:<24}{row['median']:7.3f} s  ({row['least']:.3f} to {row['most']:.3f})"
            f" {row['gflop_per_second']:6.0f} GFLOP/s  {eager / row['median']:5.2f} times"
        )


def measure_defaults(args: argparse.Namespace, images: dict[str, np.ndarray]) -> dict:
    """An iteration of each model by its defaults."""
    tasks = {
        model: ("ours", model.lower(), {"images": batch, "precision": "auto"})
        for model, batch in images.items()
    }
    times = alternate(tasks, args.rounds)
    for name, row in times.items():
        print(f"An iteration of {name} by default: {row['median']:.3f} s")
    return times


def measure_quality(args: argparse.Namespace, images: dict[str, np.ndarray]) -> dict:
    """Seconds of learning until reconstructions are good, for each sampler and the port."""
    common = {"images": images["GenNet"], "goals": GOALS, "limit": args.limit}
    result = {}
    for sampler in SAMPLERS:
        result[f"ours, {sampler}"] = apart("ours", "time_to_quality", **common, sampler=sampler)
    result["PyTorch, as commonly solved"] = apart("peers", "time_to_quality", **common)
    print(f"Seconds until the mean PSNR of {len(images['GenNet'])} reconstructions is")
    print(f"  {'':<30}" + "".join(f"{goal:>6.0f} dB" for goal in GOALS) + "   best")
    for name, row in result.items():
        row["reached"] = {f"{goal:g}": seconds for goal, seconds in row["reached"].items()}
        cells = "".join(
            f"{'never':>9}" if seconds is None else f"{seconds:9.1f}"
            for seconds in row["reached"].values()
        )
        print(f"  {name:<30}{cells}  {row['best']:5.1f} dB in {row['iterations']} iterations")
    return result


def measure_growth(args: argparse.Namespace, images: dict[str, np.ndarray]) -> dict:
    """Time and peak memory for more images, larger images and more dimensions."""
    result: dict[str, list] = {"images": [], "image_size": [], "z_dim": []}
    with tempfile.TemporaryDirectory() as folder:

        def run(model: str, count: int, kind: str, image_size: int = 64, **options: int) -> None:
            path = Path(folder) / model / str(count)
            if not path.exists():
                write_copies(path, images[model], count)
            measured = apart(
                "ours",
                "growth",
                **{"model": model, "folder": str(path), "image_size": image_size},
                iterations=ITERATIONS[kind],
                **options,
            )
            row = {"model": model, "images": count, "image_size": image_size, **options, **measured}
            result[kind].append(row)
            print(
                f"  {model} {count:>6} images of {image_size:>3}  {options or ''!s:<14}"
                f"{1000 * row['seconds']:8.1f} ms an image {row['memory']:7.0f} MB"
            )

        print("Growth: time of an iteration by image, peak memory of the process")
        for model in ("GenNet", "DesNet"):
            for count in (11, 44, 100, 176, 704, 10_000):
                run(model, count, "images")
        for image_size in (128, 224):
            run("GenNet", 11, "image_size", image_size)
            run("DesNet", 11, "image_size", image_size)
        for z_dim in (10, 100):
            run("GenNet", 11, "z_dim", z_dim=z_dim)
    return result


def write_copies(folder: Path, images: np.ndarray, count: int) -> None:
    """A folder of `count` images: those given, again and again, with noise."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        image = images[i % len(images)] + rng.normal(0, 8, images[0].shape)
        pixels = image.clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06}.png", compress_level=1)


def measure_start(args: argparse.Namespace, images: dict[str, np.ndarray]) -> dict:
    """Seconds from the command to the end of the first iteration, the least of three times."""
    result = {}
    for model in ("GenNet", "DesNet"):
        category = args.generator_category if model == "GenNet" else args.descriptor_category
        result[model] = min(first_iteration(model, args.data_path, category) for _ in range(3))
        print(f"{model} ends its first iteration {result[model]:.1f} s after the command")
    return result


def first_iteration(model: str, data_path: Path, category: str) -> float:
    """Seconds from the command to the first row of history.csv."""
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / category / "history.csv"
        command = [sys.executable, str(ROOT / model / "main.py"), f"--output_dir={folder}"]
        command += [f"--data_path={data_path}", f"--category={category}"]
        start = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while not history.exists() or history.read_text().count("\n") < 2:
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
                time.sleep(0.01)
            seconds = time.perf_counter() - start
            process.kill()
        return seconds


PARTS = {
    "steps": measure_steps,
    "defaults": measure_defaults,
    "quality": measure_quality,
    "growth": measure_growth,
    "start": measure_start,
}


# Results


def chart(results: dict) -> Figure:
    """Bars: an iteration of the same work, and the time to each goal."""
    figure = Figure((11, 6), 100, layout="constrained")
    upper = figure.subplots(2, 2)
    for axes, (model, part) in zip(upper[0], results["steps"].items(), strict=True):
        names = list(part["times"])[::-1]
        seconds = [part["times"][name]["median"] for name in names]
        colours = ["C0" if name.startswith("ours") else "0.7" for name in names]
        axes.bar_label(axes.barh(names, seconds, color=colours), fmt=" %.2f s")
        axes.set_title(f"{model}: {STEPS} Langevin steps, one of Adam", loc="left", fontsize=11)
        axes.set_xlim(0, 1.2 * max(seconds))
    axes = upper[1, 0]
    quality = results["quality"]
    names = list(quality)[::-1]
    for i, goal in enumerate(quality[names[0]]["reached"]):
        seconds = [quality[name]["reached"][goal] or np.nan for name in names]
        place = np.arange(len(names)) + 0.25 * (1 - i)
        axes.barh(place, seconds, 0.25, label=f"{goal} dB")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    for i, name in enumerate(names):
        if not any(quality[name]["reached"].values()):
            axes.text(0, i, f" never: {quality[name]['best']:.1f} dB at best", va="center")
    axes.set_title("GenNet: seconds until the mean PSNR is", loc="left", fontsize=11)
    axes.legend()
    axes = upper[1, 1]
    for model in ("GenNet", "DesNet"):
        rows = [row for row in results["growth"]["images"] if row["model"] == model]
        counts = [row["images"] for row in rows]
        axes.plot(counts, [1000 * row["seconds"] for row in rows], "o-", label=model)
    slowest = 1000 * max(row["seconds"] for row in results["growth"]["images"])
    axes.set(xscale="log", ylim=(0, 1.2 * slowest), xlabel="images")
    axes.set_title("Milliseconds an image, by default", loc="left", fontsize=11)
    axes.legend(loc="lower left")
    for axes in upper.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def machine() -> dict:
    """What the figures depend on."""
    model = platform.processor()
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open("/proc/cpuinfo"))
            model = next(line.partition(":")[2].strip() for line in file if "model name" in line)
        except (OSError, StopIteration):
            pass
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("tensorflow", "torch", "numpy")},
    }


def main() -> None:
    """Measure, print and write; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    args = parser.parse_args()
    images = load_images(parser, args)
    path = HERE / "results.json"
    results = read_json(path) if path.exists() else {}
    results["machine"] = machine()
    for part in args.parts:
        results[part] = PARTS[part](args, images)
        write_json(path, results)
    if {"steps", "quality", "growth"} <= results.keys():
        picture = chart(results)
        write_whole(HERE / "chart.png", lambda file: picture.savefig(file, format="png"))


if __name__ == "__main__":
    main()
