"""One metric for all chains, where z has so many dimensions that one for each would be the work.

The metric of a chain, G = I + J^T J / sigma^2, takes a pass through the network for each of the d
dimensions of z, at both ends of a step.  But what stiffens a posterior is mostly the network, which
all chains share: so they step in

    G = I + S / sigma^2,  S the mean of J^T J over chains and iterations,

of which an iteration adds one pass back for each chain: J^T v with v ~ N(0, I) has J^T v v^T J as
its product, and that J^T J as its mean (Hutchinson, 1990).  S is of the iterations before: while a
step is taken it stands, the Metropolis-Hastings test is exact, and the posterior the law of the
chains, as with a step size that is adapted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import streams
from common.session import tf
from common.streams import Stream
from generator_learning import flat

if TYPE_CHECKING:
    from GenNet import GenNet

AVERAGED = 50.0  # iterations that S is the mean of


class SharedMetric:
    """The running mean S, on top of the model's graph.

    Attributes:
        product: S [d, d], a variable; 0 before the first iteration.
    """

    def __init__(self, model: GenNet) -> None:
        """Make the variable.

        Args:
            model: whose z it is the metric of.
        """
        self._model, d = model, model.settings.z_dim
        self.product = tf.get_variable(
            "metric/product", initializer=tf.zeros([d, d]), trainable=False
        )

    def metric(self, sigma: tf.Tensor) -> tf.Tensor:
        """G = I + S / sigma^2, [d, d]."""
        return tf.eye(self._model.settings.z_dim) + self.product.read_value() / sigma**2

    def averaged(self, z: tf.Tensor, visible: tf.Tensor | None) -> tf.Tensor:
        """S with J at z [B, d], of a batch, averaged in.

        Args:
            z: where the chains have arrived.
            visible: which pixels are seen, [B, S, S, 1]; by default all.
        """
        model = self._model
        key = streams.iteration_key(model.settings.seed, Stream.METRIC, model.cluster.rank)
        with model.networks[0].precision(model.settings.precision):
            output = flat(model.generator(z), visible)  # [B, D]
            probe = tf.random.stateless_normal(tf.shape(output), key)  # v
            (pulled,) = tf.gradients(output, z, probe)  # J^T v [B, d]
        (product,) = model.cluster.mean(
            [tf.matmul(pulled, pulled, transpose_a=True) / tf.cast(tf.shape(z)[0], tf.float32)],
            tf.shape(z)[0],
        )
        before = self.product.read_value()
        so_far = tf.cast(tf.train.get_or_create_global_step() + 1, tf.float32)
        return before + (product - before) / tf.minimum(so_far, AVERAGED)
