"""The files of a run, read for the report.  What is missing or damaged is noted, not fatal."""

import csv
import io
import math
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from common.files import DamagedError, FileError, open_regular, read_arrays, read_json
from report_page import manifest, panels
from report_page.manifest import FORMATS, FRAMES, KINDS, finite, is_whole
from report_page.pictures import TALLEST

MARKS = ("config.json", "metrics.json", "history.csv", "results.npz")  # any of them marks a run
INSIDE_A_RUN = {"checkpoints", "log", "progress"}

# Of any file, at most: runs write less, and more would be no page.
HISTORY_BYTES = 2**30
PICTURE_BYTES = 2**26
PIXELS = 2**28  # of all frames of a picture
PLACES = 10_000  # of a walk
PANELS = 24  # of training's progress


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
        pictures: file name -> its frames, reduced by the scale that the manifest tells.
        tables: file name -> the dictionary in a JSON file that a section shows.
        panels: iteration -> panel of training's progress, reduced likewise.
        missing: a sentence for each file that is missing or damaged.
        room: bytes of the page that it should take at most.
    """

    folder: Path
    model: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[float | None]] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, list[Image.Image]] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    panels: dict[int, Image.Image] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    room: float = math.inf

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


def is_run(folder: Path) -> bool:
    """Whether a folder holds a file by which a run is known."""
    return any(os.path.isfile(folder / name) for name in MARKS)


def find(output: Path) -> list[Path]:
    """The folders of all runs under `output`, GenNet's first."""
    folders = {path.parent for mark in MARKS for path in output.rglob(mark)}
    return sorted(
        # One that begins is hidden until it is whole.
        (
            f
            for f in folders
            if f.name not in INSIDE_A_RUN and not f.name.startswith(".") and is_run(f)
        ),
        key=lambda f: (f.parent.name != "GenNet", f),
    )


def read(folder: Path) -> Run:
    """Read all that the page needs of the run in `folder`, as its manifest says.

    A run may have posterior.npz: `density` [N, m, m], the posterior density of the z of each
    training image at z_2 = z_axis[row], z_1 = z_axis[column], and the even `z_axis` [m], which
    reaches as far as the plane.
    """
    run = Run(folder)
    if not os.path.isfile(folder / "manifest.json"):
        run.missing.append("manifest.json is missing, as in runs of old versions: make it again")
    else:
        _attempt(run, "manifest.json", lambda path: run.manifest.update(manifest.read(path)))
    run.model = str(run.manifest.get("model", ""))
    _attempt(run, "config.json", lambda path: run.config.update(read_json(path)))
    _attempt(run, "metrics.json", lambda path: run.metrics.update(read_json(path)))
    _attempt(run, "history.csv", lambda path: _history(path, run.history))
    _attempt(run, "results.npz", lambda path: run.arrays.update(_arrays(path, run)))
    planes = [section["picture"] for section in run.sections if section["kind"] == "plane"]
    if planes and os.path.isfile(folder / "posterior.npz"):
        reach = run.about(planes[0])["reach"]
        _attempt(
            run,
            "posterior.npz",
            lambda path: run.arrays.update(posterior=_posterior(path, reach)),
        )
    if run.metrics:
        run.tables["metrics.json"] = run.metrics
    _read_sections(run)
    for name in _panels(folder / "progress") if run.manifest else []:
        _attempt(run, f"progress/{name}", lambda path: _read_panel(run, path))
    return run


def _read_sections(run: Run) -> None:
    """Read the files that the sections show, each once."""
    readers = (("picture", _read_picture), ("wide", _read_picture), ("file", _read_table))
    seen = {"metrics.json"}
    for section in run.sections:
        for key, reader in readers:
            if key not in KINDS[section["kind"]].texts or section[key] in seen:
                continue
            seen.add(section[key])
            if not section.get("later") or os.path.lexists(run.folder / section[key]):
                _attempt(run, section[key], partial(reader, run))


def _read_picture(run: Run, path: Path) -> None:
    films = [s for s in run.sections if s["kind"] == "gif" and s["picture"] == path.name]
    run.pictures[path.name] = frames(path, run.about(path.name)["scale"] if films else 1)


def _read_table(run: Run, path: Path) -> None:
    run.tables[path.name] = read_json(path)


def _read_panel(run: Run, path: Path) -> None:
    run.panels[int(path.stem)] = frames(path, run.manifest["progress"]["scale"], panels.cut)[0]


def _panels(folder: Path) -> list[str]:
    """Names of at most PANELS panels of training's progress, in even strides."""
    names = [path.name for path in folder.glob("*.png") if re.fullmatch(r"[0-9]{1,18}", path.stem)]
    names = sorted(names, key=lambda name: int(Path(name).stem))
    places = np.linspace(0, len(names) - 1, min(len(names), PANELS)).astype(int)
    return [names[i] for i in places]


def _attempt(run: Run, name: str, reader: Callable[[Path], object]) -> None:
    path = run.folder / name
    if not os.path.isfile(path):
        run.missing.append(f"{name} is missing")
        return
    try:
        reader(path)
    except FileError as error:
        run.missing.append(str(error).replace(str(path), name).removesuffix("."))
    except DamagedError as error:
        run.missing.append(f"{name} is damaged: {error}")
    except Exception:  # libraries raise anything of hostile bytes, and the rest is to be shown
        run.missing.append(f"{name} is damaged")


def _history(path: Path, history: dict[str, list[float | None]]) -> None:
    """Append the rows to the columns of `history`, up to the first that is damaged."""
    with (
        open_regular(path, HISTORY_BYTES) as content,
        io.TextIOWrapper(content, encoding="utf-8", newline="") as file,
    ):
        rows = csv.reader(file)
        columns = next(rows, [])
        if "iteration" not in columns:
            raise DamagedError("it has no column of iterations")
        if len(set(columns)) < len(columns):
            raise DamagedError("it has a column twice")
        history.update({column: [] for column in columns})
        try:
            for row in rows:
                values = [finite(float(text)) for text in row]
                if len(values) != len(columns) or values[columns.index("iteration")] is None:
                    raise ValueError("it is no row of numbers")
                for column, value in zip(columns, values, strict=True):
                    history[column].append(value)
        except (ValueError, csv.Error) as error:
            raise DamagedError(f"line {rows.line_num} cannot be read") from error


def _arrays(path: Path, run: Run) -> dict[str, np.ndarray]:
    """The arrays, of which those that the sections show are as they should be."""
    arrays, sections = read_arrays(path), run.sections
    images = {name for s in sections if s["kind"] == "tiles" for name in s["arrays"]}
    planes = [s for s in sections if s["kind"] == "plane"]
    flat = {plane[k] for plane in planes for k in ("z", "walk")}
    sheets = {s["array"] for s in sections if s["kind"] == "sheet"}
    if planes:
        images |= {"images"}
    side = run.config.get("image_size")
    for name in sorted(images | flat | sheets):
        if name not in arrays:
            raise DamagedError(f"{name} is not in it")
        array, dimensions = arrays[name], 2 if name in flat else 4
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise DamagedError(f"{name} holds no finite numbers")
        square = array.ndim == 4 and array.shape[1] == array.shape[2] and array.shape[3] == 3
        if array.ndim != dimensions or array.size == 0 or (dimensions == 4 and not square):
            raise DamagedError(f"{name} has the shape {array.shape}")
        if dimensions == 4 and is_whole(side) and array.shape[1] != side:
            raise DamagedError(
                f"{name} has the shape {array.shape}, in a run of --image_size {side}"
            )
    shown = len(arrays["images"]) if images else 0
    for name in sorted(images):
        if len(arrays[name]) != shown:
            raise DamagedError(f"{name} are {len(arrays[name])}, not {shown}")
    for plane in planes:
        z, walk = arrays[plane["z"]], arrays[plane["walk"]]
        if len(z) < shown:  # of a large category only the first images are shown
            raise DamagedError(f"{plane['z']} are {len(z)}, not {shown}")
        if walk.shape[1] != z.shape[1] or len(walk) > PLACES:
            raise DamagedError(f"{plane['walk']} has the shape {walk.shape}")
    return arrays


def _posterior(path: Path, reach: float) -> np.ndarray:
    arrays = read_arrays(path)
    if not {"z_axis", "density"} <= arrays.keys():
        raise DamagedError("z_axis or density is not in it")
    axis, density = arrays["z_axis"], arrays["density"]
    side = len(axis) if axis.ndim == 1 else 0
    if density.ndim != 3 or density.shape[1:] != (side, side) or density.size == 0:
        raise DamagedError(f"density has the shape {density.shape}")
    if side > TALLEST:
        raise DamagedError(f"density has {side} points along an edge, more than {TALLEST}")
    ends = np.allclose(axis[[0, -1]], [-reach, reach], atol=0.01)
    if not ends or not np.isfinite(density).all() or density.min() < 0:
        raise DamagedError(f"it is no density from {-reach} to {reach}")
    return density


def _in_rgb(frame: Image.Image) -> Image.Image:
    return frame.convert("RGB")


def frames(
    path: Path, scale: int = 1, prepare: Callable[[Image.Image], Image.Image] = _in_rgb
) -> list[Image.Image]:
    """The frames of a picture, reduced by `scale`: all of it, so that damage shows now."""
    found: list[Image.Image] = []
    with open_regular(path, PICTURE_BYTES) as file, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # By the format that its name promises: Pillow has readers that call other programs.
        picture = Image.open(file, formats=[FORMATS[path.suffix]])
        width, height = picture.size
        if max(width, height) > TALLEST * scale:
            raise DamagedError(f"it is {width} x {height} pixels, where WebP holds {TALLEST}")
        for frame in ImageSequence.Iterator(picture):
            if len(found) == FRAMES or (len(found) + 1) * width * height > PIXELS:
                raise DamagedError(f"it has more than {FRAMES} frames or {PIXELS} pixels")
            found.append(prepare(frame).reduce(scale))
    return found
