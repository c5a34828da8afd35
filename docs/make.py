"""Make every picture and every figure that the README and the pages of docs/ show.

Example: python docs/make.py --photographs ~/photos

It runs what is listed in RUNS, of the code that is committed, under output/docs/; figures go to
docs/figures.json, pictures of the drawn images to docs/, and the texts are written from
docs/templates/.  A run that is there already, of the same code, is not made again.  Pictures and
figures of photographs are kept apart: without --photographs theirs stay as they are, and no picture
is made of them.  With --only, figures of the other runs stay, each with the commit that made it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbclient import NotebookClient
from PIL import Image, PngImagePlugin
from playwright.sync_api import sync_playwright

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(ROOT / "GenNet")]

from common.experiment import ABILITIES  # noqa: E402
from families import table  # noqa: E402

FIGURES = DOCS / "figures.json"
TEMPLATES = DOCS / "templates"
NOTEBOOK = DOCS / "walk.ipynb"
CODE = ("GenNet", "DesNet", "data", "requirements.txt")  # what the numbers of a run depend on,
COMPARED = (*CODE, "Baselines", "families", "compare.py", "Makefile")  # and of the comparison
RUN_ID = "Run"  # the text in a picture that names its run

CHAINS = "DesNet/main.py --long_run 10000"
CONVERGENT = "DesNet/main.py --learning convergent --long_run 10000"
SHORT = "DesNet/main.py --learning short_run --long_run 10000"
HELD_OUT = "--holdout 1.jpg 4.jpg A1.jpg A4.jpg"
RUNS: dict[str, dict[str, str]] = {  # of which images -> name -> command
    "drawn": {
        "convergent": CONVERGENT,
        "occlusion": "GenNet/main.py --occlude 70%",
        "gennet": "GenNet/main.py",
        "desnet": CHAINS,
        "short": SHORT,
    },
    "photographs": {
        "gennet": "GenNet/main.py",
        **{f"gennet_{seed}": f"GenNet/main.py --seed {seed}" for seed in range(1, 5)},
        "egret_0": CHAINS,
        "lion_tiger_0": f"{CHAINS} --category lion_tiger",
        **{f"egret_{seed}": f"DesNet/main.py --seed {seed}" for seed in range(1, 5)},
        **{
            f"lion_tiger_{seed}": f"DesNet/main.py --category lion_tiger --seed {seed}"
            for seed in range(1, 5)
        },
        "short": SHORT,
        "convergent": CONVERGENT,
        "mala": "DesNet/main.py --sampler mala",
        "occlusion": "GenNet/main.py --occlude 70%",
        "occlusion_square": "GenNet/main.py --occlude 20px",
        "holdout": f"GenNet/main.py {HELD_OUT}",
    },
}
# Runs of which more is measured, and how: a picture of a posterior takes fewer draws than a table.
POSTERIOR = "GenNet/posterior.py --output_dir {output} --category {name}"
LIKELIHOOD = "DesNet/likelihood.py {output}/{name}"
SAMPLES = "DesNet/synthesize.py {output}/{name} --start noise --count 64 --nearest"
MEASURED = {
    "drawn/gennet": (f"{POSTERIOR} --draws 500",),
    "photographs/gennet": (f"{POSTERIOR} --draws 500",),
    "drawn/desnet": (LIKELIHOOD, SAMPLES),
    "photographs/egret_0": (LIKELIHOOD,),
    "photographs/lion_tiger_0": (LIKELIHOOD,),
}
PICTURES = {  # in docs/ -> the run of drawn images, and its picture
    "gennet_reconstruction.png": ("gennet", "reconstruction.png"),
    "gennet_interpolation.png": ("gennet", "interpolation.png"),
    "gennet_posterior.png": ("gennet", "posterior.png"),
    "gennet_occlusion.png": ("occlusion", "occlusion.png"),
    "desnet_synthesis.png": ("desnet", "synthesis.png"),
    "desnet_langevin.png": ("desnet", "langevin.png"),
    "desnet_long_run.png": ("desnet", "long_run.png"),
    "desnet_energies.png": ("desnet", "energies.png"),
    "desnet_samples.png": ("desnet", "synthesized.png"),
    "desnet_long_run_short.png": ("short", "long_run.png"),
}
REPORTED = ("gennet", "desnet")  # runs on the page of which report.png is a picture
FAMILIES = {"lion_tiger": 64, "egret": 64, "digits": 16}  # category -> side of its images, pixels
PAGES = {  # of a template -> where it is written
    "README.md": ROOT / "README.md",
    **{
        name: DOCS / name
        for name in ("posterior.md", "chains.md", "unseen.md", "families.md", "speed.md")
    },
}


def run_python(arguments: list[str]) -> None:
    """Run a script of the project; its words go to the terminal.

    Raises:
        SystemExit: it failed.
    """
    print(f"python {' '.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT)
    if done.returncode:
        sys.exit(done.returncode)


def git(*arguments: str) -> str:
    """What git says."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def committed(code: Sequence[str] = CODE) -> str:
    """The last commit that changed the code.

    Raises:
        SystemExit: what lies in the folders is not what is committed.
    """
    if git("status", "--porcelain", "--", *code):
        sys.exit(f"docs/make.py: {', '.join(code)} hold changes: commit them first.")
    return git("log", "-1", "--format=%h", "--", *code)


def learn(command: str, folder: Path, photographs: Path | None) -> None:
    """Make a run in `folder`, unless it is there."""
    measured = MEASURED.get(f"{folder.parent.name}/{folder.name}", ())
    done = folder / "done"
    if done.exists() and done.read_text() == repr(measured):
        return
    where = [f"--output_dir={folder.parent}", f"--name={folder.name}", "--resume=auto"]
    if photographs:
        where.append(f"--data_path={photographs}")
    run_python([*command.split(), *where])
    for how in measured:
        run_python([word.format(output=folder.parent, name=folder.name) for word in how.split()])
    done.write_text(repr(measured))


def figures_of(folder: Path, command: str, commit: str) -> dict[str, Any]:
    """What the texts may say of a run: its figures that are numbers, and those of its parts."""
    metrics = json.loads((folder / "metrics.json").read_text())
    told: dict[str, Any]
    told = {k: v for k, v in metrics.items() if isinstance(v, int | float)}
    for part in ("occlusion", "holdout"):
        if part in metrics:
            told[part] = {way: v for way, v in metrics[part].items() if way != "by_image"}
    for part in ("posterior", "long_run", "likelihood"):
        path = folder / f"{part}.json"
        if path.exists():
            told[part] = json.loads(path.read_text())
            for by_one in ("images", "log_z_by_chain"):
                told[part].pop(by_one, None)
    arrays = hashlib.sha256((folder / "results.npz").read_bytes()).hexdigest()
    versions = metrics["versions"]
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), **versions}
    where = {"commit": commit, "folder": str(folder.relative_to(ROOT)), **machine}
    return {"id": arrays[:12], "command": f"python {command}", **where, **told}


def make_half(
    half: str, photographs: Path | None, only: list[str] | None, before: dict[str, Any]
) -> dict[str, Any]:
    """Make the runs of the drawn images or of the photographs.

    Args:
        half: which.
        photographs: their folder.
        only: names of the runs to make; None: all.
        before: the figures that there are, by name.

    Returns:
        The figures by name of the run.
    """
    commit = committed()
    output = ROOT / "output" / "docs" / commit / half
    runs = {}
    for name, command in RUNS[half].items():
        if only is not None and name not in only:
            runs[name] = before[name]
            continue
        learn(command, output / name, photographs)
        runs[name] = figures_of(output / name, command, commit)
    return runs


def make_families() -> dict[str, Any]:
    """Learn every model on each category of FAMILIES; the comparison, whose picture is copied."""
    told: dict[str, Any] = {"commit": committed(COMPARED), "pictures": {}, "categories": {}}
    for category, side in FAMILIES.items():
        words = ["make", "baselines", f"CATEGORY={category}", f"SIZE={side}"]
        print(" ".join(words), flush=True)
        subprocess.run(words, cwd=ROOT, check=True)
        found = json.loads((ROOT / "output" / "comparison.json").read_text())[category]
        told["categories"][category] = found
        text = json.dumps(found, sort_keys=True).encode()
        told["pictures"][category] = hashlib.sha256(text).hexdigest()[:12]
        name = f"families_{category}.png"
        with Image.open(ROOT / "output" / name) as picture:
            save(picture, DOCS / name, told["pictures"][category])
    return told


def make_pictures(
    runs: dict[str, Any], only: list[str] | None, before: dict[str, str]
) -> dict[str, str]:
    """Copy the pictures of the drawn images, each with the id of its run in it.

    Args:
        runs: figures of each.
        only: those that were made anew; None: all.
        before: what was told of the pictures that there are.

    Returns:
        Name in docs/ -> id of the run.
    """
    told = {}
    for name, (run, source) in PICTURES.items():
        if only is not None and run not in only:
            told[name] = before[name]
            continue
        told[name] = runs[run]["id"]
        with Image.open(ROOT / runs[run]["folder"] / source) as picture:
            save(picture, DOCS / name, told[name])
    if only is not None and not set(REPORTED) <= set(only):
        return told | {"report.png": before["report.png"]}
    folders = [ROOT / runs[run]["folder"] for run in REPORTED]
    page = folders[0].parent / "report.html"
    run_python(["report.py", *map(str, folders), f"--output={page}"])
    told["report.png"] = " ".join(runs[run]["id"] for run in REPORTED)
    screenshot(page, DOCS / "report.png", told["report.png"])
    return told


def save(picture: Image.Image, path: Path, run: str) -> None:
    """Write a PNG that names its run; of 256 colours, which no eye tells from all at this size."""
    text = PngImagePlugin.PngInfo()
    text.add_text(RUN_ID, run)
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        path, pnginfo=text, optimize=True
    )


def walk(run: Path) -> nbformat.NotebookNode:
    """The notebook, run on the run in a folder, with what its cells show."""
    notebook = nbformat.read(NOTEBOOK, 4)
    with tempfile.TemporaryDirectory() as folder:
        # It is in docs/, and the run where a default run of GenNet lies.
        place = Path(folder, "docs")
        model = Path(folder, "output", "GenNet")
        for made in (place, model):
            made.mkdir(parents=True)
        Path(folder, "GenNet").symlink_to(ROOT / "GenNet")
        (model / "lion_tiger").symlink_to(run)
        NotebookClient(notebook, resources={"metadata": {"path": str(place)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
    return notebook


def browser_here() -> str:
    """Where Chromium is.

    Raises:
        SystemExit: there is none.
    """
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        sys.exit("docs/make.py: report.png needs Chromium: install it (apt-get install chromium).")
    return found


def screenshot(page: Path, path: Path, run: str) -> None:
    """A picture of the head of the report, as a browser shows it."""
    with sync_playwright() as playwright:
        # Root has no sandbox to run Chromium in.
        browser = playwright.chromium.launch(
            executable_path=browser_here(), chromium_sandbox=os.geteuid() != 0
        )
        view = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
        view.goto(page.as_uri())
        view.locator(".thumb").first.wait_for()
        view.screenshot(path=path)
        browser.close()
    with Image.open(path) as picture:
        picture.load()
    save(picture, path, run)


def rendered(figures: dict[str, Any]) -> dict[str, str]:
    """Every page, by the name of its template, with these figures in it."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    known = {
        **{half: figures[half] for half in RUNS},
        "benchmark": json.loads((ROOT / "benchmarks" / "results.json").read_text()),
        "robust": json.loads((ROOT / "benchmarks" / "robust.json").read_text())["0"],
        "arrivals": json.loads((ROOT / "benchmarks" / "arrivals.json").read_text()),
        "families": figures.get("families", {}).get("categories", {}),
        "table": table,
        "abilities": ABILITIES,
        "floor": noise_floor,
        "over": over,
        "zip": zip,
    }
    return {name: environment.get_template(f"{name}.jinja").render(known) for name in PAGES}


def noise_floor(sigma: float) -> float:
    """Bits per dimension of Gaussian noise on images in [-1, 1], per grey level of 127.5 a unit."""
    return math.log2(127.5 * sigma * math.sqrt(2 * math.pi))


def over(runs: dict[str, Any], names: str, figure: str) -> list[float]:
    """A figure of several runs, those whose name begins so, in ascending order."""
    return sorted(run[figure] for name, run in runs.items() if name.startswith(names))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("docs/make.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--photographs",
        type=Path,
        metavar="FOLDER",
        help="that holds lion_tiger and egret: make their figures, not those of drawn images",
    )
    parser.add_argument(
        "--texts", action="store_true", help="write the texts alone, from docs/figures.json"
    )
    parser.add_argument(
        "--families", action="store_true", help="make the comparison of all models alone"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="make these of the runs, and leave the others"
    )
    args = parser.parse_args(arguments)
    if (
        unknown := set(args.only or [])
        - RUNS["photographs" if args.photographs else "drawn"].keys()
    ):
        parser.error(f"--only: no run is called {', '.join(sorted(unknown))}; see RUNS")
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if args.only is not None and not args.photographs:
        kept = {name for name, (run, _) in PICTURES.items() if run not in args.only}
        if lacking := kept - figures.get("pictures", {}).keys():
            parser.error(f"--only: {', '.join(sorted(lacking))} was never made: make it as well")
    if args.families:
        figures["families"] = make_families()
    elif args.photographs and not args.texts:
        before = figures.get("photographs", {})
        figures["photographs"] = make_half(
            "photographs", args.photographs.resolve(), args.only, before
        )
    elif not args.texts:
        browser_here()  # before minutes of learning
        figures["drawn"] = make_half("drawn", None, args.only, figures.get("drawn", {}))
        told = figures.get("pictures", {})
        figures["pictures"] = make_pictures(figures["drawn"], args.only, told)
        if args.only is None or "gennet" in args.only:
            nbformat.write(walk(ROOT / figures["drawn"]["gennet"]["folder"]), NOTEBOOK)
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    if figures.keys() >= RUNS.keys():
        for name, text in rendered(figures).items():
            PAGES[name].write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
