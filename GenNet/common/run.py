"""A run that is being written: how it begins, goes on, grows and ends (see `run_folder`)."""

from __future__ import annotations

import dataclasses
import os
import platform
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL

from common import files, flags, history, session
from common.console import say
from common.endings import Stop, shown
from common.files import FileError
from common.flags import Settings
from common.run_folder import ANEW, FORMAT, Folder, RunError
from common.session import reason, tf

if TYPE_CHECKING:
    from common.model import Model, Record

PARTS = ("progress", "checkpoints", "log")  # folders of a run
KEPT = 2  # checkpoints, the newest


class Run(Folder):
    """A run folder that is being written, by a process that owns it (see `ownership`).

    Attributes:
        history: a Record for each iteration so far.
        metrics: the figures of metrics.json, when they are written.
        stop: whether a signal told the run to stop.
    """

    def __init__(self, model: Model, about: dict[str, Any], constants: dict[str, Any]) -> None:
        """Make it; `begin` or `go_on` opens the folder.

        Args:
            model: that learns, built.
            about: what the manifest says from the start: model, its name; images, the names of
                those that are learned; digests of all.
            constants: what the model is made of besides its settings.
        """
        super().__init__(model.settings.folder, ANEW)
        self.history: list[Record] = []
        self.metrics: dict[str, Any] = {}
        self.stop = Stop(say)
        self._model = model
        self._manifest = {"format": FORMAT, **about}
        self._constants = constants
        self._started = time.monotonic()
        self._seconds_before = 0.0

    def begin(self) -> None:
        """Begin anew; a run that is there is moved aside.

        Raises:
            RunError: the folder cannot be written, or holds something else than a run.
        """
        target = self.folder
        there = target.exists() and not (target.is_dir() and not any(target.iterdir()))
        if there and not (target / "config.json").exists():
            raise RunError(
                f"{target} holds something else than a run: choose another --name or --output_dir."
            )
        # What is there is left alone until all that a run begins with could be written.
        self.folder = target.with_name(f".{target.name}.new")
        self._sit_down([], 0)
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._write_start()
            if there:
                self._move_aside(target)
            self.folder.rename(target)
        except (OSError, FileError) as error:
            raise RunError(
                f"cannot begin a run in {target} ({_reason(error)}): make room, or choose another"
                " --output_dir."
            ) from error
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = target

    def go_on(self, columns: set[str]) -> None:
        """Go on with the run that is there, from its newest checkpoint.

        Args:
            columns: that its history is to have.

        Raises:
            RunError: its checkpoint is missing, damaged or of a model of another shape, its history
                is damaged, or the folder cannot be written.
        """
        before = self.manifest(str(self._manifest["model"]))
        iteration = self.restore(self._model)
        self._sit_down(before["sittings"], iteration)
        path = self.folder / "history.csv"
        try:
            self.history = history.read(path, iteration)
        except FileError as error:
            raise self._damaged(error) from error
        for name in sorted(columns - set(self.history[0] if self.history else columns)):
            raise self._damaged(f"{path} is damaged: it has no column {name}")
        try:
            seconds = files.read_json(self.folder / "checkpoints" / "time.json")["seconds"]
            self._seconds_before = float(seconds)
        except (FileError, KeyError, TypeError, ValueError):
            say("checkpoints/time.json is missing or damaged: the time is counted from now on.")
        try:
            for path in self.folder.rglob(".*.tmp"):  # of a process that was killed
                path.unlink(missing_ok=True)
            # A folder that cannot be written is found out now, not after minutes.
            self._write_start()
        except (OSError, FileError) as error:
            raise RunError(
                f"cannot go on in {self.folder} ({_reason(error)}): make room."
            ) from error

    def _sit_down(self, before: list[dict[str, int]], iteration: int) -> None:
        """Say in the manifest that learning begins, or goes on, and by which flags.

        Args:
            before: sittings so far.
            iteration: from which it goes on.
        """
        settings, shard = self._model.settings, self._model.shard
        sitting = {
            "start": iteration,
            "iterations": shard.iterations(settings),
            "num_epochs": settings.num_epochs or 0,
            "workers": shard.cluster.size,
        }
        sittings = [each for each in before if each["start"] < iteration]
        if not sittings or {**sittings[-1], "start": iteration} != sitting:
            sittings.append(sitting)
        each = [dataclasses.replace(settings, num_epochs=s["num_epochs"]) for s in sittings]
        said = flags.to_say(each, len(self._manifest["images"]))
        self._manifest |= {"sittings": sittings, "flags": said}

    def _write_start(self) -> None:
        """Write what a run begins with."""
        for part in PARTS:
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.save_json("config.json", self._model.settings.config())
        self.save("constants.npz", lambda file: np.savez_compressed(file, **self._constants))
        self.tell()

    @staticmethod
    def _move_aside(folder: Path) -> None:
        number = 1
        while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
            number += 1
        folder.rename(aside)
        say(shown(f"The run that was in {folder} is now in {aside}"))

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
        prefix = self.checkpoint
        try:
            self._model.save(prefix, len(self.history))
        except (tf.errors.OpError, OSError, ValueError) as error:
            again = "go on with --resume" if self.checkpoints() else "start again"
            raise RunError(
                f"cannot write a checkpoint to {prefix.parent} ({reason(error)}): make room, and"
                f" {again}."
            ) from error
        self.save_json("checkpoints/time.json", {"seconds": self.seconds})
        kept = tuple(f"model-{number}." for number in self.checkpoints()[-KEPT:])
        for path in prefix.parent.glob("model-*"):
            if path.name.startswith(kept):
                continue
            if path.is_dir():  # parts that workers left that died
                shutil.rmtree(path, ignore_errors=True)
            else:  # of an older one, or what a process left that died
                path.unlink(missing_ok=True)

    # Iterations

    def follow(self, records: Iterable[Record], total: int) -> Iterator[Record]:
        """Show, record and pass on the iterations of `records`, until there is a signal to stop.

        Args:
            records: what the model's `train` yields, with a "loss".
            total: iterations in the whole run.

        Raises:
            FileError: history.csv cannot be written.
        """
        # Rows past the checkpoint that the run goes on from are dropped.
        self.save("history.csv", lambda file: history.write(file, self.history))
        done = len(self.history)
        cluster = self._model.cluster
        told = self._model.settings.told()
        for record in history.follow(self.folder, done, records, total, self.stop, cluster, told):
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
        say(f"{done} of {total} iterations in {self.seconds:.0f} s")
        for name, value in figures.items():
            say(f"  {name:<24} {value:.4g}")
        say(shown(f"Written to {self.folder}:"))
        say("  " + " ".join(name for name in sorted(self.written) if "/" not in name))
        say("  checkpoints/ log/ progress/")
        if shows := self._report_command():
            say(shown(f"`{shows}` shows it on one page."))
        if done < total:
            say("Stopped early: the same command with --resume goes on.")

    def _report_command(self) -> str:
        """What shows this run on a page, "" where the model's folder stands alone."""
        if not os.path.isfile(flags.PROJECT / "report.py"):
            return ""
        if self.folder.is_relative_to(flags.PROJECT / "output"):
            return "make report"
        return f"python report.py {shlex.quote(str(self.folder))}"


def _reason(error: OSError | FileError) -> str:
    return str(error.strerror if isinstance(error, OSError) else error).rstrip(".")


def settings_to_resume(given: Settings, before: Settings, said: set[str]) -> Settings:
    """The settings of a run that is gone on with: its own, but for what may differ.

    Args:
        given: what the command line asks for.
        before: those of the run.
        said: names of the fields that the command line mentions.

    Raises:
        RunError: a flag contradicts the run.
    """
    if "name" not in said:
        said = said - {"category"}  # it names the folder, which need not be called as its images
    name = given.folder.name
    changes: dict[str, Any] = {"name": None if name == before.category else name}
    for field in dataclasses.fields(given):
        value, old = getattr(given, field.name), getattr(before, field.name)
        if field.name not in said and field.metadata["kind"] is not flags.path:
            continue
        if value != old and not field.metadata["free"]:
            flag = flags.flag_of(field)
            raise RunError(
                f"the run in {given.folder} was made with --{flag} {old}, not {value}:"
                f" leave that flag out, or {ANEW}."
            )
        changes[field.name] = value
    settings = dataclasses.replace(before, **changes)
    precision = getattr(settings, "precision", "float32")
    if precision != session.at_hand(settings.device, precision)["precision"]:
        raise RunError(
            f"the run in {given.folder} was learned in {precision}, and {session.NO_BFLOAT16}:"
            f" go on with it where it was begun, or {ANEW}."
        )
    return settings
