"""Annealed importance sampling: constants that are known, and the likelihood of runs of DesNet."""

import json
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow.compat.v1 as tf
from conftest import ROOT, fails, flags, load_file, report_of, results

import annealed
import out_of_distribution
from annealed import Annealer, Mixture, Normal
from common import export, likelihood, run_folder
from DesNet import load

SIGMA = 3.0


@pytest.fixture(scope="module")
def command():
    return load_file(ROOT / "DesNet" / "likelihood.py").main


def of(value_fn, dimensions, sampler="hmc"):
    return Annealer(value_fn, Normal(SIGMA, (dimensions,)), tf.Session(graph=tf.Graph()), sampler)


def bowl(precision):
    """F(x) = -precision |x|^2 / 2, the logarithm of its Z a dimension, and the law's deviation."""
    value_fn = lambda x: -precision / 2 * tf.reduce_sum(x**2, 1)  # noqa: E731
    total = precision + 1 / SIGMA**2
    return value_fn, -np.log(total * SIGMA**2) / 2, total**-0.5


@pytest.mark.parametrize("sampler", ["mala", "hmc"])
def test_without_f_log_z_is_zero(sampler):
    annealer = of(lambda x: 0 * x[:, 0], 5, sampler)
    found = annealed.bracket(annealer, annealer.drawn(4), 20, 0)
    for side in (found.forward, found.reverse):
        assert side == (0, 0, pytest.approx(4))
    # The chains have moved, by proposals that the reference accepts.
    assert found.annealed.acceptance_rate.mean() > 0.5


@pytest.mark.parametrize("sampler", ["mala", "hmc"])
def test_the_constant_of_a_gaussian_lies_in_the_bracket(sampler):
    dimensions = 100
    value_fn, log_z, deviation = bowl(4.0)  # narrower than the reference by 6
    exact = deviation * np.random.default_rng(0).normal(size=(16, dimensions))
    widths = []
    for temperatures in (100, 800):
        found = annealed.bracket(of(value_fn, dimensions, sampler), exact, temperatures, 0)
        below = dimensions * log_z - found.forward.log_mean
        above = found.reverse.log_mean - dimensions * log_z
        assert below > -3 * found.forward.standard_error - 0.2
        assert above > -3 * found.reverse.standard_error - 0.2
        widths.append(below + above)
        rates = found.annealed.acceptance_rate, found.returned.acceptance_rate
        for rate in rates:  # as the sampler likes it, at a step size that is frozen
            assert 0.4 < rate.mean() < 0.85
    # A line from the reference to the law without moves would be off by hundreds.
    assert abs(dimensions * log_z) > 150
    assert widths[1] < widths[0]
    assert widths[1] < 12
    # The chains arrive at the law.
    assert found.annealed.position.std() == pytest.approx(deviation, rel=0.1)


def test_few_temperatures_bound_the_constant_from_both_sides():
    value_fn, log_z, deviation = bowl(4.0)
    exact = deviation * np.random.default_rng(1).normal(size=(16, 100))
    found = annealed.bracket(of(value_fn, 100), exact, 6, 0)
    assert found.forward.log_mean < 100 * log_z - 2 < 100 * log_z + 2 < found.reverse.log_mean


def test_the_constant_of_a_mixture_is_that_of_its_parts():
    # Two hills apart, one a third as heavy, in two dimensions; f is their sum over the reference.
    means, deviations = np.array([[-4.0, 0], [4, 1]]), np.array([0.5, 1.0])
    shares, constant = np.array([0.25, 0.75]), 7.0

    def value_fn(x):
        square = tf.reduce_sum((x[:, None] - means.astype(np.float32)) ** 2, 2)
        heights = np.log(shares) - np.log(2 * np.pi * deviations**2)
        hills = tf.reduce_logsumexp(heights - square / (2 * deviations**2), 1)
        reference = -tf.reduce_sum(x**2, 1) / (2 * SIGMA**2) - np.log(2 * np.pi * SIGMA**2)
        return hills - reference + constant

    rng = np.random.default_rng(2)
    part = (rng.uniform(size=200) < shares[1]).astype(int)
    exact = means[part] + deviations[part, None] * rng.normal(size=(200, 2))
    found = annealed.bracket(of(value_fn, 2), exact, 300, 0)
    for side in (found.forward, found.reverse):
        assert 0 < side.standard_error < 0.2
        assert abs(side.log_mean - constant) < 3 * side.standard_error + 0.02
        assert side.effective_chains > 50
    right = (found.annealed.position[:, 0] > 0).astype(float)
    weights = np.exp(found.annealed.log_weights - found.annealed.log_weights.max())
    assert (weights * right).sum() / weights.sum() == pytest.approx(shares[1], abs=0.12)


def test_a_mixture_is_a_reference_as_well():
    means = np.random.default_rng(5).normal(scale=20, size=(5, 30)).astype(np.float32)
    reference = Mixture(means, 2.0)
    drawn = reference.draw(20000, np.random.default_rng(6))
    near = np.square(drawn[:, None] - means).sum(2).argmin(1)
    np.testing.assert_array_equal(np.bincount(near), 4000)
    assert (drawn - means[near]).std() == pytest.approx(2, rel=0.01)
    # p is the same mixture with another noise, and heavier by a constant.
    wider, constant = Mixture(means, 2.6), 11.0
    shift = constant + 30 * np.log(2 / 2.6)
    annealer = Annealer(
        lambda x: wider.log_prob(x) - reference.log_prob(x) + shift,
        *(reference, tf.Session(graph=tf.Graph())),
    )
    exact = wider.draw(16, np.random.default_rng(7))
    found = annealed.bracket(annealer, exact, 100, 0)
    for side in (found.forward, found.reverse):
        assert abs(side.log_mean - constant) < 3 * side.standard_error + 0.1
        assert side.standard_error < 0.5


def test_chains_that_settle_reach_the_law_from_far():
    value_fn, log_z, deviation = bowl(1.0)
    far = np.full((32, 20), 4.0)
    settled = annealed.bracket(of(value_fn, 20), far, 400, 200)
    assert settled.settled.std() == pytest.approx(deviation, rel=0.25)
    assert settled.reverse.log_mean == pytest.approx(20 * log_z, abs=2)
    unsettled = annealed.bracket(of(value_fn, 20), far, 400, 0)
    assert abs(unsettled.reverse.log_mean - 20 * log_z) > 4


def test_the_standard_error_is_that_of_repeated_means():
    rng = np.random.default_rng(3)
    log_weights = rng.normal(0, 0.3, (400, 20))
    found = [annealed.estimate(each) for each in log_weights]
    spread = np.std([each.log_mean for each in found])
    assert np.mean([each.standard_error for each in found]) == pytest.approx(spread, rel=0.1)
    one = annealed.estimate(np.array([1000.0, 0.0, 0.0, 0.0]))
    assert one.log_mean == pytest.approx(1000 - np.log(4))
    assert one.effective_chains == pytest.approx(1)
    assert one.standard_error > 500


# Runs of DesNet


@pytest.fixture(scope="module")
def run(many, tmp_path_factory, mains):
    """A finished run with held-out images."""
    output = tmp_path_factory.mktemp("run")
    names = ["--holdout", "5.png", "1.png"]  # in any order
    mains["DesNet"].main(flags("DesNet", many, output, "--learning=convergent", *names))
    return output / "cats"


@pytest.fixture(scope="module")
def model(run):
    return load(run)


def test_held_out_images_are_not_learned_and_their_energies_are_told(run, model):
    arrays = results(run)
    assert len(arrays["images"]) == 5
    assert len(arrays["holdout"]) == 2
    assert np.abs(arrays["images"][:, None] - arrays["holdout"]).max((2, 3, 4)).min() > 0
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["images"] == [f"{i}.png" for i in (0, 2, 3, 4, 6)]
    np.testing.assert_allclose(model.mean_colour, arrays["images"].mean((0, 1, 2)), rtol=1e-5)
    told = json.loads((run / "metrics.json").read_text())["energy"]
    for part, name in (
        ("learned", "images"),
        ("held_out", "holdout"),
        ("synthesized", "synthesized"),
    ):
        assert told[part] == pytest.approx(model.energies(arrays[name]).mean(), rel=1e-6)
    assert "<h3>Held-out images</h3>" in report_of(run)


def test_without_held_out_images_none_are_told(finished):
    folder = finished[1]
    assert "holdout" not in results(folder)
    told = json.loads((folder / "metrics.json").read_text())["energy"]
    assert told.keys() == {"learned", "synthesized"}
    assert "Held-out images" not in report_of(folder)


def test_the_likelihood_of_a_run_is_that_of_plain_importance_sampling(run, model, command, capsys):
    # After four iterations f differs so little over the reference that its samples suffice.
    command([str(run), "--chains=8", "--temperatures=20"])
    told = json.loads((run / likelihood.FILE).read_text())
    arrays = results(run)
    dimensions, sigma = arrays["images"][0].size, model.settings.ref_sigma
    noise = sigma * np.random.default_rng(4).normal(size=(2000, *arrays["images"].shape[1:]))
    values = -model.energies(noise + model.mean_colour) + (noise**2).sum((1, 2, 3)) / 2 / sigma**2
    log_z = np.log(np.exp(values - values.max()).mean()) + values.max()
    assert told["log_z"] == pytest.approx(log_z, abs=0.2)
    assert told["log_z"] == pytest.approx((told["log_z_forward"] + told["log_z_reverse"]) / 2)
    assert told["how"] == "annealed importance sampling, 20 temperatures"
    for part, name in (("learned", "images"), ("held_out", "holdout")):
        nats = -model.energies(arrays[name]) - log_z
        nats -= dimensions / 2 * np.log(2 * np.pi * sigma**2)
        bits = -nats / np.log(2) / dimensions
        assert told[part]["images"] == len(bits)
        np.testing.assert_allclose([*told[part]["by_image"].values()], bits, atol=1e-3)
        assert told[part]["bits_per_dim"] == pytest.approx(bits.mean(), abs=1e-3)
    assert list(told["held_out"]["by_image"]) == ["1.png", "5.png"]
    bracket = told["log_z_reverse"] - told["log_z_forward"]
    assert told["bracket"] == pytest.approx(bracket)
    assert told["bracket_bits_per_dim"] == pytest.approx(bracket / np.log(2) / dimensions)
    assert f"{told['learned']['bits_per_dim']:.4f}" in capsys.readouterr().out


def test_a_reverse_side_below_the_forward_one_is_refuted(run, command, capsys, monkeypatch):
    real = annealed.bracket

    def lowered(*arguments):
        found = real(*arguments)
        return found._replace(reverse=found.reverse._replace(log_mean=found.forward.log_mean - 50))

    monkeypatch.setattr(annealed, "bracket", lowered)
    command([str(run), "--chains=2", "--temperatures=2"])
    told = json.loads((run / likelihood.FILE).read_text())
    assert told["how"] == "annealed importance sampling, 2 temperatures: at least"
    assert told["log_z"] == told["log_z_forward"] == pytest.approx(told["log_z_reverse"] + 50)
    assert told["bracket"] == pytest.approx(-50)
    said = capsys.readouterr().out
    assert f"learned images: at least {told['learned']['bits_per_dim']:.4f}" in said
    assert "refutes" in said


def test_a_run_that_cannot_be_measured_is_named(run, command, capsys, tmp_path):
    assert "no run" in fails(capsys, command, [str(tmp_path / "none")])
    assert "--chains" in fails(capsys, command, [str(run), "--chains=1"])
    kept = (run / "results.npz").read_bytes()
    (run / "results.npz").unlink()
    try:
        assert "finish the run" in fails(capsys, command, [str(run)])
        np.savez(run / "results.npz", images=np.zeros([3, 8, 8, 3], np.float32))
        assert "damaged" in fails(capsys, command, [str(run)])
    finally:
        (run / "results.npz").write_bytes(kept)


def test_the_likelihood_of_a_ladder_and_what_it_tells_apart(
    ladder, command, tmp_path, capsys, monkeypatch
):
    run = shutil.copytree(ladder, tmp_path / "cats")
    command([str(run), "--chains=4", "--temperatures=10"])
    told = json.loads((run / likelihood.FILE).read_text())
    assert set(told["area_under_the_curve"]) == {"other/", "shuffled patches", "noise"}
    for areas in told["area_under_the_curve"].values():
        assert set(areas) == {"learned", "synthesized"}
        assert all(0 <= area <= 1 for area in areas.values())
    assert set(told["ends"]) == {"training images", "from the reference", "from noise, settled"}
    assert "Told from other/, area under the curve" in capsys.readouterr().out
    assert PIL.Image.open(run / "energies.png").size[0] == 760
    page = report_of(run)
    assert "How likely images are" in page
    assert "Energies of training, synthesized and other images" in page
    model, images = load(run), results(run)["images"]
    export.export(model, tmp_path / "saved")
    with tf.Session(graph=tf.Graph()) as session:
        saved = tf.saved_model.loader.load(session, ["serve"], str(tmp_path / "saved"))
        energy = saved.signature_def["energy"]
        images_in, energy_out = energy.inputs["images"].name, energy.outputs["energy"].name
        found = session.run(energy_out, {images_in: images})
    np.testing.assert_allclose(found, model.energies(images), rtol=1e-5)
    # Of a run of more images than it shows, the reference is not known.
    shown = {"learned": images[:-1], "held_out": images[:0]}
    monkeypatch.setattr(run_folder.Learned, "images", lambda self, most=None: (shown, {}))
    capsys.readouterr()
    assert "log Z takes all of them" in fails(capsys, command, [str(run)])


def test_shuffled_patches_are_those_of_the_image():
    images = np.random.default_rng(0).uniform(0, 255, (3, 35, 35, 3))
    shuffled = out_of_distribution.shuffled_patches(images, np.random.default_rng(1))
    assert not np.array_equal(shuffled, images)
    np.testing.assert_array_equal(np.sort(shuffled, None), np.sort(images, None))
    blocks = [
        part[:, :32, :32].reshape(3, 4, 8, 4, 8, 3).sum((2, 4)) for part in (images, shuffled)
    ]
    for before, after in zip(*blocks, strict=True):
        np.testing.assert_allclose(*(np.sort(each.reshape(16, 3), 0) for each in (before, after)))
