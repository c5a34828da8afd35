"""A run: the folder it writes, what it records, and how it is stopped and gone on with.

    config.json    every resolved flag            metrics.json   what the run reached
    history.csv    one row an iteration           results.npz    its arrays
    checkpoints/   what --resume goes on from     log/           TensorBoard events
    progress/      a panel every --log_step       *.png *.gif    the pictures
                                                  *.webp         sprites for the report

A file is written whole or not at all: to a temporary file that is then renamed.  Only
history.csv and the events grow.
"""

import argparse
import csv
import io
import json
import os
import platform
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any

import numpy as np
import PIL
import tensorflow.compat.v1 as tf
from matplotlib.figure import Figure
from tqdm import tqdm

# What may differ when a run goes on: where things lie, how long and how it is watched.
FREE_ON_RESUME = {
    *("resume", "data_path", "output_dir", "num_epochs", "log_step", "device"),
    "long_run",  # what is done after learning
}

Record = dict[str, float]  # one iteration: "iteration" and named numbers


class RunError(Exception):
    """A run that cannot start or go on; the message is a sentence for the user."""


def resolve_flags(
    parser: argparse.ArgumentParser, arguments: list[str] | None
) -> argparse.Namespace:
    """Parse the command line; with --resume, flags that are not given are those of the run.

    Raises:
        RunError: there is no run to go on with, or a flag contradicts it.
    """
    args = parser.parse_args(arguments)
    if not args.resume:
        return args
    folder = args.output_dir / args.category
    try:
        stored = json.loads((folder / "config.json").read_text())
        stored = {key: value for key, value in stored.items() if key in args}
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"no run to go on with in {folder}: leave out --resume.") from error
    paths = {key for key, value in vars(args).items() if isinstance(value, Path)}
    parser.set_defaults(**{key: value for key, value in stored.items() if key not in paths})
    args = parser.parse_args(arguments)
    for key, value in stored.items():
        if key not in FREE_ON_RESUME and getattr(args, key) != value:
            raise RunError(
                f"the run in {folder} was made with --{key} {value}, not {getattr(args, key)}:"
                " leave that flag out, or leave out --resume to start anew."
            )
    return args


class Folder:
    """The folder of a run: files are written whole, checkpoints are read with care.

    Attributes:
        folder: OUTPUT_DIR/CATEGORY.
        written: the names of the files that `save` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: list[str] = []

    def config(self) -> dict[str, Any]:
        """The flags that the run was made with.

        Raises:
            RunError: there is no run.
        """
        try:
            return dict(json.loads((self.folder / "config.json").read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise RunError(
                f"no run in {self.folder}: choose one with --output_dir and --category."
            ) from error

    # Files

    def save(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        """Write the file `name` in the run's folder, whole or not at all.

        Args:
            name: path below the folder.
            write: writes the content to an open binary file.

        Raises:
            RunError: it cannot be written.
        """
        path = self.folder / name
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with open(temporary, "wb") as file:
                write(file)
            os.replace(temporary, path)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}.") from error
        finally:
            temporary.unlink(missing_ok=True)
        if name not in self.written:
            self.written.append(name)

    def save_figure(self, name: str, figure: Figure) -> None:
        """Write a figure as PNG."""
        self.save(name, lambda file: figure.savefig(file, format="png"))

    def save_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write arrays as compressed npz, in float32."""
        content: dict[str, Any] = {key: value.astype(np.float32) for key, value in arrays.items()}
        self.save(name, lambda file: np.savez_compressed(file, **content))

    def save_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a dictionary as JSON."""
        text = json.dumps(value, indent=2, default=str, allow_nan=False)
        self.save(name, lambda file: file.write(text.encode() + b"\n"))

    # Checkpoints

    def restore(self, saver: tf.train.Saver, session: tf.Session) -> int:
        """Read the newest checkpoint.

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
            with session.graph.as_default():
                for variable in tf.global_variables():
                    if shapes[variable.op.name] != variable.shape.as_list():
                        raise ValueError(f"{variable.op.name} has another shape")
            saver.restore(session, prefix)
            return int(prefix.rpartition("-")[2])
        except (tf.errors.OpError, OSError, ValueError, TypeError, KeyError) as error:
            raise RunError(
                f"the checkpoint {prefix} is damaged or of another shape (other images, another"
                " network)."
            ) from error


class Run(Folder):
    """A run folder that is being written.

    Attributes:
        history: a Record for each iteration so far.
    """

    def __init__(
        self, args: argparse.Namespace, saver: tf.train.Saver, session: tf.Session
    ) -> None:
        """Open the folder: a run that is there is moved aside, unless --resume goes on with it.

        Args:
            args: the resolved flags, which config.json will hold.
            saver: of the model's variables.
            session: that holds them; with --resume they are restored.

        Raises:
            RunError: the folder cannot be written, or holds something else than a run; with
                --resume, its checkpoint is missing, damaged or of a model of another shape.
        """
        super().__init__(Path(args.output_dir) / args.category)
        self.args = args
        self.history: list[Record] = []
        self._saver = saver
        self._session = session
        self._started = time.monotonic()
        self._seconds_before = 0.0
        if args.resume:
            self._restore_checkpoint()
        try:
            if not args.resume:
                self._move_aside()
            for name in ("progress", "checkpoints", "log"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self._probe()
        except OSError as error:
            raise RunError(
                f"cannot write to {self.folder} ({error.strerror}): choose another --output_dir."
            ) from error
        self.save_json("config.json", vars(args))

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

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write metrics.json: the given figures, the seed, the time taken and the versions."""
        self.save_json(
            "metrics.json",
            {
                **metrics,
                "iterations": len(self.history),
                "seed": self.args.seed,
                "seconds": round(self.seconds, 1),
                "versions": {
                    "python": platform.python_version(),
                    "tensorflow": tf.version.VERSION,
                    "numpy": np.__version__,
                    "pillow": PIL.__version__,
                },
            },
        )

    @property
    def seconds(self) -> float:
        """Time that the run has taken, over all its sittings."""
        return self._seconds_before + time.monotonic() - self._started

    def column(self, name: str) -> list[float]:
        """One number of the history, by iteration."""
        return [record[name] for record in self.history]

    # Checkpoints

    def save_checkpoint(self) -> None:
        """Write all variables, from which --resume goes on to the same bits."""
        prefix = self.folder / "checkpoints" / "model"
        try:
            self._saver.save(self._session, str(prefix), len(self.history), write_meta_graph=False)
        except (tf.errors.OpError, OSError, ValueError) as error:
            raise RunError(f"cannot write a checkpoint to {prefix.parent}.") from error
        self.save_json("checkpoints/time.json", {"seconds": self.seconds})

    def _restore_checkpoint(self) -> None:
        """Read the newest checkpoint, and the history up to it."""
        anew = "leave out --resume to start anew."
        try:
            iteration = self.restore(self._saver, self._session)
        except RunError as error:
            raise RunError(f"{str(error)[:-1]}: {anew}") from error
        try:
            with open(self.folder / "history.csv", newline="") as file:
                rows = [row for _, row in zip(range(iteration), csv.DictReader(file), strict=False)]
            self.history = [
                {k: int(v) if k == "iteration" else float(v) for k, v in row.items()}
                for row in rows
            ]
            if len(self.history) != iteration:
                raise ValueError("rows are missing in history.csv")
            time_file = self.folder / "checkpoints" / "time.json"
            self._seconds_before = json.loads(time_file.read_text())["seconds"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunError(
                f"history.csv or checkpoints/time.json in {self.folder} is damaged: {anew}"
            ) from error

    # Iterations

    def follow(self, records: Iterable[Record], total: int) -> Iterator[Record]:
        """Show, record and pass on the iterations of `records`; stop after the current on Ctrl-C.

        Args:
            records: what the model's `train` yields, with a "loss".
            total: iterations in the whole run.
        """
        self._rewrite_history()
        bar = tqdm(
            total=total, initial=len(self.history), unit="it", dynamic_ncols=True, smoothing=0.1
        )
        with _Log(self.folder, self.history) as log, bar, _Interrupt() as interrupt:
            for record in records:
                self.history.append(record)
                log.add(record)
                bar.set_postfix_str(f"loss {record['loss']:.4g}", refresh=False)
                bar.update()
                yield record
                if interrupt.seen:
                    break

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

    def _rewrite_history(self) -> None:
        """Drop the rows past the checkpoint that the run goes on from."""

        def write(file: IO[bytes]) -> None:
            text = io.TextIOWrapper(file, newline="", write_through=True)
            rows = csv.writer(text)
            if self.history:
                rows.writerow(self.history[0])
            rows.writerows(record.values() for record in self.history)
            text.detach()

        self.save("history.csv", write)


class _Log:
    """history.csv and the TensorBoard events, which grow with every iteration."""

    def __init__(self, folder: Path, history: list[Record]) -> None:
        self._path = folder / "history.csv"
        self._rows = open(self._path, "a", newline="")  # noqa: SIM115  (closed by __exit__)
        self._empty = not history
        self._events = tf.summary.FileWriter(str(folder / "log"))
        if history:  # TensorBoard drops what an earlier sitting recorded past this point
            start = tf.SessionLog(status=tf.SessionLog.START)
            self._events.add_session_log(start, len(history) + 1)

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()
        self._events.close()

    def add(self, record: Record) -> None:
        """Write an iteration to both."""
        try:
            rows = csv.writer(self._rows)
            if self._empty:
                rows.writerow(record)
                self._empty = False
            rows.writerow(record.values())
            self._rows.flush()
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {error.strerror}.") from error
        numbers = {name: value for name, value in record.items() if name != "iteration"}
        values = [tf.Summary.Value(tag=tag, simple_value=x) for tag, x in numbers.items()]
        self._events.add_summary(tf.Summary(value=values), int(record["iteration"]))


class _Interrupt:
    """While entered, the first Ctrl-C is only noted; a second one interrupts at once."""

    seen = False

    def __enter__(self) -> "_Interrupt":
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tqdm.write("Stopping after this iteration (Ctrl-C again stops at once)")
