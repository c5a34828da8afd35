"""Gradient steps that are orthogonal matrices."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from common import muon

RATE, LENGTH = 0.01, 3.0


@pytest.mark.parametrize("shape", [(40, 8), (8, 40), (16, 16)])
def test_a_matrix_keeps_its_directions_and_loses_its_lengths_unless_it_has_none(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    u, values, v = np.linalg.svd(matrix, full_matrices=False)
    matrix = u @ np.diag(np.geomspace(100, 1, len(values))) @ v
    with tf.Graph().as_default(), tf.Session() as session:
        matrices = [tf.constant(matrix, tf.float32), tf.zeros(shape)]
        found, nothing = session.run(muon.orthogonalized(matrices))
    of_each = u.T @ found @ v.T
    assert np.diag(of_each) == pytest.approx(1, abs=0.35)
    assert np.abs(of_each - np.diag(np.diag(of_each))).max() < 1e-3
    assert not nothing.any()


def test_a_kernel_moves_as_a_matrix_of_as_many_columns_as_features_leave_it():
    gradient = np.random.default_rng(1).normal(size=(2, 2, 3, 4)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        kernel = tf.get_variable("kernel", gradient.shape, initializer=tf.zeros_initializer())
        step = muon.descend([(tf.constant(gradient), kernel)], tf.constant(RATE), LENGTH, 0.9)
        session.run(tf.global_variables_initializer())
        session.run(step)
        moved = session.run(kernel).reshape(12, 4)
    u, _, v = np.linalg.svd(gradient.reshape(12, 4), full_matrices=False)
    assert np.diag(u.T @ moved @ v.T) == pytest.approx(-RATE * LENGTH, rel=0.35)
