"""The generator: its log density, inference and learning, and the gauge of the latent plane."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import IMAGES, SIDE, UNIT, built, gennet
from evaluation import central_differences, evaluate

from common import quality
from common.guard import DivergenceError
from common.streams import Stream
from generator_learning import LENGTH, psnr_of_seen
from generator_settings import SAMPLERS

RNG = np.random.default_rng(0)

# Log density


def test_the_likelihood_of_the_generator_is_a_sum_for_each_image():
    model = gennet()
    z = RNG.normal(size=(3, 2))

    def build():
        position = tf.constant(z)
        return model.log_prob(position, UNIT, 0.3), model.generator(position)

    values, output = evaluate(build)
    expected = -((UNIT - output) ** 2).sum((1, 2, 3)) / (2 * 0.3**2) - (z**2).sum(1) / 2
    np.testing.assert_allclose(values, expected, rtol=1e-10)


def test_the_output_of_the_generator_is_in_the_range_of_tanh():
    output = evaluate(lambda: gennet().generator(tf.constant(RNG.normal(size=(50, 2)))), 3.0)
    assert -1 <= output.min() < -0.2
    assert 0.2 < output.max() <= 1


def test_the_score_of_the_generator_is_the_gradient_of_its_log_density():
    model = gennet()
    z = RNG.normal(size=2)

    def build():
        position = tf.constant(z[None])
        exact = tf.gradients(model.log_prob(position, UNIT[:1], 0.3), position)[0][0]
        numeric = central_differences(lambda z: model.log_prob(z, UNIT[:1], 0.3), z, range(2), 1e-6)
        return exact, numeric

    np.testing.assert_allclose(*evaluate(build), rtol=1e-5)


def test_the_jacobian_gives_the_score_and_the_gauss_newton_metric():
    model = gennet()
    z = RNG.normal(size=(3, 2))

    def build():
        position = tf.constant(z)
        jacobian = model.jacobian(position)
        log_prob, score = model.log_prob_and_score(position, UNIT, 0.3, jacobian)
        output = tf.reshape(model.generator(position), [3, -1])
        columns = [tf.gradients(output[:, i], position)[0] for i in range(0, output.shape[1], 97)]
        exact = model.log_prob(position, UNIT, 0.3)
        metric = model.gauss_newton_metric(jacobian, 0.3)
        return (
            *(log_prob, score, metric, jacobian, tf.stack(columns, 2)),
            *(exact, tf.gradients(exact, position)[0]),
        )

    log_prob, score, metric, jacobian, columns, exact, gradient = evaluate(build)
    np.testing.assert_allclose(log_prob, exact, rtol=1e-10)
    np.testing.assert_allclose(score, gradient, rtol=1e-8)
    np.testing.assert_allclose(jacobian[:, :, ::97], columns, rtol=1e-8, atol=1e-12)
    expected = np.eye(2) + jacobian @ jacobian.transpose(0, 2, 1) / 0.3**2
    np.testing.assert_allclose(metric, expected, rtol=1e-8)


def test_an_image_is_generated_alone():
    model = built(gennet())
    z = RNG.normal(size=(9, 2))
    np.testing.assert_allclose(model.generate(z[4:5])[0], model.generate(z)[4], atol=1e-3)


# Learning


def test_the_learning_gradient_of_the_generator_is_the_assignments():
    # L'(W) = (1/n) sum_i (1/sigma^2) (Y_i - f(Z_i)) df(Z_i)/dW, here for a bias of the last layer:
    # f = tanh(a + b), so that df/db = 1 - f^2.
    model = gennet()
    z = RNG.normal(size=(3, 2))

    def build():
        position = tf.constant(z)
        loss = model.reconstruction_loss(model.squared_error(position, UNIT), 0.3)
        bias = next(v for v in tf.trainable_variables() if v.op.name == "generator/image/bias")
        return tf.gradients(loss, bias)[0], model.generator(position)

    gradient, output = evaluate(build)
    by_hand = ((UNIT - output) * (1 - output**2)).sum((1, 2)).mean(0) / 0.3**2
    np.testing.assert_allclose(-gradient, by_hand, rtol=1e-10)


@pytest.mark.parametrize("z_dim", [1, 2, 5])
def test_parameter_expansion_moves_z_to_the_prior_and_changes_no_image(z_dim):
    options = {"z_dim": z_dim, "step_size": 1e-6, "num_steps": 1, "learning_rate": 1e-9}
    options["prior_draws"] = 0
    plain = built(gennet(parameter_expansion=False, sampler="langevin", **options))
    expanded = built(gennet(parameter_expansion=True, sampler="langevin", **options))
    for model in (plain, expanded):
        list(model.train(IMAGES, 5))
    before, after = plain.reconstruct() / 127.5, expanded.reconstruct() / 127.5
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert np.abs(plain.latents().mean(0)).max() > 0.1
    assert np.abs(expanded.latents().mean(0)).max() < 1e-4
    if z_dim < 3:
        np.testing.assert_allclose(expanded.latents().std(0), 1, atol=0.1)


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_hidden_layers_take_steps_of_muon_and_all_else_those_of_adam(optimizer):
    model = built(gennet(optimizer=optimizer, learning_rate=0.01, parameter_expansion=False))
    with model.session.graph.as_default():
        weights = [v for v in model.networks[0].variables() if v.op.name.endswith("weight")]
    before = model.session.run(weights)
    rate = next(model.train(IMAGES, 1))["learning_rate"]
    turned = set()
    for variable, old, new in zip(weights, before, model.session.run(weights), strict=True):
        moved = (new - old).reshape(-1, old.shape[-1])
        if np.abs(moved).max() != pytest.approx(rate, rel=1e-3):  # as Adam's first step is
            turned.add(variable.op.name.split("/")[1].split("_")[0])
            assert np.linalg.norm(moved, 2) == pytest.approx(LENGTH * rate, rel=0.35)
    assert turned == ({"mapping", "spread", "deconv"} if optimizer == "muon" else set())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_infers(sampler):
    few = {"num_steps": 3, "num_leapfrog": 3, "batch_size": 2}
    model = built(gennet(sampler=sampler, learning_rate=0.01, **few))
    records = list(model.train(IMAGES, 15))
    assert len(records) == 30  # batches of 2 and 1
    assert [record["iteration"] for record in records] == list(range(1, 31))
    assert records[-1]["loss"] < 0.9 * records[0]["loss"]
    assert 0 < records[-1]["acceptance_rate"] <= 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_energy_difference_is_what_inference_gains(sampler):
    options = {"sampler": sampler, "num_steps": 12, "sigma_steps": 0, "sigma_start": 0.3}
    model = built(gennet(parameter_expansion=False, learning_rate=1e-9, **options))

    def log_prob():
        error = (IMAGES - model.reconstruct()).astype(np.float64) / 127.5
        return -(error**2).sum((1, 2, 3)) / (2 * 0.3**2) - (model.latents() ** 2).sum(1) / 2

    before = log_prob()
    (record,) = model.train(IMAGES, 1)
    gain = float((log_prob() - before).mean())
    assert abs(gain) > 0.01
    assert record["energy_difference"] == pytest.approx(gain, abs=0.01)
    assert record["gradient_norm"] > 0
    psnr, _ = quality.psnr_and_ssim(model.reconstruct(), IMAGES)
    assert record["psnr"] == pytest.approx(psnr.mean(), abs=1e-3)


def test_the_psnr_is_of_the_pixels_that_are_seen():
    seen = np.zeros((2, SIDE, SIDE, 1), np.float32)
    seen[0, :4], seen[1] = 1, 1
    images = np.where(seen == 1, UNIT[:2], 5).astype(np.float32)
    errors = 4 / 127.5**2 * 3 * seen.sum((1, 2, 3))  # two grey levels everywhere
    with tf.Graph().as_default(), tf.Session() as session:
        args = [tf.constant(each, tf.float32) for each in (errors, images, seen)]
        psnr = session.run(psnr_of_seen(*args))
    np.testing.assert_allclose(psnr, 20 * np.log10(255 / 2), rtol=1e-5)


# Precision


@pytest.mark.usefixtures("bfloat16")
def test_the_generator_infers_in_bfloat16_and_learns_and_draws_in_float32():
    models = [built(gennet(precision=name, batch_size=3)) for name in ("float32", "bfloat16")]
    z = np.zeros([3, 2], np.float32)
    paths = [
        model.posterior.run_chains(z, np.full(3, 0.5), 4, IMAGES, stream=Stream.POSTERIOR)[0]
        for model in models
    ]
    np.testing.assert_array_equal(*paths)
    for model in models:
        list(model.train(IMAGES, 1))
    exact, rounded = (model.latents() for model in models)
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(exact, rounded, atol=0.3)
    assert rounded.dtype == np.float32
    with models[1].session.graph.as_default():
        assert {v.dtype.base_dtype for v in tf.trainable_variables()} == {tf.float32}


# Divergence


def finite(records):
    return np.isfinite([list(record.values()) for record in records]).all()


def test_a_generator_that_saturates_goes_back_and_learns_at_a_smaller_rate():
    # Of Adam's first step at such a rate every pixel is -1 or 1, and the gradient 0.
    model = built(gennet(learning_rate=10.0, num_epochs=120))
    records = list(model.train(IMAGES))
    assert finite(records)
    assert records[-1]["roll_backs"] > 3
    assert records[-1]["learning_rate"] < 0.5
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]
    assert min(record["gradient_norm"] for record in records) > 0


@pytest.mark.parametrize("step_size", [2.0, 100.0])
def test_chains_of_plain_langevin_that_leave_the_prior_are_sent_back(step_size):
    model = built(gennet(sampler="langevin", step_size=step_size, num_steps=20, num_epochs=60))
    records = list(model.train(IMAGES))
    assert finite(records)
    assert records[-1]["step_size"] < step_size / 2
    assert records[-1]["acceptance_rate"] > 0.6
    assert np.abs(model.latents()).max() < 6
    assert records[-1]["loss"] < records[0]["loss"]


def test_a_generator_that_nothing_helps_is_an_error():
    model = built(gennet())
    with model.session.graph.as_default():
        for variable in tf.global_variables():
            if variable.dtype.base_dtype == tf.float32 and variable.shape.rank:
                variable.load(np.full(variable.shape, np.nan), model.session)
    with pytest.raises(DivergenceError, match="iteration 1 .*--g_lr"):
        list(model.train(IMAGES, 5))


# Many dimensions


@pytest.mark.parametrize("z_dim", [17, 40])
def test_the_jacobian_of_many_dimensions_is_that_of_few(z_dim, monkeypatch):
    model = gennet(z_dim=z_dim)
    z = RNG.normal(size=(2, z_dim))
    looped = evaluate(lambda: model.jacobian(tf.constant(z)))
    monkeypatch.setattr("common.layers.UNROLLED", z_dim)
    unrolled = evaluate(lambda: model.jacobian(tf.constant(z)))
    assert looped.shape == (2, z_dim, 3 * SIDE**2)
    np.testing.assert_allclose(looped, unrolled, rtol=1e-10, atol=1e-14)


def test_the_metric_of_many_dimensions_is_the_mean_of_those_of_the_chains():
    # The prior is reduced at every iteration, and the metric has to follow.
    still = {"step_size": 1e-6, "learning_rate": 1e-9, "sigma_start": 1.0}
    model = built(gennet(z_dim=17, **still))
    list(model.train(IMAGES, 60))
    with model.session.graph.as_default():
        jacobian = model.session.run(model.jacobian(model.chains.read_value()))
    exact = np.einsum("bid,bjd->ij", jacobian, jacobian) / len(jacobian)
    found = model.session.run(model.metric.product)
    assert np.trace(found) == pytest.approx(np.trace(exact), rel=0.15)
    strongest = np.linalg.eigh(exact)[1][:, -1]
    assert strongest @ found @ strongest == pytest.approx(strongest @ exact @ strongest, rel=0.25)


def test_chains_of_many_dimensions_adapt_their_steps_and_learn():
    model = built(gennet(z_dim=17))
    first, *_, last = model.train(IMAGES, 120)
    assert last["step_size"] != first["step_size"]
    assert 0.2 < last["acceptance_rate"] <= 1
    assert last["psnr"] > first["psnr"] + 3


def test_a_generator_of_many_dimensions_needs_no_more_operations():
    counts = []
    for z_dim in (20, 200):
        model = built(gennet(z_dim=z_dim))
        counts.append(len(model.session.graph.get_operations()))
    assert counts[1] < 1.02 * counts[0]  # they are computed in more pieces
