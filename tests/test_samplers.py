"""Every sampler against targets whose laws are known."""

from functools import partial

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from scipy import integrate

import samplers

CHAINS = 4000
HMC = partial(samplers.hmc, num_leapfrog=5)


def gauss_newton(log_prob_fn):
    """The metric function of a Gaussian log density: its curvature, here a constant."""

    def metric_fn(x):
        log_prob = log_prob_fn(x)
        score = tf.gradients(log_prob, x)[0]
        curvature = -tf.stack(
            [tf.gradients(score[:, i], x)[0] for i in range(x.shape[1])], 1
        )  # [B, d, d]
        return log_prob, score, curvature

    return metric_fn


def gaussian(sigma):
    return lambda x: -tf.reduce_sum((x / sigma) ** 2, -1) / 2


def sample(sampler, target, start, step_size, num_steps, first_step=0, key=(3, 4), **options):
    """Chains from `start`, as numpy."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(start, tf.float32)
        chains = sampler(target, x, step_size, num_steps, tf.constant(key), first_step, **options)
        return type(chains)(*session.run([c for c in chains if c is not None]))


@pytest.mark.parametrize("dimensions", [1, 2, 100])
@pytest.mark.parametrize(
    ("sampler", "step_size", "num_steps"),
    [(samplers.mala, 0.7, 60), (HMC, 0.4, 20), (samplers.preconditioned_langevin, 0.8, 60)],
    ids=["mala", "hmc", "preconditioned"],
)
def test_exact_samplers_have_the_moments_of_a_gaussian(sampler, step_size, num_steps, dimensions):
    sigma = np.linspace(1, 2, dimensions)
    target = gaussian(sigma)
    if sampler is samplers.preconditioned_langevin:
        target = gauss_newton(target)
        step_size *= dimensions ** (-1 / 6)
    start = np.full([CHAINS, dimensions], 1.0)
    chains = sample(sampler, target, start, step_size, num_steps)
    variance = chains.position.var(0) / sigma**2
    error = np.sqrt(2 / CHAINS)  # of one variance, by Monte Carlo
    assert np.abs(chains.position.mean(0) / sigma).max() < 5 / np.sqrt(CHAINS)
    assert abs(variance.mean() - 1) < 4 * error / np.sqrt(dimensions)
    assert np.abs(variance - 1).max() < 5 * error
    assert 0.3 < chains.acceptance_rate.mean() < 1


@pytest.mark.parametrize("step_size", [0.2, 1.0])
def test_langevin_has_the_variance_of_its_step_size(step_size):
    # x <- (1 - delta^2 / 2) x + delta U has variance 1 / (1 - delta^2 / 4) in the long run.
    chains = sample(samplers.langevin, gaussian(1.0), np.zeros([CHAINS, 10]), step_size, 200)
    expected = 1 / (1 - step_size**2 / 4)
    assert chains.position.var() == pytest.approx(expected, rel=4 * np.sqrt(2 / (10 * CHAINS)))


@pytest.mark.parametrize("num_steps", [1, 30])
def test_langevin_takes_the_steps_it_is_asked_for(num_steps):
    # Where the density is flat, l steps of size delta add up to variance l delta^2.
    flat = lambda x: 0 * tf.reduce_sum(x, -1)  # noqa: E731
    chains = sample(samplers.langevin, flat, np.zeros([CHAINS, 100]), 0.3, num_steps)
    assert chains.position.var() == pytest.approx(num_steps * 0.3**2, rel=0.01)


@pytest.mark.parametrize(
    "sampler", [samplers.langevin, samplers.mala, HMC], ids=["langevin", "mala", "hmc"]
)
def test_a_chain_in_pieces_takes_the_same_path(sampler):
    start = np.ones([5, 3])
    whole = sample(sampler, gaussian(1.0), start, 0.5, 30)
    part = sample(sampler, gaussian(1.0), start, 0.5, 10)
    rest = sample(sampler, gaussian(1.0), part.position, 0.5, 20, first_step=10)
    np.testing.assert_allclose(rest.position, whole.position, rtol=1e-6)


ALL = {
    "langevin": samplers.langevin,
    "mala": samplers.mala,
    "hmc": HMC,
    "preconditioned": samplers.preconditioned_langevin,
}


@pytest.mark.parametrize("sampler", ALL.values(), ids=ALL)
def test_the_path_is_where_shorter_chains_end(sampler):
    target = gaussian(1.0)
    if sampler is samplers.preconditioned_langevin:
        target = gauss_newton(target)
    start = np.ones([5, 2])
    chains = sample(sampler, target, start, 0.5, 8, keep_path=True)
    assert chains.path.shape == (8, 5, 2)
    np.testing.assert_array_equal(chains.path[-1], chains.position)
    shorter = sample(sampler, target, start, 0.5, 3)
    np.testing.assert_allclose(chains.path[2], shorter.position, rtol=1e-6)


@pytest.mark.parametrize("sampler", ALL.values(), ids=ALL)
def test_chains_do_not_see_their_neighbours(sampler):
    target = gaussian(1.0)
    if sampler is samplers.preconditioned_langevin:
        target = gauss_newton(target)
    start = np.random.default_rng(0).normal(size=[6, 2])
    others = start.copy()
    others[1:] = 100.0
    first = sample(sampler, target, start, 0.5, 20).position[0]
    np.testing.assert_array_equal(first, sample(sampler, target, others, 0.5, 20).position[0])


@pytest.mark.parametrize("sampler", [samplers.mala, HMC], ids=["mala", "hmc"])
def test_the_adjusted_samplers_agree_with_quadrature_on_a_banana(sampler):
    def log_prob(x):
        return -(x[:, 0] ** 2) / 2 - 2 * (x[:, 1] - x[:, 0] ** 2 / 2) ** 2

    def density(y, x):
        return np.exp(-(x**2) / 2 - 2 * (y - x**2 / 2) ** 2)

    def expectation(f):
        return integrate.dblquad(lambda y, x: f(x, y) * density(y, x), -7, 7, -4, 20)[0]

    x, y = sample(sampler, log_prob, np.zeros([CHAINS, 2]), 0.45, 150).position.T
    total = expectation(lambda x, y: 1)
    for moment in (lambda x, y: x, lambda x, y: y, lambda x, y: x * x, lambda x, y: y * y):
        values = moment(x, y)
        error = 4 * values.std() / np.sqrt(CHAINS)
        assert values.mean() == pytest.approx(expectation(moment) / total, abs=error)


def test_a_wrong_gradient_leaves_the_law_of_mala_unchanged():
    @tf.custom_gradient
    def log_prob(x):
        return -tf.reduce_sum(x**2, -1) / 2, lambda up: -0.4 * x * up[:, None]

    right = sample(samplers.mala, log_prob, np.zeros([CHAINS, 2]), 0.8, 100).position
    wrong = sample(samplers.langevin, log_prob, np.zeros([CHAINS, 2]), 0.8, 100).position
    assert right.var() == pytest.approx(1, rel=4 * np.sqrt(1 / CHAINS))
    assert wrong.var() > 1.5


@pytest.mark.parametrize(
    ("sampler", "step_size"), [(samplers.mala, 0.5), (HMC, 0.15)], ids=["mala", "hmc"]
)
def test_proposals_without_a_density_are_rejected(sampler, step_size):
    def log_prob(x):  # a half normal: beyond 0 there is no number
        return tf.where_v2(x[:, 0] > 0, -(x[:, 0] ** 2) / 2, np.nan)

    position = sample(sampler, log_prob, np.ones([CHAINS, 1]), step_size, 100).position
    assert (position > 0).all()
    assert position.mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.04)


def test_no_gradient_flows_through_a_chain():
    with tf.Graph().as_default():
        scale = tf.constant(2.0)
        for sampler in (samplers.langevin, samplers.mala, samplers.hmc):
            chains = sampler(gaussian(scale), tf.ones([3, 2]), 0.1, 5, tf.constant([0, 1]))
            assert tf.gradients(chains.position, scale) == [None]


def test_step_sizes_adapt_to_the_target_acceptance():
    step_size = np.full(50, 0.01, np.float32)
    position = np.zeros([50, 10])
    for iteration in range(100):
        chains = sample(samplers.mala, gaussian(0.1), position, step_size, 10, key=(1, iteration))
        position = chains.position
        with tf.Graph().as_default(), tf.Session() as session:
            step_size = session.run(
                samplers.adapted_step_size(step_size, chains.acceptance_rate, 0.574)
            )
        if iteration == 60:
            rates = []
        if iteration > 60:
            rates.append(chains.acceptance_rate.mean())
    assert np.mean(rates) == pytest.approx(0.574, abs=0.04)
