"""Several workers: they learn what one process learns, and leave, and go on, when one is lost."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from cluster_worker import Worker, forking
from conftest import ROOT, fails, flags, load_file, results, save_image

from common import cluster
from common.cluster import Task
from common.ownership import owned
from common.run_folder import Folder
from DesNet import load

TIMEOUT = 10  # seconds that a worker waits for another, and
SLACK = 10  # that it may take to leave then, on a busy machine
LIMIT = 60  # seconds after which a worker hangs
# Adam divides by the size of a gradient: where that is 0 but for rounding, it doubles the rounding.
WITHOUT_NOISE = {
    "GenNet": [
        *("--sampler=langevin", "--delta=0.02", "--sample_steps=2", "--width=8"),
        *("--holdout=3.png", "--batch_size=6", "--prior_draws=6"),
    ],
    "DesNet": [
        *("--data_noise=0", "--data_noise_start=0", "--T=3", "--network=assignment"),
        *("--learning_rate=0.0005", "--batch_size=7"),
    ],
}
SMALLEST = ["--sampler=mala", "--width=4", "--precision=float32"]
# So large that learning has to go back.
DIVERGING = {
    "GenNet": [*SMALLEST, "--g_lr=0.5"],
    "DesNet": ["--T=10", "--learning_rate=2", "--weight_decay=0", "--learning=convergent"],
}
launcher = load_file(ROOT / "cluster.py")


@pytest.fixture(scope="module", autouse=True)
def nursery():
    with forking():
        yield


@pytest.fixture(autouse=True)
def none_left():
    yield
    while Worker.started:
        Worker.started.pop().kill()


def start(name, words, count=2, more=None, **options):
    """Workers on this machine; `more` are words by rank."""
    addresses = launcher.free_addresses(count)
    told = [
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
        for rank in range(count)
    ]
    return [
        Worker(name, *words, *(more or {}).get(rank, []), task=task, **options)
        for rank, task in enumerate(told)
    ]


def end(workers, seconds=LIMIT):
    """The exit codes and last lines of all; none is left."""
    return [worker.end(seconds) for worker in workers]


def end_well(workers):
    ended = end(workers)
    assert [code for code, _ in ended] == [0] * len(workers), ended


def checkpoint(folder, iteration=None):
    """All variables of a run's newest checkpoint, or another one, whole."""
    path = folder / "checkpoints"
    reader = tf.train.load_checkpoint(str(path / f"model-{iteration}" if iteration else path))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def rows(folder):
    """How many iterations history.csv has."""
    history = folder / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.exists() else 0


def wait_for(folder, count):
    """Wait until history.csv has so many iterations."""
    deadline = time.monotonic() + LIMIT
    while rows(folder) < count:
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.01)


# What they learn


def test_workers_learn_what_one_process_learns(name, many, tmp_path):
    words = [*WITHOUT_NOISE[name], f"--data_path={many}", "--category=cats", "--image_size=16"]
    words += ["--precision=float32", "--log_step=5", "--num_epochs=20"]
    (tmp_path / "alone").mkdir()
    one, two = (tmp_path / folder / "cats" for folder in ("one", "two"))
    alone = Worker(
        *(name, *words, f"--output_dir={one.parent}"),
        **{"task": None, "still": True, "dumps": tmp_path / "alone"},
    )
    words.append(f"--output_dir={two.parent}")
    pair = start(name, words, still=True, dumps=tmp_path)
    end_well([alone, *pair])

    # To the bit, after 20 iterations, among themselves.
    first, second = (np.load(tmp_path / f"{rank}-20.npz") for rank in (0, 1))
    assert all(np.array_equal(first[key], second[key]) for key in first)
    # And beside one process, from which the run folder tells several by their number alone.
    expected, five = np.load(tmp_path / "alone" / "0-5.npz"), np.load(tmp_path / "0-5.npz")
    assert max(np.abs(five[key] - first[key]).max() for key in first) > 1e-3
    for key in expected:
        np.testing.assert_allclose(five[key], expected[key], atol=1e-5, err_msg=key)
    told = [Folder(each).read_json("manifest.json") for each in (one, two)]
    assert [each.pop("sittings")[0]["workers"] for each in told] == [1, 2]
    assert told[0] == told[1]
    assert len(Folder(two).read_json("manifest.json")["digests"]) == 7

    if name == "DesNet":
        return  # its short runs keep nothing of chains
    # A third worker joins after the fifth iteration from the end.
    before, by_two = checkpoint(two, 15), checkpoint(two, 20)
    for path in (two / "checkpoints").glob("model-20.*"):
        path.unlink()
    end_well(start(name, [*words, "--resume"], 3, still=True))
    by_three = checkpoint(two, 20)
    assert by_three.keys() == by_two.keys()
    for key in by_two:
        np.testing.assert_allclose(by_three[key], by_two[key], rtol=1e-3, atol=1e-4, err_msg=key)
    assert any(np.abs(before[key] - by_two[key]).max() > 1e-3 for key in by_two)


def test_workers_go_back_together(name, many, tmp_path):
    more = [*DIVERGING[name], "--precision=float32", "--num_epochs=20", "--log_step=10"]
    end_well(start(name, flags(name, many, tmp_path, *more), dumps=tmp_path))
    for iteration in (10, 20):
        first, second = (np.load(tmp_path / f"{rank}-{iteration}.npz") for rank in (0, 1))
        assert all(np.array_equal(first[key], second[key]) for key in first)
        assert all(np.isfinite(first[key]).all() for key in first)
    kept = checkpoint(tmp_path / "cats")
    assert kept["roll_backs"] > 1
    chains = "chains/z" if name == "GenNet" else "chains/images"
    assert len(kept[chains]) == len(kept[f"snapshot/{chains}"]) == 7


# When one is lost


def lossy_words(many, output):
    more = ["--sampler=mala", "--num_epochs=40", "--log_step=10", "--precision=float32"]
    return flags("DesNet", many, output, *more, "--network=assignment")


@pytest.fixture(scope="module")
def undisturbed(many, tmp_path_factory):
    """The folder of a run of two workers that nothing happens to."""
    output = tmp_path_factory.mktemp("undisturbed")
    end_well(start("DesNet", lossy_words(many, output)))
    return output / "cats"


def assert_same_run(a, b):
    """That two runs have learned the same, to the bit."""
    first, second = checkpoint(a), checkpoint(b)
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)
    assert (a / "history.csv").read_text() == (b / "history.csv").read_text()


def test_workers_that_lose_one_leave_and_go_on_to_the_same_bits(many, tmp_path, undisturbed):
    # One that stands still is lost after the timeout, which passes meanwhile.
    held = start("DesNet", [*lossy_words(many, tmp_path / "held"), "--num_epochs=10000"])
    wait_for(tmp_path / "held" / "cats", 1)
    held[1].signal(signal.SIGSTOP)
    struck = time.monotonic()

    words = [*lossy_words(many, tmp_path), "--resume=auto"]
    folder = tmp_path / "cats"
    for victim, count in ((0, 4), (1, 13)):
        workers = start("DesNet", words)
        wait_for(folder, count)
        workers[victim].signal(signal.SIGKILL)
        code, line = workers[1 - victim].end(TIMEOUT + SLACK)
        assert code == cluster.LOST, line
        assert "--resume" in line
        assert workers[victim].end(TIMEOUT)[0] == -signal.SIGKILL
        # What a worker wrote that was lost before all others had.
        (folder / "checkpoints" / "model-3_temp").mkdir()
        (folder / "checkpoints" / "model-3_temp" / "part-00001-of-00002.index").touch()
    end_well(start("DesNet", words))
    assert_same_run(folder, undisturbed)
    kept = {path.name.partition(".")[0] for path in (folder / "checkpoints").iterdir()}
    assert kept == {"checkpoint", "time", "model-30", "model-40"}

    code, line = held[0].end(max(0.1, struck + TIMEOUT + SLACK - time.monotonic()))
    assert code == cluster.LOST, line
    assert held[1].end(0)[0] is None


def test_the_launcher_starts_all_again_when_one_dies(many, tmp_path, undisturbed):
    words = lossy_words(many, tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, ROOT / "cluster.py", "--workers=2", ROOT / "DesNet" / "main.py", *words],
        env={**os.environ, "CLUSTER_TIMEOUT": str(TIMEOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = tmp_path / "out" / "cats"
    try:
        wait_for(folder, 15)
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True
        ).stdout.split()
        assert len(children) == 2
        os.kill(int(children[1]), signal.SIGKILL)
        output, errors = process.communicate(timeout=LIMIT)
    finally:
        process.terminate()  # which stops its workers
    assert process.returncode == 0, errors
    assert "start again" in errors
    assert "40 of 40 iterations" in output
    assert not folder.with_name("cats.1").exists()  # it has gone on, not begun again
    assert_same_run(folder, undisturbed)
    # One process reads what several have written, to the bit.
    np.testing.assert_array_equal(load(folder).synthesize(), results(folder)["synthesized"])


@pytest.mark.parametrize(
    ("number", "codes"), [(signal.SIGINT, [0, 0]), (signal.SIGTERM, [cluster.LOST, 128 + 15])]
)
def test_a_signal_at_one_worker_stops_all_after_the_same_iteration(many, tmp_path, number, codes):
    more = [*SMALLEST, "--num_epochs=100000", "--log_step=100000"]
    workers = start("GenNet", flags("GenNet", many, tmp_path, *more))
    wait_for(tmp_path / "cats", 3)
    workers[1].signal(number)
    ended = end(workers)
    assert [code for code, _ in ended] == codes, ended
    if number == signal.SIGTERM:
        assert "another worker was told to stop: start all again with --resume" in ended[0][1]
    kept = checkpoint(tmp_path / "cats")
    assert kept["global_step"] == rows(tmp_path / "cats")
    assert kept["chains/z"].shape == (7, 2)


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
    words = flags("GenNet", many, tmp_path / "out")
    for code, line in end(start("GenNet", words, more={1: ["--seed=3"]})):
        assert code == 2
        assert "the workers have different flags: worker 1 and worker 0 differ" in line
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_process_is_refused_by_all(many, tmp_path):
    words = flags("GenNet", many, tmp_path, *SMALLEST)
    with owned(tmp_path / "cats"):
        (first, why), (second, other) = end(start("GenNet", words))
    assert (first, second) == (2, 2)
    assert f"process {os.getpid()} is writing to" in why
    assert "another worker could not go on" in other


def test_workers_that_go_on_see_that_an_image_has_changed(many, tmp_path, undisturbed):
    shutil.copytree(many / "cats", tmp_path / "cats")
    shutil.copytree(undisturbed, tmp_path / "out" / "cats")
    save_image(tmp_path / "cats" / "6.png", np.zeros((16, 16, 3)))  # of the second one's piece
    words = [*lossy_words(tmp_path, tmp_path / "out"), "--resume"]
    for code, line in end(start("DesNet", words)):
        assert code == 2
        assert "1 changed (6.png)" in line
