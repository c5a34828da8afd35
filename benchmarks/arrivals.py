"""How many new chains of DesNet arrive at an image, at which ones, and whether they stay there.

Learns every category with default flags and every seed, under output/arrivals/COMMIT/, unless it
is there; then runs CHAINS chains from noise and as many from mean images, and all of them on.  A
chain has arrived where it is at 20 dB and an SSIM of 0.6 to the training image nearest to it.
Writes arrivals.json next to this file, after every run, with the commit that it is of: 25 minutes a
run on 2 cores.  Example: python benchmarks/arrivals.py --data_path ~/photos --name photographs
"""

import argparse
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "DesNet")]

import numpy as np  # noqa: E402
from robust import commit  # noqa: E402
from tqdm import tqdm  # noqa: E402

from common import endings, flags, quality, run_folder  # noqa: E402
from common.files import read_json, write_json  # noqa: E402

JSON = HERE / "arrivals.json"  # name of the images -> category -> seed -> figures
CHAINS = 64  # from each start
STARTS = ("noise", "mean")
PSNR, SSIM = 20.0, 0.6  # of an arrival
PIECE = 500  # steps that chains run on between two moves of the bar


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("benchmarks/arrivals.py", __doc__)
    parser.add_argument("--data_path", type=Path, default=ROOT / "data", help="of the categories")
    parser.add_argument("--name", default="drawn", help="what the images there are called")
    parser.add_argument("--categories", nargs="+", default=["egret", "lion_tiger"], help="of them")
    seed, steps = flags.whole(0, 2**31 - 1), flags.whole(0, 10**9)
    parser.add_argument("--seeds", nargs="+", type=seed, default=[0, 1, 2], help="of the runs")
    parser.add_argument("--steps", type=steps, default=10_000, help="that chains run on")
    return parser


def learn(args: argparse.Namespace, code: str, category: str, seed: int) -> Path:
    """The folder of a default run of the code of a commit, which is made unless it is there."""
    output = ROOT / "output" / "arrivals" / code / args.name
    words = [str(ROOT / "DesNet" / "main.py"), f"--data_path={args.data_path}"]
    words += [f"--category={category}", f"--seed={seed}", f"--output_dir={output}"]
    words += [f"--name={category}_{seed}", "--resume=auto"]
    done = subprocess.run([sys.executable, *words])
    if done.returncode:  # it has said why
        sys.exit(done.returncode)
    return output / f"{category}_{seed}"


def judged(chains: np.ndarray, images: np.ndarray) -> dict[str, Any]:
    """Where chains stand [n, S, S, 3], beside the training images [N, S, S, 3]."""
    nearest = quality.nearest(chains, images)
    psnr, ssim = quality.psnr_and_ssim(chains, images[nearest])
    arrived = (psnr >= PSNR) & (ssim >= SSIM)
    counts = np.bincount(nearest[arrived], minlength=len(images))
    return {
        "arrived": float(arrived.mean()),
        "counts": counts.tolist(),  # of those that did, by image
        "psnr": float(psnr.mean()),
        "ssim": float(ssim.mean()),
        "out_of_range": quality.out_of_range(chains),
    }


def measure(folder: Path, steps: int) -> dict[str, Any]:
    """Chains of a run from every start: when they have arrived, and after so many more steps."""
    model = import_module("DesNet").load(folder)
    images = run_folder.read(folder, "DesNet", type(model.settings)).images()[0]["learned"]
    told: dict[str, Any] = {"steps": steps}
    for start in STARTS:
        way = model.length_from(start)
        chains = model.run_chains(model.starts(CHAINS, start), way, kind=start)
        told[start] = {"way": way, "arrived": judged(chains, images)}
        with tqdm(total=steps, desc=start, unit="step", leave=False, dynamic_ncols=True) as bar:
            for done in range(0, steps, PIECE):
                piece = min(PIECE, steps - done)
                chains = model.run_chains(chains, piece, way + done, start)
                bar.update(piece)
        told[start]["stayed"] = judged(chains, images)
    return told


def line(category: str, seed: int, told: dict[str, Any]) -> str:
    """The row of a run."""
    cells = [f"{category:<12}{seed:4d}"]
    for start in STARTS:
        for when in ("arrived", "stayed"):
            found = told[start][when]
            seen, most = np.count_nonzero(found["counts"]), max(found["counts"])
            cells.append(
                f"{100 * found['arrived']:6.0f} %{seen:4d} of {len(found['counts'])}, at most"
                f" {most:2d}; {found['ssim']:.3f}, {100 * found['out_of_range']:.1f} %"
            )
    return " |".join(cells)


def run(args: argparse.Namespace) -> None:
    """Measure, print and write."""
    results, code = read_json(JSON) if JSON.exists() else {}, commit()
    print("category    seed |from noise: arrived, images; SSIM, out of range |and after more steps")
    print("                 |from mean images                                |and after more steps")
    for category in args.categories:
        for seed in args.seeds:
            told = measure(learn(args, code, category, seed), args.steps) | {"commit": code}
            of_seeds = results.setdefault(args.name, {}).setdefault(category, {})
            of_seeds[str(seed)] = told
            write_json(JSON, results)
            print(line(category, seed, told), flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    parser = make_parser()
    endings.end_in_a_sentence(
        parser.prog, lambda: run(parser.parse_args(arguments)), "stopped; runs that ended are kept"
    )


if __name__ == "__main__":
    main()
