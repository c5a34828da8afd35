"""What autoencoders share: pixels as they see them, their two losses, and a transposed layer."""

from __future__ import annotations

from typing import Any

from common.flags import choice, setting
from common.session import tf

WHITE = 255.0  # a pixel is divided by it: inside, images are in [0, 1]


def inputs_field(default: str) -> Any:
    """The setting `inputs`."""
    return setting(
        default,
        choice(["real", "binary"]),
        "what pixels are: real numbers, with half the squared error as loss; or probabilities of"
        " binary ones, with the cross-entropy",
        group="model",
    )


def losses(images: tf.Tensor, outputs: tf.Tensor, inputs: str) -> tf.Tensor:
    """The loss of each image, a sum over its pixels and channels: [B].

    Of real inputs 1/2 ||x^ - x||^2; of binary ones the cross-entropy
    -sum x log x^ + (1 - x) log(1 - x^), of which the outputs are the logits of x^.

    Args:
        images: x, [B, ...] in [0, 1].
        outputs: [B, ...].
        inputs: real or binary.
    """
    if inputs == "binary":
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=outputs)
    else:
        each = tf.square(outputs - images) / 2
    return tf.reduce_sum(each, list(range(1, len(images.shape))))


def pixels(outputs: tf.Tensor, inputs: str) -> tf.Tensor:
    """The images x^ in [0, 255] that outputs stand for; of real inputs they may lie outside."""
    return WHITE * (tf.sigmoid(outputs) if inputs == "binary" else outputs)


def transposed_affine(code: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """C + W^T h, of a weight that is shared, [D, d], and a bias of its own: [B, d] -> [B, D]."""
    bias = tf.get_variable("bias", [weight.shape[0]], initializer=tf.zeros_initializer())
    return tf.matmul(code, weight, transpose_b=True) + bias
