"""Generator network learned by alternating back-propagation (Han et al., AAAI 2017).

The model is Y = f(Z; W) + eps, Z ~ N(0, I_d), eps ~ N(0, sigma^2 I): images Y, a top-down ConvNet
f, and a latent vector Z for each image.  Learning alternates between inferring every Z by sampling
from its posterior, and a gradient step on W that makes the images more likely given their Z.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial

import numpy as np

import latents
from common import guard, samplers, session, streams
from common.export import Signature
from common.layers import Network, forward_jacobian, reduce_sum
from common.model import Model, Record
from common.run_folder import Learned
from common.session import tf
from common.shards import Shard
from common.streams import Stream
from generator_guard import GeneratorGuard, send_back
from generator_learning import flat, infer, learn, record
from generator_network import top_down
from generator_settings import SAMPLERS, Settings
from inference import Inputs, Posterior
from shared_metric import SharedMetric
from transport import Transport

__all__ = ["SAMPLERS", "GenNet", "Settings", "load"]

JITTER = 0.2  # of the steps of HMC: z has few dimensions


class GenNet(Model):
    """The model, its inference and its learning.  Images are [N, S, S, 3] in [0, 255] outside.

    Inside, and only inside, images are in [-1, 1], as the tanh of the network.
    """

    settings: Settings
    settings_class = Settings
    chains: tf.Variable  # z of the training images, [N, d] (or of those of the shard)
    chain_steps: tf.Variable  # step sizes of the chains, likewise, [N]
    transport: Transport | None  # of draws of the prior to the images
    metric: SharedMetric | None  # of the chains, where each has none of its own

    def __init__(
        self,
        settings: Settings,
        num_images: int,
        visible: np.ndarray | None = None,
        num_cores: int | None = None,
        shard: Shard | None = None,
    ) -> None:
        """Describe the model; `build_model` builds it.

        Args:
            settings: see `generator_settings`; what they leave open is resolved here.
            num_images: N, how many training images there are; each has a chain of its own.
            visible: which pixels of each training image are seen, [N, S, S, 1]; by default all.
            num_cores: of the processor that computes, 0 for a GPU; by default those of the device.
            shard: which of the images this worker learns, where there are several; default: all.

        Raises:
            SettingsError: the settings do not go together.
            DeviceError: a device or a precision that is not there.
        """
        self.settings = settings.resolved(num_images)
        self.num_images = num_images
        self.shard = shard or Shard((num_images,))
        self.visible = None if visible is None else visible[self.shard.own]
        cores = session.num_cores(self.settings.device) if num_cores is None else num_cores
        layers = partial(top_down, settings=self.settings, on_gpu=cores == 0)
        self._network = Network("generator", layers, self.settings.seed)

    @classmethod
    def remade(cls, learned: Learned) -> GenNet:
        """The model of a run, from what its folder holds."""
        visible, side = None, learned.settings.image_size
        if "visible" in learned.constants:
            visible = learned.constant("visible", (len(learned.names), side, side, 1))
        return cls(learned.settings, len(learned.names), visible)

    # Network

    def generator(self, z: tf.Tensor) -> tf.Tensor:
        """f(z; W): [B, d] -> images [B, S, S, 3] in [-1, 1]."""
        return tf.nn.tanh(self._network(z))

    @property
    def networks(self) -> list[Network]:
        """The generator."""
        return [self._network]

    # Log density

    def squared_error(
        self, z: tf.Tensor, images: tf.Tensor, visible: tf.Tensor | None = None
    ) -> tf.Tensor:
        """||Y - f(Z)||^2, a sum over the visible pixels and all channels, one number an image.

        Args:
            z: [B, d].
            images: [B, S, S, 3] in [-1, 1].
            visible: [B, S, S, 1], 1 where a pixel is seen and 0 where it is hidden; by default all
                are seen.

        Returns:
            [B].
        """
        residual = images - self.generator(z)
        if visible is not None:
            residual *= visible
        return reduce_sum(tf.square(residual), [1, 2, 3])

    def log_prob(
        self,
        z: tf.Tensor,
        images: tf.Tensor,
        sigma: tf.Tensor | float,
        visible: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Log p(Y, Z) = -||Y - f(Z)||^2 / (2 sigma^2) - ||Z||^2 / 2, up to a constant.

        A sum over pixels and channels, one number for each image: an average would divide the
        likelihood by what it averages over, and turn inference off.  Hidden pixels are integrated
        out, which leaves the sum over the visible ones.

        Args:
            z: [B, d].
            images: [B, S, S, 3] in [-1, 1].
            sigma: standard deviation of the noise.
            visible: [B, S, S, 1], as for `squared_error`.

        Returns:
            [B].
        """
        return self._log_joint(self.squared_error(z, images, visible), z, sigma)

    @staticmethod
    def _log_joint(error: tf.Tensor, z: tf.Tensor, sigma: tf.Tensor | float) -> tf.Tensor:
        """Log p(Y, Z) [B] of the squared errors [B] and z [B, d], as for `log_prob`."""
        return -error / (2 * sigma**2) - reduce_sum(tf.square(z), [1]) / 2

    def jacobian(self, z: tf.Tensor, visible: tf.Tensor | None = None) -> tf.Tensor:
        """J = df/dz of the visible outputs, [B, d, D].

        Args:
            z: [B, d].
            visible: [B, S, S, 1], as for `squared_error`.
        """
        return forward_jacobian(lambda z: flat(self.generator(z), visible), z)

    def gauss_newton_metric(self, jacobian: tf.Tensor, sigma: tf.Tensor | float) -> tf.Tensor:
        """G = I + J^T J / sigma^2, [B, d, d], for J [B, d, D]."""
        product = tf.matmul(jacobian, jacobian, transpose_b=True)
        return tf.constant(np.eye(self.settings.z_dim), jacobian.dtype) + product / sigma**2

    def log_prob_and_score(
        self,
        z: tf.Tensor,
        images: tf.Tensor,
        sigma: tf.Tensor | float,
        jacobian: tf.Tensor,
        visible: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Log p(Y, Z) [B], and its score [B, d] by a J that is given: one pass forward.

        Args:
            z: [B, d].
            images: [B, S, S, 3] in [-1, 1].
            sigma: standard deviation of the noise.
            jacobian: J [B, d, D], at z or near it.
            visible: [B, S, S, 1], as for `squared_error`.
        """
        residual = flat(images - self.generator(z), visible)  # [B, D]
        log_prob = self._log_joint(tf.reduce_sum(tf.square(residual), 1), z, sigma)
        return log_prob, tf.linalg.matvec(jacobian, residual) / sigma**2 - z

    # Inference

    def langevin_dynamics(
        self,
        z: tf.Tensor,
        images: tf.Tensor,
        sigma: tf.Tensor | float,
        step_size: tf.Tensor | float,
        key: tf.Tensor,
        *,
        visible: tf.Tensor | None = None,
        num_steps: tf.Tensor | int | None = None,
        first_step: tf.Tensor | int = 0,
        keep_path: bool = False,
        reference: tf.Tensor | None = None,
        metric: tf.Tensor | None = None,
    ) -> samplers.Chains:
        """Run the chains of p(Z | Y) on from z.

        The name is the assignment's; the sampler is that of the settings, of which plain Langevin
        dynamics, Z <- Z + (delta^2 / 2) d log p(Y, Z) / dZ + delta U, is one.

        Args:
            z: [B, d], where the chains are.
            images: [B, S, S, 3] in [-1, 1].
            sigma: standard deviation of the noise.
            step_size: delta, scalar or [B].
            key: int32 [2].
            visible: [B, S, S, 1], as for `squared_error`.
            num_steps: length of the chains; by default that of an iteration.
            first_step: number of the first step, for chains that go on.
            keep_path: return every position of the chains too.
            reference: [B, d], where the preconditioned sampler takes its J once for all; by default
                anew at every step.  The law is the same, and a step costs d passes less.
            metric: G [d, d] of all chains, which then take no J (see `shared_metric`).
        """
        if self.settings.sampler == "preconditioned":
            fixed = None if reference is None else self.jacobian(reference, visible)

            def evaluate(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                if metric is not None:
                    log_prob = self.log_prob(z, images, sigma, visible)
                    score = tf.gradients(log_prob, z)[0]
                    return log_prob, score, tf.tile(metric[None], [tf.shape(z)[0], 1, 1])
                jacobian = self.jacobian(z, visible) if fixed is None else fixed
                log_prob, score = self.log_prob_and_score(z, images, sigma, jacobian, visible)
                return log_prob, score, self.gauss_newton_metric(jacobian, sigma)

            sample: Callable = partial(samplers.preconditioned_langevin, evaluate)
        else:
            num_leapfrog = self.settings.num_leapfrog
            plain: dict[str, Callable] = {
                "langevin": samplers.langevin,
                "mala": samplers.mala,
                "hmc": partial(samplers.hmc, num_leapfrog=num_leapfrog, jitter=JITTER),
            }
            sample = partial(
                plain[self.settings.sampler], lambda z: self.log_prob(z, images, sigma, visible)
            )
        steps = self.settings.num_steps if num_steps is None else num_steps
        chains = sample(z, step_size, steps, key, first_step=first_step, keep_path=keep_path)
        return send_back(chains, z) if self.settings.sampler == "langevin" else chains

    # Learning

    @staticmethod
    def reconstruction_loss(error: tf.Tensor, sigma: tf.Tensor | float) -> tf.Tensor:
        """(1/n) sum_i ||Y_i - f(Z_i)||^2 / (2 sigma^2), a scalar.

        With Z held fixed, its gradient in W is that of the mean of -log p(Y, Z), and, over Z from
        the posterior, of -log p(Y) (Han et al., 2017, section 3).

        Args:
            error: [B], see `squared_error`.
            sigma: standard deviation of the noise.
        """
        return tf.reduce_mean(error) / (2 * sigma**2)

    def _build(self) -> None:
        """What a learned generator is used by."""
        self._iteration = tf.train.get_or_create_global_step()
        self.inputs = Inputs.placeholders(self.settings, self.visible is not None)
        self._generated = (self.generator(self.inputs.z) + 1) * 127.5
        self._make_chains()

    def _build_learning(self) -> None:
        """One iteration: infer and reduce the prior, learn, record."""
        inputs, langevin = self.inputs, self.settings.sampler == "langevin"
        self.metric = SharedMetric(self) if self.settings.shares_metric else None
        follow = [self.chains] + ([] if self.metric is None else [self.metric.product])
        self._guard = GeneratorGuard(
            self._network.variables(), follow, self.chain_steps if langevin else None
        )
        images = inputs.images / 127.5 - 1
        self.transport = Transport(self) if self.settings.prior_draws else None
        inference = infer(self, inputs, images)
        learning = learn(self, self._guard, inputs, images, inference.z)
        with tf.control_dependencies(learning.updates):
            self._sane = tf.identity(learning.sane)
            self._record = record(self, inputs, inference, learning)
            self._record["roll_backs"] = self._guard.roll_backs.read_value()

    def _make_chains(self) -> None:
        """The chain of each image, and its step size."""
        n, d, seed = self.num_images, self.settings.z_dim, self.settings.seed
        start = tf.random.stateless_normal([n, d], streams.key(seed, Stream.LATENTS))
        self.chains = self.shard.variable("chains/z", start)
        step_size = tf.fill([n], float(self.settings.step_size or 0))
        self.chain_steps = self.shard.variable("chains/step_size", step_size)

    def train(self, images: np.ndarray, num_epochs: int | None = None) -> Iterator[Record]:
        """Learn until the epochs are done, yielding a record an iteration.

        W <- W + gamma L'(W), L'(W) = (1/n) sum_i (1/sigma^2) (Y_i - f(Z_i)) df(Z_i)/dW, by the
        optimizer of the settings; with --prior_draws, along the gradient of their loss as well
        (see `transport`).

        An iteration that is not sane (see `generator_guard`) does not count: W and Z go back to the
        last good state, the learning rate is halved (it recovers over the next iterations), and the
        iteration is done again.

        Args:
            images: [N, S, S, 3] in [0, 255], always in the same order; or those of the shard.
            num_epochs: when to stop, counted from the first iteration ever; by default that of
                the settings.

        Yields:
            iteration; loss = (1/n) sum_i ||Y_i - f(Z_i)||^2 / (2 sigma^2), at the final sigma;
            psnr, the mean over the images of that of f(Z_i), before the step on W, in dB: neither
            clipped, for f is in range, nor rounded, and of the pixels that are seen;
            prior = (1/n) sum_i ||Z_i||^2 / 2; how the sampler went: acceptance_rate, the mean
            step_size, score_magnitude v(t), the mean |d log p(Y, Z) / dZ| along the chains, and
            energy_difference d(t), the mean gain in log p(Y, Z) from their start to their end;
            gradient_norm, that of what the optimizer is given, ||L'(W)|| without draws, at the
            noise of the iteration; and roll_backs so far.

        Raises:
            DivergenceError: going back again and again does not help.
        """
        self._get_ready_to_learn()
        settings = self.settings
        total = self.shard.iterations(settings, num_epochs)
        first = int(self.session.run(self._iteration))
        if self.transport is not None:
            self.transport.keep(images)
        for iteration, index, batch in self.shard.batches(images, settings, first, total):
            feed = {
                self.inputs.images: batch,
                self.inputs.index: index,
                self.inputs.sigma: settings.noise(iteration),
                self.inputs.learning_rate: settings.rate(iteration / total),
            }
            if self.visible is not None:
                feed[self.inputs.visible] = self.visible[index]
            if self.transport is not None:
                feed[self.transport.rate] = self.transport.share_of_rate(iteration, total)
            yield {"iteration": iteration + 1, **self._repeat(feed, iteration)}

    def _repeat(self, feed: dict, iteration: int) -> Record:
        """Do an iteration, again and again from the last good state until it is sane."""

        def attempt(tried: int) -> tuple[bool, dict]:
            fed = self._guard.feed(iteration, tried)
            return self.session.run([self._sane, self._record], feed | fed)

        return guard.until_sane(
            attempt,
            lambda: (
                f"learning diverges at iteration {iteration + 1} however small its steps: choose a"
                " smaller --g_lr or a larger --sigma, and leave out --resume."
            ),
        )

    # What users call: numpy in, numpy out

    @cached_property
    def posterior(self) -> Posterior:
        """Chains at the learned W; built when it is first asked for, so that learning starts."""
        return Posterior(self)

    def step_sizes(self) -> np.ndarray:
        """Those of new chains of the posteriors, by training image, [N] (or those of the shard).

        Plain Langevin takes none larger than learning has found stable.
        """
        given = np.full(self.shard.count, self.settings.step_size)
        if self.settings.sampler != "langevin":
            return given
        return np.minimum(given, self.session.run(self.chain_steps))

    def latents(self) -> np.ndarray:
        """The inferred z of the training images, [N, d]."""
        return self.session.run(self.chains)

    def generate(self, z: np.ndarray) -> np.ndarray:
        """f(z) for z [n, d]: images [n, S, S, 3] in [0, 255], unclipped float32."""
        parts = [
            self.session.run(self._generated, {self.inputs.z: z[i : i + 64]})
            for i in range(0, len(z), 64)
        ]
        return np.concatenate(parts)

    def reconstruct(self, n: int | None = None) -> np.ndarray:
        """f(Z) for the inferred Z of the first n training images, [n, S, S, 3] in [0, 255]."""
        return self.generate(self.latents()[:n])

    def draw_z(self, n: int) -> np.ndarray:
        """N draws of the prior, z ~ N(0, I): [n, d], the first ones always the same."""
        return latents.draw(n, self.settings.z_dim, self.settings.seed)

    def sample(self, n: int) -> np.ndarray:
        """N images of the model, f(z) with z ~ N(0, I): [n, S, S, 3] in [0, 255]."""
        return self.generate(self.draw_z(n))

    def interpolate(self, n: int = 8, reach: float = 2.0) -> np.ndarray:
        """f(z) on an even n x n grid over (-reach, reach)^2 of the first two z, the others 0.

        Returns:
            [n * n, S, S, 3] in [0, 255]; z_1 grows to the right, z_2 upward.
        """
        return self.generate(latents.plane(self.settings.z_dim, n, reach))

    def signatures(self) -> dict[str, Signature]:
        """For a SavedModel: `generate`."""
        side, d = self.settings.image_size, self.settings.z_dim
        z = tf.placeholder(tf.float32, [None, d], "z")
        about = {
            "z": f"float32 [n, {d}], of the prior N(0, I)",
            "images": f"float32 [n, {side}, {side}, 3], RGB in [0, 255]",
        }
        images = (self.generator(z) + 1) * 127.5
        return {"generate": Signature({"z": z}, {"images": images}, about)}


load = GenNet.load
