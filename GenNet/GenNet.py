"""Generator network learned by alternating back-propagation (Han et al., AAAI 2017).

The model is Y = f(Z; W) + eps, Z ~ N(0, I_d), eps ~ N(0, sigma^2 I): images Y, a top-down ConvNet
f, and a latent vector Z for each image.  Learning alternates between inferring every Z by sampling
from its posterior, and a gradient step on W that makes the images more likely given their Z.
"""

import math
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

import samplers
from ops import Network, batches, batches_per_epoch, conv2d_transpose, dense, leaky_relu

# Steps of inference in an iteration and their size, for each sampler.  Langevin is stable only for
# delta^2 < 4 / lambda, lambda the largest eigenvalue of I + J^T J / sigma^2, J = df/dz: about 0.02
# for a trained generator.  MALA and HMC start there and adapt.  In the metric G the step has no
# scale: 1 fits every network and sigma.
SAMPLERS = {
    "preconditioned": {"step_size": 1.0, "num_steps": 3},
    "langevin": {"step_size": 0.02, "num_steps": 30},
    "mala": {"step_size": 0.02, "num_steps": 30},
    "hmc": {"step_size": 0.02, "num_steps": 3},
}

JITTER = 0.2  # of the steps of HMC: z has few dimensions

Record = dict[str, float]


class Drawing(NamedTuple):
    """Chains at the learned W whose every position is kept."""

    inputs: dict[str, tf.Tensor]  # what is fed besides images, z and sigma
    drawn: tuple[tf.Tensor, tf.Tensor]  # the path [l, B, d] and the acceptance rates [B]


class GenNet:
    """The model, its inference and its learning.  Images are [N, S, S, 3] in [0, 255] outside.

    Inside, and only inside, images are in [-1, 1], as the tanh of the network.

    Attributes:
        session: the session that holds the variables.
        saver: saves and restores all of them.
    """

    def __init__(
        self,
        num_images: int,
        image_size: int = 64,
        z_dim: int = 2,
        batch_size: int = 11,
        sigma: float = 0.3,
        sigma_start: float = 2.0,
        sigma_steps: int = 60,
        sampler: str = "preconditioned",
        step_size: float | None = None,
        num_steps: int | None = None,
        num_leapfrog: int = 10,
        parameter_expansion: bool = True,
        g_lr: float = 0.001,
        beta1: float = 0.5,
        decay: float = 0.5,
        width: int = 64,
        seed: int = 0,
        smooth: bool = False,
        visible: np.ndarray | None = None,
        precision: str = "float32",
    ) -> None:
        """Describe the model; `build_model` builds it.

        Args:
            num_images: N, how many training images there are; each has a chain of its own.
            image_size: S, a multiple of 16.
            z_dim: d.
            batch_size: images in an iteration, at most N.
            sigma: standard deviation of the noise on images in [-1, 1].
            sigma_start: the noise at the first iteration; it shrinks geometrically to sigma.  A
                large one leaves the posteriors wide while the network is still random, so that
                the chains find their order in the plane before details pin them down.
            sigma_steps: iterations that the shrinking takes.
            sampler: a key of SAMPLERS.
            step_size: delta of the sampler; by default that of SAMPLERS.
            num_steps: l, steps of inference in an iteration; by default those of SAMPLERS.
            num_leapfrog: gradient evaluations in a step of HMC.
            parameter_expansion: reduce the prior to N(0, I) after every inference.
            g_lr: learning rate of Adam.
            beta1: decay of Adam's first moment.
            decay: share of the run, at its end, in which the learning rate falls to 0.
            width: channels of the last hidden layer; each layer above has twice as many.
            seed: of every random number.
            smooth: smooth the kernels of the network.  One with free kernels learns the visible
                pixels of a few images by heart and leaves noise at the hidden ones.
            visible: which pixels of each training image are seen, [N, S, S, 1]; by default all.
            precision: of the network while the chains of learning run, "float32" or "bfloat16".
                Their positions and log densities, the learning step, and all that `run_chains`
                draws are float32.

        Raises:
            ValueError: a value is out of its range.
        """
        if image_size < 16 or image_size % 16:
            raise ValueError(f"image_size is a multiple of 16, not {image_size}")
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler is one of {', '.join(SAMPLERS)}, not {sampler}")
        self.num_images = num_images
        self.image_size = image_size
        self.z_dim = z_dim
        self.batch_size = min(batch_size, num_images)
        self.sigma = sigma
        self.sigma_start = max(sigma_start, sigma)
        self.sigma_steps = sigma_steps
        self.sampler = sampler
        self.step_size = step_size or SAMPLERS[sampler]["step_size"]
        self.num_steps = num_steps or int(SAMPLERS[sampler]["num_steps"])
        self.num_leapfrog = num_leapfrog
        self.parameter_expansion = parameter_expansion
        self.g_lr = g_lr
        self.beta1 = beta1
        self.decay = decay
        self.width = width
        self.seed = seed
        self.smooth = smooth
        self.visible = visible
        self.precision = precision
        self._network = Network("generator", self._layers)

    # Network

    def generator(self, z: tf.Tensor) -> tf.Tensor:
        """f(z; W): [B, d] -> images [B, S, S, 3] in [-1, 1]."""
        return tf.nn.tanh(self._network(z))

    def _layers(self, z: tf.Tensor) -> tf.Tensor:
        z = tf.ensure_shape(z, [None, self.z_dim])
        base, width = self.image_size // 16, self.width
        # He initialisation; a stride-2 transposed convolution adds up a quarter of its kernel.
        # Random biases spread the kinks of the rectifiers over the plane of z.  With biases of 0
        # all of them meet in one point, and the images around it are torn.
        stddev = math.sqrt(2 / self.z_dim)
        x = dense(z, base * base * 8 * width, "project", stddev, bias_stddev=0.3 * stddev)
        x = tf.reshape(leaky_relu(x), [-1, base, base, 8 * width])  # [B, 4, 4, 512]
        taps = 9 if self.smooth else 25  # free numbers in a kernel
        for channels in (4 * width, 2 * width, width):  # [B, 8, 8, 256] ... [B, 32, 32, 64]
            stddev = math.sqrt(2 / (taps / 4 * x.shape[3]))
            name = f"deconv_{channels}"
            x = leaky_relu(conv2d_transpose(x, channels, 5, 2, name, stddev, self.smooth))
        stddev = math.sqrt(2 / (taps / 4 * width))
        return conv2d_transpose(x, 3, 5, 2, "image", stddev, self.smooth)  # [B, 64, 64, 3]

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
        return tf.reduce_sum(tf.square(residual), [1, 2, 3])

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
        return -error / (2 * sigma**2) - tf.reduce_sum(tf.square(z), 1) / 2

    def jacobian(self, z: tf.Tensor, visible: tf.Tensor | None = None) -> tf.Tensor:
        """J = df/dz of the visible outputs, [B, d, D].

        In forward mode: J v is the derivative in u of u -> J^T u, which tf.gradients gives.  For a
        small d that is far cheaper than a pass backward for each of the D outputs.

        Args:
            z: [B, d].
            visible: [B, S, S, 1], as for `squared_error`.
        """
        outputs = tf.reshape(self.generator(z), [-1, self.image_size**2 * 3])
        outputs = self._masked(outputs, visible)  # [B, D]
        u = tf.zeros_like(outputs)
        (pulled,) = tf.gradients(outputs, z, u)  # J^T u
        units = [tf.ones_like(z) * unit for unit in np.eye(self.z_dim, dtype=np.float32)]
        return tf.stack([tf.gradients(pulled, u, unit)[0] for unit in units], 1)

    def _masked(self, values: tf.Tensor, visible: tf.Tensor | None) -> tf.Tensor:
        """Values [B, D] of pixels and channels, 0 where they are hidden."""
        if visible is None:
            return values
        seen = tf.tile(visible, [1, 1, 1, 3])  # [B, S, S, 3]
        return values * tf.reshape(seen, [-1, self.image_size**2 * 3])

    def gauss_newton_metric(self, jacobian: tf.Tensor, sigma: tf.Tensor | float) -> tf.Tensor:
        """G = I + J^T J / sigma^2, [B, d, d], for J [B, d, D]."""
        product = tf.matmul(jacobian, jacobian, transpose_b=True)
        return tf.eye(self.z_dim, dtype=jacobian.dtype) + product / sigma**2

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
        residual = tf.reshape(images - self.generator(z), [-1, self.image_size**2 * 3])
        residual = self._masked(residual, visible)  # [B, D]
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
        visible: tf.Tensor | None = None,
        num_steps: tf.Tensor | int | None = None,
        first_step: tf.Tensor | int = 0,
        keep_path: bool = False,
        reference: tf.Tensor | None = None,
    ) -> samplers.Chains:
        """Run the chains of p(Z | Y) on from z by the chosen sampler.

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
        """
        steps = self.num_steps if num_steps is None else num_steps
        rest = (z, step_size, steps, key, first_step, keep_path)
        if self.sampler == "preconditioned":
            fixed = None if reference is None else self.jacobian(reference, visible)

            def evaluate(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                jacobian = self.jacobian(z, visible) if fixed is None else fixed
                log_prob, score = self.log_prob_and_score(z, images, sigma, jacobian, visible)
                return log_prob, score, self.gauss_newton_metric(jacobian, sigma)

            return samplers.preconditioned_langevin(evaluate, *rest)
        sample: dict[str, Callable] = {
            "langevin": samplers.langevin,
            "mala": samplers.mala,
            "hmc": partial(samplers.hmc, num_leapfrog=self.num_leapfrog, jitter=JITTER),
        }
        return sample[self.sampler](lambda z: self.log_prob(z, images, sigma, visible), *rest)

    def _reduce_prior(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Operation]:
        """Parameter-expanded EM (Liu, Rubin and Wu, 1998): z [N, d] moved to a N(0, I) gauge.

        f does not change under z -> L z + m if its first, affine layer absorbs the inverse.  With
        the prior expanded to N(m, S), its M-step is m and S = L L^T of the inferred z; reducing it
        to N(0, I) again leaves every f(z) as it was, and the prior term better.  S is shrunk
        towards I with the weight of d images, so that few images in many dimensions have one.
        """
        variables = {v.op.name: v for v in self._network.variables()}
        weight, bias = (variables[f"generator/project/{n}"] for n in ("weight", "bias"))
        mean = tf.reduce_mean(z, 0)  # [d]
        centred = z - mean
        scatter = tf.matmul(centred, centred, transpose_a=True) + self.z_dim * tf.eye(self.z_dim)
        factor = tf.linalg.cholesky(scatter / (self.num_images + self.z_dim))  # L
        reduced = tf.transpose(tf.linalg.triangular_solve(factor, tf.transpose(centred)))
        # z W + b = z' (L^T W) + (m W + b) for z = L z' + m.
        new_bias = bias + tf.linalg.matvec(weight, mean, transpose_a=True)
        new_weight = tf.matmul(factor, weight, transpose_a=True)
        with tf.control_dependencies([new_bias, new_weight]):  # both from the old values
            return reduced, tf.group(weight.assign(new_weight), bias.assign(new_bias))

    # Learning

    def reconstruction_loss(
        self,
        z: tf.Tensor,
        images: tf.Tensor,
        sigma: tf.Tensor | float,
        visible: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """(1/n) sum_i ||Y_i - f(Z_i)||^2 / (2 sigma^2), a scalar.

        With Z held fixed, its gradient in W is that of the mean of -log p(Y, Z), and, over Z from
        the posterior, of -log p(Y) (Han et al., equation 9).

        Args:
            z: [B, d].
            images: [B, S, S, 3] in [-1, 1].
            sigma: standard deviation of the noise.
            visible: [B, S, S, 1], as for `squared_error`.
        """
        return tf.reduce_mean(self.squared_error(z, images, visible)) / (2 * sigma**2)

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

    def _build_iteration(self) -> None:
        """One iteration of inference and learning is one `session.run` of what this builds."""
        side = self.image_size
        self._iteration = tf.train.get_or_create_global_step()
        self._images = tf.placeholder(tf.float32, [None, side, side, 3], "images")
        self._visible = None
        if self.visible is not None:
            self._visible = tf.placeholder(tf.float32, [None, side, side, 1], "visible")
        self._index = tf.placeholder(tf.int32, [None], "index")
        self._sigma = tf.placeholder(tf.float32, [], "sigma")
        self._rate = tf.placeholder(tf.float32, [], "learning_rate")
        self._z = tf.placeholder(tf.float32, [None, self.z_dim], "z")
        self._generated = (self.generator(self._z) + 1) * 127.5

        start = tf.random.stateless_normal([self.num_images, self.z_dim], [self.seed, 1])
        self._chains = tf.get_variable("chains/z", initializer=start, trainable=False)
        self._step_sizes = tf.get_variable(
            "chains/step_size",
            initializer=tf.fill([self.num_images], float(self.step_size)),
            trainable=False,
        )

        images = self._images / 127.5 - 1
        key = tf.stack([self.seed, tf.cast(self._iteration, tf.int32) + 2])
        step_size = tf.gather(self._step_sizes, self._index)
        with self._network.precision(self.precision):
            chains = self.langevin_dynamics(
                tf.gather(self._chains, self._index),
                images,
                self._sigma,
                step_size,
                key,
                self._visible,
            )
        if self.sampler in samplers.TARGET_ACCEPTANCE:
            target = samplers.TARGET_ACCEPTANCE[self.sampler]
            step_size = samplers.adapted_step_size(step_size, chains.acceptance_rate, target)
        z = tf.tensor_scatter_nd_update(self._chains, self._index[:, None], chains.position)
        updates = [
            self._step_sizes.assign(
                tf.tensor_scatter_nd_update(self._step_sizes, self._index[:, None], step_size)
            )
        ]
        if self.parameter_expansion:
            z, reduce = self._reduce_prior(z)
            updates.append(reduce)
        with tf.control_dependencies(updates):
            z = self._chains.assign(z)
        with tf.control_dependencies([z]):
            objective = self.reconstruction_loss(
                tf.gather(z, self._index), images, self._sigma, self._visible
            )
            adam = tf.train.AdamOptimizer(self._rate, self.beta1)
            gradients = adam.compute_gradients(objective, self._network.variables())
            learn = adam.apply_gradients(gradients, self._iteration)
        # The objective holds the likelihood of the inferred Z: moving the prior changes no f(Z).
        prior_term = tf.reduce_sum(tf.square(chains.position), 1) / 2  # [B]
        energy_difference = -objective - tf.reduce_mean(prior_term + chains.first_log_prob)
        with tf.control_dependencies([learn]):
            self._record = {
                "loss": objective * (self._sigma / self.sigma) ** 2,
                "prior": tf.reduce_mean(tf.reduce_sum(tf.square(z), 1)) / 2,
                "acceptance_rate": tf.reduce_mean(chains.acceptance_rate),
                "step_size": tf.reduce_mean(step_size),
                "score_magnitude": tf.reduce_mean(chains.score_magnitude),
                "sigma": self._sigma,
                "learning_rate": self._rate,
                "gradient_norm": tf.linalg.global_norm([gradient for gradient, _ in gradients]),
                "energy_difference": energy_difference,
            }

    @cached_property
    def _drawing(self) -> Drawing:
        """What `run_chains` runs: built when it is first asked for, so that learning starts."""
        with self.session.graph.as_default():
            images = self._images / 127.5 - 1
            inputs = {
                "step_size": tf.placeholder(tf.float32, [None], "step_size"),
                "key": tf.placeholder(tf.int32, [2], "key"),
                "first_step": tf.placeholder(tf.int32, [], "first_step"),
                "num_steps": tf.placeholder(tf.int32, [], "num_steps"),
                "reference": tf.placeholder(tf.float32, [None, self.z_dim], "reference"),
            }
            chains = self.langevin_dynamics(
                self._z, images, self._sigma, visible=self._visible, keep_path=True, **inputs
            )
            return Drawing(inputs, (chains.path, chains.acceptance_rate))

    @cached_property
    def _metric(self) -> tf.Tensor:
        with self.session.graph.as_default():
            return self.gauss_newton_metric(self.jacobian(self._z, self._visible), self._sigma)

    @property
    def num_parameters(self) -> int:
        """Numbers that are learned."""
        with self.session.graph.as_default():
            return sum(v.shape.num_elements() for v in self._network.variables())

    def train(self, images: np.ndarray, num_epochs: int) -> Iterator[Record]:
        """Learn until `num_epochs` epochs are done in all, yielding a record an iteration.

        W <- W + gamma L'(W), L'(W) = (1/n) sum_i (1/sigma^2) (Y_i - f(Z_i)) df(Z_i)/dW, with Adam.

        Args:
            images: [N, S, S, 3] in [0, 255], always in the same order.
            num_epochs: when to stop; counted from the first iteration ever.

        Yields:
            iteration; loss = (1/n) sum_i ||Y_i - f(Z_i)||^2 / (2 sigma^2), at the final sigma;
            prior = (1/n) sum_i ||Z_i||^2 / 2; how the sampler went: acceptance_rate, the mean
            step_size, score_magnitude v(t), the mean |d log p(Y, Z) / dZ| along the chains, and
            energy_difference d(t), the mean gain in log p(Y, Z) from their start to their end;
            and gradient_norm = ||L'(W)||, at the noise of the iteration.
        """
        total = num_epochs * batches_per_epoch(self.num_images, self.batch_size)
        first = int(self.session.run(self._iteration))
        for iteration, index, batch in batches(images, self.batch_size, self.seed, first, total):
            progress = min(1.0, iteration / self.sigma_steps) if self.sigma_steps else 1.0
            sigma = self.sigma_start * (self.sigma / self.sigma_start) ** progress
            left = 1 - iteration / total
            rate = self.g_lr * min(1.0, left / self.decay if self.decay else 1.0)
            feed = {
                self._images: batch,
                self._index: index,
                self._sigma: sigma,
                self._rate: rate,
            }
            if self.visible is not None:
                feed[self._visible] = self.visible[index]
            record = self.session.run(self._record, feed)
            yield {"iteration": iteration + 1, **{k: float(v) for k, v in record.items()}}

    # What users call: numpy in, numpy out

    def latents(self) -> np.ndarray:
        """The inferred z of the training images, [N, d]."""
        return self.session.run(self._chains)

    def run_chains(
        self,
        z: np.ndarray,
        step_size: np.ndarray,
        num_steps: int,
        key: int,
        first_step: int,
        images: np.ndarray,
        visible: np.ndarray | None,
        reference: np.ndarray,
        sigma: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run chains of p(Z | Y) by the model's sampler, W as it is.

        Args:
            z: [B, d], where the chains are.
            step_size: [B].
            num_steps: l.
            key: of their random numbers, besides the seed; learning takes 2 and upward.
            first_step: number of the first step, for chains that go on.
            images: of each chain, [B, S, S, 3] in [0, 255], or [1, S, S, 3] for all.
            visible: likewise, [B, S, S, 1] or [1, S, S, 1]; None if the model sees whole images.
            reference: [B, d], where the preconditioned sampler takes its J.
            sigma: standard deviation of the noise; by default the model's.

        Returns:
            The path [l, B, d] and the acceptance rates [B].
        """
        inputs, drawn = self._drawing
        values = {
            **{"step_size": step_size, "num_steps": num_steps, "first_step": first_step},
            **{"key": [self.seed, key], "reference": reference},
        }
        feed = {inputs[name]: value for name, value in values.items()}
        feed |= {**self._seen(images, visible, sigma), self._z: z}
        return self.session.run(drawn, feed)

    def metric(
        self, z: np.ndarray, images: np.ndarray, visible: np.ndarray | None = None
    ) -> np.ndarray:
        """The metric G = I + J^T J / sigma^2 at z [n, d] for images [n, S, S, 3]: [n, d, d].

        Args:
            z: [n, d].
            images: [n, S, S, 3] in [0, 255].
            visible: [n, S, S, 1]; None if the model sees whole images.
        """
        feed = {**self._seen(images, visible), self._z: z}
        return self.session.run(self._metric, feed).astype(np.float64)

    def _seen(
        self, images: np.ndarray, visible: np.ndarray | None, sigma: float | None = None
    ) -> dict:
        feed = {self._images: images, self._sigma: self.sigma if sigma is None else sigma}
        if self._visible is not None:
            feed[self._visible] = visible
        return feed

    def generate(self, z: np.ndarray) -> np.ndarray:
        """f(z) for z [n, d]: images [n, S, S, 3] in [0, 255], unclipped float32."""
        parts = [
            self.session.run(self._generated, {self._z: z[i : i + 64]})
            for i in range(0, len(z), 64)
        ]
        return np.concatenate(parts)

    def reconstruct(self, n: int | None = None) -> np.ndarray:
        """f(Z) for the inferred Z of the first n training images, [n, S, S, 3] in [0, 255]."""
        return self.generate(self.latents()[:n])

    def sample(self, n: int) -> np.ndarray:
        """N images of the model, f(z) with z ~ N(0, I): [n, S, S, 3] in [0, 255]."""
        return self.generate(np.random.default_rng([self.seed, 1]).normal(size=(n, self.z_dim)))

    def interpolate(self, n: int = 8, reach: float = 2.0) -> np.ndarray:
        """F on an n x n grid of the first two dimensions of z over (-reach, reach)^2, the rest 0.

        Returns:
            [n * n, S, S, 3] in [0, 255]; z_1 grows to the right, z_2 upward.
        """
        axis = np.linspace(-reach, reach, n)
        z = np.zeros([n * n, self.z_dim])
        z[:, 0] = np.tile(axis, n)
        if self.z_dim > 1:
            z[:, 1] = np.repeat(axis[::-1], n)
        return self.generate(z)
