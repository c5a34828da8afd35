"""Descriptor network learned by Langevin synthesis (Xie et al., ICML 2016).

The model is p(Y; theta) = exp[f(Y; theta)] p0(Y) / Z(theta), p0 = N(0, s^2 I): a bottom-up ConvNet
f from an image to a number, and a Gaussian reference.  Learning alternates between synthesizing
images by Langevin dynamics from the current model, and a step on theta that raises f on the
observed images and lowers it on the synthesized ones.

Chains that start anew from mean images at every iteration ("short_run", the assignment) teach a
generator of l steps: it makes the images it has seen, but run on, its chains leave them.  Chains
that never end ("convergent") teach a density: they stay, and so do the chains of any sampler.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

import samplers
from guard import WARM_UP_STEPS, GuardedAdam
from ops import (
    Network,
    batch_indices,
    batches,
    batches_per_epoch,
    conv2d,
    leaky_relu,
    weighted_sum,
)

NETWORKS = ("strided", "smooth", "assignment")

# Steps of a chain in an iteration: every sampler evaluates the network 30 times.
SAMPLERS = {"langevin": 30, "mala": 30, "hmc": 6}
NUM_LEAPFROG = 5  # of HMC: at the step size that it adapts to, about half a turn of its orbit

# The settings of the two ways to learn.  A short run drifts: its steps are small and its slopes
# steep.  A density has to be explored: large steps; noise of twice their size on the observed
# images (Nijkamp et al.), which gives every mode a width that the steps resolve; and a smooth
# energy, for at the kinks of rectifiers a Metropolis-Hastings test turns down all but tiny steps.
# The noise and the steps start eight times as large: at first there is one wide mode, which chains
# cross in a few steps, and as the noise shrinks it divides into one for each image.
LEARNING = {
    "short_run": {
        "network": "strided",
        "step_size": 0.3,  # of the assignment
        "data_noise": 0.0,
        "data_noise_start": 0.0,
        "learning_rate": 0.04,
        "beta2": 0.999,
        "mode_penalty": 1.0,
        "weight_decay": 0.004,
    },
    "convergent": {
        "network": "smooth",
        "step_size": 2.0,
        "data_noise": 4.0,
        "data_noise_start": 32.0,
        "learning_rate": 0.003,
        "beta2": 0.9,  # gradients grow by orders of magnitude: a longer memory overshoots
        "mode_penalty": 0.0,
        "weight_decay": 0.0,
    },
}

# A sane iteration: beyond either, learning has diverged and goes back.
MAX_OUT_OF_RANGE = 0.5  # share of pixels outside [0, 255]
MAX_DRIFT = 45.0  # mean (delta^2 / 2) |d log p / dY| along the chains, in grey levels a step

ANNEALED = 0.6  # share of the run, at its start, in which the noise on the images shrinks
LAG = 0.3  # nats in every dimension: learning waits for chains whose energy lags behind by more
AVERAGED = 50  # iterations that the running autocorrelation of d(t) looks back
MAX_CHAINS = 1024  # that never end: 50 MB of images of 64 x 64, and as much for going back
GROUP = 64  # chains that are run together outside of learning
MAX_ROLL_BACKS = 20  # in a row, without one good iteration between them

Record = dict[str, float]


class DivergenceError(Exception):
    """Learning that diverges however small its steps; the message is a sentence for the user."""


def default_learning(sampler: str) -> str:
    """The way to learn that suits a sampler; see `DesNet.__init__`."""
    return "short_run" if sampler == "langevin" else "convergent"


class DesNet:
    """The model, its sampling and its learning.  Images are [N, S, S, 3] in [0, 255] outside.

    Inside, images are in grey levels less the mean colour of the training set.

    Attributes:
        session: the session that holds the variables.
        saver: saves and restores all of them.
    """

    def __init__(
        self,
        mean_colour: np.ndarray,
        num_images: int,
        image_size: int = 64,
        batch_size: int = 7,
        network: str | None = None,
        ref_sigma: float = 50.0,
        sampler: str = "langevin",
        learning: str | None = None,
        step_size: float | None = None,
        num_steps: int | None = None,
        data_noise: float | None = None,
        data_noise_start: float | None = None,
        mode_penalty: float | None = None,
        learning_rate: float | None = None,
        beta1: float = 0.5,
        beta2: float | None = None,
        decay: float = 0.7,
        weight_decay: float | None = None,
        seed: int = 0,
        precision: str = "float32",
        num_cores: int = 1,
    ) -> None:
        """Describe the model; `build_model` builds it.

        Args:
            mean_colour: [3], of the training set, in [0, 255].
            num_images: N, how many training images there are.  Each has a chain, whose step size
                MALA and HMC adapt; chains that never end are at most MAX_CHAINS.
            image_size: S, a multiple of 8.
            batch_size: images in an iteration.
            network: one of NETWORKS; by default that of LEARNING.
            ref_sigma: s, standard deviation of the reference, in grey levels.
            sampler: a key of SAMPLERS.
            learning: a key of LEARNING: "short_run" starts the chains anew at every iteration,
                "convergent" never.  By default the first for "langevin", the second for "mala"
                and "hmc": a Metropolis-Hastings test does not let a chain climb thousands of nats
                in 30 steps, so that short runs would stand still.
            step_size: delta of the sampler, in grey levels; this, and all that follows and is
                None, is by default that of LEARNING.  MALA and HMC start there and adapt to less.
            num_steps: l, steps of a chain in an iteration; by default those of SAMPLERS.
            data_noise: standard deviation of the noise on the observed images, in grey levels.
            data_noise_start: the noise at the first iteration, at least data_noise; it shrinks
                geometrically to data_noise, and the step size with it.  Without noise, 0.
            mode_penalty: weight of the penalty on the slope of log p at the observed images,
                (delta^2 / 2) mean ||d log p(Y) / dY||^2.
            learning_rate: of Adam, after WARM_UP_STEPS iterations.
            beta1: decay of Adam's first moment.
            beta2: decay of its second moment.
            decay: share of the run, at its end, in which the learning rate falls to 0.
            weight_decay: share of every weight that an iteration takes off at the full learning
                rate.  It bounds the gradient of f, which otherwise grows until Langevin steps
                overshoot.
            seed: of every random number.
            precision: of the network inside Langevin chains, "float32" or "bfloat16"; their
                positions and the learning step are float32.  The test of MALA and HMC compares
                energies of 10^5 nats, which bfloat16 rounds by hundreds.
            num_cores: of the processor that computes.  With more than one, the two halves of a
                batch are computed side by side, and every operation by half of the cores: of
                operations as small as these, each spread over all cores, the threads wait for each
                other longer than they compute.

        Raises:
            ValueError: a value is out of its range.
        """
        if image_size < 8 or image_size % 8:
            raise ValueError(f"image_size is a multiple of 8, not {image_size}")
        if network not in (None, *NETWORKS):
            raise ValueError(f"network is one of {', '.join(NETWORKS)}, not {network}")
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler is one of {', '.join(SAMPLERS)}, not {sampler}")
        if learning not in (None, *LEARNING):
            raise ValueError(f"learning is one of {', '.join(LEARNING)}, not {learning}")
        self.mean_colour = np.asarray(mean_colour, np.float32)
        self.num_chains = num_images
        self.image_size = image_size
        self.batch_size = batch_size
        self.ref_sigma = ref_sigma
        self.sampler = sampler
        self.learning = learning or default_learning(sampler)
        if self.learning == "convergent":
            self.num_chains = min(num_images, MAX_CHAINS)
        settings = LEARNING[self.learning]

        def setting(name: str, value: Any) -> Any:
            return settings[name] if value is None else value

        self.network = setting("network", network)
        self.step_size = setting("step_size", step_size)
        self.num_steps = num_steps or SAMPLERS[sampler]
        self.data_noise = setting("data_noise", data_noise)
        start = setting("data_noise_start", data_noise_start)
        self.data_noise_start = max(start, self.data_noise) if self.data_noise else 0.0
        self.mode_penalty = setting("mode_penalty", mode_penalty)
        self.learning_rate = setting("learning_rate", learning_rate)
        self.beta1 = beta1
        self.beta2 = setting("beta2", beta2)
        self.decay = decay
        self.weight_decay = setting("weight_decay", weight_decay)
        self.seed = seed
        self.precision = precision
        self.num_cores = num_cores
        layers = {
            "strided": lambda x: self._strided(x, leaky_relu),
            "smooth": lambda x: self._strided(x, tf.nn.silu),
            "assignment": self._assignment,
        }[self.network]
        self._network = Network("descriptor", layers)

    # Network

    def descriptor(self, images: tf.Tensor) -> tf.Tensor:
        """f(Y; theta): images [B, S, S, 3] less the mean colour -> one number each, [B].

        No normalisation: batch statistics would couple the chains of a batch.
        """
        return self._in_halves(self._network, images)

    def _in_halves(self, function: Callable, images: tf.Tensor) -> tf.Tensor:
        """`function`, [B, S, S, 3] -> [B, ...], of the images; on several cores, of each half."""
        images = tf.ensure_shape(images, [None, *[self.image_size] * 2, 3])
        if self.num_cores < 2:
            return function(images)
        count = tf.shape(images)[0]
        # An image alone is in both halves, for some operations of TensorFlow fail without any.
        first = images[: tf.maximum(count // 2, 1)]
        # A thread goes on with what is ready last and queues the rest.  So the larger half begins
        # at once, and the smaller one on the other thread, behind the noise of a Langevin step.
        # The other way round an iteration takes a sixth longer.
        with tf.control_dependencies([first]):
            second = images[count // 2 :]
        return tf.concat([function(first), function(second)], 0)[-count:]

    def _strided(self, x: tf.Tensor, activation: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        # With rectifiers, dividing the images by a scale and multiplying f by it changes
        # nothing but how fast the biases learn.  They must keep up, for they alone tell apart
        # flat images of nearly the mean colour.
        scale = 30.0
        x = activation(conv2d(x / scale, 32, 5, 2, "conv_1", stddev=0.01))  # [B, 32, 32, 32]
        x = activation(conv2d(x, 64, 5, 2, "conv_2", stddev=0.01))  # [B, 16, 16, 64]
        x = conv2d(x, 128, 5, 2, "conv_3", stddev=0.01)  # [B, 8, 8, 128]
        return weighted_sum(x, "score", 0.01, activation, scale)  # [B]

    def _assignment(self, x: tf.Tensor) -> tf.Tensor:
        x = leaky_relu(conv2d(x, 64, 4, 2, "conv_1", stddev=0.01))  # [B, 32, 32, 64]
        x = conv2d(x, 128, 2, 1, "conv_2", stddev=0.01)  # [B, 32, 32, 128]
        return weighted_sum(x, "score", 0.01, leaky_relu)  # [B]

    # Log density

    def log_prob(self, images: tf.Tensor) -> tf.Tensor:
        """Log p(Y) = f(Y) - ||Y||^2 / (2 s^2), up to a constant: one number for each image.

        Args:
            images: [B, S, S, 3] in grey levels less the mean colour.

        Returns:
            [B].
        """
        return self.descriptor(images) + self._log_reference(images)

    def _log_reference(self, images: tf.Tensor) -> tf.Tensor:
        """Log p0(Y) [B], up to a constant."""
        return -tf.reduce_sum(tf.square(images), [1, 2, 3]) / (2 * self.ref_sigma**2)

    def score(self, images: tf.Tensor) -> tf.Tensor:
        """The score, d log p(Y) / dY = df(Y) / dY - Y / s^2.

        Args:
            images: [B, S, S, 3] in grey levels less the mean colour.

        Returns:
            [B, S, S, 3].
        """
        return self._in_halves(self._network.gradient, images) - images / self.ref_sigma**2

    # Sampling

    def langevin_dynamics(
        self,
        images: tf.Tensor,
        step_size: tf.Tensor | float,
        key: tf.Tensor,
        num_steps: tf.Tensor | int | None = None,
        first_step: tf.Tensor | int = 0,
        adjust: tf.Tensor | bool = True,
    ) -> samplers.Chains:
        """Chains of the chosen sampler of p(Y) from the given images.

        Langevin, as of the assignment: Y <- Y + (delta^2 / 2) d log p(Y) / dY + delta U.

        Args:
            images: [B, S, S, 3] in grey levels less the mean colour.
            step_size: delta, scalar or [B].
            key: int32 [2].
            num_steps: length, by default l.
            first_step: number of the first step, for chains that go on.
            adjust: whether MALA and HMC put their proposals to the test.
        """
        steps = self.num_steps if num_steps is None else num_steps
        sample: dict[str, Callable] = {
            "langevin": partial(samplers.langevin, score_fn=self.score),
            "mala": partial(samplers.mala, adjust=adjust),
            "hmc": partial(samplers.hmc, num_leapfrog=NUM_LEAPFROG, adjust=adjust),
        }
        return sample[self.sampler](self.log_prob, images, step_size, steps, key, first_step)

    # Learning

    def build_model(self, config: tf.ConfigProto | None = None) -> None:
        """Build the graph, initialise the variables and open the session.

        Args:
            config: of the session.
        """
        if self.num_cores > 1:
            # TensorFlow makes its threads with the first loop of a process, and keeps them: the
            # configuration of a session comes too late.
            with suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads((self.num_cores + 1) // 2)
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(self.seed)
            self._build_iteration()
            self.saver = tf.train.Saver(max_to_keep=2, save_relative_paths=True)
            self.session = tf.Session(graph=graph, config=config)
            self.session.run(tf.global_variables_initializer())
            graph.finalize()

    def _build_inputs(self) -> None:
        """What is fed, and the chains that are kept."""
        side = self.image_size
        self._observed = tf.placeholder(tf.float32, [None, side, side, 3], "observed")
        self._index = tf.placeholder(tf.int32, [None], "index")  # of the chains
        shape = [None, side, side, 3]
        if self.learning == "convergent":
            # Where the chains stand, from where they go on unless other starts are fed.
            start = tf.broadcast_to(self.mean_colour, [self.num_chains, side, side, 3])
            self._chains = tf.get_variable("chains/images", initializer=start, trainable=False)
            self._stand = tf.gather(self._chains, self._index)
            self._starts = tf.placeholder_with_default(self._stand, shape, "starts")
            self._begin = tf.scatter_update(self._chains, self._index, self._starts)
        else:
            self._starts = tf.placeholder(tf.float32, shape, "starts")
        self._rate = tf.placeholder(tf.float32, [], "learning_rate")
        self._widening = tf.placeholder_with_default(1.0, [], "widening")
        self._adjust = tf.placeholder_with_default(True, [], "adjust")
        self._group = tf.placeholder_with_default(0, [], "group")
        self._first_step = tf.placeholder_with_default(0, [], "first_step")
        self._num_steps = tf.placeholder_with_default(self.num_steps, [], "num_steps")
        self._step_sizes = tf.get_variable(
            "chains/step_size",
            initializer=tf.fill([self.num_chains], float(self.step_size)),
            trainable=False,
        )

    def _build_iteration(self) -> None:
        """One iteration of synthesis and learning is one `session.run` of what this builds."""
        self._build_inputs()
        side = self.image_size
        self._iteration = tf.train.get_or_create_global_step()
        key = tf.stack([self.seed, tf.cast(self._iteration, tf.int32) + 1])
        key = samplers.fold_in(key, self._group)
        observed = self._observed - self.mean_colour
        if self.data_noise:
            noise_key = samplers.fold_in(key, -1)  # no step of a chain has this number
            noise = tf.random.stateless_normal(tf.shape(observed), noise_key)
            observed += self.data_noise * self._widening * noise
        step_size = self._widening * tf.gather(self._step_sizes, self._index)  # [B]
        starts = self._starts - self.mean_colour
        self._log_prob = self.log_prob(starts)
        with self._network.precision(self.precision):
            chains = self.langevin_dynamics(
                starts, step_size, key, self._num_steps, self._first_step, self._adjust
            )
        synthesized = chains.position
        self._responses = self._filter_responses(starts)
        self._synthesized = synthesized + self.mean_colour

        # The gradient of this loss is that of the negative log likelihood, the model's expectation
        # replaced by the mean over the synthesized images, which are held fixed.
        value = self.descriptor(observed)
        loss = tf.reduce_mean(self.descriptor(synthesized)) - tf.reduce_mean(value)
        objective = loss
        if self.mode_penalty:
            # What one Langevin step from an observed image would gain, to first order.  Held
            # small, it makes the observed images modes, where chains come to rest instead of
            # overshooting.
            score = tf.gradients(value + self._log_reference(observed), observed)[0]
            slope = tf.reduce_mean(tf.reduce_sum(tf.square(score), [1, 2, 3]))
            objective += self.mode_penalty * self.step_size**2 / 2 * slope
        magnitude = tf.reduce_mean(chains.score_magnitude)
        outside = tf.logical_or(self._synthesized < 0, self._synthesized > 255)
        out_of_range = tf.reduce_mean(tf.cast(outside, tf.float32))

        sane = tf.reduce_all(
            [
                tf.math.is_finite(objective),
                out_of_range < MAX_OUT_OF_RANGE,
                self.step_size**2 / 2 * magnitude < MAX_DRIFT,
            ]
        )
        adam = GuardedAdam(
            self._network.variables(),
            [self._chains] if self.learning == "convergent" else [],
            self.beta1,
            self.beta2,
        )
        rate = self._rate
        target = samplers.TARGET_ACCEPTANCE.get(self.sampler)
        if self.learning == "convergent":
            # A model that runs away from its samples grows steep, and they never catch up: learning
            # waits for chains that lag behind, and for step sizes at which they can move.
            rate /= 1 + tf.square(tf.nn.relu(-loss) / (LAG * 3 * side**2))
            if target is not None:
                rate *= tf.minimum(1.0, tf.reduce_mean(chains.acceptance_rate) / target)
        effective_rate = rate * adam.rate_factor
        # Weights decay while learning waits: a flatter energy lets the chains go.
        shrink = 1 - self.weight_decay * self._rate * adam.rate_factor / self.learning_rate
        sane, norm, updates = adam.minimize(objective, rate, shrink, sane)
        if self.learning == "convergent":
            with tf.control_dependencies(updates):  # or else going back undoes the move
                stand = tf.gather(self._chains, self._index)
                stand = tf.where_v2(sane, self._synthesized, stand)
                updates = [*updates, tf.scatter_update(self._chains, self._index, stand)]
        if target is not None:
            relative = step_size / self._widening
            adapted = samplers.adapted_step_size(relative, chains.acceptance_rate, target)
            # Chains of a model that learns run downhill, and accept there what is too much at rest:
            # their steps would grow until they fall behind.
            adapted = tf.minimum(adapted, self.step_size)
            adapted = tf.where_v2(self._adjust, adapted, relative)  # no test, no rate to adapt to
            updates.append(tf.scatter_update(self._step_sizes, self._index, adapted))
        autocorrelation, noted = self._autocorrelation(tf.where_v2(sane, -loss, 0.0))
        updates.append(noted)
        with tf.control_dependencies(updates):
            self._sane = tf.identity(sane)
            self._record = {
                "loss": tf.identity(loss),
                "energy_difference": -loss,
                "energy_difference_autocorrelation": autocorrelation,
                "gradient_magnitude": magnitude,
                "gradient_norm": norm,
                "acceptance_rate": tf.reduce_mean(chains.acceptance_rate),
                "step_size": tf.reduce_mean(step_size),
                "out_of_range": out_of_range,
                "learning_rate": effective_rate,
                "roll_backs": adam.roll_backs.read_value(),
            }

    @staticmethod
    def _autocorrelation(x: tf.Tensor) -> tuple[tf.Tensor, tf.Operation]:
        """Lag-1 autocorrelation of the scalar x over about the last AVERAGED iterations.

        Returns:
            It, and the operation that takes note of x.
        """
        moments = tf.get_variable(
            "energy_difference_moments", initializer=tf.zeros([4]), trainable=False
        )
        mean, variance, covariance, last = tf.unstack(moments)
        rate = 1 / AVERAGED
        new_mean = mean + rate * (x - mean)
        variance += rate * ((x - mean) * (x - new_mean) - variance)
        covariance += rate * ((x - mean) * (last - mean) - covariance)
        noted = moments.assign(tf.stack([new_mean, variance, covariance, x]))
        return covariance / (variance + 1e-12), noted

    def _filter_responses(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """sum_i df(Y_i)/dtheta over images [B, S, S, 3], by layer."""
        total = tf.reduce_sum(self.descriptor(images))
        layers: dict[str, list[tf.Variable]] = {}
        for variable in self._network.variables():
            layers.setdefault(variable.op.name.split("/")[1], []).append(variable)
        return {
            name: tf.concat([tf.reshape(g, [-1]) for g in tf.gradients(total, variables)], 0)
            for name, variables in layers.items()
        }

    @property
    def num_parameters(self) -> int:
        """Numbers that are learned."""
        with self.session.graph.as_default():
            variables = self._network.variables()
        return sum(v.shape.num_elements() for v in variables)

    def train(self, images: np.ndarray, starts: np.ndarray, num_epochs: int) -> Iterator[Record]:
        """Learn until `num_epochs` epochs are done in all, yielding a record an iteration.

        theta <- theta + gamma [(1/n) sum_i df(Y_i)/dtheta - (1/m) sum_i df(Y~_i)/dtheta], with
        Adam; the chains Y~ start from `starts`, at every iteration ("short_run") or once
        ("convergent").

        An iteration that leaves a sane region (see MAX_OUT_OF_RANGE and MAX_DRIFT, and nothing
        may be NaN) does not count: the weights go back to the last good state, the learning rate
        is halved (it recovers over the next iterations), and the iteration is done again.

        Args:
            images: observed, [N, S, S, 3] in [0, 255].
            starts: where the chain of each image starts, likewise.
            num_epochs: when to stop; counted from the first iteration ever.

        Yields:
            iteration; loss = mean f(Y~) - mean f(Y); energy_difference, its negative d(t), and
            the running lag-1 autocorrelation of that: below 0 where learning and sampling keep
            each other in balance;
            gradient_magnitude v(t), the mean |d log p / dY| along the chains; gradient_norm, of
            the learning gradient; acceptance_rate and step_size of the chains; out_of_range, the
            share of synthesized pixels outside [0, 255]; learning_rate; roll_backs so far.

        Raises:
            DivergenceError: going back again and again does not help.
        """
        total = num_epochs * batches_per_epoch(len(images), self.batch_size)
        first = int(self.session.run(self._iteration))
        if self.learning == "convergent" and first == 0:
            every = np.arange(self.num_chains)
            self.session.run(self._begin, {self._index: every, self._starts: starts[every]})
        for iteration, index, batch in batches(images, self.batch_size, self.seed, first, total):
            left = 1 - iteration / total
            fall = left / self.decay if self.decay else 1.0
            rate = self.learning_rate * min(1.0, (iteration + 1) / WARM_UP_STEPS, fall)
            feed = {
                **{self._observed: batch, self._rate: rate},
                self._widening: self._noise_factor(iteration / total),
            }
            if self.learning == "short_run":
                feed |= {self._index: index, self._starts: starts[index]}
            else:
                feed[self._index] = batch_indices(
                    iteration, self.num_chains, self.batch_size, self.seed
                )
                # Of a landscape that still forms, the test would see every roughness.
                feed[self._adjust] = iteration >= ANNEALED * total
            yield {"iteration": iteration + 1, **self._iterate(feed, iteration)}

    def _iterate(self, feed: dict, iteration: int) -> Record:
        """Do an iteration, again and again from the last good state until it is sane."""
        for _ in range(MAX_ROLL_BACKS + 1):
            sane, record = self.session.run([self._sane, self._record], feed)
            if sane:
                return {k: float(v) for k, v in record.items()}
        raise DivergenceError(
            f"learning diverges at iteration {iteration + 1} however small its steps:"
            " choose a smaller --delta or --learning_rate."
        )

    def _noise_factor(self, progress: float) -> float:
        """The noise on the observed images over data_noise, when `progress` of the run is done."""
        if not self.data_noise:
            return 1.0
        left = max(0.0, 1 - progress / ANNEALED)
        return (self.data_noise_start / self.data_noise) ** left

    # What users call: numpy in, numpy out

    def run_chains(self, starts: np.ndarray, num_steps: int, first_step: int = 0) -> np.ndarray:
        """The ends of chains of `num_steps` steps from `starts` [n, S, S, 3], both in [0, 255].

        Chain i takes the step size that chain i (modulo their number) has adapted to in learning,
        held fixed.  Images are unclipped.

        Args:
            starts: where the chains stand.
            num_steps: how far they go; 0 returns the starts.
            first_step: number of the first step, for chains that go on.
        """
        parts = []
        for i in range(0, len(starts), GROUP):
            part = starts[i : i + GROUP]
            feed = {
                self._starts: part,
                self._index: np.arange(i, i + len(part)) % self.num_chains,
                self._num_steps: num_steps,
                self._first_step: first_step,
                self._group: i // GROUP,
            }
            parts.append(self.session.run(self._synthesized, feed))
        return np.concatenate(parts)

    def synthesize(self, starts: np.ndarray) -> np.ndarray:
        """What the model synthesizes from `starts` [n, S, S, 3]: images [n, S, S, 3], unclipped.

        The ends of chains of l steps ("short_run"), or the chains that started there when learning
        began, as they stand ("convergent").
        """
        if self.learning == "convergent":
            return self.session.run(self._stand, {self._index: np.arange(len(starts))})
        return self.run_chains(starts, self.num_steps)

    def film(self, starts: np.ndarray, steps: Sequence[int]) -> np.ndarray:
        """Chains from `starts` [n, S, S, 3] after each of `steps`, an ascending list of F numbers.

        Returns:
            [F, n, S, S, 3] in [0, 255], unclipped.
        """
        frames, frame, done = [], starts, 0
        for step in steps:
            frame = self.run_chains(frame, step - done, done)
            frames.append(frame)
            done = step
        return np.stack(frames)

    def energies(self, images: np.ndarray) -> np.ndarray:
        """-log p(Y) [n] of images [n, S, S, 3] in [0, 255], up to the constant log Z, in nats."""
        parts = [
            self.session.run(self._log_prob, {self._starts: images[i : i + GROUP]})
            for i in range(0, len(images), GROUP)
        ]
        return -np.concatenate(parts)

    def filter_responses(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """(1/n) sum_i df(Y_i)/dtheta over images [n, S, S, 3] in [0, 255], by layer, flattened.

        Learning moves along the difference between that of the observed images and that of the
        synthesized ones.  For the last layer it is the mean of what its weight multiplies.
        """
        sums: dict[str, np.ndarray] = {}
        for i in range(0, len(images), GROUP):
            for name, values in self.session.run(
                self._responses, {self._starts: images[i : i + GROUP]}
            ).items():
                sums[name] = sums.get(name, 0) + values.astype(np.float64)
        return {name: values / len(images) for name, values in sums.items()}
