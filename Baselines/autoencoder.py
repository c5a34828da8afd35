"""Autoencoder (Rumelhart et al., 1986; Hinton and Salakhutdinov, Science 2006).

An encoder maps an image x to a code h of few numbers, a decoder maps it back to x^, and both learn
by how far x^ is from x.  With dense layers it is the lecture's

    h = sigm(b + W x),  x^ = sigm(c + W^T h) for binary inputs, c + W^T h for real ones,

and the loss is the cross-entropy of binary inputs, 1/2 ||x^ - x||^2 of real ones, a sum over
pixels.  A linear h with real inputs spans the principal components.

An autoencoder has no prior.  To sample, a Gaussian N(m, S) is fitted to the codes of the training
images, and z with h = m + L z, S = L L^T, is N(0, I).
"""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property
from typing import Any

import numpy as np

import autoencoder_pictures as compared
from baseline import Decoder, Experiment, Settings
from common import command, flags
from common.experiment import Chart
from common.export import Signature
from common.flags import SettingsError, choice, number, setting, whole
from common.layers import Network, dense
from common.quality import psnr
from common.run_folder import Picture, png
from common.session import tf
from convnets import decode, encode
from generator_pictures import latent_plane
from reconstruction import inputs_field, losses, pixels, transposed_affine

EPOCHS, BATCH = {"conv": 1000, "dense": 5000}, 64
# Seconds on two cores of an iteration, and of each of its images of 64 x 64.
ITERATION, IMAGE = 0.002, {"conv": 0.0073, "dense": 0.0003}
# The codes move with every step of the encoder.  A decoder that learns faster keeps up with them.
ENCODER_RATE = 0.1  # of the convolutional encoder, as a share of the decoder's
JITTER = 1e-6  # share of the variance of the codes, added to it: some may lie on a line


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(Settings):
    """What the autoencoder is told."""

    layers: str = setting(
        "conv",
        choice(["conv", "dense"]),
        "of encoder and decoder: strided convolutions, or one dense layer each",
        group="model",
    )
    z_dim: int = setting(2, whole(1, 4096), "dimensions d of the code", group="model")
    width: int = setting(
        32,
        whole(1, 1024),
        "channels of the widest convolutions; each layer above has twice as many",
        group="model",
    )
    tied: bool = setting(
        False, flags.switch, "the dense decoder has the encoder's weight, transposed", group="model"
    )
    activation: str = setting(
        "sigmoid", choice(["sigmoid", "linear"]), "of a dense code", group="model"
    )
    inputs: str = inputs_field("real")
    learning_rate: float = setting(
        0.003, number(1e-9, 10), "learning rate of Adam, at the beginning", group="learning"
    )
    num_epochs: int | None = flags.num_epochs("1000, of dense layers 5000", "about 2 minutes")
    batch_size: int | None = flags.batch_size(str(BATCH))
    output_dir: Any = flags.output_dir("Autoencoder")

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two cores, roughly."""
        work = (self.width / 32) ** 2 if self.layers == "conv" else 1.0
        image = IMAGE[self.layers] * (self.image_size / 64) ** 2
        return (ITERATION + image * batch) * work

    def resolved(self, num_images: int) -> AutoencoderSettings:
        """These settings with nothing left open, for a number of images to learn.

        Raises:
            SettingsError: a flag of the dense layers is given to convolutions.
        """
        if self.layers == "conv" and (self.tied or self.activation == "linear"):
            flag = "--tied" if self.tied else "--activation linear"
            raise SettingsError(f"{flag} is of dense layers: add --layers dense, or leave it out")
        return self.filled(num_images, EPOCHS[self.layers], BATCH)


class Autoencoder(Decoder):
    """The model.  Images are in [0, 255] outside, and in [0, 1] inside."""

    settings_class = AutoencoderSettings

    @property
    def networks(self) -> list[Network]:
        """Encoder and decoder."""
        return [self._encoder, self._decoder]

    def _make_networks(self) -> None:
        seed = self.settings.seed
        self._encoder = Network("encoder", self._encode, seed)
        self._decoder = Network("decoder", self._decode, seed)

    def _encode(self, images: tf.Tensor) -> tf.Tensor:
        settings = self.settings
        if settings.layers == "conv":
            return encode(2 * images - 1, settings.z_dim, settings.width)
        code = dense(images, settings.z_dim, "code", 1 / math.sqrt(images.shape[1:].num_elements()))
        return tf.sigmoid(code) if settings.activation == "sigmoid" else code

    def _decode(self, code: tf.Tensor) -> tf.Tensor:
        settings = self.settings
        side = settings.image_size
        if settings.layers == "conv":
            outputs = decode(code, side, settings.width)
            return outputs if settings.inputs == "binary" else tf.sigmoid(outputs)
        if settings.tied:
            (weight,) = (v for v in self._encoder.variables() if v.op.name.endswith("/weight"))
            outputs = transposed_affine(code, weight)
        else:
            outputs = dense(code, side * side * 3, "image", 1 / math.sqrt(settings.z_dim))
        return tf.reshape(outputs, [-1, side, side, 3])

    def encoder(self, images: tf.Tensor) -> tf.Tensor:
        """H: images [B, S, S, 3] in [0, 1] -> codes [B, d]."""
        return self._encoder(images)

    def decoder(self, code: tf.Tensor) -> tf.Tensor:
        """Codes [B, d] -> [B, S, S, 3]: x^ of real inputs, the logits of x^ of binary ones."""
        return self._decoder(tf.ensure_shape(code, [None, self.settings.z_dim]))

    def _build(self) -> None:
        """One iteration: encode, decode, a step of both, and the codes are kept."""
        self._make_networks()
        self._begin()
        settings, images = self.settings, self.inputs.images / 255
        code = self.encoder(images)
        outputs = self.decoder(code)
        self._reconstructed = pixels(outputs, settings.inputs)
        loss = tf.reduce_mean(losses(images, outputs, settings.inputs))
        error = tf.reduce_mean(tf.square(self._reconstructed - self.inputs.images), [1, 2, 3])
        self._record = {
            "loss": loss,
            "psnr": tf.reduce_mean(psnr(error)),
            "code_std": tf.sqrt(tf.reduce_mean(tf.math.reduce_variance(code, 0))),
        }
        self._codes = tf.get_variable(
            "codes", [self.num_images, settings.z_dim], initializer=tf.zeros_initializer(),
            trainable=False,
        )  # fmt: skip
        with tf.control_dependencies(list(self._record.values())):
            kept = tf.scatter_update(self._codes, self.inputs.index, code)
            self._update = tf.group(self._step(loss), kept)
        self._make_outputs(code)

    def _step(self, loss: tf.Tensor) -> tf.Operation:
        """A step of Adam of each network."""
        slower = ENCODER_RATE
        if self.settings.layers == "dense":  # whose steps add up over all pixels
            slower = 1 / math.sqrt(3) / self.settings.image_size
        parts = [network.variables() for network in self.networks]
        gradients = tf.gradients(loss, [v for part in parts for v in part])
        steps = []
        for part, share in zip(parts, (slower, 1.0), strict=True):
            optimizer = tf.train.AdamOptimizer(share * self.inputs.learning_rate)
            own, gradients = gradients[: len(part)], gradients[len(part) :]
            steps.append(optimizer.apply_gradients(zip(own, part, strict=True)))
        return tf.group(*steps, tf.assign_add(self._iteration, 1))

    def _make_outputs(self, code: tf.Tensor) -> None:
        """What users call, in the graph."""
        settings = self.settings
        centre = tf.reduce_mean(self._codes, 0)  # m
        apart = self._codes - centre
        covariance = tf.matmul(apart, apart, transpose_a=True) / self.num_images  # S
        least = JITTER * tf.linalg.trace(covariance) / settings.z_dim + JITTER**2
        factor = tf.linalg.cholesky(covariance + least * np.eye(settings.z_dim, dtype=np.float32))
        self._gauge = centre, factor
        self._z = tf.placeholder(tf.float32, [None, settings.z_dim], "z")
        self._generated = self._from_z(self._z, *self._gauge)
        self._inferred = self._to_z(code, *self._gauge)

    def _from_z(self, z: tf.Tensor, centre: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
        """The images in [0, 255] at h = m + L z."""
        code = centre + tf.matmul(z, factor, transpose_b=True)
        return pixels(self.decoder(code), self.settings.inputs)

    def _to_z(self, code: tf.Tensor, centre: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
        """Z = L^-1 (h - m)."""
        return tf.transpose(tf.linalg.triangular_solve(factor, tf.transpose(code - centre)))

    # What users call: numpy in, numpy out

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """X^ of images [n, S, S, 3] in [0, 255]: likewise, unclipped float32."""
        return self.in_groups(self._reconstructed, self.inputs.images, images)

    def infer(self, images: np.ndarray) -> np.ndarray:
        """Their codes as z, of which those of the training images are N(0, I): [n, d]."""
        return self.in_groups(self._inferred, self.inputs.images, images)

    def signatures(self) -> dict[str, Signature]:
        """For a SavedModel: `generate` and `infer`."""
        gauge = [tf.constant(value) for value in self.session.run(self._gauge)]
        self._make_networks()
        side, d = self.settings.image_size, self.settings.z_dim
        images = tf.placeholder(tf.float32, [None, side, side, 3], "images")
        z = tf.placeholder(tf.float32, [None, d], "z")
        inferred = self._to_z(self.encoder(images / 255), *gauge)
        told = {
            "z": f"float32 [n, {d}]: codes, of which those of the training images are N(0, I)",
            "images": f"float32 [n, {side}, {side}, 3], RGB in [0, 255]",
        }
        return {
            "generate": Signature({"z": z}, {"images": self._from_z(z, *gauge)}, told),
            "infer": Signature({"images": images}, {"z": inferred}, told),
        }


class AutoencoderExperiment(Experiment):
    """The autoencoder on a category of images."""

    name, word, says = "Autoencoder", "autoencoder", "An autoencoder"
    settings_class, model_class = AutoencoderSettings, Autoencoder
    abilities = ("reconstruct", "sample", "interpolate", "score", "infer")
    losses = [
        Chart(
            *("loss", "Reconstruction loss", "a sum over pixels, mean over the images", True),
            "Half the squared error of pixels in [0, 1], or their cross-entropy, which stays above"
            " 0 for grey ones. Should fall and level off.",
        )
    ]
    diagnostics = [
        Chart(
            *("psnr", "PSNR of the reconstructions", "mean over the images of the batch, dB"),
            advice="Should rise and level off.",
        ),
        Chart(
            *("code_std", "Width of the codes", "standard deviation in the batch", True),
            advice="Codes that run away, or fall together, would show here.",
        ),
    ]

    def own_arrays(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The codes."""
        return {"z": self.model.infer(self.evaluated)}

    @cached_property
    def digits(self) -> np.ndarray | None:
        """The digit of each image that is compared, if they are of the category digits."""
        return compared.digits_of(self.names[: compared.POINTS])

    @cached_property
    def views(self) -> dict[str, compared.View]:
        """The images by their codes, and by as many principal components."""
        model, most = self.model, compared.POINTS
        parts = {"learned": self.images[:most].astype(np.float32)}
        if len(self.held.names):
            parts["held_out"] = self.held.images.astype(np.float32)
        errors = {
            part: compared.error(images, model.reconstruct(images))
            for part, images in parts.items()
        }
        return {
            "code": compared.View(model.infer(parts["learned"]), errors),
            "principal_components": compared.principal_components(parts, self.settings.z_dim),
        }

    def own_pictures(self, arrays: dict[str, np.ndarray]) -> dict[str, Picture]:
        """The codes on their plane and, of digits, coloured, beside principal components."""
        shown = {"latent.png": png(latent_plane(arrays["z"], arrays["images"]))}
        if self.digits is not None and self.settings.z_dim > 1:
            named = {"Code": self.views["code"]}
            named["Principal components"] = self.views["principal_components"]
            shown["codes.png"] = png(compared.codes_by_digit(named, self.digits))
        return shown

    def own_figures(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """How close images come back, beside principal components."""
        return {"compression": {name: view.told(self.digits) for name, view in self.views.items()}}

    def own_sections(self) -> list[dict[str, Any]]:
        """The codes."""
        return [compared.LATENT, compared.CODES, compared.COMPRESSION]


def main(prog: str, arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    command.main(prog, __doc__ or "", AutoencoderExperiment, arguments)


load = Autoencoder.load
