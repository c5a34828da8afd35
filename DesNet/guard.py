"""Adam for an energy: it cuts sudden gradients, and goes back when one wins.

An energy and the chains that sample it can drive each other to infinity in a few iterations.
"""

from __future__ import annotations

from collections.abc import Sequence

from common import muon
from common.cluster import Cluster
from common.guard import Guard
from common.session import tf
from descriptor_settings import WARM_UP_STEPS

CLIP_MEMORY = 20  # iterations whose gradient norms, in geometric mean, are the usual one
LENGTH, MOMENTUM = 4.0, 0.95  # of steps of Muon's
AVERAGED = 50  # iterations that a running autocorrelation looks back


class GuardedAdam(Guard):
    """Adam with decoupled weight decay whose steps are taken only in sane iterations."""

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        companions: Sequence[tf.Variable],
        beta1: float,
        beta2: float,
        cluster: Cluster,
        matrices: Sequence[tf.Variable] = (),
    ) -> None:
        """Make the guard's own variables.

        Args:
            variables: to learn.
            companions: that go back together with them.
            beta1: decay of Adam's first moment.
            beta2: decay of its second moment.
            cluster: the workers that learn.
            matrices: those of the variables that take steps of Muon's instead.
        """
        super().__init__(variables, companions)
        self._log_norm = tf.get_variable("log_gradient_norm", initializer=0.0, trainable=False)
        self._variables, self._cluster = list(variables), cluster
        self._beta1, self._beta2, self._matrices = beta1, beta2, matrices

    def minimize(
        self,
        objective: tf.Tensor,
        rate: tf.Tensor,
        shrink: tf.Tensor | None,
        sane: tf.Tensor,
        count: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Operation]]:
        """A step down the gradient of `objective`, or back to the last good state.

        Args:
            objective: scalar.
            rate: learning rate, before `rate_factor`.
            shrink: factor of every weight after the step; None where they do not decay.
            sane: whether the iteration may count, as far as the caller knows.
            count: images that the objective is a mean over, of this worker's.

        Returns:
            Whether it counts: its gradients are finite too; their global norm (0 where it is not
            finite); and the operations that update all variables accordingly.
        """
        rate = rate * self.rate_factor
        adam = tf.train.AdamOptimizer(rate, self._beta1, self._beta2)
        gradients = self._cluster.mean(tf.gradients(objective, self._variables), count)
        norm = tf.linalg.global_norm(gradients)
        sane = tf.logical_and(sane, tf.math.is_finite(norm))
        norm = tf.where_v2(tf.math.is_finite(norm), norm, 0.0)
        # When all chains overshoot at once the gradient is many times its usual size.  Cut to that
        # size, it neither throws the weights back as far, nor fills Adam's long memory.
        log_norm = tf.math.log(norm + 1e-12)
        usual = tf.where_v2(
            self.iteration < WARM_UP_STEPS,  # until then it grows by orders of magnitude
            log_norm,
            self._log_norm + (log_norm - self._log_norm) / CLIP_MEMORY,
        )
        clip = tf.minimum(1.0, tf.exp(usual - log_norm))
        with tf.control_dependencies([self.keep(sane)]):
            # Adam's moments see no insane gradient.
            gated = [tf.where_v2(sane, clip * g, tf.zeros_like(g)) for g in gradients]
            steps = muon.descend_beside(
                *(adam, gated, self._variables, self._matrices, rate, LENGTH, MOMENTUM)
            )
        if shrink is not None:
            with tf.control_dependencies(steps):
                steps = [v.assign(shrink * v) for v in self._variables]
        with tf.control_dependencies(steps):
            counted = self.settle(sane)
        counted.append(self._log_norm.assign(tf.where_v2(sane, usual, self._log_norm)))
        return sane, norm, counted


def running_autocorrelation(x: tf.Tensor) -> tuple[tf.Tensor, tf.Operation]:
    """Lag-1 autocorrelation of the scalar x over about the last AVERAGED iterations.

    Returns:
        It, and the operation that takes note of x.
    """
    moments = tf.get_variable(
        "energy_difference_moments", initializer=tf.zeros([4]), trainable=False
    )
    mean, variance, covariance, last = tf.unstack(moments)
    rate = 1 / AVERAGED
    new_mean = mean + rate * (x - mean)
    variance += rate * ((x - mean) * (x - new_mean) - variance)
    covariance += rate * ((x - mean) * (last - mean) - covariance)
    noted = moments.assign(tf.stack([new_mean, variance, covariance, x]))
    return covariance / (variance + 1e-12), noted
