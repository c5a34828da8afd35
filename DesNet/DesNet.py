"""Descriptor network learned by Langevin synthesis (Xie et al., ICML 2016).

The model is p(Y; theta) = exp[f(Y; theta)] p0(Y) / Z(theta), p0 = N(0, s^2 I): a bottom-up ConvNet
f that scores an image, and a Gaussian reference.  Learning alternates between synthesizing images
by Langevin dynamics from the current model, and a step on theta that raises f on the observed
images and lowers it on the synthesized ones.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow.compat.v1 as tf

import samplers
from ops import batch_indices, batches_per_epoch, conv2d, dense, leaky_relu

NETWORKS = ("strided", "assignment")

# A sane iteration: beyond either, learning has diverged and goes back.
MAX_OUT_OF_RANGE = 0.5  # share of pixels outside [0, 255]
MAX_SCORE = 1000.0  # mean |d log p / dY| along the chains, in 1 / grey level

WARM_UP_STEPS = 10  # iterations in which the learning rate rises: the first gradients overshoot
CLIP_MEMORY = 20  # iterations whose gradient norms, in geometric mean, are the usual one
RECOVERY_STEPS = 100  # iterations in which the learning rate doubles after it was halved
SNAPSHOT_STEPS = 25  # iterations from one good state that is kept to the next
MAX_ROLL_BACKS = 20  # in a row, without one good iteration between them

Record = dict[str, float]


class DivergenceError(Exception):
    """Learning that diverges however small its steps; the message is a sentence for the user."""


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
        image_size: int = 64,
        batch_size: int = 7,
        network: str = "strided",
        ref_sigma: float = 50.0,
        step_size: float = 0.3,
        num_steps: int = 30,
        mode_penalty: float = 1.0,
        learning_rate: float = 0.04,
        beta1: float = 0.5,
        beta2: float = 0.999,
        decay: float = 0.7,
        weight_decay: float = 0.004,
        seed: int = 0,
    ) -> None:
        """Describe the model; `build_model` builds it.

        Args:
            mean_colour: [3], of the training set, in [0, 255].
            image_size: S, a multiple of 8.
            batch_size: images in an iteration.
            network: one of NETWORKS.
            ref_sigma: s, standard deviation of the reference, in grey levels.
            step_size: delta of Langevin dynamics, in grey levels.
            num_steps: l, steps of a chain.
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

        Raises:
            ValueError: a value is out of its range.
        """
        if image_size < 8 or image_size % 8:
            raise ValueError(f"image_size is a multiple of 8, not {image_size}")
        if network not in NETWORKS:
            raise ValueError(f"network is one of {', '.join(NETWORKS)}, not {network}")
        self.mean_colour = np.asarray(mean_colour, np.float32)
        self.image_size = image_size
        self.batch_size = batch_size
        self.network = network
        self.ref_sigma = ref_sigma
        self.step_size = step_size
        self.num_steps = num_steps
        self.mode_penalty = mode_penalty
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.decay = decay
        self.weight_decay = weight_decay
        self.seed = seed
        layers = {"strided": self._strided, "assignment": self._assignment}[network]
        # The template makes the variables at its first call and shares them ever after.
        self._network = tf.make_template("descriptor", layers)

    # Network

    def descriptor(self, images: tf.Tensor) -> tf.Tensor:
        """f(Y; theta): images [B, S, S, 3] less the mean colour -> one score each, [B].

        No normalisation: batch statistics would couple the chains of a batch.
        """
        return self._network(tf.ensure_shape(images, [None, *[self.image_size] * 2, 3]))

    def _strided(self, x: tf.Tensor) -> tf.Tensor:
        # The layers are homogeneous but for their biases: dividing the images by a scale and
        # multiplying the score by it changes nothing but how fast the biases learn.  They must
        # keep up, for they alone tell apart flat images of nearly the mean colour.
        scale = 30.0
        x = leaky_relu(conv2d(x / scale, 32, 5, 2, "conv_1", stddev=0.01))  # [B, 32, 32, 32]
        x = leaky_relu(conv2d(x, 64, 5, 2, "conv_2", stddev=0.01))  # [B, 16, 16, 64]
        x = leaky_relu(conv2d(x, 128, 5, 2, "conv_3", stddev=0.01))  # [B, 8, 8, 128]
        return scale * dense(x, 1, "score", stddev=0.01)[:, 0]  # [B]

    def _assignment(self, x: tf.Tensor) -> tf.Tensor:
        x = leaky_relu(conv2d(x, 64, 4, 2, "conv_1", stddev=0.01))  # [B, 32, 32, 64]
        x = leaky_relu(conv2d(x, 128, 2, 1, "conv_2", stddev=0.01))  # [B, 32, 32, 128]
        return dense(x, 1, "score", stddev=0.01)[:, 0]  # [B]

    # Log density

    def log_prob(self, images: tf.Tensor) -> tf.Tensor:
        """Log p(Y) = f(Y) - ||Y||^2 / (2 s^2), up to a constant: one number for each image.

        Args:
            images: [B, S, S, 3] in grey levels less the mean colour.

        Returns:
            [B].
        """
        reference = tf.reduce_sum(tf.square(images), [1, 2, 3]) / (2 * self.ref_sigma**2)
        return self.descriptor(images) - reference

    # Sampling

    def langevin_dynamics(
        self,
        images: tf.Tensor,
        key: tf.Tensor,
        num_steps: tf.Tensor | int | None = None,
        first_step: tf.Tensor | int = 0,
    ) -> samplers.Chains:
        """Chains of Y <- Y + (delta^2 / 2) d log p(Y) / dY + delta U from the given images.

        Args:
            images: [B, S, S, 3] in grey levels less the mean colour.
            key: int32 [2].
            num_steps: length, by default l.
            first_step: number of the first step, for chains that go on.
        """
        steps = self.num_steps if num_steps is None else num_steps
        return samplers.langevin(self.log_prob, images, self.step_size, steps, key, first_step)

    # Learning

    def build_model(self, config: tf.ConfigProto | None = None) -> None:
        """Build the graph, initialise the variables and open the session.

        Args:
            config: of the session.
        """
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(self.seed)
            self._build_iteration()
            self.saver = tf.train.Saver(max_to_keep=2, save_relative_paths=True)
            self.session = tf.Session(graph=graph, config=config)
            self.session.run(tf.global_variables_initializer())
            graph.finalize()

    def _build_iteration(self) -> None:
        """One iteration of synthesis and learning is one `session.run` of what this builds."""
        side = self.image_size
        self._iteration = tf.train.get_or_create_global_step()
        self._observed = tf.placeholder(tf.float32, [None, side, side, 3], "observed")
        self._starts = tf.placeholder(tf.float32, [None, side, side, 3], "starts")
        self._rate = tf.placeholder(tf.float32, [], "learning_rate")
        self._first_step = tf.placeholder_with_default(0, [], "first_step")
        self._num_steps = tf.placeholder_with_default(self.num_steps, [], "num_steps")
        # Divergence halves the learning rate, which then recovers slowly.
        self._rate_factor = tf.get_variable(
            "learning_rate_factor", initializer=1.0, trainable=False
        )
        self._log_norm = tf.get_variable("log_gradient_norm", initializer=0.0, trainable=False)
        self._roll_backs = tf.get_variable("roll_backs", initializer=0.0, trainable=False)

        observed = self._observed - self.mean_colour
        key = tf.stack([self.seed, tf.cast(self._iteration, tf.int32) + 1])
        chains = self.langevin_dynamics(
            self._starts - self.mean_colour, key, self._num_steps, self._first_step
        )
        synthesized = chains.position
        self._synthesized = synthesized + self.mean_colour

        # The gradient of this loss is that of the negative log likelihood, the model's expectation
        # replaced by the mean over the synthesized images, which are held fixed.
        score_observed = tf.reduce_mean(self.descriptor(observed))
        score_synthesized = tf.reduce_mean(self.descriptor(synthesized))
        loss = score_synthesized - score_observed
        # What one Langevin step from an observed image would gain, to first order.  Held small,
        # it makes the observed images modes, where chains come to rest instead of overshooting.
        slope = tf.gradients(self.log_prob(observed), observed)[0]
        gain = self.step_size**2 / 2 * tf.reduce_mean(tf.reduce_sum(tf.square(slope), [1, 2, 3]))
        objective = loss + self.mode_penalty * gain
        magnitude = tf.reduce_mean(chains.score_magnitude)
        outside = tf.logical_or(self._synthesized < 0, self._synthesized > 255)
        out_of_range = tf.reduce_mean(tf.cast(outside, tf.float32))

        sane = tf.reduce_all(
            [
                tf.math.is_finite(objective),
                out_of_range < MAX_OUT_OF_RANGE,
                magnitude < MAX_SCORE,
            ]
        )
        rate = self._rate * self._rate_factor
        sane, updates = self._update(objective, rate, sane)
        with tf.control_dependencies(updates):
            self._sane = tf.identity(sane)
            self._record = {
                "loss": tf.identity(loss),
                "energy_difference": -loss,
                "gradient_magnitude": magnitude,
                "out_of_range": out_of_range,
                "learning_rate": rate,
                "roll_backs": self._roll_backs.read_value(),
            }

    def _update(
        self, objective: tf.Tensor, rate: tf.Tensor, sane: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Operation]]:
        """A step of Adam with decoupled weight decay, or back to the last good weights.

        Returns:
            Whether the iteration was sane, its gradients included; and the operations that update
            all variables accordingly.
        """
        variables = tf.trainable_variables("descriptor/")
        adam = tf.train.AdamOptimizer(rate, self.beta1, self.beta2)
        gradients, _ = zip(*adam.compute_gradients(objective, variables), strict=True)
        norm = tf.linalg.global_norm(gradients)
        sane = tf.logical_and(sane, tf.math.is_finite(norm))
        # When all chains overshoot at once the gradient is many times its usual size.  Cut to that
        # size, it neither throws the weights back as far, nor fills Adam's long memory.
        log_norm = tf.where_v2(sane, tf.math.log(norm + 1e-12), 0.0)
        usual = tf.where_v2(
            self._iteration < WARM_UP_STEPS,  # until then it grows by orders of magnitude
            log_norm,
            self._log_norm + (log_norm - self._log_norm) / CLIP_MEMORY,
        )
        clip = tf.minimum(1.0, tf.exp(usual - log_norm))
        # A snapshot is of weights that have just synthesized sane images, before they change.
        take = tf.logical_and(sane, tf.equal(self._iteration % SNAPSHOT_STEPS, 0))
        with tf.variable_scope("snapshot"):
            snapshots = [
                tf.get_variable(v.op.name, initializer=v.initial_value, trainable=False)
                for v in variables
            ]
        with tf.control_dependencies([take]):
            taken = [
                snapshot.assign(tf.where_v2(take, v, snapshot))
                for v, snapshot in zip(variables, snapshots, strict=True)
            ]
        with tf.control_dependencies(taken):
            # Adam's moments see no insane gradient.
            gated = [tf.where_v2(sane, clip * g, tf.zeros_like(g)) for g in gradients]
            step = adam.apply_gradients(zip(gated, variables, strict=True))
        shrink = 1 - self.weight_decay * rate / self.learning_rate
        with tf.control_dependencies([step]):
            settled = [
                v.assign(tf.where_v2(sane, shrink * v, snapshot))
                for v, snapshot in zip(variables, snapshots, strict=True)
            ]
        recovered = tf.minimum(1.0, self._rate_factor * 2 ** (1 / RECOVERY_STEPS))
        with tf.control_dependencies(settled):
            counted = [
                self._iteration.assign_add(tf.cast(sane, tf.int64)),
                self._rate_factor.assign(tf.where_v2(sane, recovered, self._rate_factor / 2)),
                self._roll_backs.assign_add(1 - tf.cast(sane, tf.float32)),
                self._log_norm.assign(tf.where_v2(sane, usual, self._log_norm)),
            ]
        return sane, counted

    @property
    def num_parameters(self) -> int:
        """Numbers that are learned."""
        with self.session.graph.as_default():
            variables = tf.trainable_variables("descriptor/")
        return sum(v.shape.num_elements() for v in variables)

    def train(self, images: np.ndarray, starts: np.ndarray, num_epochs: int) -> Iterator[Record]:
        """Learn until `num_epochs` epochs are done in all, yielding a record an iteration.

        theta <- theta + gamma [(1/n) sum_i df(Y_i)/dtheta - (1/m) sum_i df(Y~_i)/dtheta], with
        Adam; the chains Y~ start anew from `starts` at every iteration.

        An iteration that leaves a sane region (see MAX_OUT_OF_RANGE and MAX_SCORE, and nothing
        may be NaN) does not count: the weights go back to the last good state, the learning rate
        is halved (it recovers over the next iterations), and the iteration is done again.

        Args:
            images: observed, [N, S, S, 3] in [0, 255].
            starts: where the chain of each image starts, likewise.
            num_epochs: when to stop; counted from the first iteration ever.

        Yields:
            iteration; loss = mean f(Y~) - mean f(Y), and energy_difference, its negative d(t);
            gradient_magnitude v(t), the mean |d log p / dY| along the chains; out_of_range, the
            share of synthesized pixels outside [0, 255]; learning_rate; roll_backs so far.

        Raises:
            DivergenceError: going back again and again does not help.
        """
        total = num_epochs * batches_per_epoch(len(images), self.batch_size)
        iteration, failures = int(self.session.run(self._iteration)), 0
        while iteration < total:
            index = batch_indices(iteration, len(images), self.batch_size, self.seed)
            left = 1 - iteration / total
            fall = left / self.decay if self.decay else 1.0
            rate = self.learning_rate * min(1.0, (iteration + 1) / WARM_UP_STEPS, fall)
            sane, record = self.session.run(
                [self._sane, self._record],
                {
                    self._observed: images[index],
                    self._starts: starts[index],
                    self._rate: rate,
                },
            )
            if not sane:
                failures += 1
                if failures > MAX_ROLL_BACKS:
                    raise DivergenceError(
                        f"learning diverges at iteration {iteration + 1} however small its steps:"
                        " choose a smaller --delta or --learning_rate."
                    )
                continue
            failures = 0
            iteration += 1
            yield {"iteration": iteration, **{k: float(v) for k, v in record.items()}}

    # What users call: numpy in, numpy out

    def synthesize(self, starts: np.ndarray) -> np.ndarray:
        """The ends of Langevin chains from `starts` [N, S, S, 3], both in [0, 255], unclipped."""
        parts = []
        for batch, i in enumerate(range(0, len(starts), self.batch_size)):
            feed = {
                self._starts: starts[i : i + self.batch_size],
                self._first_step: batch * self.num_steps,  # noise of its own for every batch
            }
            parts.append(self.session.run(self._synthesized, feed))
        return np.concatenate(parts)

    def film(self, starts: np.ndarray) -> np.ndarray:
        """Chains from `starts` [n, S, S, 3] after 0, 1, ... l steps: [l + 1, n, S, S, 3].

        They are the first n chains of `synthesize`, for n of at most a batch.
        """
        frames = [starts]
        for step in range(self.num_steps):
            frames.append(
                self.session.run(
                    self._synthesized,
                    {self._starts: frames[-1], self._first_step: step, self._num_steps: 1},
                )
            )
        return np.stack(frames)
