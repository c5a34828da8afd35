"""The pictures of GenNet: reconstructions, the latent plane, and walks in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from common import figures
from common.run_folder import Picture, png
from GenNet import GenNet

COLUMNS = 11  # pairs in a row of the panel of reconstructions, and
SHOWN = 55  # pairs in all
THUMBNAIL = 56  # pixels of an image on the plane, if there are few
GRID_SIDE = 8  # images along an edge of the panel over the plane
GRID_REACH = 2.0  # standard deviations of the prior
WALK_STEPS = 120  # of the walk through the training images
WALK_MILLISECONDS = 60  # that a step of it is shown
PLANE_REACH = 2.5  # standard deviations of the prior, to which the plane is shown in detail
PLANE_AXES = 4  # of z at most, of which the report shows planes


class Sprite(NamedTuple):
    """How closely a sprite of the report covers the plane."""

    side: int  # images along an edge
    reach: float  # standard deviations of the prior, from the middle to an edge
    tile: int  # pixels of an image, at most
    most: int  # bytes of its file


# In detail, where z is likely, and coarser as far out as one may search.  Of several planes, each
# is coarser, for all of them are to take about as long and as many bytes as one.
ONE_PLANE = {
    "plane.webp": Sprite(33, PLANE_REACH, 64, 1_200_000),
    "plane_wide.webp": Sprite(25, 6.0, 32, 250_000),
}
SEVERAL_PLANES = {
    "plane.webp": Sprite(17, PLANE_REACH, 32, 800_000),
    "plane_wide.webp": Sprite(13, 6.0, 32, 300_000),
}


def reconstruction_panel(images: np.ndarray, reconstructions: np.ndarray) -> Figure:
    """Training images over their reconstructions, COLUMNS pairs a row, the first SHOWN pairs."""
    parts = {"training image": images, "reconstruction": reconstructions}
    title = "Training images and their reconstructions f(Z)"
    return figures.stacked(parts, title, COLUMNS, SHOWN)


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


def interpolation_panel(
    interpolation: np.ndarray, z_dim: int, scale: int = figures.SCALE
) -> Figure:
    """The images f(z) on the even grid of `latents.plane` over the plane, or on its one axis.

    Args:
        interpolation: [GRID_SIDE^2, S, S, 3] in [0, 255].
        z_dim: d.
        scale: of a pixel.
    """
    values = np.linspace(-GRID_REACH, GRID_REACH, GRID_SIDE)
    axis = [f"{value:.2f}".replace("-", "−") for value in values]
    rows = figures.wrapped(interpolation, GRID_SIDE)
    if z_dim == 1:
        return figures.panel(rows[:1], "f(z) along z", (), axis, "", "z₁", scale=scale)
    title = "f(z) over the plane of z" + ", its other dimensions 0" * (z_dim > 2)
    return figures.panel(rows, title, axis[::-1], axis, "z₂", "z₁", scale=scale)


def samples_panel(samples: np.ndarray) -> Figure:
    """Samples in rows of eight."""
    return figures.panel(figures.wrapped(samples, 8), "Samples of the model: f(z), z ~ N(0, I)")


def plane_axes(z: np.ndarray) -> list[tuple[int, ...]]:
    """The pairs of axes of z [N, d] whose planes are shown, counted from 0; the line if d is 1.

    Of more than PLANE_AXES axes, those along which the inferred z vary most.
    """
    if z.shape[1] == 1:
        return [(0,)]
    chosen = np.argsort(-z.std(0), kind="stable")[:PLANE_AXES]
    return list(combinations(sorted(chosen.tolist()), 2))


def plane_sprite(
    model: GenNet, z_dim: int, planes: Sequence[tuple[int, ...]], sprite: Sprite
) -> np.ndarray:
    """f(z) on even grids over squares of the latent space, for the report.

    Args:
        model: that generates.
        z_dim: d.
        planes: the axes of each, as `plane_axes` chooses them; elsewhere z is 0.
        sprite: the grid, over [-reach, reach]^2.

    Returns:
        A sprite (see `figures.sprite`), uint8 [H, W, 3], the planes one below another: the first
        axis grows to the right, the second upward, and the outermost tiles are f(z) on the border.
        A line is one row.
    """
    axis = np.linspace(-sprite.reach, sprite.reach, sprite.side)
    rows = []
    for axes in planes:
        for up in axis[::-1] if len(axes) == 2 else [0.0]:
            z = np.zeros([sprite.side, z_dim])
            z[:, axes[-1]] = up
            z[:, axes[0]] = axis
            rows.append(figures.sprite(model.generate(z), sprite.side, sprite.tile))
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


def moving_pictures(model: GenNet, z: np.ndarray, walk: np.ndarray) -> dict[str, Picture]:
    """The planes through the inferred z [N, d], and the walk [T, d]."""
    pictures = {}
    planes = plane_axes(z)
    for name, sprite in (ONE_PLANE if len(planes) == 1 else SEVERAL_PLANES).items():
        picture = plane_sprite(model, z.shape[1], planes, sprite)
        pictures[name] = Picture(
            partial(figures.write_webp, picture=picture, most=sprite.most),
            {"side": sprite.side, "reach": sprite.reach, "axes": planes},
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
            interpolation_panel(arrays["interpolation"], z.shape[1]),
            side=GRID_SIDE,
            reach=GRID_REACH,
        ),
        "latent.png": png(latent_plane(z[: len(images)], images)),
    }
