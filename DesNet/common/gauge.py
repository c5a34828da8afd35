"""The gauge of a latent space: z moved to N(0, I), and the first layer of a network with it."""

from __future__ import annotations

from typing import NamedTuple

from common.session import tf


class Reduced(NamedTuple):
    """z and an affine layer z W + b whose output is what it was."""

    z: tf.Tensor  # [N, d]
    weight: tf.Tensor  # [d, units]
    bias: tf.Tensor  # [units]


def reduce_prior(z: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor) -> Reduced:
    """Parameter-expanded EM (Liu, Rubin and Wu, 1998): z [N, d] moved to a N(0, I) gauge.

    A network does not change under z -> L z + m if its first, affine layer absorbs the inverse.
    With the prior expanded to N(m, S), its M-step is m and S = L L^T of the inferred z; reducing it
    to N(0, I) again leaves every output as it was, and the prior term better.  S is shrunk towards
    I with the weight of d images, so that few images in many dimensions have one.

    Args:
        z: [N, d], of N images.
        weight: W [d, units].
        bias: b [units].
    """
    num_images, d = z.shape.as_list()
    mean = tf.reduce_mean(z, 0)  # [d]
    centred = z - mean
    scatter = tf.matmul(centred, centred, transpose_a=True) + d * tf.eye(d)
    factor = tf.linalg.cholesky(scatter / (num_images + d))  # L
    reduced = tf.transpose(tf.linalg.triangular_solve(factor, tf.transpose(centred)))
    # z W + b = z' (L^T W) + (m W + b) for z = L z' + m.
    new_bias = bias + tf.linalg.matvec(weight, mean, transpose_a=True)
    return Reduced(reduced, tf.matmul(factor, weight, transpose_a=True), new_bias)
