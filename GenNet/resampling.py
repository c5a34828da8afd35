"""Steps of a chain to places far away: one of several draws that are offered to it."""

from __future__ import annotations

import numpy as np

from common.session import tf


def resampled(
    x: tf.Tensor,
    log_weight: tf.Tensor,
    proposals: tf.Tensor,
    log_weights: tf.Tensor,
    key: tf.Tensor,
) -> tf.Tensor:
    """A step of iterated sampling importance resampling (Andrieu, Lee and Vihola, 2018).

    Each chain goes on from where it is, or from one of M independent draws of a density q, chosen
    with probability proportional to w = p / q: its stationary law is exactly p, and however far
    the modes of p lie from each other, it comes from one to another.  Chains may share the draws.

    Args:
        x: [B, d], where the chains are.
        log_weight: log w there, [B].
        proposals: [M, d], draws of q.
        log_weights: log w of each of them for each chain, [B, M]; none is chosen where it is NaN.
        key: int32 [2].

    Returns:
        [B, d].
    """
    log_weights = tf.concat([log_weight[:, None], log_weights], 1)  # [B, 1 + M]
    never = tf.constant(-np.inf, log_weights.dtype)
    log_weights = tf.where_v2(tf.math.is_nan(log_weights), never, log_weights)
    uniform = tf.random.stateless_uniform(tf.shape(log_weights), key, dtype=log_weights.dtype)
    # The largest of the logarithms with Gumbel noise is one of them with that probability.
    chosen = tf.argmax(log_weights - tf.math.log(-tf.math.log(uniform)), 1)[:, None]
    stay, drawn = tf.equal(chosen, 0), tf.gather(proposals, tf.maximum(chosen[:, 0] - 1, 0))
    return tf.where_v2(stay, x, drawn)
