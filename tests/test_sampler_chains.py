"""The chains of every sampler: numbers that are not finite, cost, pieces, paths and step sizes."""

from functools import partial

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from targets import ADJUSTED, ALL, CHAINS, LEAPFROG, every_sampler, gaussian, given_to, sample

from common import samplers

# Numbers that are none

INDEFINITE = np.array([[1, 2], [2, 1]], np.float32)  # its Cholesky factor does not exist
BEYOND = {  # name: log density, score and metric where there is no density
    "log density nan": (np.nan, 0, np.eye(2)),
    "log density +inf": (np.inf, 0, np.eye(2)),
    "log density -inf": (-np.inf, 0, np.eye(2)),
    "score nan": (0, np.nan, np.eye(2)),
    "score inf": (0, np.inf, np.eye(2)),
    "metric nan": (0, 0, np.full([2, 2], np.nan)),
    "metric inf": (0, 0, np.diag([np.inf, 1])),
    "metric indefinite": (0, 0, INDEFINITE),
    "metric zero": (0, 0, np.zeros([2, 2])),
}


@pytest.mark.parametrize(
    ("name", "beyond"),
    [
        (name, beyond)
        for name in ADJUSTED
        for beyond in BEYOND
        if name == "preconditioned" or not beyond.startswith("metric")
    ],
)
def test_proposals_that_are_not_finite_are_rejected(name, beyond):
    step_size, num_steps = {"hmc": (0.15, 40)}.get(name, (0.7, 60))
    bad_log_prob, bad_score, bad_metric = BEYOND[beyond]

    def inside(x):  # half a Gaussian: beyond x_0 = 0 there is nothing
        return x[:, 0] > 0

    @tf.custom_gradient
    def log_prob(x):
        value = tf.where_v2(inside(x), gaussian(1.0)(x), bad_log_prob)
        score = tf.where_v2(inside(x)[:, None], -x, bad_score)
        return value, lambda up: score * up[:, None]

    def metric(x):
        good = tf.eye(2) + 0 * x[:, :, None]
        return tf.where_v2(inside(x)[:, None, None], good, bad_metric.astype(np.float32))

    target = given_to(name, log_prob, metric)
    chains = sample(
        ADJUSTED[name], target, np.ones([CHAINS, 2]), step_size, num_steps, keep_path=True
    )
    assert np.isfinite(chains.path).all() and (chains.path[..., 0] > 0).all()
    assert chains.position[:, 0].mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.04)
    assert np.abs(chains.position[:, 1].mean()) < 4 / np.sqrt(CHAINS)
    assert 0.2 < chains.acceptance_rate.mean() < 0.95


@pytest.mark.parametrize("per_chain", [False, True], ids=["one step size", "each its own"])
@every_sampler
def test_chains_do_not_see_their_neighbours(name, per_chain):
    rng = np.random.default_rng(0)
    start, others = rng.normal(size=[2, 8, 2])
    watched = [0, 3, 7]
    others[[1, 2, 4, 5, 6]] = np.array([100, np.nan, np.inf, -np.inf, 3e30])[:, None]
    others[watched] = start[watched]
    step_size = other_step_size = 0.5
    if per_chain:
        step_size, other_step_size = rng.uniform(0.3, 0.7, [2, 8])
        other_step_size[2:5] = [np.nan, step_size[3], np.inf]
        other_step_size[watched] = step_size[watched]
    target = given_to(name, gaussian(1.0))
    alone = sample(ALL[name], target, start, step_size, 20, keep_path=True)
    among = sample(ALL[name], target, others, other_step_size, 20, keep_path=True)
    np.testing.assert_array_equal(among.path[:, watched], alone.path[:, watched])
    np.testing.assert_array_equal(among.score_magnitude[watched], alone.score_magnitude[watched])
    np.testing.assert_array_equal(among.acceptance_rate[watched], alone.acceptance_rate[watched])
    assert (alone.path[-1, watched] != start[watched]).all()


# What the chains cost, and how they are run


@pytest.mark.parametrize(
    ("name", "evaluations"),
    [("langevin", 7), ("mala", 7 + 1), ("hmc", 7 * LEAPFROG + 1), ("preconditioned", 7 + 1)],
    ids=ALL,
)
def test_no_log_density_or_gradient_is_computed_twice(name, evaluations):
    calls = []

    def count(x):
        calls.append(x)
        return x

    @tf.custom_gradient  # a function of numpy has none of its own
    def counted(x):
        y = tf.numpy_function(count, [x], x.dtype)
        return tf.ensure_shape(y, x.shape), lambda up: up

    target = given_to(name, lambda x: gaussian(1.0)(counted(x)))
    with tf.Graph().as_default(), tf.Session() as session:
        chains = ALL[name](target, tf.ones([5, 2]), 0.5, 7, tf.constant([3, 4]), keep_path=True)
        if name == "langevin":  # whose steps need no log density: first and last are apart
            unasked = dict.fromkeys(["first_log_prob", "last_log_prob"], chains.position)
            chains = chains._replace(**unasked)
        rate = session.run(chains).acceptance_rate
    assert len(calls) == evaluations
    assert len(np.unique(calls, axis=0)) == evaluations  # and never twice at one place
    assert rate.mean() > 0.5


@every_sampler
def test_a_chain_in_pieces_takes_the_same_path(name):
    start = np.ones([5, 3])
    run = partial(sample, ALL[name], given_to(name, gaussian(1.0)))
    whole = run(start, 0.5, 30)
    part = run(start, 0.5, 10)
    rest = run(part.position, 0.5, 20, first_step=10)
    np.testing.assert_allclose(rest.position, whole.position, rtol=1e-6)


@every_sampler
def test_the_path_is_where_shorter_chains_end(name):
    target = given_to(name, gaussian(1.0))
    start = np.ones([5, 2])
    chains = sample(ALL[name], target, start, 0.5, 8, keep_path=True)
    assert chains.path.shape == (8, 5, 2)
    np.testing.assert_array_equal(chains.path[-1], chains.position)
    shorter = sample(ALL[name], target, start, 0.5, 3)
    np.testing.assert_allclose(chains.path[2], shorter.position, rtol=1e-6)


@every_sampler
def test_no_gradient_flows_through_a_chain(name):
    with tf.Graph().as_default():
        scale, start = tf.constant(2.0), tf.ones([3, 2])
        target = given_to(name, gaussian(scale))
        chains = ALL[name](target, start, 0.1, 5, tf.constant([0, 1]), keep_path=True)
        assert tf.gradients(chains.position, [scale, start]) == [None, None]
        assert tf.gradients(chains.path, [scale, start]) == [None, None]


def test_step_sizes_adapt_to_the_target_acceptance():
    with tf.Graph().as_default(), tf.Session() as session:
        x, step_size = tf.placeholder(tf.float32, [50, 10]), tf.placeholder(tf.float32, [50])
        key = tf.placeholder(tf.int32, [2])
        chains = samplers.mala(gaussian(0.1), x, step_size, 10, key)
        adapted = samplers.adapted_step_size(step_size, chains.acceptance_rate, 0.574)
        position, size, rates = np.zeros([50, 10]), np.full(50, 0.01), []
        for iteration in range(100):
            (position, rate, _, _), size = session.run(
                [[*chains[:3], adapted], adapted],
                {x: position, step_size: size, key: [1, iteration]},
            )
            rates.append(rate.mean())
    assert np.mean(rates[60:]) == pytest.approx(0.574, abs=0.04)
