"""The weights at which the loss was lowest, to which learning that has become worse goes back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.guard import Copy, do_if
from common.session import tf

AVERAGED = 20  # iterations that the running mean of the loss looks back
EVERY = 10  # iterations after which weights may be kept
# By how much the loss has to have risen: its running mean varies by some hundredths.
RISEN = 1.1


class BestWeights:
    """Of the iterations so far, those whose running loss was lowest.

    The loss is of noise that was not seen before, which is what an image that was not seen is to a
    model that learns for long: it needs no images held out.
    """

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        """Make its own variables, beside those that are learned."""
        with tf.variable_scope("best"):
            self._weights = Copy("weights", variables)
            self._running, self._lowest = (
                tf.get_variable(name, initializer=float("inf"), trainable=False)
                for name in ("running_loss", "lowest_loss")
            )
            self._at, self._kept = (
                tf.get_variable(name, initializer=np.int64(0), trainable=False)
                for name in ("iteration", "kept_iteration")
            )
        self._return = self._weights.give_back()
        self._told = tf.placeholder(tf.int64, [])
        self._tell = self._kept.assign(self._told)

    def note(self, loss: tf.Tensor, iteration: tf.Tensor) -> tf.Operation:
        """Take note of the loss at the weights as they stand; to be run before they move.

        Args:
            loss: a scalar.
            iteration: those that are done, int64.
        """
        before = tf.where_v2(tf.math.is_finite(self._running), self._running, loss)
        running = before + (loss - before) / AVERAGED
        running = tf.where_v2(tf.math.is_finite(loss), running, before)
        due = tf.equal(iteration % EVERY, 0)
        better = tf.logical_and(due, running < self._lowest)
        return tf.group(
            do_if(better, lambda: [self._weights.take()]),
            self._running.assign(running),
            self._lowest.assign(tf.where_v2(better, running, self._lowest)),
            self._at.assign(tf.where_v2(better, iteration, self._at)),
        )

    def begin(self, session: tf.Session) -> None:
        """Take note that learning goes on; its weights are the last ones until it ends."""
        session.run(self._tell, {self._told: 0})

    def settle(self, session: tf.Session, iteration: int) -> None:
        """Go back to the best weights if the loss has risen since; when learning ends.

        Args:
            session: of the variables.
            iteration: those that are done.
        """
        running, lowest, at = session.run([self._running, self._lowest, self._at])
        risen = running > RISEN * lowest
        if risen:
            session.run(self._return)
        session.run(self._tell, {self._told: at if risen else iteration})

    def kept_iteration(self, session: tf.Session) -> int:
        """After which iteration the weights were as they are kept; 0 if learning has not ended."""
        return int(session.run(self._kept))
