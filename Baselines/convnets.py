"""The strided ConvNets that the baselines share, for images of 8 x 8 pixels and more."""

from __future__ import annotations

import math

from common.layers import conv2d, conv2d_transpose, dense, leaky_relu
from common.session import tf

SMALLEST = 4  # pixels: side of the smallest map of a network, and at most twice that
KERNEL = 5  # pixels


def halvings(image_size: int) -> int:
    """How often images are halved on the way to the smallest map: 4 times for 64 x 64."""
    count = 0
    while image_size % 2 == 0 and image_size // 2 >= SMALLEST:
        image_size //= 2
        count += 1
    return count


def encode(images: tf.Tensor, units: int, width: int) -> tf.Tensor:
    """Bottom-up: images [B, S, S, 3] in [-1, 1] -> [B, units].

    Args:
        images: of a known side S.
        units: numbers for each image.
        width: channels of the first layer; each layer above has twice as many.
    """
    x = images
    for level in range(halvings(images.shape[1])):
        stddev = math.sqrt(2 / (KERNEL**2 * x.shape[3]))
        x = leaky_relu(conv2d(x, width * 2**level, KERNEL, 2, f"conv_{level + 1}", stddev))
    features = x.shape[1:].num_elements()
    return dense(x, units, "code", math.sqrt(1 / features))


def decode(z: tf.Tensor, image_size: int, width: int) -> tf.Tensor:
    """Top-down, as GenNet's generator: z [B, d] -> [B, S, S, 3], whose tanh are images.

    Args:
        z: of a known number d of dimensions.
        image_size: S.
        width: channels of the last hidden layer; each layer above has twice as many.
    """
    count = halvings(image_size)
    base = image_size // 2**count
    channels = [width * 2**level for level in reversed(range(count))]
    # He initialisation, and random biases that spread the kinks of the rectifiers over the plane
    # of z; a transposed convolution of stride 2 adds up a quarter of its kernel.
    stddev = math.sqrt(2 / z.shape[1])
    first = 2 * channels[0] if channels else width
    x = dense(z, base * base * first, "project", stddev, bias_stddev=0.3 * stddev)
    x = tf.reshape(leaky_relu(x), [-1, base, base, first])
    for level, outputs in enumerate(channels):
        stddev = math.sqrt(2 / (KERNEL**2 / 4 * x.shape[3]))
        x = conv2d_transpose(x, outputs, KERNEL, 2, f"deconv_{level + 1}", stddev)
        x = leaky_relu(x)
    return conv2d(x, 3, 3, 1, "image", math.sqrt(2 / (9 * x.shape[3])))
