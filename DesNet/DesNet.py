"""Descriptor network learned by Langevin synthesis (Xie et al., ICML 2016).

The model is p(Y; theta) = exp[f(Y; theta)] p0(Y) / Z(theta), p0 = N(0, s^2 I): a bottom-up ConvNet
f from an image to a number, and a Gaussian reference.  Learning alternates between synthesizing
images by Langevin dynamics from the current model, and a step on theta that raises f on the
observed images and lowers it on the synthesized ones.

Chains that start anew from mean images at every iteration ("short_run", the assignment) teach a
generator of l steps: it makes the images it has seen, but run on, its chains leave them.  Chains
that never end ("convergent") teach a density: they stay, and so do the chains of any sampler.
Chains that go down a ladder of noise ("score_matching", the default) teach an energy at every level
of it, whose score is fitted where they are: from a mean image, or noise alone, they arrive at an
image, and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial

import numpy as np

from chain_groups import GROUP, enter, run_in_groups
from common import datasets, quality, samplers, session, streams
from common.export import Signature
from common.guard import DivergenceError, until_sane
from common.layers import Network, in_halves, reduce_sum
from common.model import Model, Record
from common.run_folder import Learned
from common.session import tf
from common.shards import Shard
from common.streams import Stream
from completion import Completion
from conditional_network import ConditionalNetwork
from descriptor_export import signatures
from descriptor_learning import Inputs, compare, learn, make_inputs, observe, synthesize
from descriptor_network import NETWORKS, colour_energy
from descriptor_sampling import go_down, sample
from descriptor_settings import ANNEALED, CONVERGENT_STEPS, LEARNING, SAMPLERS, Settings
from guard import running_autocorrelation
from noise_levels import NoiseLevels
from score_matching import ScoreMatching
from starts import draw_starts

__all__ = ["LEARNING", "NETWORKS", "SAMPLERS", "DesNet", "DivergenceError", "Settings", "load"]

MAX_CHAINS = 1024  # that never end: 50 MB of images of 64 x 64, and as much for going back


def threads_of_operation(num_cores: int) -> int:
    """Half of the cores, for the two halves of a batch; 0, as TensorFlow likes, of one."""
    return (num_cores + 1) // 2 if num_cores > 1 else 0


def halves_batches(settings: Settings, num_cores: int) -> bool:
    """Whether the two halves of a batch are computed side by side.

    Of operations as small as those of a short run, each spread over all cores, the threads wait for
    each other longer than they compute.  Those of score matching are larger.
    """
    return num_cores > 1 and settings.way != "score_matching"


class DesNet(Model):
    """The model, its sampling and its learning.  Images are [N, S, S, 3] in [0, 255] outside.

    Inside, images are in grey levels less the mean colour of the training set.
    """

    settings: Settings
    settings_class = Settings
    levels: NoiseLevels | None = None  # of score matching
    inputs: Inputs
    synthesized: tf.Tensor  # [B, S, S, 3] in [0, 255], where chains end
    step_sizes: tf.Variable  # of the chains
    chains: tf.Variable  # that never end, [n, S, S, 3]
    stand: tf.Tensor  # those of a batch
    begin: tf.Tensor  # moves them to where they are fed to start

    def __init__(
        self,
        settings: Settings,
        colours: np.ndarray,
        num_cores: int | None = None,
        shard: Shard | None = None,
    ) -> None:
        """Describe the model; `build_model` builds it.

        Args:
            settings: see `descriptor_settings`; what they leave open is resolved here.
            colours: [N, 3], the mean colour of each training image, in [0, 255].  Chains start
                there.  Each image has one, whose step size MALA and HMC adapt; chains that never
                end are at most MAX_CHAINS.
            num_cores: of the processor that computes, 0 for a GPU; by default those of the device.
                See `halves_batches`.
            shard: which of the images this worker learns, where there are several; default: all.

        Raises:
            SettingsError: the settings do not go together.
            DeviceError: a device or a precision that is not there.
        """
        self.settings = settings.resolved(len(colours))
        self.colours = np.asarray(colours, np.float64)
        self.mean_colour = self.colours.mean(0).astype(np.float32)
        self.convergent = self.settings.learning == "convergent"
        self.shard = shard or Shard((len(colours),))
        self.chain_shard = self.shard.at_most(MAX_CHAINS) if self.convergent else self.shard
        self.num_chains = self.chain_shard.count  # of this worker
        device = self.settings.device
        self.num_cores = session.num_cores(device) if num_cores is None else num_cores
        self._halved = halves_batches(self.settings, self.num_cores)
        self._network = self._describe()

    def _describe(self) -> Network:
        """The network, not built yet; and the ladder of noise, if there is one."""
        settings = self.settings
        layers = partial(
            NETWORKS[str(settings.network)],
            step_size=settings.step_size or 0.3,
            on_gpu=self.num_cores == 0,
        )
        if settings.learning != "score_matching":
            return Network("descriptor", layers, settings.seed)
        self.levels = NoiseLevels(
            *(settings.ref_sigma, settings.data_noise or 1.0, settings.image_size),
            *(settings.num_steps or 1, settings.step_size or 1.0),
        )
        return ConditionalNetwork(
            *(layers, colour_energy, settings.seed, self.levels, settings.ref_sigma),
            self.colours - self.mean_colour,
        )

    @classmethod
    def remade(cls, learned: Learned) -> DesNet:
        """The model of a run, from what its folder holds."""
        return cls(learned.settings, learned.constant("colours", (len(learned.names), 3)))

    # Network

    def descriptor(self, images: tf.Tensor) -> tf.Tensor:
        """f(Y; theta): images [B, S, S, 3] less the mean colour -> one number each, [B]."""
        return self._of_batch(self._network, images)

    def _of_batch(self, function: Callable, images: tf.Tensor) -> tf.Tensor:
        """`function`, [B, S, S, 3] -> [B, ...], of the images; on several cores, of each half."""
        images = tf.ensure_shape(images, [None, *[self.settings.image_size] * 2, 3])
        return in_halves(function, images) if self._halved else function(images)

    @property
    def networks(self) -> list[Network]:
        """The descriptor."""
        return [self._network]

    # Log density

    def log_prob(self, images: tf.Tensor) -> tf.Tensor:
        """Log p(Y) = f(Y) - ||Y||^2 / (2 s^2), up to a constant: one number for each image.

        Args:
            images: [B, S, S, 3] in grey levels less the mean colour.

        Returns:
            [B].
        """
        return self.descriptor(images) + self.log_reference(images)

    def log_reference(self, images: tf.Tensor) -> tf.Tensor:
        """Log p0(Y) [B], up to a constant."""
        return -reduce_sum(tf.square(images), [1, 2, 3]) / (2 * self.settings.ref_sigma**2)

    def score(self, images: tf.Tensor, level: tf.Tensor | None = None) -> tf.Tensor:
        """The score, d log p(Y) / dY = df(Y) / dY - Y / s^2.

        Args:
            images: [B, S, S, 3] in grey levels less the mean colour.
            level: int [B], of noise, where there is a ladder of it; by default the lowest.

        Returns:
            [B, S, S, 3].
        """
        reference = images / self.settings.ref_sigma**2
        if level is not None:
            return self._network.gradient(images, level) - reference
        return self._of_batch(self._network.gradient, images) - reference

    # Sampling

    def langevin_dynamics(
        self,
        images: tf.Tensor,
        step_size: tf.Tensor | float,
        key: tf.Tensor,
        *,
        num_steps: tf.Tensor | int | None = None,
        first_step: tf.Tensor | int = 0,
        adjust: tf.Tensor | bool = True,
        visible: tf.Tensor | None = None,
        entry: tf.Tensor | int | None = None,
    ) -> samplers.Chains:
        """Chains of p(Y) from the given images, or of p(hidden pixels | visible ones).

        The name is the assignment's; the sampler is that of the settings, of which plain Langevin
        dynamics, Y <- Y + (delta^2 / 2) d log p(Y) / dY + delta U, is one.

        Args:
            images: [B, S, S, 3] in grey levels less the mean colour.
            step_size: delta, scalar or [B].
            key: int32 [2].
            num_steps: length, by default l.
            first_step: number of the first step, for chains that go on.
            adjust: whether MALA and HMC put their proposals to the test.
            visible: bool [B, S, S, 1], pixels that stay as they are given; None: none.
            entry: level of the ladder of noise where chains enter, scalar or [B], where there is
                one, and whose noise the images have; by default that of mean images.
        """
        steps = self.settings.num_steps if num_steps is None else num_steps
        if self.levels is not None:
            entry = self.levels.entry("mean") if entry is None else entry
            return go_down(self, images, key, steps, first_step, entry, visible)
        return sample(self, images, step_size, key, steps, first_step, adjust, visible)

    # Learning

    def build_model(self, learning: bool = True) -> None:
        """Build the graph, initialise the variables and open the session (see `Model`)."""
        if self._halved:
            # TensorFlow makes its threads with the first loop of a process, and keeps them: the
            # configuration of a session comes too late.
            with suppress(RuntimeError):
                threads = threads_of_operation(self.num_cores)
                tf.config.threading.set_intra_op_parallelism_threads(threads)
        super().build_model(learning)

    def _build(self) -> None:
        """Chains of the model: step one of an iteration."""
        self.inputs = inputs = make_inputs(self)
        self._iteration = tf.train.get_or_create_global_step()
        step = tf.cast(self._iteration, tf.int32)
        key = streams.key(self.settings.seed, Stream.SYNTHESIS, step, inputs.group)
        step_size = inputs.noise_factor * tf.gather(self.step_sizes, inputs.index)  # [B]
        starts = inputs.starts - self.mean_colour
        self._log_prob = self.log_prob(starts)
        self._synthesis = synthesize(self, inputs, starts, step_size, key)

    def _build_learning(self) -> None:
        """The others: compare, learn, record."""
        if isinstance(self._network, ConditionalNetwork):
            self.score_matching = ScoreMatching(self, self._network)
            return
        inputs, synthesis = self.inputs, self._synthesis
        observed = observe(self, inputs, tf.cast(self._iteration, tf.int32))
        comparison = compare(self, observed, synthesis)
        learning = learn(self, inputs, synthesis, comparison)
        autocorrelation, noted = running_autocorrelation(
            tf.where_v2(learning.sane, -comparison.loss, 0.0)
        )
        with tf.control_dependencies([*learning.updates, noted]):
            self._sane = tf.identity(learning.sane)
            self._errors = synthesis.errors
            self._record = {
                "loss": tf.identity(comparison.loss),
                "energy_difference": -comparison.loss,
                "energy_difference_autocorrelation": autocorrelation,
                "score_magnitude": comparison.score_magnitude,
                "gradient_norm": learning.gradient_norm,
                "acceptance_rate": comparison.acceptance_rate,
                "step_size": comparison.step_size,
                "out_of_range": comparison.out_of_range,
                "learning_rate": learning.learning_rate,
                "roll_backs": learning.roll_backs.read_value(),
            }

    def train(self, images: np.ndarray, num_epochs: int | None = None) -> Iterator[Record]:
        """Learn until the epochs are done, yielding a record an iteration.

        theta <- theta + gamma [(1/n) sum_i df(Y_i)/dtheta - (1/m) sum_i df(Y~_i)/dtheta], with
        Adam; the chains Y~ start from mean images, at every iteration ("short_run") or once
        ("convergent").

        An iteration that leaves a sane region (see MAX_OUT_OF_RANGE and MAX_DRIFT, and nothing
        may be NaN) does not count: the weights go back to the last good state, the learning rate
        is halved (it recovers over the next iterations), and the iteration is done again.

        Args:
            images: observed, [N, S, S, 3] in [0, 255]; or those of the shard.
            num_epochs: when to stop, counted from the first iteration ever; by default that of
                the settings.

        Yields:
            iteration; loss = mean f(Y~) - mean f(Y); psnr, the mean over this worker's chains of
            that of where they arrived, clipped, to the images of the batch, as given, by the
            assignment of least squared error, in dB; energy_difference, its negative d(t), and
            the running lag-1 autocorrelation of that: below 0 where learning and sampling keep
            each other in balance;
            score_magnitude v(t), the mean |d log p / dY| along the chains; gradient_norm, of
            the learning gradient; acceptance_rate and step_size of the chains; out_of_range, the
            share of synthesized pixels outside [0, 255]; learning_rate; roll_backs so far.

        Raises:
            DivergenceError: going back again and again does not help.
        """
        self._get_ready_to_learn()
        if self.levels is not None:
            done = int(self.session.run(self._iteration))
            total = self.shard.iterations(self.settings, num_epochs)
            yield from self.score_matching.train(images, done, total)
            return
        settings, own_colours = self.settings, self.colours[self.shard.own]
        total = self.shard.iterations(settings, num_epochs)
        first = int(self.session.run(self._iteration))
        if self.convergent and first == 0:
            every = np.arange(self.num_chains)
            standing = {
                self.inputs.index: every,
                self.inputs.starts: self.starts(self.chain_shard.total)[self.chain_shard.own],
            }
            self.session.run(self.begin, standing)
        for iteration, index, batch in self.shard.batches(images, settings, first, total):
            feed: dict = {
                self.inputs.observed: batch,
                self.inputs.learning_rate: settings.rate(iteration, total),
                self.inputs.noise_factor: settings.noise_factor(iteration / total),
                self.inputs.contrast: settings.contrast(iteration / total),
            }
            if self.convergent:
                feed[self.inputs.index] = self.chain_shard.batch_indices(
                    iteration, settings.batch_size or 1, settings.seed
                )
                # Of a landscape that still forms, the test would see every roughness.
                feed[self.inputs.adjust] = iteration >= ANNEALED * total
            else:
                draw = iteration + 1, self.cluster.rank
                starts = draw_starts(settings, own_colours[index], self.mean_colour, *draw)
                feed |= {self.inputs.index: index, self.inputs.starts: starts}
            yield {"iteration": iteration + 1, **self._repeat(feed, iteration)}

    def kept_iteration(self) -> int:
        """After which iteration the weights were as they are, if others came later; or else 0.

        Learning down a ladder keeps those of the lowest loss (see `best`).
        """
        if self.levels is None:
            return 0
        self._get_ready_to_learn()
        return self.score_matching.best.kept_iteration(self.session)

    def _repeat(self, feed: dict, iteration: int) -> Record:
        """Do an iteration, again and again from the last good state until it is sane."""

        def attempt(_: int) -> tuple[bool, Record]:
            fetched = [self._sane, self._record, self._errors]
            sane, record, errors = self.session.run(fetched, feed)
            psnr = quality.assigned_psnr(errors)
            return sane, {"loss": record["loss"], "psnr": psnr, **record}

        return until_sane(
            attempt,
            lambda: self.settings.remedy(iteration, feed[self.inputs.noise_factor]),
        )

    # What users call: numpy in, numpy out

    def mean_images(self, n: int | None = None) -> np.ndarray:
        """The mean colours of the first n training images: [n, S, S, 3] in [0, 255]."""
        return datasets.flat_images(self.colours[:n], self.settings.image_size)

    @property
    def chain_length(self) -> int:
        """Steps of a new chain: those of learning, or to where chains that never end are."""
        return self.length_from(self.settings.start)

    def length_from(self, kind: str) -> int:
        """Likewise, from a kind of start: see `run_chains`."""
        if self.levels is not None:
            return self.levels.lowest - self.levels.entry(kind)
        if self.convergent:
            return CONVERGENT_STEPS[self.settings.sampler]
        return self.settings.num_steps or 1

    def starts(self, n: int | None = None, start: str | None = None) -> np.ndarray:
        """Where n chains start, by default one of each training image: [n, S, S, 3].

        Those of the training images in turn; see `draw_starts`.
        """
        every = len(self.colours)
        colours = self.colours[np.arange(n or every) % every]
        return draw_starts(self.settings, colours, self.mean_colour, start=start)

    def run_chains(
        self,
        starts: np.ndarray,
        num_steps: int,
        first_step: int = 0,
        kind: str | Sequence[str] | None = None,
    ) -> np.ndarray:
        """The ends of chains of `num_steps` steps from `starts` [n, S, S, 3], both in [0, 255].

        Chain i takes the step size that chain i (modulo their number) has adapted to in learning,
        held fixed.  Images are unclipped.

        Args:
            starts: where the chains stand.
            num_steps: how far they go; 0 returns the starts.
            first_step: number of the first step, for chains that go on.
            kind: of all starts, or of each, which says at what level of a ladder of noise they
                enter: mean, mean+noise, noise, a picture, or an image that was learned; by default
                that of the settings.
        """
        rows = {self.inputs.starts: starts}
        if self.levels is not None and num_steps:
            rng = streams.generator(self.settings.seed, Stream.STARTS, 0, 1)
            rows = enter(self, starts, kind or self.settings.start, rng, first_step)
        return run_in_groups(self, self.synthesized, rows, num_steps, first_step)

    def synthesize(self, n: int | None = None) -> np.ndarray:
        """What the model synthesizes for the first n training images: [n, S, S, 3], unclipped.

        The ends of chains of l steps from their starts ("short_run"), or the chains that
        started there when learning began, as they stand ("convergent").
        """
        if self.convergent:
            index = np.arange(self.num_chains)[:n]
            return self.session.run(self.stand, {self.inputs.index: index})
        return self.run_chains(self.starts(n), self.chain_length)

    def complete(self, images: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """Images [n, S, S, 3] with their hidden pixels drawn; see `Completion.complete`."""
        return self.completion.complete(images, visible, self.length_from("mean"))

    @cached_property
    def completion(self) -> Completion:
        """Chains of hidden pixels."""
        return Completion(self)

    def energies(self, images: np.ndarray) -> np.ndarray:
        """-log p(Y) [n] of images [n, S, S, 3] in [0, 255], up to the constant log Z, in nats."""
        parts = [
            self.session.run(self._log_prob, {self.inputs.starts: images[i : i + GROUP]})
            for i in range(0, len(images), GROUP)
        ]
        return -np.concatenate(parts)

    def signatures(self) -> dict[str, Signature]:
        """For a SavedModel: `synthesize`, by chains of the run's own length, and `energy`."""
        return signatures(self)


load = DesNet.load
