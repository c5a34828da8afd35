"""What the page shows of one run, made from its files.  A part whose file is missing is None."""

import math
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from report_page import pictures
from report_page.pictures import Film, Picture
from report_page.run_files import REACH, Run, finite

ROOT = Path(__file__).resolve().parent.parent
SHOWN = 55  # images of a large category that are shown one by one
PANELS = 24  # of training's progress
POINTS = 1000  # of a chart: more than a screen has pixels for
SIDE = 33  # images along each edge of plane.webp
PATHS = {"data_path", "output_dir"}
SAMPLERS = {  # in words
    "preconditioned": "Langevin dynamics in the Gauss-Newton metric",
    "langevin": "Langevin dynamics",
    "mala": "Langevin dynamics with a Metropolis-Hastings test",
    "hmc": "Hamiltonian Monte Carlo",
}


class Tile(NamedTuple):
    """A training image and what the model made of it."""

    name: str
    observed: Picture
    start: Picture | None  # where its chain started; None for GenNet
    made: Picture
    like: str  # the training image that it is compared with
    psnr: float | None
    ssim: float | None


class Chart(NamedTuple):
    """A column of the history over the iterations."""

    title: str
    label: str
    advice: str
    data: dict[str, Any]  # as page.js reads it


class Plane(NamedTuple):
    """The latent plane: its sprite, the training images in it, densities, and a walk."""

    sprite: Picture
    prior: Picture
    posterior: Picture | None
    data: dict[str, Any]  # as plane.js reads it


# column, title, axis, whether the axis is logarithmic, what to look for
CHARTS = {
    "GenNet": [
        (
            *("loss", "Reconstruction error", "‖Y − f(Z)‖² / 2σ²", True),
            "Should fall and level off: what is left is what the generator cannot draw.",
        ),
        (
            *("acceptance_rate", "Accepted proposals of the sampler", "share", False),
            "1 for a sampler without a test. Near 0, inference would stand still.",
        ),
        (
            *("prior", "Prior term", "mean ‖Z‖² / 2", False),
            "For z ~ N(0, I) it is half the number of dimensions of z. Far above, the inferred z "
            "have left the prior, and samples would not look like the training images.",
        ),
    ],
    "DesNet": [
        (
            *("loss", "Loss", "mean f(synthesized) − mean f(observed) = −d(t)", False),
            "Minus the energy difference. It may swing, and calms down as the learning rate falls; "
            "growing ever faster to one side, it would be divergence.",
        ),
        (
            *("gradient_magnitude", "Gradient magnitude v(t)", "mean |∂ log p / ∂Y|", False),
            "How hard the score pushes along the chains. Should level off.",
        ),
        (
            *("out_of_range", "Synthesized pixels outside [0, 255]", "share", False),
            "Should end close to 0: above, chains overshoot.",
        ),
    ],
}


def psnr(images: np.ndarray, references: np.ndarray) -> float:
    """Mean PSNR of images in [0, 255] to references, in dB (at most 99)."""
    error = ((np.clip(images, 0, 255) - references) ** 2).mean((1, 2, 3))
    return float((20 * math.log10(255) - 10 * np.log10(np.maximum(error, 1e-5))).mean())


def baseline(run: Run) -> float | None:
    """PSNR in dB without any learning: of GenNet the mean image, of DesNet the mean colours."""
    images = run.arrays.get("images")
    if images is None:
        return None
    start = run.arrays["starts"] if run.model == "DesNet" else images.mean(0, keepdims=True)
    return psnr(np.broadcast_to(start, images.shape), images)


def tiles(run: Run) -> list[Tile]:
    """Every training image (the first SHOWN) beside what was made of it."""
    images = run.arrays.get("images")
    if images is None:
        return []
    starts = run.arrays.get("starts")
    made = run.arrays["synthesized" if run.model == "DesNet" else "reconstructions"]
    psnrs, ssims = run.metric_by_image("psnr_by_image"), run.metric_by_image("ssim_by_image")
    assigned = run.metrics.get("assigned_to")
    shown = []
    for i, name in zip(range(min(len(images), SHOWN)), _names(run), strict=False):
        like = assigned.get(name, name) if isinstance(assigned, dict) else name
        shown.append(
            Tile(
                name,
                pictures.embed(pictures.as_picture(images[i])),
                None if starts is None else pictures.embed(pictures.as_picture(starts[i])),
                pictures.embed(pictures.as_picture(made[i])),
                str(like),
                psnrs.get(name),
                ssims.get(name),
            )
        )
    return shown


def _names(run: Run) -> list[str]:
    """File names of the training images; numbers if metrics.json does not tell."""
    count = len(run.arrays["images"])
    names = list(run.metric_by_image("psnr_by_image"))
    return names if len(names) == count else [f"image {i + 1}" for i in range(count)]


def grid(run: Run, name: str) -> Picture | None:
    """The array `name` as a sheet of 8 columns."""
    images = run.arrays.get(name)
    return None if images is None else pictures.grid(images[:64], 8)


def plane(run: Run) -> Plane | None:
    """The latent plane, where z has two dimensions."""
    sprite, z = run.pictures.get("plane.webp"), run.arrays.get("z")
    if sprite is None or z is None or z.shape[1] != 2 or sprite.width % SIDE:
        return None
    axis = np.linspace(-REACH, REACH, 96)
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
    return Plane(
        pictures.carry((run.folder / "plane.webp").read_bytes(), sprite.size),
        pictures.density(prior),
        None if posterior is None else pictures.density(posterior),
        {"reach": REACH, "side": SIDE, "images": images, "walk": run.arrays["walk"].tolist()},
    )


def chain(run: Run) -> Film | None:
    """The chains step by step, from the rows of chain.webp."""
    sprite, side = run.pictures.get("chain.webp"), run.config.get("image_size")
    if sprite is None or not isinstance(side, int) or side < 1:
        return None
    side = min(side, 64)  # larger images are reduced in a sprite
    rows = sprite.height // side
    frames = [sprite.crop((0, i * side, sprite.width, (i + 1) * side)) for i in range(rows)]
    last = finite(run.config.get("T")) or rows - 1
    labels = [f"step {step:.0f} of {last:.0f}" for step in np.linspace(0, last, rows)]
    return pictures.film(frames, labels, 120) if frames else None


def walk(run: Run) -> Film | None:
    """interpolation.gif as a film."""
    gif = run.pictures.get("interpolation.gif")
    if gif is None:
        return None
    frames = pictures.frames(gif)
    frames = [frame.reduce(2) for frame in frames]  # the GIF shows every pixel as 2 x 2
    labels = [f"{i + 1} of {len(frames)}" for i in range(len(frames))]
    return pictures.film(frames, labels, 60)


def training(run: Run) -> Film | None:
    """The progress panels as a film."""
    names = [name for name in run.pictures if re.fullmatch(r"progress/\d+\.png", name)]
    if not names:
        return None
    names = sorted(names, key=lambda name: int(Path(name).stem))
    names = [names[i] for i in np.linspace(0, len(names) - 1, min(len(names), PANELS)).astype(int)]
    # The panels show every pixel as 2 x 2.
    frames = [run.pictures[name].convert("RGB").reduce(2) for name in names]
    labels = [f"iteration {int(Path(name).stem)}" for name in names]
    return pictures.film(frames, labels, 400)


def charts(run: Run) -> list[Chart]:
    """The history, column by column; at most POINTS iterations, the first and the last kept."""
    iterations = run.history.get("iteration", [])
    if not iterations:
        return []
    kept = np.unique(np.linspace(0, len(iterations) - 1, POINTS).round().astype(int)).tolist()
    return [
        Chart(
            title,
            label,
            advice,
            {
                "title": title,
                "iterations": [iterations[i] for i in kept],
                "values": [run.history[column][i] for i in kept],
                "log": log,
            },
        )
        for column, title, label, log, advice in CHARTS.get(run.model, [])
        if column in run.history
    ]


def command(run: Run) -> list[str]:
    """The command line that makes the run again, from the project's folder: words of a shell."""
    words = ["python", f"{run.model or 'GenNet'}/main.py"]
    for flag, value in run.config.items():
        if flag == "resume" or value is None:  # a run gone on with is the same as one in one go
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, list):
            words += [f"--{flag}", *map(str, value)]
        else:
            words.append(f"--{flag}={shown_flag(flag, value)}")
    return [shlex.quote(word) for word in words]


def shown_flag(flag: str, value: object) -> str:
    """A flag's value as text; paths within the project from its folder."""
    if flag in PATHS and isinstance(value, str) and Path(value).is_relative_to(ROOT):
        return str(Path(value).relative_to(ROOT))
    return str(value)


def duration(run: Run) -> str | None:
    """How long it took, in words."""
    seconds = run.metric("seconds")
    if seconds is None:
        return None
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
