"""What holds of both models."""

import numpy as np
import tensorflow.compat.v1 as tf
from conftest import CENTRED, UNIT, desnet, gennet

from descriptor_settings import SAMPLERS as DESCRIPTOR_SAMPLERS
from generator_settings import SAMPLERS as GENERATOR_SAMPLERS


def test_no_gradient_flows_through_inference_or_synthesis():
    for sampler in GENERATOR_SAMPLERS:
        with tf.Graph().as_default():
            z = gennet(sampler=sampler).langevin_dynamics(
                tf.zeros([3, 2]), UNIT.astype(np.float32), 0.3, 0.1, tf.constant([0, 1])
            )
            weights = tf.trainable_variables()
            assert tf.gradients(z.position, weights) == [None] * len(weights)
    for sampler in DESCRIPTOR_SAMPLERS:
        with tf.Graph().as_default():
            images = desnet(sampler=sampler).langevin_dynamics(
                tf.constant(CENTRED, tf.float32), 0.3, tf.constant([0, 1])
            )
            weights = tf.trainable_variables()
            assert tf.gradients(images.position, weights) == [None] * len(weights)
