"""The top-down ConvNet of GenNet."""

from __future__ import annotations

import math

from common.layers import conv2d_transpose, dense, leaky_relu
from common.session import tf
from generator_settings import Settings

BOUND = 2.0  # mean square that `bounded` is half way to
STEEP = 1.5  # times He initialisation: how fast features turn in the plane
MAPPING = 3  # hidden layers between them and the features of which images are made


def bounded(x: tf.Tensor) -> tf.Tensor:
    """Each row of [B, n] as x / sqrt(1 + mean(x^2) / BOUND), which no z, however far, makes larger.

    Rectifiers are linear far out, and images there would be of ever more contrast.
    """
    n = x.shape[1]
    # A product has the mean in every column: gradients of what is spread over them ask for shapes.
    mean = tf.matmul(tf.square(x), tf.fill([n, n], tf.constant(1 / n, x.dtype)))
    return x * tf.math.rsqrt(1 + mean / BOUND)


def top_down(z: tf.Tensor, settings: Settings, on_gpu: bool = False) -> tf.Tensor:
    """Z [B, d] -> [B, S, S, 3], of which the images are the tanh."""
    z = tf.ensure_shape(z, [None, settings.z_dim])
    base, width, smooth = settings.image_size // 16, settings.width, bool(settings.smooth)
    # He initialisation; a stride-2 transposed convolution adds up a quarter of its kernel.
    # Random biases spread the kinks of the rectifiers over the plane of z.  With biases of 0
    # all of them meet in one point, and the images around it are torn.
    stddev = STEEP * math.sqrt(2 / settings.z_dim)
    x = dense(z, 4 * width, "project", stddev, bias_stddev=0.3 * stddev)
    x = bounded(leaky_relu(x))  # [B, 256]
    # A mapping network (Karras, Laine and Aila, CVPR 2019): features of features of z turn from one
    # image to the next in a smaller part of the plane.
    stddev = math.sqrt(2 / (4 * width))
    for layer in range(1, MAPPING + 1):
        x = leaky_relu(dense(x, 4 * width, f"mapping_{layer}", stddev, bias_stddev=0.1))
    x = dense(x, base * base * 8 * width, "spread", stddev, bias_stddev=0.1)
    x = tf.reshape(leaky_relu(x), [-1, base, base, 8 * width])  # [B, 4, 4, 512]
    taps = 9 if smooth else 25  # free numbers in a kernel
    for channels in (4 * width, 2 * width, width):  # [B, 8, 8, 256] ... [B, 32, 32, 64]
        stddev = math.sqrt(2 / (taps / 4 * x.shape[3]))
        name = f"deconv_{channels}"
        x = leaky_relu(conv2d_transpose(x, channels, 5, 2, name, stddev, smooth, on_gpu))
    stddev = math.sqrt(2 / (taps / 4 * width))
    return conv2d_transpose(x, 3, 5, 2, "image", stddev, smooth, on_gpu)  # [B, 64, 64, 3]
