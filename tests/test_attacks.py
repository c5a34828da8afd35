"""The attacks themselves: each kind works, and tells a rule that is broken."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from attacks import attack, children, victims
from attacks.harness import BrokenRuleError
from common import datasets


def attacked(capsys, *arguments):
    """The exit code of attacks, and what they print."""
    with pytest.raises(SystemExit) as exit_:
        attack.main(list(arguments))
    return exit_.value.code, capsys.readouterr().out


def test_the_reader_of_images_and_the_flags_hold(capsys):
    code, printed = attacked(capsys, "--kinds", "images", "flags", "--count", "40", "--seed", "7")
    assert code == 0, printed
    table = {line.split()[0]: line.split()[1:] for line in printed.splitlines()}
    assert [table[kind][0] for kind in ("images", "flags", "all")] == ["40", "40", "80"]
    assert int(table["images"][1]) > 9  # some are no images any more
    assert "--seed 7" in printed


def test_a_reader_that_raises_is_found_shortened_and_found_again(capsys, monkeypatch):
    read = datasets._to_rgb

    def planted(image):
        if image.width > 12:
            raise KeyboardInterrupt
        return read(image)

    monkeypatch.setattr(datasets, "_to_rgb", planted)
    code, printed = attacked(capsys, "--kinds", "images", "--count", "40")
    assert code == 1
    found = next(line for line in printed.splitlines() if line.startswith("FAILED images, seed 0"))
    assert "raises KeyboardInterrupt" in found
    plan = printed.split("--again '")[1].split("'")[0]
    assert json.loads(plan)["edits"] == []
    assert attacked(capsys, "--again", plan)[0] == 1
    monkeypatch.undo()
    assert attacked(capsys, "--again", plan)[0] == 0


@pytest.mark.parametrize(
    ("code", "errors", "cause"),
    [
        (None, "", "does not end"),
        (0, 'Traceback\n  File "x.py", line 3, in f\nOSError: full', "trace: OSError"),
        (1, "", "exit code one"),
        (137, "", "exit code SIGKILL"),
        (2, "", "exactly one sentence"),
        (2, "GenNet/main.py: one.\nGenNet/main.py: two.", "exactly one sentence"),
        (0, "x.py:3: UserWarning: careful", "a warning"),
    ],
)
def test_a_command_that_ends_badly_is_told(code, errors, cause):
    with pytest.raises(BrokenRuleError, match=cause):
        children.check(children.Ended(code, "", errors, 0.0, 1.0))


def test_a_command_that_ends_well_is_not():
    bar = "\r 50%|#####     | 3/6 [00:00<00:00, 9.1it/s]\n"
    children.check(children.Ended(0, "", bar, 0.0, 1.0))
    children.check(children.Ended(2, "", bar + "GenNet/main.py: no room.\n", 0.0, 1.0))


def test_files_that_are_lost_changed_or_mixed_are_told(tmp_path):
    whole, other = tmp_path / "whole", tmp_path / "other"
    for folder, loss in ((whole, 1.0), (other, 2.0)):
        folder.mkdir()
        for name in ("config.json", "metrics.json", "manifest.json", "history.csv"):
            (folder / name).write_text('{"seconds": 1}')
        np.savez(folder / "results.npz", loss=np.array([loss]))
    victims.same_run(whole, whole)
    with pytest.raises(BrokenRuleError, match="results.npz differs"):
        victims.same_run(other, whole)
    before = victims.fingerprint(whole)
    victims.expect_unchanged(before, whole)
    (whole / "history.csv").write_text("")
    with pytest.raises(BrokenRuleError, match="changed: history.csv"):
        victims.expect_unchanged(before, whole)
    (whole / "history.csv").unlink()
    with pytest.raises(BrokenRuleError, match="lost: history.csv"):
        victims.expect_unchanged(before, whole)


def test_each_kind_that_starts_processes_makes_an_attempt():
    # In a process of its own, for it forks, which one that has run TensorFlow does badly.
    model = {"model": "DesNet"}
    plans = [
        {"kind": "kills", **model, "fresh": False, "blows": [["KILL", 0.0]], "burst": 1},
        {"kind": "learning", **model, "flags": [["T", "0"]], "category": "cats", "image": "0.png"},
        {"kind": "pairs", **model, "existing": False, "commands": ["resume"] * 2, "after": 0.0},
        {"kind": "disks", **model, "command": "report", "existing": True, "way": "limit"}
        | {"after": 0.0, "left": 0},
    ]
    texts = [json.dumps(plan) for plan in plans]
    line = [sys.executable, str(ROOT / "attacks" / "attack.py"), "--again", *texts]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [f"{plan['kind']}: the rule held" for plan in plans]
