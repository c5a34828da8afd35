"""Workers for tests, forked from a process that has imported TensorFlow and opened no session."""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from conftest import ROOT, load_file
from matplotlib.figure import Figure

from common import cluster, command, experiment, samplers
from common.model import Model
from common.session import tf
from common.shards import Shard
from transport import Transport

FORKS = multiprocessing.get_context("forkserver")
MAINS = {name: load_file(ROOT / name / "main.py") for name in ("GenNet", "DesNet")}
assert tf.Graph


@contextmanager
def forking() -> Iterator[None]:
    """Within it, workers are forked from one process, which lasts."""
    from multiprocessing import forkserver

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # or else it cannot import this module
    FORKS.set_forkserver_preload([__name__])
    forkserver.ensure_running()
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    yield


class Worker:
    """A worker in a process of its own.

    It shows no results, nor has a model to show, which take longer than all else.

    Attributes:
        started: all so far.
    """

    started: ClassVar[list["Worker"]] = []

    def __init__(self, name: str, *arguments: Any, task: dict | None, **options: Any) -> None:
        """Start it.

        Args:
            name: of the model.
            arguments: of the command line.
            task: of TF_CONFIG; None for one process alone.
            options: of `work`.
        """
        self._errors = tempfile.NamedTemporaryFile("r")  # noqa: SIM115
        told = json.dumps(task or {})
        words = list(map(str, arguments))
        fixed = (name, words, told, self._errors.name)
        self.process: Any = FORKS.Process(target=work, args=fixed, kwargs=options, daemon=True)
        self.process.start()
        Worker.started.append(self)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it, even if it stands still."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.join()

    def end(self, seconds: float) -> tuple[int | None, str]:
        """Its exit code, and the last line that it said; it is killed after so many seconds."""
        self.process.join(seconds)
        code = self.process.exitcode
        self.kill()
        return code, self._errors.read().strip().rpartition("\n")[2]


def work(
    name: str,
    arguments: list[str],
    told: str,
    errors: str,
    timeout: float = 10.0,
    dumps: Path | None = None,
    still: bool = False,
) -> None:
    """Be a worker.

    Args:
        name: of the model.
        arguments: of the command line.
        told: TF_CONFIG.
        errors: file of its stderr.
        timeout: CLUSTER_TIMEOUT.
        dumps: folder in which RANK-ITERATION.npz holds, at every checkpoint, what was learned.
        still: whether its chains go straight up the score and take no draw that is offered to
            them, so that what any number of workers learn can be compared.
    """
    os.environ.update(TF_CONFIG=told, CLUSTER_TIMEOUT=str(timeout))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
    for descriptor, path in ((1, os.devnull), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY), descriptor)
    save, main = Model.save, MAINS[name]

    def dump_and_save(model: Model, prefix: Path, iteration: int) -> None:
        save(model, prefix, iteration)
        if dumps is not None:
            path = dumps / f"{model.cluster.rank}-{iteration}.npz"
            np.savez(path, **model.learned_values())

    def make(experiment: experiment.Experiment, build: Any, shard: Shard) -> Model:
        experiment.learner = build(shard)
        experiment.learner.build_model()
        return experiment.learner

    def without_noise(shape: tf.Tensor, key: tf.Tensor, dtype: str = "float32") -> tf.Tensor:
        return tf.zeros(shape, dtype)

    def blank(_: experiment.Experiment) -> Figure:
        figure = Figure()
        figure.subplots()
        return figure

    if still:
        samplers.standard_normal = without_noise
        Transport.resampled = lambda _, chains, *__: chains  # type: ignore[method-assign]
    Model.save = dump_and_save  # type: ignore[method-assign]
    experiment.Experiment.make = make  # type: ignore[method-assign]
    cluster.GRACE = 0.2
    command.save_results = lambda *_: {}  # type: ignore[assignment]
    main.Experiment.progress = blank
    main.Experiment.finish = lambda *_: None
    main.main(arguments)
