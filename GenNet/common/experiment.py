"""What a model brings to a command line: an experiment, which says what is learned and shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from common.cluster import Cluster
from common.datasets import Dataset
from common.flags import Settings
from common.model import Model, Record
from common.run import Run
from common.run_folder import Picture
from common.shards import Shard

EVALUATED = 256  # images that pictures, arrays and figures are of


# What a model may do, and the arrays of a run that models are compared by.
ABILITIES = ("reconstruct", "sample", "interpolate", "score", "complete", "infer")
ROLES = ("images", "reconstructions", "samples", "holdout", "holdout_reconstructions")


class Chart(NamedTuple):
    """A number of the history, as it is drawn by iteration."""

    column: str
    title: str
    label: str  # of its axis: the quantity, and after a comma its unit
    log: bool = False  # whether that is logarithmic
    advice: str = ""  # what to look for, in the report; without it, it is drawn in the folder only
    item: int = 0  # of the model's story, that it answers; 0: none


class Results(NamedTuple):
    """What a run shows when learning has ended."""

    pictures: dict[str, Picture]  # by file name
    arrays: dict[str, np.ndarray]  # of results.npz
    figures: dict[str, Any]  # of metrics.json
    headline: dict[str, float]  # those that the console shows
    sections: list[dict[str, Any]]  # of the report, in order: what manifest.json says of each


class Experiment(ABC):
    """A model, the images that it learns, and what is shown of both.

    Attributes:
        name: of the model.
        settings_class: its settings.
        losses: charts of loss.png.
        diagnostics: charts of diagnostics.png.
        baseline: what psnr_baseline is of: what there is without learning, in words.
        story: what is asked of the model, by numbered items, for the report's head; see
            report_page/manifest.py.
        command_line: its words, after python.
        abilities: which of ABILITIES it has.
        roles: the arrays of results.npz that models are compared by: what each of ROLES is called.
        learner: the model that learns, built.
        model: that which is shown, built: the learner itself, or, of several workers that learn,
            at the first one a model of all their chains, as of the last checkpoint.
        images: those that are learned, [N, S, S, 3] in [0, 255]; of several workers, those that
            this one decodes, of which its own are the first.
        names: of all that are learned, N of them.
        constants: what the model is made of besides its settings, for `load`.
    """

    name: ClassVar[str]
    settings_class: ClassVar[type[Settings]]
    losses: ClassVar[list[Chart]]
    diagnostics: ClassVar[list[Chart]]
    baseline: ClassVar[str]
    story: ClassVar[dict[str, Any]] = {}
    command_line: ClassVar[list[str]]
    abilities: ClassVar[tuple[str, ...]]
    roles: ClassVar[dict[str, str]] = {role: role for role in ROLES}
    learner: Model
    model: Model
    images: np.ndarray
    names: list[str]
    constants: dict[str, Any]

    @abstractmethod
    def __init__(self, settings: Settings, data: Dataset, shard: Shard) -> None:
        """Build the model for a category of images, of which `shard` are this worker's."""

    @classmethod
    def threads(cls, settings: Any) -> int:
        """Of an operation, where the model knows better than TensorFlow; or else 0."""
        return 0

    @classmethod
    def held_out(cls, settings: Any) -> list[str]:
        """Names of images that are not learned: of a model with that flag, those of --holdout."""
        return getattr(settings, "holdout", None) or []

    @property
    def cluster(self) -> Cluster:
        """The workers that learn."""
        return self.learner.cluster

    def make(self, build: Callable[[Shard | None], Model], shard: Shard) -> Any:
        """Build the learner, and return the model that is shown.

        Args:
            build: describes the model, of a piece of the images or of all.
            shard: this worker's.
        """
        self.learner = build(shard)
        self.learner.build_model()
        if shard.cluster.size == 1 or shard.cluster.rank:
            return self.learner
        model = build(None)
        model.build_model()
        return model

    @abstractmethod
    def describe(self) -> str:
        """The model in a few words, for the console."""

    @abstractmethod
    def sentence(self) -> str:
        """What was done, for the report; how many iterations it took is added."""

    @abstractmethod
    def train(self) -> Iterator[Record]:
        """The iterations of learning."""

    def note(self, record: Record) -> None:  # noqa: B027  (most have nothing to say)
        """Say on the console what is out of the ordinary in an iteration."""

    @abstractmethod
    def progress(self) -> Figure:
        """A panel of what the model has learned so far."""

    @abstractmethod
    def results(self, run: Run) -> Results:
        """What the run shows, as the model stands."""

    def finish(self, run: Run) -> None:  # noqa: B027  (most have nothing more to do)
        """What is done when the results are written."""
