"""What the page shows of one run, made from its files.  A part whose file is missing is None."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from common import fitting
from report_page import pictures, tables
from report_page.again import Again, again
from report_page.pictures import Film, Picture
from report_page.run_files import Run

SHOWN = 55  # images of a large category that are shown one by one
POINTS = 1000  # of a chart: more than a screen has pixels for
STILL = 9  # images along an edge of the plane, where no script draws it, and
STILL_TILE = 32  # pixels of each, about
# Of the room of a run, what a picture may take: text of it takes a third more bytes.
ROOM = {"picture": 0.27, "wide": 0.06, "film": 0.09, "sheet": 0.06}


class Tile(NamedTuple):
    """A training image and what the model made of it."""

    name: str
    stack: list[tuple[Picture, str]]  # one below another, with what each shows
    like: str  # the training image that it is compared with
    psnr: float | None
    ssim: float | None


class Chart(NamedTuple):
    """A column of the history over the iterations."""

    title: str
    label: str
    advice: str
    data: dict[str, Any]  # as chart.js reads it
    item: int  # of the story, that it answers; 0: none


class Plane(NamedTuple):
    """Planes of the latent space: sprites, the training images in them, densities, and a walk."""

    sprites: list[Picture]  # in detail, and farther out if that one can be read
    several: bool  # whether there are axes to choose from
    all_axes: bool  # whether these are all that z has
    line: bool  # z has one dimension
    prior: Picture
    posterior: Picture | None
    data: dict[str, Any]  # as plane.js reads it
    still: Picture  # a few places in even strides, for a page without scripts


class Part(NamedTuple):
    """A part of a run's section: what the manifest says of it, and what is shown."""

    kind: str
    told: dict[str, Any]
    shown: Any


class Shown(NamedTuple):
    """What the page shows of a run besides its figures."""

    parts: list[Part]
    training: Film | None
    charts: list[Chart]
    again: Again | None


def show(run: Run) -> Shown:
    """Make what the page shows of a run; what cannot be made is noted in `run.missing`."""
    made = parts(run)
    progress = _made(run, "the progress of training", lambda: training(run))
    drawn = _made(run, "a chart", lambda: charts(run)) or []
    known = bool(run.config and run.manifest)
    return Shown(
        made,
        progress,
        drawn,
        _made(run, "how to make it again", lambda: again(run)) if known else None,
    )


def _made(run: Run, what: str, make: Callable[[], Any]) -> Any:
    """What `make` makes, None if the run's files do not go together."""
    try:
        return make()
    except tables.AbsentError:
        run.missing.append(f"{what} cannot be shown: it is not in its file")
        return None
    except Exception:  # each file is as it should be, but there is no list of what else may be
        run.missing.append(f"{what} cannot be shown: its files do not go together")
        return None


def parts(run: Run) -> list[Part]:
    """What the manifest asks for, as far as its files are there; sheets in a row are one part."""
    makers: dict[str, Callable[[Run, dict[str, Any]], Any]] = {
        **{"plane": plane, "tiles": tiles, "sheet": sheet, "gif": gif, "sprite": sprite},
        **{"picture": picture, "figures": tables.figures, "table": tables.table},
    }
    made: list[Part] = []
    for section in run.sections:
        kind = section["kind"]
        what = section.get("title") or section.get("fold") or section.get("caption")
        what = what or section.get("picture") or "a part"
        shown = _made(run, str(what), partial(makers[kind], run, section))
        if not shown:
            continue
        part = Part(kind, section, shown)
        if part.kind == "sheet":
            if not made or made[-1].kind != "sheets":
                made.append(Part("sheets", {}, []))
            made[-1].shown.append(part)
        else:
            made.append(part)
    return made


def tiles(run: Run, section: dict[str, Any]) -> list[Tile]:
    """Every training image (the first SHOWN) beside what was made of it."""
    if "images" not in run.arrays:
        return []
    psnrs, ssims = run.figures_by_image("psnr_by_image"), run.figures_by_image("ssim_by_image")
    assigned = run.metrics.get("assigned_to")
    shown = []
    for i, name in zip(range(min(len(run.arrays["images"]), SHOWN)), _names(run), strict=False):
        like = assigned.get(name, name) if isinstance(assigned, dict) else name
        stack = [
            (pictures.embed(pictures.as_picture(run.arrays[array][i])), f"{alt} of {name}")
            for array, alt in section["arrays"].items()
        ]
        shown.append(Tile(name, stack, str(like), psnrs.get(name), ssims.get(name)))
    return shown


def _room(run: Run, what: str) -> float:
    return ROOM[what] * run.room


def _names(run: Run) -> list[str]:
    """File names of the training images; numbers if metrics.json does not tell."""
    count = len(run.arrays["images"])
    names = list(run.figures_by_image("psnr_by_image"))
    return names if len(names) == count else [f"image {i + 1}" for i in range(count)]


def sheet(run: Run, section: dict[str, Any]) -> Picture | None:
    """An array of images in 8 columns."""
    images = run.arrays.get(section["array"])
    return None if images is None else pictures.grid(images[:64], 8, _room(run, "sheet"))


def plane(run: Run, section: dict[str, Any]) -> Plane | None:
    """Planes of the latent space, through 0 along two axes of z each; or the line, if it has one.

    Of the z of a training image, those axes are on the page, and how far it lies off them all.
    """
    z, told = run.arrays.get(section["z"]), run.about(section["picture"])
    planes: list[list[int]] = told["axes"]
    axes = sorted({axis for pair in planes for axis in pair})
    if z is None or axes[-1] >= z.shape[1] or section["picture"] not in run.pictures:
        return None
    views, sprites = [], []
    for key in ("picture", "wide"):
        name = section[key]
        about, found = run.about(name), run.pictures.get(name)
        if not found or about["axes"] != planes:
            continue
        tile, rest = divmod(found[0].width, about["side"])
        rows = len(planes) * (about["side"] if len(axes) > 1 else 1)
        if rest or found[0].height != rows * tile:
            return None
        views.append({"reach": about["reach"], "side": about["side"]})
        webp = (run.folder / name).read_bytes()
        fits = len(webp) <= _room(run, key)
        sprites.append(
            pictures.carry(webp, found[0].size)
            if fits
            else pictures.embed(found[0], _room(run, key))
        )
    off = np.linalg.norm(np.delete(z, axes, 1), axis=1).round(4).tolist()
    images = [
        {
            "name": name,
            "z": place.round(4).tolist(),
            "off": distance,
            "image": pictures.embed(pictures.as_picture(image)).uri,
        }
        for name, place, distance, image in zip(
            _names(run)[:SHOWN], z[:SHOWN, axes], off, run.arrays["images"][:SHOWN], strict=True
        )
    ]
    walk = run.arrays[section["walk"]][:, axes].round(4).tolist()
    places = [[axes.index(axis) for axis in pair] for pair in planes]
    prior, posterior = _veils(run, views[-1]["reach"], planes)
    return Plane(
        sprites,
        len(planes) > 1,
        len(axes) == z.shape[1],
        len(axes) == 1,
        prior,
        posterior,
        {"views": views, "axes": axes, "planes": places, "images": images, "walk": walk},
        _still(run.pictures[section["picture"]][0], views[0]["side"]),
    )


def _veils(run: Run, reach: float, planes: list[list[int]]) -> tuple[Picture, Picture | None]:
    """The prior density as far as `reach`, and the posterior densities if a run wrote them."""
    axis = np.linspace(-reach, reach, 192)
    height = np.exp(-(axis**2) / 2)
    prior = height[None] if planes == [[0]] else np.outer(height, height)
    posterior = run.arrays.get("posterior")
    if posterior is None or planes != [[0, 1]]:
        return pictures.density(prior), None
    # All in one veil, each as high as the others.
    peaks = np.maximum(posterior.max((1, 2), keepdims=True), 1e-300)
    # z_2 grows upward.
    return pictures.density(prior), pictures.density((posterior / peaks).max(0)[::-1])


def _still(sheet: Image.Image, side: int) -> Picture:
    """At most STILL x STILL tiles of a sprite with `side` tiles in a row: of its first plane."""
    tile = sheet.width // side
    places = fitting.evenly(side, STILL)
    rows = places if sheet.height > tile else places[:1]  # of a line, there is one
    still = Image.new("RGB", (len(places) * tile, len(rows) * tile))
    for row, i in enumerate(rows):
        for column, j in enumerate(places):
            box = (j * tile, i * tile, (j + 1) * tile, (i + 1) * tile)
            still.paste(sheet.crop(box), (column * tile, row * tile))
    return pictures.embed(still.reduce(max(1, tile // STILL_TILE)))


def picture(run: Run, section: dict[str, Any]) -> Picture | None:
    """A picture as the run wrote it."""
    frames = run.pictures.get(section["picture"])
    return pictures.whole(frames[0]) if frames else None


def sprite(run: Run, section: dict[str, Any]) -> Film | None:
    """Chains step by step, from the rows of a sprite."""
    told = run.about(section["picture"])
    steps = told["frames"]
    found = run.pictures.get(section["picture"])
    if not found or found[0].height % len(steps):
        return None
    sheet = found[0]
    side = sheet.height // len(steps)
    frames = [sheet.crop((0, i * side, sheet.width, (i + 1) * side)) for i in range(len(steps))]
    labels = [f"{told.get('unit', 'step')} {step} of {steps[-1]}" for step in steps]
    return pictures.film(frames, labels, told["milliseconds"], _room(run, "film"))


def gif(run: Run, section: dict[str, Any]) -> Film | None:
    """The frames of a GIF, as small as the images are."""
    frames = run.pictures.get(section["picture"])
    if not frames:
        return None
    told = run.about(section["picture"])
    labels = [f"{i + 1} of {len(frames)}" for i in range(len(frames))]
    return pictures.film(frames, labels, told["milliseconds"], _room(run, "film"))


def training(run: Run) -> Film | None:
    """The progress panels as a film."""
    if not run.panels:
        return None
    labels = [f"iteration {iteration}" for iteration in run.panels]
    return pictures.film(list(run.panels.values()), labels, 400, _room(run, "film"))


def charts(run: Run) -> list[Chart]:
    """The history, column by column; at most POINTS iterations, the first and the last kept."""
    iterations = run.history.get("iteration", [])
    if not iterations:
        return []
    kept = fitting.evenly(len(iterations), POINTS).tolist()
    return [
        Chart(
            told["title"],
            told["label"],
            told["advice"],
            {
                "title": told["title"],
                "iterations": [iterations[i] for i in kept],
                "values": [_rounded(run.history[told["column"]][i]) for i in kept],
                "label": told["label"],
                "log": bool(told.get("log")),
            },
            told.get("item", 0),
        )
        for told in run.manifest.get("charts", [])
        if told["advice"] and told["column"] in run.history
    ]


def duration(run: Run) -> str | None:
    """How long it took, in words."""
    seconds = run.figure("seconds")
    if seconds is None:
        return None
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _rounded(value: float | None) -> float | None:
    """More digits than a chart tells are many bytes of a page; none if no axis reaches it."""
    return None if value is None or abs(value) > 1e300 else float(f"{value:.8g}")
