"""Likelihood on one scale: grey levels that add up to one, and decoders by quadrature."""

import json
import shutil

import numpy as np
import pytest
from conftest import ROOT, change, fails, flags, load_file, save_image

import decoder_likelihood
from common.likelihood import bits_per_dim, gaussian_grey_levels, told

LEVELS = np.arange(256.0)[:, None]


@pytest.mark.parametrize("mean", [-20.0, 0.0, 100.3, 255.0, 300.0])
@pytest.mark.parametrize("sigma", [0.1, 2.0, 80.0])
def test_the_grey_levels_of_a_gaussian_add_up_to_one(mean, sigma):
    logs = gaussian_grey_levels(LEVELS, np.array([mean]), sigma)
    assert np.exp(logs).sum() == pytest.approx(1, abs=1e-9)


def test_far_grey_levels_are_exact_and_finite():
    far = gaussian_grey_levels(np.array([200.0]), np.array([10.0]), 1.0)
    assert far == pytest.approx(-(189.5**2) / 2 - np.log(189.5 * np.sqrt(2 * np.pi)), rel=1e-4)


def test_a_wide_gaussian_is_its_density():
    rng = np.random.default_rng(0)
    images, means = rng.integers(20, 230, (3, 50)).astype(float), rng.uniform(50, 200, (3, 50))
    density = -((images - means) ** 2) / (2 * 40**2) - np.log(40 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(gaussian_grey_levels(images, means, 40), density.sum(1), rtol=1e-4)


def test_bits_of_what_tells_nothing():
    assert bits_per_dim(np.array([-12 * np.log(256)]), 12) == pytest.approx(8)
    content = told("so", {"learned": np.array([-8.0 * np.log(2)])}, {"learned": ["a"]}, 4)
    assert content["learned"] == {"bits_per_dim": 2.0, "images": 1, "by_image": {"a": 2.0}}


def test_a_linear_decoder_has_the_likelihood_of_its_gaussian():
    """Y = A z + b + eps is N(b, A A^T + sigma^2 I)."""
    rng = np.random.default_rng(1)
    size, sigma = 12, 6.0
    a, b = 25 * rng.normal(size=(2, size)), np.full(size, 128.0)
    learned = np.rint(rng.normal(size=(20, 2)) @ a + b + sigma * rng.normal(size=(20, size)))
    held_out = np.rint(rng.normal(size=(3, 2)) @ a + b + sigma * rng.normal(size=(3, size)))
    calls = []
    found = decoder_likelihood.measure(
        *(lambda z: z @ a + b, learned, held_out, None, lambda: calls.append(1))
    )
    assert len(calls) == decoder_likelihood.steps(20, 3)
    residual = (learned - b) @ (np.eye(size) - np.linalg.pinv(a) @ a)
    assert found.sigma == pytest.approx(np.sqrt((residual**2).mean()), rel=0.02)
    for images, nats, noise in (
        (learned, found.learned, found.sigma),
        (held_out, found.held_out, found.sigma),
        (held_out, found.held_out_fitted, found.held_out_sigma),
    ):
        covariance = a.T @ a + noise**2 * np.eye(size)
        centred = images - b
        exact = -np.einsum("ni,ij,nj->n", centred, np.linalg.inv(covariance), centred) / 2
        exact -= np.linalg.slogdet(2 * np.pi * covariance)[1] / 2
        np.testing.assert_allclose(nats, exact, atol=0.3)


@pytest.fixture(scope="module")
def likelihood():
    return load_file(ROOT / "GenNet" / "likelihood.py").main


@pytest.fixture(scope="module")
def run(mains, tmp_path_factory):
    root = tmp_path_factory.mktemp("likelihood")
    (root / "cats").mkdir()
    for i in range(4):
        save_image(root / "cats" / f"{i}.png", np.full((16, 16, 3), 50 * i))
    mains["GenNet"].main(flags("GenNet", root, root / "output", "--holdout", "fourth"))
    return root / "output" / "cats"


def test_the_command_measures_a_run(likelihood, run, capsys):
    likelihood([str(run)])
    assert "bits per dimension, mean of 3 images learned" in capsys.readouterr().out
    content = json.loads((run / "likelihood.json").read_text())
    assert list(content["learned"]["by_image"]) == ["0.png", "1.png", "2.png"]
    assert list(content["held_out"]["by_image"]) == ["3.png"]
    assert content["held_out"]["fitted"] <= content["held_out"]["bits_per_dim"] + 0.01


def test_runs_that_cannot_be_measured(likelihood, run, tmp_path, capsys):
    assert "there is no run" in fails(capsys, likelihood, [str(tmp_path)])
    plane = shutil.copytree(run, tmp_path / "plane")
    change(plane / "config.json", z_dim=3)
    assert "no z of two dimensions" in fails(capsys, likelihood, [str(plane)])
    hidden = shutil.copytree(run, tmp_path / "hidden")
    np.savez(hidden / "constants.npz", num_images=3, visible=np.ones([3, 16, 16, 1]))
    assert "sees no whole images" in fails(capsys, likelihood, [str(hidden)])
