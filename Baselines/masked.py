"""Layers that see only pixels which come before, in raster order: those of PixelCNN and PixelRNN.

An image is padded once, and every convolution after that is "VALID".  So a feature of a pixel is
the same sum in a window of the image as in the whole image, and a pixel can be drawn from its
window alone.  Of a mask that is a rectangle only the rectangle is kept: the kernels are that small,
and nothing is multiplied by 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common.layers import valid_conv2d
from common.session import tf
from common.streams import fold_in

PADDED = 6  # channels of padded images


class Stacks(NamedTuple):
    """Features of the pixels of a region: two stacks, so that no pixel is in a blind spot."""

    vertical: tf.Tensor  # [B, H, W, c], of the rows above
    horizontal: tf.Tensor  # [B, H, W, c], of these, and of the pixels to the left


def padded(levels: tf.Tensor, above: int, beside: int) -> tf.Tensor:
    """Images [B, H, W, 3] in [0, 255] with three channels more, and zeros around but not below.

    Ones tell where an image ends, and a row and a column in [-1, 1] where a pixel is.

    Returns:
        [B, above + H, W + 2 beside, 6].
    """
    height, width = levels.shape[1:3]
    row, column = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    place = np.stack([np.ones_like(row), row, column], -1).astype(np.float32)
    place = tf.broadcast_to(place, [tf.shape(levels)[0], height, width, 3])
    x = tf.concat([levels, place], -1)
    return tf.pad(x, [[0, 0], [above, 0], [beside, beside], [0, 0]])


def to_unit(levels: tf.Tensor) -> tf.Tensor:
    """Levels in [0, 255] as numbers in [-1, 1]."""
    return levels / 127.5 - 1


def padded_to_unit(x: tf.Tensor) -> tf.Tensor:
    """Padded images likewise: the levels in [-1, 1], and 0 around them."""
    return tf.concat([to_unit(x[..., :3]) * x[..., 3:4], x[..., 3:]], -1)


def prediction(x: tf.Tensor, above: int, beside: int) -> tf.Tensor:
    """3/4 (left + above) - 1/2 (above left): a linear prediction of every pixel, as of PNG files.

    What the network adds to it is small, and learned soon.

    Args:
        x: padded images [B, above + H, W + 2 beside, 6] in [-1, 1].
        above: rows of padding.
        beside: columns of padding on each side.

    Returns:
        [B, H, W, 3].
    """
    height, width = x.shape[1] - above, x.shape[2] - 2 * beside

    def moved(up: int, left: int) -> tf.Tensor:
        top, side = above - up, beside - left
        return x[:, top : top + height, side : side + width, :3]

    return 0.75 * (moved(0, 1) + moved(1, 0)) - 0.5 * moved(1, 1)


def first_layer(x: tf.Tensor, channels: int, radius: int) -> Stacks:
    """Mask A, which hides the pixel itself: affine, of the `radius` pixels above and to the left.

    Args:
        x: [B, H, W, c].
        channels: of each stack.
        radius: r; the vertical stack sees r rows of 2 r + 1 columns, the horizontal one r pixels.

    Returns:
        Of [B, H - r, W - 2 r, .]: the last rows and the middle columns.
    """
    taps = radius * x.shape[3]
    above = (2 * radius + 1) * taps
    rows, left = x[:, :-1], x[:, radius:, : -radius - 1]
    return Stacks(
        valid_conv2d(rows, channels, (radius, 2 * radius + 1), "above", above**-0.5),
        valid_conv2d(left, channels, (1, radius), "left", taps**-0.5),
    )


def gate(x: tf.Tensor) -> tf.Tensor:
    """tanh(a) sigmoid(b) of x = (a, b): [..., 2 c] -> [..., c]."""
    a, b = tf.split(x, 2, -1)
    return tf.tanh(a) * tf.sigmoid(b)


def kept(x: tf.Tensor) -> tf.Tensor:
    """X as it is: no dropout."""
    return x


class Dropout:
    """A share of the numbers is 0, at random, and the others are larger (Srivastava et al., 2014).

    Few images are learned by heart more slowly by it.
    """

    def __init__(self, rate: float, key: tf.Tensor) -> None:
        """Describe it.

        Args:
            rate: the share.
            key: of an iteration, int32 [2]; each call draws numbers of its own.
        """
        self._rate, self._key, self._calls = rate, key, 0

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Of x."""
        self._calls += 1
        key = fold_in(self._key, self._calls)
        return tf.nn.experimental.stateless_dropout(x, self._rate, key)


def gated_layer(stacks: Stacks, radius: int, name: str, drop: Callable = kept) -> Stacks:
    """Mask B, which shows the pixel's own features, for these are of pixels before it.

    With short-cuts, v' = v + gate(a) and h' = h + C gate(l + D a), a of the rows of v up to this
    one, l of the columns of h up to this one, and C and D of the pixel alone (van den Oord et al.,
    "Conditional image generation with PixelCNN decoders", NIPS 2016, figure 2, where v has no
    short-cut).

    Args:
        stacks: of [B, H, W, c].
        radius: r, how far a pixel sees.
        name: of the scope.
        drop: of the gates' outputs, while it learns.

    Returns:
        Of [B, H - r, W - 2 r, c]: the last rows and the middle columns.
    """
    vertical, horizontal = stacks
    channels = vertical.shape[3]
    taps = (radius + 1) * channels
    above = (2 * radius + 1) * taps
    with tf.variable_scope(name):
        rows = valid_conv2d(
            vertical, 2 * channels, (radius + 1, 2 * radius + 1), "above", above**-0.5
        )
        columns = horizontal[:, radius:, :-radius]
        left = valid_conv2d(columns, 2 * channels, (1, radius + 1), "left", taps**-0.5)
        left += valid_conv2d(rows, 2 * channels, (1, 1), "down", (2 * channels) ** -0.5)
        across = valid_conv2d(drop(gate(left)), channels, (1, 1), "across", channels**-0.5)
    inner = slice(radius, -radius)
    return Stacks(
        vertical[:, radius:, inner] + drop(gate(rows)), horizontal[:, radius:, inner] + across
    )
