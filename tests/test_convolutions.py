"""The forms that convolutions take beside TensorFlow's own, and beside sums written out."""

import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import gennet

from common import convolutions

SIZES = [(1, 1), (2, 4), (4, 4), (5, 4), (8, 10), (7, 9), (16, 2)]  # few pixels, many, odd


def evaluate(function, x, weight):
    """A function's value, and its gradients in x and the weight under random numbers."""
    with tf.Graph().as_default(), tf.Session() as session:
        x, weight = tf.constant(x), tf.constant(weight)
        y = function(x, weight)
        assert y.shape[1:].is_fully_defined()
        up = tf.constant(np.random.default_rng(5).normal(size=y.shape))
        return session.run([y, *tf.gradients(y, [x, weight], up)])


def agree(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("channels", [3, 6], ids=["colours", "many channels"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 6, 7])
def test_convolutions_are_those_of_tensorflow(kernel, stride, channels):
    rng = np.random.default_rng(kernel)
    weight = rng.normal(size=[kernel, kernel, channels, 5])
    for height, width in SIZES:
        x = rng.normal(size=[2, height, width, channels])
        agree(
            evaluate(lambda x, w: convolutions.convolution(x, w, stride), x, weight),
            evaluate(lambda x, w: tf.nn.conv2d(x, w, stride, "SAME"), x, weight),
        )


@pytest.mark.parametrize("channels", [3, 6], ids=["colours", "many channels"])
@pytest.mark.parametrize(
    ("kernel", "stride"), [(k, s) for k in range(2, 8) for s in (1, 2, 3) if k >= s]
)
def test_transposed_convolutions_are_those_of_tensorflow(kernel, stride, channels):
    rng = np.random.default_rng(kernel)
    weight = rng.normal(size=[kernel, kernel, channels, 5])
    for height, width in SIZES:
        x = rng.normal(size=[2, height, width, 5])
        shape = [2, stride * height, stride * width, channels]
        agree(
            evaluate(lambda x, w: convolutions.transposed_convolution(x, w, stride), x, weight),
            evaluate(lambda x, w, s=shape: tf.nn.conv2d_transpose(x, w, s, stride), x, weight),
        )


def along(function, x, weight):
    """The gradients, in `up` and the weight, of the gradient in x under `up`."""
    with tf.Graph().as_default(), tf.Session() as session:
        x, weight = tf.constant(x), tf.constant(weight)
        y = function(x, weight)
        rng = np.random.default_rng(6)
        up, v = tf.constant(rng.normal(size=y.shape)), tf.constant(rng.normal(size=x.shape))
        (pulled,) = tf.gradients(y, x, up)
        return session.run(tf.gradients(pulled, [up, weight], v))


@pytest.mark.parametrize("size", [(2, 4), (8, 10)], ids=["few pixels", "many pixels"])
@pytest.mark.parametrize("channels", [3, 6], ids=["colours", "many channels"])
def test_derivatives_of_gradients_are_those_of_tensorflow(size, channels):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=[5, 5, channels, 7])
    x = rng.normal(size=[2, *size, 7])
    shape = [2, 2 * size[0], 2 * size[1], channels]
    agree(
        along(lambda x, w: convolutions.transposed_convolution(x, w, 2), x, weight),
        along(lambda x, w: tf.nn.conv2d_transpose(x, w, shape, 2), x, weight),
    )


def computed(tensor, feed):
    """How many convolutions that are no transposed ones it takes, as they are seen to run."""
    options, told = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), tf.RunMetadata()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tensor, feed, options, told)
    labels = [n.timeline_label for device in told.step_stats.dev_stats for n in device.node_stats]
    return sum(re.search(r"= \w*Conv2D\(", label) is not None for label in labels)


def test_a_derivative_along_a_direction_computes_no_gradient():
    model = gennet(image_size=64)
    with tf.Graph().as_default():
        z = tf.placeholder(tf.float32, [3, 2])
        (gradient,) = tf.gradients(tf.reduce_sum(model.generator(z) ** 2), z)
        feed = {z: np.zeros([3, 2])}
        assert computed(gradient, feed) == 3  # one of the four layers is a product
        assert computed(model.jacobian(z), feed) == 0


@pytest.mark.parametrize("size", [3, 9], ids=["few pixels", "many pixels"])
def test_a_transposed_convolution_lays_down_its_kernel(size):
    x = np.zeros([1, size, size, 1])
    x[0, 1, 2, 0] = 1
    weight = np.arange(25.0).reshape(5, 5, 1, 1)
    y, *_ = evaluate(lambda x, w: convolutions.transposed_convolution(x, w, 2), x, weight)
    expected = np.zeros([2 * size + 3, 2 * size + 3])  # one lost before, two after
    expected[2:7, 4:9] = weight[:, :, 0, 0]
    np.testing.assert_allclose(y[0, :, :, 0], expected[1:-2, 1:-2], atol=1e-12)
