"""Tensors evaluated in a graph of their own, and derivatives by central differences."""

import numpy as np
import tensorflow.compat.v1 as tf


def evaluate(build, weight_scale=1.0):
    """What the tensors that `build()` makes are, in a graph of their own and any precision."""
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = build()
        session.run(tf.global_variables_initializer())
        session.run([v.assign(weight_scale * v) for v in tf.trainable_variables()])
        return session.run(tensors)


def central_differences(log_prob, x, indices, step=1e-4):
    """d log_prob(x) / dx of one chain x at some flat indices; log_prob maps [B, ...] to [B]."""
    shifts = np.zeros([len(indices), x.size])
    shifts[np.arange(len(indices)), indices] = step
    shifts = shifts.reshape(-1, *x.shape)
    values = log_prob(tf.constant(np.concatenate([x + shifts, x - shifts])))
    plus, minus = tf.split(values, 2)
    return (plus - minus) / (2 * step)
