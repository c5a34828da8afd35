"""What pictures are painted with: soft fields in numpy, brush strokes in Pillow, and light."""

from collections.abc import Callable, Sequence

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


BLACK = palette("17100e")[0]


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
