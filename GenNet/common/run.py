"""A run: the folder it writes, and what is read of it again.

    config.json    every resolved flag            metrics.json   what the run reached
    manifest.json  what its files are             results.npz    its arrays
    constants.npz  what the model is made of      log/           TensorBoard events
    history.csv    one row an iteration           *.png *.gif    the pictures
    checkpoints/   what --resume goes on from     *.webp         sprites for the report
    progress/      a panel every --log_step

A file is written whole or not at all.  Only history.csv and the events grow.

The manifest is what readers of a run go by.  It says `format`, which changes when any of these
files comes to mean something else; `model`; `images`, the names of those that were learned; and,
at the end, what the results show (see `command.Results`).
"""

from __future__ import annotations

import dataclasses
import platform
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import PIL

from common import files, flags, history
from common.files import FileError
from common.flags import Settings, SettingsError
from common.session import tf
from common.shards import full_shape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from common.model import Model, Record

FORMAT = 1  # of a run's files
ANEW = "leave out --resume to start anew"


class RunError(Exception):
    """A run that cannot start, go on or be read; the message is a sentence for the user."""


class Picture(NamedTuple):
    """A picture of a run: how its file is written, and what the manifest says of it."""

    write: Callable[[IO[bytes]], object]
    about: dict[str, Any]


def png(figure: Figure, **about: Any) -> Picture:
    """A figure as a picture of a run."""
    return Picture(lambda file: figure.savefig(file, format="png"), about)


class Folder:
    """The folder of a run: files are written whole, and read with care.

    Attributes:
        folder: OUTPUT_DIR/CATEGORY.
        written: the names of the files that were written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[str] = []

    @property
    def checkpoint(self) -> Path:
        """Of the checkpoints, less the iteration."""
        return self.folder / "checkpoints" / "model"

    # Files

    def save(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        """Write the file `name` in the run's folder, whole or not at all.

        Args:
            name: path below the folder.
            write: writes the content to an open binary file.

        Raises:
            FileError: it cannot be written.
        """
        files.write_whole(self.folder / name, write)
        self._note(name)

    def _note(self, name: str) -> None:
        if name not in self.written:
            self.written.append(name)

    def save_figure(self, name: str, figure: Figure) -> None:
        """Write a figure as PNG."""
        self.save(name, png(figure).write)

    def save_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write arrays as compressed npz, numbers in float32."""
        content: dict[str, Any] = {key: value.astype(np.float32) for key, value in arrays.items()}
        self.save(name, lambda file: np.savez_compressed(file, **content))

    def save_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a dictionary as JSON."""
        files.write_json(self.folder / name, value)
        self._note(name)

    def read_json(self, name: str) -> dict[str, Any]:
        """A dictionary of the run.

        Raises:
            RunError: it is missing or damaged.
        """
        try:
            return files.read_json(self.folder / name)
        except FileError as error:
            raise RunError(str(error)) from error

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Arrays of the run.

        Raises:
            RunError: they are missing or damaged.
        """
        try:
            with np.load(self.folder / name) as arrays:
                return dict(arrays)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise RunError(f"{self.folder / name} is missing or damaged.") from error

    # What was learned

    def manifest(self, model: str) -> dict[str, Any]:
        """What the run says of itself.

        Args:
            model: whose run it is to be.

        Raises:
            RunError: there is no run, or one of another model or another version.
        """
        if not (self.folder / "config.json").is_file():
            raise RunError(f"there is no run in {self.folder}: learn one with main.py.")
        if not (self.folder / "manifest.json").is_file():
            raise RunError(
                f"the run in {self.folder} has no manifest.json, as those of earlier versions:"
                " make it again."
            )
        manifest = self.read_json("manifest.json")
        if manifest.get("model") != model:
            raise RunError(f"the run in {self.folder} is of {manifest.get('model')}, not {model}.")
        if manifest.get("format") != FORMAT:
            raise RunError(
                f"the run in {self.folder} has format {manifest.get('format')}, where this version"
                f" reads {FORMAT}: make it again, or use the version that made it."
            )
        names = manifest.get("images")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RunError(f"{self.folder / 'manifest.json'} is damaged: it names no images.")
        return manifest

    def settings(self, settings_class: type[Settings]) -> Any:
        """The settings that the run was made with, each checked as a flag would be.

        Raises:
            RunError: config.json is missing or damaged.
        """
        try:
            return flags.from_config(settings_class, self.read_json("config.json"))
        except SettingsError as error:
            raise RunError(f"config.json in {self.folder} is damaged: {error}.") from error

    def restore(self, model: Model) -> int:
        """Read the newest checkpoint into a model that is built.

        Returns:
            The iteration that it was written after.

        Raises:
            RunError: it is missing, damaged or of a model of another shape.
        """
        folder = self.folder / "checkpoints"
        prefix = tf.train.latest_checkpoint(str(folder))
        if prefix is None:
            raise RunError(f"there is no checkpoint in {folder}.")
        try:
            # Restoring alone would take any shape.
            shapes = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
            with model.session.graph.as_default():
                for variable in tf.global_variables():
                    if shapes[variable.op.name] != full_shape(variable):
                        raise ValueError(f"{variable.op.name} has another shape")
                model.saver.restore(model.session, prefix)
            return int(prefix.rpartition("-")[2])
        except (tf.errors.OpError, OSError, ValueError, TypeError, KeyError) as error:
            raise RunError(
                f"the checkpoint {prefix} is damaged or of another shape (other images, another"
                " network)."
            ) from error


class Learned(NamedTuple):
    """What a model is made of again."""

    folder: Folder
    settings: Any
    constants: dict[str, np.ndarray]
    names: list[str]  # of the images that it learned


def read(folder: Path | str, model: str, settings_class: type[Settings]) -> Learned:
    """Read what the model of a run is made of; `Folder.restore` then reads its variables.

    Args:
        folder: OUTPUT_DIR/CATEGORY.
        model: whose run it is to be.
        settings_class: of that model.

    Raises:
        RunError: there is no such run, it is damaged, of another model or of another version.
    """
    opened = Folder(Path(folder))
    names = opened.manifest(model)["images"]
    settings = opened.settings(settings_class)
    return Learned(opened, settings, opened.read_arrays("constants.npz"), names)


class Run(Folder):
    """A run folder that is being written.

    Attributes:
        history: a Record for each iteration so far.
        metrics: the figures of metrics.json, when they are written.
    """

    def __init__(
        self,
        model: Model,
        name: str,
        images: list[str],
        constants: dict[str, Any],
        resume: bool = False,
    ) -> None:
        """Open the folder: a run that is there is moved aside, unless it is gone on with.

        Args:
            model: that learns, built.
            name: of the model.
            images: names of those that are learned.
            constants: what the model is made of besides its settings.
            resume: whether to go on with the run that is there.

        Raises:
            RunError: the folder cannot be written, or holds something else than a run; to go on
                with, its checkpoint is missing, damaged or of a model of another shape.
        """
        super().__init__(model.settings.folder)
        self.history: list[Record] = []
        self.metrics: dict[str, Any] = {}
        self._model = model
        self._manifest = {"format": FORMAT, "model": name, "images": images}
        self._started = time.monotonic()
        self._seconds_before = 0.0
        if resume:
            self._restore_history(name)
        try:
            if not resume:
                self._move_aside()
            for part in ("progress", "checkpoints", "log"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self._probe()
        except OSError as error:
            raise RunError(
                f"cannot write to {self.folder} ({error.strerror}): choose another --output_dir."
            ) from error
        self.save_json("config.json", model.settings.config())
        self.save("constants.npz", lambda file: np.savez_compressed(file, **constants))
        self.tell()

    def _move_aside(self) -> None:
        if not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return
        if not (self.folder / "config.json").exists():
            raise RunError(
                f"{self.folder} holds something else than a run: choose another --output_dir."
            )
        number = 1
        while (aside := self.folder.with_name(f"{self.folder.name}.{number}")).exists():
            number += 1
        self.folder.rename(aside)
        print(f"The run that was in {self.folder} is now in {aside}")

    def _probe(self) -> None:
        # A folder that cannot be written is found out now, not after minutes of learning.
        with tempfile.TemporaryFile(dir=self.folder):
            pass

    @property
    def seconds(self) -> float:
        """Time that the run has taken, over all its sittings."""
        return self._seconds_before + time.monotonic() - self._started

    def column(self, name: str) -> list[float]:
        """One number of the history, by iteration."""
        return [record[name] for record in self.history]

    # Checkpoints

    def save_checkpoint(self) -> None:
        """Write all variables, from which --resume goes on to the same bits.

        Raises:
            RunError: they cannot be written.
        """
        prefix, model = self.checkpoint, self._model
        try:
            model.save(prefix, len(self.history))
        except (tf.errors.OpError, OSError, ValueError) as error:
            raise RunError(f"cannot write a checkpoint to {prefix.parent}.") from error
        self.save_json("checkpoints/time.json", {"seconds": self.seconds})

    def _restore_history(self, name: str) -> None:
        """Read the newest checkpoint, and the history up to it."""
        try:
            self.manifest(name)
            iteration = self.restore(self._model)
        except RunError as error:
            raise RunError(f"{str(error)[:-1]}: {ANEW}.") from error
        try:
            self.history = history.read(self.folder / "history.csv", iteration)
            seconds = files.read_json(self.folder / "checkpoints" / "time.json")["seconds"]
            self._seconds_before = float(seconds)
        except (OSError, ValueError, TypeError, KeyError, FileError) as error:
            raise RunError(
                f"history.csv or checkpoints/time.json in {self.folder} is damaged: {ANEW}."
            ) from error

    # Iterations

    def follow(self, records: Iterable[Record], total: int) -> Iterator[Record]:
        """Show, record and pass on the iterations of `records`; stop after the current on Ctrl-C.

        Args:
            records: what the model's `train` yields, with a "loss".
            total: iterations in the whole run.

        Raises:
            FileError: history.csv cannot be written.
        """
        # Rows past the checkpoint that the run goes on from are dropped.
        self.save("history.csv", lambda file: history.write(file, self.history))
        for record in history.follow(
            *(self.folder, self.history, records, total), self._model.cluster
        ):
            self.history.append(record)
            yield record

    # The end

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write metrics.json: the given figures, the seed, the time taken and the versions."""
        versions = {
            "python": platform.python_version(),
            "tensorflow": tf.version.VERSION,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        }
        self.metrics = {
            **metrics,
            "iterations": len(self.history),
            "seed": self._model.settings.seed,
            "seconds": round(self.seconds, 1),
            "versions": versions,
        }
        self.save_json("metrics.json", self.metrics)

    def tell(self, **told: Any) -> None:
        """Say more in manifest.json."""
        self._manifest |= told
        self.save_json("manifest.json", self._manifest)

    def report(self, figures: dict[str, float], total: int) -> None:
        """Print what the run reached, what it wrote, and how to go on if it was stopped."""
        done = len(self.history)
        print(f"{done} of {total} iterations in {self.seconds:.0f} s")
        for name, value in figures.items():
            print(f"  {name:<24} {value:.4g}")
        print(f"Written to {self.folder}:")
        print("  " + " ".join(name for name in sorted(self.written) if "/" not in name))
        print("  checkpoints/ log/ progress/")
        if done < total:
            print("Stopped early: the same command with --resume goes on.")


def settings_to_resume(given: Settings, before: Settings, said: set[str]) -> Settings:
    """The settings of a run that is gone on with: its own, but for what may differ.

    Args:
        given: what the command line asks for.
        before: those of the run.
        said: names of the fields that the command line mentions.

    Raises:
        RunError: a flag contradicts the run.
    """
    changes = {}
    for field in dataclasses.fields(given):
        value, old = getattr(given, field.name), getattr(before, field.name)
        if field.name not in said and field.metadata["kind"] is not flags.path:
            continue
        if value != old and not field.metadata["free"]:
            flag = flags.flag_of(field)
            raise RunError(
                f"the run in {given.folder} was made with --{flag} {old}, not {value}:"
                " leave that flag out, or leave out --resume to start anew."
            )
        changes[field.name] = value
    return dataclasses.replace(before, **changes)
