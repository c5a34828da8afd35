"""The posterior of a finished run: quadrature, the chains against it, and their diagnostics."""

import json
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import ROOT, fails, flags, load_file, report_of, save_image
from PIL import Image
from scipy.stats import multivariate_normal

import diagnostics
import quadrature
from common import samplers
from report_page.tables import number

SIGMA = 0.3
RNG = np.random.default_rng(0)
WEIGHT = 0.5 * RNG.normal(size=(2, 48))
BIAS = RNG.normal(size=48)
IMAGES = RNG.normal(size=(2, 2)) @ WEIGHT + BIAS + SIGMA * RNG.normal(size=(2, 48))
# The posterior of a linear generator (Tipping and Bishop, 1999).
COVARIANCE = np.linalg.inv(np.eye(2) + WEIGHT @ WEIGHT.T / SIGMA**2)
MEANS = (IMAGES - BIAS) @ WEIGHT.T @ COVARIANCE / SIGMA**2  # [2, 2]


def linear(z):
    return z @ WEIGHT + BIAS


def linear_posteriors():
    starts = quadrature.starts(linear, IMAGES, SIGMA)
    return [
        quadrature.posterior(linear, image, SIGMA, start)
        for image, start in zip(IMAGES, starts, strict=True)
    ]


# Quadrature


def test_quadrature_finds_the_likelihood_and_posterior_of_a_linear_generator():
    law = multivariate_normal(BIAS, WEIGHT.T @ WEIGHT + SIGMA**2 * np.eye(48))
    for image, mean, found in zip(IMAGES, MEANS, linear_posteriors(), strict=True):
        assert found.log_p == pytest.approx(law.logpdf(image), abs=1e-3)
        np.testing.assert_allclose(found.mean, mean, atol=1e-4)
        np.testing.assert_allclose(found.covariance, COVARIANCE, rtol=1e-3)
        assert found.masses == pytest.approx([1])


def test_the_density_and_the_cells_are_those_of_the_posterior():
    found = linear_posteriors()[0]
    law = multivariate_normal(MEANS[0], COVARIANCE)
    axes = [mean + np.linspace(-0.2, 0.2, 5) for mean in MEANS[0]]
    density = quadrature.density(found, *axes)
    points = np.stack(np.meshgrid(*axes), -1)  # [z_2, z_1, 2]
    np.testing.assert_allclose(density, law.pdf(points), rtol=0.03, atol=0.02 * density.max())
    tail, middle = 0.158655, 0.682689  # of a normal law beyond 1 and within +-1
    expected = np.outer([tail, middle, tail], [tail, middle, tail]).ravel()
    np.testing.assert_allclose(quadrature.cell_masses(found), expected, atol=0.004)
    draws = law.rvs(20_000, random_state=0)
    shares = np.bincount(quadrature.cells(found, draws), minlength=9) / len(draws)
    assert diagnostics.total_variation(shares, expected) < 0.015


def test_both_modes_of_an_even_generator_are_found():
    def even(z):
        return linear(np.abs(z) * [1, 0] + z * [0, 1])

    image = even(np.array([[1.2, 0.4]]))
    found = quadrature.posterior(even, image[0], SIGMA, quadrature.starts(even, image, SIGMA)[0])
    assert found.masses == pytest.approx([0.5, 0.5], abs=1e-6)
    assert sorted(np.sign(grid.centre[0]) for grid in found.grids) == [-1, 1]
    assert found.mean[0] == pytest.approx(0, abs=1e-6)
    # Two copies of one posterior hold twice its mass.
    start = np.array([[1.0, 0.0]])
    one = quadrature.posterior(linear, image[0], SIGMA, start)
    assert found.log_p == pytest.approx(one.log_p + np.log(2), abs=1e-3)


# Samplers


def linear_log_prob(z):
    weight, bias, images = (tf.constant(x, z.dtype) for x in (WEIGHT, BIAS, IMAGES[:1]))
    error = tf.reduce_sum((images - tf.matmul(z, weight) - bias) ** 2, 1)
    return -error / (2 * SIGMA**2) - tf.reduce_sum(z**2, 1) / 2


def linear_metric(z):
    log_prob = linear_log_prob(z)
    metric = tf.constant(np.linalg.inv(COVARIANCE), z.dtype)
    metric = tf.tile(metric[None], [tf.shape(z)[0], 1, 1])
    return log_prob, tf.gradients(log_prob, z)[0], metric


@pytest.mark.parametrize(
    ("sampler", "step_size", "num_steps"),
    [("langevin", 0.015, 500), ("mala", 0.06, 100), ("hmc", 0.04, 20), ("preconditioned", 1.4, 30)],
)
def test_every_sampler_has_the_posterior_of_a_linear_generator(sampler, step_size, num_steps):
    chains = 2000
    sample = {**vars(samplers), "preconditioned": samplers.preconditioned_langevin}[sampler]
    target = linear_metric if sampler == "preconditioned" else linear_log_prob
    with tf.Graph().as_default(), tf.Session() as session:
        start = tf.constant(np.tile(MEANS[0] + 0.1, (chains, 1)), tf.float32)
        drawn = sample(target, start, step_size, num_steps, tf.constant([1, 2]))
        z, first, first_log_prob = session.run(
            [drawn.position, linear_log_prob(start), drawn.first_log_prob]
        )
    np.testing.assert_allclose(first_log_prob, first, rtol=1e-6)
    whitened = np.linalg.solve(np.linalg.cholesky(COVARIANCE), (z - MEANS[0]).T)
    assert np.abs(whitened.mean(1)).max() < 4.5 / np.sqrt(chains)
    np.testing.assert_allclose(np.cov(whitened), np.eye(2), atol=4.5 * np.sqrt(2 / chains))


# Diagnostics


def test_r_hat_and_effective_sample_size_tell_good_chains_from_bad():
    rng = np.random.default_rng(0)
    independent = rng.normal(size=(1, 4, 1000, 2))
    r_hat, size = diagnostics.convergence(independent)
    assert r_hat[0] < 1.01
    assert 0.8 * 4000 < size[0] < 1.2 * 4000
    shifted = independent + np.arange(4)[:, None, None] * [0, 0.5]
    assert diagnostics.convergence(shifted)[0][0] > 1.1
    slow = np.cumsum(independent, 2)
    assert diagnostics.convergence(slow)[1][0] < 100
    stuck = np.repeat(independent[:, :, :1], 1000, 2)
    assert diagnostics.number(diagnostics.convergence(stuck)[0][0]) is None


def test_the_floor_is_what_independent_draws_show():
    rng = np.random.default_rng(0)
    p = np.full(4, 0.25)
    floor = diagnostics.expected_total_variation(p, 400, rng)
    seen = [diagnostics.total_variation(rng.multinomial(400, p) / 400, p) for _ in range(500)]
    assert floor == pytest.approx(np.mean(seen), rel=0.1)


# The command line


@pytest.fixture(scope="module")
def command_line():
    return load_file(ROOT / "GenNet" / "posterior.py")


@pytest.fixture(scope="module")
def learned(mains, tmp_path_factory):
    """The output folder of a run on two images, and the path of its data."""
    root = tmp_path_factory.mktemp("learned")
    folder = root / "data" / "cats"
    folder.mkdir(parents=True)
    for i in range(2):
        save_image(folder / f"{i}.png", np.full((16, 16, 3), 60 + 120 * i))
    more = ["--num_epochs=40", "--sigma_steps=10", "--log_step=50", "--sample_steps=20"]
    mains["GenNet"].main(flags("GenNet", folder.parent, root / "out", *more))
    return root / "out"


@pytest.fixture
def run_copy(learned, tmp_path):
    return shutil.copytree(learned, tmp_path / "out")


def test_posterior_writes_all_it_promises(run_copy, command_line, capsys):
    more = ["--draws=1000", "--samplers", "preconditioned", "langevin"]
    before = (run_copy / "cats" / "config.json").read_bytes()
    command_line.main([f"--output_dir={run_copy}", "--category=cats", *more])
    assert "bits/dim" in capsys.readouterr().out
    folder = run_copy / "cats"
    assert (folder / "config.json").read_bytes() == before
    Image.open(folder / "posterior.png").load()
    report = json.loads((folder / "posterior.json").read_text())
    assert set(report["images"]) == {"0.png", "1.png"}
    for image in report["images"].values():
        assert image["bits_per_dim"] == pytest.approx(image["bits_per_dim_unit"] + np.log2(127.5))
        assert image["bits_per_dim_unit"] == pytest.approx(-image["log_p"] / np.log(2) / 768)
        assert sum(mode["mass"] for mode in image["modes"]) == pytest.approx(1)
        drawn = image["samplers"]["preconditioned"]
        assert drawn["total_variation"] < 0.1
        assert drawn["total_variation_floor"] < 0.06
        assert drawn["r_hat"] < 1.05
        assert drawn["effective_sample_size"] > 200
        per_pass = drawn["effective_sample_size"] / (1000 * 1.06)
        assert drawn["effective_sample_size_per_evaluation"] == pytest.approx(per_pass)
        assert set(image["samplers"]["langevin"]) == set(drawn)
    with np.load(folder / "posterior.npz") as arrays:
        axis, density = arrays["z_axis"], arrays["density"]
        assert density.shape == (2, len(axis), len(axis))
        assert arrays["draws_langevin"].shape == (2, 4, 250, 2)
        # What the report reads: z_2 is the row, z_1 the column.
        mass = density.sum((1, 2)) * (axis[1] - axis[0]) ** 2
        np.testing.assert_allclose(mass, 1, atol=0.05)
        row, column = np.unravel_index(density[0].argmax(), density[0].shape)
        np.testing.assert_allclose([axis[column], axis[row]], arrays["mean"][0], atol=0.3)
    page = report_of(folder)
    for value, unit in ((report["log_p"], "nats"), (report["bits_per_dim"], "")):
        assert f'<dd class="value">{number(value, unit)}</dd>' in page
    for value in (
        report["images"]["1.png"]["log_p"],
        report["samplers"]["langevin"]["total_variation_floor"],
    ):
        assert f'<td class="number">{number(value)}</td>' in page
    assert 'alt="Posterior density of z of each image' in page


def test_posterior_fails_in_one_sentence(run_copy, command_line, capsys):
    def sentence(*arguments):
        return fails(capsys, command_line.main, [f"--output_dir={run_copy}", *arguments])

    assert "no run in" in sentence("--category=dogs")
    assert "one of" in sentence("--category=cats", "--samplers", "gibbs")
    assert "from 16 to" in sentence("--category=cats", "--draws=0")
    for name, more in (
        ("constants.npz", {"visible": np.ones([2, 16, 16, 1])}),
        ("results.npz", None),
    ):
        path = run_copy / "cats" / name
        content = path.read_bytes()
        if more:
            np.savez(path, num_images=2, **more)
            assert "--occlude" in sentence("--category=cats")
        path.write_bytes(b"damaged")
        assert name in sentence("--category=cats")
        path.write_bytes(content)
    for path in (run_copy / "cats" / "checkpoints").glob("*.data*"):
        path.write_bytes(b"damaged")
    assert "damaged" in sentence("--category=cats")
    config = run_copy / "cats" / "config.json"
    config.write_text(config.read_text().replace('"z_dim": 2', '"z_dim": 3'))
    assert "two dimensions" in sentence("--category=cats")
    assert not (run_copy / "cats" / "posterior.json").exists()


def test_a_chain_that_stood_still_has_no_r_hat():
    z = RNG.normal(size=(3, 4, 50, 2))
    z[1, 2] = z[1, 2, :1]  # one chain of the second law
    r_hat, size = diagnostics.convergence(z)
    np.testing.assert_array_equal(diagnostics.stood_still(z), [False, True, False])
    np.testing.assert_array_equal(np.isnan(r_hat), [False, True, False])
    np.testing.assert_array_equal(np.isnan(size), [False, True, False])


def test_a_run_measures_its_own_chains(learned):
    metrics = json.loads((learned / "cats" / "metrics.json").read_text())
    assert set(metrics["r_hat_by_image"]) == {"0.png", "1.png"}
    assert metrics["r_hat"] == max(metrics["r_hat_by_image"].values()) < 1.5
    sizes = metrics["effective_sample_size_by_image"].values()
    assert metrics["effective_sample_size"] == min(sizes) > 10
    per_pass = metrics["effective_sample_size_per_evaluation"]
    assert per_pass == pytest.approx(np.mean(list(sizes)) / (4 * 80 * 1.06))
    assert 0.3 < metrics["acceptance_rate"] <= 1
