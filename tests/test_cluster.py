"""Several workers: they learn what one process learns, and leave, and go on, when one is lost."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import ROOT, fails, flags, load_file, results, save_image

from common import cluster, datasets, shards
from common.cluster import ClusterError, PeerError, Task, Workers
from common.shards import Shard
from DesNet import load

TIMEOUT = 10  # seconds
MAIN = ["--log_step=5", "--num_epochs=50", "--precision=float32"]
# Adam divides by the size of a gradient: where that is 0 but for rounding, it doubles the rounding.
WITHOUT_NOISE = {
    "GenNet": [
        "--sampler=langevin",
        "--delta=0.02",
        "--sample_steps=2",
        "--image_size=16",
        "--width=8",
    ],
    "DesNet": [
        "--data_noise=0",
        "--data_noise_start=0",
        "--T=3",
        "--image_size=16",
        "--learning_rate=0.0005",
    ],
}
launcher = load_file(ROOT / "cluster.py")


WORKER = ROOT / "tests" / "cluster_worker.py"


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A data path whose category "cats" holds seven images."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("many") / "data" / "cats"
    folder.mkdir(parents=True)
    for i in range(7):
        pixels = np.full((16, 16, 3), rng.integers(40, 216, 3))
        pixels[4:12, 4:12] = rng.integers(40, 216, 3)
        save_image(folder / f"{i}.png", pixels)
    return folder.parent


def start(count, *words, more=None, timeout=TIMEOUT):
    """Workers on this machine; `more` are words by rank."""
    addresses = launcher.free_addresses(count)
    processes = []
    for rank in range(count):
        told = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
        environment = {"TF_CONFIG": json.dumps(told), "CLUSTER_TIMEOUT": str(timeout)}
        processes.append(
            subprocess.Popen(
                [sys.executable, *map(str, words), *(more or {}).get(rank, [])],
                env={**os.environ, **environment},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


def end(processes, seconds=120):
    """The exit codes and last lines of all; none may be left."""
    try:
        said = [process.communicate(timeout=seconds)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        (p.returncode, text.strip().split("\n")[-1])
        for p, text in zip(processes, said, strict=True)
    ]


def checkpoint(folder):
    """All variables of a run's newest checkpoint, whole."""
    reader = tf.train.load_checkpoint(str(folder / "checkpoints"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def wait_for(folder, rows):
    """Wait until history.csv has so many rows."""
    history = folder / "history.csv"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if history.exists() and len(history.read_text().splitlines()) > rows:
            return
        time.sleep(0.01)
    raise AssertionError("no progress")


# What they learn


def test_workers_learn_what_one_process_learns(name, many, tmp_path):
    words = [WORKER, name, "still", tmp_path, *WITHOUT_NOISE[name], *MAIN, "--category=cats"]
    words += [f"--data_path={many}", "--batch_size=7"]
    alone = subprocess.run([sys.executable, *map(str, words), f"--output_dir={tmp_path / 'one'}"])
    assert alone.returncode == 0
    shutil.move(tmp_path / "0-5.npz", tmp_path / "alone.npz")
    ended = end(start(2, *words, f"--output_dir={tmp_path / 'two'}"))
    assert [code for code, _ in ended] == [0, 0], ended

    # To the bit, after 50 iterations, among themselves.
    first, second = (np.load(tmp_path / f"{rank}-50.npz") for rank in (0, 1))
    assert all(np.array_equal(first[key], second[key]) for key in first)
    # And beside one process.
    expected = np.load(tmp_path / "alone.npz")
    moved = [np.abs(expected[key] - first[key]).max() for key in first]
    assert max(moved) > 1e-3
    five = np.load(tmp_path / "0-5.npz")
    for key in expected:
        np.testing.assert_allclose(five[key], expected[key], atol=1e-5, err_msg=key)

    if name == "DesNet":
        return  # its short runs keep nothing of chains
    # A third worker joins after the fifth iteration from the end.
    state = tmp_path / "two" / "cats" / "checkpoints" / "checkpoint"
    state.write_text('model_checkpoint_path: "model-45"\nall_model_checkpoint_paths: "model-45"\n')
    before = checkpoint(tmp_path / "two" / "cats")
    state.write_text('model_checkpoint_path: "model-50"\nall_model_checkpoint_paths: "model-50"\n')
    by_two = checkpoint(tmp_path / "two" / "cats")
    state.write_text('model_checkpoint_path: "model-45"\nall_model_checkpoint_paths: "model-45"\n')
    ended = end(start(3, *words, f"--output_dir={tmp_path / 'two'}", "--resume"))
    assert [code for code, _ in ended] == [0, 0, 0], ended
    by_three = checkpoint(tmp_path / "two" / "cats")
    assert by_three.keys() == by_two.keys()
    for key in by_two:
        np.testing.assert_allclose(by_three[key], by_two[key], rtol=1e-3, atol=1e-4, err_msg=key)
    assert any(np.abs(before[key] - by_two[key]).max() > 1e-3 for key in by_two)


# When one is lost


def lossy_words(many, output):
    more = ["--sampler=mala", "--num_epochs=40", "--log_step=10", "--precision=float32"]
    return flags("DesNet", many, output, *more)


@pytest.fixture(scope="module")
def undisturbed(many, tmp_path_factory):
    """The folder of a run of two workers that nothing happens to."""
    output = tmp_path_factory.mktemp("undisturbed")
    words = [WORKER, "DesNet", "noise", output, *lossy_words(many, output)]
    assert [code for code, _ in end(start(2, *words))] == [0, 0]
    return output / "cats"


def assert_same_run(a, b):
    """That two runs have learned the same, to the bit."""
    first, second = checkpoint(a), checkpoint(b)
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)
    assert (a / "history.csv").read_text() == (b / "history.csv").read_text()


def test_workers_that_lose_one_leave_and_go_on_to_the_same_bits(many, tmp_path, undisturbed):
    words = [WORKER, "DesNet", "noise", tmp_path, *lossy_words(many, tmp_path), "--resume=auto"]
    folder = tmp_path / "cats"
    rng = random.Random(0)
    for victim, blow, rows in (
        (0, signal.SIGKILL, rng.randint(1, 12)),
        (1, signal.SIGKILL, rng.randint(12, 22)),
        (1, signal.SIGSTOP, rng.randint(22, 32)),
    ):
        processes = start(2, *words)
        wait_for(folder, rows)
        processes[victim].send_signal(blow)
        struck = time.monotonic()
        survivor = processes[1 - victim]
        (ended,) = end([survivor], TIMEOUT + 5)
        assert time.monotonic() - struck < TIMEOUT + 5
        assert ended[0] == cluster.LOST, ended
        assert "--resume" in ended[1]
        processes[victim].kill()
        processes[victim].communicate()
    assert [code for code, _ in end(start(2, *words))] == [0, 0]
    assert_same_run(folder, undisturbed)


def test_the_launcher_starts_all_again_when_one_dies(many, tmp_path, undisturbed):
    words = lossy_words(many, tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, ROOT / "cluster.py", "--workers=2", ROOT / "DesNet" / "main.py", *words],
        env={**os.environ, "CLUSTER_TIMEOUT": str(TIMEOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(tmp_path / "out" / "cats", 15)
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True
    ).stdout.split()
    assert len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "start again" in errors
    assert "40 of 40 iterations" in output
    folder = tmp_path / "out" / "cats"
    assert_same_run(folder, undisturbed)
    # One process reads what several have written, to the bit.
    np.testing.assert_array_equal(load(folder).synthesize(), results(folder)["synthesized"])


def test_ctrl_c_at_one_worker_stops_all_after_the_same_iteration(many, tmp_path):
    more = ["--num_epochs=100000", "--log_step=100000"]
    words = [WORKER, "GenNet", "noise", tmp_path, *flags("GenNet", many, tmp_path, *more)]
    processes = start(2, *words)
    wait_for(tmp_path / "cats", 3)
    processes[1].send_signal(signal.SIGINT)
    assert [code for code, _ in end(processes)] == [0, 0]
    iterations = len((tmp_path / "cats" / "history.csv").read_text().splitlines()) - 1
    assert checkpoint(tmp_path / "cats")["global_step"] == iterations
    assert checkpoint(tmp_path / "cats")["chains/z"].shape == (7, 2)


# Mistakes


def config(workers, **task):
    return json.dumps({"cluster": {"worker": workers}, "task": task})


PAIR = ["localhost:1", "localhost:2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "not JSON"),
        ('{"cluster": 3}', "not JSON"),
        (config(PAIR, type="worker", index=2), "none of its 2 workers"),
        (config(PAIR, type="worker", index=-1), "none of its 2 workers"),
        (config(PAIR, type="worker", index="0"), "none of its 2 workers"),
        (config(PAIR, type="ps", index=0), "none of its 2 workers"),
        (config(PAIR), "none of its 2 workers"),
        (config("localhost:1", type="worker", index=0), "list of host:port"),
        (config(["localhost", "localhost:2"], type="worker", index=0), "list of host:port"),
        (config(["localhost:1"] * 2, type="worker", index=0), "twice"),
        (json.dumps({"cluster": {"ps": PAIR}, "task": {"type": "ps", "index": 0}}), "names ps"),
    ],
)
def test_a_malformed_configuration_gets_one_sentence(
    name, pictures, tmp_path, mains, capsys, monkeypatch, text, says
):
    monkeypatch.setenv("TF_CONFIG", text)
    sentence = fails(capsys, mains[name].main, flags(name, pictures, tmp_path / "out"))
    assert "TF_CONFIG" in sentence
    assert says in sentence
    assert not (tmp_path / "out").exists()


def test_a_chief_is_the_first_worker():
    jobs = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    for task, rank in ((("chief", 0), 0), (("worker", 0), 1), (("worker", 1), 2)):
        told = {"cluster": jobs, "task": {"type": task[0], "index": task[1]}}
        assert cluster.read_task(json.dumps(told)) == Task(["a:1", "b:1", "c:1"], rank)
    for text in ("", "{}", config(["a:1"], type="worker", index=0)):
        assert cluster.read_task(text) is None


@pytest.mark.parametrize("seconds", ["soon", "0", "nan", "-3"])
def test_a_timeout_that_is_none(pictures, tmp_path, mains, capsys, monkeypatch, seconds):
    monkeypatch.setenv("TF_CONFIG", config(PAIR, type="worker", index=0))
    monkeypatch.setenv("CLUSTER_TIMEOUT", seconds)
    sentence = fails(capsys, mains["GenNet"].main, flags("GenNet", pictures, tmp_path / "out"))
    assert "CLUSTER_TIMEOUT" in sentence


def test_a_worker_that_cannot_be_reached_is_named(pictures, tmp_path, mains, capsys, monkeypatch):
    monkeypatch.setenv("CLUSTER_TIMEOUT", "1")
    arguments = flags("GenNet", pictures, tmp_path / "out")
    for rank in (0, 1):
        addresses = launcher.free_addresses(2)
        monkeypatch.setenv("TF_CONFIG", config(addresses, type="worker", index=rank))
        began = time.monotonic()
        sentence = fails(capsys, mains["GenNet"].main, arguments)
        assert f"waited 1 s for worker {1 - rank} at {addresses[1 - rank]}" in sentence
        assert time.monotonic() - began < 6
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        addresses[0] = f"localhost:{taken.getsockname()[1]}"
        monkeypatch.setenv("TF_CONFIG", config(addresses, type="worker", index=0))
        assert "cannot listen" in fails(capsys, mains["GenNet"].main, arguments)


def test_workers_with_different_flags_say_so(many, tmp_path):
    words = [ROOT / "GenNet" / "main.py", *flags("GenNet", many, tmp_path / "out")]
    ended = end(start(2, *words, more={1: ["--seed=3"]}), TIMEOUT + 20)
    for code, line in ended:
        assert code == 2
        assert "the workers have different flags: worker 1 and worker 0 differ" in line
    assert not (tmp_path / "out").exists()


# What they exchange: workers that are threads of this process


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
