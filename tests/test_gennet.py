"""The generator: its log density, inference and learning, and the gauge of the latent plane."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import IMAGES, UNIT, built, gennet
from evaluation import central_differences, evaluate

from common.streams import Stream
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
        columns = [tf.gradients(output[:, i], position)[0] for i in range(0, output.shape[1], 7)]
        exact = model.log_prob(position, UNIT, 0.3)
        metric = model.gauss_newton_metric(jacobian, 0.3)
        return (
            *(log_prob, score, metric, jacobian, tf.stack(columns, 2)),
            *(exact, tf.gradients(exact, position)[0]),
        )

    log_prob, score, metric, jacobian, columns, exact, gradient = evaluate(build)
    np.testing.assert_allclose(log_prob, exact, rtol=1e-10)
    np.testing.assert_allclose(score, gradient, rtol=1e-8)
    np.testing.assert_allclose(jacobian[:, :, ::7], columns, rtol=1e-8, atol=1e-12)
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
        loss = model.reconstruction_loss(position, UNIT, 0.3)
        bias = next(v for v in tf.trainable_variables() if v.op.name == "generator/image/bias")
        return tf.gradients(loss, bias)[0], model.generator(position)

    gradient, output = evaluate(build)
    by_hand = ((UNIT - output) * (1 - output**2)).sum((1, 2)).mean(0) / 0.3**2
    np.testing.assert_allclose(-gradient, by_hand, rtol=1e-10)


@pytest.mark.parametrize("z_dim", [1, 2, 5])
def test_parameter_expansion_moves_z_to_the_prior_and_changes_no_image(z_dim):
    options = {"z_dim": z_dim, "step_size": 1e-6, "num_steps": 1, "learning_rate": 1e-9}
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


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_infers(sampler):
    model = built(gennet(sampler=sampler, num_steps=3, batch_size=2, learning_rate=0.01))
    records = list(model.train(IMAGES, 15))
    assert len(records) == 30  # batches of 2 and 1
    assert [record["iteration"] for record in records] == list(range(1, 31))
    assert records[-1]["loss"] < 0.9 * records[0]["loss"]
    assert 0 < records[-1]["acceptance_rate"] <= 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_energy_difference_is_what_inference_gains(sampler):
    options = {"sampler": sampler, "num_steps": 3, "sigma_steps": 0, "sigma_start": 0.3}
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


# Precision


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
