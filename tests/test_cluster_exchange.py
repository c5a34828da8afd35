"""What workers exchange, and how they divide the images: workers that are threads of a process."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import ROOT, load_file, save_image

from common import cluster, datasets, shards
from common.cluster import ClusterError, PeerError, Task, Workers
from common.shards import Shard

TIMEOUT = 10  # seconds that a worker waits for another
launcher = load_file(ROOT / "cluster.py")


def together(work, count=3):
    """What `work` returns, or the mistake it makes, of each of some workers, by rank."""
    addresses = launcher.free_addresses(count)

    def member(rank):
        try:
            return work(Workers(Task(addresses, rank), TIMEOUT, "cpu"))
        except (ClusterError, PeerError, ValueError, datasets.DatasetError) as mistake:
            return mistake

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(member, range(count)))


def test_what_is_exchanged():
    def work(members):
        rows = np.full([members.rank, 2], members.rank, np.int32)
        return (
            *(members.any(members.rank == 2), members.any(False)),
            *(members.gather(rows).tolist(), members.gather(rows[:0].astype(float)).tolist()),
        )

    for result in together(work):
        assert result == (True, False, [[1, 1], [2, 2], [2, 2]], [])


def test_a_mistake_of_one_ends_all():
    def work(members, way):
        def fail():
            if members.rank == 1:
                raise ValueError("mine")
            return members.rank

        return getattr(members, way)(fail)

    for way in ("attempt", "patiently"):
        first, second, third = together(lambda members, way=way: work(members, way))
        assert str(second) == "mine"
        for other in (first, third):
            assert "another worker could not go on" in str(other)
    slow = together(lambda members: members.patiently(lambda: time.sleep(0.3 * members.rank)))
    assert slow == [None] * 3


def test_every_worker_decodes_its_piece(many, tmp_path):
    folder = tmp_path / "damaged" / "cats"
    shutil.copytree(many / "cats", folder)
    (folder / "2.png").write_text("damaged")
    whole = datasets.load(folder, 16)

    def work(members):
        return shards.load(folder, 16, "stretch", members, ["1.png"], 4)

    learned = [name for name in whole.names if name != "1.png"]
    rows = np.isin(whole.names, learned)
    for rank, (data, shard) in enumerate(together(work)):
        assert data.names == whole.names
        assert shard.sizes == (1, 2, 2)
        own = whole.images[rows][shard.own]
        np.testing.assert_array_equal(data.images[: shard.count], own)
        assert len(data.images) == (3 if rank == 0 else shard.count)
        assert [*data.apart.shape] == ([1, 16, 16, 3] if rank == 0 else [0, 16, 16, 3])
    other = tmp_path / "other" / "cats"
    shutil.copytree(folder, other)
    save_image(other / "9.png", np.zeros((16, 16, 3)))

    def differing(members):
        return shards.load(other if members.rank else folder, 16, "stretch", members, [], 4)

    for mistake in together(differing):
        assert "the workers have different images" in str(mistake)
        assert "workers 1, 2 and worker 0 differ" in str(mistake)


def test_an_epoch_has_every_image_once():
    class Ranked(cluster.Cluster):
        size = 3

    for sizes, batch_size in (((3, 4, 4), 4), ((3, 4, 4), 1), ((1, 9, 2), 3), ((5, 5, 5), 15)):
        for rank, size in enumerate(sizes):
            members = Ranked()
            members.rank = rank
            shard = Shard(sizes, members)
            batches = shard.batches_per_epoch(batch_size)
            epoch = [shard.batch_indices(i, batch_size, 0) for i in range(batches, 2 * batches)]
            assert all(len(index) for index in epoch)
            assert sorted(np.concatenate(epoch)) == list(range(size))
            lengths = {len(index) for index in epoch}
            assert shard.even_batch(batch_size) == (lengths.pop() if len(lengths) == 1 else None)


@pytest.mark.parametrize(("total", "batch_size"), [(12, 8), (12, 4), (11, 11), (3, 5), (7, 3)])
def test_even_batches_are_told_from_others(total, batch_size):
    shard = Shard((total,))
    batches = range(shard.batches_per_epoch(batch_size))
    lengths = {len(shard.batch_indices(i, batch_size, 0)) for i in batches}
    assert shard.even_batch(batch_size) == (lengths.pop() if len(lengths) == 1 else None)
