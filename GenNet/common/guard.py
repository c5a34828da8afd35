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

    def __init__(self, weights: Sequence[tf.Variable], companions: Sequence[tf.Variable]) -> None:
        """Make the guard's own variables.

        Args:
            weights: of a network, which go back.
            companions: other variables that go back together with them.
        """
        self.iteration = tf.train.get_or_create_global_step()
        self.rate_factor = tf.get_variable("learning_rate_factor", initializer=1.0, trainable=False)
        self.roll_backs = tf.get_variable("roll_backs", initializer=0.0, trainable=False)
        with tf.variable_scope("snapshot"):
            self._snapshots = [Copy("weights", weights)]
            for variable in companions:
                copy = Copy(variable.op.name, [variable], variable.shape)
                note_as(copy.kept, variable)
                self._snapshots.append(copy)

    def keep(self, sane: tf.Tensor) -> tf.Tensor:
        """Copy the state if it is time to and the iteration is sane.

        To be run before the weights take the step of the iteration: a state is good when it has
        led to a sane iteration, and where its step leads is not known yet.
        """
        due = tf.logical_and(sane, tf.equal(self.iteration % SNAPSHOT_STEPS, 0))
        return do_if(due, lambda: [snapshot.take() for snapshot in self._snapshots])

    def settle(self, sane: tf.Tensor, blamed: tf.Tensor | bool = True) -> list[tf.Operation]:
        """Go back if the iteration is not sane, and count it; to be run when all else is done.

        Args:
            sane: whether it is.
            blamed: whether the learning rate may be the cause, and is halved if it is not.
        """
        gone_back = do_if(
            tf.logical_not(sane),
            lambda: [step for snapshot in self._snapshots for step in snapshot.give_back()],
        )
        recovered = tf.minimum(1.0, self.rate_factor * 2 ** (1 / RECOVERY_STEPS))
        lowered = tf.where_v2(blamed, self.rate_factor / 2, self.rate_factor)
        with tf.control_dependencies([gone_back]):
            return [
                self.iteration.assign_add(tf.cast(sane, tf.int64)),
                self.rate_factor.assign(tf.where_v2(sane, recovered, lowered)),
                self.roll_backs.assign_add(1 - tf.cast(sane, tf.float32)),
            ]


class Copy:
    """A copy of some variables: one variable, as a graph of many takes long to build.

    Attributes:
        kept: it; a copy of what the variables start as until it is taken.
    """

    def __init__(
        self, name: str, variables: Sequence[tf.Variable], shape: Sequence[int] = (-1,)
    ) -> None:
        """Make it.

        Args:
            name: of the variable.
            variables: that are copied, all of one type.
            shape: of it, where that of a list of numbers is not to be.
        """
        self._variables, self._shape = list(variables), shape
        start = self._together([v.initial_value for v in self._variables])
        self.kept = tf.get_variable(name, initializer=start, trainable=False)

    def _together(self, values: Sequence[tf.Tensor]) -> tf.Tensor:
        flat = tf.constant([-1])
        return tf.reshape(tf.concat([tf.reshape(v, flat) for v in values], 0), self._shape)

    def take(self) -> tf.Operation:
        """Copy the variables as they are."""
        return self.kept.assign(self._together(self._variables), read_value=False)

    def give_back(self) -> list[tf.Operation]:
        """Make the variables what they were."""
        shapes = [v.shape for v in self._variables]
        parts = tf.split(tf.reshape(self.kept, [-1]), [shape.num_elements() for shape in shapes])
        return [
            variable.assign(tf.reshape(part, variable.shape), read_value=False)
            for variable, part in zip(self._variables, parts, strict=True)
        ]


def do_if(condition: tf.Tensor, operations: Callable[[], Sequence[tf.Operation]]) -> tf.Tensor:
    """Do what is to be made by `operations` if the condition holds; it, once that is done."""

    def done() -> tf.Tensor:
        with tf.control_dependencies(operations()):
            return tf.constant(True)

    return tf.cond(condition, done, lambda: tf.constant(False))


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
