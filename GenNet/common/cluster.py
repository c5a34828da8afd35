"""Several workers that learn together, on TensorFlow's own runtime; or one process, as usual.

TF_CONFIG in the environment says who they are, as Kubernetes' training operators and every cloud
set it.  Every worker holds the whole network and a piece of the images with the chains of these.
What a worker learns from its own piece is summed over all by a collective operation, so that all
workers take the same step, to the same bits.  Everything else they need of each other, little, is
exchanged in the same way.

Workers that lose one of them cannot go on: the process of each is spent, and leaves with the exit
code LOST.  Started again, all go on from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import PIL

from common import session
from common.endings import MistakeError
from common.session import tf

CONFIG = "TF_CONFIG"  # in the environment: the addresses of the workers, and which one this is
TIMEOUT = "CLUSTER_TIMEOUT"  # likewise: seconds that a worker waits for another; by default
SECONDS = 60
LOST = 138  # exit code when another worker was lost: of training operators, "try again"
LEADER = "/job:worker/replica:0/task:0"  # who brings the members of a collective together
PAUSE = 1.0  # seconds from one look at what takes long to the next, at most
GRACE = 1.0  # seconds in which the last answer of a worker that ends reaches the others

Result = TypeVar("Result")


class ClusterError(MistakeError):
    """Workers that cannot learn together; the message is a sentence for the user."""


class PeerError(MistakeError):
    """A worker that was lost, or has left; the message is a sentence for the user."""

    exit_code = LOST


class Cluster:
    """One process alone: every method leaves everything as it is.

    Attributes:
        rank: which worker this is, counted from 0.
        size: how many there are.
        target: of its sessions.
    """

    rank = 0
    size = 1
    target = ""

    # In a graph

    def device(self) -> Any:
        """The scope in which a worker's graph is built."""
        return contextlib.nullcontext()

    def configured(self, config: tf.ConfigProto, precision: str = "float32") -> tf.ConfigProto:
        """The configuration of a session that takes part, and computes in this precision."""
        return config

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Each tensor summed over all workers; float32, of shapes that are known."""
        return tensors

    def mean(self, tensors: list[tf.Tensor], count: tf.Tensor | int) -> list[tf.Tensor]:
        """Means over `count` images of each worker -> the means over those of all."""
        return tensors

    # Outside of one

    def any(self, flag: bool) -> bool:
        """Whether a flag is set at any worker."""
        return flag

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The rows [n, ...] of all workers, by rank: [sum of all n, ...]; int32 or float64."""
        return rows

    def compare(self, facts: dict[str, str]) -> None:
        """Check that all workers have the same facts, by what they are called.

        Raises:
            ClusterError: one has not, at every worker with the same sentence.
        """

    def attempt(self, work: Callable[[], Result]) -> Result:
        """What `work` returns, if it succeeds at all workers.

        Raises:
            ClusterError: it fails at another one.  Where it fails, that error goes on.
        """
        return work()

    def patiently(self, work: Callable[[], Result]) -> Result:
        """As `attempt`, in a thread: however long it takes, a worker that is lost is noticed."""
        return work()

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Within it, what TensorFlow says of a worker that was lost becomes a PeerError."""
        yield


ALONE = Cluster()


def versions() -> dict[str, str]:
    """What workers must have the same of, to learn the same: libraries, and this code itself."""
    return {
        "versions of Python, TensorFlow, NumPy or Pillow": " ".join(
            [platform.python_version(), tf.version.VERSION, np.__version__, PIL.__version__]
        ),
        "versions of this program": "".join(
            path.read_text(encoding="utf-8")
            for path in sorted(Path(__file__).parents[1].rglob("*.py"))
        ),
    }


class Task(NamedTuple):
    """What TF_CONFIG says."""

    workers: list[str]  # host:port of each
    rank: int  # which one this process is


def read_task(text: str) -> Task | None:
    """The workers that the text of TF_CONFIG names; None if it is of one process.

    Raises:
        ClusterError: it is malformed, or the task is none of the workers.
    """
    try:
        config = json.loads(text or "{}")
        jobs = dict(config.get("cluster") or {})
        task = dict(config.get("task") or {})
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ClusterError(
            f'{CONFIG} is not JSON such as {{"cluster": {{"worker": ["host:port", ...]}},'
            ' "task": {"type": "worker", "index": 0}}'
        ) from error
    if not jobs:
        return None
    if others := sorted(jobs.keys() - {"chief", "worker"}):
        raise ClusterError(
            f"{CONFIG} names {others[0]}; there are workers, and at most one chief: leave it out"
        )
    addresses: list[str] = []
    starts: dict[Any, int] = {}
    for job in ("chief", "worker"):
        starts[job] = len(addresses)
        listed = jobs.get(job, [])
        if not isinstance(listed, list) or not all(map(_is_address, listed)):
            raise ClusterError(f"{CONFIG} has a {job} that is not a list of host:port: mend it")
        addresses += listed
    if len(jobs.get("chief", [])) > 1 or len(set(addresses)) < len(addresses):
        raise ClusterError(f"{CONFIG} names a worker twice, or two chiefs: give each its address")
    kind, index = task.get("type"), task.get("index")
    if kind not in jobs or not isinstance(index, int) or not 0 <= index < len(jobs[kind]):
        raise ClusterError(
            f"{CONFIG} has the task {json.dumps(task)}, which is none of its"
            f" {len(addresses)} workers: set its type and its index"
        )
    return Task(addresses, starts[kind] + index) if len(addresses) > 1 else None


def _is_address(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    host, _, port = value.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port) < 2**16


def read_timeout(text: str) -> float:
    """The seconds that CLUSTER_TIMEOUT asks for.

    Raises:
        ClusterError: it is no number from 1 to 86400.
    """
    with contextlib.suppress(ValueError):
        if 1 <= float(text) <= 86400:
            return float(text)
    raise ClusterError(f"{TIMEOUT} {text!r} is not a number of seconds from 1 to 86400: set one")


class Workers(Cluster):
    """Several processes, this one of them."""

    def __init__(self, task: Task, timeout: float, device: str, threads: int = 0) -> None:
        """Start the server of this worker, and wait for those of the others.

        Args:
            task: who they are.
            timeout: seconds to wait for another, in everything.
            device: that this one computes on, see `session.configuration`.
            threads: of an operation; 0 leaves it to TensorFlow.

        Raises:
            ClusterError: its port is taken, or another one cannot be reached.
            DeviceError: there is no such device.
        """
        self.rank, self.size = task.rank, len(task.workers)
        self.timeout = timeout
        self._instances = 0  # collective operations so far: all workers count the same ones
        self._config = self.configured(session.configuration(device))
        self._config.intra_op_parallelism_threads = threads
        try:
            spec = {"worker": task.workers}
            self._server = tf.train.Server(spec, "worker", self.rank, config=self._config)
        except tf.errors.OpError as error:
            raise ClusterError(
                f"worker {self.rank} cannot listen at {task.workers[self.rank]}:"
                " is the port taken by another process?"
            ) from error
        self.target = self._server.target
        # A collective that waits for an absent leader never ends, whatever its timeout.
        deadline = time.monotonic() + timeout
        for rank, address in enumerate(task.workers):
            if rank != self.rank:
                self._reach(rank, address, deadline)
        self._flags: tuple[tf.Session, tf.Tensor, tf.Tensor] | None = None

    def _reach(self, rank: int, address: str, deadline: float) -> None:
        host, _, port = address.rpartition(":")
        while True:
            left = deadline - time.monotonic()
            with (
                contextlib.suppress(OSError),
                socket.create_connection((host.strip("[]"), int(port)), timeout=max(left, 0.1)),
            ):
                return
            if left <= 0:
                raise ClusterError(
                    f"worker {self.rank} waited {self.timeout:g} s for worker {rank} at {address}:"
                    " is it running, and may it be reached?"
                )
            time.sleep(min(0.2, max(left, 0)))

    def device(self) -> Any:  # noqa: D102
        return tf.device(f"/job:worker/task:{self.rank}")

    def configured(  # noqa: D102
        self, config: tf.ConfigProto, precision: str = "float32"
    ) -> tf.ConfigProto:
        configured = tf.ConfigProto()
        configured.CopyFrom(config)
        configured.experimental.collective_group_leader = LEADER
        # A session knows its own worker and the leader: those that fail beyond disturb no graph.
        configured.device_filters.extend(
            f"/job:worker/task:{rank}" for rank in sorted({0, self.rank})
        )
        if precision == "bfloat16":
            # A server checks a graph after convolutions were fused with what follows them, and
            # before they are those of oneDNN, which alone has the fused ones in bfloat16.
            from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

            configured.graph_options.rewrite_options.remapping = RewriterConfig.OFF
        return configured

    def sum(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:  # noqa: D102
        shapes = [tensor.shape.as_list() for tensor in tensors]
        flat = self._all_reduce(tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0))
        pieces = tf.split(flat, [int(np.prod(shape)) for shape in shapes])
        return [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]

    def mean(self, tensors: list[tf.Tensor], count: tf.Tensor | int) -> list[tf.Tensor]:  # noqa: D102
        weight = tf.cast(count, tf.float32)
        *sums, total = self.sum([*(weight * tensor for tensor in tensors), weight])
        return [summed / total for summed in sums]

    def _all_reduce(self, tensor: tf.Tensor) -> tf.Tensor:
        from tensorflow.python.ops import collective_ops

        self._instances += 1
        with tf.device(f"/job:worker/task:{self.rank}/device:CPU:0"):
            return collective_ops.all_reduce_v2(
                *(tensor, self.size, 1, self._instances), timeout=self.timeout
            )

    def _sum_arrays(self, array: np.ndarray) -> np.ndarray:
        with tf.Graph().as_default() as graph, self.device():
            fed = tf.placeholder(array.dtype, array.shape)
            summed = self._all_reduce(fed)
            with (
                self.watch(),
                tf.Session(self.target, graph, self._config) as session_,
            ):
                return session_.run(summed, {fed: array})

    def _sum_flags(self, *flags: bool) -> np.ndarray:
        """At how many workers each of two flags is set, int32 [2]; the graph is built once."""
        if self._flags is None:
            with tf.Graph().as_default() as graph, self.device():
                fed = tf.placeholder(tf.int32, [2])
                summed = self._all_reduce(fed)
                self._flags = tf.Session(self.target, graph, self._config), fed, summed
        session_, fed, summed = self._flags
        with self.watch():
            return session_.run(summed, {fed: flags})

    def any(self, flag: bool) -> bool:  # noqa: D102
        return bool(self._sum_flags(flag, False)[0])

    def gather(self, rows: np.ndarray) -> np.ndarray:  # noqa: D102
        counts = np.zeros(self.size, np.int32)
        counts[self.rank] = len(rows)
        counts = self._sum_arrays(counts)
        if not counts.any():  # of nothing, a collective crashes
            return rows
        first = int(counts[: self.rank].sum())
        everything = np.zeros([int(counts.sum()), *rows.shape[1:]], rows.dtype)
        everything[first : first + len(rows)] = rows
        return self._sum_arrays(everything)

    def compare(self, facts: dict[str, str]) -> None:  # noqa: D102
        digests = [hashlib.sha256(fact.encode()).digest()[:24] for fact in facts.values()]
        row = np.frombuffer(b"".join(digests), np.int32).reshape(1, len(facts), -1)
        rows = self.gather(row.copy())  # [size, facts, 6]
        for i, name in enumerate(facts):
            if others := [r for r in range(self.size) if (rows[r, i] != rows[0, i]).any()]:
                raise ClusterError(
                    f"the workers have different {name}: {_ranks(others)} and worker 0 differ;"
                    f" start all with the same {name}"
                )

    def attempt(self, work: Callable[[], Result]) -> Result:  # noqa: D102
        try:
            result = work()
        except PeerError:
            raise
        except Exception:
            self._sum_flags(True, True)
            raise
        self._all_well(self._sum_flags(True, False))
        return result

    def patiently(self, work: Callable[[], Result]) -> Result:  # noqa: D102
        pool = ThreadPoolExecutor(1)
        future = pool.submit(work)
        pool.shutdown(wait=False)
        pause, done = 0.02, 0
        while done < self.size:
            wait([future], pause)
            pause = min(1.5 * pause, PAUSE)
            failed = future.done() and future.exception() is not None
            flags = self._sum_flags(future.done(), failed)
            if not failed:
                self._all_well(flags)
            done = self.size if failed else int(flags[0])
        return future.result()

    def _all_well(self, flags: np.ndarray) -> None:
        if flags[1]:
            raise ClusterError("another worker could not go on: see what it says")

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:  # noqa: D102
        lost = (
            *(tf.errors.UnavailableError, tf.errors.DeadlineExceededError),
            *(tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.FailedPreconditionError),
        )
        try:
            yield
        except tf.errors.OpError as error:
            if isinstance(error, lost) or "Collective ops is aborted" in str(error):
                raise PeerError(
                    f"worker {self.rank} has lost another one"
                    f" ({type(error).__name__.removesuffix('Error')}): start all again with"
                    " --resume, which goes on from the last checkpoint."
                ) from error
            raise


def _ranks(ranks: list[int]) -> str:
    listed = ", ".join(map(str, ranks))
    return f"worker{'s' if len(ranks) > 1 else ''} {listed}"


class Membership:
    """A process that may join a cluster: within it, `join`; at its end, the process leaves.

    A normal exit of a process whose collectives were cut off hangs.  So a process that has joined
    flushes its output and is gone.  A process alone ends as ever.
    """

    def __init__(self) -> None:
        self._cluster: Cluster = ALONE

    def join(self, device: str, threads: int = 0) -> Cluster:
        """The cluster that the environment names; without one, ALONE.

        Args:
            device: that this worker computes on.
            threads: of an operation; 0 leaves it to TensorFlow.

        Raises:
            ClusterError: the environment is wrong, or another worker cannot be reached.
            DeviceError: there is no such device.
        """
        task = read_task(os.environ.get(CONFIG, ""))
        if task is not None:
            timeout = read_timeout(os.environ.get(TIMEOUT, str(SECONDS)))
            self._cluster = Workers(task, timeout, device, threads)
        return self._cluster

    def __enter__(self) -> Membership:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._cluster is ALONE:
            return
        code = 0
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else 1
        elif error is not None:
            traceback.print_exception(error)
            code = 1
        if code != LOST:
            time.sleep(GRACE)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
