"""What grows while a model learns: the progress bar, history.csv and the TensorBoard events."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tqdm import tqdm

from common.cluster import Cluster
from common.endings import Stop
from common.files import FileError
from common.session import reason, tf

if TYPE_CHECKING:
    from common.model import Record


def read(path: Path, iterations: int) -> list[Record]:
    """The first rows of history.csv, as many as there were iterations.

    Raises:
        FileError: it is missing or damaged.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(itertools.islice(csv.DictReader(file, strict=True), iterations))
        records = [
            {name: int(text) if name == "iteration" else float(text) for name, text in row.items()}
            for row in rows
        ]
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}.") from error
    except (csv.Error, ValueError, TypeError) as error:
        raise FileError(f"{path} is damaged: it holds what is no number.") from error
    if [record.get("iteration") for record in records] != list(range(1, iterations + 1)):
        raise FileError(f"{path} is damaged: iterations are missing in it.")
    return records


def write(file: IO[bytes], records: list[Record]) -> None:
    """Write these rows as history.csv."""
    text = io.TextIOWrapper(file, newline="", write_through=True)
    rows = csv.writer(text)
    if records:
        rows.writerow(records[0])
    rows.writerows(record.values() for record in records)
    text.detach()


def panel(iteration: int) -> str:
    """Where the panel of training's progress after an iteration lies in a run's folder."""
    return f"progress/{iteration:06d}.png"


def follow(
    folder: Path,
    done: int,
    records: Iterable[Record],
    total: int,
    stop: Stop,
    cluster: Cluster,
    flags: dict[str, Any],
) -> Iterator[Record]:
    """Show, note and pass on the iterations of `records`, until there is a signal to stop.

    Args:
        folder: of the run, whose history.csv holds those before.
        done: how many they are.
        records: what the model's `train` yields, with a "loss".
        total: iterations in the whole run.
        stop: notes the signal.
        cluster: the workers that learn.
        flags: of the run, by name, for the events.

    Raises:
        FileError: history.csv or the events cannot be written.
    """
    bar = tqdm(total=total, initial=done, unit="it", dynamic_ncols=True, smoothing=0.1)
    with _Log(folder, done, flags) as log, bar:
        for record in until_stopped(records, stop, cluster):
            log.add(record)
            bar.set_postfix_str(f"loss {record['loss']:.4g}", refresh=False)
            bar.update()
            yield record
            log.add_panel(folder / panel(int(record["iteration"])), int(record["iteration"]))


def until_stopped(records: Iterable[Record], stop: Stop, cluster: Cluster) -> Iterator[Record]:
    """Pass on the iterations until a signal to stop reaches any worker: all stop after the same."""
    with stop:
        for record in records:
            yield record
            if cluster.any(stop.signal is not None):
                break


class _Log:
    """history.csv and the TensorBoard events."""

    def __init__(self, folder: Path, done: int, flags: dict[str, Any]) -> None:
        # Imported here, for no other use of a run needs it.
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        self._path, self._folder = folder / "history.csv", folder / "log"
        self._empty = not done
        now = time.time()
        events = self._folder / f"events.out.tfevents.{now:.0f}.{os.getpid()}"
        with self._writing():
            self._rows = open(self._path, "a", newline="", encoding="utf-8")  # noqa: SIM115
            # The FileWriter of TensorFlow writes by a thread, which dies with a trace on a full
            # disk.  What it writes is one record an event.
            self._events = tf.python_io.TFRecordWriter(str(events))
            self._write(tf.Event(wall_time=now, file_version="brain.Event:2"))
            if done:  # TensorBoard drops what an earlier sitting recorded past this point
                start = tf.SessionLog(status=tf.SessionLog.START)
                self._write(tf.Event(wall_time=now, step=done + 1, session_log=start))
            # TensorBoard's messages and TensorFlow's are the same but for their names.
            told = hparams_pb(flags, start_time_secs=now).SerializeToString()
            self._write(tf.Event(wall_time=now, summary=tf.Summary.FromString(told)))

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        # Where something else has failed before, that is what counts.
        ignored = contextlib.suppress(FileError) if kind else contextlib.nullcontext()
        with ignored, self._writing():
            try:
                self._rows.close()
            finally:
                self._events.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FileError(
                f"cannot write {self._path}: {error.strerror}; make room, and go on with --resume."
            ) from error
        except tf.errors.OpError as error:
            raise FileError(
                f"cannot write to {self._folder}: {reason(error)}; make room, and go on with"
                " --resume."
            ) from error

    def _write(self, event: tf.Event) -> None:
        self._events.write(event.SerializeToString())
        self._events.flush()

    def add_panel(self, path: Path, iteration: int) -> None:
        """Write the panel of an iteration to the events, if there is one."""
        if not path.exists():
            return
        with self._writing():
            image = tf.Summary.Image(encoded_image_string=path.read_bytes())
            summary = tf.Summary(value=[tf.Summary.Value(tag="progress", image=image)])
            self._write(tf.Event(wall_time=time.time(), step=iteration, summary=summary))

    def add(self, record: Record) -> None:
        """Write an iteration to both."""
        numbers = {name: value for name, value in record.items() if name != "iteration"}
        values = [tf.Summary.Value(tag=tag, simple_value=x) for tag, x in numbers.items()]
        with self._writing():
            rows = csv.writer(self._rows)
            if self._empty:
                rows.writerow(record)
                self._empty = False
            rows.writerow(record.values())
            self._rows.flush()
            step, summary = int(record["iteration"]), tf.Summary(value=values)
            self._write(tf.Event(wall_time=time.time(), step=step, summary=summary))
