"""Learning that does not diverge: it goes back to the last good state, or ends with a sentence.

A step that is too large can throw a model out of any region from which it learns, and what then
follows is NaN, or nothing.  The guard looks at every iteration, keeps a copy of the last good state
now and then, and returns to it when an iteration is not sane.  What is sane, the model says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from common import quality
from common.console import say
from common.model import LearningError, Record
from common.session import tf
from common.shards import note_as

RECOVERY_STEPS = 100  # iterations in which the learning rate doubles after it was halved
SNAPSHOT_STEPS = 25  # iterations from one good state that is kept to the next
MAX_ROLL_BACKS = 20  # in a row, without one good iteration between them

ROLL_BACKS = {  # what the report says of their number
    "path": ["roll_backs"],
    "name": "roll-backs",
    "note": "times that learning diverged and went back to the last good state",
}


class DivergenceError(LearningError):
    """Learning that diverges however small its steps; the message is a sentence for the user."""


class Guard:
    """The last good state of some variables, and what going back to it costs.

    Attributes:
        iteration: sane iterations so far, int64.
        rate_factor: what is left of the learning rate: halved by going back, it then recovers.
        roll_backs: how often learning went back.
    """

    def __init__(self, state: Sequence[tf.Variable]) -> None:
        """Make the guard's own variables.

        Args:
            state: the variables that go back.
        """
        self.iteration = tf.train.get_or_create_global_step()
        self.rate_factor = tf.get_variable("learning_rate_factor", initializer=1.0, trainable=False)
        self.roll_backs = tf.get_variable("roll_backs", initializer=0.0, trainable=False)
        self._state = list(state)
        with tf.variable_scope("snapshot"):
            self._snapshots = [
                tf.get_variable(v.op.name, initializer=v.initial_value, trainable=False)
                for v in self._state
            ]
        for snapshot, variable in zip(self._snapshots, self._state, strict=True):
            note_as(snapshot, variable)

    def keep(self, sane: tf.Tensor) -> tf.Tensor:
        """Copy the state if it is time to and the iteration is sane.

        To be run before the weights take the step of the iteration: a state is good when it has
        led to a sane iteration, and where its step leads is not known yet.
        """
        due = tf.logical_and(sane, tf.equal(self.iteration % SNAPSHOT_STEPS, 0))
        return copy_if(due, self._state, self._snapshots)

    def settle(self, sane: tf.Tensor, blamed: tf.Tensor | bool = True) -> list[tf.Operation]:
        """Go back if the iteration is not sane, and count it; to be run when all else is done.

        Args:
            sane: whether it is.
            blamed: whether the learning rate may be the cause, and is halved if it is not.
        """
        settled = copy_if(tf.logical_not(sane), self._snapshots, self._state)
        recovered = tf.minimum(1.0, self.rate_factor * 2 ** (1 / RECOVERY_STEPS))
        lowered = tf.where_v2(blamed, self.rate_factor / 2, self.rate_factor)
        with tf.control_dependencies([settled]):
            return [
                self.iteration.assign_add(tf.cast(sane, tf.int64)),
                self.rate_factor.assign(tf.where_v2(sane, recovered, lowered)),
                self.roll_backs.assign_add(1 - tf.cast(sane, tf.float32)),
            ]


def copy_if(
    condition: tf.Tensor, sources: Sequence[tf.Variable], targets: Sequence[tf.Variable]
) -> tf.Tensor:
    """Assign all sources to their targets if the condition holds."""

    def copy() -> tf.Tensor:
        copies = [target.assign(source) for target, source in zip(targets, sources, strict=True)]
        with tf.control_dependencies(copies):
            return tf.constant(True)

    return tf.cond(condition, copy, lambda: tf.constant(False))


def until_sane(attempt: Callable[[int], tuple[bool, dict]], advice: Callable[[], str]) -> Record:
    """Do an iteration, again and again from the last good state until it is sane.

    Args:
        attempt: does it, and says whether it was sane and what its numbers are.  It is given how
            often the iteration was tried before.
        advice: what is to be said if nothing helps.

    Raises:
        DivergenceError: nothing helps.
    """
    for tried in range(MAX_ROLL_BACKS + 1):
        sane, record = attempt(tried)
        if sane:
            return {name: float(value) for name, value in record.items()}
    raise DivergenceError(advice())


# What is said on the console


class Notice:
    """Says whenever learning went back."""

    def __init__(self) -> None:
        self._before: float | None = None

    def __call__(self, record: Record) -> None:
        """Look at an iteration; of a model that does not go back there is nothing to say."""
        now = record.get("roll_backs", 0.0)
        if self._before is None:  # of a run that is gone on with, those before were said
            self._before = 0.0 if record["iteration"] == 1 else now
        if now > self._before:
            say(
                f"Iteration {int(record['iteration'])} left the sane region: went back to the last"
                f" good state, learning rate now {record['learning_rate']:.2g}"
            )
        self._before = now


def say_if_below_baseline(metrics: dict[str, Any], baseline: str, advice: str) -> None:
    """Say if a run ends worse than what there is without learning.

    Of one image, or equal ones, their mean is all that there is to learn, and nothing is said.

    Args:
        metrics: of the run, with "psnr" and "psnr_baseline" in dB.
        baseline: what psnr_baseline is of, in words.
        advice: what to try.
    """
    reached, without = metrics["psnr"], metrics["psnr_baseline"]
    if reached < without < quality.EQUAL:
        say(
            f"The images are worse than {baseline}: {reached:.1f} dB to {without:.1f} dB; {advice}."
        )
