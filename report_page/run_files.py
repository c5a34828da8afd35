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

# What results.npz holds: an array's number of dimensions.
ARRAYS = {
    "GenNet": {
        **{"images": 4, "reconstructions": 4, "samples": 4, "interpolation": 4},
        **{"z": 2, "walk": 2},
    },
    "DesNet": {"images": 4, "starts": 4, "synthesized": 4},
}
BY_IMAGE = {"images", "reconstructions", "z", "starts", "synthesized"}  # one for each image
REACH = 2.5  # of plane.webp: it shows f(z) on [-REACH, REACH]^2, z_1 to the right, z_2 upward
# The pictures that the page shows besides; a plane only where z has two dimensions.
PICTURES = {"GenNet": ("plane.webp", "interpolation.gif"), "DesNet": ("chain.webp",)}

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
        model: "GenNet", "DesNet", or "" if no file tells.
        config: its flags.
        metrics: what it reached.
        history: column -> a value for each iteration, None where it is not finite.
        arrays: those of results.npz, and "posterior" [N, m, m] if the run wrote posterior.npz.
        pictures: file name -> picture; progress panels under "progress/...".
        missing: a sentence for each file that is missing or damaged.
    """

    folder: Path
    model: str = ""
    config: dict[str, Any] = field(default_factory=dict)
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

    def metric(self, name: str) -> float | None:
        """A figure of metrics.json, None if it is not there or no finite number."""
        return finite(self.metrics.get(name))

    def metric_by_image(self, name: str) -> dict[str, float | None]:
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
    """Read all that the page needs of the run in `folder`.

    A run may write posterior.npz: `density` [N, m, m], the posterior density of the z of each
    training image at z_2 = z_axis[row], z_1 = z_axis[column], and the even `z_axis` [m] from
    -REACH to REACH.
    """
    run = Run(folder)
    readers = {
        "config.json": lambda path: run.config.update(_dictionary(path)),
        "metrics.json": lambda path: run.metrics.update(_dictionary(path)),
        "history.csv": lambda path: _history(path, run.history),
    }
    for name, reader in readers.items():
        _attempt(run, name, reader)
    run.model = _model(run)
    _attempt(run, "results.npz", lambda path: run.arrays.update(_arrays(path, run.model)))
    if (folder / "posterior.npz").is_file():
        _attempt(run, "posterior.npz", lambda path: run.arrays.update(posterior=_posterior(path)))
    names = [n for n in PICTURES.get(run.model, ()) if n != "plane.webp" or _has_plane(run)]
    panels = [f"progress/{path.name}" for path in sorted((folder / "progress").glob("*.png"))]
    for name in names + panels:
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


def _model(run: Run) -> str:
    """The model is told by its own flags, for its folder may have any name."""
    for model, flag in (("GenNet", "z_dim"), ("DesNet", "ref_sig")):
        if flag in run.config:
            return model
    return run.folder.parent.name if run.folder.parent.name in ARRAYS else ""


def _has_plane(run: Run) -> bool:
    return run.config.get("z_dim", 2) == 2


def _dictionary(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise DamagedError("it holds no dictionary")
    return value


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


def _arrays(path: Path, model: str) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for name, dimensions in ARRAYS.get(model, {}).items():
        if name not in arrays:
            raise DamagedError(f"{name} is not in it")
        array = arrays[name]
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise DamagedError(f"{name} holds no finite numbers")
        square = array.ndim == 4 and array.shape[1] == array.shape[2] and array.shape[3] == 3
        if array.ndim != dimensions or array.size == 0 or (dimensions == 4 and not square):
            raise DamagedError(f"{name} has the shape {array.shape}")
        if name in BY_IMAGE and len(array) != len(arrays["images"]):
            raise DamagedError(f"{name} are {len(array)}, not {len(arrays['images'])}")
    return arrays


def _posterior(path: Path) -> np.ndarray:
    with np.load(path) as file:
        axis, density = file["z_axis"], file["density"]
    if density.ndim != 3 or density.shape[1:] != (len(axis), len(axis)) or density.size == 0:
        raise DamagedError(f"density has the shape {density.shape}")
    if not np.allclose(axis[[0, -1]], [-REACH, REACH], atol=0.01) or not np.isfinite(density).all():
        raise DamagedError(f"it is no density from {-REACH} to {REACH}")
    return density


def _picture(path: Path) -> Image.Image:
    picture = Image.open(path)
    picture.load()  # all of it, so that damage shows now
    return picture
