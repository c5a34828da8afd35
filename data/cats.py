"""Tigers and lions, full face: how one is painted, and the eleven of the category."""

from dataclasses import dataclass

import numpy as np
from canvas import BLACK, Array, Canvas, Point, X, Y, blend, bump, disc, palette, ramp, sample
from numpy.typing import ArrayLike
from scene import Scene

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
# fmt: on
