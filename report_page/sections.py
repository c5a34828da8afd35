"""What the page shows of one run, made from its files.  A part whose file is missing is None."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from report_page import pictures, tables
from report_page.again import Again, again
from report_page.pictures import Film, Picture
from report_page.run_files import Run

SHOWN = 55  # images of a large category that are shown one by one
POINTS = 1000  # of a chart: more than a screen has pixels for
STILL = 9  # images along an edge of the plane, where no script draws it, and
STILL_TILE = 32  # pixels of each, about


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
    """The latent plane: its sprite, the training images in it, densities, and a walk."""

    sprite: Picture
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


def _names(run: Run) -> list[str]:
    """File names of the training images; numbers if metrics.json does not tell."""
    count = len(run.arrays["images"])
    names = list(run.figures_by_image("psnr_by_image"))
    return names if len(names) == count else [f"image {i + 1}" for i in range(count)]


def sheet(run: Run, section: dict[str, Any]) -> Picture | None:
    """An array of images in 8 columns."""
    images = run.arrays.get(section["array"])
    return None if images is None else pictures.grid(images[:64], 8)


def plane(run: Run, section: dict[str, Any]) -> Plane | None:
    """The latent plane, of a z of two dimensions."""
    frames, z = run.pictures.get(section["picture"]), run.arrays.get(section["z"])
    told = run.about(section["picture"])
    reach, side = told["reach"], told["side"]
    if not frames or z is None or z.shape[1] != 2 or frames[0].width % side:
        return None
    axis = np.linspace(-reach, reach, 96)
    prior = np.exp(-(axis[:, None] ** 2 + axis**2) / 2)
    posterior = run.arrays.get("posterior")
    if posterior is not None:  # all in one veil, each as high as the others
        peaks = np.maximum(posterior.max((1, 2), keepdims=True), 1e-300)
        posterior = (posterior / peaks).max(0)[::-1]  # z_2 grows upward
    images = [
        {"name": name, "z": place.tolist(), "image": pictures.embed(pictures.as_picture(image)).uri}
        for name, place, image in zip(
            _names(run)[:SHOWN], z[:SHOWN], run.arrays["images"][:SHOWN], strict=True
        )
    ]
    walk = run.arrays[section["walk"]].tolist()
    return Plane(
        pictures.carry((run.folder / section["picture"]).read_bytes(), frames[0].size),
        pictures.density(prior),
        None if posterior is None else pictures.density(posterior),
        {"reach": reach, "side": side, "images": images, "walk": walk},
        _still(frames[0], side),
    )


def _still(sheet: Image.Image, side: int) -> Picture:
    """At most STILL x STILL tiles of a sprite of `side` x `side`."""
    tile = sheet.width // side
    places = np.linspace(0, side - 1, min(side, STILL)).round().astype(int)
    still = Image.new("RGB", (len(places) * tile, len(places) * tile))
    for row, i in enumerate(places):
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
    return pictures.film(frames, labels, told["milliseconds"])


def gif(run: Run, section: dict[str, Any]) -> Film | None:
    """The frames of a GIF, as small as the images are."""
    frames = run.pictures.get(section["picture"])
    if not frames:
        return None
    told = run.about(section["picture"])
    labels = [f"{i + 1} of {len(frames)}" for i in range(len(frames))]
    return pictures.film(frames, labels, told["milliseconds"])


def training(run: Run) -> Film | None:
    """The progress panels as a film."""
    if not run.panels:
        return None
    labels = [f"iteration {iteration}" for iteration in run.panels]
    return pictures.film(list(run.panels.values()), labels, 400)


def charts(run: Run) -> list[Chart]:
    """The history, column by column; at most POINTS iterations, the first and the last kept."""
    iterations = run.history.get("iteration", [])
    if not iterations:
        return []
    kept = np.unique(np.linspace(0, len(iterations) - 1, POINTS).round().astype(int)).tolist()
    return [
        Chart(
            told["title"],
            told["label"],
            told["advice"],
            {
                "title": told["title"],
                "iterations": [iterations[i] for i in kept],
                "values": [run.history[told["column"]][i] for i in kept],
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
