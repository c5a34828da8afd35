"""An iteration of learning of GenNet: what its two steps give, and what is recorded of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from common import quality, samplers
from common.session import tf
from generator_guard import GeneratorGuard, untrained_error
from inference import Inputs

if TYPE_CHECKING:
    from GenNet import GenNet

# Where f turns from one image to the next the loss is sharp, and in what it is so changes: Adam's
# second moment is to follow.  With 0.999, or with a first moment of 0.5, learning diverges there.
BETA2 = 0.99


class Inference(NamedTuple):
    """Step one of an iteration: Z inferred, and the prior reduced."""

    chains: samplers.Chains  # of the batch, before the prior is reduced
    step_size: tf.Tensor  # [B], adapted
    z: tf.Tensor  # [N, d], all chains as they then stand


class Learning(NamedTuple):
    """Step two: W moved."""

    loss: tf.Tensor  # at the noise of the iteration
    psnr: tf.Tensor  # [B], in dB, of the pixels of the batch that are seen
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


def psnr_of_seen(error: tf.Tensor, images: tf.Tensor, visible: tf.Tensor | None) -> tf.Tensor:
    """PSNR [B] in dB of the squared errors [B] of images [B, S, S, 3] in [-1, 1]."""
    count: tf.Tensor | int = images.shape[1:].num_elements()
    if visible is not None:
        count = tf.maximum(3 * tf.reduce_sum(visible, [1, 2, 3]), 1)
    return quality.psnr(error / count * 127.5**2)


def learn(
    model: GenNet, guard: GeneratorGuard, inputs: Inputs, images: tf.Tensor, z: tf.Tensor
) -> Learning:
    """A guarded step of Adam along L'(W), the inferred z [N, d] held fixed.

    Where draws of the prior are matched with images, along the gradient of their loss as well.

    Args:
        model: whose weights take it.
        guard: of these.
        inputs: of the iteration.
        images: its batch, [B, S, S, 3] in [-1, 1].
        z: all chains as they stand.
    """
    with tf.control_dependencies([z]):
        inferred = tf.gather(z, inputs.index)
        squared = model.squared_error(inferred, images, inputs.visible)  # [B]
        loss = model.reconstruction_loss(squared, inputs.sigma)
        psnr = psnr_of_seen(squared, images, inputs.visible)
        objective = loss
        if model.transport is not None:
            of_draws, ascend = model.transport.loss(inputs.sigma, tf.shape(images)[0])
            objective = loss + of_draws
        rate = inputs.learning_rate * guard.rate_factor
        adam = tf.train.AdamOptimizer(rate, model.settings.beta1, BETA2)
        variables = [v for network in model.networks for v in network.variables()]
        gradients = tf.gradients(objective, variables)
        # From here on all is about the batches of all workers, which so decide alike.
        loss, untrained, *gradients = model.cluster.mean(
            [loss, untrained_error(images, inputs.visible), *gradients], tf.shape(inputs.index)[0]
        )
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(loss + norm)
        error = 2 * inputs.sigma**2 * loss / untrained
        apply = partial(adam.apply_gradients, list(zip(gradients, variables, strict=True)))
        sane, updates = guard.step(apply, finite, error, inputs.index)
        if model.transport is not None:
            updates.append(ascend(sane))
        return Learning(loss, psnr, norm, rate, sane, updates)


def record(
    model: GenNet, inputs: Inputs, inference: Inference, learning: Learning
) -> dict[str, tf.Tensor]:
    """What `GenNet.train` yields of an iteration, over all workers."""
    chains = inference.chains
    # The loss holds the likelihood of the inferred Z: moving the prior changes no f(Z).
    prior_term = tf.reduce_sum(tf.square(chains.position), 1) / 2  # [B]
    of_batch = [prior_term + chains.first_log_prob, chains.acceptance_rate]
    of_batch += [inference.step_size, chains.score_magnitude, learning.psnr]
    start, acceptance_rate, step_size, score_magnitude, psnr = model.cluster.mean(
        [tf.reduce_mean(value) for value in of_batch], tf.shape(inputs.index)[0]
    )
    prior = tf.reduce_mean(tf.reduce_sum(tf.square(inference.z), 1))
    (prior,) = model.cluster.mean([prior], model.shard.count)
    return {
        "loss": learning.loss * (inputs.sigma / model.settings.sigma) ** 2,
        "psnr": psnr,
        "prior": prior / 2,
        "acceptance_rate": acceptance_rate,
        "step_size": step_size,
        "score_magnitude": score_magnitude,
        "sigma": inputs.sigma,
        "learning_rate": tf.identity(learning.learning_rate),
        "gradient_norm": learning.gradient_norm,
        "energy_difference": -learning.loss - start,
    }
