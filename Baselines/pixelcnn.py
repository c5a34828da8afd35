"""PixelCNN (van den Oord et al., ICML and NIPS 2016; Salimans et al., PixelCNN++, ICLR 2017).

The probability of an image is the product of that of each pixel given those before it, in raster
order.  Convolutions whose masks hide what comes later compute all of them in one pass.  To draw a
pixel takes a pass over the window that it sees, 9 rows of 17 pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from autoregressive import PIXELS, Autoregressive, AutoregressiveSettings, Canvas
from common import command, flags
from common.flags import number, setting
from common.layers import Network
from common.session import tf
from masked import PADDED, first_layer, gated_layer, kept, padded, padded_to_unit, prediction
from pixel_likelihood import UNIFORMS, Given
from pixel_report import AutoregressiveExperiment

RADIUS = 2  # pixels that a layer sees, above and to each side
EPOCHS = 400
SECONDS = 0.014  # that an image of 64 x 64 takes in an iteration, on two cores


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelCNNSettings(AutoregressiveSettings):
    """What PixelCNN is told."""

    learning_rate: float = setting(
        0.003, number(1e-9, 10), "learning rate of Adam, at the beginning", group="learning"
    )
    num_epochs: int | None = flags.num_epochs(str(EPOCHS), "about 2 minutes")
    batch_size: int | None = flags.batch_size(f"{PIXELS:,} pixels")
    output_dir: Any = flags.output_dir("PixelCNN")

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two cores, roughly."""
        layers = (self.width / 24) ** 2 * self.num_layers / 3
        reach = RADIUS * (1 + self.num_layers) / self.image_size
        around = (1 + reach) * (1 + 2 * reach)  # padding is computed as well
        return SECONDS * layers * around * (self.image_size / 64) ** 2 * batch

    def resolved(self, num_images: int) -> PixelCNNSettings:
        """These settings with nothing left open, for a number of images to learn."""
        return self.filled(num_images, EPOCHS, self.batch)


class PixelCNN(Autoregressive):
    """Gated PixelCNN: a stack of the rows above and one of the pixels to the left."""

    settings_class = PixelCNNSettings

    @property
    def radius(self) -> int:
        """Pixels that a pixel sees, above and to each side."""
        return RADIUS * (1 + self.settings.num_layers)

    def _make_networks(self) -> list[Network]:
        return [self._network(kept)]

    def _network(self, drop: Callable) -> Network:
        """The one network, which has the same variables whatever of it is hidden."""
        return Network("pixelcnn", partial(self._layers, drop=drop), self.settings.seed)

    def _layers(self, x: tf.Tensor, drop: Callable) -> tf.Tensor:
        """Of padded images in [-1, 1]."""
        stacks = first_layer(x, self.settings.width, RADIUS)
        for layer in range(self.settings.num_layers):
            stacks = gated_layer(stacks, RADIUS, f"layer_{layer + 1}", drop)
        return stacks.horizontal

    def seen(self, x: tf.Tensor, drop: Callable = kept) -> Given:
        """What pixels are conditioned on, of padded images or of windows of them.

        Args:
            x: [B, H + radius, W + 2 radius, 6], see `masked.padded`.
            drop: as for `given`.

        Returns:
            Of [B, H, W, .].
        """
        x = padded_to_unit(x)
        return Given(self._network(drop)(x), prediction(x, self.radius, self.radius))

    def given(self, levels: tf.Tensor, drop: Callable = kept) -> Given:
        """What every pixel is conditioned on, of images [B, S, S, 3] in [0, 255]."""
        return self.seen(self.padded(levels), drop)

    def padded(self, levels: tf.Tensor) -> tf.Tensor:
        """Images with what windows of them have around pixels at the border."""
        return padded(levels, self.radius, self.radius)

    def _make_sampler(self) -> None:
        reach = self.radius
        window = tf.placeholder(tf.float32, [None, reach + 1, 2 * reach + 1, PADDED], "window")
        uniforms = tf.placeholder(tf.float32, [None, 1, 1, UNIFORMS], "uniforms")
        self._paper = self.padded(self.inputs.images)
        self._pixel = window, uniforms, self.distribution.draw(self.seen(window), uniforms)

    def canvas(self, images: np.ndarray) -> Canvas:
        """For drawing on copies of images [n, S, S, 3] in [0, 255]."""
        window, uniforms, drawn = self._pixel
        pixel = self.session.make_callable(drawn, [window, uniforms])
        paper = self.session.run(self._paper, {self.inputs.images: images})
        return _Windows(paper, self.radius, pixel)


class _Windows(Canvas):
    """Images that are padded once; a pixel is drawn by its window alone."""

    def __init__(self, paper: np.ndarray, radius: int, pixel: Callable) -> None:
        self._paper, self._radius, self._pixel, self._row = paper, radius, pixel, 0
        self.levels = paper[:, radius:, radius:-radius, :3]

    def begin(self, row: int) -> None:
        """Go to a row."""
        self._row = row

    def draw(self, column: int, uniforms: np.ndarray) -> np.ndarray:
        """Levels [n, 3] of a pixel of the row, by uniform numbers [n, UNIFORMS]."""
        rows = slice(self._row, self._row + self._radius + 1)
        columns = slice(column, column + 2 * self._radius + 1)
        return self._pixel(self._paper[:, rows, columns], uniforms[:, None, None])[:, 0, 0]


class PixelCNNExperiment(AutoregressiveExperiment):
    """PixelCNN on a category of images."""

    name, word, says = "PixelCNN", "pixelcnn", "A PixelCNN"
    settings_class, model_class = PixelCNNSettings, PixelCNN


def main(prog: str, arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    command.main(prog, __doc__ or "", PixelCNNExperiment, arguments)


load = PixelCNN.load
