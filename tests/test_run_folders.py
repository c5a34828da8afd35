"""A run folder has one owner, keeps what it holds, and goes on or says why not."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import (
    ROOT,
    assert_same_results,
    fails,
    flags,
    heeding_ctrl_c,
    load_file,
    results,
    save_image,
)

from common.ownership import owned

NAME = "Baselines"  # what all models share is tested with the quickest


def contents(folder):
    """Every file below a folder, by path."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="session")
def made(mains, tmp_path_factory):
    """A data path with the category "cats", and the folder of a run of it."""
    root = tmp_path_factory.mktemp("made")
    (root / "data" / "cats").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(3):
        save_image(root / "data" / "cats" / f"{i}.png", rng.integers(0, 256, (20, 24, 3)))
    mains[NAME].main(flags(NAME, root / "data", root / "out"))
    return root


@pytest.fixture
def run(made, tmp_path, mains, capsys):
    """A function that runs a short command line, beside a run that is finished."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)

    def go(*more):
        mains[NAME].main(flags(NAME, tmp_path / "data", tmp_path / "out", *more))

    def sentence(*more):
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            go(*more)
        assert exit_.value.code == 2
        *bar, last = capsys.readouterr().err.strip().splitlines()
        assert all("%|" in line or not line for line in bar), bar
        return last

    go.fails, go.images, go.folder = sentence, tmp_path / "data" / "cats", tmp_path / "out" / "cats"
    return go


def test_a_folder_has_one_owner(run):
    before = contents(run.folder)
    with owned(run.folder):
        for more in ([], ["--resume"]):
            assert f"process {os.getpid()} is writing" in run.fails(*more)
    assert contents(run.folder) == before
    assert not run.folder.with_name("cats.1").exists()
    run("--resume")


def test_the_posterior_is_written_by_the_owner_alone(copies, capsys):
    posterior = load_file(ROOT / "GenNet" / "posterior.py")
    folder, *_ = copies
    with owned(folder):
        where = [f"--output_dir={folder.parent}", f"--category={folder.name}"]
        sentence = fails(capsys, posterior.main, where)
    assert "is writing" in sentence


def test_a_killed_owner_lets_go(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from common.ownership import owned\n"
        f"with owned(Path({str(tmp_path / 'run')!r})): print('mine', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT / "GenNet", stdout=subprocess.PIPE
    )
    process.stdout.readline()
    with (
        pytest.raises(Exception, match=f"process {process.pid} is writing"),
        owned(tmp_path / "run"),
    ):
        pass
    process.kill()
    process.wait()
    with owned(tmp_path / "run"):
        pass


def test_the_folder_that_is_named_is_the_run(run):
    run("--seed=7")  # the first run is moved aside
    first, second = run.folder.with_name("cats.1"), contents(run.folder)
    run("--resume", "--category=cats.1", "--num_epochs=6")
    assert len(results(first)["loss"]) == 6
    assert contents(run.folder) == second
    run.folder.rename(run.folder.with_name("best"))
    run("--resume", "--name=best", "--num_epochs=5")
    assert len(results(run.folder.with_name("best"))["loss"]) == 5
    assert "category cats" in run.fails("--resume", "--name=best", "--category=dogs")


def test_a_name_is_the_folder_of_a_run(run):
    run("--name=mine")
    assert_same_results(run.folder, run.folder.with_name("mine"))


@pytest.mark.parametrize("room", [800, 4000, 40_000], ids="{} bytes".format)
def test_a_full_disk_costs_a_sentence(run, room):
    before = contents(run.folder)
    for path in ("1.png", "2.png"):  # the decoded images are to fit
        (run.images / path).unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # With 800 bytes a file a run cannot begin; with more it fails in the midst.
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        sentence = run.fails()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in sentence
    aside = run.folder.with_name("cats.1")
    assert contents(aside if aside.exists() else run.folder) == before
    left = {path.name for path in run.folder.parent.rglob("*") if "tmp" in path.name}
    assert not left
    run()


def test_resuming_goes_on_whatever_is_not_needed(run):
    whole = results(run.folder)
    (run.folder / "checkpoints" / "checkpoint").write_bytes(b"\xff\x00")
    (run.folder / "checkpoints" / "time.json").write_text('{"seconds": "long"}')
    (run.folder / "progress" / "000002.png").write_bytes(b"no picture")
    run("--resume")
    after = results(run.folder)
    for key, value in whole.items():
        np.testing.assert_array_equal(after[key], value)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("config.json", b"[]", "holds no dictionary"),
        ("config.json", b"[" * 1000 + b"]" * 1000, "config.json is damaged"),
        ("config.json", b"\xff", "config.json is damaged"),
        ("manifest.json", b"{}", "has no digests"),
        ("history.csv", b"", "iterations are missing"),
        ("history.csv", b"iteration\n1\n2\n3\n4\n", "has no column"),
        ("history.csv", b"iteration,loss\n1,\xff\n", "history.csv is damaged"),
        ("history.csv", b'iteration,loss\n1,"' + b"1" * 200_000, "history.csv is damaged"),
        ("checkpoints/model-4.index", b"", "damaged or of another shape"),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" not in value else "",
)
def test_a_damaged_run_is_not_gone_on_with(run, file, content, says):
    (run.folder / file).write_bytes(content)
    before = contents(run.folder)
    assert says in run.fails("--resume")
    assert contents(run.folder) == before


def test_stored_flags_are_checked_like_given_ones(run):
    path = run.folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"image_size": -16}))
    assert "image_size" in run.fails("--resume")


def test_other_images_than_those_of_the_start_are_named(run):
    folder = run.images
    save_image(folder / "1.png", np.zeros((20, 24, 3)))
    (folder / "2.png").rename(folder / "3.png")
    sentence = run.fails("--resume")
    for words in ("1 changed (1.png)", "1 gone (2.png)", "1 new (3.png)", "put them back"):
        assert words in sentence


def test_checkpoints_do_not_pile_up(run):
    folder = run.folder / "checkpoints"
    (folder / "model-1.data-00000-of-00001.tempstate1").write_bytes(b"of a process that died")
    run("--resume", "--num_epochs=8")
    assert sorted(path.name for path in folder.glob("model-*.index")) == [
        "model-6.index",
        "model-8.index",
    ]
    assert not list(folder.glob("*tempstate*"))


def test_what_is_killed_while_it_begins_leaves_the_run_before(run):
    before = contents(run.folder)
    shutil.copytree(run.folder, run.folder.with_name(".cats.new"))  # as a dead process leaves it
    run("--seed=3")
    assert contents(run.folder.with_name("cats.1")) == before
    assert not run.folder.with_name(".cats.new").exists()


def test_a_name_that_tensorflow_cannot_write(run):
    sentence = run.fails(f"--name={os.fsdecode(b'L' + bytes([0xF6]) + b'we')}")
    assert "no UTF-8" in sentence


def test_odd_names_are_but_names(run):
    odd = "-a[1]*? %s{0}$\\frac$\n\x1b[31mLöwe 🦁"
    run.images.rename(run.images.with_name(odd))
    run(f"--category={odd}")
    run(f"--category={odd}", "--resume", "--num_epochs=6")
    assert len(results(run.folder.with_name(odd))["loss"]) == 6


# Signals


def started(name, arguments, prepare=heeding_ctrl_c):
    return subprocess.Popen(
        [sys.executable, ROOT / name / "main.py", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )


def wait_for(path, lines):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if path.exists() and len(path.read_text().splitlines()) > lines:
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} has not grown")


@pytest.mark.parametrize("delay", [0.15, 0.4])
def test_ctrl_c_while_libraries_load_leaves_no_trace(name, pictures, tmp_path, delay):
    process = started(name, flags(name, pictures, tmp_path / "out"))
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert errors.count("\n") == 1
    assert "stopped" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_schedulers_are_obeyed(pictures, tmp_path, number):
    more = ["--num_epochs=100000", "--log_step=100000"]
    process = started(NAME, flags(NAME, pictures, tmp_path / "out", *more))
    wait_for(tmp_path / "out" / "cats" / "history.csv", 3)
    process.send_signal(number)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors
    assert "--resume" in output
    assert 3 <= len(results(tmp_path / "out" / "cats")["loss"]) < 100_000


def test_an_ignored_signal_stays_ignored(pictures, tmp_path):
    process = started(
        NAME,
        flags(NAME, pictures, tmp_path / "out", "--num_epochs=400", "--log_step=400"),
        prepare=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    wait_for(tmp_path / "out" / "cats" / "history.csv", 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert len(results(tmp_path / "out" / "cats")["loss"]) == 400


def test_a_closed_pipe_ends_quietly():
    code = "from common import endings; endings.end_in_a_sentence('x', lambda: print('word'), '')"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT / "GenNet",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    errors = process.stderr.read()
    assert (process.wait(), errors) == (141, b"")
