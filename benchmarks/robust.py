"""Learn folders that no default is tuned to, each with default flags, and print what comes of it.

Both models learn each of the folders of folders.py: an hour on 2 cores.  Writes robust.json next to
this file, after every run, with the commit that it is of; what is not learned stays as it was.
Example: python benchmarks/robust.py --folders gradients one
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "GenNet")]

import folders  # noqa: E402

from common import flags, naturalness  # noqa: E402
from common.files import read_arrays, read_json, write_json  # noqa: E402

JSON = HERE / "robust.json"  # seed -> folder -> model -> figures
MODELS = ("GenNet", "DesNet")
KEPT = {  # figures of metrics.json
    "GenNet": ("psnr", "psnr_worst", "ssim", "psnr_baseline", "natural_tiles", "ghost_tiles"),
    "DesNet": ("psnr", "psnr_worst", "ssim", "psnr_baseline", "out_of_range", "ghost_tiles"),
}
SHARED = ("patch_distance", "roll_backs", "learning_seconds", "iterations", "images")


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("benchmarks/robust.py", __doc__)
    names = ", ".join(folders.FOLDERS)
    parser.add_argument(
        "--folders",
        nargs="+",
        type=flags.choice(list(folders.FOLDERS)),
        metavar="NAME",
        help=f"which of {names} (default: all)",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        type=flags.choice(list(MODELS)),
        metavar="MODEL",
        default=MODELS,
        help="which of GenNet and DesNet (default: both)",
    )
    parser.add_argument("--seed", type=flags.whole(0, 2**31 - 1), default=0, help="of the runs")
    return parser


def learn(model: str, data: Path, category: str, seed: int) -> dict[str, Any]:
    """The figures of a default run, or the sentence that it ended with.

    Args:
        model: GenNet or DesNet.
        data: folder that holds the category.
        category: folder of images.
        seed: of the run.
    """
    output = data / "output" / model
    words = [sys.executable, str(ROOT / model / "main.py"), f"--data_path={data}"]
    words += [f"--category={category}", f"--output_dir={output}", f"--seed={seed}"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["without a word"])[-1]}
    run = output / category
    metrics = json.loads((run / "metrics.json").read_text())
    told = {name: metrics[name] for name in (*KEPT[model], *SHARED)} | {"commit": commit()}
    if model == "DesNet":
        arrays = read_arrays(run / "results.npz")
        flat = naturalness.patch_distance(arrays["starts"], arrays["images"])
        told["patch_distance_baseline"] = flat
    return told


def commit() -> str:
    """That of the code, "" where git does not tell."""
    words = ["git", "-C", str(ROOT), "log", "-1", "--format=%h", "--", *MODELS, "data"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def line(name: str, found: dict[str, Any]) -> str:
    """The row of a folder."""
    cells = [f"{name:<12}"]
    for model in MODELS:
        figures = found.get(model, {"failed": "not learned yet"})
        if "failed" in figures:
            cells.append(f"{model}: {figures['failed']}")
            continue
        share = "natural_tiles" if model == "GenNet" else "ghost_tiles"
        cells.append(
            f"{figures['images']:5d}{figures['psnr_baseline']:7.1f}{figures['psnr']:7.1f}"
            f"{figures['psnr_worst']:7.1f}{figures['ssim']:7.3f}{100 * figures[share]:6.0f} %"
            f"{figures['patch_distance']:7.3f}{figures['roll_backs']:4d}"
            f"{figures['learning_seconds']:6.0f} s"
        )
    return " |".join(cells)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write; a mistake of the user's ends it with a sentence and exit code 2."""
    args: argparse.Namespace = make_parser().parse_args(arguments)
    heading = "images   {}   PSNR  worst   SSIM  {}  patch back  time"
    headings = [heading.format(*words) for words in (("mean", "nat."), ("flat", "ghosts"))]
    print(f"{'':<12} |GenNet: {headings[0]} |DesNet: {headings[1]}")
    told = read_json(JSON) if JSON.exists() else {}
    results: dict[str, Any] = told.get(str(args.seed), {})
    for name in args.folders or folders.FOLDERS:
        with tempfile.TemporaryDirectory() as data:
            folders.write(name, Path(data) / name)
            for model in args.models:
                found = results.setdefault(name, {"what": folders.FOLDERS[name][0]})
                found[model] = learn(model, Path(data), name, args.seed)
                in_order = {name: results[name] for name in folders.FOLDERS if name in results}
                write_json(JSON, told | {str(args.seed): in_order})
        print(line(name, results[name]), flush=True)


if __name__ == "__main__":
    main()
