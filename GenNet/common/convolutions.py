"""Convolutions with "SAME" padding, in the form that the device computes fastest.

The sums are those of `tf.nn.conv2d` and `tf.nn.conv2d_transpose`, and so are the weights:
[k, k, channels of the larger image, channels of the smaller one].  Only their order differs, which
shows in the last bits.  A GPU is given TensorFlow's own, for which it has kernels.  On a processor
three forms pay (`make bench` measures what they come to):

* Columns in pairs.  Images of a few channels, as of colours, leave the processor's vectors nearly
  empty.  As they lie in memory, [B, H, W, c] are [B, H, W / 2, 2 c], and the columns of a kernel of
  stride 2 fall in pairs too.
* Sub-pixels.  The gradient of such a convolution in its image is one of stride 1, whose channels
  are the pixels of blocks of 2 x 2: half the time, where the kernel is even and no tap is lost.
* Products of matrices.  For a few pixels the weight is larger than the images, and oneDNN, which
  sorts it anew at every call, takes up to twice the time of a product.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.session import tf

FEW_CHANNELS = 4  # of an image: up to here pixels are put together
FEW_PIXELS = 16  # of an image: up to here a transposed convolution is a product


def convolution(x: tf.Tensor, weight: tf.Tensor, stride: int, on_gpu: bool = False) -> tf.Tensor:
    """[B, H, W, c] and [k, k, c, channels] -> [B, ceil(H / stride), ceil(W / stride), channels]."""
    _, height, width, depth = x.shape
    if on_gpu or not _in_pairs([height, width], depth, stride):
        return tf.nn.conv2d(x, weight, stride, "SAME")

    @tf.custom_gradient
    def in_pairs(x: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        pairs, kernel = tf.reshape(x, [-1, height, width // 2, 2 * depth]), _paired(weight)
        y = tf.nn.conv2d(pairs, kernel, [2, 1], "SAME")
        return y, lambda up: (_sub_pixel_convolution(up, weight), tf.gradients(y, weight, up)[0])

    return in_pairs(x, weight)


def transposed_convolution(
    x: tf.Tensor, weight: tf.Tensor, stride: int, on_gpu: bool = False
) -> tf.Tensor:
    """[B, H, W, c] and [k, k, channels, c] -> [B, stride H, stride W, channels]."""
    if not on_gpu and x.shape[1] * x.shape[2] <= FEW_PIXELS:
        return _transposed_as_products(x, weight, stride)
    channels = weight.shape[2]
    batch, height, width = tf.shape(x)[0], stride * x.shape[1], stride * x.shape[2]
    if on_gpu or not _in_pairs([height, width], channels, stride):
        return tf.nn.conv2d_transpose(x, weight, [batch, height, width, channels], stride, "SAME")
    shape = [batch, height, width // 2, 2 * channels]
    y = tf.nn.conv2d_transpose(x, _paired(weight), shape, [2, 1], "SAME")
    return tf.reshape(y, [-1, height, width, channels])


def _in_pairs(size: list[int], channels: int, stride: int) -> bool:
    """Whether the columns of the larger image go in pairs, and its rows in blocks of them."""
    return stride == 2 and not any(side % 2 for side in size) and channels <= FEW_CHANNELS


def _paired(weight: tf.Tensor) -> tf.Tensor:
    """Kernels [k, k, c, n] as of pairs of columns, zeros added at the rim: [k, ., 2 c, n]."""
    kernel, _, depth, channels = weight.shape
    left = (kernel - 2) // 2  # columns of padding, which are to begin with a pair
    weight = tf.pad(weight, [[0, 0], [left % 2, (kernel + left) % 2], [0, 0], [0, 0]])
    return tf.reshape(weight, [kernel, -1, 2 * depth, channels])


def _sub_pixel_convolution(x: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """A transposed convolution of stride 2 (Shi et al., 2016): 2 x 2 pixels as channels of one.

    Pixel p of y, along an axis, is the sum over taps t and pixels o of x with p + before =
    2 o + t.  Counted from the padding, the pixels 2 j and 2 j + 1 share the o = j, j - 1, ...
    """
    _, height, width, _ = x.shape
    kernel, _, channels, depth = weight.shape
    before = (kernel - 2) // 2  # pixels of padding
    taps = (kernel + 1) // 2  # of each of a pair of pixels
    # The tap of 0 that makes an odd kernel even comes first where blocks then begin with y.
    added = [kernel % 2 * (before % 2), kernel % 2 * (1 - before % 2)]
    before += added[0]
    weight = tf.pad(weight, [added, added, [0, 0], [0, 0]])
    weight = tf.reshape(weight, [taps, 2, taps, 2, channels, depth])
    weight = tf.transpose(tf.reverse(weight, [0, 2]), [0, 2, 5, 1, 3, 4])
    weight = tf.reshape(weight, [taps, taps, depth, 4 * channels])
    around = [taps - 1 - before // 2, (before + 1) // 2]
    blocks = tf.nn.conv2d(x, weight, 1, [[0, 0], around, around, [0, 0]])
    y = tf.nn.depth_to_space(blocks, 2)
    first = before % 2
    return y[:, first : first + 2 * height, first : first + 2 * width] if first else y


def _transposed_as_products(x: tf.Tensor, weight: tf.Tensor, stride: int) -> tf.Tensor:
    """Every pixel times every tap of the kernel; then the sums of what falls on the same pixel."""
    _, height, width, depth = x.shape
    kernel, _, channels, _ = weight.shape
    weight = tf.reshape(weight, [-1, depth])  # [k k channels, c]
    taps = tf.matmul(tf.reshape(x, [-1, depth]), weight, transpose_b=True)
    taps = tf.reshape(taps, [-1, height * width * kernel**2, channels])
    sums = tf.constant(_where_taps_fall(height, width, kernel, stride), x.dtype)
    return tf.reshape(tf.matmul(sums, taps), [-1, stride * height, stride * width, channels])


def _where_taps_fall(height: int, width: int, kernel: int, stride: int) -> np.ndarray:
    """1 where a tap of a pixel of x falls on a pixel of y, or else 0: [pixels of y, H W k k]."""

    def along(size: int) -> np.ndarray:  # [y, x, tap] of one axis
        y, x, tap = np.ogrid[: size * stride, :size, :kernel]
        return y == stride * x + tap - (kernel - stride) // 2

    both = np.einsum("yia,xjb->yxijab", along(height), along(width))
    return both.reshape(height * width * stride**2, height * width * kernel**2)
