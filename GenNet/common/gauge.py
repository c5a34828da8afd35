"""The gauge of a latent space: z moved to N(0, I), and the first layer of a network with it."""

from __future__ import annotations

from typing import NamedTuple

from common.session import tf
from common.shards import Shard


class Reduced(NamedTuple):
    """z and an affine layer z W + b whose output is what it was."""

    z: tf.Tensor  # [N, d]
    weight: tf.Tensor  # [d, units]
    bias: tf.Tensor  # [units]
    factor: tf.Tensor  # L [d, d] of z = L z' + m, z' the z here


def reduce_prior(z: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor, shard: Shard) -> Reduced:
    """Parameter-expanded EM (Liu, Rubin and Wu, 1998): z [N, d] moved to a N(0, I) gauge.

    A network does not change under z -> L z + m if its first, affine layer absorbs the inverse.
    With the prior expanded to N(m, S), its M-step is m and S = L L^T of the inferred z; reducing it
    to N(0, I) again leaves every output as it was, and the prior term better.  S is shrunk towards
    I with the weight of d images, so that few images in many dimensions have one.

    Args:
        z: [N, d], of N images; of several workers, those of this one's.
        weight: W [d, units].
        bias: b [units].
        shard: which of all z they are; m and S are those of all.
    """
    d = z.shape[1]
    (mean,) = shard.cluster.mean([tf.reduce_mean(z, 0)], shard.count)  # [d]
    centred = z - mean
    (scatter,) = shard.cluster.sum([tf.matmul(centred, centred, transpose_a=True)])
    scatter += d * tf.eye(d)
    factor = tf.linalg.cholesky(scatter / (shard.total + d))  # L
    reduced = tf.transpose(tf.linalg.triangular_solve(factor, tf.transpose(centred)))
    # z W + b = z' (L^T W) + (m W + b) for z = L z' + m.
    new_bias = bias + tf.linalg.matvec(weight, mean, transpose_a=True)
    return Reduced(reduced, tf.matmul(factor, weight, transpose_a=True), new_bias, factor)
