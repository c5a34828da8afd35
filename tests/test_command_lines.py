"""The two command lines as a user meets them: what they write, and how they fail.

What is the same of every model is tested with the quickest, here and in test_run_folders.py.
"""

import csv
import json
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
    change,
    command,
    fails,
    flags,
    load_file,
    on_all_cores,
    results,
)
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import DesNet
from common import endings
from common.command import make_parser

WRITTEN = {
    "GenNet": [
        *(f"{name}.png" for name in ("reconstruction", "samples", "interpolation", "latent")),
        *("loss.png", "diagnostics.png", "plane.webp", "plane_wide.webp"),
        *("interpolation.gif", "training.gif"),
    ],
    "DesNet": [
        *(f"{name}.png" for name in ("synthesis", "langevin", "loss", "diagnostics", "moments")),
        *("chain.webp", "langevin.gif", "training.gif"),
    ],
}
ARRAYS = {
    "GenNet": {
        "images": (3, 16, 16, 3),
        "reconstructions": (3, 16, 16, 3),
        "samples": (64, 16, 16, 3),
        "interpolation": (64, 16, 16, 3),
        "z": (3, 2),
        "loss": (4,),
    },
    "DesNet": {
        "images": (3, 16, 16, 3),
        "starts": (3, 16, 16, 3),
        "synthesized": (3, 16, 16, 3),
        "loss": (4,),
    },
}


def test_a_run_writes_all_it_promises(name, pictures, tmp_path):
    # From another working directory, and with the folder alone: no other file of the project.
    alone = tmp_path / "alone" / name
    shutil.copytree(ROOT / name, alone)
    done = command(alone / "main.py", *flags(name, pictures, tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 images of cats" in done.stdout
    assert "iterations, less than a minute of learning on 2 cores" in done.stdout
    assert "results.npz" in done.stdout
    for word in ("Warning", "WARNING", "oneDNN", "Traceback"):
        assert word not in done.stdout + done.stderr
    folder = tmp_path / "out" / "cats"
    for picture in WRITTEN[name]:
        assert (folder / picture).stat().st_size < 2_000_000
        Image.open(folder / picture).load()
    panels = sorted(int(path.stem) for path in (folder / "progress").iterdir())
    assert panels == [1, 2, 4]
    events = EventAccumulator(str(folder / "log"))  # as TensorBoard reads them
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert len(events.Images("progress")) == len(panels)
    told = HParamsPluginData.FromString(
        events.PluginTagToContent("hparams")[SESSION_START_INFO_TAG]
    )
    assert told.session_start_info.hparams["category"].string_value == "cats"
    assert not {"data_path", "output_dir"} & set(told.session_start_info.hparams)
    arrays = results(folder)
    assert all(value.dtype == np.float32 for value in arrays.values())
    if name == "GenNet":
        walk = arrays.pop("walk")  # past every image
        assert all((walk == z).all(1).any() for z in arrays["z"])
    assert {key: value.shape for key, value in arrays.items()} == ARRAYS[name]
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["iteration"] for row in rows] == ["1", "2", "3", "4"]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["psnr_by_image"]) == {"0.png", "1.png", "2.png"}
    assert metrics["psnr"] == pytest.approx(np.mean(list(metrics["psnr_by_image"].values())))
    assert json.loads((folder / "config.json").read_text())["num_epochs"] == 4
    assert not [p for p in folder.rglob("*") if p.name.endswith(".tmp")]


def test_a_run_stopped_by_ctrl_c_goes_on_to_the_same_bits(pictures, tmp_path):
    name = "Baselines"  # the quickest; others go on to the same bits in other tests
    options = ["--num_epochs=200", "--log_step=35"]
    script = ROOT / name / "main.py"
    process = subprocess.Popen(
        [sys.executable, script, *flags(name, pictures, tmp_path / "stopped", *options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=on_all_cores,
    )
    folder = tmp_path / "stopped" / "cats"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        history = folder / "history.csv"
        if history.exists() and len(history.read_text().splitlines()) > 4:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.005)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "--resume" in output
    stopped = len(results(folder)["loss"])
    assert stopped < 200, "the run ended before it was stopped"
    assert (folder / f"progress/{stopped:06d}.png").exists()  # where a film of it ends
    # On all cores too, for the last bits depend on the number of threads.
    command(script, *flags(name, pictures, tmp_path / "stopped", *options, "--resume"))
    command(script, *flags(name, pictures, tmp_path / "whole", *options))
    assert_same_results(folder, tmp_path / "whole" / "cats")
    history = [
        (tmp_path / run / "cats" / "history.csv").read_text() for run in ("stopped", "whole")
    ]
    assert history[0] == history[1]
    panels = sorted(int(path.stem) for path in (tmp_path / "whole/cats/progress").iterdir())
    assert panels == [1, *range(35, 176, 35), 200]


def test_a_second_run_moves_the_first_aside_and_the_seed_decides(pictures, tmp_path, mains, capsys):
    for seed in (1, 1, 2):
        mains["Baselines"].main(flags("Baselines", pictures, tmp_path, f"--seed={seed}"))
    first, again, other = (tmp_path / folder for folder in ("cats.1", "cats.2", "cats"))
    seeds = [json.loads((run / "config.json").read_text())["seed"] for run in (first, again, other)]
    assert seeds == [1, 1, 2]
    assert "cats.2" in capsys.readouterr().out
    assert_same_results(first, again)
    assert not np.array_equal(results(first)["loss"], results(other)["loss"])


def test_batches_are_of_odd_size_and_damaged_images_named(name, pictures, tmp_path, mains, capsys):
    (pictures / "cats" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    mains[name].main(flags(name, pictures, tmp_path / "out", "--batch_size=2"))
    assert "Skipped torn.jpg" in capsys.readouterr().out
    assert len(results(tmp_path / "out" / "cats")["loss"]) == 8  # 4 epochs of 2 + 1 images


def test_one_image_is_learned(name, pictures, tmp_path, mains):
    for path in ("1.png", "2.png"):
        (pictures / "cats" / path).unlink()
    mains[name].main(flags(name, pictures, tmp_path / "one"))
    assert np.isfinite(results(tmp_path / "one" / "cats")["loss"]).all()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--category=dogs"], "no image folder"),
        (["--category=../cats"], "not the name of a folder"),
        (["--batch_size=4"], "more than the 3 images"),
        (["--batch_size=0"], "from 1 to"),
        (["--image_size=17"], "multiple of"),
        (["--delta=nan"], "not a number from"),
        (["--seed=-1"], "from 0 to"),
        (["--num_epochs=many"], "not a whole number"),
        (["--device=gpu:7"], "GPU here; choose another, or --device auto"),
        (["--device=tpu"], "auto, cpu, gpu or gpu:N"),
        (["--resume"], "no run to go on with"),
        (["--no_such_flag"], "there is no flag --no_such_flag"),
        (["--batchsize=2"], "there is no flag --batchsize: did you mean --batch_size?"),
        (["--sampler=lngevin"], "did you mean langevin?"),
        (["cats"], "no use for cats"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_get_one_sentence(name, pictures, tmp_path, mains, capsys, more, says):
    sentence = fails(capsys, mains[name].main, flags(name, pictures, tmp_path / "out", *more))
    assert says in sentence
    assert not (tmp_path / "out").exists()


def test_a_precision_that_cannot_be_had(pictures, tmp_path, mains, capsys, monkeypatch):
    name = "DesNet"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    arguments = flags(name, pictures, tmp_path / "out")
    sentence = fails(capsys, mains[name].main, [*arguments, "--precision=bfloat16"])
    assert "no instructions" in sentence
    mains[name].main(arguments)  # auto never fails
    config = json.loads((tmp_path / "out" / "cats" / "config.json").read_text())
    assert config["precision"] == "float32"


def test_a_run_of_a_machine_that_can_more_is_used_but_not_gone_on_with(
    pictures, tmp_path, mains, capsys, monkeypatch
):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    arguments = flags("DesNet", pictures, tmp_path / "out")
    mains["DesNet"].main(arguments)
    folder = tmp_path / "out" / "cats"
    images = DesNet.load(folder).synthesize(2)
    change(folder / "config.json", device="gpu:7", precision="bfloat16")
    capsys.readouterr()
    np.testing.assert_array_equal(DesNet.load(folder).synthesize(2), images)
    assert "device auto, precision float32" in capsys.readouterr().out
    sentence = fails(capsys, mains["DesNet"].main, [*arguments, "--resume", "--device=auto"])
    assert "in bfloat16" in sentence


def test_energies_that_are_compared_are_not_rounded(pictures, tmp_path, mains, capsys):
    more = ["--sampler=mala", "--precision=bfloat16"]
    arguments = flags("DesNet", pictures, tmp_path / "out", *more)
    assert "mala" in fails(capsys, mains["DesNet"].main, arguments)


def test_noise_that_could_not_shrink_is_refused(pictures, tmp_path, mains, capsys):
    arguments = flags("DesNet", pictures, tmp_path / "out", "--learning=convergent")
    sentence = fails(
        capsys, mains["DesNet"].main, [*arguments, "--data_noise=0", "--data_noise_start=9"]
    )
    assert "--data_noise_start" in sentence
    mains["DesNet"].main([*arguments, "--data_noise=0"])
    assert DesNet.load(tmp_path / "out" / "cats").settings.data_noise_start == 0


def test_many_images_are_learned_and_the_first_are_evaluated(
    pictures, tmp_path, mains, monkeypatch
):
    for room in ("common.command", "common.experiment"):
        monkeypatch.setattr(f"{room}.EVALUATED", 2)
    mains["GenNet"].main(flags("GenNet", pictures, tmp_path / "out"))
    folder = tmp_path / "out" / "cats"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["images"], metrics["evaluated"]) == (3, 2)
    assert list(metrics["psnr_by_image"]) == ["0.png", "1.png"]
    arrays = results(folder)
    assert len(arrays["images"]) == 2
    assert len(arrays["z"]) == 3
    posterior = load_file(ROOT / "GenNet" / "posterior.py")
    posterior.main(
        [f"--output_dir={tmp_path / 'out'}", "--category=cats", "--draws=16", "--samplers=mala"]
    )
    report = json.loads((folder / "posterior.json").read_text())
    assert list(report["images"]) == ["0.png", "1.png"]


def test_a_folder_without_images_gets_one_sentence(name, pictures, tmp_path, mains, capsys):
    arguments = flags(name, pictures, tmp_path / "out")
    for path in (pictures / "cats").iterdir():
        path.unlink()
    assert "no readable image" in fails(capsys, mains[name].main, arguments)
    (pictures / "cats" / "a.jpg").write_text("no image")
    assert "a.jpg" in fails(capsys, mains[name].main, arguments)


def test_nothing_but_a_run_is_moved_aside(pictures, tmp_path, mains, capsys):
    name = "Baselines"
    precious = tmp_path / "out" / "cats" / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    sentence = fails(capsys, mains[name].main, flags(name, pictures, tmp_path / "out"))
    assert "something else than a run" in sentence
    assert precious.read_text() == "mine"


def test_an_output_folder_that_cannot_be_written(pictures, tmp_path, mains, capsys):
    name = "Baselines"
    (tmp_path / "file").write_text("not a folder")
    sentence = fails(capsys, mains[name].main, flags(name, pictures, tmp_path / "file" / "out"))
    assert "cannot write" in sentence


def test_resuming_with_other_flags_or_images_is_refused(pictures, tmp_path, mains, capsys):
    name = "Baselines"
    mains[name].main(flags(name, pictures, tmp_path / "out"))
    resume = flags(name, pictures, tmp_path / "out", "--resume")
    capsys.readouterr()
    assert "--image_size 16" in fails(capsys, mains[name].main, [*resume, "--image_size=32"])
    for path in (tmp_path / "out" / "cats" / "checkpoints").glob("model-4.data*"):
        path.write_bytes(b"damaged")
    assert "damaged or of another shape" in fails(capsys, mains[name].main, resume)


def test_help_explains_every_flag(name, mains, capsys):
    with pytest.raises(SystemExit) as exit_:
        mains[name].main(["--help"])
    assert exit_.value.code == 0
    main = mains[name]
    parser = make_parser(name, main.__doc__, main.Experiment.settings_class)
    text = " ".join(capsys.readouterr().out.split())
    for action in parser._actions:
        assert action.help, action.dest
        assert action.option_strings[-1] in text
        if action.default not in (None, "==SUPPRESS=="):
            assert "default: " in action.help or f"(default: {action.default})" in text


def test_a_terminal_breaks_lines_between_words(name, tmp_path, mains, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = tmp_path / "/".join(["a_long_name"] * 9)
    with pytest.raises(SystemExit):
        mains[name].main(["--help"])
    helped = capsys.readouterr().out
    assert all(len(line) <= 80 for line in helped.splitlines())
    assert "Metropolis-Hastings test" in " ".join(helped.split()) and "['" not in helped
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(SystemExit):
        mains[name].main([f"--data_path={long}", f"--output_dir={tmp_path}"])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1 and all(len(line) <= 80 or str(long) in line for line in lines)
    assert f"no image folder {long}" in " ".join(lines)


def test_a_folder_of_images_as_data_path_is_answered_by_the_right_command(
    name, pictures, tmp_path, mains, capsys, monkeypatch
):
    monkeypatch.chdir(pictures / "cats")
    wrong = flags(name, "../cats", tmp_path / "out")
    assert f"--data_path {pictures} --category cats" in fails(capsys, mains[name].main, wrong)


def test_a_sentence_shows_while_a_thread_has_silenced_stderr(capfd, monkeypatch):
    uncaptured = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    monkeypatch.setattr(sys, "stderr", uncaptured)

    def mistaken():
        raise endings.MistakeError("mend it")

    with endings.silent_stderr(), pytest.raises(SystemExit) as exit_:
        endings.end_in_a_sentence("learn", mistaken, "stopped")
    assert exit_.value.code == 2
    assert capfd.readouterr().err == "learn: mend it.\n"
