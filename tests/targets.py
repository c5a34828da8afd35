"""The samplers, the targets that they are tested on, and chains of them in numpy."""

from functools import partial

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from common import samplers

CHAINS = 4000
LEAPFROG = 5
ADJUSTED = {
    "mala": samplers.mala,
    "hmc": partial(samplers.hmc, num_leapfrog=LEAPFROG),
    "preconditioned": samplers.preconditioned_langevin,
}
ALL = {"langevin": samplers.langevin, **ADJUSTED}

every_sampler = pytest.mark.parametrize("name", ALL)


def round_metric(x):
    """I + x x^T / (1 + |x|^2) [B, d, d]: positive definite, and different everywhere."""
    outer = x[:, :, None] * x[:, None, :]
    return tf.eye(x.shape[1], dtype=x.dtype) + outer / (1 + tf.reduce_sum(x**2, -1)[:, None, None])


def constant_metric(matrix):
    matrix = np.asarray(matrix, np.float32)
    return lambda x: tf.broadcast_to(matrix, [tf.shape(x)[0], *matrix.shape])


def given_to(name, log_prob_fn, metric=round_metric):
    """What a sampler is given: the log density, and its score and a metric if it takes them."""
    if name != "preconditioned":
        return log_prob_fn

    def metric_fn(x):
        log_prob = log_prob_fn(x)
        return log_prob, tf.gradients(log_prob, x)[0], metric(x)

    return metric_fn


def gaussian(sigma):
    return lambda x: -tf.reduce_sum((x / sigma) ** 2, -1) / 2


def sample(
    sampler, target, start, step_size, num_steps, first_step=0, key=(3, 4), dtype=None, **options
):
    """Chains from `start`, as numpy."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(start, dtype or tf.float32)
        chains = sampler(
            target, x, step_size, num_steps, tf.constant(key), first_step=first_step, **options
        )
        return type(chains)(*session.run([c for c in chains if c is not None]))


def banana(x):
    return -(x[:, 0] ** 2) / 2 - 2 * (x[:, 1] - x[:, 0] ** 2 / 2) ** 2


def banana_metric(x):
    """I + J^T J, J that of the residuals x_0 and 2 (x_1 - x_0^2 / 2); its determinant varies."""
    slope = -2 * x[:, 0]
    rows = [[2 + slope**2, 2 * slope], [2 * slope, 5 + 0 * slope]]
    return tf.stack([tf.stack(row, -1) for row in rows], -2)
