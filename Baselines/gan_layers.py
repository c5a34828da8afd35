"""The two networks of DCGAN (Radford et al., ICLR 2016) and the batch normalisation in them.

Its guidelines: strided convolutions in place of pooling, batch normalisation in both networks but
for the layer that makes images and the one that sees them, no hidden dense layers, rectifiers in
the generator with a tanh at its end, and leaky rectifiers in the discriminator.
"""

from __future__ import annotations

import math

from common.layers import LEAK, conv2d, conv2d_transpose, dense
from common.session import tf
from convnets import halvings

KERNEL = 4  # pixels: a multiple of the stride, so that all pixels are under as many taps
SMOOTHED = 5  # of the generator's last, smoothed: else noise of single pixels stays in the images
INITIAL = 0.02  # standard deviation of weights, DCGAN's: so small that steps soon turn them
EPSILON = 1e-3  # added to variances
KEPT = 0.98  # of a running average, at each iteration


def batch_norm(x: tf.Tensor, name: str, training: bool, running: bool) -> tf.Tensor:
    """Scale and shift each channel of x [B, H, W, c] to the same mean and variance.

    y = scale (x - mean) / sqrt(variance + EPSILON) + offset, with scale and offset learned (Ioffe
    and Szegedy, ICML 2015).

    Args:
        x: of a known number of channels.
        name: scope of the variables.
        training: whether mean and variance are those of x, over B, H and W; otherwise they are the
            running averages, so that an image does not depend on those beside it.
        running: whether there are running averages; while training, operations that move them join
            the collection UPDATE_OPS.
    """
    channels = x.shape[3]

    def variable(name: str, start: float, trainable: bool) -> tf.Variable:
        kept = [tf.GraphKeys.GLOBAL_VARIABLES]
        if not trainable:
            kept.append(tf.GraphKeys.MOVING_AVERAGE_VARIABLES)
        initial = tf.constant_initializer(start)
        return tf.get_variable(
            name, [channels], x.dtype, initial, trainable=trainable, collections=kept
        )

    with tf.variable_scope(name):
        learned = variable("scale", 1, True), variable("offset", 0, True)
        averages = (variable("mean", 0, False), variable("variance", 1, False)) if running else ()
        if not training:
            return tf.nn.fused_batch_norm(
                x, *learned, *averages, epsilon=EPSILON, is_training=False
            )[0]
        y, *moments = tf.nn.fused_batch_norm(x, *learned, epsilon=EPSILON)
        for average, moment in zip(averages, moments, strict=False):
            moved = average.assign_sub((1 - KEPT) * (average - moment))
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, moved)
        return y


def top_down(z: tf.Tensor, image_size: int, width: int, training: bool) -> tf.Tensor:
    """The generator: z [B, d] -> [B, S, S, 3], whose tanh are images.

    Args:
        z: of a known number d of dimensions.
        image_size: S.
        width: channels of the last hidden layer; each layer above has twice as many.
        training: see `batch_norm`.
    """
    count = halvings(image_size)
    base, channels = image_size // 2**count, width * 2 ** (count - 1)
    stddev = math.sqrt(2 / z.shape[1])
    # Random biases: with biases of 0, images would not change along a ray of z.
    x = dense(z, base * base * channels, "project", stddev, bias_stddev=0.3 * stddev)
    x = tf.reshape(x, [-1, base, base, channels])
    for level in range(count):
        x = tf.nn.relu(batch_norm(x, f"norm_{level}", training, running=True))
        if level < count - 1:
            channels //= 2
            x = conv2d_transpose(x, channels, KERNEL, 2, f"deconv_{level + 1}", INITIAL)
    return conv2d_transpose(x, 3, SMOOTHED, 2, "image", INITIAL, smooth=True)


def bottom_up(images: tf.Tensor, width: int) -> tf.Tensor:
    """The discriminator: images [B, S, S, 3] in [-1, 1] -> [B], log odds that they are real.

    Batch normalisation sees a batch as a whole: it tells a batch of one image from one of many, and
    so keeps the generator from dropping images.

    Args:
        images: of a known side S.
        width: channels of the first layer; each layer above has twice as many.
    """
    x = images
    for level in range(halvings(images.shape[1])):
        x = conv2d(x, width * 2**level, KERNEL, 2, f"conv_{level + 1}", INITIAL)
        if level:
            x = batch_norm(x, f"norm_{level + 1}", training=True, running=False)
        x = tf.nn.leaky_relu(x, LEAK)
    return dense(x, 1, "score", INITIAL)[:, 0]
