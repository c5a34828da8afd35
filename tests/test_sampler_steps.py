"""Every step of the samplers against a slow float64 reference, and detailed balance."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from targets import (
    ADJUSTED,
    ALL,
    CHAINS,
    LEAPFROG,
    banana,
    banana_metric,
    constant_metric,
    every_sampler,
    gaussian,
    given_to,
    sample,
)

from common import samplers, streams


def numpy_banana(x):
    """The log density [B] of the banana, its score [B, 2] and metric [B, 2, 2], by hand."""
    u, v = x.T
    residual = v - u**2 / 2
    score = np.stack([4 * residual * u - u, -4 * residual], -1)
    metric = np.array([[2 + 4 * u**2, -4 * u], [-4 * u, np.full_like(u, 5)]])
    return -(u**2) / 2 - 2 * residual**2, score, metric.transpose(2, 0, 1)


def log_normal(x, mean, covariance):
    """Log N(x; mean, covariance) [B], with nothing left out."""
    residual = x - mean
    distance = np.einsum("bi,bij,bj->b", residual, np.linalg.inv(covariance), residual)
    return -(distance + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2


def reference_proposal(name, x, delta, noise):
    """A proposal [B, 2] and log p(x') q(x | x') / (p(x) q(x' | x)) [B], from the definition."""
    delta = delta[:, None]
    if name == "hmc":

        def hamiltonian(x, momentum):
            return -numpy_banana(x)[0] + (momentum**2).sum(-1) / 2

        new_x, momentum = x, noise
        for _ in range(LEAPFROG):
            momentum = momentum + delta / 2 * numpy_banana(new_x)[1]
            new_x = new_x + delta * momentum
            momentum = momentum + delta / 2 * numpy_banana(new_x)[1]
        return new_x, hamiltonian(x, noise) - hamiltonian(new_x, momentum)

    def proposal(x):
        _, score, metric = numpy_banana(x)
        if name != "preconditioned":
            metric = np.broadcast_to(np.eye(2), metric.shape)
        inverse = np.linalg.inv(metric)
        mean = x + delta**2 / 2 * np.einsum("bij,bj->bi", inverse, score)
        return mean, delta[:, :, None] ** 2 * inverse, np.linalg.cholesky(metric)

    mean, covariance, factor = proposal(x)
    new_x = mean + delta * np.linalg.solve(factor.transpose(0, 2, 1), noise[..., None])[..., 0]
    new_mean, new_covariance, _ = proposal(new_x)
    forward = numpy_banana(x)[0] + log_normal(new_x, mean, covariance)
    backward = numpy_banana(new_x)[0] + log_normal(x, new_mean, new_covariance)
    return new_x, backward - forward


def random_numbers(name, key, first_step, num_steps, shape):
    """The noise [l, B, 2] and the logarithms of the uniform numbers [l, B] of a chain's steps."""
    with tf.Graph().as_default(), tf.Session() as session:
        draws = []
        for t in range(first_step, first_step + num_steps):
            step_key = streams.fold_in(tf.constant(key), t)
            noise_key, accept_key = tf.unstack(tf.random.experimental.stateless_split(step_key))
            if name == "langevin":  # which draws nothing else
                noise_key = step_key
            draws.append(
                [
                    samplers.standard_normal(shape, noise_key, tf.float64),
                    tf.random.stateless_uniform(shape[:1], accept_key, dtype=tf.float64),
                ]
            )
        noise, uniform = zip(*session.run(draws), strict=True)
    return np.array(noise), np.log(uniform)


@every_sampler
def test_every_step_is_that_of_the_float64_reference(name):
    num_steps, first_step, key = 12, 5, (7, 8)
    rng = np.random.default_rng(0)
    start = rng.normal(size=[1000, 2])
    largest = {"langevin": 0.3, "mala": 0.8, "hmc": 0.6, "preconditioned": 2}[name]
    delta = rng.uniform(0.1, largest, 1000)
    chains = sample(
        ALL[name],
        given_to(name, banana, banana_metric),
        start,
        delta,
        num_steps,
        first_step,
        key,
        tf.float64,
        keep_path=True,
    )
    before = np.concatenate([start[None], chains.path[:-1]])  # [l, B, 2]
    noise, log_uniform = random_numbers(name, key, first_step, num_steps, start.shape)
    decisions = []
    for t in range(num_steps):
        with np.errstate(over="ignore"):  # a step too large sends HMC far away, to be rejected
            proposal, log_ratio = reference_proposal(name, before[t], delta, noise[t])
        accepted = log_uniform[t] < log_ratio
        if name == "langevin":
            accepted[:] = True
        np.testing.assert_array_equal(accepted, (chains.path[t] != before[t]).any(-1))
        expected = np.where(accepted[:, None], proposal, before[t])
        np.testing.assert_allclose(chains.path[t], expected, rtol=1e-9, atol=1e-9)
        decisions.append(accepted)
    np.testing.assert_allclose(chains.acceptance_rate, np.mean(decisions, 0), rtol=1e-12)
    score = np.abs([numpy_banana(x)[1] for x in before]).mean((0, 2))
    np.testing.assert_allclose(chains.score_magnitude, score, rtol=1e-9)
    assert name == "langevin" or 0.2 < np.mean(decisions) < 0.9


@pytest.mark.parametrize(
    ("name", "step_size", "num_steps"),
    [("mala", 0.8, 60), ("hmc", 0.3, 30), ("preconditioned", 0.8, 60)],
    ids=ADJUSTED,
)
def test_a_wrong_gradient_or_metric_makes_a_sampler_slower_not_wrong(name, step_size, num_steps):
    @tf.custom_gradient
    def log_prob(x):
        # The gradient of no density: too short, and turned.
        wrong = -0.4 * x + 0.5 * tf.stack([x[:, 1], -x[:, 0]], 1)
        return -tf.reduce_sum(x**2, -1) / 2, lambda up: wrong * up[:, None]

    start = np.zeros([2 * CHAINS, 2])
    wrong, right = (
        sample(ADJUSTED[name], given_to(name, *target), start, step_size, num_steps)
        for target in [(log_prob,), (gaussian(1.0), constant_metric(np.eye(2)))]
    )
    error = 1 / np.sqrt(len(start))
    assert (np.abs(wrong.position.mean(0)) < 4 * error).all()
    assert (np.abs(wrong.position.var(0) - 1) < 4 * np.sqrt(2) * error).all()
    assert abs(wrong.position.prod(1).mean()) < 4 * error
    assert wrong.acceptance_rate.mean() < right.acceptance_rate.mean() - 0.05
    if name == "mala":  # without the test the law is another
        unadjusted = sample(samplers.langevin, log_prob, start, step_size, num_steps).position
        assert unadjusted.var() > 1.5
