"""Runs of several models side by side: every number by hand, the table, the figures, the page."""

import io
import json
import shutil

import numpy as np
import pytest
from conftest import ROOT, change, fails, flags, load_file, save_image
from PIL import Image

import report
from common import coverage
from families import measures, runs, table
from report_page import side_by_side

RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (5, 8, 8, 3)).astype(np.float32)


def test_modes_that_samples_hit():
    samples = np.stack([REAL[1] + 2, REAL[3], REAL[3] - 1, REAL.mean(0)])
    assert coverage.modes_hit(samples, REAL).tolist() == [False, True, False, True, False]


def test_coverage_and_what_is_expected_of_it():
    assert coverage.coverage(REAL[:2], REAL) == pytest.approx(0.4)
    assert coverage.coverage(REAL, REAL[:1]) is None
    rng, shares = np.random.default_rng(0), []
    for _ in range(300):
        draws = rng.normal(size=(6 + 4, 2, 2, 3)) * 10 + 128
        shares.append(coverage.coverage(draws[:6], draws[6:]))
    assert np.mean(shares) == pytest.approx(coverage.expected_coverage(6, 4), abs=0.04)


def test_bounds_stand_between_the_models_and_the_yardsticks():
    bounds = {"ELBO": {"bits": 2.5, "bits_held_out": None}}
    models = {"VAE": {"bounds": bounds}, "GAN": {"bounds": {}}}
    found = {"models": models, "yardsticks": {"16": {"uniform": {"bits": 8.0}}}}
    rows = [(name, table.cells(bits, table.LIKELIHOOD)) for name, bits in table.bits_alone(found)]
    assert rows == [
        ("VAE, ELBO", ["2.50", "—", "—"]),
        ("uniform, 16 pixels", ["8.00", "—", "—"]),
    ]


def test_yardsticks_are_those_of_files_and_of_a_gaussian():
    found = measures.yardsticks(REAL[:4], REAL[4:])
    assert found["uniform"] == {"bits": 8.0, "bits_held_out": 8.0}
    file = io.BytesIO()
    Image.fromarray(REAL[4].astype(np.uint8)).save(file, "PNG", optimize=True)
    assert found["PNG"]["bits_held_out"] == pytest.approx(8 * len(file.getvalue()) / REAL[4].size)
    mean = REAL[:4].mean(0)
    sigma = (REAL[:4] - mean).std()
    density = (REAL[4] - mean) ** 2 / (2 * sigma**2) + np.log(sigma * np.sqrt(2 * np.pi))
    bits = found["Gaussian about the mean image"]["bits_held_out"]
    assert bits == pytest.approx(density.mean() / np.log(2), abs=0.15)
    assert measures.yardsticks(REAL, REAL[:0])["PNG"]["bits_held_out"] is None


@pytest.fixture(scope="module")
def output(mains, tmp_path_factory):
    """Runs of GenNet, which held out every fourth image, and of DesNet, which did not."""
    root = tmp_path_factory.mktemp("compare")
    (root / "cats").mkdir()
    for i in range(5):
        pixels = np.full((16, 16, 3), RNG.integers(40, 216, 3))
        pixels[4:12, 4:12] = RNG.integers(40, 216, 3)
        save_image(root / "cats" / f"{i}.png", pixels)
    for name, more in (("GenNet", ["--holdout", "fourth", "--name=a"]), ("DesNet", [])):
        mains[name].main(flags(name, root, root / "output" / name, *more))
    other = shutil.copytree(root / "output" / "GenNet" / "a", root / "output" / "GenNet" / "b")
    change(other / "config.json", holdout=None)
    return root / "output"


@pytest.fixture(scope="module")
def compare():
    return load_file(ROOT / "compare.py").main


@pytest.fixture(scope="module")
def compared(output, compare):
    compare([f"--output_dir={output}"])
    return json.loads((output / "comparison.json").read_text())["cats"]


def test_every_number_is_of_the_runs(output, compared):
    assert list(compared["models"]) == ["DesNet", "GenNet"]
    gennet = compared["models"]["GenNet"]
    assert (gennet["folder"], gennet["split"], gennet["images"]) == ("a", True, 4)
    metrics = json.loads((output / "GenNet" / "a" / "metrics.json").read_text())
    for name in ("psnr", "ssim", "parameters", "learning_seconds", "seconds_a_sample"):
        assert gennet[name] == pytest.approx(metrics[name], rel=1e-4)
    unseen = metrics["holdout"]["generator"]["psnr"]
    assert gennet["psnr_held_out"] == pytest.approx(unseen, abs=0.01)
    desnet = compared["models"]["DesNet"]
    assert (desnet["psnr"], desnet["bits"], desnet["split"]) == (None, None, False)
    assert desnet["abilities"] == ["sample", "score", "complete"]
    assert compared["yardsticks"]["16"]["uniform"] == {"bits": 8.0, "bits_held_out": 8.0}


def test_the_table_and_the_figures(output, compare, compared, capsys):
    compare([f"--output_dir={output}", "--category", "cats"])
    told = capsys.readouterr().out
    rows = [line.split() for line in told.splitlines() if line.startswith("GenNet")]
    psnr = compared["models"]["GenNet"]["psnr"]
    assert f"{psnr:.1f}" in rows[0]
    assert rows[2] == ["GenNet", *["yes"] * 6]
    for name in ("families_cats.png", "comparison_cats.png"):
        assert np.asarray(Image.open(output / name)).std() > 10


def test_the_page_has_them(output, compared):
    shown, wrong = side_by_side.read(output)
    page = report.render([], shown)
    assert wrong == ""
    assert "The families side by side: cats" in page
    assert f"{compared['models']['GenNet']['psnr']:.1f}</td>" in page
    assert page.count("data:image/webp") >= 2


def test_a_bound_is_not_told_as_a_value(tmp_path):
    figures = {"bits": 13.02, "how": "annealed importance sampling: at least", "abilities": []}
    content = {"cats": {"models": {"M": figures, "N": figures | {"how": "exact"}}}}
    (tmp_path / "comparison.json").write_text(json.dumps(content))
    page = report.render([], side_by_side.read(tmp_path)[0])
    assert page.count("≥ 13.02</td>") == 1
    assert page.count(">13.02</td>") == 1


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        '{"cats": 3}',
        '{"cats": {"models": {}}}',
        '{"cats": {"models": {"<b>": {"psnr": "x", "abilities": 7, "modes_hit": 1e999}}}}',
        '{"../x": {"models": {"M": {"coverage": 1}}, "yardsticks": [1]}}',
    ],
)
def test_what_comes_from_anywhere_does_no_harm(tmp_path, content):
    (tmp_path / "comparison.json").write_text(content)
    shown, wrong = side_by_side.read(tmp_path)
    assert bool(shown) != bool(wrong)
    assert "<b></th>" not in report.render([], shown)


def test_runs_that_cannot_be_compared(output, compare, tmp_path, capsys):
    nothing = fails(capsys, compare, [f"--output_dir={tmp_path}"])
    assert "no two models have finished runs" in nothing
    assert "0 models have" in fails(
        capsys, compare, [f"--output_dir={output}", "--category", "dogs"]
    )
    copy = shutil.copytree(output, tmp_path / "output")
    (copy / "DesNet" / "cats" / "metrics.json").unlink()
    (copy / "GenNet" / "a" / "results.npz").write_bytes(b"x")
    fails(capsys, compare, [f"--output_dir={copy}"])
    said = []
    left = runs.read_all(list(runs.find(copy)), said.append)
    assert [family.folder.name for family in left] == ["b"]
    assert "has not finished" in said[0] and "results.npz" in said[1]
