"""Denoising autoencoder (Vincent et al., ICML 2008; JMLR 2010).

An autoencoder is given a corrupted image and learns to give back the clean one:

    h = sigm(b + W x~),  x^ = c + W^T h for real inputs, sigm(c + W^T h) for binary ones,

with the loss of an autoencoder, between x^ and the clean x.  It may have more hidden units than
pixels and still not copy its input, for what is added to it cannot be copied.  It learns patches:
an image is denoised patch by patch, and each of its pixels is the mean of what all patches that it
is in make of it.  A twin learns the same patches without noise, to show what noise does for the
filters W.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

import denoising_pictures as pictures
from baseline import Baseline, Experiment, Settings
from common import command, flags, quality, streams
from common.experiment import Chart
from common.export import Signature
from common.flags import SettingsError, choice, number, setting, whole
from common.layers import Network, dense
from common.quality import psnr
from common.run_folder import Picture
from common.session import tf
from common.streams import Stream
from reconstruction import WHITE, inputs_field, losses, pixels, transposed_affine

NOISES = ("gaussian", "masking", "salt_and_pepper")
PATCH = 12  # pixels: side of a patch of larger images
UNITS = 144  # hidden
PATCHES = 256  # in an iteration, about
EPOCHS, BATCH = 6000, 128
# Seconds on two cores of an iteration, of each of its images, and of a patch of PATCH pixels in it.
ITERATION, IMAGE, EACH = 0.003, 1e-5, 1.2e-5
START = 0.01  # standard deviation of the weights: what is seen in a filter was learned
GROUP = 4096  # patches that are computed at once outside of learning


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenoisingSettings(Settings):
    """What the denoising autoencoder is told."""

    noise: str = setting(
        "gaussian",
        choice(NOISES),
        "that corrupts pixels, in each channel, or in grey images all alike: gaussian is added,"
        " masking makes them black, salt_and_pepper black or white",
        group="model",
    )
    noise_level: float = setting(
        0.3,
        number(0.001, 1),
        "standard deviation of gaussian noise on pixels in [0, 1], or the share of the pixels that"
        " are masked, or salt and pepper",
        group="model",
    )
    z_dim: int = setting(
        UNITS, whole(1, 4096), "hidden units, of which each has a filter", group="model"
    )
    patch_size: int | None = setting(
        None,
        whole(2, 512),
        f"side of the patches that it learns, in pixels (default: all of an image, or {PATCH})",
        group="model",
    )
    tied: bool = setting(
        True, flags.switch, "the decoder has the encoder's weight, transposed", group="model"
    )
    inputs: str = inputs_field("binary")
    learning_rate: float = setting(
        0.003, number(1e-9, 10), "learning rate of Adam, at the beginning", group="learning"
    )
    num_epochs: int | None = flags.num_epochs(str(EPOCHS), "about 2 minutes")
    batch_size: int | None = flags.batch_size(str(BATCH))
    output_dir: Any = flags.output_dir("DenoisingAutoencoder")

    def resolved(self, num_images: int) -> DenoisingSettings:
        """These settings with nothing left open, for a number of images to learn.

        Raises:
            SettingsError: a patch is larger than an image.
        """
        side = self.patch_size or min(self.image_size, PATCH)
        if side > self.image_size:
            raise SettingsError(
                f"--patch_size {side} is more than the {self.image_size} pixels of an image: choose"
                f" 2 to {self.image_size}, or leave it out"
            )
        return dataclasses.replace(self, patch_size=side).filled(num_images, EPOCHS, BATCH)

    def patches_of(self, batch: float) -> int:
        """Patches of an image in an iteration of so many images: one if it is the image."""
        return 1 if self.patch_size == self.image_size else math.ceil(PATCHES / batch)

    def iteration_seconds(self, batch: float) -> float:
        """What an iteration of so many images takes on two cores, roughly."""
        size = ((self.patch_size or PATCH) / PATCH) ** 2 * self.z_dim / UNITS
        return ITERATION + batch * (IMAGE + EACH * size * self.patches_of(batch))


def corrupt(images: tf.Tensor, noise: str, level: float, key: tf.Tensor) -> tf.Tensor:
    """X~ of images [B, S, S, 3] in [0, 1], which gaussian noise may leave.

    Args:
        images: x.
        noise: gaussian, masking or salt_and_pepper.
        level: see the settings.
        key: int32 [2].
    """
    # Three draws of the noise of a grey pixel would give most of it away.
    is_grey = tf.reduce_all(tf.equal(images, images[..., :1]), [1, 2, 3], keepdims=True)
    draw = tf.random.stateless_normal if noise == "gaussian" else tf.random.stateless_uniform
    drawn = draw(tf.shape(images), key)
    drawn = tf.where_v2(is_grey, drawn[..., :1], drawn)
    if noise == "gaussian":
        return images + level * drawn
    if noise == "masking":
        return tf.where_v2(drawn < level, 0.0, images)
    return tf.where_v2(drawn < level / 2, 0.0, tf.where_v2(drawn < level, 1.0, images))


def cut_out(images: tf.Tensor, side: int, each: int, key: tf.Tensor) -> tf.Tensor:
    """Patches anywhere in images [B, S, S, 3], so many of each: [B each, side, side, 3].

    Args:
        images: of a known side S.
        side: of a patch.
        each: patches of an image.
        key: int32 [2].
    """
    images = tf.repeat(images, each, 0)
    free = images.shape[1] - side + 1
    corners = tf.random.stateless_uniform([tf.shape(images)[0], 2], key, 0, free, tf.int32)
    places = corners[:, :, None] + tf.range(side)  # [B each, 2, side]
    rows = tf.gather(images, places[:, 0], axis=1, batch_dims=1)
    return tf.gather(rows, places[:, 1], axis=2, batch_dims=1)


class Halves:
    """An encoder and a decoder of patches."""

    def __init__(self, scope: str, settings: DenoisingSettings) -> None:
        """Describe them.

        Args:
            scope: of the variables.
            settings: resolved.
        """
        self._settings = settings
        self.encoder = Network(f"{scope}encoder", self._encode, settings.seed)
        self.decoder = Network(f"{scope}decoder", self._decode, settings.seed)

    def _encode(self, patches: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(dense(patches, self._settings.z_dim, "code", START))

    def _decode(self, code: tf.Tensor) -> tf.Tensor:
        side = self._settings.patch_size or 0
        if self._settings.tied:
            outputs = transposed_affine(code, self.weight)
        else:
            outputs = dense(code, side * side * 3, "image", START)
        return tf.reshape(outputs, [-1, side, side, 3])

    def __call__(self, patches: tf.Tensor) -> tf.Tensor:
        """X^ of real inputs, the logits of x^ of binary ones, of patches [B, p, p, 3]."""
        return self.decoder(self.encoder(patches))

    @property
    def weight(self) -> tf.Variable:
        """W [p p 3, units]."""
        return next(v for v in self.encoder.variables() if v.op.name.endswith("/weight"))


class DenoisingAutoencoder(Baseline):
    """The model.  Images are in [0, 255] outside, and in [0, 1] inside."""

    settings_class = DenoisingSettings

    @property
    def networks(self) -> list[Network]:
        """Encoder and decoder; the twin, which is for comparison, is none of the model."""
        return [self._halves.encoder, self._halves.decoder]

    def _build(self) -> None:
        """One iteration: patches, corrupted, a step of the model, and one of its twin."""
        settings = self.settings
        self._halves, self._twin = Halves("", settings), Halves("twin_", settings)
        self._begin()
        step = tf.cast(self._iteration, tf.int32)
        place = streams.key(settings.seed, Stream.PATCHES, step)
        each = settings.patches_of(settings.batch_size)
        patches = cut_out(self.inputs.images / WHITE, settings.patch_size, each, place)
        key = streams.key(settings.seed, Stream.DATA_NOISE, step)
        corrupted = corrupt(patches, settings.noise, settings.noise_level, key)
        outputs, twin_outputs = self._halves(corrupted), self._twin(patches)
        loss, twin_loss = (
            tf.reduce_mean(losses(patches, made, settings.inputs))
            for made in (outputs, twin_outputs)
        )
        error = tf.reduce_mean(tf.square(pixels(outputs, settings.inputs) - WHITE * patches))
        self._record = {"loss": loss, "twin_loss": twin_loss, "psnr": psnr(error)}
        with tf.control_dependencies(list(self._record.values())):
            optimizer = tf.train.AdamOptimizer(self.inputs.learning_rate)
            self._update = optimizer.minimize(loss + twin_loss, self._iteration)
        self._make_outputs()

    def _make_outputs(self) -> None:
        """What users call, in the graph."""
        settings = self.settings
        side = settings.patch_size
        self._patches = tf.placeholder(tf.float32, [None, side, side, 3], "patches")
        self._denoised, self._copied = (
            halves(self._patches / WHITE) for halves in (self._halves, self._twin)
        )
        self._weights = self._halves.weight, self._twin.weight
        self._number = tf.placeholder(tf.int32, [], "number")
        key = streams.key(settings.seed, Stream.CORRUPTION, self._number)
        images = self.inputs.images / WHITE
        self._corrupted = WHITE * corrupt(images, settings.noise, settings.noise_level, key)

    # What users call: numpy in, numpy out

    def corrupt(self, images: np.ndarray, number: int = 0) -> np.ndarray:
        """Images [n, S, S, 3] in [0, 255] with the noise of the settings: likewise, unclipped.

        Args:
            images: the clean ones.
            number: of the draw; the same one is always the same.
        """
        feed = {self.inputs.images: images, self._number: number}
        return self.session.run(self._corrupted, feed)

    def denoise(self, images: np.ndarray, twin: bool = False) -> np.ndarray:
        """X^ of images [n, S, S, 3] in [0, 255], each pixel a mean over patches: likewise.

        Args:
            images: corrupted, or clean.
            twin: by the one that has learned without noise.
        """
        fetch = self._copied if twin else self._denoised
        side = self.settings.patch_size
        many = (images.shape[1] - side + 1) ** 2
        size = max(1, GROUP // many)
        means = [
            averaged(images[i : i + size], side, lambda patches: self._run(fetch, patches))
            for i in range(0, len(images), size)
        ]
        outputs = np.concatenate(means)
        if self.settings.inputs == "binary":
            return WHITE / (1 + np.exp(-outputs))
        return WHITE * outputs

    def _run(self, fetch: tf.Tensor, patches: np.ndarray) -> np.ndarray:
        return self.session.run(fetch, {self._patches: patches})

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """X^ of clean images [n, S, S, 3] in [0, 255]: likewise."""
        return self.denoise(images)

    def filters(self, twin: bool = False) -> np.ndarray:
        """The filters of the hidden units, columns of W as patches: [units, p, p, 3]."""
        side = self.settings.patch_size
        return self.session.run(self._weights[twin]).T.reshape(-1, side, side, 3)

    def signatures(self) -> dict[str, Signature]:
        """For a SavedModel: `denoise`, of patches."""
        halves, side = Halves("", self.settings), self.settings.patch_size
        patches = tf.placeholder(tf.float32, [None, side, side, 3], "patches")
        denoised = pixels(halves(patches / WHITE), self.settings.inputs)
        told = {
            "patches": f"float32 [n, {side}, {side}, 3], RGB in [0, 255]",
            "denoised": "float32, likewise",
        }
        return {"denoise": Signature({"patches": patches}, {"denoised": denoised}, told)}


def averaged(images: np.ndarray, side: int, make: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What is made of all patches of images, each pixel the mean over those that it is in.

    Args:
        images: [n, S, S, 3].
        side: of the patches.
        make: patches [m, side, side, 3] -> likewise.

    Returns:
        [n, S, S, 3].
    """
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), (1, 2))
    places = windows.shape[1]  # of a patch along an axis
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, side, side, 3)
    made = make(patches).reshape(-1, places, places, side, side, 3)
    total = np.zeros(images.shape, np.float32)
    count = np.zeros([*images.shape[1:3], 1], np.float32)
    for y in range(side):
        for x in range(side):
            total[:, y : y + places, x : x + places] += made[:, :, :, y, x]
            count[y : y + places, x : x + places] += 1
    return total / count


class DenoisingExperiment(Experiment):
    """The denoising autoencoder on a category of images."""

    name, word, says = "DenoisingAutoencoder", "denoising", "A denoising autoencoder"
    settings_class, model_class = DenoisingSettings, DenoisingAutoencoder
    abilities = ("reconstruct",)
    losses = [
        Chart(
            *(
                "loss",
                "Denoising loss",
                "a sum over the pixels of a patch, mean over patches",
                True,
            ),
            "Half the squared error of pixels in [0, 1], or their cross-entropy, to the clean"
            " patch. Should fall and level off.",
        )
    ]
    diagnostics = [
        Chart(
            *("twin_loss", "Loss of the twin without noise", "as above", True),
            advice="Far lower: there is nothing to tell apart from noise.",
        ),
        Chart("psnr", "PSNR of denoised patches", "of the mean squared error, dB"),
    ]

    @cached_property
    def denoised(self) -> dict[str, pictures.Denoised]:
        """By part, the images, corrupted, and what the model and its twin make of them."""
        parts = {"learned": self.evaluated}
        if len(self.held.names):
            parts["held_out"] = self.held.images.astype(np.float32)
        made = {}
        for draw, (part, images) in enumerate(parts.items()):
            corrupted = self.model.corrupt(images, draw)
            denoised = [self.model.denoise(corrupted, twin) for twin in (False, True)]
            made[part] = pictures.Denoised(images, corrupted, *denoised)
        return made

    def own_arrays(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What was denoised, and the filters."""
        learned = self.denoised["learned"]
        return {
            "corrupted": learned.corrupted,
            "denoised": learned.denoised,
            "filters": self.model.filters(),
            "twin_filters": self.model.filters(twin=True),
        }

    def own_pictures(self, arrays: dict[str, np.ndarray]) -> dict[str, Picture]:
        """Images denoised, and the filters."""
        shown = {"filters.png": pictures.filters(arrays["filters"], arrays["twin_filters"])}
        for part, images in self.denoised.items():
            shown[pictures.FILES[part]] = pictures.denoised(images)
        return shown

    def own_figures(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """PSNR of the corrupted images, and of what comes of them."""
        return {
            "denoising": {
                part: {
                    name: float(quality.psnr_and_ssim(made, images.images)[0].mean())
                    for name, made in images._asdict().items()
                    if name != "images"
                }
                for part, images in self.denoised.items()
            }
        }

    def own_sections(self) -> list[dict[str, Any]]:
        """Images denoised, how well, and the filters."""
        return [*pictures.SECTIONS.values(), pictures.TABLE, pictures.FILTERS]


def main(prog: str, arguments: list[str] | None = None) -> None:
    """Run the command line; a mistake of the user's ends it with a sentence and exit code 2."""
    command.main(prog, __doc__ or "", DenoisingExperiment, arguments)


load = DenoisingAutoencoder.load
