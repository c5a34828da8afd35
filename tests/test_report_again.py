"""How the report says that a run is made again."""

import json
import re
import shlex
import shutil

from conftest import HOSTILE, ROOT, change, report_of
from markupsafe import escape

from common.command import read_flags
from report_page import again, comparison, run_files


def words_again(run):
    """The words of the command that the page shows, of a run in one sitting."""
    (words,) = again.again(run).commands
    return shlex.split(" ".join(words))


def test_the_command_makes_the_run_again(finished, mains):
    for folder in finished:
        run = run_files.read(folder)
        if "holdout" in run.config:
            run.config["holdout"] = ["a b.png", "2.png"]
            if run.model == "GenNet":
                run.config["prior_draws"] = 0  # follows from it
            run.manifest["flags"].append("holdout")
        words = words_again(run)
        assert words[:2] == ["python", f"{run.model}/main.py"]
        assert "--data_path=FOLDER" in words
        settings_class = mains[run.model].Experiment.settings_class
        settings = read_flags(words[1], "Again.", settings_class, words[2:])[0].resolved(3)
        where = {"data_path", "output_dir"}
        assert {k: str(v) for k, v in settings.config().items() if k not in where} == {
            k: str(v) for k, v in run.config.items() if k not in where
        }
        # Not what is a default, and not what follows from the rest.
        assert not [w for w in words if re.match("--(beta1|sampler|delta|sigma_steps|decay)", w)]


def test_only_flags_that_the_command_takes_are_printed(copies):
    other = shutil.copytree(copies[0], copies[0].with_name("other"))
    for folder, value in ((copies[0], 1), (other, 2)):
        change(folder / "config.json", frobnicate=value)
    for run in map(run_files.read, (copies[0], other)):
        assert not [word for word in words_again(run) if "frobnicate" in word]
    rows = comparison.rows([run_files.read(folder) for folder in (copies[0], other)])
    assert [row.flags for row in rows] == ["", ""]


def test_no_path_of_the_author_is_shown(finished, copies):
    elsewhere = {"output_dir": "/home/alice/runs", "cache": "C:\\Users\\alice\\cache"}
    for folder in copies:
        change(folder / "config.json", data_path="/home/alice/pictures", **elsewhere)
    page = report_of(*finished, *copies)
    assert "alice" not in page
    assert str(finished[0].parents[2]) not in page
    assert "--data_path=FOLDER" in page
    assert f"FOLDER is the folder that holds {escape(HOSTILE['GenNet'])}" in page
    config = {"data_path": str(ROOT / "data"), "seed": 3}
    change(copies[0] / "config.json", **config)
    assert "--data_path=data" in words_again(run_files.read(copies[0]))


def test_a_run_in_two_sittings_is_made_again_by_two_commands(copies, finished, mains):
    folder = shutil.copytree(copies[0], copies[0].with_name("twice"))
    where = [f"--output_dir={folder.parent}", "--name=twice"]
    data = f"--data_path={finished[0].parents[2] / 'data'}"
    mains["GenNet"].main([*where, data, "--resume", "--num_epochs=32"])
    run = run_files.read(folder)
    assert "learned in 2 sittings" in report_of(folder)
    first, second = (shlex.split(" ".join(words)) for words in again.again(run).commands)
    settings_class = mains["GenNet"].Experiment.settings_class

    def settings(words):
        words = [data if word == "--data_path=FOLDER" else word for word in words[2:]]
        return read_flags("main", "Again.", settings_class, [*words, *where])[0].resolved(3)

    before = run_files.read(copies[0]).config | {"name": "twice"}
    assert told(settings(first)) == known(before)
    # The second one reads the run as the first one leaves it.
    (folder / "config.json").write_bytes((copies[0] / "config.json").read_bytes())
    assert told(settings(second)) == known(run.config)
    assert run.config["num_epochs"] == 32


def told(settings):
    return known(json.loads(json.dumps(settings.config(), default=str)))


def known(config):
    """A configuration but for where things lie."""
    return {key: value for key, value in config.items() if key not in ("data_path", "output_dir")}


def test_what_no_command_makes_again_is_said(copies):
    sitting = {"start": 0, "num_epochs": 30, "iterations": 30, "workers": 1}
    after = {**sitting, "start": 10, "num_epochs": 40, "iterations": 40}
    change(copies[0] / "manifest.json", sittings=[sitting, after])
    change(copies[1] / "manifest.json", sittings=[{**sitting, "iterations": 50, "workers": 2}])
    text = " ".join(re.sub("<[^>]*>", "", report_of(*copies)).split())
    assert "(from iteration 1 with --num_epochs 30, from iteration 11 with --num_epochs 40)" in text
    assert "no command gives the same numbers" in text
    assert "stopped after 30 of 50 iterations" in text
    assert "this gives the same numbers" not in text
    assert "python cluster.py --workers 2 DesNet/main.py" in text
