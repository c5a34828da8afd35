"""DesNet beyond the short run: chains that never end, the long run, and moment matching."""

import json
import re

import numpy as np
import pytest
from conftest import (
    FLAT,
    IMAGES,
    built,
    desnet,
    flags,
    goes_on_to_the_same_bits,
    report_of,
    results,
)
from PIL import Image

import long_run
import moments
from descriptor_settings import Settings
from report_page.tables import number


def test_convergent_learning_goes_on_to_the_same_bits(pictures, tmp_path, mains):
    more = ["--sampler=mala", "--learning=convergent", "--num_epochs=6"]
    mains["DesNet"].main(flags("DesNet", pictures, tmp_path / "whole", *more))
    whole = tmp_path / "whole" / "cats"
    goes_on_to_the_same_bits(mains["DesNet"], whole, pictures, tmp_path / "killed")
    metrics = json.loads((whole / "metrics.json").read_text())
    assert 0 <= metrics["acceptance_rate"] <= 1
    assert set(metrics["moments"]["layers"]) == {"conv_1", "conv_2", "conv_3", "value"}
    assert 0 <= metrics["moments"]["colour"] <= 1


@pytest.mark.parametrize(
    ("asked", "learning", "delta"),
    [
        ({"sampler": "langevin"}, "score_matching", 2.8),
        ({"network": "strided"}, "short_run", 1.0),
        ({"sampler": "hmc"}, "convergent", 2.0),
    ],
)
def test_the_sampler_and_the_network_choose_how_to_learn(asked, learning, delta):
    settings = Settings(**asked).resolved(3)
    assert (settings.learning, settings.step_size) == (learning, delta)


def test_a_finished_run_goes_on_into_the_long_run(pictures, tmp_path, mains, capsys):
    main = mains["DesNet"].main
    main(flags("DesNet", pictures, tmp_path))
    before = results(tmp_path / "cats")
    main(flags("DesNet", pictures, tmp_path, "--resume", "--long_run=120"))
    assert "After 120 steps from noise" in capsys.readouterr().out
    records = json.loads((tmp_path / "cats" / "long_run.json").read_text())
    assert list(records) == ["mean image", "noise", "training image"]
    for kind in records.values():
        assert [record["steps"] for record in kind] == [0, 100, 120]
        energies = [record["energy"] for record in kind]
        drifts = [record["energy_drift"] for record in kind]
        np.testing.assert_allclose(np.cumsum(drifts), np.subtract(energies, energies[0]), rtol=1e-6)
    assert records["training image"][0]["psnr"] == 100
    assert records["mean image"][0]["out_of_range"] == 0
    assert records["noise"][0]["distance"] > records["training image"][0]["distance"] / 2
    page = report_of(tmp_path / "cats")
    for kind, (*_, last) in records.items():
        assert f'<th scope="row">{kind}</th>' in page
        assert f"{number(last['out_of_range'], '%')}</td>" in page
    assert re.search(r'<h3>Chains that run on</h3>\s*<div[^>]*>\s*<img class="picture"', page)
    Image.open(tmp_path / "cats" / "long_run.png").load()
    for key, value in before.items():
        np.testing.assert_array_equal(results(tmp_path / "cats")[key], value, err_msg=key)


def test_the_long_run_is_one_chain_in_pieces():
    model = built(desnet(num_steps=2))
    steps = []
    films, _ = long_run.run(model, IMAGES, 260, steps.append)
    assert sum(steps) == 260
    whole = model.run_chains(np.concatenate([film[0] for film in films.values()]), 260)
    ends = np.concatenate([film[-1] for film in films.values()])
    np.testing.assert_allclose(ends, whole, atol=1e-2)


@pytest.mark.parametrize(("flag", "says"), [("--sampler=nuts", "langevin"), ("--long_run=-1", "0")])
def test_flags_of_sampling_are_checked(flag, says, pictures, tmp_path, mains, capsys):
    with pytest.raises(SystemExit) as exit_:
        mains["DesNet"].main(flags("DesNet", pictures, tmp_path / "out", flag))
    assert exit_.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    assert not (tmp_path / "out").exists()


def test_a_gabor_filter_answers_to_its_own_stripes():
    x = np.arange(64)
    for wavelength in moments.WAVELENGTHS:
        stripes = 127.5 + 100 * np.cos(2 * np.pi * x / wavelength)
        images = np.broadcast_to(stripes[None, None, :, None], (1, 64, 64, 3))
        energies = moments.gabor_energies(images)
        best = f"{wavelength} px, 0°"
        assert max(energies, key=energies.get) == best
        assert energies[best] == pytest.approx(50, rel=0.02)  # half the amplitude, as e^iwx has
        assert energies[f"{wavelength} px, 90°"] < 2
    flat = moments.gabor_energies(np.full((2, 64, 64, 3), 200.0))
    assert max(flat.values()) < 1e-9


def test_moments_of_equal_images_are_equal():
    model = built(desnet())
    same = moments.compare(model, IMAGES, IMAGES)
    assert same["colour"] == 0
    assert all(layer["difference"] == 0 for layer in same["layers"].values())
    assert all(gabor["difference"] == 0 for gabor in same["gabor"].values())
    other = moments.compare(model, IMAGES, FLAT)
    assert other["colour"] > 0.5
    assert min(layer["difference"] for layer in other["layers"].values()) > 0
