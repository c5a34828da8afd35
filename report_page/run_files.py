"""The files of a run, read for the report.  What is missing or damaged is noted, not fatal."""

import csv
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MARKS = ("config.json", "metrics.json", "history.csv", "results.npz")  # any of them marks a run
INSIDE_A_RUN = {"checkpoints", "log", "progress"}

FORMAT = 1  # of the runs that this page reads, see common/run.py
# What a section of the page needs: the names of its texts, and of what it reads of the run.
SECTIONS: dict[str, tuple[set[str], set[str]]] = {
    "plane": (set(), {"picture", "z", "walk"}),
    "tiles": ({"title", "caption"}, set()),
    "sheet": ({"title", "alt", "caption"}, {"array"}),
    "gif": ({"title", "label", "alt", "caption"}, {"picture"}),
    "sprite": ({"title", "label", "alt", "caption"}, {"picture"}),
}

# What the libraries raise for files that are not what their names say.
DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, SyntaxError, RecursionError),
    *(struct.error, zipfile.BadZipFile, zlib.error, Image.DecompressionBombError),
)


class DamagedError(ValueError):
    """A file that can be read, but does not hold what it should; the message says what."""


@dataclass
class Run:
    """What a run has written, as far as it can be read.

    Attributes:
        folder: where it lies.
        model: its name, or "" if no manifest tells.
        config: its flags.
        manifest: what the run says that its files are.
        metrics: what it reached.
        history: column -> a value for each iteration, None where it is not finite.
        arrays: those of results.npz, and "posterior" [N, m, m] if the run wrote posterior.npz.
        pictures: file name -> picture; progress panels under "progress/...".
        missing: a sentence for each file that is missing or damaged.
    """

    folder: Path
    model: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[float | None]] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, Image.Image] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder as a user knows it: DesNet/egret, or DesNet/egret.1 if moved aside."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def category(self) -> str:
        """What it learned."""
        return str(self.config.get("category", self.folder.name))

    @property
    def sections(self) -> list[dict[str, Any]]:
        """What the manifest says that the page shows, in order."""
        return self.manifest.get("sections", [])

    def about(self, picture: str) -> dict[str, Any]:
        """What the manifest says of a picture."""
        return self.manifest["pictures"][picture]

    def figure(self, name: str) -> float | None:
        """A figure of metrics.json, None if it is not there or no finite number."""
        return finite(self.metrics.get(name))

    def figures_by_image(self, name: str) -> dict[str, float | None]:
        """A figure of each image, by file name, in the order of the arrays."""
        values = self.metrics.get(name)
        return {k: finite(v) for k, v in values.items()} if isinstance(values, dict) else {}


def finite(value: object) -> float | None:
    """The value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def is_run(folder: Path) -> bool:
    """Whether a folder holds a file by which a run is known."""
    return any((folder / name).is_file() for name in MARKS)


def find(output: Path) -> list[Path]:
    """The folders of all runs under `output`, GenNet's first."""
    folders = {path.parent for mark in MARKS for path in output.rglob(mark)}
    return sorted(
        (f for f in folders if f.name not in INSIDE_A_RUN),
        key=lambda f: (f.parent.name != "GenNet", f),
    )


def read(folder: Path) -> Run:
    """Read all that the page needs of the run in `folder`, as its manifest says.

    A run may have posterior.npz: `density` [N, m, m], the posterior density of the z of each
    training image at z_2 = z_axis[row], z_1 = z_axis[column], and the even `z_axis` [m], which
    reaches as far as the plane.
    """
    run = Run(folder)
    if not (folder / "manifest.json").is_file():
        run.missing.append("manifest.json is missing, as in runs of old versions: make it again")
    else:
        _attempt(run, "manifest.json", lambda path: run.manifest.update(_manifest(path)))
    run.model = str(run.manifest.get("model", ""))
    _attempt(run, "config.json", lambda path: run.config.update(_dictionary(path)))
    _attempt(run, "metrics.json", lambda path: run.metrics.update(_dictionary(path)))
    _attempt(run, "history.csv", lambda path: _history(path, run.history))
    _attempt(run, "results.npz", lambda path: run.arrays.update(_arrays(path, run.sections)))
    planes = [section["picture"] for section in run.sections if section["kind"] == "plane"]
    if planes and (folder / "posterior.npz").is_file():
        reach = run.about(planes[0])["reach"]
        _attempt(
            run,
            "posterior.npz",
            lambda path: run.arrays.update(posterior=_posterior(path, reach)),
        )
    names = [section["picture"] for section in run.sections if "picture" in section]
    panels = [f"progress/{path.name}" for path in sorted((folder / "progress").glob("*.png"))]
    for name in names + (panels if run.manifest else []):
        _attempt(
            run,
            name,
            lambda path: run.pictures.update({path.relative_to(folder).as_posix(): _picture(path)}),
        )
    return run


def _attempt(run: Run, name: str, reader: Callable[[Path], object]) -> None:
    path = run.folder / name
    if not path.is_file():
        run.missing.append(f"{name} is missing")
        return
    try:
        reader(path)
    except DamagedError as error:
        run.missing.append(f"{name} is damaged: {error}")
    except DAMAGE:
        run.missing.append(f"{name} is damaged")


def _dictionary(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise DamagedError("it holds no dictionary")
    return value


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest, all of whose sections, pictures and charts are as the page needs them."""
    manifest = _dictionary(path)
    if manifest.get("format") != FORMAT:
        raise DamagedError(f"its format is {manifest.get('format')}, not {FORMAT}")
    for name in ("model", "sentence", "baseline"):
        if not isinstance(manifest.get(name), str):
            raise DamagedError(f"it has no {name}")
    progress = manifest.get("progress")
    if not isinstance(progress, dict) or not isinstance(progress.get("scale"), int):
        raise DamagedError("it has no scale of the panels of progress")
    pictures = manifest.get("pictures")
    for section in _dictionaries(manifest, "sections"):
        texts, reads = SECTIONS.get(str(section.get("kind")), (None, set()))
        if texts is None or not all(isinstance(section.get(k), str) for k in texts | reads):
            raise DamagedError(f"it has a section that the page does not know: {section}")
        arrays = section.get("arrays")
        if section["kind"] == "tiles" and not (isinstance(arrays, dict) and "images" in arrays):
            raise DamagedError("it has tiles without images")
        if "picture" in reads and not _is_told(pictures, section):
            raise DamagedError(f"it does not say what {section['picture']} is")
    for chart in _dictionaries(manifest, "charts"):
        if not all(isinstance(chart.get(k), str) for k in ("column", "title", "label", "advice")):
            raise DamagedError(f"it has a chart that the page does not know: {chart}")
    return manifest


def _dictionaries(manifest: dict[str, Any], name: str) -> list[dict[str, Any]]:
    values = manifest.get(name)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise DamagedError(f"{name} is no list")
    return values


def _is_told(pictures: object, section: dict[str, Any]) -> bool:
    """Whether the manifest says of a section's picture what the page must know."""
    about = pictures.get(section["picture"]) if isinstance(pictures, dict) else None
    if not isinstance(about, dict):
        return False
    numbers: dict[str, tuple[str, ...]]
    numbers = {"plane": ("side", "reach"), "gif": ("scale", "milliseconds")}
    numbers["sprite"] = ("milliseconds",)
    there = all((finite(about.get(k)) or 0) > 0 for k in numbers[section["kind"]])
    if section["kind"] != "sprite":
        return there
    frames = about.get("frames")
    return there and isinstance(frames, list) and bool(frames)


def _history(path: Path, history: dict[str, list[float | None]]) -> None:
    """Append the rows to the columns of `history`, up to the first that is damaged."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        columns = next(rows, [])
        if "iteration" not in columns:
            raise DamagedError("it has no column of iterations")
        history.update({column: [] for column in columns})
        for row in rows:
            try:
                values = [finite(float(text)) for text in row]
            except ValueError:
                values = []
            if len(values) != len(columns) or values[columns.index("iteration")] is None:
                raise DamagedError(f"line {rows.line_num} cannot be read")
            for column, value in zip(columns, values, strict=True):
                history[column].append(value)


def _arrays(path: Path, sections: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The arrays, of which those that the sections show are as they should be."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    images = {name for s in sections if s["kind"] == "tiles" for name in s["arrays"]}
    flat = {s[k] for s in sections if s["kind"] == "plane" for k in ("z", "walk")}
    sheets = {s["array"] for s in sections if s["kind"] == "sheet"}
    for name in sorted(images | flat | sheets):
        if name not in arrays:
            raise DamagedError(f"{name} is not in it")
        array, dimensions = arrays[name], 2 if name in flat else 4
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise DamagedError(f"{name} holds no finite numbers")
        square = array.ndim == 4 and array.shape[1] == array.shape[2] and array.shape[3] == 3
        if array.ndim != dimensions or array.size == 0 or (dimensions == 4 and not square):
            raise DamagedError(f"{name} has the shape {array.shape}")
    shown = len(arrays["images"])
    for name in sorted(images):
        if len(arrays[name]) != shown:
            raise DamagedError(f"{name} are {len(arrays[name])}, not {shown}")
    for name in (s["z"] for s in sections if s["kind"] == "plane"):
        if len(arrays[name]) < shown:  # of a large category only the first images are shown
            raise DamagedError(f"{name} are {len(arrays[name])}, not {shown}")
    return arrays


def _posterior(path: Path, reach: float) -> np.ndarray:
    with np.load(path) as file:
        axis, density = file["z_axis"], file["density"]
    if density.ndim != 3 or density.shape[1:] != (len(axis), len(axis)) or density.size == 0:
        raise DamagedError(f"density has the shape {density.shape}")
    if not np.allclose(axis[[0, -1]], [-reach, reach], atol=0.01) or not np.isfinite(density).all():
        raise DamagedError(f"it is no density from {-reach} to {reach}")
    return density


def _picture(path: Path) -> Image.Image:
    picture = Image.open(path)
    picture.load()  # all of it, so that damage shows now
    return picture
