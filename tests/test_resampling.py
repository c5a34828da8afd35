"""Resampling: chains that are offered draws, against laws that are known."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from resampling import resampled


def test_resampling_comes_from_mode_to_mode_in_proportion_to_their_weight():
    places, weights = np.array([-3.0, 3.0]), np.array([0.3, 0.7])

    def log_weight(x):  # log p / q, of p with two modes far apart and q = N(0, 3^2)
        log_p = tf.reduce_logsumexp(np.log(weights) - 2 * tf.square(x - places), -1)
        return log_p + tf.square(x[..., 0]) / 18

    def step(t, x, path):
        draws = 3 * tf.random.stateless_normal([8, 1], tf.stack([t, 1]), dtype=tf.float64)
        offered = tf.tile(log_weight(draws)[None], [4, 1])  # four chains share them
        moved = resampled(x, log_weight(x), draws, offered, tf.stack([t, 2]))
        return t + 1, moved, path.write(t, moved[:, 0])

    with tf.Graph().as_default(), tf.Session() as session:
        state = [tf.constant(0), tf.fill([4, 1], tf.constant(-3.0, tf.float64))]
        path = tf.TensorArray(tf.float64, 8000)
        *_, path = tf.while_loop(lambda t, *_: t < 8000, step, [*state, path])
        found = session.run(path.stack())
    right = found > 0
    assert right.mean() == pytest.approx(0.7, abs=0.03)
    assert found[right].mean() == pytest.approx(3, abs=0.05)
    assert found[right].std() == pytest.approx(0.5, abs=0.03)


def test_resampling_goes_to_no_draw_whose_density_is_not_a_number():
    with tf.Graph().as_default(), tf.Session() as session:
        x, draws = tf.zeros([50, 2]), tf.ones([3, 2]) * [[1.0], [2.0], [3.0]]
        weights = tf.tile([[np.nan, 0.0, -np.inf]], [50, 1])
        moved = session.run(resampled(x, tf.zeros([50]), draws, weights, [0, 0]))
    assert set(moved[:, 0]) == {0, 2}
