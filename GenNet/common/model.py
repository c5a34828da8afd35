"""What every model is: a graph, the session that holds its variables, and how they are kept."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from common import run_folder, session
from common.cluster import Cluster
from common.console import say
from common.endings import MistakeError
from common.flags import Settings, SettingsError
from common.layers import Network
from common.session import tf
from common.shards import PiecewiseSaver, Shard

if TYPE_CHECKING:
    from common.export import Signature

Record = dict[str, float]  # one iteration of learning: "iteration", "loss" and other named numbers


class LearningError(MistakeError):
    """Learning that cannot go on; the message is a sentence for the user."""


class Model(ABC):
    """A model in TensorFlow 1.x style: described when it is made, built by `build_model`.

    Attributes:
        settings: resolved, so that nothing is left open.
        settings_class: theirs.
        shard: which of all images it learns from, where several workers learn.
        session: holds the variables, once it is built.
        saver: saves and restores all of them.
    """

    settings: Settings
    settings_class: ClassVar[type[Settings]]
    shard: Shard
    session: tf.Session
    saver: tf.train.Saver
    # Of a model without what learning takes: where that is, and after which iteration.
    _loaded_from: tuple[run_folder.Folder, int] | None = None

    @property
    def precision(self) -> str:
        """Of the networks while they learn."""
        return getattr(self.settings, "precision", "float32")

    @property
    def cluster(self) -> Cluster:
        """The workers that learn it."""
        return self.shard.cluster

    def build_model(self, learning: bool = True) -> None:
        """Build the graph, initialise the variables and open the session.

        Args:
            learning: whether with what learning takes, which is most of it.

        Raises:
            DeviceError: the device of the settings is not there.
        """
        config = session.configuration(self.settings.device)
        config = self.cluster.configured(config, self.precision)
        with tf.Graph().as_default() as graph, self.cluster.device():
            self._build()
            if learning:
                self._build_learning()
            self.saver = _saver()
            self._piecewise = PiecewiseSaver(self.cluster) if self.cluster.size > 1 else None
            self.session = tf.Session(self.cluster.target, graph, config)
            self.session.run(tf.global_variables_initializer())

    def save(self, prefix: Path, iteration: int) -> None:
        """Write the checkpoint PREFIX-ITERATION, with all other workers if there are such.

        Raises:
            OpError, OSError, ValueError: it cannot be written.
            ClusterError: another worker cannot write its part.
        """
        self._get_ready_to_learn()  # a checkpoint holds that too
        if self._piecewise is not None:
            self._piecewise.save(self.session, prefix, iteration)
            return
        with self.session.graph.as_default():
            self.saver.save(self.session, str(prefix), iteration, write_meta_graph=False)

    def _get_ready_to_learn(self) -> None:
        """Of a model that was loaded, build what learning takes, as its checkpoint has it.

        Raises:
            RunError: the run has gone on since, is not there any more, or damaged.
        """
        if self._loaded_from is None:
            return
        folder, iteration = self._loaded_from
        if folder.checkpoints()[-1:] != [iteration]:
            raise run_folder.RunError(
                f"the run in {folder.folder} is not any more what was loaded: load it again."
            )
        with self.session.graph.as_default():
            variables = tf.global_variables()
            values = self.session.run(variables)
            self._build_learning()
            self.saver = _saver()
            folder.restore(self)
            for variable, value in zip(variables, values, strict=True):  # whatever it was set to
                variable.load(value, self.session)
        self._loaded_from = None

    @abstractmethod
    def _build(self) -> None:
        """Build what a learned model is used by."""

    @abstractmethod
    def _build_learning(self) -> None:
        """Build an iteration of learning, which is one `session.run`."""

    @property
    @abstractmethod
    def networks(self) -> list[Network]:
        """Those that are learned."""

    @property
    def num_parameters(self) -> int:
        """Numbers that are learned."""
        with self.session.graph.as_default():
            variables = [v for network in self.networks for v in network.variables()]
        return sum(v.shape.num_elements() for v in variables)

    # A trained model

    @classmethod
    @abstractmethod
    def remade(cls, learned: run_folder.Learned) -> Any:
        """The model of a run, from its settings and constants.

        Raises:
            RunError, SettingsError: these do not fit each other.
        """

    @classmethod
    def load(cls, folder: Path | str) -> Any:
        """The model of a run, as it was when its last checkpoint was written.

        Every flag, the precision and the seed are those of the run: on the same machine it gives,
        to the bit, what the run's results.npz holds.  Where there is no such device, or its
        products are not of bfloat16, it computes on what there is, in float32, and says so.

        What learning takes is built and read when it is first asked to learn, to save itself or
        which iteration it keeps, which raise RunError if its checkpoint is not the newest any more.

        Args:
            folder: OUTPUT_DIR/CATEGORY.

        Raises:
            RunError: there is no such run, it is damaged, of another model or another version.
        """
        learned = run_folder.read(folder, cls.__name__, cls.settings_class)
        learned = learned._replace(settings=_for_here(learned.settings))
        try:
            model = cls.remade(learned)
        except SettingsError as error:
            raise run_folder.RunError(
                f"the run in {folder} is damaged: its files do not go together ({error}):"
                f" {run_folder.AGAIN}."
            ) from error
        model.build_model(learning=False)
        model._loaded_from = learned.folder, learned.folder.restore(model)
        return model

    def learned_values(self) -> dict[str, np.ndarray]:
        """The variables that the networks depend on, by name."""
        with self.session.graph.as_default():
            variables = [v for network in self.networks for v in network.state()]
        values = self.session.run(variables)
        return {v.op.name: value for v, value in zip(variables, values, strict=True)}

    @abstractmethod
    def signatures(self) -> dict[str, Signature]:
        """The functions of a SavedModel, built in the current graph, which is another one."""


def _saver() -> tf.train.Saver:
    """Of all variables of the current graph."""
    return tf.train.Saver(max_to_keep=None, save_relative_paths=True)


def _for_here(settings: Settings) -> Settings:
    """Settings of a run with which it can be used on this machine."""
    wanted = {"device": settings.device}
    if hasattr(settings, "precision"):  # baselines know no other than float32
        wanted["precision"] = settings.precision
    found = session.at_hand(**wanted)
    changed: dict[str, Any] = {name: found[name] for name in wanted if wanted[name] != found[name]}
    if changed:
        was, now = (", ".join(f"{name} {v[name]}" for name in changed) for v in (wanted, found))
        say(f"The model was learned with {was}, which is not to be had here: now {now}.")
    return dataclasses.replace(settings, **changed)
