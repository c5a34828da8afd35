"""Attacks made and counted: hypothesis makes plans, a kind of attack carries them out.

A plan is a dictionary of JSON, which says all of an attempt, so that it can be made again.
"""

from __future__ import annotations

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


def run(kind: Kind, seed: int, count: int, tell: Callable[[], object]) -> Tally:
    """Make `count` attempts of a kind; the same seed makes the same ones.

    A cause that is met for the first time is shortened, if the kind can, and then only counted.

    Args:
        kind: of the attempts.
        seed: of all that is random.
        count: of attempts.
        tell: called after each.
    """
    tally = Tally()
    number = 0
    while tally.tried < count:
        before = tally.tried
        _round(kind, zlib.crc32(f"{seed}/{kind.name}/{number}".encode()), count, tally, tell)
        number += 1
        if tally.tried == before:
            break  # there are no more plans
    return tally


def _round(kind: Kind, seed: int, count: int, tally: Tally, tell: Callable[[], object]) -> None:
    """Attempts until `count` are made, or until a new cause is found and shortened."""
    shortened: Cause | None = None

    def attempt(plan: Plan) -> None:
        nonlocal shortened
        hits = kind.hits
        failure: BrokenRuleError | None = None
        try:
            kind.attempt(plan)
        except BrokenRuleError as error:
            failure = error
        if shortened is not None:
            if failure is not None and key(failure) == key(shortened.failure):
                shortened = Cause(plan, failure)
                raise failure
            return
        tally.tried += 1
        tally.hits += kind.hits - hits
        tell()
        if failure is None:
            return
        known = tally.causes.get(key(failure))
        if known is not None:
            known.times += 1
            return
        tally.causes[key(failure)] = shortened_or_first = Cause(plan, failure)
        if kind.shrinks:
            shortened = shortened_or_first
            raise failure

    test = hypothesis.given(kind.plans())(attempt)
    test = hypothesis.settings(
        max_examples=count - tally.tried,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
        verbosity=hypothesis.Verbosity.quiet,
    )(test)
    try:
        hypothesis.seed(seed)(test)()
    except (BrokenRuleError, hypothesis.errors.Flaky):
        if shortened is not None:
            tally.causes[key(shortened.failure)] = shortened


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
