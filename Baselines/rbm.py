"""Restricted Boltzmann machine (Smolensky, 1986; Hinton, 2002) of images, and its true likelihood.

Binary hidden units h, and visible units v, the pixels, Gaussian or binary, in one energy E(v, h),
see harmonium.py.  The gradient of the log likelihood is

    d log p(v) / dW = -dF(v) / dW + E_p(v') dF(v') / dW,    F(v) = -log sum_h exp -E(v, h),

whose second term is found by contrastive divergence (k Gibbs steps from the images), by persistent
contrastive divergence (chains that go on; Tieleman, ICML 2008), or, of at most 16 hidden units,
exactly: all 2^H configurations are added up.  By them the likelihood is known to the last digit,
however it was learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.special import logsumexp

import partition
from baseline import Baseline
from common import command, streams
from common.export import Signature
from common.importance import Estimate, estimate
from common.layers import Network, dense
from common.model import Record
from common.quality import psnr
from common.session import tf
from common.streams import Stream, fold_in
from harmonium import Harmonium, contrastive_gradient, integrated_log_prob
from rbm_settings import RBMSettings

STDDEV = 0.001  # of W, when learning begins, around
START = 0.3  # so much of the principal components
SEEN = 512  # images that these are of, at most
CLIPPED = 0.05  # of a binary pixel's mean, when learning begins
CHAINS = 64  # that are run side by side, and
BURN_IN = 1000  # Gibbs steps of each from fair coins to a sample, of more than 16 hidden units


class RBM(Baseline):
    """The model.  Images are in [0, 255] outside; inside, v is [B, D], in [-1, 1] or binary."""

    settings_class = RBMSettings

    @property
    def networks(self) -> list[Network]:
        """The machine's one layer of weights, with the biases of both sides."""
        return [self._network]

    def _make_machine(self) -> Harmonium:
        """Its variables, in the current graph."""
        settings = self.settings
        gaussian = settings.visible == "gaussian"
        start = tf.constant_initializer(math.log(settings.sigma))

        def layers(v: tf.Tensor) -> tf.Tensor:
            with tf.variable_scope("visible"):
                tf.get_variable("bias", [settings.dimensions], initializer=tf.zeros_initializer())
                if gaussian and settings.learn_sigma:
                    tf.get_variable("log_sigma", [], initializer=start)
            return dense(v, settings.hidden, "hidden", STDDEV)

        self._network = Network("rbm", layers, settings.seed)
        self._network(tf.zeros([1, settings.dimensions]))
        learned = {v.op.name.removeprefix("rbm/"): v for v in self._network.variables()}
        constant = tf.constant(math.log(settings.sigma)) if gaussian else None
        return Harmonium(
            weight=learned["hidden/weight"],
            hidden_bias=learned["hidden/bias"],
            visible_bias=learned["visible/bias"],
            log_sigma=learned.get("visible/log_sigma", constant),
        )

    # Between images and visible units

    def to_visible(self, images: tf.Tensor) -> tf.Tensor:
        """Images [B, S, S, 3] in [0, 255] -> v [B, D]."""
        flat = tf.reshape(images, [-1, self.settings.dimensions])
        if self.settings.visible == "binary":
            return tf.cast(flat > 127.5, tf.float32)
        return flat / 127.5 - 1

    def to_images(self, v: tf.Tensor) -> tf.Tensor:
        """V [B, D], or its mean, -> images [B, S, S, 3] in [0, 255]."""
        side = self.settings.image_size
        images = 255 * v if self.settings.visible == "binary" else (v + 1) * 127.5
        return tf.reshape(images, [-1, side, side, 3])

    def _log_density(self, log_prob: Any) -> Any:
        """Log p of v, nats, as that of images: a grey level is 1 / 127.5 of a Gaussian v."""
        gaussian = self.settings.visible == "gaussian"
        return log_prob - self.settings.dimensions * math.log(127.5) * gaussian

    # Learning

    def _build(self) -> None:
        """One iteration: both phases of the gradient, a step of Adam, what is recorded of it."""
        self.machine = machine = self._make_machine()
        self._begin()
        settings = self.settings
        v = self.to_visible(self.inputs.images)
        key = streams.key(settings.seed, Stream.SYNTHESIS, tf.cast(self._iteration, tf.int32))
        chains = tf.zeros([settings.batch_size, settings.dimensions])
        self._chains = tf.get_variable("chains", initializer=chains, trainable=False)
        self._log_weights = self._enumerated(machine) if settings.enumerated else None
        variables = self._network.variables()
        negative = None
        if settings.learning == "exact":
            first = tf.gradients(tf.reduce_mean(machine.free_energy(v)), variables)
            gradients = [a + b for a, b in zip(first, self._exact_phase(variables), strict=True)]
        else:
            start = self._chains if settings.learning == "pcd" else v
            negative = machine.gibbs(start, settings.cd_steps, key)
            gradients = contrastive_gradient(machine, v, negative, variables)
        self._record = self._recorded(v, negative, gradients)
        updates = [self._chains.assign(negative)] if settings.learning == "pcd" else []
        optimizer = tf.train.AdamOptimizer(self.inputs.learning_rate, beta1=0.5)
        with tf.control_dependencies([*self._record.values(), *updates]):
            step = zip(gradients, variables, strict=True)
            self._update = optimizer.apply_gradients(step, self._iteration)
        self._make_outputs()

    def _enumerated(self, machine: Harmonium) -> tf.Tensor:
        """The unnormalised log p(h) of all configurations, [2^H] in float64."""
        precise = machine.in_float64() if machine.log_sigma is not None else machine
        dtype = precise.weight.dtype
        return partition.in_pieces(
            *(self.settings.hidden, machine.width),
            lambda h: tf.cast(precise.log_weights(tf.cast(h, dtype)), tf.float64),
        )

    def _exact_phase(self, variables: list[tf.Variable]) -> list[tf.Tensor]:
        """The gradient of log Z in the variables."""
        names = {id(v): name for name, v in self.machine._asdict().items()}
        fields = [names[id(variable)] for variable in variables]

        def log_weights(inside: list[tf.Tensor], h: tf.Tensor) -> tf.Tensor:
            machine = self.machine._replace(**dict(zip(fields, inside, strict=True)))
            return tf.cast(machine.log_weights(h), tf.float64)

        return partition.gradient_of_log_sum(
            *(log_weights, [tf.identity(v) for v in variables], self._log_weights),
            *(self.settings.hidden, self.machine.width),
        )

    def _recorded(
        self, v: tf.Tensor, negative: tf.Tensor | None, gradients: list[tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """What an iteration is recorded by, of the batch v [B, D] and the ends of chains."""
        machine, settings = self.machine, self.settings
        made = machine.visible_mean(tf.sigmoid(machine.hidden_logits(v)))
        images, reconstructions = self.to_images(v), self.to_images(made)
        squared = tf.square(tf.clip_by_value(reconstructions, 0, 255) - images)
        free_energy = machine.free_energy(v)
        bits = 1 / settings.dimensions / math.log(2)
        record = {
            "loss": tf.reduce_mean(squared),
            "psnr": tf.reduce_mean(psnr(tf.reduce_mean(squared, [1, 2, 3]))),
            "believed": -self._log_density(machine.log_prob_given(v, made)) * bits,
            "gradient_norm": tf.linalg.global_norm(gradients),
        }
        if negative is not None:
            ends = tf.reduce_mean(machine.free_energy(negative))
            record["energy_difference"] = ends - tf.reduce_mean(free_energy)
        if machine.log_sigma is not None:
            record["sigma"] = 127.5 * tf.exp(machine.log_sigma)
        if self._log_weights is not None:
            log_z = tf.reduce_logsumexp(self._log_weights)
            log_prob = -tf.cast(tf.reduce_mean(free_energy), tf.float64) - log_z
            record["bits"] = -self._log_density(log_prob) * bits
            record["largest_weight"] = tf.exp(tf.reduce_max(self._log_weights) - log_z)
        return record

    def train(self, images: np.ndarray, num_epochs: int | None = None) -> Iterator[Record]:
        """Learn until the epochs are done, yielding a record an iteration, as of any baseline.

        The visible biases start at the mean image, W near the principal components of the images,
        each in a column of its own (at random, several columns find the same one), and persistent
        chains at the images.

        Yields:
            iteration; loss, the mean squared error of reconstructions in grey levels, and psnr in
            dB, before the step; believed, -log2 p(v | h) a dimension at the probabilities of h that
            v infers, which charges nothing for h; energy_difference, mean F at the ends of chains
            less that of the images, if there are chains; gradient_norm; sigma in grey levels, of
            Gaussian units; and of at most 16 hidden units bits, the exact -log2 p(v) a dimension
            (of Gaussian units the density of a grey level), and largest_weight, the largest p(h).
        """
        if self.session.run(self._iteration) == 0:
            self._start(images)
        yield from super().train(images, num_epochs)

    def _start(self, images: np.ndarray) -> None:
        """Set what learning starts from; see `train`."""
        settings, machine = self.settings, self.machine
        mean = np.zeros(settings.dimensions)
        for first in range(0, len(images), CHAINS):
            mean += self._visible(images[first : first + CHAINS]).sum(0) / len(images)
        v = self._visible(images[:SEEN])
        _, scales, components = np.linalg.svd(v - v.mean(0), full_matrices=False)
        count = min(settings.hidden, len(components))
        # A hidden unit moves v by half its column either way: by a standard deviation.
        columns = components[:count].T * (2 * START / np.sqrt(len(v)) * scales[:count])
        weight = self.session.run(machine.weight)
        weight[:, :count] += columns
        if settings.visible == "binary":
            mean = np.clip(mean, CLIPPED, 1 - CLIPPED)
            mean = np.log(mean / (1 - mean))
        with self.session.graph.as_default():
            machine.weight.load(weight, self.session)
            machine.visible_bias.load(mean, self.session)
            chains = v[np.arange(settings.batch_size) % len(v)]
            self._chains.load(chains, self.session)

    def _visible(self, images: np.ndarray) -> np.ndarray:
        return self.in_groups(self._v, self.inputs.images, images)

    # What users call: numpy in, numpy out

    def _make_outputs(self) -> None:
        """What users call, in the graph."""
        machine, settings = self.machine, self.settings
        self._v = self.to_visible(self.inputs.images)
        self._free_energy = machine.free_energy(self._v)
        self._probabilities = tf.sigmoid(machine.hidden_logits(self._v))
        self._reconstructed = self.to_images(machine.visible_mean(self._probabilities))
        self._h = tf.placeholder(tf.float32, [None, settings.hidden], "h")
        self._mean = self.to_images(machine.visible_mean(self._h))
        self._state = tf.placeholder(tf.float32, [None, settings.dimensions], "v")
        self._num_steps = tf.placeholder(tf.int32, [], "num_steps")
        self._turn = tf.placeholder(tf.int32, [], "turn")
        key = streams.key(settings.seed, Stream.SAMPLES, self._turn)
        walked = machine.gibbs(self._state, self._num_steps, fold_in(key, 0))
        hidden = machine.draw_hidden(walked, fold_in(key, 1))
        self._walked = walked, hidden
        self._noisy = self.to_images(machine.draw_visible(self._h, fold_in(key, 2)))
        bare = machine.at(tf.constant(0.0))  # which draws v without hidden units
        self._alone = bare.draw_visible(tf.zeros([CHAINS, settings.hidden]), fold_in(key, 5))
        self._log_z_alone = machine.log_z_alone()
        self._make_chains_of_hidden(key)

    def _make_chains_of_hidden(self, key: tf.Tensor) -> None:
        """Chains of h alone: annealed ones that weigh, and plain ones that sample."""
        settings = self.settings
        gaussian = self.machine.log_sigma is not None
        machine = self.machine.in_float64().reduced() if gaussian else self.machine
        dtype = machine.weight.dtype

        def step(h: tf.Tensor, beta: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
            at = machine.at(beta)
            return at.draw_hidden(at.draw_visible(h, fold_in(key, 0)), fold_in(key, 1))

        def coins(count: int, key: tf.Tensor) -> tf.Tensor:
            uniform = tf.random.stateless_uniform([count, settings.hidden], key)
            return tf.cast(uniform < 0.5, dtype)

        annealing = streams.key(settings.seed, Stream.PARTICLES)
        self._annealed = partition.annealed(
            lambda h, beta: -machine.at(beta).log_weights(h),
            *(step, coins(settings.annealing_chains, fold_in(annealing, 0))),
            *(settings.annealing_steps, fold_in(annealing, 1)),
        )
        one = tf.ones([], dtype)
        self._sampled = tf.while_loop(
            lambda i, _: i < BURN_IN,
            lambda i, h: (i + 1, step(h, one, fold_in(fold_in(key, 4), i))),
            (tf.constant(0), coins(CHAINS, fold_in(key, 3))),
            **{"back_prop": False, "parallel_iterations": 1},
        )[1]

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Images [n, S, S, 3] in [0, 255] through the hidden units and back, likewise."""
        return self.in_groups(self._reconstructed, self.inputs.images, images)

    def infer(self, images: np.ndarray) -> np.ndarray:
        """The probabilities that hidden units are on, of images [n, S, S, 3]: [n, H]."""
        return self.in_groups(self._probabilities, self.inputs.images, images)

    def decode(self, h: np.ndarray) -> np.ndarray:
        """The mean of p(v | h) for h [n, H]: images [n, S, S, 3] in [0, 255], float32."""
        return self.in_groups(self._mean, self._h, h)

    def filters(self) -> np.ndarray:
        """The columns of W, as images: [H, S, S, 3], in units of v."""
        side = self.settings.image_size
        return self.values().weight.T.reshape(-1, side, side, 3)

    def values(self) -> Harmonium:
        """The numbers of the machine, in float64."""
        values = self.session.run([x for x in self.machine if x is not None])
        return Harmonium(*(np.asarray(x, np.float64) for x in values))

    # Draws

    def sample(self, n: int) -> np.ndarray:
        """N images, the means of p(v | h) at draws of h: [n, S, S, 3] in [0, 255].

        Of at most 16 hidden units h is drawn from p(h) itself, of more by chains of Gibbs steps
        that start at fair coins.  The first ones are always the same.
        """
        return self.decode(self._draw_hidden(n))

    def draw(self, n: int) -> np.ndarray:
        """N draws of v itself, with the noise of p(v | h), as images likewise."""
        hidden = self._draw_hidden(n)
        parts = [
            self.session.run(
                self._noisy, {self._h: hidden[i : i + CHAINS], self._turn: i // CHAINS}
            )
            for i in range(0, n, CHAINS)
        ]
        return np.concatenate(parts)

    def _draw_hidden(self, n: int) -> np.ndarray:
        """Draws of h, [n, H]."""
        if self.settings.enumerated:
            edges = np.cumsum(np.exp(self.log_prior()))
            uniform = streams.generator(self.settings.seed, Stream.SAMPLES).uniform(size=n)
            drawn = np.searchsorted(edges[:-1], uniform * edges[-1], side="right")
            return partition.all_configurations(self.settings.hidden)[drawn]
        groups = []
        for turn in range(-(-n // CHAINS)):
            groups.append(self.session.run(self._sampled, {self._turn: turn}))
        return np.concatenate(groups)[:n]

    def _walk(self, v: np.ndarray, num_steps: int, turn: int) -> tuple[np.ndarray, np.ndarray]:
        """V [B, D] after so many Gibbs steps, and h [B, H] drawn given it."""
        feed = {self._state: v, self._num_steps: num_steps, self._turn: turn}
        return self.session.run(self._walked, feed)

    def gibbs_chains(self, images: np.ndarray, steps: Sequence[int]) -> np.ndarray:
        """Chains of Gibbs steps, as the means of p(v | h) along them.

        Args:
            images: where some start, [n, S, S, 3] in [0, 255]; as many others start at noise.
            steps: after which numbers of Gibbs steps, ascending.

        Returns:
            [T, 2 n, S, S, 3] in [0, 255], for T numbers.
        """
        noise = self.session.run(self._alone, {self._turn: 0})[: len(images)]
        v, shown = np.concatenate([self._visible(images), noise]), []
        for turn, num_steps in enumerate(np.diff(steps, prepend=0)):
            v, hidden = self._walk(v, int(num_steps), turn)
            shown.append(self.decode(hidden))
        return np.stack(shown)

    # Likelihood

    def free_energy(self, images: np.ndarray) -> np.ndarray:
        """F(v) of images [n, S, S, 3] in [0, 255], nats: [n]."""
        return self.in_groups(self._free_energy, self.inputs.images, images)

    def log_prior(self) -> np.ndarray:
        """Log p(h) of all configurations, exact, of at most 16 hidden units: [2^H] in float64.

        In the order of the binary numbers that they spell.
        """
        weights = self.session.run(self._log_weights)
        return weights - logsumexp(weights)

    def log_partition(self) -> float:
        """The exact log Z, of at most 16 hidden units."""
        return float(logsumexp(self.session.run(self._log_weights)))

    def annealed_log_partition(self) -> Estimate:
        """Log Z by annealed importance sampling.

        Its standard error is too small if no chain has found where most of the mass lies.
        """
        log_weights, alone = self.session.run([self._annealed, self._log_z_alone])
        return estimate(log_weights + alone + self.settings.hidden * math.log(2))

    def log_prob(self, images: np.ndarray, log_z: float | None = None) -> np.ndarray:
        """Log p(Y) of 8-bit images, nats: [n] in float64.

        Of Gaussian units and at most 16 hidden ones it is exact: the density of each component
        p(v | h) is integrated over the grey level of each dimension, and components are added until
        more of them add nothing.  With more hidden units it is the density at the grey levels,
        -F(v) - log Z, times their width.  Of binary units it is -F(v) - log Z of the binary image.

        Args:
            images: [n, S, S, 3], whole numbers in [0, 255].
            log_z: by default exact, or, of more than 16 hidden units, annealed.
        """
        settings = self.settings
        if settings.visible == "gaussian" and settings.enumerated:
            flat = images.reshape(len(images), -1)
            return integrated_log_prob(self.values(), self.log_prior(), flat)
        if log_z is None:
            exact = settings.enumerated
            log_z = self.log_partition() if exact else self.annealed_log_partition().log_mean
        return self._log_density(-self.free_energy(images).astype(np.float64) - log_z)

    def signatures(self) -> dict[str, Signature]:
        """For a SavedModel: `reconstruct`, `free_energy` and `generate`."""
        side, hidden = self.settings.image_size, self.settings.hidden
        machine = self._make_machine()
        images = tf.placeholder(tf.float32, [None, side, side, 3], "images")
        h = tf.placeholder(tf.float32, [None, hidden], "h")
        told = {"images": f"float32 [n, {side}, {side}, 3], RGB in [0, 255]"}
        v = self.to_visible(images)
        made = machine.visible_mean(tf.sigmoid(machine.hidden_logits(v)))
        energy = {"free_energy": "float32 [n], nats"}
        of_h = {"h": f"float32 [n, {hidden}], 0 and 1", **told}
        return {
            "reconstruct": Signature({"images": images}, {"images": self.to_images(made)}, told),
            "free_energy": Signature(
                {"images": images}, {"free_energy": machine.free_energy(v)}, told | energy
            ),
            "generate": Signature(
                {"h": h}, {"images": self.to_images(machine.visible_mean(h))}, of_h
            ),
        }


def main(prog: str, arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    from rbm_experiment import RBMExperiment  # which shows what this file learns

    command.main(prog, __doc__ or "", RBMExperiment, arguments)


load = RBM.load
