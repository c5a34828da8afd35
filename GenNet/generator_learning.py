"""An iteration of learning of GenNet: what its two steps give, and what is recorded of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from common import samplers
from common.session import tf
from generator_guard import GeneratorGuard, relative_error
from inference import Inputs

if TYPE_CHECKING:
    from GenNet import GenNet


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


def learn(
    model: GenNet, guard: GeneratorGuard, inputs: Inputs, images: tf.Tensor, z: tf.Tensor
) -> Learning:
    """A guarded step of Adam along L'(W), the inferred z [N, d] held fixed.

    Args:
        model: whose weights take it.
        guard: of these.
        inputs: of the iteration.
        images: its batch, [B, S, S, 3] in [-1, 1].
        z: all chains as they stand.
    """
    with tf.control_dependencies([z]):
        inferred = tf.gather(z, inputs.index)
        loss = model.reconstruction_loss(inferred, images, inputs.sigma, inputs.visible)
        rate = inputs.learning_rate * guard.rate_factor
        adam = tf.train.AdamOptimizer(rate, model.settings.beta1)
        variables = [v for network in model.networks for v in network.variables()]
        gradients = adam.compute_gradients(loss, variables)
        norm = tf.linalg.global_norm([gradient for gradient, _ in gradients])
        finite = tf.math.is_finite(loss + norm)
        error = relative_error(2 * inputs.sigma**2 * loss, images, inputs.visible)
        apply = partial(adam.apply_gradients, gradients)
        sane, updates = guard.step(apply, finite, error, inputs.index)
        return Learning(loss, norm, rate, sane, updates)


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
