"""Generative adversarial network (Goodfellow et al., NeurIPS 2014), by DCGAN's guidelines.

A generator G makes images of z ~ N(0, I_d), and a discriminator D says how likely it is that an
image is real.  They play

    min_G max_D V = E log D(Y) + E log(1 - D(G(z))).

At first D tells all that G makes, and log(1 - D) is flat there: so G rather climbs E log D(G(z)),
the non-saturating objective.  Of few images D learns each by heart, and its slope about them is all
that G is told: the penalty R1 = E ||dD/dY||^2 on log odds keeps it gentle (Mescheder et al., "Which
training methods for GANs do actually converge?", ICML 2018).  Beside it, augmentation of what D
sees costs images that samples hit, and spectral normalisation gains none: here is neither.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import baseline_pictures as pictures
import gan_pictures
from baseline import SAMPLES, Decoder, DecoderSettings, Experiment
from common import command, flags, streams
from common.experiment import Chart
from common.export import Signature
from common.flags import number, setting, whole
from common.layers import Network
from common.model import Record
from common.run_folder import Picture, png
from common.session import tf
from common.streams import Stream
from gan_layers import bottom_up, top_down

EPOCHS, BATCH = 1200, 64
# Seconds on two cores of a step of discriminator or generator, and of each image of 64 x 64 in it.
STEP, IMAGE = 0.0025, 0.0018
OBJECTIVES = ("non_saturating", "minimax")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GANSettings(DecoderSettings):
    """What the adversarial network is told."""

    objective: str = setting(
        "non_saturating",
        flags.choice(OBJECTIVES),
        "of the generator: to raise E log D(G(z)), or to lower E log(1 - D(G(z)))",
        group="learning",
    )
    discriminator_steps: int = setting(
        2, whole(1, 100), "steps k of the discriminator for each of the generator", group="learning"
    )
    r1: float = setting(
        10.0,
        number(0, 1e6),
        "weight of R1 / 2, the penalty on the slope of the discriminator about real images",
        group="learning",
    )
    learning_rate: float = setting(
        0.008, number(1e-9, 10), "learning rate of Adam, at the beginning", group="learning"
    )
    beta1: float = setting(0.5, number(0, 0.999), "of Adam: decay of its mean", group="learning")
    num_epochs: int | None = flags.num_epochs(str(EPOCHS), "about 2 minutes")
    batch_size: int | None = flags.batch_size(str(BATCH))
    output_dir: Any = flags.output_dir("GAN")

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two cores, roughly."""
        image = IMAGE * (self.image_size / 64) ** 2
        step = (STEP + image * batch) * (self.width / 32) ** 2
        return (1 + self.discriminator_steps) * step

    def resolved(self, num_images: int) -> GANSettings:
        """These settings with nothing left open, for a number of images to learn."""
        return self.filled(num_images, EPOCHS, BATCH)


class GAN(Decoder):
    """The model.  Images are in [0, 255] outside, and in [-1, 1] inside."""

    settings_class = GANSettings

    @property
    def networks(self) -> list[Network]:
        """Generator and discriminator."""
        return [self._generator, self._discriminator]

    def _make_generator(self, training: bool) -> Network:
        """It shares its variables with every other one, whether they train or not."""
        settings = self.settings
        return Network(
            "generator",
            lambda z: top_down(z, settings.image_size, settings.width, training),
            settings.seed,
        )

    # The game

    @staticmethod
    def discriminator_loss(real: tf.Tensor, made: tf.Tensor) -> tf.Tensor:
        """-V = -E log D(Y) - E log(1 - D(G(z))), a scalar.

        Args:
            real: log odds [B] of images being real, log D - log(1 - D), that are.
            made: likewise, of images that are not.
        """
        return tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(made))

    @staticmethod
    def generator_loss(made: tf.Tensor, objective: str) -> tf.Tensor:
        """-E log D(G(z)), or, of the objective minimax, E log(1 - D(G(z))): a scalar.

        Args:
            made: log odds [B] of images that the generator made.
            objective: one of OBJECTIVES.
        """
        if objective == "minimax":
            return -tf.reduce_mean(tf.nn.softplus(made))
        return tf.reduce_mean(tf.nn.softplus(-made))

    def _make(self, rank: int) -> tf.Tensor:
        """As many images as the batch has, in [-1, 1], of draws of z that no other rank has."""
        step = tf.cast(self._iteration, tf.int32)
        key = streams.key(self.settings.seed, Stream.ADVERSARIAL, step, rank)
        key = streams.fold_in(key, self._turn)
        count = tf.shape(self.inputs.index)[0]
        z = tf.random.stateless_normal([count, self.settings.z_dim], key)
        return tf.nn.tanh(self._generator(z))

    def _build(self) -> None:
        """A step of the discriminator and one of the generator, which are an iteration."""
        self._generator = self._make_generator(training=True)
        self._discriminator = Network(
            "discriminator", lambda x: bottom_up(x, self.settings.width), self.settings.seed
        )
        self._begin()
        self._turn = tf.placeholder_with_default(0, [], "turn")  # of an iteration's k
        with tf.name_scope("discriminator_step"):
            self._discriminate, of_discriminator = self._discriminator_step()
        with tf.name_scope("generator_step"):
            self._update, of_generator = self._generator_step()
        self._of_discriminator, self._record = of_discriminator, of_generator
        self._z = tf.placeholder(tf.float32, [None, self.settings.z_dim], "z")
        drawn = tf.nn.tanh(self._make_generator(training=False)(self._z))
        self._generated = (drawn + 1) * 127.5

    def _discriminator_step(self) -> tuple[tf.Operation, dict[str, tf.Tensor]]:
        """Adam on -V + r1 / 2 R1, and what is recorded."""
        images = self.inputs.images / 127.5 - 1
        real = self._discriminator(images)
        made = self._discriminator(tf.stop_gradient(self._make(0)))
        (slope,) = tf.gradients(real, images)
        r1 = tf.reduce_mean(tf.reduce_sum(tf.square(slope), [1, 2, 3]))
        value = self.discriminator_loss(real, made)
        loss = value + self.settings.r1 / 2 * r1 if self.settings.r1 else value
        adam = tf.train.AdamOptimizer(self.inputs.learning_rate, self.settings.beta1)
        gradients = adam.compute_gradients(loss, self._discriminator.variables())
        record = {
            "loss": value,
            "r1": r1,
            "d_real": tf.reduce_mean(tf.sigmoid(real)),
            "d_made": tf.reduce_mean(tf.sigmoid(made)),
            "discriminator_gradient": tf.linalg.global_norm([part for part, _ in gradients]),
        }
        return adam.apply_gradients(gradients), record

    def _generator_step(self) -> tuple[tf.Operation, dict[str, tf.Tensor]]:
        """Adam on the generator's objective, and what is recorded."""
        made = self._discriminator(self._make(1))
        loss = self.generator_loss(made, self.settings.objective)
        adam = tf.train.AdamOptimizer(self.inputs.learning_rate, self.settings.beta1)
        gradients = adam.compute_gradients(loss, self._generator.variables())
        record = {
            "generator_loss": loss,
            "generator_gradient": tf.linalg.global_norm([part for part, _ in gradients]),
        }
        averages = tf.get_collection(tf.GraphKeys.UPDATE_OPS, "generator_step")
        with tf.control_dependencies(averages):
            return adam.apply_gradients(gradients, self._iteration), record

    def _iterate(self, feed: dict, iteration: int, total: int) -> Record:
        """K steps of the discriminator, of which the last is recorded, and one of the generator."""
        for turn in range(self.settings.discriminator_steps):
            _, told = self.session.run(
                [self._discriminate, self._of_discriminator], feed | {self._turn: turn}
            )
        return told | super()._iterate(feed, iteration, total)

    # What users call: numpy in, numpy out

    def learned_values(self) -> dict[str, np.ndarray]:
        """The variables of the networks by name, and the running averages."""
        with self.session.graph.as_default():
            averages = tf.get_collection(tf.GraphKeys.MOVING_AVERAGE_VARIABLES)
        return super().learned_values() | self.session.run({v.op.name: v for v in averages})

    def signatures(self) -> dict[str, Signature]:
        """For a SavedModel: `generate`."""
        side, d = self.settings.image_size, self.settings.z_dim
        z = tf.placeholder(tf.float32, [None, d], "z")
        about = {
            "z": f"float32 [n, {d}], of the prior N(0, I)",
            "images": f"float32 [n, {side}, {side}, 3], RGB in [0, 255]",
        }
        images = (tf.nn.tanh(self._make_generator(training=False)(z)) + 1) * 127.5
        return {"generate": Signature({"z": z}, {"images": images}, about)}


class GANExperiment(Experiment):
    """The adversarial network on a category of images."""

    name, word, says = "GAN", "gan", "A generative adversarial network"
    settings_class, model_class = GANSettings, GAN
    abilities = ("sample", "interpolate", "score")
    losses = [
        Chart(
            *("loss", "Loss of the discriminator", "−V, nats", False),
            "2 log 2 = 1.39 if it cannot tell at all; at 0 it tells all, and the generator learns"
            " little.",
        ),
        Chart(
            *("generator_loss", "Loss of the generator", "nats", False),
            "The two play against each other: neither loss says how good images are.",
        ),
    ]
    diagnostics = [
        Chart(
            *("d_real", "What the discriminator says of real images", "mean of D", False),
            "1/2 if it cannot tell, 1 if it is sure.",
        ),
        Chart(
            *("d_made", "What it says of images that are made", "mean of D", False),
            "1/2 if it cannot tell, 0 if it is sure.",
        ),
        Chart("r1", "Slope of the discriminator", "R1, squared, of its log odds", True),
        Chart(
            *("discriminator_gradient", "Gradient of the discriminator", "norm", True),
            advice="Should neither grow nor vanish.",
        ),
        Chart(
            *("generator_gradient", "Gradient of the generator", "norm", True),
            advice="Should neither grow nor vanish.",
        ),
    ]

    def own_arrays(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The z of the samples, and the images of walks between them and of arithmetic on them."""
        z = self.model.draw_z(SAMPLES)
        self._hits = gan_pictures.hits(arrays["samples"], arrays["images"])
        self._arithmetic = gan_pictures.arithmetic(z, self._hits.nearest, self.names)
        walks = gan_pictures.walks(z)
        return {
            "samples_z": z,
            "walks_z": walks,
            "walks": self.model.generate(walks.reshape(-1, z.shape[1])),
            "arithmetic_z": self._arithmetic.z,
            "arithmetic": self.model.generate(self._arithmetic.z.reshape(-1, z.shape[1])),
        }

    def own_pictures(self, arrays: dict[str, np.ndarray]) -> dict[str, Picture]:
        """Walks and arithmetic."""
        scale = pictures.scale(arrays["images"])
        told = gan_pictures.arithmetic_panel(arrays["arithmetic"], self._arithmetic, scale)
        return {
            "walks.png": png(gan_pictures.walks_panel(arrays["walks"], scale)),
            "arithmetic.png": png(told),
        }

    def own_figures(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """How many training images are hit."""
        return gan_pictures.modes(self._hits)

    def own_sections(self) -> list[dict[str, Any]]:
        """Training images hit, walks and arithmetic."""
        return gan_pictures.SECTIONS


def main(prog: str, arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    command.main(prog, __doc__ or "", GANExperiment, arguments)


load = GAN.load
