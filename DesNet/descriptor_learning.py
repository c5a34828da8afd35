"""An iteration of learning of DesNet: observed and synthesized images compared, and theta moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from common import quality, samplers, streams
from common.session import tf
from common.streams import Stream
from guard import GuardedAdam

if TYPE_CHECKING:
    from DesNet import DesNet

# A sane iteration: beyond any, learning has diverged and goes back.  Of black and white images the
# noise of the chains alone takes half of the pixels out of range, but few of them far.
MAX_OUT_OF_RANGE = 0.5  # share of pixels outside [0, 255], of which
MAX_FAR_OUT = 0.4  # are outside by more than `Settings.margin`, as a share of all
MAX_DRIFT = 45.0  # mean (delta^2 / 2) |d log p / dY| along the chains, in grey levels a step

LAG = 0.3  # nats in every dimension: learning waits for chains whose energy lags behind by more


class Inputs(NamedTuple):
    """What is fed."""

    observed: tf.Tensor  # [B, S, S, 3] in [0, 255]
    index: tf.Tensor  # [B], of the chains
    starts: tf.Tensor  # [B, S, S, 3] in [0, 255]; of chains that never end, where they stand
    learning_rate: tf.Tensor
    noise_factor: tf.Tensor  # of the noise on observed images, and of the steps
    contrast: tf.Tensor  # of observed images
    adjust: tf.Tensor  # whether MALA and HMC put their proposals to the test
    group: tf.Tensor  # of chains, where more are run than fit together
    entry: tf.Tensor  # [B] or [1], levels of the noise where chains enter
    first_step: tf.Tensor
    num_steps: tf.Tensor


class Synthesis(NamedTuple):
    """Step one of an iteration: chains of the current model."""

    chains: samplers.Chains
    step_size: tf.Tensor  # [B], of each chain
    out_of_range: tf.Tensor  # share of pixels outside [0, 255]
    far_out: tf.Tensor  # by more than `Settings.margin`
    errors: tf.Tensor  # [B, B], see `quality.squared_errors`, of where they end to the images


class Comparison(NamedTuple):
    """Step two: observed and synthesized images, valued by f; means are over all workers'."""

    loss: tf.Tensor  # mean f(synthesized) - mean f(observed)
    objective: tf.Tensor  # the loss and the mode penalty, of this worker's images
    sane: tf.Tensor  # whether the iteration may count
    score_magnitude: tf.Tensor  # mean along the chains
    acceptance_rate: tf.Tensor  # mean of the chains
    step_size: tf.Tensor  # mean of the chains
    out_of_range: tf.Tensor  # share of pixels outside [0, 255]
    count: tf.Tensor  # of this worker's images


class Learning(NamedTuple):
    """Step three: theta moved, or the last good state taken back."""

    sane: tf.Tensor  # whether the iteration counts
    gradient_norm: tf.Tensor
    learning_rate: tf.Tensor  # that was in effect
    roll_backs: tf.Variable  # so far
    updates: list[tf.Operation]


def make_inputs(model: DesNet) -> Inputs:
    """What is fed, and the chains that are kept."""
    side, n = model.settings.image_size, model.chain_shard.total
    shape = [None, side, side, 3]
    observed = tf.placeholder(tf.float32, shape, "observed")
    index = tf.placeholder(tf.int32, [None], "index")
    if model.convergent:
        # Where the chains stand, from where they go on unless other starts are fed.
        start = tf.broadcast_to(model.mean_colour, [n, side, side, 3])
        model.chains = model.chain_shard.variable("chains/images", start)
        model.stand = tf.gather(model.chains, index)
        starts = tf.placeholder_with_default(model.stand, shape, "starts")
        model.begin = tf.scatter_update(model.chains, index, starts)
    else:
        starts = tf.placeholder(tf.float32, shape, "starts")
    inputs = Inputs(
        observed,
        index,
        starts,
        learning_rate=tf.placeholder(tf.float32, [], "learning_rate"),
        noise_factor=tf.placeholder_with_default(1.0, [], "noise_factor"),
        contrast=tf.placeholder_with_default(1.0, [], "contrast"),
        adjust=tf.placeholder_with_default(True, [], "adjust"),
        group=tf.placeholder_with_default(model.cluster.rank, [], "group"),
        entry=tf.placeholder_with_default([0], [None], "entry"),
        first_step=tf.placeholder_with_default(0, [], "first_step"),
        num_steps=tf.placeholder_with_default(model.settings.num_steps, [], "num_steps"),
    )
    step_size = tf.fill([n], float(model.settings.step_size or 0))
    model.step_sizes = model.chain_shard.variable("chains/step_size", step_size)
    return inputs


def synthesize(
    model: DesNet, inputs: Inputs, starts: tf.Tensor, step_size: tf.Tensor, key: tf.Tensor
) -> Synthesis:
    """Run the chains of the current model from `starts` [B, S, S, 3]."""
    with model.networks[0].precision(model.settings.precision):
        chains = model.langevin_dynamics(
            starts,
            step_size,
            key,
            num_steps=inputs.num_steps,
            first_step=inputs.first_step,
            adjust=inputs.adjust,
            entry=inputs.entry,
        )
    model.synthesized = chains.position + model.mean_colour

    def share_outside(margin: tf.Tensor | float) -> tf.Tensor:
        """Of pixels that are outside [0, 255] by more than so many grey levels."""
        out = tf.logical_or(model.synthesized < -margin, model.synthesized > 255 + margin)
        return tf.reduce_mean(tf.cast(out, tf.float32))

    far_out = share_outside(model.settings.margin(inputs.noise_factor))
    errors = quality.squared_errors(model.synthesized, inputs.observed)
    return Synthesis(chains, step_size, share_outside(0), far_out, errors)


def observe(model: DesNet, inputs: Inputs, step: tf.Tensor) -> tf.Tensor:
    """The observed images less the mean colour, as the iteration sees them."""
    settings = model.settings
    observed = inputs.observed - model.mean_colour
    if settings.contrast_start != 1:
        flat = tf.reduce_mean(observed, [1, 2], keepdims=True)  # [B, 1, 1, 3]
        observed = flat + inputs.contrast * (observed - flat)
    if settings.data_noise:
        key = streams.key(settings.seed, Stream.DATA_NOISE, step, model.cluster.rank)
        noise = tf.random.stateless_normal(tf.shape(observed), key)
        observed += settings.data_noise * inputs.noise_factor * noise
    return observed


def compare(model: DesNet, observed: tf.Tensor, synthesis: Synthesis) -> Comparison:
    """The loss, whose gradient is that of the negative log likelihood.

    The model's expectation is replaced by the mean over the synthesized images, which are held
    fixed.
    """
    settings = model.settings
    value = model.descriptor(observed)
    synthesized = synthesis.chains.position
    loss = tf.reduce_mean(model.descriptor(synthesized)) - tf.reduce_mean(value)
    objective = loss
    drift_factor = (settings.step_size or 0) ** 2 / 2
    if settings.mode_penalty:
        # What one Langevin step from an observed image would gain, to first order.  Held
        # small, it makes the observed images modes, where chains come to rest instead of
        # overshooting.
        score = tf.gradients(value + model.log_reference(observed), observed)[0]
        slope = tf.reduce_mean(tf.reduce_sum(tf.square(score), [1, 2, 3]))
        objective += settings.mode_penalty * drift_factor * slope
    chains, count = synthesis.chains, tf.shape(observed)[0]
    of_chains = [chains.score_magnitude, chains.acceptance_rate, synthesis.step_size]
    total, loss, out_of_range, far_out, *rest = model.cluster.mean(
        [objective, loss, synthesis.out_of_range, synthesis.far_out]
        + [tf.reduce_mean(value) for value in of_chains],
        count,
    )
    magnitude, acceptance_rate, step_size = rest
    sane = tf.reduce_all(
        [
            tf.math.is_finite(total),
            tf.logical_or(out_of_range < MAX_OUT_OF_RANGE, far_out < MAX_FAR_OUT),
            drift_factor * magnitude < MAX_DRIFT,
        ]
    )
    return Comparison(
        *(loss, objective, sane),
        *(magnitude, acceptance_rate, step_size, out_of_range, count),
    )


def learn(model: DesNet, inputs: Inputs, synthesis: Synthesis, comparison: Comparison) -> Learning:
    """A guarded step of Adam; the chains that are kept move, and their steps adapt."""
    settings = model.settings
    adam = GuardedAdam(
        model.networks[0].variables(),
        [model.chains] if model.convergent else [],
        settings.beta1 or 0.0,
        settings.beta2 or 0.0,
        model.cluster,
    )
    rate = inputs.learning_rate
    target = samplers.TARGET_ACCEPTANCE.get(settings.sampler)
    if model.convergent:
        # A model that runs away from its samples grows steep, and they never catch up: learning
        # waits for chains that lag behind, and for step sizes at which they can move.
        lag = tf.nn.relu(-comparison.loss) / (LAG * 3 * settings.image_size**2)
        rate /= 1 + tf.square(lag)
        if target is not None:
            rate *= tf.minimum(1.0, comparison.acceptance_rate / target)
    effective_rate = rate * adam.rate_factor
    # Weights decay while learning waits: a flatter energy lets the chains go.
    full = inputs.learning_rate * adam.rate_factor / settings.learning_rate
    sane, norm, updates = adam.minimize(
        *(comparison.objective, rate, 1 - settings.weight_decay * full),
        *(comparison.sane, comparison.count),
    )
    if model.convergent:
        with tf.control_dependencies(updates):  # or else going back undoes the move
            stand = tf.gather(model.chains, inputs.index)
            stand = tf.where_v2(sane, model.synthesized, stand)
            updates = [*updates, tf.scatter_update(model.chains, inputs.index, stand)]
    if target is not None:
        updates = [*updates, _adapt(model, inputs, synthesis, target)]
    return Learning(sane, norm, effective_rate, adam.roll_backs, updates)


def _adapt(model: DesNet, inputs: Inputs, synthesis: Synthesis, target: float) -> tf.Operation:
    """Move the step sizes of the chains towards the target acceptance rate."""
    relative = synthesis.step_size / inputs.noise_factor
    adapted = samplers.adapted_step_size(relative, synthesis.chains.acceptance_rate, target)
    # Chains of a model that learns run downhill, and accept there what is too much at rest:
    # their steps would grow until they fall behind.
    adapted = tf.minimum(adapted, model.settings.step_size)
    adapted = tf.where_v2(inputs.adjust, adapted, relative)  # no test, no rate to adapt to
    return tf.scatter_update(model.step_sizes, inputs.index, adapted)
