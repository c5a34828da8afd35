"""What grows while a model learns: the progress bar, history.csv and the TensorBoard events."""

from __future__ import annotations

import csv
import io
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

from tqdm import tqdm

from common.cluster import ALONE, Cluster
from common.files import FileError
from common.session import tf

if TYPE_CHECKING:
    from common.model import Record


def read(path: Path, iterations: int) -> list[Record]:
    """The first rows of history.csv, as many as there were iterations.

    Raises:
        OSError, ValueError, TypeError: it is missing or damaged.
    """
    with open(path, newline="") as file:
        rows = [row for _, row in zip(range(iterations), csv.DictReader(file), strict=False)]
    if len(rows) != iterations:
        raise ValueError("rows are missing in history.csv")
    return [{k: int(v) if k == "iteration" else float(v) for k, v in row.items()} for row in rows]


def write(file: IO[bytes], records: list[Record]) -> None:
    """Write these rows as history.csv."""
    text = io.TextIOWrapper(file, newline="", write_through=True)
    rows = csv.writer(text)
    if records:
        rows.writerow(records[0])
    rows.writerows(record.values() for record in records)
    text.detach()


def follow(
    folder: Path,
    before: list[Record],
    records: Iterable[Record],
    total: int,
    cluster: Cluster = ALONE,
) -> Iterator[Record]:
    """Show, note and pass on the iterations of `records`; stop after the current on Ctrl-C.

    Args:
        folder: of the run, whose history.csv holds those before.
        before: the iterations so far.
        records: what the model's `train` yields, with a "loss".
        total: iterations in the whole run.
        cluster: the workers that learn: all stop after the same iteration.

    Raises:
        FileError: history.csv cannot be written.
    """
    bar = tqdm(total=total, initial=len(before), unit="it", dynamic_ncols=True, smoothing=0.1)
    with _Log(folder, len(before)) as log, bar, _Interrupt() as interrupt:
        for record in records:
            log.add(record)
            bar.set_postfix_str(f"loss {record['loss']:.4g}", refresh=False)
            bar.update()
            yield record
            if cluster.any(interrupt.seen):
                break


def assist(records: Iterable[Record], cluster: Cluster) -> Iterator[Record]:
    """What `follow` does at any but the first worker: pass on the iterations until all stop."""
    with _Interrupt() as interrupt:
        for record in records:
            yield record
            if cluster.any(interrupt.seen):
                break


class _Log:
    """history.csv and the TensorBoard events."""

    def __init__(self, folder: Path, done: int) -> None:
        self._path = folder / "history.csv"
        self._rows = open(self._path, "a", newline="")  # noqa: SIM115  (closed by __exit__)
        self._empty = not done
        with tf.Graph().as_default():  # a FileWriter wants to be in one
            self._events = tf.summary.FileWriter(str(folder / "log"))
        if done:  # TensorBoard drops what an earlier sitting recorded past this point
            start = tf.SessionLog(status=tf.SessionLog.START)
            self._events.add_session_log(start, done + 1)

    def __enter__(self) -> _Log:
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
            raise FileError(f"cannot write {self._path}: {error.strerror}.") from error
        numbers = {name: value for name, value in record.items() if name != "iteration"}
        values = [tf.Summary.Value(tag=tag, simple_value=x) for tag, x in numbers.items()]
        self._events.add_summary(tf.Summary(value=values), int(record["iteration"]))


class _Interrupt:
    """While entered, the first Ctrl-C is only noted; a second one interrupts at once."""

    seen = False

    def __enter__(self) -> _Interrupt:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tqdm.write("Stopping after this iteration (Ctrl-C again stops at once)")
