"""What lies behind the animals."""

from dataclasses import dataclass

import numpy as np
from canvas import Canvas, X, Y, blend, bump, disc, palette, ramp


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
