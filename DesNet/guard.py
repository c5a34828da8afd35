"""Learning that does not diverge: Adam that cuts sudden gradients, and goes back when one wins.

An energy and the chains that sample it can drive each other to infinity in a few iterations.  The
guard watches each iteration, keeps a copy of the last good state, and returns to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.session import tf
from common.shards import Shard
from descriptor_settings import WARM_UP_STEPS

CLIP_MEMORY = 20  # iterations whose gradient norms, in geometric mean, are the usual one
RECOVERY_STEPS = 100  # iterations in which the learning rate doubles after it was halved
SNAPSHOT_STEPS = 25  # iterations from one good state that is kept to the next
AVERAGED = 50  # iterations that a running autocorrelation looks back


class GuardedAdam:
    """Adam with decoupled weight decay whose steps are taken only in sane iterations.

    Attributes:
        iteration: sane iterations so far, int64.
        rate_factor: what is left of the learning rate: halved by going back, it then recovers.
        roll_backs: how often learning went back.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        companions: Sequence[tf.Variable],
        beta1: float,
        beta2: float,
        shard: Shard,
    ) -> None:
        """Make the guard's own variables.

        Args:
            variables: to learn.
            companions: that go back together with them, a row for each chain.
            beta1: decay of Adam's first moment.
            beta2: decay of its second moment.
            shard: which of all chains the companions have rows of.
        """
        self.iteration = tf.train.get_or_create_global_step()
        self.rate_factor = tf.get_variable("learning_rate_factor", initializer=1.0, trainable=False)
        self.roll_backs = tf.get_variable("roll_backs", initializer=0.0, trainable=False)
        self._log_norm = tf.get_variable("log_gradient_norm", initializer=0.0, trainable=False)
        self._variables, self._cluster = list(variables), shard.cluster
        self._beta1, self._beta2 = beta1, beta2
        self._state = [*variables, *companions]
        with tf.variable_scope("snapshot"):
            self._snapshots = [
                tf.get_variable(v.op.name, initializer=v.initial_value, trainable=False)
                for v in self._state
            ]
        for snapshot in self._snapshots[len(self._variables) :]:
            shard.note(snapshot)

    def minimize(
        self,
        objective: tf.Tensor,
        rate: tf.Tensor,
        shrink: tf.Tensor,
        sane: tf.Tensor,
        count: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Operation]]:
        """A step down the gradient of `objective`, or back to the last good state.

        Args:
            objective: scalar.
            rate: learning rate, before `rate_factor`.
            shrink: factor of every weight after the step.
            sane: whether the iteration may count, as far as the caller knows.
            count: images that the objective is a mean over, of this worker's.

        Returns:
            Whether it counts: its gradients are finite too; their global norm (0 where it is not
            finite); and the operations that update all variables accordingly.
        """
        adam = tf.train.AdamOptimizer(rate * self.rate_factor, self._beta1, self._beta2)
        pairs = adam.compute_gradients(objective, self._variables)
        gradients = self._cluster.mean([gradient for gradient, _ in pairs], count)
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
        # A snapshot is of a state that has just synthesized sane images, before it changes.
        take = tf.logical_and(sane, tf.equal(self.iteration % SNAPSHOT_STEPS, 0))
        taken = _copy_if(take, self._state, self._snapshots)
        with tf.control_dependencies([taken]):
            # Adam's moments see no insane gradient.
            gated = [tf.where_v2(sane, clip * g, tf.zeros_like(g)) for g in gradients]
            step = adam.apply_gradients(zip(gated, self._variables, strict=True))
        with tf.control_dependencies([step]):
            shrunk = [v.assign(shrink * v) for v in self._variables]
        with tf.control_dependencies(shrunk):
            settled = _copy_if(tf.logical_not(sane), self._snapshots, self._state)
        recovered = tf.minimum(1.0, self.rate_factor * 2 ** (1 / RECOVERY_STEPS))
        with tf.control_dependencies([settled]):
            counted = [
                self.iteration.assign_add(tf.cast(sane, tf.int64)),
                self.rate_factor.assign(tf.where_v2(sane, recovered, self.rate_factor / 2)),
                self.roll_backs.assign_add(1 - tf.cast(sane, tf.float32)),
                self._log_norm.assign(tf.where_v2(sane, usual, self._log_norm)),
            ]
        return sane, norm, counted


def _copy_if(
    condition: tf.Tensor, sources: Sequence[tf.Variable], targets: Sequence[tf.Variable]
) -> tf.Tensor:
    """Assign all sources to their targets if the condition holds."""

    def copy() -> tf.Tensor:
        copies = [target.assign(source) for target, source in zip(targets, sources, strict=True)]
        with tf.control_dependencies(copies):
            return tf.constant(True)

    return tf.cond(condition, copy, lambda: tf.constant(False))


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
