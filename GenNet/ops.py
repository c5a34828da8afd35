"""What both models are built from: layers in the TensorFlow 1.x style, and batches.

Images are [B, height, width, channels].  Every layer reads its input's shape, which must be known
but for B, and makes a weight and a bias of the input's type in a scope of its name.  Weights start
as N(0, stddev^2), biases as 0 unless said otherwise.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import tensorflow.compat.v1 as tf

from convolutions import convolution, transposed_convolution

LEAK = 0.2  # slope of the leaky rectifier below 0, that of DCGAN


class Network:
    """Layers that make their variables at the first call and share them ever after."""

    def __init__(self, scope: str, layers: Callable[[tf.Tensor], tf.Tensor]) -> None:
        """Describe it.

        Args:
            scope: of its variables.
            layers: maps an input to an output by the functions of this module.
        """
        self._scope = scope
        self._layers = layers
        self._copies: dict[str, tf.Tensor] = {}  # of the variables, by name

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The layers' output for x, both of the same type."""
        with self._scoped():
            return tf.cast(self._layers(self._inside(x)), x.dtype)

    def gradient(self, x: tf.Tensor) -> tf.Tensor:
        """The gradient of the output [B] in x, [B, ...]; the last layer is a `weighted_sum`.

        The output itself is not computed.
        """
        with self._scoped():
            inside = self._inside(x)
            # The gradient of every image begins with a 1; a `weighted_sum` takes one for all.
            (gradient,) = tf.gradients(self._layers(inside), inside, tf.ones([1], inside.dtype))
            return tf.cast(gradient, x.dtype)

    def _scoped(self) -> AbstractContextManager:
        return tf.variable_scope(self._scope, reuse=tf.AUTO_REUSE, custom_getter=self._variable)

    def _inside(self, x: tf.Tensor) -> tf.Tensor:
        return tf.cast(x, tf.bfloat16) if self._copies else x

    def _variable(self, getter: Callable, name: str, *args: object, **options: object) -> tf.Tensor:
        return self._copies[name] if self._copies else getter(name, *args, **options)

    def variables(self) -> list[tf.Variable]:
        """Those of the current graph."""
        return tf.trainable_variables(f"{self._scope}/")

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


@tf.custom_gradient
def leaky_relu(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """max(x, LEAK x)."""
    y = tf.nn.leaky_relu(x, LEAK)
    # TensorFlow's own gradient reads x.  y has the same sign, and when nothing else reads x, the
    # convolution, its bias and the rectifier are computed as one.
    return y, lambda up: tf.raw_ops.LeakyReluGrad(gradients=up, features=y, alpha=LEAK)


def _weight(shape: list[int], stddev: float, like: tf.Tensor) -> tf.Variable:
    initializer = tf.random_normal_initializer(0, stddev)
    return tf.get_variable("weight", shape, like.dtype, initializer)


def _bias(size: int, like: tf.Tensor, stddev: float = 0.0) -> tf.Variable:
    initializer = tf.random_normal_initializer(0, stddev)
    return tf.get_variable("bias", [size], like.dtype, initializer)


def dense(
    x: tf.Tensor, units: int, name: str, stddev: float, bias_stddev: float = 0.0
) -> tf.Tensor:
    """Affine map of [B, n] (or of images, flattened) to [B, units]."""
    x = tf.reshape(x, [-1, x.shape[1:].num_elements()])
    with tf.variable_scope(name):
        return tf.matmul(x, _weight([x.shape[1], units], stddev, x)) + _bias(units, x, bias_stddev)


# TensorFlow's own gradient of these products asks for their shape, and so for their value, and
# multiplies out what is the same for every image.  Here `up` is [B], or [1] for all.


def _in_weight(x: tf.Tensor, up: tf.Tensor) -> tf.Tensor:
    return tf.linalg.matvec(x, tf.broadcast_to(up, tf.shape(x)[:1]), transpose_a=True)


@tf.custom_gradient
def _inner_product(
    x: tf.Tensor, weight: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    def gradient(up: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.broadcast_to(up[:, None] * weight, tf.shape(x)), _in_weight(x, up)

    return tf.linalg.matvec(x, weight), gradient


@tf.custom_gradient
def _rectified_inner_product(
    x: tf.Tensor, weight: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    y = leaky_relu(x)

    def gradient(up: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        slope = up[:, None] * weight
        # In bfloat16 a choice of two takes half the time of a product.
        slope = tf.where_v2(x > 0, slope, LEAK * slope)
        return slope, _in_weight(y, up)

    return tf.linalg.matvec(y, weight), gradient


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


def conv2d(
    x: tf.Tensor, channels: int, kernel: int, stride: int, name: str, stddev: float
) -> tf.Tensor:
    """Convolution with bias, "SAME": [B, H, W, c] -> [B, ceil(H / stride), ..., channels]."""
    with tf.variable_scope(name):
        weight = _weight([kernel, kernel, x.shape[3], channels], stddev, x)
        return convolution(x, weight, stride) + _bias(channels, x)


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
) -> tf.Tensor:
    """Transposed convolution with bias, "SAME": [B, H, W, c] -> [B, stride H, ..., channels].

    With `smooth`, the weight is 2 narrower than the kernel, and smoothed to its width.
    """
    side = kernel - 2 if smooth else kernel
    with tf.variable_scope(name):
        weight = _weight([side, side, channels, x.shape[3]], stddev, x)
        if smooth:
            weight = _smoothed(weight)
        return transposed_convolution(x, weight, stride) + _bias(channels, x)


def batches_per_epoch(num_images: int, batch_size: int) -> int:
    """Batches that it takes to see every image once."""
    return math.ceil(num_images / batch_size)


def batch_indices(iteration: int, num_images: int, batch_size: int, seed: int) -> np.ndarray:
    """Indices of the images of an iteration, counted from 0: every epoch permutes all images."""
    epoch, part = divmod(iteration, batches_per_epoch(num_images, batch_size))
    order = np.arange(num_images)
    if num_images > batch_size:
        order = np.random.default_rng([seed, epoch]).permutation(num_images)
    return order[part * batch_size : (part + 1) * batch_size]


def batches(
    images: np.ndarray, batch_size: int, seed: int, first: int, last: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The batches of the iterations from `first` up to `last`, read one ahead by a thread.

    Args:
        images: [N, ...], which may lie on disk.
        batch_size: images in an iteration.
        seed: of their order.
        first: number of the first iteration, counted from 0.
        last: number of the first that is none of them.

    Yields:
        The number of the iteration, the indices [B] of its images, and those in float32 [B, ...].
    """

    def read(iteration: int) -> tuple[int, np.ndarray, np.ndarray]:
        index = batch_indices(iteration, len(images), batch_size, seed)
        return iteration, index, images[index].astype(np.float32)

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, first)
        for iteration in range(first, last):
            batch = ahead.result()
            ahead = reader.submit(read, iteration + 1)
            yield batch
