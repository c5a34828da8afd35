"""Pieces: the images and chains of each worker of a cluster, and a checkpoint that all write."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common import datasets, streams
from common.cluster import ALONE, Cluster, ClusterError
from common.datasets import Dataset
from common.flags import Settings
from common.session import tf
from common.streams import Stream

SHOWS = 10.0  # seconds in which a file that is written shows on all machines


@dataclasses.dataclass(frozen=True)
class Shard:
    """Which of all images, or chains, are a worker's: consecutive ones.

    Attributes:
        sizes: how many each worker has, by rank.
        cluster: the workers.
    """

    sizes: tuple[int, ...]
    cluster: Cluster = ALONE

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.sizes)

    @property
    def count(self) -> int:
        """How many are this worker's."""
        return self.sizes[self.cluster.rank]

    @property
    def own(self) -> slice:
        """Which of all are this worker's."""
        first = sum(self.sizes[: self.cluster.rank])
        return slice(first, first + self.count)

    def at_most(self, total: int) -> Shard:
        """This one, or, of so many, an even one."""
        return self if self.total <= total else self.evenly(total)

    def evenly(self, total: int) -> Shard:
        """An even one, of so many, or of one for each worker."""
        total = max(total, len(self.sizes))
        ends = np.linspace(0, total, len(self.sizes) + 1).astype(int)
        return Shard(tuple(np.diff(ends).tolist()), self.cluster)

    # Variables

    def variable(self, name: str, start: tf.Tensor) -> tf.Variable:
        """A variable, not to learn, of this worker's rows of `start` [total, ...]."""
        if self.cluster.size > 1:
            start = start[self.own]
        return self.note(tf.get_variable(name, initializer=start, trainable=False))

    def note(self, variable: tf.Variable) -> tf.Variable:
        """Take note that a variable [count, ...] is part of one [total, ...] in checkpoints."""
        if self.cluster.size > 1:
            shape = variable.shape.as_list()
            whole, first = [self.total, *shape[1:]], [self.own.start, *[0] * (len(shape) - 1)]
            variable._set_save_slice_info(
                tf.Variable.SaveSliceInfo(variable.op.name, whole, first, shape)
            )
        return variable

    # Batches

    def batches_per_epoch(self, batch_size: int) -> int:
        """Batches that it takes to see every image once; each has an image of every worker."""
        return min(math.ceil(self.total / batch_size), min(self.sizes))

    def largest_batch(self, batch_size: int) -> int:
        """How many images a batch has of this worker's, at most."""
        if self.cluster.size == 1:
            return min(batch_size, self.total)
        return math.ceil(self.count / self.batches_per_epoch(batch_size))

    def even_batch(self, batch_size: int) -> int | None:
        """How many images each batch has of this worker's; None where they differ."""
        if self.cluster.size == 1 and batch_size < self.total:  # the last one has the rest
            return None if self.total % batch_size else batch_size
        each, rest = divmod(self.count, self.batches_per_epoch(batch_size))
        return None if rest else each

    def iterations(self, settings: Settings, num_epochs: int | None = None) -> int:
        """Iterations in so many epochs, by default those of the settings, which are resolved."""
        epochs = num_epochs or settings.num_epochs or 0
        return epochs * self.batches_per_epoch(settings.batch_size or 1)

    def batch_indices(self, iteration: int, batch_size: int, seed: int) -> np.ndarray:
        """Indices, among its own, of this worker's images of an iteration, counted from 0.

        Every epoch permutes those of each worker.
        """
        if self.cluster.size == 1:
            return datasets.batch_indices(iteration, self.total, batch_size, seed)
        batches = self.batches_per_epoch(batch_size)
        epoch, part = divmod(iteration, batches)
        order = np.arange(self.count)
        if batches > 1:
            rng = streams.generator(seed, Stream.ORDER, epoch, self.cluster.rank)
            order = rng.permutation(self.count)
        first, last = ((part + end) * self.count // batches for end in (0, 1))
        return order[first:last]

    def batches(
        self, images: np.ndarray, settings: Settings, first: int, last: int
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """The batches of this worker's images [count, ...], as of `datasets.batches`."""

        def indices(iteration: int) -> np.ndarray:
            return self.batch_indices(iteration, settings.batch_size or 1, settings.seed)

        return datasets.batches(images, indices, first, last)


def note_as(variable: tf.Variable, other: tf.Variable) -> None:
    """Take note that a variable is part of a whole one, if another one is, in the same way."""
    if piece := other._save_slice_info:
        variable._set_save_slice_info(
            tf.Variable.SaveSliceInfo(
                *(variable.op.name, piece.full_shape, piece.var_offset, piece.var_shape)
            )
        )


def full_shape(variable: tf.Variable) -> list[int]:
    """The shape that a variable has in a checkpoint."""
    piece = variable._save_slice_info
    return list(piece.full_shape) if piece else variable.shape.as_list()


def digests(data: Dataset, shard: Shard, apart: list[str]) -> dict[str, str]:
    """Those of all images, at every worker, as of `datasets.digests`.

    Args:
        data: what `load` has returned,
        shard: as well.
        apart: names of images that are in no piece.
    """
    if data.apart is None:
        return datasets.digests(data)
    gather = shard.cluster.gather
    found = [gather(_digests(images)) for images in (data.images[: shard.count], data.apart)]
    divided = [name for name in data.names if name not in apart]
    divided += [name for name in data.names if name in apart]
    texts = [row.tobytes().hex() for rows in found for row in rows]
    by_name = dict(zip(divided, texts, strict=True))
    return {name: by_name[name] for name in data.names}


def _digests(images: np.ndarray) -> np.ndarray:
    """The digests [n, 2] of images, int32."""
    row = b"".join(map(datasets.digest, images))
    return np.frombuffer(row, np.int32).reshape(len(images), 2).copy()


def load(
    folder: Path, image_size: int, fit: str, cluster: Cluster, apart: list[str], shown: int
) -> tuple[Dataset, Shard]:
    """Decode a worker's piece of a folder of images; the first worker also what it shows.

    All workers list the same folder.

    Args:
        folder: where the images lie.
        image_size: side S of the square they are resized to.
        fit: as for `datasets.load`.
        cluster: the workers.
        apart: names of images that are in no piece, of which the first worker decodes all.
        shown: images at the beginning that the first worker needs, whoever's they are.

    Returns:
        The names of all readable images, but, of several workers, only the images of this one's
        piece; at the first worker, those at the beginning, of which its piece are the first.  And
        the pieces.

    Raises:
        DatasetError: as `datasets.load`.
        ClusterError: the workers list different files, or there are fewer than workers.
    """
    if cluster.size == 1:
        data = datasets.load(folder, image_size, fit)
        return data, Shard((len(data.names),))
    files = datasets.image_files(folder)
    listed = [f"{path.name} {path.stat().st_size}" for path in files]
    cluster.compare({"images (names and sizes of the files)": "\n".join(listed)})
    learned = [path for path in files if path.name not in apart]
    ends = [len(learned) * rank // cluster.size for rank in (cluster.rank, cluster.rank + 1)]
    piece = learned[slice(*ends)]
    others: list[Path] = []
    if cluster.rank == 0:
        piece = learned[: max(ends[1], min(shown, len(learned)))]
        others = [path for path in files if path.name in apart]
    decoded = cluster.patiently(lambda: datasets.decode([*piece, *others], image_size, fit))
    # Who has which images depends on how many of them can be read.
    readable = np.isin([path.name for path in (*piece, *others)], decoded.names).astype(np.int32)
    own, rows = readable[: ends[1] - ends[0]], int(readable[: len(piece)].sum())
    sizes = tuple(cluster.gather(own.sum(keepdims=True, dtype=np.int32)).tolist())
    if min(sizes) < 1:
        raise ClusterError(
            f"worker {sizes.index(0)} has no readable image of the {sum(sizes)} in {folder}:"
            " start fewer workers"
        )
    found = np.concatenate([cluster.gather(own), cluster.gather(readable[len(piece) :])])
    divided = [*learned, *(path for path in files if path.name in apart)]
    names = sorted(path.name for path, kept in zip(divided, found, strict=True) if kept)
    images = decoded.images[:rows], decoded.images[rows:]
    return Dataset(images[0], names, decoded.skipped, images[1]), Shard(sizes, cluster)


class PiecewiseSaver:
    """A checkpoint of all workers: each writes its rows, and the first one everything else.

    What comes of it is an ordinary checkpoint, with a file of numbers for each worker, which any
    number of workers reads.
    """

    def __init__(self, cluster: Cluster) -> None:
        """Build the operations, in the graph of a model that is complete."""
        self._cluster = cluster
        variables = [
            variable
            for variable in tf.global_variables()
            if variable._save_slice_info or cluster.rank == 0
        ]
        pieces = [variable._save_slice_info for variable in variables]
        self._prefix = tf.placeholder(tf.string, [])
        self._save = tf.raw_ops.SaveV2(
            prefix=self._prefix,
            tensor_names=[variable.op.name for variable in variables],
            shape_and_slices=[piece.spec if piece else "" for piece in pieces],
            tensors=[variable.read_value() for variable in variables],
        )

    def save(self, session: tf.Session, prefix: Path, iteration: int) -> None:
        """Write the checkpoint PREFIX-ITERATION.

        Raises:
            OpError: this worker's part cannot be written, or, at the first one, the whole.
            ClusterError: another worker has failed to.
        """
        whole = f"{prefix}-{iteration}"
        size = self._cluster.size
        parts = [f"{whole}_temp/part-{rank:05}-of-{size:05}" for rank in range(size)]
        fed = {self._prefix: parts[self._cluster.rank]}
        self._cluster.attempt(lambda: session.run(self._save, fed))
        self._cluster.attempt(lambda: None if self._cluster.rank else _merge(parts, whole))


def _merge(parts: list[str], whole: str) -> None:
    """Make one checkpoint of its parts, which are then gone, and note it as the newest."""
    from tensorflow.python.checkpoint import checkpoint_management

    folder = Path(whole).parent
    for rank, part in enumerate(parts):
        _await(
            Path(f"{part}.index"),
            f"worker {rank} wrote its part of the checkpoint elsewhere than to {folder}:"
            " --output_dir is to be a folder that all workers share",
        )
    with tf.Graph().as_default(), tf.Session() as alone:
        alone.run(
            tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=whole)
        )
    checkpoint_management.update_checkpoint_state_internal(
        str(folder), whole, [whole], save_relative_paths=True
    )


def _await(path: Path, otherwise: str) -> None:
    """Wait for a file that another machine has written, which may take some seconds to show."""
    deadline = time.monotonic() + SHOWS
    while not path.exists():
        if time.monotonic() > deadline:
            raise ClusterError(otherwise)
        time.sleep(0.1)
