"""The forms that convolutions take beside TensorFlow's own, and beside sums written out."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

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


@pytest.mark.parametrize("size", [3, 9], ids=["few pixels", "many pixels"])
def test_a_transposed_convolution_lays_down_its_kernel(size):
    x = np.zeros([1, size, size, 1])
    x[0, 1, 2, 0] = 1
    weight = np.arange(25.0).reshape(5, 5, 1, 1)
    y, *_ = evaluate(lambda x, w: convolutions.transposed_convolution(x, w, 2), x, weight)
    expected = np.zeros([2 * size + 3, 2 * size + 3])  # one lost before, two after
    expected[2:7, 4:9] = weight[:, :, 0, 0]
    np.testing.assert_allclose(y[0, :, :, 0], expected[1:-2, 1:-2], atol=1e-12)
