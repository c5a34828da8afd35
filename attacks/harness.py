"""Attacks made and counted: hypothesis makes plans, a kind of attack carries them out.

A plan is a dictionary of JSON, which says all of an attempt, so that it can be made again.
"""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import hypothesis
from hypothesis.strategies import SearchStrategy

Plan = dict[str, Any]
SPREAD = 16


class BrokenRuleError(Exception):
    """An attack that succeeded: the project broke its rule.

    Attributes:
        cause: in few words; failures with the same words, but for numbers, are of one cause.
        details: what a reader needs to see it.
    """

    def __init__(self, cause: str, details: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.details = details


class Kind(ABC):
    """A kind of attack.

    Attributes:
        name: of the kind.
        count: attempts that are made of it, for one seed.
        shrinks: whether hypothesis looks for the shortest plan that fails: attempts are quick, and
            the same plan has the same end.
        hits: attempts so far that met what they aimed at: a file that was refused, a process that
            was killed, a disk that was full.
    """

    name: ClassVar[str]
    count: ClassVar[int]
    shrinks: ClassVar[bool] = False

    def __init__(self) -> None:
        self.hits = 0

    @abstractmethod
    def plans(self) -> SearchStrategy[Plan]:
        """The attempts that may be made."""

    @abstractmethod
    def attempt(self, plan: Plan) -> None:
        """Make one.

        Raises:
            BrokenRuleError: it succeeded.
        """

    def close(self) -> None:  # noqa: B027  (most keep nothing open)
        """End what the attempts have used."""


@dataclass
class Cause:
    """Attempts that failed for one cause.

    Attributes:
        plan: the first of them, or the shortest that hypothesis found.
        failure: of that one.
        times: how many attempts had this cause.
    """

    plan: Plan
    failure: BrokenRuleError
    times: int = 1


@dataclass
class Tally:
    """What was tried of a kind.

    Attributes:
        tried: attempts, without those that only shorten one that failed.
        hits: see `Kind`.
        causes: of the attempts that failed.
    """

    tried: int = 0
    hits: int = 0
    causes: dict[str, Cause] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Attempts that failed."""
        return sum(cause.times for cause in self.causes.values())


def key(failure: BrokenRuleError) -> str:
    """What failures of one cause have in common."""
    return re.sub(r"\d+", "#", failure.cause)


def run(kind: Kind, seed: int, count: int, tally: Tally, tell: Callable[[], object]) -> None:
    """Make `count` attempts of a kind; the same seed makes the same ones.

    A cause that is met for the first time is shortened, if the kind can, and then only counted.

    Args:
        kind: of the attempts.
        seed: of all that is random.
        count: of attempts.
        tally: a new one, which holds what was found even if this is interrupted.
        tell: called after each attempt.
    """

    def attempt(plan: Plan) -> Cause | None:
        """Make an attempt; a cause that was not met before is returned."""
        hits, known = kind.hits, None
        try:
            kind.attempt(plan)
        except BrokenRuleError as failure:
            known = tally.causes.get(key(failure))
            if known is None:
                tally.causes[key(failure)] = Cause(plan, failure)
                return tally.causes[key(failure)]
            known.times += 1
        finally:
            tally.tried += 1
            tally.hits += kind.hits - hits
            tell()
        return None

    if not kind.shrinks:
        for plan in _spread(kind, seed, count):
            attempt(plan)
        return
    number, before = 0, -1
    while before < tally.tried < count:  # until there are enough, or no more plans
        before = tally.tried
        round_seed = zlib.crc32(f"{seed}/{kind.name}/{number}".encode())
        _until_shortened(kind, round_seed, count - tally.tried, attempt)
        number += 1


def _until_shortened(
    kind: Kind, seed: int, count: int, attempt: Callable[[Plan], Cause | None]
) -> None:
    """Make attempts until there are `count`, or a new cause is found, and then shorten its plan."""
    found: Cause | None = None

    def test(plan: Plan) -> None:
        nonlocal found
        if found is None:
            found = attempt(plan)
            if found is not None:
                raise found.failure
            return
        try:
            kind.attempt(plan)
        except BrokenRuleError as failure:
            if key(failure) == key(found.failure):
                found.plan, found.failure = plan, failure
                raise

    with contextlib.suppress(BrokenRuleError, hypothesis.errors.Flaky):
        _generate(kind, seed, count, test)


def _spread(kind: Kind, seed: int, count: int) -> list[Plan]:
    """Plans that differ from each other, for attempts of which few can be made.

    Hypothesis often varies an example a little, several times: of SPREAD plans one is taken.
    """
    plans: list[Plan] = []
    _generate(kind, zlib.crc32(f"{seed}/{kind.name}".encode()), count * SPREAD, plans.append)
    return plans[::SPREAD]


def _generate(kind: Kind, seed: int, count: int, test: Callable[[Plan], object]) -> None:
    """Call `test` with `count` plans of a kind; where it raises, with shorter and shorter ones."""

    def one(plan: Plan) -> None:
        test(plan)

    settings = hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
        verbosity=hypothesis.Verbosity.quiet,
    )
    hypothesis.seed(seed)(settings(hypothesis.given(kind.plans())(one)))()


def describe(kind: str, seed: int, tally: Tally) -> str:
    """Each cause of a kind that failed, and the command that makes its attempt again."""
    parts = []
    for cause in sorted(tally.causes.values(), key=lambda cause: -cause.times):
        plan = json.dumps({"kind": kind, **cause.plan}).replace("'", r"\u0027")
        details = "".join(f"\n    {line}" for line in cause.failure.details.splitlines())
        parts.append(
            f"FAILED {kind}, seed {seed}, {cause.times} of {tally.tried}: {cause.failure.cause}"
            f"{details}\n    again: python attacks/attack.py --again '{plan}'"
        )
    return "\n".join(parts)


def table(tallies: dict[str, Tally]) -> str:
    """The counts of all kinds."""
    rows = [f"{'':<14}{'tried':>8}{'hit':>8}{'failed':>8}{'causes':>8}"]
    total = Tally()
    for name, tally in [*tallies.items(), ("all", total)]:
        numbers = (tally.tried, tally.hits, tally.failed, len(tally.causes))
        if name != "all":
            total.tried += tally.tried
            total.hits += tally.hits
            total.causes |= {f"{name} {key}": cause for key, cause in tally.causes.items()}
        rows.append(f"{name:<14}" + "".join(f"{number:>8}" for number in numbers))
    return "\n".join(rows)
