"""Draw the pictures that ship with the project in place of photographs.

Every picture is painted at four times its size from soft fields (numpy) and brush strokes
(Pillow), lit as a relief, and then reduced.  Each has random numbers of its own, so that the
same pictures come out on every machine.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFilter
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]
Flow = Callable[[Array], Array]  # from points to directions, both (n, 2)
Point = tuple[float, float]

SIDE = 128  # of a written picture
PX = 4 * SIDE  # of the canvas it is painted on
Y, X = (np.mgrid[:PX, :PX] + 0.5) / PX  # picture coordinates: 0 to 1, x right and y down


def palette(colours: str) -> Array:
    """The RGB values, 0 to 1 and one row each, of hexadecimal colours separated by spaces."""
    return np.array([ImageColor.getrgb(f"#{colour}") for colour in colours.split()]) / 255


def polyline(points: str) -> Array:
    """Points written as "x,y x,y ..." in hundredths of the picture."""
    return np.array([pair.split(",") for pair in points.split()], dtype=float) / 100


def blend(inks: Array, tone: Array) -> Array:
    """The colours at `tone`, 0 to 1, of the ramp from the first to the last of `inks`."""
    stops = np.linspace(0, 1, len(inks))
    return np.stack([np.interp(tone, stops, channel) for channel in inks.T], -1)


def spline(knots: ArrayLike, count: int = 24) -> Array:
    """`count` points of a smooth curve through knots (x, y, ...)."""
    rows = np.asarray(knots, dtype=float)
    steps = np.hypot(*np.diff(rows[:, :2], axis=0).T)
    along = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    return np.asarray(PchipInterpolator(along, rows)(np.linspace(0, 1, count)))


def ramp(low: float, high: float, value: Array) -> Array:
    """0 where `value` is at `low` or beyond, 1 at `high` or beyond, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bump(x: Array, y: Array, at: Point, radii: Point) -> Array:
    """A Gaussian hill of height 1."""
    return np.exp(-(((x - at[0]) / radii[0]) ** 2) - ((y - at[1]) / radii[1]) ** 2)


def disc(x: Array, y: Array, at: Point, radii: Point, soft: float = 0.2) -> Array:
    """An ellipse of ones whose edge fades over the share `soft` of its radius."""
    distance = np.hypot((x - at[0]) / radii[0], (y - at[1]) / radii[1])
    return ramp(1 + soft / 2, 1 - soft / 2, distance)


def sample(field: Array, at: Array) -> Array:
    """The values, or colours, of the pixels of `field` at points."""
    column, row = np.clip((at * PX).astype(int), 0, PX - 1).T
    return field[row, column]


def balls(path: Array) -> Array:
    """The height of a body made of balls strung along knots (x, y, radius)."""
    height = np.zeros_like(X)
    for x, y, r in spline(path, 70):
        np.maximum(height, r * r - (X - x) ** 2 - (Y - y) ** 2, out=height)
    return np.sqrt(height)


class Canvas:
    """A picture being painted, with the random numbers it is painted with."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.rgb = np.zeros((PX, PX, 3))

    def picture(self) -> Image.Image:
        """The canvas reduced, a little soft: so it looks less drawn, and its file is smaller."""
        image = self.image().filter(ImageFilter.GaussianBlur(2.5))
        return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)

    def image(self) -> Image.Image:
        """The canvas as it is."""
        return Image.fromarray(np.rint(np.clip(self.rgb, 0, 1) * 255).astype(np.uint8))

    def noise(self, across: int, down: int) -> Array:
        """Clouds of 0 to 1, the coarsest with the given number of cells each way."""
        total = np.full((PX, PX), 0.5)
        for octave in range(4):
            cells = self.rng.uniform(-0.5, 0.5, (down << octave, across << octave))
            grid = Image.fromarray(cells.astype(np.float32))
            layer = np.asarray(grid.resize((PX, PX), Image.Resampling.BICUBIC))
            total += 0.8 * 0.6**octave * layer
        return np.clip(total, 0, 1)

    def lay(self, colour: ArrayLike, mask: Array) -> None:
        """Cover with `colour` (one, or one a pixel) as far as `mask` says."""
        self.rgb += mask[..., None] * (np.asarray(colour) - self.rgb)

    def ribbons(
        self, colour: ArrayLike, bands: Sequence[Array], blur: float = 1, inside: float | Array = 1
    ) -> None:
        """Lay smooth bands, given by knots (x, y, half width), as far as the mask `inside`."""
        mask = Image.new("L", (PX, PX))
        pen = ImageDraw.Draw(mask)
        for band in bands:
            x, y, half = spline(band).T
            dx, dy = np.gradient(x), np.gradient(y)
            across = np.stack([-dy, dx]) * half / (np.hypot(dx, dy) + 1e-9)
            edges = np.concatenate([[x, y] + across, ([x, y] - across)[:, ::-1]], 1)
            pen.polygon((edges.T * PX).ravel().tolist(), fill=255)
        self.lay(colour, inside * gaussian_filter(np.asarray(mask) / 255, blur))

    def brush(
        self,
        at: Array,
        flow: Flow,
        length: float,
        width: int = 2,
        jitter: float = 0.1,
        colour: Array | None = None,
    ) -> None:
        """Tapered strokes from `at` along `flow`, in `colour` or else in what each starts on."""
        ink = sample(self.rgb, at) if colour is None else colour
        tone = 1 + jitter * self.rng.uniform(-1, 1, (len(at), 1))
        reach = length / 5 * self.rng.uniform(0.5, 1, (len(at), 1))
        path = [at]
        for _ in range(5):
            path.append(path[-1] + reach * flow(path[-1]))
        image = self.image()
        pen = ImageDraw.Draw(image)
        fills = np.rint(np.clip(ink * tone, 0, 1) * 255).astype(int).tolist()
        for line, fill in zip((np.stack(path, 1) * PX).tolist(), fills, strict=True):
            points = [tuple(point) for point in line]
            pen.line(points, fill=tuple(fill), width=(width + 1) // 2)
            pen.line(points[:4], fill=tuple(fill), width=width)
        self.rgb = np.asarray(image) / 255

    def light(self, height: Array, sun: Point, mask: Array) -> None:
        """Light the relief `height` (in picture widths) from `sun`: warm light, cool shadow."""
        dy, dx = np.gradient(gaussian_filter(height, 4) * PX)
        facing = (1 - dx * sun[0] - dy * sun[1]) / np.sqrt(1 + dx**2 + dy**2)
        level = ramp(0.1, 1, facing / np.sqrt(1 + sun[0] ** 2 + sun[1] ** 2))
        tint = blend(np.array([[0.42, 0.41, 0.48], [1.18, 1.14, 1.05]]), level)
        self.rgb *= 1 + 0.9 * mask[..., None] * (tint - 1)


@dataclass(frozen=True)
class Scene:
    """What lies behind: clouds of colours, dark to light, and others below a horizon."""

    far: str
    cells: tuple[int, int]  # of the clouds, across and down: wide ones look like water
    near: str = ""
    near_cells: tuple[int, int] = (3, 30)
    horizon: float = 1.0
    blades: str = ""  # colours of grass
    lights: str = ""  # colours of spots out of focus, or of snow
    glow: str = ""  # colour of the low sun

    def paint(self, canvas: Canvas) -> None:
        """Cover the whole canvas."""
        canvas.lay(blend(palette(self.far), 0.1 + 0.8 * canvas.noise(*self.cells)), np.ones_like(X))
        if self.near:
            ground = blend(palette(self.near), 0.1 + 0.8 * canvas.noise(*self.near_cells))
            canvas.lay(ground, ramp(-0.015, 0.015, Y - self.horizon))
        if self.glow:
            canvas.lay(palette(self.glow), 0.9 * bump(X, Y, (0.72, self.horizon), (0.5, 0.3)))
        if self.lights:
            inks = palette(self.lights)
            for x, y, r, strength in canvas.rng.uniform(
                (0, 0, 0.01, 0.2), (1, self.horizon, 0.07, 0.7), (40, 4)
            ):
                ink = inks[canvas.rng.integers(len(inks))]
                canvas.lay(ink, strength * disc(X, Y, (x, y), (r, r), 0.6))
        self.paint_grass(canvas, 700, 0.3)

    def paint_grass(self, canvas: Canvas, count: int, top: float) -> None:
        """Blades of grass, if the scene has any, rooted below the height `top`."""
        if not self.blades:
            return
        at = canvas.rng.uniform((-0.1, top), (1.1, 1.2), (count, 2))
        at = at[np.argsort(at[:, 1])]
        way = np.column_stack([canvas.rng.uniform(-0.4, 0.4, count), -np.ones(count)])
        inks = palette(self.blades)
        ink = inks[canvas.rng.integers(len(inks), size=count)] * (0.4 + 0.6 * at[:, 1:])
        canvas.brush(at, lambda _: way, 0.35, 4, 0.2, ink)


# The right half of a face in face coordinates (u, v): the eyes are at (+-0.38, 0), the nose at
# (0, 0.8), and the left half is its mirror image.
RELIEF = (  # height, place and radii of hills and hollows
    (0.70, (0.00, 0.20), (0.95, 1.10)),  # skull
    (0.14, (0.00, 0.50), (0.30, 0.60)),  # bridge of the nose
    (0.20, (0.20, 0.98), (0.26, 0.20)),  # whisker pads
    (0.10, (0.38, -0.24), (0.22, 0.14)),  # brows
    (0.08, (0.66, 0.40), (0.22, 0.30)),  # cheeks
    (0.14, (0.00, 1.32), (0.24, 0.12)),  # chin
    (-0.09, (0.36, 0.02), (0.16, 0.12)),  # eye sockets
    (-0.08, (0.00, 1.00), (0.06, 0.16)),  # cleft of the lip
    (-0.10, (0.00, 1.17), (0.35, 0.05)),  # mouth
)
PALE = (  # strength, place and radii of the pale patches of lion and tiger
    (0.90, (0.22, 0.98), (0.36, 0.26)),
    (0.80, (0.20, 0.99), (0.20, 0.15)),
    (1.00, (0.00, 1.28), (0.30, 0.22)),
    (0.75, (0.40, 0.12), (0.26, 0.12)),
    (0.50, (0.36, -0.20), (0.20, 0.14)),
)
PALE_TIGER = (  # and those of the tiger alone
    (0.90, (0.36, -0.20), (0.20, 0.14)),
    (0.95, (0.86, 0.45), (0.30, 0.75)),
    (0.95, (0.64, 1.00), (0.48, 0.44)),
)
STRIPES = (  # knots (u, v, half width) of a tiger's stripes
    ((0.03, -0.22, 0.01), (0.08, -0.32, 0.03), (0.20, -0.42, 0.01)),
    ((0.02, -0.40, 0.02), (0.16, -0.53, 0.045), (0.40, -0.50, 0.005)),
    ((0.02, -0.58, 0.02), (0.20, -0.70, 0.045), (0.50, -0.60, 0.005)),
    ((0.02, -0.76, 0.02), (0.24, -0.87, 0.05), (0.52, -0.76, 0.01)),
    ((0.46, -0.36, 0.01), (0.60, -0.34, 0.04), (0.70, -0.14, 0.01)),
    ((0.60, -0.66, 0.02), (0.76, -0.44, 0.05), (0.82, -0.08, 0.01)),
    ((0.55, 0.00, 0.02), (0.69, 0.18, 0.04), (0.66, 0.46, 0.01)),
    ((0.82, -0.04, 0.02), (0.90, 0.28, 0.05), (0.78, 0.66, 0.01)),
    ((0.45, 0.17, 0.01), (0.54, 0.32, 0.03), (0.52, 0.54, 0.005)),
    ((0.72, 0.62, 0.01), (0.68, 0.84, 0.045), (0.52, 1.02, 0.01)),
    ((0.94, 0.66, 0.01), (0.86, 0.96, 0.055), (0.62, 1.18, 0.01)),
)
LINES = (  # the same of the dark lines of eye, lip and mouth
    ((0.52, -0.06, 0.02), (0.38, -0.085, 0.035), (0.24, 0.06, 0.03), (0.19, 0.24, 0.005)),
    ((0.00, 0.86, 0.012), (0.01, 1.02, 0.012), (0.02, 1.06, 0.015)),
    ((0.00, 1.04, 0.014), (0.15, 1.15, 0.028), (0.38, 1.17, 0.008)),
)
BLACK = palette("17100e")[0]


@dataclass(frozen=True)
class Cat:
    """A tiger or, with a mane, a lion, full face."""

    seed: int
    scene: Scene
    coat: str  # dark, middle and light shade of the short hair
    pale: str  # colour of muzzle, chin and brows
    mane: str = ""  # its strands, from the outermost to the innermost
    eyes: str = "d9a13a"
    nose: str = "b5675c"
    stripe: str = "1c1412"
    at: Point = (0.5, 0.45)  # between the eyes
    size: float = 0.34  # half a face's width
    tilt: float = 0.0  # radians, clockwise
    turn: float = 0.0  # how far the features are moved across the head, in face units
    sun: Point = (-0.6, -0.6)

    def axes(self) -> Array:
        """The directions of u and v in the picture, one a row."""
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        return np.array([[c, s], [-s, c]])

    def place(self, points: Array) -> Array:
        """The picture coordinates of points (u, v) of the face."""
        shift = self.turn * bump(points[:, 0], points[:, 1], (0, 0.4), (0.9, 1.1))
        moved = np.column_stack([points[:, 0] + shift, points[:, 1]])
        return moved @ self.axes() * self.size + self.at

    def face(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The face coordinates (u, v) of places in the picture: `place` undone."""
        away = np.stack([x - self.at[0], y - self.at[1]], -1) / self.size
        outer, v = np.moveaxis(away @ self.axes().T, -1, 0)
        u = outer
        for _ in range(3):  # a fixed point: the move depends on where it came from
            u = outer - self.turn * bump(u, v, (0, 0.4), (0.9, 1.1))
        return u, v

    def both(self, knots: ArrayLike, canvas: Canvas, wobble: float = 0) -> list[Array]:
        """A band (u, v, half width) of the face on the right and, mirrored, on the left."""
        bands = []
        for side in (1, -1):
            band = np.array(knots) * (side, 1, self.size)
            band[:, :2] += canvas.rng.uniform(-wobble, wobble, (len(band), 2))
            bands.append(np.column_stack([self.place(band[:, :2]), band[:, 2]]))
        return bands

    def outward(self, at: Array) -> Array:
        """The flow of the hair: away from the nose in waves, drooping at the sides."""
        u, v = self.face(*at.T)
        swirl = 0.3 * np.sin(9 * u + 5 * v + self.seed) + 0.2 * np.sin(17 * v - 7 * u)
        droop = 0.5 * np.maximum(0, np.abs(u) - 0.6)
        way = np.column_stack([u - swirl * (v - 0.5), v - 0.5 + swirl * u + droop])
        return way / (np.linalg.norm(way, axis=1, keepdims=True) + 1e-6) @ self.axes()

    def ring(self, canvas: Canvas, count: int, low: float, high: float) -> tuple[Array, Array]:
        """Roots of hair around the face, and their angles from below the chin."""
        angle = canvas.rng.uniform(0, 2 * np.pi, count)
        r = canvas.rng.uniform(low, high, count)
        oval = np.column_stack([r * np.sin(angle), 0.33 + 1.2 * r * np.cos(angle)])
        return self.place(oval), angle

    def paint(self, canvas: Canvas) -> None:
        """Paint the whole picture, from back to front."""
        u, v = self.face(X, Y)
        a = np.abs(u)  # for what is the same on the right and on the left
        self.scene.paint(canvas)
        if self.mane:
            self.paint_mane(canvas)
        else:
            self.paint_body(canvas)
        self.paint_ears(canvas, a, v)
        self.paint_coat(canvas, a, v)
        if self.mane:
            self.paint_fringe(canvas)
        self.paint_eyes(canvas, u, v)
        self.paint_muzzle(canvas, a, v)

    def paint_body(self, canvas: Canvas) -> None:
        """A tiger's neck and shoulders."""
        dark, middle, _ = palette(self.coat)
        x, y = self.at
        centre = (x + 0.18 - self.turn, y + 0.75)
        body = disc(X, Y, centre, (0.62, 0.62), 0.05)
        canvas.lay(blend(np.stack([dark, middle]), canvas.noise(6, 6)), body)
        canvas.lay(palette(self.pale) * 0.8, disc(X, Y, (x, y + 0.6), (0.25, 0.4), 0.8))
        bands = []
        for reach in np.arange(0.4, 1.0, 0.09):
            for side in (-1, 1):
                t = canvas.rng.uniform((0.2, 0.4, 0.9), (0.3, 0.6, 1.2))
                arc = [x + side * reach * np.sin(t), y + 0.1 + 0.9 * reach * np.cos(t)]
                bands.append(np.column_stack([*arc, (0.003, 0.018, 0.004)]))
        canvas.ribbons(palette(self.stripe), bands, 2, body)
        canvas.light(0.5 * bump(X, Y, centre, (0.5, 0.5)), self.sun, body)

    def paint_mane(self, canvas: Canvas) -> None:
        """Layers of long strands, from the outermost and darkest to those about the face."""
        inks = palette(self.mane)
        canvas.lay(inks[0], disc(*self.face(X, Y), (0, 0.75), (1.5, 2.1), 0.3))
        for layer, r in enumerate(np.linspace(1.5, 0.66, 9)):
            roots, angle = self.ring(canvas, 800, 0.85 * r, 1.1 * r)
            locks = 0.22 * np.sin(13 * angle + layer) + 0.16 * np.sin(29 * angle - 2 * layer)
            lit = 0.2 * (np.sin(angle) * self.sun[0] + np.cos(angle) * self.sun[1])
            # Under the chin the hair lies in the shadow of the head.
            shade = 0.45 * np.exp(-(((r - 0.75) / 0.35) ** 2)) * ramp(0.2, 1, np.cos(angle))
            tone = layer / 9 + locks + lit - shade + canvas.rng.uniform(-0.15, 0.15, len(angle))
            ink = blend(inks, np.clip(tone, 0, 1))
            canvas.brush(roots, self.outward, 0.7 * self.size, 3, 0.2, ink)

    def paint_fringe(self, canvas: Canvas) -> None:
        """The first strands of the mane, over the edge of the face."""
        roots, angle = self.ring(canvas, 800, 0.72, 0.95)
        roots = roots[np.cos(angle) < 0.8]  # the chin stays free
        inks = palette(self.mane)[2:]
        ink = inks[canvas.rng.integers(len(inks), size=len(roots))]
        canvas.brush(roots, self.outward, 0.4 * self.size, 2, 0.25, ink)

    def paint_ears(self, canvas: Canvas, a: Array, v: Array) -> None:
        """Round ears: a dark rim, and paler hair inside."""
        dark, middle, _ = palette(self.coat)
        rim = dark if self.mane else palette(self.stripe)[0] * 1.5
        canvas.lay(rim, disc(a, v, (0.78, -0.82), (0.3, 0.32), 0.15))
        canvas.lay(middle, disc(a, v, (0.76, -0.80), (0.25, 0.27), 0.3))
        canvas.lay(palette(self.pale), 0.75 * disc(a, v, (0.74, -0.76), (0.17, 0.2), 0.7))
        canvas.lay(dark * 0.4, 0.7 * disc(a, v, (0.7, -0.68), (0.12, 0.16), 0.9))
        for side in (-1, 1):
            hair = canvas.rng.uniform((0.5, -1.1), (1.08, -0.5), (250, 2)) * (side, 1)
            canvas.brush(self.place(hair), self.outward, 0.12 * self.size, 2, 0.15)

    def paint_coat(self, canvas: Canvas, a: Array, v: Array) -> None:
        """The short hair of the face, its pale patches and stripes, lit."""
        dark, middle, light = palette(self.coat)
        # A lion's face is narrow and melts into the mane.
        width, soft, patches = (0.8, 0.3, PALE) if self.mane else (1, 0.08, PALE + PALE_TIGER)
        # Coordinates in which edges come out ragged.
        ra, rv = (axis + 0.15 * (canvas.noise(16, 16) - 0.5) for axis in (a, v))
        head = disc(0.7 * a + 0.3 * ra, v, (0, 0.25), (width, 1.15), soft)
        canvas.lay(blend(np.stack([middle, light]), canvas.noise(10, 10)), head)
        canvas.lay(dark, 0.7 * head * ramp(-0.3, -1, v))
        canvas.lay(dark, 0.35 * head * bump(a, v, (0.2, 0.35), (0.1, 0.4)))
        canvas.lay(light, 0.6 * head * bump(a, v, (0, 0.3), (0.14, 0.5)))
        for strength, at, radii in patches:
            canvas.lay(palette(self.pale), strength * head * disc(ra, rv, at, radii, 0.9))
        if not self.mane:
            scale = canvas.rng.uniform(0.9, 1.6, len(STRIPES))
            stripes = [np.array(k) * (1, 1, s) for k, s in zip(STRIPES, scale, strict=True)]
            bands = [band for knots in stripes for band in self.both(knots, canvas, 0.03)]
            canvas.ribbons(palette(self.stripe), bands, 1.5)
        height = sum((h * bump(a, v, at, radii) for h, at, radii in RELIEF), np.zeros_like(X))
        lit = disc(a, v, (0, 0.25), (width * 1.05, 1.15), 0.4)
        canvas.light(height * self.size, self.sun, lit)
        hair = canvas.rng.uniform(0, 1, (9000, 2))
        hair = hair[sample(head, hair) > 0.3]
        canvas.brush(hair, self.outward, 0.1 * self.size, 2, 0.16)

    def paint_eyes(self, canvas: Canvas, u: Array, v: Array) -> None:
        """Slanting eyes under dark lids, each with a spark on the side of the sun."""
        a, iris = np.abs(u), palette(self.eyes)[0]
        slant = v + 0.3 * (a - 0.38)
        canvas.lay(BLACK, 0.9 * disc(a, slant, (0.38, 0), (0.15, 0.09), 0.3))
        lines = [band for knots in LINES for band in self.both(knots, canvas)]
        canvas.ribbons(BLACK, lines, 1.5)
        canvas.lay(iris, disc(a, slant, (0.38, 0.015), (0.095, 0.06)))
        canvas.lay(iris * 0.5, 0.6 * disc(a, slant, (0.38, -0.04), (0.11, 0.04), 0.6))
        canvas.lay(BLACK, disc(a, v, (0.37, 0.005), (0.038, 0.042)))
        for eye in (-0.37, 0.37):
            spark = (eye + 0.03 * np.sign(self.sun[0]), -0.025)
            canvas.lay(np.ones(3), disc(u, v, spark, (0.024, 0.024)))

    def paint_muzzle(self, canvas: Canvas, a: Array, v: Array) -> None:
        """Nose, lower lip and whiskers."""
        canvas.lay(BLACK, 0.7 * disc(a, v, (0.11, 0.84), (0.15, 0.1), 0.5))
        tip = disc(a * (2 * v - 0.5), v, (0, 0.8), (0.22, 0.12))  # narrow below
        canvas.lay(palette(self.nose) * (1.25 - 0.9 * ramp(0.7, 0.9, v))[..., None], tip)
        canvas.lay(BLACK, 0.85 * disc(a, v, (0.085, 0.83), (0.05, 0.03), 0.5))
        canvas.lay(BLACK, 0.4 * disc(a, v, (0, 1.2), (0.25, 0.06), 0.9))
        roots = canvas.rng.uniform((0.17, 0.9), (0.4, 1.06), (28, 2))
        roots[::2, 0] *= -1
        canvas.brush(self.place(roots), self.outward, 0.04 * self.size, 3, 0, BLACK)
        way = np.column_stack([np.sign(roots[:, 0]), canvas.rng.uniform(-0.1, 0.3, len(roots))])
        way = way @ self.axes()
        canvas.brush(self.place(roots), lambda _: way, 0.7 * self.size, 1, 0, palette("fff8ec"))


@dataclass(frozen=True)
class Egret:
    """A white heron from the side, its bill to the left unless the picture is flipped."""

    seed: int
    scene: Scene
    neck: str  # the line from the head to the breast
    body: str  # and from the breast to the tail, five points
    bill: str  # its tip
    feet: str  # the far one and the near one
    colour: str = "e8a018"  # of the bill
    girth: float = 0.105
    sun: Point = (-0.5, -0.7)
    hue: str = "ffffff"  # of the light on the plumage
    water: float = 1.0  # the height below which the picture is mirrored
    lifted: bool = False  # the wings
    flip: bool = False

    def along(self, at: Array) -> Array:
        """The flow of the feathers: from the breast to the tail."""
        body = polyline(self.body)
        x, y = body[-1] - body[0]
        wave = 0.12 * np.sin(60 * at[:, :1] + self.seed)
        return (np.array([x, y]) + wave * np.array([-y, x])) / np.hypot(x, y)

    def paint(self, canvas: Canvas) -> None:
        """Paint the whole picture, from back to front."""
        self.scene.paint(canvas)
        self.paint_legs(canvas)
        if self.lifted:
            self.paint_wing(canvas, -0.12, 0.82)
        self.paint_plumage(canvas)
        if self.lifted:
            self.paint_wing(canvas, 0, 1)
        self.paint_head(canvas)
        self.scene.paint_grass(canvas, 60, 0.95)
        if self.water < 1:
            self.paint_reflection(canvas)
        if self.flip:
            canvas.rgb = canvas.rgb[:, ::-1]

    def paint_legs(self, canvas: Canvas) -> None:
        """Black legs with a knobbly joint, the far one paler."""
        hips = polyline(self.body)[2] + [(-0.015, 0.05), (0.02, 0.05)]
        feet, inks = polyline(self.feet), palette("4a4844 1c1a1a")
        x, y = feet.mean(0)
        canvas.lay(BLACK, 0.3 * disc(X, Y, (x + 0.05, y), (0.22, 0.025), 1.2))
        for ink, hip, foot in zip(inks, hips, feet, strict=True):
            knee = (hip + foot) / 2 + (0.015, 0)
            joints = [hip, 0.4 * hip + 0.6 * knee, knee, 0.8 * knee + 0.2 * foot, foot]
            toes = [foot + (0.02, 0.004), foot, foot + (-0.05, 0.012)]
            leg = np.column_stack([joints, (0.016, 0.008, 0.01, 0.007, 0.008)])
            canvas.ribbons(ink, [leg, np.column_stack([toes, (0.003, 0.007, 0.003)])])

    def paint_plumage(self, canvas: Canvas) -> None:
        """White neck, body and folded wing, lit, with loose plumes on the back."""
        neck, body, hue = polyline(self.neck), polyline(self.body), palette(self.hue)
        thin = np.interp(
            np.linspace(0, 1, len(neck)), (0, 0.12, 0.3, 0.7, 1), (0.032, 0.026, 0.023, 0.03, 0.06)
        )
        thick = self.girth * np.array([0.62, 0.94, 1, 0.58, 0.12])
        trunk = balls(np.column_stack([body, thick]))
        wing = balls(np.column_stack([body + (0.012, -0.012), 0.72 * thick])[1:])
        height = np.maximum(trunk, balls(np.column_stack([neck, thin])))
        mask = gaussian_filter((height > 0.004).astype(float), 1.2)
        canvas.lay(0.96 * hue, mask)
        canvas.light(0.9 * height + 0.35 * wing, self.sun, mask)
        down = canvas.rng.uniform((0, 0.2), (1, 1), (9000, 2))
        down = down[sample(trunk, down) > 0.3 * self.girth]
        canvas.brush(down, self.along, 0.06, 3, 0.06)
        plumes = spline(body, 60)[16:56]
        plumes += canvas.rng.uniform(-0.04, 0.03, plumes.shape)
        ink = palette("ccd4e0 f4f6fa ffffff e4e9f2")[canvas.rng.integers(4, size=len(plumes))]
        canvas.brush(plumes, self.along, 0.13, 2, 0.05, ink * hue)

    def paint_wing(self, canvas: Canvas, shift: float, shade: float) -> None:
        """A lifted wing: feathers from the tip of the arm down to the shoulder."""
        bones = [(0.07 + shift, -0.2), (-0.01 + shift, -0.12), (0.06, 0)]
        arm = spline(polyline(self.body)[1] + bones, 22)
        hue = shade * palette(self.hue)
        for root, angle in zip(arm, np.linspace(1.05, -0.35, len(arm)), strict=True):
            way = canvas.rng.uniform(0.28, 0.32) * np.array([np.cos(angle), -np.sin(angle)])
            quill = [root, root + 0.55 * way - (0.01, 0.012), root + way]
            feather = np.column_stack([quill, (0.026, 0.022, 0.004)])
            canvas.ribbons(hue * (0.68, 0.74, 0.84), [feather + (0.003, 0.006, 0.002)], 3)
            canvas.ribbons(hue * canvas.rng.uniform(0.9, 1), [feather], 2)

    def paint_head(self, canvas: Canvas) -> None:
        """Bill, eye and the bare skin between them."""
        head, tip, ink = polyline(self.neck)[0], polyline(self.bill)[0], palette(self.colour)
        way = (tip - head) / np.hypot(*(tip - head))
        up = np.array([-way[1], way[0]])
        base = head + 0.02 * way
        bill = np.column_stack([[base, (base + tip) / 2, tip], (0.016, 0.011, 0.002)])
        gape = np.column_stack([[base - 0.006 * up, tip], (0.004, 0.002)])
        canvas.ribbons(ink, [bill])
        canvas.ribbons(0.45 * ink, [gape])
        u, v = X - head[0], Y - head[1]
        canvas.lay(palette("a8b060"), 0.8 * disc(u, v, tuple(0.018 * way), (0.014, 0.01), 0.5))
        eye = tuple(0.004 * way + 0.008 * up)
        canvas.lay(palette("f0d040"), disc(u, v, eye, (0.009, 0.009)))
        canvas.lay(BLACK, disc(u, v, eye, (0.006, 0.006)))

    def paint_reflection(self, canvas: Canvas) -> None:
        """The picture mirrored in rippled water, and the sky in the ripples."""
        depth = Y - self.water
        ripple = 0.08 * (canvas.noise(3, 40) - 0.5) * ramp(0, 0.15, depth)
        at = np.stack([X + ripple, self.water - depth + 0.7 * ripple], -1).reshape(-1, 2)
        mirror = sample(canvas.rgb, at).reshape(canvas.rgb.shape)
        canvas.lay(0.85 * mirror, 0.6 * ramp(0, 0.01, depth))
        glint = ramp(0.58, 0.8, canvas.noise(5, 60)) * ramp(0, 0.02, depth)
        canvas.lay(palette(self.scene.far)[-1], 0.6 * glint)


# fmt: off
CATS = {
    "tiger_1": Cat(11, Scene("0e1a08 3f5f1c 8fae3a d9dc78", (5, 5), lights="cfe06a f0f0a0 5f8a2a"),
                   "8a3c10 cf6e1c f2a748", "f8efe0"),
    "tiger_2": Cat(12, Scene("54565c 8c8c8c c4c0b8", (4, 7)), "a8521a e08a38 f8c070", "fff2da",
                   at=(0.46, 0.46), tilt=-0.1, turn=-0.08, sun=(0.7, -0.5), eyes="c8a848"),
    "tiger_3": Cat(13, Scene("59708a 93a9bf d5e2ee", (6, 6), lights="ffffff"),
                   "a8a49c d8d6d0 f4f4f2", "ffffff", eyes="8fc4e8", stripe="2a2624",
                   at=(0.52, 0.47), size=0.36, tilt=0.06),
    "tiger_4": Cat(14, Scene("120e1c 2e2038 6a3c4c", (5, 5), lights="e08a40 a84c48"),
                   "7a3410 b85c1c e89448", "e8dcc8", at=(0.55, 0.44), turn=0.1, sun=(0.9, -0.3),
                   nose="8a4438"),
    "tiger_5": Cat(15, Scene("0e4a5c 2a8a9a 9fdcdc", (3, 26)), "9a4a14 d87a24 f6b45c", "fff4e4",
                   at=(0.5, 0.43), size=0.31, tilt=0.12, eyes="b8c060"),
    "tiger_6": Cat(16, Scene("6a3a14 b87a30 ecc878", (24, 4), blades="c89a48 e8c878 8a5a20"),
                   "8a3410 c85818 ee9640", "f4e4cc", at=(0.48, 0.46), size=0.37, tilt=-0.04,
                   turn=0.06),
    "lion_1": Cat(21, Scene("3c6c2c 78a850 c4d890", (5, 5)), "8a5c30 c8935a eac890", "f6e8d0",
                  "4a2810 8a5424 c08a48 e0b878", nose="7a4a3c", size=0.32, at=(0.5, 0.42)),
    "lion_2": Cat(22, Scene("7ea4d0 a8c4e4 dce8f4", (4, 4)), "8a3c10 d07a30 f4b868", "f8e4c4",
                  "3a1404 8a3408 d06414 f49a3c", nose="5a3028", size=0.3, at=(0.48, 0.4),
                  tilt=0.06, turn=-0.07, eyes="e8b040", sun=(0.7, -0.5)),
    "lion_3": Cat(23, Scene("8a7c48 c8b878 ece0b0", (20, 5), blades="d8c888 b09a58"),
                  "7a6040 b8946c e0c8a4", "f0e4d4", "100a08 2a1c14 4a3424 7a5a3c", nose="3a2c28",
                  size=0.31, at=(0.52, 0.44), turn=0.08, eyes="c89030"),
    "lion_4": Cat(24, Scene("301838 8a3c4c f08a4c", (4, 6), glow="ffc86a"), "6a3418 b06a30 e8ac5c",
                  "f0d0a4", "2a0c08 5c2410 9a4c1c d88a3c", nose="4a2420", size=0.29,
                  at=(0.46, 0.42), tilt=-0.1, turn=0.04, sun=(0.8, -0.2)),
    "lion_5": Cat(25, Scene("28301c 4a5434 7a8458", (5, 5)), "9a8054 d0b47c f0deb0", "fff4dc",
                  "6a5430 a88c54 d8c088 f4e4b8", size=0.33, at=(0.5, 0.42), tilt=0.03,
                  eyes="b8a850", nose="8a5a4c"),
}

EGRETS = {
    "egret_1": Egret(31, Scene("1c3f74 3c6ea8 7aa8d4", (3, 30)),
                     "36,12 42,16 41,26 36,36 37,46 44,52", "43,50 50,53 60,62 72,74 80,84",
                     "13,14", "53,86 60,88", "28241f", water=0.84),
    "egret_2": Egret(32, Scene("12300f 2f6a24 78b04a", (24, 4), blades="4a8a30 8ac050 2c5a20"),
                     "34,10 40,12 42,22 38,34 40,44 48,52", "44,49 50,51 60,58 73,69 83,79",
                     "10,15", "56,95 62,97", flip=True, hue="fffdf0"),
    "egret_3": Egret(33, Scene("8a4a6a e08a70 ffd8a0", (3, 6), "6a3a5c c87868 ffc890",
                               horizon=0.66, glow="fff0b0"),
                     "27,27 34,26 39,32 35,39 33,46 41,54", "42,50 50,50 60,56 72,66 80,73",
                     "4,31", "52,86 58,87", girth=0.125, sun=(0.6, -0.5), hue="ffeedd", water=0.84),
    "egret_4": Egret(34, Scene("060c0e 12221f 3c544a", (4, 24)),
                     "20,50 20,42 26,34 33,36 38,43 46,44", "45,42 53,39 64,42 77,50 86,57",
                     "13,76", "54,80 64,80", girth=0.125, water=0.76),
    "egret_5": Egret(35, Scene("7ab0c8 b4d4dc e4eee8", (3, 8), "b08a58 d8b880 f0dcb0", (10, 30),
                               horizon=0.42),
                     "32,16 39,18 42,28 36,38 42,48", "42,47 50,49 62,54 76,60 88,66",
                     "8,20", "72,90 44,92", "28241f", sun=(0.4, -0.7), flip=True),
    "egret_6": Egret(36, Scene("5a1810 b04418 e89a3c", (6, 6), "3a1c18 7a3c24 b87840", horizon=0.7,
                               lights="f0c050 e06020 c83818"),
                     "40,14 46,17 46,28 40,38 40,46 46,54", "45,52 52,54 60,63 68,74 72,83",
                     "18,20", "54,90 59,91", hue="fff4e4", water=0.88),
    "egret_7": Egret(37, Scene("48605c 7a948c b8c8bc", (3, 8), "3c5040 6c8070 a8b8a4", (4, 30),
                               horizon=0.7),
                     "26,22 32,22 36,30 33,40 38,50", "38,50 45,52 55,58 68,66 78,72",
                     "4,24", "48,87 56,89", girth=0.1, water=0.85, lifted=True),
}
# fmt: on
CATEGORIES: dict[str, dict[str, Cat] | dict[str, Egret]] = {"lion_tiger": CATS, "egret": EGRETS}


def draw(category: str) -> dict[str, Image.Image]:
    """Draw the pictures of a category, "lion_tiger" or "egret": RGB images by name."""
    pictures = {}
    for name, individual in CATEGORIES[category].items():
        canvas = Canvas(individual.seed)
        individual.paint(canvas)
        pictures[name] = canvas.picture()
    return pictures


def save(image: Image.Image, path: Path) -> None:
    """Write a PNG file in one go: a reader finds the old file or the new one, never a part."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        temporary = Path(folder) / path.name
        image.save(temporary, optimize=True)
        os.replace(temporary, path)


def main() -> None:
    """Draw every category into a folder of its own."""
    parser = argparse.ArgumentParser(
        description="Draw the pictures that ship with the project.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parent,
        metavar="DIR",
        help="write the pictures as DIR/CATEGORY/NAME.png",
    )
    out = parser.parse_args().out
    for category in CATEGORIES:
        folder = out / category
        folder.mkdir(parents=True, exist_ok=True)
        pictures = draw(category)
        for name, image in pictures.items():
            save(image, folder / f"{name}.png")
        print(f"{category}: {len(pictures)} pictures in {folder}")


if __name__ == "__main__":
    main()
