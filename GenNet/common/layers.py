"""Layers in the TensorFlow 1.x style, and networks of them.

Images are [B, height, width, channels].  Every layer reads its input's shape, which must be known
but for B, and makes a weight and a bias of the input's type in a scope of its name.  Weights start
as N(0, stddev^2), biases as 0 unless said otherwise.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import numpy as np

from common import streams
from common.convolutions import convolution, transposed_convolution
from common.session import tf
from common.streams import Stream, fold_in

LEAK = 0.2  # slope of the leaky rectifier below 0, that of DCGAN
UNROLLED = 16  # directions of a Jacobian that each have operations of their own; of more,
DIRECTIONS = 16  # so many are computed at a time


class Network:
    """Layers that make their variables at the first call and share them ever after."""

    def __init__(self, scope: str, layers: Callable[..., tf.Tensor], seed: int) -> None:
        """Describe it.

        Args:
            scope: of its variables.
            layers: maps an input, and what else it is told, to an output by the functions of this
                module.
            seed: of the values that its variables start from.
        """
        self._scope = scope
        self._layers = layers
        self._seed = seed
        self._copies: dict[str, tf.Tensor] = {}  # of the variables, by name

    def __call__(self, x: tf.Tensor, *told: tf.Tensor) -> tf.Tensor:
        """The layers' output for x, both of the same type."""
        with self._scoped():
            inside = map(self._inside, (x, *told))
            return tf.cast(self._layers(*inside), x.dtype)

    def gradient(self, x: tf.Tensor, *told: tf.Tensor) -> tf.Tensor:
        """The gradient of the output [B] in x, [B, ...].

        Where nothing else is told, the last layer is a `weighted_sum`.
        The output itself is not computed.
        """
        with self._scoped():
            inside, *rest = map(self._inside, (x, *told))
            # The gradient of every image begins with a 1; a `weighted_sum` takes one for all.
            ones = tf.ones(tf.shape(x)[:1] if rest else [1], inside.dtype)
            (gradient,) = tf.gradients(self._layers(inside, *rest), inside, ones)
            return tf.cast(gradient, x.dtype)

    def _scoped(self) -> AbstractContextManager:
        return tf.variable_scope(self._scope, reuse=tf.AUTO_REUSE, custom_getter=self._variable)

    def _inside(self, x: tf.Tensor) -> tf.Tensor:
        return tf.cast(x, tf.bfloat16) if self._copies else x

    def _variable(self, getter: Callable, name: str, *args: Any, **options: Any) -> tf.Tensor:
        if self._copies:
            return self._copies[name]
        if isinstance(options.get("initializer"), _Normal):
            options["initializer"] = partial(options["initializer"], name=name, seed=self._seed)
        return getter(name, *args, **options)

    def variables(self) -> list[tf.Variable]:
        """Those of the current graph, which are learned."""
        return tf.trainable_variables(f"{self._scope}/")

    def state(self) -> list[tf.Variable]:
        """These, and what else the output depends on."""
        return self.variables()

    @contextmanager
    def precision(self, name: str) -> Iterator[None]:
        """Within it, calls compute in "float32" (or whatever x is) or "bfloat16".

        In bfloat16 they read copies of the variables, which are made here: outside of the loop
        that calls.
        """
        if name == "bfloat16":
            self._copies = {v.op.name: tf.cast(v, tf.bfloat16) for v in self.variables()}
        try:
            yield
        finally:
            self._copies = {}


def leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """max(x, LEAK x)."""

    @tf.custom_gradient
    def rectified(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        y = tf.nn.leaky_relu(x, LEAK)
        # TensorFlow's own gradient reads x.  y has the same sign, and when nothing else reads x,
        # the convolution, its bias and the rectifier are computed as one.
        return y, lambda up: tf.raw_ops.LeakyReluGrad(gradients=up, features=y, alpha=LEAK)

    return rectified(x)


class _Normal:
    """An initializer, N(0, stddev^2), to which the network gives the name and the seed."""

    def __init__(self, stddev: float) -> None:
        self._stddev = stddev

    def __call__(
        self, shape: list[int], dtype: tf.DType, name: str, seed: int, **_: Any
    ) -> tf.Tensor:
        # By its name, so that no other variable and no order of building changes it.
        key = fold_in(streams.key(seed, Stream.WEIGHTS), zlib.crc32(name.encode()) >> 1)
        return self._stddev * tf.random.stateless_normal(shape, key, dtype=dtype)


def _weight(shape: list[int], stddev: float, like: tf.Tensor) -> tf.Variable:
    return tf.get_variable("weight", shape, like.dtype, _Normal(stddev))


def _bias(size: int, like: tf.Tensor, stddev: float = 0.0) -> tf.Variable:
    initializer = _Normal(stddev) if stddev else tf.zeros_initializer()
    return tf.get_variable("bias", [size], like.dtype, initializer)


def dense(
    x: tf.Tensor, units: int, name: str, stddev: float, bias_stddev: float = 0.0
) -> tf.Tensor:
    """Affine map of [B, n] (or of images, flattened) to [B, units]."""
    x = tf.reshape(x, [-1, x.shape[1:].num_elements()])
    with tf.variable_scope(name):
        return tf.matmul(x, _weight([x.shape[1], units], stddev, x)) + _bias(units, x, bias_stddev)


def fourier_features(x: tf.Tensor, wave_lengths: np.ndarray) -> tf.Tensor:
    """The sines, then the cosines, of 2 pi x / l, for wave lengths l [k]: [B, m] -> [B, 2 m k].

    A network of x alone learns what varies quickly with x last (Tancik et al., 2020).
    """
    angles = x[:, :, None] * tf.constant(2 * np.pi / wave_lengths, x.dtype)  # [B, m, k]
    angles = tf.reshape(angles, [-1, angles.shape[1:].num_elements()])
    return tf.concat([tf.sin(angles), tf.cos(angles)], 1)


# TensorFlow's own gradient of these products asks for their shape, and so for their value, and
# multiplies out what is the same for every image.  Here `up` is [B], or [1] for all.


def _in_weight(x: tf.Tensor, up: tf.Tensor) -> tf.Tensor:
    return tf.linalg.matvec(x, tf.broadcast_to(up, tf.shape(x)[:1]), transpose_a=True)


def _inner_product(x: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    @tf.custom_gradient
    def product(x: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(up: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.broadcast_to(up[:, None] * weight, tf.shape(x)), _in_weight(x, up)

        return tf.linalg.matvec(x, weight), gradient

    return product(x, weight)


def _rectified_inner_product(x: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    @tf.custom_gradient
    def product(x: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        y = leaky_relu(x)

        def gradient(up: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            slope = up[:, None] * weight
            # In bfloat16 a choice of two takes half the time of a product.
            slope = tf.where_v2(x > 0, slope, LEAK * slope)
            return slope, _in_weight(y, up)

        return tf.linalg.matvec(y, weight), gradient

    return product(x, weight)


def weighted_sum(
    x: tf.Tensor, name: str, stddev: float, activation: Callable, scale: float = 1.0
) -> tf.Tensor:
    """The sum of activation(x) times scale * weight over all of an image: [B, ...] -> [B]."""
    x = tf.reshape(x, [-1, x.shape[1:].num_elements()])
    with tf.variable_scope(name):
        weight = scale * _weight([x.shape[1]], stddev, x)
        if activation is leaky_relu:
            return _rectified_inner_product(x, weight)
        return _inner_product(activation(x), weight)


# TensorFlow's own gradients of sums compute with shapes, and a GPU copies these back and waits.


def _spread(up: tf.Tensor, x: tf.Tensor, axes: list[int]) -> tf.Tensor:
    """`up`, which lacks the axes of x, in the shape of x."""
    kept = [1 if i in axes else size or -1 for i, size in enumerate(x.shape.as_list())]
    return tf.broadcast_to(tf.reshape(up, kept), tf.shape(x))


def reduce_sum(x: tf.Tensor, axes: list[int]) -> tf.Tensor:
    """The sum of x over axes, of which the first, of unknown size, is none."""

    @tf.custom_gradient
    def reduced(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.reduce_sum(x, axes), lambda up: _spread(up, x, axes)

    return reduced(x)


def reduce_mean(x: tf.Tensor, axes: list[int]) -> tf.Tensor:
    """The mean of x over axes of known size."""
    count = math.prod(x.shape[axis] for axis in axes)

    @tf.custom_gradient
    def reduced(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        return tf.reduce_mean(x, axes), lambda up: _spread(up, x, axes) / count

    return reduced(x)


def conv2d(
    x: tf.Tensor,
    channels: int,
    kernel: int,
    stride: int,
    name: str,
    stddev: float,
    on_gpu: bool = False,
) -> tf.Tensor:
    """Convolution with bias, "SAME": [B, H, W, c] -> [B, ceil(H / stride), ..., channels]."""
    with tf.variable_scope(name):
        weight = _weight([kernel, kernel, x.shape[3], channels], stddev, x)
        return convolution(x, weight, stride, on_gpu) + _bias(channels, x)


def valid_conv2d(
    x: tf.Tensor,
    channels: int,
    kernel: tuple[int, int],
    name: str,
    stddev: float,
    mask: np.ndarray | None = None,
) -> tf.Tensor:
    """Convolution with bias, "VALID": [B, H, W, c] -> [B, H - height + 1, W - width + 1, channels].

    Args:
        x: its input.
        channels: of its output.
        kernel: height and width.
        name: of the scope.
        stddev: of the weights that it starts from.
        mask: [c, channels], 0 where an output is not to see an input.
    """
    with tf.variable_scope(name):
        weight = _weight([*kernel, x.shape[3], channels], stddev, x)
        if mask is not None:
            weight = weight * tf.constant(mask, weight.dtype)
        return tf.nn.conv2d(x, weight, 1, "VALID") + _bias(channels, x)


def _smoothed(weight: tf.Tensor) -> tf.Tensor:
    """Kernels [k, k, ...] convolved with the binomial (1, 2, 1) / 4 both ways: [k + 2, k + 2, ...].

    A transposed convolution by them has the low-pass filter in it that StyleGAN puts after each
    (Karras et al., 2019): neighbouring pixels are alike unless learning tells them apart.
    """
    side = weight.shape[0]
    taps = [np.eye(side + 2, side, -shift) for shift in range(3)]
    along = (taps[0] + 2 * taps[1] + taps[2]) / 4  # [k + 2, k]
    both = tf.constant(np.kron(along, along), weight.dtype)  # of a kernel as it lies in memory
    smooth = tf.matmul(both, tf.reshape(weight, [side**2, -1]))
    return tf.reshape(smooth, [side + 2, side + 2, *weight.shape[2:]])


def conv2d_transpose(
    x: tf.Tensor,
    channels: int,
    kernel: int,
    stride: int,
    name: str,
    stddev: float,
    smooth: bool = False,
    on_gpu: bool = False,
) -> tf.Tensor:
    """Transposed convolution with bias, "SAME": [B, H, W, c] -> [B, stride H, ..., channels].

    With `smooth`, the weight is 2 narrower than the kernel, and smoothed to its width.
    """
    side = kernel - 2 if smooth else kernel
    with tf.variable_scope(name):
        weight = _weight([side, side, channels, x.shape[3]], stddev, x)
        if smooth:
            weight = _smoothed(weight)
        return transposed_convolution(x, weight, stride, on_gpu) + _bias(channels, x)


# Derivatives and pieces of a batch


def forward_jacobian(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """The derivatives [B, d, D] of function(x), [B, D], in x [B, d].

    In forward mode: J v is the derivative in u of u -> J^T u, which tf.gradients gives.  For a
    small d that is far cheaper than a pass backward for each of the D outputs.

    Up to UNROLLED directions v each have operations of their own.  More would take minutes to
    build: they are computed in turn by one loop, DIRECTIONS at a time, the same but for rounding.
    """
    d = x.shape[1]

    def along(units: tf.Tensor, each: Callable) -> tf.Tensor:
        """J v for v in `units` [k, d], that `each` maps over: [k, B, D]."""
        outputs = function(x)
        u = tf.zeros_like(outputs)
        (pulled,) = tf.gradients(outputs, x, u)  # J^T u
        return each(lambda unit: tf.gradients(pulled, u, tf.ones_like(x) * unit)[0], units)

    if d <= UNROLLED:
        units = np.eye(d, dtype=np.float32)
        return tf.stack(along(units, lambda product, units: [product(v) for v in units]), 1)
    turns = -(-d // DIRECTIONS)
    size = -(-d // turns)
    pieces = tf.reshape(tf.eye(turns * size, d, dtype=x.dtype), [turns, size, d])
    together = partial(tf.vectorized_map, fallback_to_while_loop=False)
    products = tf.map_fn(
        lambda piece: along(piece, together), pieces, parallel_iterations=1, back_prop=False
    )  # [turns, size, B, D]
    flat = tf.reshape(products, [turns * size, -1, products.shape[-1]])
    return tf.transpose(flat[:d], [1, 0, 2])


def in_halves(function: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """`function`, [B, ...] -> [B, ...], of each half of the images, which run side by side.

    Where operations are small, and each is spread over all cores of a processor, the threads wait
    for each other longer than they compute.
    """
    count = tf.shape(images)[0]
    # An image alone is in both halves, for some operations of TensorFlow fail without any.
    first = images[: tf.maximum(count // 2, 1)]
    # A thread goes on with what is ready last and queues the rest.  So the larger half begins
    # at once, and the smaller one on the other thread, behind the noise of a Langevin step.
    # The other way round an iteration takes a sixth longer.
    with tf.control_dependencies([first]):
        second = images[count // 2 :]
    return tf.concat([function(first), function(second)], 0)[-count:]
