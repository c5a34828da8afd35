"""An iteration of learning of GenNet: what its two steps give, and what is recorded of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from common import gauge, muon, quality, samplers, streams
from common.session import tf
from common.streams import Stream
from generator_guard import GeneratorGuard, untrained_error
from inference import Inputs

if TYPE_CHECKING:
    from GenNet import GenNet

# Where f turns from one image to the next the loss is sharp, and in what it is so changes: Adam's
# second moment is to follow.  With 0.999, or with a first moment of 0.5, learning diverges there.
BETA2 = 0.99
LENGTH = 40.0  # of steps of Muon's


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


def infer(model: GenNet, inputs: Inputs, images: tf.Tensor) -> Inference:
    """Go on with the chains of the batch, adapt their steps, offer draws, reduce the prior.

    The chains are kept in their variables: they start warm, where they were left.

    Args:
        model: whose chains they are.
        inputs: of the iteration.
        images: its batch, [B, S, S, 3] in [-1, 1].
    """
    settings = model.settings
    key = streams.iteration_key(settings.seed, Stream.INFERENCE, model.cluster.rank)
    # Of batches of known size, gradients ask for no shapes, and so for no values to compute.
    size = model.shard.even_batch(settings.batch_size or 1)
    index = tf.ensure_shape(inputs.index, [size])
    images = tf.ensure_shape(images, [size, *images.shape[1:]])
    visible = inputs.visible
    if visible is not None:
        visible = tf.ensure_shape(visible, [size, *visible.shape[1:]])
    step_size = tf.gather(model.chain_steps, index)
    metric = None if model.metric is None else model.metric.metric(inputs.sigma)
    with model.networks[0].precision(settings.precision):
        start = tf.gather(model.chains, index)
        chains = model.langevin_dynamics(
            start, images, inputs.sigma, step_size, key, visible=visible, metric=metric
        )
    if settings.target_acceptance is not None:
        target = settings.target_acceptance
        step_size = samplers.adapted_step_size(step_size, chains.acceptance_rate, target)
    elif settings.sampler == "langevin":  # halved for chains that were sent back
        step_size = tf.where_v2(chains.acceptance_rate > 0, step_size, step_size / 2)
    if model.transport is not None:
        chains = model.transport.resampled(chains, images, inputs.sigma, visible)
    place = index[:, None]
    z = tf.tensor_scatter_nd_update(model.chains, place, chains.position)
    adapted = tf.tensor_scatter_nd_update(model.chain_steps, place, step_size)
    updates = [model.chain_steps.assign(adapted)]
    by_old_weights = [] if model.transport is None else [model.transport.made]
    if model.metric is not None:
        product = model.metric.averaged(chains.position, visible)  # S
        by_old_weights.append(product)
    if settings.parameter_expansion:
        reduced, move = _reduce_prior(model, z, by_old_weights)
        z = reduced.z
        updates.append(move)
        if model.metric is not None:  # for z = L z' + m: J becomes J L
            product = tf.matmul(reduced.factor, product @ reduced.factor, transpose_a=True)
    if model.metric is not None:
        updates.append(model.metric.product.assign(product))
    with tf.control_dependencies(updates):
        return Inference(chains, step_size, model.chains.assign(z))


def _reduce_prior(
    model: GenNet, z: tf.Tensor, by_old_weights: list[tf.Tensor]
) -> tuple[gauge.Reduced, tf.Operation]:
    """Z [N, d] in the gauge of the prior, and the move of the first layer (see `gauge`).

    Args:
        model: whose first layer it is.
        z: all chains as they stand.
        by_old_weights: what the first layer is not to move before.
    """
    variables = {v.op.name: v for v in model.networks[0].variables()}
    weight, bias = (variables[f"generator/project/{n}"] for n in ("weight", "bias"))
    reduced = gauge.reduce_prior(z, weight, bias, model.shard)
    with tf.control_dependencies([reduced.bias, reduced.weight, *by_old_weights]):
        return reduced, tf.group(weight.assign(reduced.weight), bias.assign(reduced.bias))


def learn(
    model: GenNet, guard: GeneratorGuard, inputs: Inputs, images: tf.Tensor, z: tf.Tensor
) -> Learning:
    """A guarded step of the optimizer along L'(W), the inferred z [N, d] held fixed.

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
        variables = [v for network in model.networks for v in network.variables()]
        gradients = tf.gradients(objective, variables)
        # From here on all is about the batches of all workers, which so decide alike.
        loss, untrained, *gradients = model.cluster.mean(
            [loss, untrained_error(images, inputs.visible), *gradients], tf.shape(inputs.index)[0]
        )
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(loss + norm)
        error = 2 * inputs.sigma**2 * loss / untrained
        sane, updates = guard.step(
            lambda: _descend(model, gradients, variables, rate), finite, error, inputs.index
        )
        if model.transport is not None:
            updates.append(ascend(sane))
        return Learning(loss, psnr, norm, rate, sane, updates)


def _descend(
    model: GenNet, gradients: list[tf.Tensor], variables: list[tf.Variable], rate: tf.Tensor
) -> tf.Operation:
    """A step of the optimizer against the gradients of the variables."""
    settings = model.settings
    matrices = []
    if settings.optimizer == "muon":  # but for the first and the last layer (Jordan et al.)
        matrices = [v for v in variables if v.shape.rank > 1][1:-1]
    adam = tf.train.AdamOptimizer(rate, settings.beta1, BETA2)
    steps = muon.descend_beside(
        *(adam, gradients, variables, matrices, rate, LENGTH, settings.beta1)
    )
    return tf.group(*steps)


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
