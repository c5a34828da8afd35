"""The RBM: its energies and gradients against enumeration, and what its runs say and write."""

import functools
import itertools
import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import IMAGES, built, fails
from evaluation import evaluate
from scipy.special import logsumexp, softmax
from scipy.stats import norm

import harmonium
import partition
import rbm
import rbm_pictures
from common import streams
from common.streams import Stream
from harmonium import Harmonium, contrastive_gradient
from rbm_settings import RBMSettings

PROG = "Baselines/main.py rbm"
SIDE = 8
SMALL = IMAGES[:, :SIDE, :SIDE].round()
RNG = np.random.default_rng(0)
D, H = 4, 3
MACHINE = {
    "weight": RNG.normal(size=(D, H)),
    "hidden_bias": RNG.normal(size=H),
    "visible_bias": RNG.normal(size=D),
}
BINARY = Harmonium(**MACHINE)
GAUSSIAN = Harmonium(**MACHINE, log_sigma=np.array(-0.3))
ALL_V = np.array(list(itertools.product([0.0, 1.0], repeat=D)))
ALL_H = np.array(list(itertools.product([0.0, 1.0], repeat=H)))


def tensors(machine):
    return Harmonium(*(None if x is None else tf.constant(x) for x in machine))


def energy(machine, v, h):
    """E(v, h) of one v and one h, as harmonium.py defines it."""
    u, b = h - 0.5, machine.visible_bias
    if machine.log_sigma is None:
        centred = v - 1 / (1 + np.exp(-b))
        return -b @ v - centred @ machine.weight @ u - machine.hidden_bias @ h
    variance = np.exp(2 * machine.log_sigma)
    pairs = (v - b) @ machine.weight @ u
    return ((v - b) ** 2).sum() / (2 * variance) - pairs / variance - machine.hidden_bias @ h


DEFAULTS = {
    **{"image_size": SIDE, "hidden": 4, "num_epochs": 40, "learning_rate": 0.01},
    **{"annealing_steps": 300, "annealing_chains": 200},
}


def model(**options):
    return built(rbm.RBM(RBMSettings(**DEFAULTS | options), len(SMALL)))


@functools.cache
def learned(**options):
    """A model that has learned, and its records; for tests that do not change it."""
    trained = model(**options)
    return trained, list(trained.train(SMALL))


# Energies


@pytest.mark.parametrize("machine", [BINARY, GAUSSIAN])
def test_the_free_energy_adds_up_the_hidden_units(machine):
    v = RNG.normal(size=(5, D)) if machine is GAUSSIAN else ALL_V
    expected = [-logsumexp([-energy(machine, one, h) for h in ALL_H]) for one in v]
    free_energy = evaluate(lambda: tensors(machine).free_energy(tf.constant(v)))
    np.testing.assert_allclose(free_energy, expected, rtol=1e-10)


def test_the_weights_of_the_mixture_add_up_binary_visible_units():
    weights = evaluate(lambda: tensors(BINARY).log_weights(tf.constant(ALL_H)))
    expected = [logsumexp([-energy(BINARY, v, h) for v in ALL_V]) for h in ALL_H]
    np.testing.assert_allclose(weights, expected, rtol=1e-10)


def test_the_weights_of_the_mixture_integrate_gaussian_visible_units():
    weights = evaluate(lambda: tensors(GAUSSIAN).log_weights(tf.constant(ALL_H)))
    for h, weight in zip(ALL_H, weights, strict=True):
        # exp -E is a Gaussian in v around b + W u: its height there, times its volume.
        mean = GAUSSIAN.visible_bias + GAUSSIAN.weight @ (h - 0.5)
        volume = D * (GAUSSIAN.log_sigma + np.log(2 * np.pi) / 2)
        assert weight == pytest.approx(-energy(GAUSSIAN, mean, h) + volume)
        shifted = mean + 0.3
        fall = energy(GAUSSIAN, shifted, h) - energy(GAUSSIAN, mean, h)
        assert fall == pytest.approx(D * 0.3**2 / (2 * np.exp(2 * GAUSSIAN.log_sigma)))


def test_hidden_units_have_the_same_law_over_fewer_visible_ones():
    machine = Harmonium(**MACHINE | {"weight": RNG.normal(size=(9, H))}, log_sigma=np.array(0.2))
    machine = machine._replace(visible_bias=RNG.normal(size=9))

    def build():
        whole, h = tensors(machine), tf.constant(ALL_H)
        return whole.log_weights(h), whole.reduced().log_weights(h), whole.reduced().weight

    whole, reduced, weight = evaluate(build)
    assert weight.shape == (H, H)
    np.testing.assert_allclose(whole - reduced, (whole - reduced)[0], rtol=1e-10)
    assert np.ptp(whole) > 1


# Gradients


def gradient_by_enumeration(machine, v):
    """The gradient of mean -log p(v) over v [n, D], binary, by adding up all v and h."""

    def build():
        of = tensors(machine)
        variables = [x for x in of if x is not None]
        log_z = tf.reduce_logsumexp(-of.free_energy(tf.constant(ALL_V)))
        return tf.gradients(tf.reduce_mean(of.free_energy(tf.constant(v))) + log_z, variables)

    return evaluate(build)


def test_contrastive_divergence_has_the_gradient_of_one_step_by_enumeration():
    data, count = ALL_V[[3, 9]], 20000

    def build():
        machine = tensors(BINARY)
        variables = [x for x in machine if x is not None]
        v = tf.constant(np.repeat(data, count, 0))
        negative = machine.gibbs(v, 1, streams.key(0, Stream.SYNTHESIS))
        drawn = contrastive_gradient(machine, v, negative, variables)
        # All v' after a step from v, each with the weight p(v' | v) = sum_h p(h | v) p(v' | h).
        of_h = [[-energy(BINARY, v, h) for h in ALL_H] for v in data]
        of_v = [[-energy(BINARY, v, h) for v in ALL_V] for h in ALL_H]
        step = tf.constant((softmax(of_h, 1) @ softmax(of_v, 1)).mean(0))
        chains = tf.reduce_sum(step * machine.free_energy(tf.constant(ALL_V)))
        positive = tf.reduce_mean(machine.free_energy(tf.constant(data)))
        return drawn, tf.gradients(positive - chains, variables)

    drawn, expected = (np.concatenate([x.ravel() for x in part]) for part in evaluate(build))
    np.testing.assert_allclose(drawn, expected, atol=0.012)
    assert np.abs(expected).max() > 0.1


def test_long_chains_have_the_gradient_of_the_likelihood():
    data = np.repeat(ALL_V[[3, 9]], 10000, 0)

    def build():
        machine = tensors(BINARY)
        negative = machine.gibbs(tf.constant(data), 50, streams.key(0, Stream.SYNTHESIS))
        variables = [x for x in machine if x is not None]
        return contrastive_gradient(machine, tf.constant(data), negative, variables)

    for drawn, expected in zip(
        evaluate(build), gradient_by_enumeration(BINARY, ALL_V[[3, 9]]), strict=True
    ):
        np.testing.assert_allclose(drawn, expected, atol=0.02)


@pytest.mark.parametrize("machine", [BINARY, GAUSSIAN])
def test_the_gradient_of_log_z_is_exact_in_pieces(machine, monkeypatch):
    monkeypatch.setattr(partition, "PIECE", 2 * D)  # so that all do not fit into memory at once

    def build():
        of = tensors(machine)
        xs = [x for x in of if x is not None]

        def function(inside, h):
            return Harmonium(*inside).log_weights(tf.cast(h, tf.float64))

        values = partition.in_pieces(H, D, lambda h: function(xs, h))
        log_z = tf.reduce_logsumexp(of.log_weights(tf.constant(ALL_H)))
        whole = tf.gradients(log_z, xs, unconnected_gradients="zero")
        pieces = partition.gradient_of_log_sum(function, xs, values, H, D)
        return tf.reduce_logsumexp(values), log_z, pieces, whole

    in_pieces, at_once, pieces, whole = evaluate(build)
    assert in_pieces == pytest.approx(at_once, rel=1e-12)
    for one, other in zip(pieces, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


# Learning and likelihood


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
def test_the_exact_gradient_makes_images_likelier(visible):
    trained, records = learned(visible=visible)
    bits = [record["bits"] for record in records]
    assert bits[-1] < bits[0] - 0.05
    assert min(np.diff(bits)) < 0 and max(np.diff(bits)) < 0.02


@pytest.mark.parametrize("learning", ["cd", "pcd"])
def test_chains_learn_to_reconstruct(learning):
    trained, records = learned(learning=learning, num_epochs=150)
    error = np.square(trained.reconstruct(SMALL) - SMALL).mean()
    assert error < 0.8 * np.square(SMALL.mean(0) - SMALL).mean()
    assert records[-1]["loss"] == pytest.approx(error, rel=0.1)


def test_persistent_chains_go_on_where_the_others_begin_anew():
    cd, pcd = (learned(learning=learning, num_epochs=150)[1] for learning in ("cd", "pcd"))
    same = [a["energy_difference"] == b["energy_difference"] for a, b in zip(cd, pcd, strict=True)]
    assert same[0] and not any(same[1:])


def test_the_likelihood_is_that_of_the_mixture_over_grey_levels(monkeypatch):
    monkeypatch.setattr(harmonium, "COMPONENTS", 2)
    trained, _ = learned(num_epochs=1, sigma=3.0)  # so that several components share an image
    images = SMALL.copy()
    images[:, :2], images[:, 2] = 0, 255  # whose grey levels reach to infinity
    log_prior = trained.log_prior()
    assert np.exp(log_prior).sum() == pytest.approx(1)
    sigma = 127.5 * np.exp(trained.values().log_sigma)
    expected = np.full((16, len(images)), -np.inf)
    means = trained.decode(partition.all_configurations(4)).astype(np.float64)
    for k, mean in enumerate(means):
        low = np.where(images == 0, -np.inf, images - 0.5)
        high = np.where(images == 255, np.inf, images + 0.5)
        mass = norm.cdf(high, mean, sigma) - norm.cdf(low, mean, sigma)
        expected[k] = log_prior[k] + np.log(mass).sum((1, 2, 3))
    np.testing.assert_allclose(trained.log_prob(images), logsumexp(expected, 0), rtol=1e-6)


def test_the_record_tells_the_likelihood():
    trained, records = learned(learning_rate=1e-9, num_epochs=1)
    bits = -trained.log_prob(SMALL).mean() / SMALL[0].size / np.log(2)
    assert records[-1]["bits"] == pytest.approx(bits, abs=0.01)
    log_prior = trained.log_prior()
    assert records[-1]["largest_weight"] == pytest.approx(np.exp(log_prior.max()), rel=1e-3)


@pytest.mark.parametrize("visible", ["gaussian", "binary"])
def test_annealed_importance_sampling_finds_log_z(visible):
    trained, _ = learned(visible=visible)
    annealed = trained.annealed_log_partition()
    assert 0 < annealed.standard_error < 0.5
    exact = trained.log_partition()
    assert abs(annealed.log_mean - exact) < 4 * annealed.standard_error + 0.02
    with trained.session.graph.as_default():
        bare = trained.session.run(trained.machine.log_z_alone()) + 4 * np.log(2)
    assert abs(exact - bare) > 10 * annealed.standard_error  # it is not where it starts


def test_samples_are_drawn_from_the_mixture():
    trained, _ = learned(visible="gaussian")
    samples = trained.sample(400)
    np.testing.assert_allclose(trained.sample(5), samples[:5], atol=0.01)
    components = trained.decode(partition.all_configurations(4))
    nearest = np.array([np.abs(components - one).sum((1, 2, 3)).argmin() for one in samples])
    shares = np.bincount(nearest, minlength=16) / len(samples)
    np.testing.assert_allclose(shares, np.exp(trained.log_prior()), atol=0.1)


def test_chains_of_the_film_start_where_they_are_told():
    trained, _ = learned(visible="gaussian")
    chains = trained.gibbs_chains(SMALL[:2], [0, 1, 3])
    assert chains.shape == (3, 4, SIDE, SIDE, 3)
    components = trained.decode(partition.all_configurations(4))
    for image in chains.reshape(-1, *SMALL.shape[1:]):
        assert np.abs(components - image).mean((1, 2, 3)).min() < 0.01


# Runs


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Films and chains of a few steps."""
    monkeypatch.setattr(rbm, "BURN_IN", 10)
    monkeypatch.setattr(rbm_pictures, "PLACES", (0, 2))


def arguments(pictures, output, *more):
    return [
        *("--image_size=8", "--hidden=3", "--num_epochs=4", "--log_step=2", "--category=cats"),
        *("--annealing_steps=5", "--annealing_chains=4"),
        *(f"--data_path={pictures}", f"--output_dir={output}", *more),
    ]


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_a_run_says_what_it_believes_and_what_is_true(many, tmp_path):
    rbm.main(PROG, arguments(many, tmp_path, "--holdout=fourth"))
    folder = tmp_path / "cats"
    metrics, told = read(folder, "metrics.json"), read(folder, "likelihood.json")
    assert told["how"].startswith("exact")
    assert {"learned", "held_out"} <= told.keys()
    assert abs(metrics["log_z"] - metrics["log_z_annealed"]) < 20
    assert 1 / 8 <= metrics["largest_weight"] <= 1 <= metrics["effective_components"] <= 8
    written = {path.name for path in folder.iterdir()}
    assert {"filters.png", "components.png", "free_energy.png", "chains.gif"} <= written


def test_chains_that_are_gone_on_with_have_the_same_bits(tmp_path):
    options = {"learning": "pcd", "cd_steps": 2, "batch_size": 2, "num_epochs": 6}
    whole, _ = learned(**options)
    before, after = model(**options), model(**options)
    total = whole.shard.iterations(whole.settings)
    records = before.train(SMALL)
    for _ in range(total // 2):
        next(records)
    before.save(tmp_path / "model", total // 2)
    with after.session.graph.as_default():
        after.saver.restore(after.session, str(tmp_path / f"model-{total // 2}"))
    assert len(list(after.train(SMALL))) == total - total // 2
    expected = whole.learned_values()
    for name, value in after.learned_values().items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_binary_units_have_no_likelihood_of_8_bit_images(many, tmp_path):
    rbm.main(PROG, arguments(many, tmp_path, "--visible=binary", "--hidden=17"))
    folder = tmp_path / "cats"
    written = {path.name for path in folder.iterdir()}
    assert "filters.png" in written and not {"likelihood.json", "components.png"} & written
    assert "score" not in read(folder, "manifest.json")["abilities"]
    metrics = read(folder, "metrics.json")
    assert 0 < metrics["binary_bits_images"] < 2
    assert "log_z_annealed" in metrics and "log_z" not in metrics


def test_of_many_hidden_units_the_likelihood_is_annealed():
    trained, records = learned(hidden=20, num_epochs=10)
    assert "bits" not in records[-1]
    log_z = trained.annealed_log_partition().log_mean
    width = SMALL[0].size * np.log(127.5)
    expected = -trained.free_energy(SMALL) - log_z - width
    np.testing.assert_allclose(trained.log_prob(SMALL), expected, rtol=1e-5)


def test_too_many_hidden_units_to_add_up_are_a_mistake(capsys, many, tmp_path):
    words = arguments(many, tmp_path, "--hidden=17", "--learning=exact")
    sentence = fails(capsys, lambda words: rbm.main(PROG, words), words)
    assert "--hidden 17" in sentence and "at most 16" in sentence
