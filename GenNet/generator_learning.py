"""An iteration of learning of GenNet: what its two steps give, and what is recorded of them."""

from __future__ import annotations

from typing import NamedTuple

from common import samplers
from common.session import tf
from inference import Inputs


class Inference(NamedTuple):
    """Step one of an iteration: Z inferred, and the prior reduced."""

    chains: samplers.Chains  # of the batch, before the prior is reduced
    step_size: tf.Tensor  # [B], adapted
    z: tf.Tensor  # [N, d], all chains as they then stand


class Learning(NamedTuple):
    """Step two: W moved."""

    loss: tf.Tensor  # at the noise of the iteration
    gradient_norm: tf.Tensor
    learning_rate: tf.Tensor  # that was in effect
    sane: tf.Tensor  # whether the iteration counts
    updates: list[tf.Operation]


def flat(images: tf.Tensor, visible: tf.Tensor | None) -> tf.Tensor:
    """Images [B, S, S, 3] as [B, D], 0 where they are hidden."""
    d = images.shape[1:].num_elements()
    numbers = tf.reshape(images, [-1, d])
    if visible is None:
        return numbers
    return numbers * tf.reshape(tf.tile(visible, [1, 1, 1, 3]), [-1, d])


def record(
    inputs: Inputs, inference: Inference, learning: Learning, sigma: float
) -> dict[str, tf.Tensor]:
    """What `GenNet.train` yields of an iteration; sigma is that of the model."""
    chains = inference.chains
    # The loss holds the likelihood of the inferred Z: moving the prior changes no f(Z).
    prior_term = tf.reduce_sum(tf.square(chains.position), 1) / 2  # [B]
    gain = -learning.loss - tf.reduce_mean(prior_term + chains.first_log_prob)
    return {
        "loss": learning.loss * (inputs.sigma / sigma) ** 2,
        "prior": tf.reduce_mean(tf.reduce_sum(tf.square(inference.z), 1)) / 2,
        "acceptance_rate": tf.reduce_mean(chains.acceptance_rate),
        "step_size": tf.reduce_mean(inference.step_size),
        "score_magnitude": tf.reduce_mean(chains.score_magnitude),
        "sigma": inputs.sigma,
        "learning_rate": tf.identity(learning.learning_rate),
        "gradient_norm": learning.gradient_norm,
        "energy_difference": gain,
    }
