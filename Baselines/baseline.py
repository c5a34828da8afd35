"""What all baselines share: their settings, how they learn, and what a run of one shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import baseline_pictures as pictures
import decoder_likelihood
import latents
from common import datasets, experiment, flags, guard, likelihood, naturalness, quality
from common.cluster import ClusterError
from common.console import doing, timed
from common.datasets import Dataset
from common.experiment import Results
from common.flags import number, setting, whole
from common.model import LearningError, Model, Record
from common.run import Run
from common.run_folder import Learned, Picture
from common.session import tf
from common.shards import Shard

SAMPLES = 64  # that a run shows, and is measured by
SECONDS = 90.0  # of learning that a default run may take: it ends within two minutes
GROUP = 64  # images that are computed at once outside of learning


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(flags.Settings):
    """What every baseline is told; None where `resolved` chooses."""

    image_size: int = setting(64, whole(8, 512, 4), "side S, in pixels", group="model")
    learning_rate: float = setting(
        0.001, number(1e-9, 10), "learning rate of Adam, at the beginning", group="learning"
    )
    decay: float = setting(
        0.5,
        number(0, 1),
        "share of the run, at its end, in which the learning rate falls to 0",
        group="learning",
    )
    holdout: list[str] | None = flags.holdout("measured beside the others")
    category: str = flags.category("lion_tiger")

    def rate(self, progress: float) -> float:
        """The learning rate when this share of the run is done."""
        return self.learning_rate * min(1.0, (1 - progress) / self.decay if self.decay else 1.0)

    def resolved(self, num_images: int) -> Any:
        """These settings with nothing left open, for a number of images to learn.

        Raises:
            SettingsError: the settings do not go together, or with the number of images.
        """
        raise NotImplementedError

    def filled(self, num_images: int, epochs: int, batch: int) -> Any:
        """These settings with the epochs and the batch size filled in.

        Args:
            num_images: that are learned.
            epochs: at most, of few images.
            batch: images in an iteration, at most.
        """
        batch = self.batch_size_of(num_images, batch)
        epochs = self.epochs_of(num_images, epochs, batch, SECONDS)
        chosen: dict[str, Any] = {"num_epochs": epochs, "batch_size": batch}
        return dataclasses.replace(self, **chosen)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderSettings(Settings):
    """What a model of z with convolutions is told besides."""

    z_dim: int = setting(2, whole(1, 512), "dimensions d of the latent vector z", group="model")
    width: int = setting(
        32,
        whole(1, 1024),
        "channels of the widest layers; each layer above has twice as many",
        group="model",
    )


class Inputs(NamedTuple):
    """What an iteration is fed."""

    images: tf.Tensor  # [B, S, S, 3] in [0, 255]
    index: tf.Tensor  # [B] int32: which of the images they are
    learning_rate: tf.Tensor  # scalar

    @classmethod
    def placeholders(cls, image_size: int) -> Inputs:
        """In the current graph."""
        return cls(
            tf.placeholder(tf.float32, [None, image_size, image_size, 3], "images"),
            tf.placeholder(tf.int32, [None], "index"),
            tf.placeholder(tf.float32, [], "learning_rate"),
        )


class Baseline(Model):
    """A model of images [N, S, S, 3] in [0, 255].

    `_build` of a model makes `inputs`, `_update`, the operation of a step, and `_record`, the
    numbers of an iteration, of which one is called loss.
    """

    settings: Any
    inputs: Inputs
    _iteration: tf.Variable
    _update: tf.Operation
    _record: dict[str, tf.Tensor]

    def __init__(self, settings: Any, num_images: int) -> None:
        """Describe the model; `build_model` builds it.

        Args:
            settings: of the model; what they leave open is resolved here.
            num_images: N, how many training images there are.

        Raises:
            SettingsError: the settings do not go together.
        """
        self.settings = settings.resolved(num_images)
        self.num_images = num_images
        self.shard = Shard((num_images,))

    @classmethod
    def remade(cls, learned: Learned) -> Any:
        """The model of a run, from what its folder holds."""
        return cls(learned.settings, len(learned.names))

    def _begin(self) -> None:
        """Make what the graph of every model has."""
        self._iteration = tf.train.get_or_create_global_step()
        self.inputs = Inputs.placeholders(self.settings.image_size)

    def _build_learning(self) -> None:
        """Nothing: the graphs of baselines are small, and `_build` makes all."""

    def train(self, images: np.ndarray, num_epochs: int | None = None) -> Iterator[Record]:
        """Learn until the epochs are done, yielding a record an iteration.

        Args:
            images: [N, S, S, 3] in [0, 255], always in the same order.
            num_epochs: when to stop, counted from the first iteration ever; by default that of
                the settings.

        Yields:
            iteration, loss, and other numbers of the model.

        Raises:
            LearningError: the loss is no finite number.
        """
        total = self.shard.iterations(self.settings, num_epochs)
        first = int(self.session.run(self._iteration))
        for iteration, index, batch in self.shard.batches(images, self.settings, first, total):
            feed = {
                self.inputs.images: batch,
                self.inputs.index: index,
                self.inputs.learning_rate: self.settings.rate(iteration / total),
            }
            record = self._iterate(feed, iteration, total)
            if not np.isfinite(record["loss"]):
                raise LearningError(
                    f"learning diverges at iteration {iteration + 1}: choose a smaller"
                    " --learning_rate, and leave out --resume."
                )
            yield {"iteration": iteration + 1, **{k: float(v) for k, v in record.items()}}

    def _iterate(self, feed: dict, iteration: int, total: int) -> Record:
        """Do an iteration, counted from 0, of so many in all."""
        _, record = self.session.run([self._update, self._record], feed)
        return record

    def in_groups(self, fetch: tf.Tensor, place: tf.Tensor, values: np.ndarray) -> np.ndarray:
        """What `fetch` is for values [n, ...], fed to `place` GROUP at a time: [n, ...]."""
        parts = [
            self.session.run(fetch, {place: values[i : i + GROUP]})
            for i in range(0, len(values), GROUP)
        ]
        return np.concatenate(parts)


class Decoder(Baseline):
    """A model that makes images of z, which in samples is N(0, I_d).

    `_build` makes `_z`, the placeholder of z [n, d], and `_generated`, the images in [0, 255].
    """

    _z: tf.Tensor
    _generated: tf.Tensor

    def generate(self, z: np.ndarray) -> np.ndarray:
        """The images at z [n, d]: [n, S, S, 3] in [0, 255], unclipped float32."""
        return self.in_groups(self._generated, self._z, z)

    def draw_z(self, n: int) -> np.ndarray:
        """N draws of the prior, z ~ N(0, I): [n, d], the first ones always the same."""
        return latents.draw(n, self.settings.z_dim, self.settings.seed)

    def sample(self, n: int) -> np.ndarray:
        """N images at z ~ N(0, I): [n, S, S, 3] in [0, 255], the first ones always the same."""
        return self.generate(self.draw_z(n))

    def interpolate(self, n: int = 8, reach: float = 2.0) -> np.ndarray:
        """Images at z on the grid of `latents.plane`: [n n, S, S, 3] in [0, 255]."""
        return self.generate(latents.plane(self.settings.z_dim, n, reach))


class Experiment(experiment.Experiment):
    """A baseline on a category of images.

    What a model has of `reconstruct`, `sample`, `interpolate`, `log_prob` and, with a z of two
    dimensions, `generate` decides what is shown and measured.

    Attributes:
        word: of the model on the command line.
        model_class: of the model.
        says: what it is, for the report's sentence: "A variational autoencoder".
    """

    word: ClassVar[str]
    model_class: ClassVar[type[Baseline]]
    says: ClassVar[str]
    baseline = "the mean image"
    learner: Any
    model: Any

    def __init_subclass__(cls) -> None:
        """The words of its command line."""
        if hasattr(cls, "word"):
            cls.command_line = ["Baselines/main.py", cls.word]

    def __init__(self, settings: Settings, data: Dataset, shard: Shard) -> None:
        """Divide the category into what is learned and what is held out, and build the model."""
        if shard.cluster.size > 1:
            raise ClusterError("baselines are learned by one worker: start them without a cluster")
        learned, held = datasets.split(data, settings.holdout)
        self.images, self.names = learned.images, learned.names
        most = experiment.EVALUATED
        self.held = Dataset(held.images[:most], held.names[:most], [])
        self.constants: dict[str, Any] = {}
        self.evaluated = self.images[:most].astype(np.float32)
        self.model = self.learner = self.model_class(settings, len(self.names))
        self.model.build_model()

    def describe(self) -> str:
        """The model and its size."""
        return f"{self.says.lower()} of {self.model.num_parameters / 1e6:.2f} million parameters"

    def sentence(self) -> str:
        """What was learned."""
        return f"{self.says}, learned from {len(self.names)} images of {self.settings.category}"

    @property
    def settings(self) -> Any:
        """Of the model, resolved."""
        return self.model.settings

    def train(self) -> Iterator[Record]:
        """The iterations of learning."""
        return self.learner.train(self.images)

    def progress(self) -> Figure:
        """The first images over their reconstructions; of a model without, samples."""
        if "reconstruct" in self.abilities:
            first = self.evaluated[: pictures.COLUMNS]
            return pictures.reconstruction_panel(first, self.model.reconstruct(first))
        return pictures.samples_panel(self.model.sample(2 * pictures.COLUMNS), pictures.COLUMNS)

    # What a model adds

    def own_arrays(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays of results.npz besides those that models are compared by."""
        return {}

    def own_pictures(self, arrays: dict[str, np.ndarray]) -> dict[str, Picture]:
        """Pictures besides those that every model with the ability has."""
        return {}

    def own_figures(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """Figures of metrics.json besides those that models are compared by."""
        return {}

    def own_sections(self) -> list[dict[str, Any]]:
        """Sections of the report after the common ones; of pictures, if they are shown."""
        return []

    def likelihood(self) -> dict[str, Any] | None:
        """What likelihood.json says, of 8-bit images learned and held out; None: it has none.

        Of a decoder of a plane it is exact by quadrature; of a model with `log_prob` its own.
        """
        parts, names = self.measured()
        if hasattr(self.model, "log_prob"):
            nats = {part: self.model.log_prob(images) for part, images in parts.items()}
            return likelihood.told("exact", nats, names, parts["learned"][0].size)
        if not hasattr(self.model, "generate") or self.settings.z_dim != 2:
            return None
        return decoder_likelihood.figures(self.model.generate, parts, names, self.codes(parts))

    def measured(self) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
        """The images whose likelihood is told, by part, "learned" and "held_out"; their names."""
        most = likelihood.MEASURED
        parts = {"learned": self.evaluated[:most]}
        if len(self.held.names):
            parts["held_out"] = self.held.images[:most].astype(np.float32)
        return parts, {"learned": self.names[:most], "held_out": self.held.names[:most]}

    def codes(self, parts: dict[str, np.ndarray]) -> np.ndarray | None:
        """The z [N, 2] of the learned ones of `measured` images, where the model infers them."""
        return self.model.infer(parts["learned"]) if hasattr(self.model, "infer") else None

    # Results

    def results(self, run: Run) -> Results:
        """What the model can do, shown and measured."""
        arrays = {"images": self.evaluated, "holdout": self.held.images.astype(np.float32)}
        numbers: dict[str, Any] = {}
        with doing("Reconstructions and samples"):
            if "reconstruct" in self.abilities:
                arrays["reconstructions"] = self.model.reconstruct(self.evaluated)
                if len(self.held.names):
                    arrays["holdout_reconstructions"] = self.model.reconstruct(arrays["holdout"])
            if "sample" in self.abilities:
                arrays["samples"], seconds = timed(lambda: self.model.sample(SAMPLES))
                numbers["seconds_a_sample"] = seconds / SAMPLES
            if "interpolate" in self.abilities:
                arrays["interpolation"] = self.model.interpolate()
            arrays |= self.own_arrays(arrays)
        with doing("How close and how natural they are"):
            numbers |= self.measure(arrays)
        numbers |= self.own_figures(arrays)
        if told := self.likelihood():
            run.save_json(likelihood.FILE, told)
            numbers["bits_per_dim"] = told["learned"]["bits_per_dim"]
        with doing("Pictures"):
            shown = pictures.common_pictures(
                arrays, getattr(self.settings, "z_dim", 0)
            ) | self.own_pictures(arrays)
        kept = ("psnr", "psnr_worst", "ssim", "natural_tiles", "bits_per_dim")
        headline = {name: numbers[name] for name in kept if name in numbers}
        arrays = {name: array for name, array in arrays.items() if array.size}
        return Results(shown, arrays, numbers, headline, self.sections(shown, told))

    def measure(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """Of reconstructions PSNR and SSIM, of samples how natural they are."""
        images, names = arrays["images"], self.names[: len(arrays["images"])]
        mean = np.broadcast_to(images.mean(0, keepdims=True), images.shape)
        numbers: dict[str, Any] = {
            "psnr_baseline": float(quality.psnr_and_ssim(mean, images)[0].mean())
        }
        if "reconstructions" in arrays:
            psnr, ssim = quality.psnr_and_ssim(arrays["reconstructions"], images)
            numbers |= {
                "psnr": float(psnr.mean()),
                "psnr_worst": float(psnr.min()),
                "ssim": float(ssim.mean()),
                "psnr_by_image": dict(zip(names, psnr.tolist(), strict=True)),
                "ssim_by_image": dict(zip(names, ssim.tolist(), strict=True)),
            }
        if "samples" in arrays:
            numbers |= naturalness.measure(arrays["samples"], images)
        return numbers

    def sections(
        self, shown: dict[str, Picture], told: dict[str, Any] | None
    ) -> list[dict[str, Any]]:
        """Sections of the report."""
        sections = [s for name, s in pictures.SECTIONS.items() if f"{name}.png" in shown]
        if "samples.png" in shown:
            sections.append(pictures.NATURAL)
        own = self.own_sections()
        sections += [s for s in own if "picture" not in s or s["picture"] in shown]
        return [*sections, pictures.LIKELIHOOD] if told else sections

    def finish(self, run: Run) -> None:
        """Say if it is no better than no learning."""
        if "psnr" in run.metrics:
            guard.say_if_below_baseline(run.metrics, self.baseline, "try more --num_epochs")
