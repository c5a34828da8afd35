"""What is sane in learning a generator: chains within the prior, and an error that learning lowers.

Chains and weights diverge in different ways.  A chain of plain Langevin whose step is too large for
its posterior leaves the prior in a few steps: it is sent back to where it started, and its step is
halved.  Weights whose learning rate is too large saturate every pixel, with a gradient of 0: the
error rises beyond that of a generator that has learned nothing, and learning goes back.
"""

from __future__ import annotations

from collections.abc import Callable

from common import samplers
from common.guard import Guard, do_if
from common.session import tf

REACH = 6.0  # standard deviations of the prior, root mean square over the dimensions of z
CEILING = 1.25  # of the error of an iteration, relative to `untrained_error`
WORSE = 1.3  # times an error that is no fault of learning is still sane
PATIENCE = 8  # how often chains of plain Langevin halve their steps, from the last good state


def send_back(chains: samplers.Chains, start: tf.Tensor) -> samplers.Chains:
    """Chains [B, d] as they are, but for those that are NaN or farther out than REACH.

    These are where they started, and stood there: their acceptance rate and score magnitude are 0.
    """
    start = tf.stop_gradient(start)
    within = tf.reduce_mean(tf.square(chains.position), 1) < REACH**2  # not so if it is NaN
    return chains._replace(
        position=tf.where_v2(within[:, None], chains.position, start),
        acceptance_rate=tf.where_v2(within, chains.acceptance_rate, 0.0),
        score_magnitude=tf.where_v2(within, chains.score_magnitude, 0.0),
        last_log_prob=tf.where_v2(within, chains.last_log_prob, chains.first_log_prob),
        path=None
        if chains.path is None
        else tf.where_v2(within[:, None], chains.path, start),  # [l, B, d]
    )


def untrained_error(images: tf.Tensor, visible: tf.Tensor | None) -> tf.Tensor:
    """The squared error, per image, that an untrained network has of such images: a scalar.

    That is the square of the images, as for grey, and of its own output, about 1 / 4 a number.

    Args:
        images: [B, S, S, 3] in [-1, 1].
        visible: [B, S, S, 1], 1 where a pixel is seen; None if all are.
    """
    untrained = tf.square(images) + 0.25
    if visible is not None:
        untrained *= visible
    return tf.reduce_mean(tf.reduce_sum(untrained, [1, 2, 3]))


class GeneratorGuard(Guard):
    """Steps on the weights that are taken in sane iterations only.

    An error that is as large from the last good state, from where no step was taken yet, is no
    fault of the learning rate.  It may be one of the steps of plain Langevin, which are halved; or
    else of the images, and counts.
    """

    def __init__(
        self,
        variables: list[tf.Variable],
        companions: list[tf.Variable],
        step_sizes: tf.Variable | None,
    ) -> None:
        """Make the guard's own variables.

        Args:
            variables: of the network.
            companions: what fits them: z of every image.
            step_sizes: of the chains [N], if these are of plain Langevin.
        """
        super().__init__(variables, companions)
        self.again = tf.placeholder_with_default(False, [], "again")
        self.tolerant = tf.placeholder_with_default(False, [], "tolerant")
        self._step_sizes = step_sizes
        self._ceiling = tf.get_variable("error_ceiling", initializer=CEILING, trainable=False)

    def feed(self, iteration: int, tried: int) -> dict[tf.Tensor, bool]:
        """What is fed to an iteration, counted from 0, that was tried so often before."""
        again = tried > 0 or iteration == 0
        tolerant = again if self._step_sizes is None else tried >= PATIENCE
        return {self.again: again, self.tolerant: tolerant}

    def step(
        self,
        apply: Callable[[], tf.Operation],
        finite: tf.Tensor,
        error: tf.Tensor,
        index: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tf.Operation]]:
        """Take a step, or go back to the last good state.

        Args:
            apply: makes the operation that takes the step.
            finite: whether all that is computed is finite.
            error: squared, relative to `untrained_error`.
            index: of the chains of the iteration, [B].

        Returns:
            Whether the iteration is sane, and the operations that update all variables.
        """
        sane = tf.logical_and(finite, tf.logical_or(error < self._ceiling, self.tolerant))

        with tf.control_dependencies([self.keep(sane)]):
            done = do_if(sane, lambda: [apply()])
        with tf.control_dependencies([done]):
            updates = self.settle(sane, tf.logical_not(self.again))
            raised = tf.maximum(self._ceiling, WORSE * error)
            allowed = tf.where_v2(tf.logical_and(sane, self.tolerant), raised, self._ceiling)
            updates.append(self._ceiling.assign(allowed))
        if self._step_sizes is not None:
            with tf.control_dependencies(updates):
                updates.append(self._halve_steps(sane, self._step_sizes, index))
        return sane, updates

    def _halve_steps(
        self, sane: tf.Tensor, step_sizes: tf.Variable, index: tf.Tensor
    ) -> tf.Operation:
        """Halve the step sizes [N] of chains `index` [B] if they are what is not sane."""
        fault = tf.logical_and(self.again, tf.logical_not(sane))
        steps = tf.gather(step_sizes, index)
        return tf.scatter_update(step_sizes, index, tf.where_v2(fault, steps / 2, steps))
