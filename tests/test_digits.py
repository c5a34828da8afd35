"""The category digits: what is written, when, and what is said where it cannot be."""

import os
import shutil

import numpy as np
import pytest
from conftest import ROOT, SMALL, command, fails, load_file
from PIL import Image
from sklearn.datasets import load_digits

from common import datasets

SCRIPT = ROOT / "data" / "digits.py"
FEW = """
import numpy as np
from pathlib import Path
from PIL import Image
folder = Path(__file__).parent / "digits"
folder.mkdir()
for i in range(4):
    Image.fromarray(np.full((8, 8), 80 * i, np.uint8)).save(folder / f"000{i}_{i}.png")
"""


@pytest.fixture
def digits():
    return load_file(SCRIPT)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A data path in place of the project's, with digits.py in it and no digits yet."""
    monkeypatch.setattr(datasets, "DIGITS", tmp_path / "digits")
    shutil.copy(SCRIPT, tmp_path / "digits.py")
    return tmp_path


def test_each_digit_becomes_a_file_named_after_it(elsewhere, capsys):
    paths = datasets.image_files(elsewhere / "digits")
    assert capsys.readouterr().out == "Writing data/digits ...\n"
    assert sorted(path.name for path in elsewhere.iterdir()) == ["digits", "digits.py"]
    expected = load_digits()
    assert len(paths) == len(expected.images) == 1797
    assert {path.stem[-1] for path in paths[:16]} == set("0123456789")
    for path in paths[::50]:
        number, digit = path.stem.split("_")
        assert int(digit) == expected.target[int(number)]
        with Image.open(path) as image:
            assert image.mode == "L"
            grey = np.asarray(image)
        np.testing.assert_array_equal(grey, np.rint(expected.images[int(number)] * 255 / 16))


def test_digits_that_are_there_and_other_categories_are_left_alone(elsewhere, capsys):
    (elsewhere / "digits").mkdir()
    assert datasets.image_files(elsewhere / "digits") == []
    for category in ("cats", "digits.py"):
        with pytest.raises(datasets.DatasetError, match="no image folder"):
            datasets.image_files(elsewhere / category)
    assert capsys.readouterr().out == ""


def test_digits_through_a_link_are_written_too(elsewhere, tmp_path_factory):
    (elsewhere / "digits.py").write_text(FEW)
    link = tmp_path_factory.mktemp("links") / "data"
    link.symlink_to(elsewhere)
    assert len(datasets.image_files(link / "digits")) == 4
    assert len(list((elsewhere / "digits").iterdir())) == 4


def test_a_model_that_asks_for_digits_gets_them(elsewhere, name, mains, capsys):
    (elsewhere / "digits.py").write_text(FEW)
    output = elsewhere / "output"
    said = [f"--data_path={elsewhere}", "--category=digits", f"--output_dir={output}"]
    held = ["--holdout=fourth"] if name == "GenNet" else []
    mains[name].main([*SMALL[name], *said, *held])
    out = capsys.readouterr().out
    assert out.startswith("Writing data/digits ...\n")
    assert f"{3 if held else 4} images of digits" in out
    assert (output / "digits" / "results.npz").exists()


def test_without_scikit_learn_a_sentence_says_how_to_have_it(elsewhere, mains, capsys, monkeypatch):
    (elsewhere / "packages").mkdir()
    (elsewhere / "packages" / "sklearn.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(elsewhere / "packages"))
    said = [f"--data_path={elsewhere}", "--category=digits", f"--output_dir={elsewhere}"]
    sentence = fails(capsys, mains["GenNet"].main, said)
    assert sentence.endswith("pip install scikit-learn.")
    assert not (elsewhere / "digits").exists()
    done = command(elsewhere / "digits.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_written_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    done = command(SCRIPT, f"--out={tmp_path / 'file'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"data/digits.py: cannot write {tmp_path}")
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_written_whole_is_not_there(digits, tmp_path, monkeypatch):
    def full(image, path):
        if "0003" in path.name:
            raise OSError(28, "No space left on device")
        path.write_bytes(b"")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        digits.write(tmp_path / "digits")
    assert not list(tmp_path.iterdir())


def test_digits_that_another_process_wrote_meanwhile_stay(digits, tmp_path, monkeypatch):
    def slowly():
        (tmp_path / "digits").mkdir()
        (tmp_path / "digits" / "mine").write_text("")
        return {"0_0000": Image.new("L", (8, 8))}

    monkeypatch.setattr(digits, "read", slowly)
    digits.write(tmp_path / "digits")
    assert os.listdir(tmp_path) == ["digits"]
    assert os.listdir(tmp_path / "digits") == ["mine"]
