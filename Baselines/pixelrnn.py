"""PixelRNN with a row LSTM (van den Oord, Kalchbrenner and Kavukcuoglu, ICML 2016).

The probability of an image is the product of that of each pixel given those before it, in raster
order.  What a pixel knows of the rows above comes from an LSTM that goes down row by row, all
columns at once: by far more than what convolutions see.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from autoregressive import PIXELS, Autoregressive, AutoregressiveSettings, Canvas
from common import command, flags
from common.flags import number, setting, whole
from common.layers import Network, valid_conv2d
from common.session import tf
from masked import PADDED, first_layer, kept, padded, padded_to_unit, prediction
from pixel_likelihood import UNIFORMS, Given
from pixel_report import AutoregressiveExperiment

RADIUS = 2  # pixels that the first layer sees, above and to each side
REACH = 2  # pixels to the left that a row LSTM sees of its input
BESIDE = 1  # pixels to each side that it sees of its state in the row above
EPOCHS = 600
SECONDS = 0.06  # that an image of 64 x 64 takes in an iteration, on two cores


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelRNNSettings(AutoregressiveSettings):
    """What PixelRNN is told."""

    image_size: int = setting(32, whole(8, 512, 4), "side S, in pixels", group="model")
    width: int = setting(48, whole(1, 1024), "channels of a layer", group="model")
    num_layers: int = setting(2, whole(1, 64), "row LSTMs, one above the other", group="model")
    learning_rate: float = setting(
        0.003, number(1e-9, 10), "learning rate of Adam, at the beginning", group="learning"
    )
    num_epochs: int | None = flags.num_epochs(str(EPOCHS), "about 2 minutes")
    batch_size: int | None = flags.batch_size(f"{PIXELS:,} pixels")
    output_dir: Any = flags.output_dir("PixelRNN")

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two cores, roughly."""
        layers = (self.width / 48) ** 2 * self.num_layers / 2
        return SECONDS * layers * (self.image_size / 64) ** 2 * batch

    def resolved(self, num_images: int) -> PixelRNNSettings:
        """These settings with nothing left open, for a number of images to learn."""
        return self.filled(num_images, EPOCHS, self.batch)


class RowLSTM:
    """A layer h'(row) = h(row) + C s(row), s the hidden state of an LSTM that goes down the rows.

    Its gates (o, f, i, g) in a row are K_is * h(row) + K_ss * s(row above), with K_is masked (B):
    h of the pixel itself is of pixels before it.  The memory is m = f m + i g, s = o tanh(m).
    """

    def __init__(self, width: int, name: str, seed: int) -> None:
        """Describe it.

        Args:
            width: channels of h and of the state.
            name: of its scope.
            seed: of the values that its variables start from.
        """
        taps = (REACH + 1) * width, (2 * BESIDE + 1) * width

        def conv(channels: int, columns: int, stddev: float, scope: str) -> Network:
            layer = partial(
                valid_conv2d,
                channels=channels,
                kernel=(1, columns),
                name="conv",
                stddev=stddev,
            )
            return Network(f"{name}/{scope}", layer, seed)

        self._input = conv(4 * width, REACH + 1, taps[0] ** -0.5, "input_to_state")
        self._state = conv(4 * width, 2 * BESIDE + 1, taps[1] ** -0.5, "state_to_state")
        self._output = conv(width, 1, width**-0.5, "output")
        self.networks = [self._input, self._state, self._output]

    def gates(self, h: tf.Tensor) -> tf.Tensor:
        """K_is * h of rows [B, H, W, c]: [B, H, W, 4 c]."""
        return self._input(tf.pad(h, [[0, 0], [0, 0], [REACH, 0], [0, 0]]))

    def step(self, state: tf.Tensor, gates: tf.Tensor) -> tf.Tensor:
        """A row down.

        Args:
            state: (s, m) of the row above, [B, 1, W, 2 c].
            gates: K_is * h of the row, [B, 1, W, 4 c].

        Returns:
            (s, m) of the row.
        """
        hidden, memory = tf.split(state, 2, -1)
        gates += self._state(tf.pad(hidden, [[0, 0], [0, 0], [BESIDE, BESIDE], [0, 0]]))
        o, f, i, g = tf.split(gates, 4, -1)
        memory = tf.sigmoid(f + 1) * memory + tf.sigmoid(i) * tf.tanh(g)
        return tf.concat([tf.sigmoid(o) * tf.tanh(memory), memory], -1)

    def output(self, h: tf.Tensor, state: tf.Tensor, drop: Callable = kept) -> tf.Tensor:
        """H' of rows [B, H, W, c] and their states [B, H, W, 2 c]."""
        return h + self._output(drop(state[..., : h.shape[3]]))

    def __call__(self, h: tf.Tensor, drop: Callable = kept) -> tf.Tensor:
        """H' of an image [B, H, W, c]."""
        gates = tf.transpose(self.gates(h), [1, 0, 2, 3])[:, :, None]  # [H, B, 1, W, 4 c]
        first = tf.zeros_like(tf.concat([h, h], -1)[:, :1])
        states = tf.scan(self.step, gates, first, parallel_iterations=1)
        return self.output(h, tf.transpose(states[:, :, 0], [1, 0, 2, 3]), drop)


class PixelRNN(Autoregressive):
    """Row LSTMs on a masked convolution."""

    settings_class = PixelRNNSettings

    def _make_networks(self) -> list[Network]:
        width, seed = self.settings.width, self.settings.seed
        self._first = Network("pixelrnn/first", lambda x: sum(first_layer(x, width, RADIUS)), seed)
        layers = range(1, self.settings.num_layers + 1)
        self._layers = [RowLSTM(width, f"pixelrnn/layer_{layer}", seed) for layer in layers]
        return [self._first, *[each for layer in self._layers for each in layer.networks]]

    def given(self, levels: tf.Tensor, drop: Callable = kept) -> Given:
        """What every pixel is conditioned on, of images [B, S, S, 3] in [0, 255]."""
        x = padded_to_unit(self.padded(levels))
        h = self._first(x)
        for layer in self._layers:
            h = layer(h, drop)
        return Given(h, prediction(x, RADIUS, RADIUS))

    def padded(self, levels: tf.Tensor) -> tf.Tensor:
        """Images with what the first layer sees around pixels at the border."""
        return padded(levels, RADIUS, RADIUS)

    def row(self, x: tf.Tensor, states: tf.Tensor) -> tuple[Given, tf.Tensor]:
        """The same of one row.

        Args:
            x: the row and RADIUS above it of padded images, [B, RADIUS + 1, S + 2 RADIUS, 6].
            states: of the row above, by layer, [B, num_layers, S, 2 c].

        Returns:
            Of [B, 1, S, .], and the states of the row.
        """
        x = padded_to_unit(x)
        h = self._first(x)
        below = []
        for layer, state in zip(self._layers, tf.split(states, len(self._layers), 1), strict=True):
            below.append(layer.step(state, layer.gates(h)))
            h = layer.output(h, below[-1])
        return Given(h, prediction(x, RADIUS, RADIUS)), tf.concat(below, 1)

    def _make_sampler(self) -> None:
        side, count = self.settings.image_size, self.settings.num_layers
        self._paper = self.padded(self.inputs.images)
        shape = [None, RADIUS + 1, side + 2 * RADIUS, PADDED]
        self._rows = tf.placeholder(tf.float32, shape, "rows")
        shape = [None, count, side, 2 * self.settings.width]
        self._states = tf.placeholder(tf.float32, shape, "states")
        self._column = tf.placeholder(tf.int32, [], "column")
        self._uniforms = tf.placeholder(tf.float32, [None, 1, 1, UNIFORMS], "uniforms")
        given, self._states_below = self.row(self._rows, self._states)
        column = slice(self._column, self._column + 1)
        pixel = Given(*[tf.ensure_shape(x[:, :, column], [None, 1, 1, x.shape[3]]) for x in given])
        self._pixel = self.distribution.draw(pixel, self._uniforms)

    def canvas(self, images: np.ndarray) -> Canvas:
        """For drawing on copies of images [n, S, S, 3] in [0, 255]."""
        feeds = [self._rows, self._states]
        down = self.session.make_callable(self._states_below, feeds)
        pixel = self.session.make_callable(self._pixel, [*feeds, self._column, self._uniforms])
        paper = self.session.run(self._paper, {self.inputs.images: images})
        states = np.zeros([len(images), *self._states.shape[1:]], np.float32)
        return _Rows(paper, states, down, pixel)


class _Rows(Canvas):
    """Images with the states of the LSTMs above the row that is being drawn.

    For a pixel the row alone is computed again, from these.
    """

    def __init__(
        self, paper: np.ndarray, states: np.ndarray, down: Callable, pixel: Callable
    ) -> None:
        self._paper, self._states, self._down, self._pixel = paper, states, down, pixel
        self._row = 0
        self.levels = paper[:, RADIUS:, RADIUS:-RADIUS, :3]

    def _rows(self) -> np.ndarray:
        return self._paper[:, self._row : self._row + RADIUS + 1]

    def begin(self, row: int) -> None:
        """Go to a row; those above are done."""
        while self._row < row:
            self._states = self._down(self._rows(), self._states)
            self._row += 1

    def draw(self, column: int, uniforms: np.ndarray) -> np.ndarray:
        """Levels [n, 3] of a pixel of the row, by uniform numbers [n, UNIFORMS]."""
        drawn = self._pixel(self._rows(), self._states, column, uniforms[:, None, None])
        return drawn[:, 0, 0]


class PixelRNNExperiment(AutoregressiveExperiment):
    """PixelRNN on a category of images."""

    name, word, says = "PixelRNN", "pixelrnn", "A PixelRNN"
    settings_class, model_class = PixelRNNSettings, PixelRNN


def main(prog: str, arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    command.main(prog, __doc__ or "", PixelRNNExperiment, arguments)


load = PixelRNN.load
