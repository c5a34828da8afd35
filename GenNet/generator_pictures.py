"""The pictures of GenNet: reconstructions, the latent plane, and walks in it."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from common import figures
from common.run_folder import Picture, png
from GenNet import GenNet

COLUMNS = 11  # pairs in a row of the panel of reconstructions, and
SHOWN = 55  # pairs in all
THUMBNAIL = 56  # pixels of an image on the plane, if there are few
PLANE_SIDE = 33  # images along an edge of the plane's sprite
PLANE_REACH = 2.5  # standard deviations of the prior, from the middle to an edge
GRID_SIDE = 8  # images along an edge of the panel over the plane
GRID_REACH = 2.0  # standard deviations of the prior
WALK_STEPS = 120  # of the walk through the training images
WALK_MILLISECONDS = 60  # that a step of it is shown


def reconstruction_panel(images: np.ndarray, reconstructions: np.ndarray) -> Figure:
    """Training images over their reconstructions, COLUMNS pairs a row, the first SHOWN pairs."""
    parts = (figures.wrapped(part[:SHOWN], COLUMNS) for part in (images, reconstructions))
    rows: list[np.ndarray] = []
    labels: list[str] = []
    for pair in zip(*parts, strict=True):
        rows.extend(pair)
        labels.extend(["training image", "reconstruction"])
    title = "Training images and their reconstructions f(Z)"
    return figures.panel(rows, figures.first_of(title, SHOWN, len(images)), labels)


def latent_plane(z: np.ndarray, images: np.ndarray) -> Figure:
    """The inferred z [N, d] on the plane of the first two dimensions, as thumbnails."""
    reach = max(2.5, 1.1 * float(np.abs(z[:, :2]).max()))
    figure = Figure((8, 8), figures.DPI, layout="constrained")
    axes = figure.subplots()
    for radius in (1, 2):  # standard deviations of the prior
        circle = np.linspace(0, 2 * np.pi, 200)
        axes.plot(radius * np.cos(circle), radius * np.sin(circle), color="0.7", lw=1, zorder=0)
    side = THUMBNAIL * min(1, np.sqrt(SHOWN / len(images)))
    for (x, *rest), image in zip(z, figures.to_uint8(images), strict=True):
        thumbnail = OffsetImage(image, zoom=side / len(image), interpolation="antialiased")
        place = (x, rest[0] if rest else 0.0)
        axes.add_artist(AnnotationBbox(thumbnail, place, pad=0.1, bboxprops={"lw": 0.5}))
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="z₁", aspect="equal")
    of = "" if z.shape[1] <= 2 else f", the first 2 of its {z.shape[1]} dimensions"
    if z.shape[1] > 1:
        axes.set_ylabel("z₂")
    else:
        axes.set_yticks([])
    title = (
        f"Inferred z of the training images{of}\nCircles: 1 and 2 standard deviations of the prior"
    )
    axes.set_title(title, loc="left", fontsize=figures.TITLE)
    return figure


def interpolation_panel(interpolation: np.ndarray) -> Figure:
    """f(z) on the even grid over the plane that `GenNet.interpolate` takes."""
    values = np.linspace(-GRID_REACH, GRID_REACH, GRID_SIDE)
    axis = [f"{value:.2f}".replace("-", "−") for value in values]
    rows = figures.wrapped(interpolation, GRID_SIDE)
    return figures.panel(rows, "f(z) over the plane of z", axis[::-1], axis, "z₂", "z₁")


def samples_panel(samples: np.ndarray) -> Figure:
    """Samples in rows of eight."""
    return figures.panel(figures.wrapped(samples, 8), "Samples of the model: f(z), z ~ N(0, I)")


def plane_sprite(model: GenNet) -> np.ndarray:
    """f(z) on a PLANE_SIDE x PLANE_SIDE grid over [-PLANE_REACH, PLANE_REACH]^2, for the report.

    A sprite (see `figures.sprite`), uint8 [H, W, 3]: z_1 grows to the right, z_2 upward, and the
    outermost tiles are f(z) on the border of the square.
    """
    axis = np.linspace(-PLANE_REACH, PLANE_REACH, PLANE_SIDE)
    rows = [
        figures.sprite(model.generate(np.stack([axis, np.full(PLANE_SIDE, z_2)], 1)), PLANE_SIDE)
        for z_2 in axis[::-1]
    ]
    return np.concatenate(rows)


def closed_walk(z: np.ndarray) -> np.ndarray:
    """A closed walk in short, even steps through all z [N, d], always on to the nearest not seen.

    Returns:
        [T, d], about WALK_STEPS places, every z one of them.
    """
    order, left = [0], set(range(1, len(z)))
    while left:
        here = z[order[-1]]
        order.append(min(left, key=lambda i: float(np.linalg.norm(z[i] - here))))
        left.remove(order[-1])
    legs = np.roll(z[order], -1, 0) - z[order]  # [N, d]
    lengths = np.linalg.norm(legs, axis=1)
    counts = np.ceil(WALK_STEPS * lengths / max(lengths.sum(), 1e-9)).astype(int)
    steps = [
        start + leg * np.arange(count)[:, None] / count
        for start, leg, count in zip(z[order], legs, np.maximum(counts, 1), strict=True)
    ]
    return np.concatenate(steps)


def moving_pictures(model: GenNet, walk: np.ndarray) -> dict[str, Picture]:
    """The plane (for a z of two dimensions) and the walk [T, d]."""
    pictures = {}
    if walk.shape[1] == 2:
        sprite = plane_sprite(model)
        pictures["plane.webp"] = Picture(
            lambda file: figures.write_webp(file, sprite),
            {"side": PLANE_SIDE, "reach": PLANE_REACH},
        )
    scale = figures.SCALE
    frames = list(figures.to_uint8(model.generate(walk)).repeat(scale, 1).repeat(scale, 2))
    pictures["interpolation.gif"] = Picture(
        lambda file: figures.write_gif(file, frames, WALK_MILLISECONDS),
        {"scale": scale, "milliseconds": WALK_MILLISECONDS, "unit": "place"},
    )
    return pictures


def still_pictures(arrays: dict[str, np.ndarray]) -> dict[str, Picture]:
    """The panels of a finished run, of the arrays that results.npz holds."""
    images, z = arrays["images"], arrays["z"]
    return {
        "reconstruction.png": png(reconstruction_panel(images, arrays["reconstructions"])),
        "samples.png": png(samples_panel(arrays["samples"])),
        "interpolation.png": png(
            interpolation_panel(arrays["interpolation"]), side=GRID_SIDE, reach=GRID_REACH
        ),
        "latent.png": png(latent_plane(z[: len(images)], images)),
    }
