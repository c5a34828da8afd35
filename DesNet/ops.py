"""What both models are built from: layers in the TensorFlow 1.x style, and batches.

Variables are made by scope and shared through `tf.make_template`.

Images are [B, height, width, channels].  Every layer reads its input's shape, which must be known
but for B, and makes a weight and a bias of the input's type in a scope of its name.  Weights start
as N(0, stddev^2), biases as 0 unless said otherwise.
"""

import math

import numpy as np
import tensorflow.compat.v1 as tf


def leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """max(x, 0.2 x), the slope of DCGAN."""
    return tf.nn.leaky_relu(x, 0.2)


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


def conv2d(
    x: tf.Tensor, channels: int, kernel: int, stride: int, name: str, stddev: float
) -> tf.Tensor:
    """Convolution with bias, "SAME": [B, H, W, c] -> [B, ceil(H / stride), ..., channels]."""
    with tf.variable_scope(name):
        weight = _weight([kernel, kernel, x.shape[3], channels], stddev, x)
        return tf.nn.conv2d(x, weight, stride, "SAME") + _bias(channels, x)


def _smoothed(weight: tf.Tensor) -> tf.Tensor:
    """Kernels [k, k, ...] convolved with the binomial (1, 2, 1) / 4 both ways: [k + 2, k + 2, ...].

    A transposed convolution by them has the low-pass filter in it that StyleGAN puts after each
    (Karras et al., 2019): neighbouring pixels are alike unless learning tells them apart.
    """
    weight = tf.pad(weight, [[2, 2], [2, 2], [0, 0], [0, 0]])
    weight = (weight[:-2] + 2 * weight[1:-1] + weight[2:]) / 4
    return (weight[:, :-2] + 2 * weight[:, 1:-1] + weight[:, 2:]) / 4


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
    _, height, width, depth = x.shape
    side = kernel - 2 if smooth else kernel
    with tf.variable_scope(name):
        weight = _weight([side, side, channels, depth], stddev, x)
        if smooth:
            weight = _smoothed(weight)
        shape = [tf.shape(x)[0], height * stride, width * stride, channels]
        return tf.nn.conv2d_transpose(x, weight, shape, stride, "SAME") + _bias(channels, x)


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
