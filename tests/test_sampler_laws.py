"""Every sampler against targets whose laws are known, in closed form or by quadrature."""

from functools import partial

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from scipy import integrate, stats
from targets import (
    ADJUSTED,
    ALL,
    CHAINS,
    banana,
    banana_metric,
    constant_metric,
    every_sampler,
    gaussian,
    given_to,
    sample,
)

from common import samplers

# Gaussians


@pytest.mark.parametrize("shape", [[3, 5, 7], [100, 64, 2]], ids=["odd", "even"])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_the_noise_is_standard_normal(shape, dtype):
    keys = np.arange(20)
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = [samplers.standard_normal(tf.constant(shape), [7, key], dtype) for key in keys]
        draws = np.array(session.run(tensors))  # [20, *shape]
    assert draws.shape == (20, *shape) and draws.dtype == dtype.as_numpy_dtype
    assert stats.kstest(draws.ravel(), "norm").pvalue > 0.01
    assert len(np.unique(draws)) > 0.99 * draws.size
    # Pairs share a radius and neighbours a generator, but no law: not even the sizes correlate.
    flat = draws.reshape(20, -1)
    half = (flat.shape[1] + 1) // 2
    for lag in (1, half):
        for function in (np.asarray, np.square):
            one, other = function(flat[:, :-lag]).ravel(), function(flat[:, lag:]).ravel()
            assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(one.size)
    assert abs(np.corrcoef(flat) - np.eye(20)).max() < 5 / np.sqrt(flat.shape[1])


@pytest.mark.parametrize("dimensions", [1, 2, 100])
@pytest.mark.parametrize(
    ("name", "step_size", "num_steps"),
    [("mala", 0.7, 60), ("hmc", 0.4, 20), ("preconditioned", 1.2, 30)],
    ids=ADJUSTED,
)
def test_exact_samplers_have_the_moments_of_a_gaussian(name, step_size, num_steps, dimensions):
    sigma = np.linspace(1, 2, dimensions)
    chains = CHAINS
    if name == "preconditioned":
        step_size *= dimensions ** (-1 / 6)
        chains = CHAINS if dimensions < 100 else 300  # each holds a matrix of 100 x 100
    target = given_to(name, gaussian(sigma), constant_metric(np.diag(sigma**-2)))
    arrived = sample(ADJUSTED[name], target, np.ones([chains, dimensions]), step_size, num_steps)
    variance = arrived.position.var(0) / sigma**2
    error = np.sqrt(2 / chains)  # of one variance, by Monte Carlo
    assert np.abs(arrived.position.mean(0) / sigma).max() < 5 / np.sqrt(chains)
    assert abs(variance.mean() - 1) < 4 * error / np.sqrt(dimensions)
    assert np.abs(variance - 1).max() < 5 * error
    assert 0.3 < arrived.acceptance_rate.mean() < 1


@pytest.mark.parametrize("dimensions", [1, 2, 100])
def test_langevin_has_the_bias_of_its_step_size(dimensions):
    # x <- (1 - delta^2 / (2 s^2)) x + delta U is linear: its law is known for every step size.
    step_sizes = np.array([0.3, 0.5, 0.7, 0.9])[:, None]
    sigma = np.linspace(0.5, 1, dimensions)
    start = np.ones([4 * CHAINS, dimensions])
    delta = np.repeat(step_sizes, CHAINS)
    position = sample(samplers.langevin, gaussian(sigma), start, delta, 100).position
    position = position.reshape(4, CHAINS, dimensions)
    expected = sigma**2 / (1 - step_sizes**2 / (4 * sigma**2))  # [4, d]
    ratio = position.var(1) / expected
    error = np.sqrt(2 / CHAINS)
    assert np.abs(position.mean(1) / np.sqrt(expected)).max() < 5 / np.sqrt(CHAINS)
    assert np.abs(ratio - 1).max() < 5 * error
    assert np.abs(ratio.mean(1) - 1).max() < 4 * error / np.sqrt(dimensions)
    # At a scale of 0.5 from 10 % too much to five times the variance: no error of Monte Carlo.
    assert (np.diff(position.var(1)[:, 0], prepend=sigma[0] ** 2) > 0.04 * sigma[0] ** 2).all()


def test_without_its_test_mala_has_the_law_of_langevin():
    start = np.zeros([CHAINS, 10])
    chains = sample(samplers.mala, gaussian(1.0), start, 1.0, 100, adjust=False)
    expected = 1 / (1 - 1.0**2 / 4)
    assert (chains.acceptance_rate == 1).all()
    assert chains.position.var() == pytest.approx(expected, rel=4 * np.sqrt(2 / (10 * CHAINS)))


@every_sampler
def test_the_posterior_of_a_linear_generator_is_the_closed_one(name):
    # Y = W z + b + eps: z | Y ~ N(m, P^-1), P = I + W^T W / sigma^2, m = P^-1 W^T (Y - b) / sigma^2
    # (probabilistic principal components: Tipping and Bishop, 1999).
    weights, bias, sigma = np.array([[1.5, 0.3], [-0.5, 1], [0.8, 0.8]]), np.array([1, -1, 0]), 0.6
    images = np.repeat([[0.0, 0, 0], [3, -1, 1], [1, 2, 0], [-1, 0, 4]], CHAINS, 0)
    precision = np.eye(2) + weights.T @ weights / sigma**2

    def log_prob(z):
        residual = images - bias - tf.matmul(z, weights.T.astype(np.float32))
        return -tf.reduce_sum(residual**2, -1) / (2 * sigma**2) - tf.reduce_sum(z**2, -1) / 2

    step_size, num_steps = {
        "langevin": (0.3, 40),
        "mala": (0.4, 40),
        "hmc": (0.13, 15),  # not half a period, at which a chain returns
        "preconditioned": (1.0, 25),
    }[name]
    target = given_to(name, log_prob, constant_metric(precision))
    start = np.zeros([len(images), 2])
    z = sample(ALL[name], target, start, step_size, num_steps).position
    covariance = np.linalg.inv(precision)
    mean = (images - bias) @ weights / sigma**2 @ covariance
    if name == "langevin":  # the bias of its step size again, in every direction
        covariance = covariance @ np.linalg.inv(np.eye(2) - step_size**2 / 4 * precision)
    variance = covariance.diagonal()
    residual = (z - mean).reshape(4, CHAINS, 2)
    assert (np.abs(residual.mean(1)) < 4.5 * np.sqrt(variance / CHAINS)).all()
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / len(z))
    assert (np.abs((z - mean).T @ (z - mean) / len(z) - covariance) < 4.5 * error).all()


def test_langevin_takes_the_score_that_it_is_given():
    def flat(x):
        return tf.zeros(tf.shape(x)[:1])

    start = np.random.default_rng(7).normal(size=[50, 3])
    by_gradient = sample(samplers.langevin, gaussian(1.0), start, 0.3, 10)
    given = sample(samplers.langevin, flat, start, 0.3, 10, score_fn=lambda x: -x)
    np.testing.assert_allclose(given.position, by_gradient.position, rtol=1e-5)
    np.testing.assert_allclose(given.score_magnitude, by_gradient.score_magnitude, rtol=1e-5)


@pytest.mark.parametrize("num_steps", [1, 30])
def test_langevin_takes_the_steps_it_is_asked_for(num_steps):
    # Where the density is flat, l steps of size delta add up to variance l delta^2.
    flat = lambda x: 0 * tf.reduce_sum(x, -1)  # noqa: E731
    chains = sample(samplers.langevin, flat, np.zeros([CHAINS, 100]), 0.3, num_steps)
    assert chains.position.var() == pytest.approx(num_steps * 0.3**2, rel=0.01)


# Targets that are no Gaussians, against quadrature


@pytest.mark.parametrize(
    ("name", "step_size", "num_steps"),
    [("mala", 0.45, 150), ("hmc", 0.3, 60), ("preconditioned", 1.4, 60)],
    ids=ADJUSTED,
)
def test_the_adjusted_samplers_agree_with_quadrature_on_a_banana(name, step_size, num_steps):
    def density(y, x):
        return np.exp(-(x**2) / 2 - 2 * (y - x**2 / 2) ** 2)

    def expectation(f):
        return integrate.dblquad(lambda y, x: f(x, y) * density(y, x), -7, 7, -4, 20)[0]

    target = given_to(name, banana, banana_metric)
    x, y = sample(ADJUSTED[name], target, np.zeros([CHAINS, 2]), step_size, num_steps).position.T
    total = expectation(lambda x, y: 1)
    for moment in (lambda x, y: x, lambda x, y: y, lambda x, y: x * x, lambda x, y: y * y):
        values = moment(x, y)
        error = 4 * values.std() / np.sqrt(CHAINS)
        assert values.mean() == pytest.approx(expectation(moment) / total, abs=error)


@pytest.mark.parametrize(
    ("name", "step_size", "num_steps"),
    [("mala", 0.9, 100), ("hmc", 0.4, 30), ("preconditioned", 1.2, 100)],
    ids=ADJUSTED,
)
def test_the_adjusted_samplers_agree_with_quadrature_on_two_modes(name, step_size, num_steps):
    weights, means, sigmas = np.array([[0.4, 0.6], [-1.2, 1.5], [0.5, 1.2]], np.float32)

    def log_joint(x):  # [B, 1] -> [B, 2], less a constant
        return tf.math.log(weights / sigmas) - ((x - means) / sigmas) ** 2 / 2

    def log_prob(x):
        return tf.reduce_logsumexp(log_joint(x), -1)

    def metric(x):  # the curvature of each mode, by its share
        return tf.reduce_sum(tf.nn.softmax(log_joint(x)) / sigmas**2, -1)[:, None, None]

    target = given_to(name, log_prob, metric)
    start = np.zeros([CHAINS, 1])
    x = sample(ADJUSTED[name], target, start, step_size, num_steps).position[:, 0]

    def density(x):
        return (weights / sigmas * np.exp(-(((x - means) / sigmas) ** 2) / 2)).sum()

    edges = [-9, *np.linspace(-2, 3.5, 12), 9]
    shares = np.array([integrate.quad(density, *edges[i : i + 2])[0] for i in range(13)])
    expected = CHAINS * shares / shares.sum()
    squares = (np.histogram(x, edges)[0] - expected) ** 2 / expected
    assert squares.sum() < stats.chi2.ppf(1 - 1e-4, 12)


def test_jitter_breaks_the_orbits_that_lead_from_x_to_minus_x_and_back():
    # Two leapfrog steps of sqrt(2) are exactly half an orbit of N(0, 1): every |x| stays.
    start = np.full([CHAINS, 1], 2.0)
    hmc = partial(samplers.hmc, num_leapfrog=2)
    stuck = sample(hmc, gaussian(1), start, np.sqrt(2), 20)
    np.testing.assert_allclose(np.abs(stuck.position), 2, rtol=1e-4)
    free = sample(partial(hmc, jitter=0.2), gaussian(1), start, np.sqrt(2), 20)
    assert abs(free.position.mean()) < 5 / np.sqrt(CHAINS)
    assert abs(free.position.var() - 1) < 5 * np.sqrt(2 / CHAINS)
    assert 0.7 < free.acceptance_rate.mean() < 1
    # No two chains share their steps.
    assert len(np.unique(np.abs(free.position))) > CHAINS // 2
