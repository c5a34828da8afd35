"""Egrets from the side: how one is painted, and the seven of the category."""

from dataclasses import dataclass

import numpy as np
from canvas import BLACK, Array, Canvas, Point, X, Y, disc, palette, ramp, sample, spline
from scene import Scene
from scipy.ndimage import gaussian_filter


def polyline(points: str) -> Array:
    """Points written as "x,y x,y ..." in hundredths of the picture."""
    return np.array([pair.split(",") for pair in points.split()], dtype=float) / 100


def balls(path: Array) -> Array:
    """The height of a body made of balls strung along knots (x, y, radius)."""
    height = np.zeros_like(X)
    for x, y, r in spline(path, 70):
        np.maximum(height, r * r - (X - x) ** 2 - (Y - y) ** 2, out=height)
    return np.sqrt(height)


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
