"""Variational autoencoder (Kingma and Welling, ICLR 2014; Rezende et al., ICML 2014).

The model is GenNet's, Y = f(z) + eps, z ~ N(0, I_d), eps ~ N(0, sigma^2 I).  In place of sampling
p(z | Y), a second network infers q(z | Y) = N(mu(Y), diag s^2(Y)), and both learn by the evidence
lower bound

    log p(Y) >= ELBO = E_q log p(Y | z) - KL(q(z | Y) || N(0, I)),

with z = mu + s u, u ~ N(0, I), so that the gradient passes through z, and the KL in closed form.
Sigma is learned: the best one for a batch is the root of its mean squared error (Rybkin et al.,
"Simple and effective VAE training with calibrated decoders", ICML 2021).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy.special import logsumexp

import decoder_likelihood
import generator_pictures
import grey_levels
from baseline import Decoder, DecoderSettings, Experiment
from common import command, flags, streams
from common.console import doing
from common.experiment import Chart
from common.export import Signature
from common.flags import number, setting
from common.layers import Network
from common.likelihood import bits_per_dim
from common.quality import psnr
from common.run_folder import Picture, png
from common.session import tf
from common.streams import Stream
from convnets import decode, encode

EPOCHS, BATCH = 600, 64
ITERATION, IMAGE = 0.002, 0.004  # seconds of an iteration, and of each of its images of 64 x 64
LEAST = 1e-3  # of sigma, of images in [-1, 1]
BOUNDS = (1, 10, 100, 1000, 5000)  # draws of q(z | Y) of the importance-weighted bounds
BOUNDED = 4  # images of a part that these are of, at most: 6 s each
CHUNK = 64  # draws whose images are decoded at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAESettings(DecoderSettings):
    """What the variational autoencoder is told."""

    sigma: float | None = setting(
        None,
        number(LEAST, 100),
        "standard deviation of the noise on images in [-1, 1] (default: learned, in closed form)",
        group="model",
    )
    prior_reduction: bool = setting(
        True,
        flags.switch,
        "keep the codes of all images together at N(0, I), by moving their mean and width into the"
        " networks",
        group="learning",
    )
    num_epochs: int | None = flags.num_epochs(str(EPOCHS), "about 2 minutes")
    batch_size: int | None = flags.batch_size(str(BATCH))
    output_dir: Any = flags.output_dir("VAE")

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two cores, roughly."""
        image = IMAGE * (self.image_size / 64) ** 2
        return (ITERATION + image * batch) * (self.width / 32) ** 2

    def resolved(self, num_images: int) -> VAESettings:
        """These settings with nothing left open, for a number of images to learn."""
        return self.filled(num_images, EPOCHS, BATCH)


class VAE(Decoder):
    """The model.  Images are in [0, 255] outside, and in [-1, 1] inside."""

    settings_class = VAESettings

    @property
    def networks(self) -> list[Network]:
        """Encoder and decoder."""
        return [self._encoder, self._decoder]

    def _make_networks(self) -> None:
        settings = self.settings
        self._encoder = Network(
            "encoder", lambda x: encode(x, 2 * settings.z_dim, settings.width), settings.seed
        )
        self._decoder = Network(
            "decoder", lambda z: decode(z, settings.image_size, settings.width), settings.seed
        )

    def generator(self, z: tf.Tensor) -> tf.Tensor:
        """f(z): [B, d] -> images [B, S, S, 3] in [-1, 1]."""
        return tf.nn.tanh(self._decoder(z))

    def posterior(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mu and log s of q(z | Y), [B, d] each, of images [B, S, S, 3] in [-1, 1]."""
        mean, log_std = tf.split(self._encoder(images), 2, 1)
        return mean, log_std

    @staticmethod
    def divergence(mean: tf.Tensor, log_std: tf.Tensor) -> tf.Tensor:
        """KL(N(mean, diag std^2) || N(0, I)), nats, [B]."""
        return tf.reduce_sum((mean**2 + tf.exp(2 * log_std) - 1) / 2 - log_std, 1)

    def _build(self) -> None:
        """One iteration: infer, decode, a step of both networks, and the gauge of z."""
        self._make_networks()
        self._begin()
        settings, size = self.settings, self.settings.image_size**2 * 3
        images = self.inputs.images / 127.5 - 1
        mean, log_std = self.posterior(images)
        step = tf.cast(self._iteration, tf.int32)
        key = streams.key(settings.seed, Stream.INFERENCE, step)
        noise = tf.random.stateless_normal(tf.shape(mean), key)
        generated = self.generator(mean + tf.exp(log_std) * noise)
        error = tf.reduce_sum(tf.square(images - generated), [1, 2, 3])  # [B]
        if settings.sigma is None:
            variance = tf.stop_gradient(tf.maximum(tf.reduce_mean(error) / size, LEAST**2))
        else:
            variance = tf.constant(settings.sigma**2)
        log_likelihood = -error / (2 * variance) - size / 2 * tf.math.log(2 * np.pi * variance)
        reconstruction = -tf.reduce_mean(log_likelihood)
        divergence = tf.reduce_mean(self.divergence(mean, log_std))
        loss = reconstruction + divergence
        self._record = {
            "loss": loss,
            "reconstruction": reconstruction,
            "kl": divergence,
            "psnr": tf.reduce_mean(psnr(error / size * 127.5**2)),
            "sigma": tf.sqrt(variance) * 127.5,
            "code_std": tf.sqrt(tf.reduce_mean(self._moments(mean, log_std)[1])),
        }
        optimizer = tf.train.AdamOptimizer(self.inputs.learning_rate)
        with tf.control_dependencies(list(self._record.values())):
            step = optimizer.minimize(loss, self._iteration)
        self._update = step
        if settings.prior_reduction:
            moments = self._moments(mean, log_std)
            with tf.control_dependencies([step]):
                self._update = self._reduce_prior(*moments)
        self._make_outputs()

    @staticmethod
    def _moments(mean: tf.Tensor, log_std: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of the aggregate of q(z | Y) over a batch, [d] each."""
        centre = tf.reduce_mean(mean, 0)
        spread = tf.reduce_mean(tf.square(mean - centre) + tf.exp(2 * log_std), 0)
        return centre, spread

    def _reduce_prior(self, centre: tf.Tensor, variance: tf.Tensor) -> tf.Operation:
        """Move the aggregate posterior towards N(0, I), every output staying as it is.

        z = l z' + m: the encoder gives (mu - m) / l and s / l, and the first layer of the decoder
        takes l and m up, as in GenNet (Liu, Rubin and Wu, 1998).  Where a batch is a part of all
        images, it moves by that part of the way.  Without it, few images escape: nothing but the
        KL, a few nats, holds their codes to where samples are drawn.
        """
        share = min(1.0, self.settings.batch_size / self.num_images)
        centre = share * centre
        log_width = share * tf.math.log(variance) / 2
        variables = {v.op.name: v for network in self.networks for v in network.variables()}
        code, project = (
            [variables[f"{layer}/{name}"] for name in ("weight", "bias")]
            for layer in ("encoder/code", "decoder/project")
        )
        width = tf.exp(log_width)
        scale = tf.concat([1 / width, tf.ones_like(width)], 0)  # [2 d]
        shift = tf.concat([centre / width, log_width], 0)
        moved = [
            (code[0], code[0] * scale),
            (code[1], code[1] * scale - shift),
            (project[0], project[0] * width[:, None]),
            (project[1], project[1] + tf.linalg.matvec(project[0], centre, transpose_a=True)),
        ]
        with tf.control_dependencies([value for _, value in moved]):  # all from the old values
            return tf.group([variable.assign(value) for variable, value in moved])

    def _make_outputs(self) -> None:
        """What users call, in the graph."""
        settings = self.settings
        self._z = tf.placeholder(tf.float32, [None, settings.z_dim], "z")
        self._generated = (self.generator(self._z) + 1) * 127.5
        self._inferred = self.posterior(self.inputs.images / 127.5 - 1)
        self._sigma = tf.placeholder(tf.float32, [], "sigma")
        self._log_likelihood = grey_levels.gaussian(
            self.inputs.images, self._generated, self._sigma
        )

    # What users call: numpy in, numpy out

    def infer(self, images: np.ndarray) -> np.ndarray:
        """The means of q(z | Y) of images [n, S, S, 3] in [0, 255]: [n, d]."""
        return self.in_groups(self._inferred[0], self.inputs.images, images)

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """f(mu(Y)) of images [n, S, S, 3] in [0, 255], likewise."""
        return self.generate(self.infer(images))

    def log_weights(self, images: np.ndarray, sigma: float, draws: int) -> np.ndarray:
        """Log p(Y, z) - log q(z | Y) at draws of q(z | Y), nats: [n, draws].

        Their mean over draws is an ELBO; the mean over groups of K of the logarithm of the mean of
        their exponentials is the importance-weighted bound (Burda et al., ICLR 2016).

        Args:
            images: [n, S, S, 3], whole numbers in [0, 255]; p is integrated over grey levels.
            sigma: of the noise, in grey levels.
            draws: of each image.
        """
        rng = streams.generator(self.settings.seed, Stream.POSTERIOR)
        weights = []
        for image, mean, log_std in zip(images, *self._posteriors(images), strict=True):
            noise = rng.normal(size=(draws, self.settings.z_dim))
            z = mean + np.exp(log_std) * noise
            fed = {self.inputs.images: image[None], self._sigma: sigma}
            parts = [
                self.session.run(self._log_likelihood, {**fed, self._z: z[i : i + CHUNK]})
                for i in range(0, draws, CHUNK)
            ]
            weights.append(np.concatenate(parts) + ((noise**2 - z**2) / 2 + log_std).sum(1))
        return np.array(weights)

    def _posteriors(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            self.in_groups(part, self.inputs.images, images).astype(np.float64)
            for part in self._inferred
        ]
        return parts[0], parts[1]

    def signatures(self) -> dict[str, Signature]:
        """For a SavedModel: `generate` and `infer`."""
        self._make_networks()
        side, d = self.settings.image_size, self.settings.z_dim
        z = tf.placeholder(tf.float32, [None, d], "z")
        images = tf.placeholder(tf.float32, [None, side, side, 3], "images")
        told = {
            "z": f"float32 [n, {d}], of the prior N(0, I)",
            "images": f"float32 [n, {side}, {side}, 3], RGB in [0, 255]",
        }
        mean, log_std = self.posterior(images / 127.5 - 1)
        about = {"z": "float32: the mean", "std": "float32: the standard deviation, of q(z | Y)"}
        return {
            "generate": Signature({"z": z}, {"images": (self.generator(z) + 1) * 127.5}, told),
            "infer": Signature({"images": images}, {"z": mean, "std": tf.exp(log_std)}, about),
        }


def importance_weighted(log_weights: np.ndarray, draws: int) -> np.ndarray:
    """The importance-weighted bounds on log p(Y) with so many draws, nats: [n], of [n, all]."""
    count = log_weights.shape[1] // draws
    groups = log_weights[:, : count * draws].reshape(len(log_weights), count, draws)
    return (logsumexp(groups, 2) - np.log(draws)).mean(1)


class VAEExperiment(Experiment):
    """The variational autoencoder on a category of images."""

    name, word, says = "VAE", "vae", "A variational autoencoder"
    settings_class, model_class = VAESettings, VAE
    abilities = ("reconstruct", "sample", "interpolate", "score", "infer")
    losses = [
        Chart(
            *("loss", "Negative evidence lower bound", "−ELBO, nats an image", False),
            "Should fall and level off.",
        )
    ]
    diagnostics = [
        Chart(
            *("reconstruction", "Reconstruction term", "−E log p(Y | z), nats an image", False),
            "What of the bound is reconstruction: density of images in [−1, 1].",
        ),
        Chart(
            *("kl", "KL term", "KL(q(z | Y) ‖ N(0, I)), nats an image", False),
            "What of the bound is the price of the codes. Near 0, they would say nothing.",
        ),
        Chart("psnr", "PSNR of f(z) at draws of q(z | Y)", "mean over the images, dB"),
        Chart("sigma", "Noise of the decoder", "σ, grey levels", True),
        Chart(
            *("code_std", "Width of all codes together", "standard deviation, 1 in the prior"),
            advice="Far from 1, samples of the prior miss the codes of the images.",
        ),
    ]

    def own_arrays(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The codes."""
        return {"z": self.model.infer(self.evaluated)}

    def own_pictures(self, arrays: dict[str, np.ndarray]) -> dict[str, Picture]:
        """The codes on their plane."""
        plane = generator_pictures.latent_plane(arrays["z"], arrays["images"])
        return {"latent.png": png(plane)}

    def own_figures(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """Where the codes lie."""
        z = arrays["z"]
        return {"z_mean": z.mean(0).tolist(), "z_std": z.std(0).tolist()}

    def own_sections(self) -> list[dict[str, Any]]:
        """The codes, and the bounds."""
        return [LATENT, BOUNDS_TABLE]

    def likelihood(self) -> dict[str, Any] | None:
        """Exact of a plane, and the bounds at the same sigma."""
        if self.settings.z_dim != 2:
            return None
        parts, names = self.measured()
        told = decoder_likelihood.figures(self.model.generate, parts, names, self.codes(parts))
        with doing("Importance-weighted bounds"):
            bounds: dict[str, dict[str, float]] = {}
            for part, images in parts.items():
                weights = self.model.log_weights(images[:BOUNDED], told["sigma"], BOUNDS[-1])
                for draws in BOUNDS:
                    bits = bits_per_dim(importance_weighted(weights, draws), images[0].size)
                    name = f"{'ELBO' if draws == 1 else f'{draws} draws'} of the first {BOUNDED}"
                    bounds.setdefault(name, {})[part] = float(bits.mean())
                exact = [told[part]["by_image"][name] for name in names[part][:BOUNDED]]
                bounds.setdefault(f"exact of the first {BOUNDED}", {})[part] = float(np.mean(exact))
        return told | {"bounds": bounds}


LATENT: dict[str, Any] = {
    "kind": "picture",
    "title": "The codes of the training images",
    "picture": "latent.png",
    "alt": "Training images where the means of q(z | Y) lie",
    "caption": "Every training image at the mean of q(z | Y).",
}
BOUNDS_TABLE: dict[str, Any] = {
    "kind": "table",
    "title": "Bounds on the likelihood",
    "caption": f"The evidence lower bound, and the importance-weighted one with more and more draws"
    f" of q(z | Y), in bits per dimension, of the first {BOUNDED} images: they come down to the"
    " exact figure where q is good.",
    "file": "likelihood.json",
    "row": "bound",
    "columns": [
        {"path": ["bounds", "*", part], "heading": heading}
        for part, heading in (("learned", "learned"), ("held_out", "held out"))
    ],
}


def main(prog: str, arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    command.main(prog, __doc__ or "", VAEExperiment, arguments)


load = VAE.load
