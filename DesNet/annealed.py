"""The normalising constant of a density by annealed importance sampling (Neal, 2001).

For p(x) = exp[f(x)] r(x) / Z, with the reference r normalised, chains go from exact samples of the
reference along the path p_b(x) ~ exp[b f(x)] r(x), b = b_0, ..., b_K from 0 to 1.  At every b_k but
the first a chain makes a Metropolis-tested move that leaves p_b alone, and gains

    log w = sum_k (b_k - b_{k-1}) f(x_{k-1}),    E[w] = Z,

so that the log of the mean w is at most log Z in expectation, however few the moves.  The same way
back from exact samples of p has E[1 / w] = 1 / Z, and bounds log Z from above (bidirectional Monte
Carlo: Grosse, Ghahramani and Adams, 2015; Grosse, Ancha and Roy, 2016).  From samples that are not
exact the way back is an estimate only as good as they are, and no bound.

Nothing here knows of networks: f is any function of positions [n, ...].  The nearer the reference
is to p, the fewer temperatures it takes; one that lacks a part of p leaves log Z short of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from common import samplers, streams
from common.importance import Estimate, estimate
from common.session import tf
from common.streams import Stream

BLOCK = 50  # temperatures in a call of the session
# The step size from which it is adapted, in standard deviations of the reference.
FIRST_STEP = 0.1
WARM_UP = 100  # moves on the reference that adapt it
EVEN = 0.2  # share of the temperatures that lie evenly on the logarithm of b
SPREAD = 32  # samples of the reference that the spread of f is seen by

Advance = Callable[[int], object]  # is told how many temperatures are done


class Schedule(NamedTuple):
    """Where chains stop on the path, and how far a step goes there."""

    temperatures: np.ndarray  # b [K + 1], from 0 to 1 or back
    step_sizes: np.ndarray  # delta [K + 1]


class Annealed(NamedTuple):
    """Chains that went along a path."""

    position: np.ndarray  # [n, ...], where they arrived
    log_weights: np.ndarray  # log w [n], nats; back from p that of 1 / w
    values: np.ndarray  # mean f [K + 1] over the chains, at every temperature of the path
    acceptance_rate: np.ndarray  # mean [K] over the chains, of the move at each but the first
    step_sizes: np.ndarray  # that those moves had, [K]

    @property
    def step_size(self) -> float:
        """The geometric mean of those of the second half, where it has adapted."""
        return float(np.exp(np.log(self.step_sizes[len(self.step_sizes) // 2 :]).mean()))


class Reference(Protocol):
    """A density whose constant is known, and that can be drawn from."""

    @property
    def sigma(self) -> float:
        """Its standard deviation around where it is largest."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a position."""

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Exact samples, [n, ...]."""

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """The logarithm of the density of positions [n, ...] times (2 pi sigma^2)^(D / 2): [n]."""


class Normal(NamedTuple):
    """N(0, sigma^2 I)."""

    sigma: float
    shape: tuple[int, ...]

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """See `Reference`."""
        return self.sigma * rng.normal(size=(n, *self.shape))

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """See `Reference`."""
        return -tf.reduce_sum(tf.square(x), list(range(1, x.shape.rank))) / (2 * self.sigma**2)


class Mixture(NamedTuple):
    """The even mixture of N(m, sigma^2 I) for means m [N, ...]."""

    means: np.ndarray
    sigma: float

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Reference`."""
        return self.means.shape[1:]

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """See `Reference`; the means take turns in a random order: each is as likely as others."""
        means = self.means[streams.in_turn(rng, len(self.means), n)]
        return means + self.sigma * rng.normal(size=(n, *self.shape))

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """See `Reference`."""
        means = tf.constant(self.means.reshape(len(self.means), -1), tf.float32)
        flat = tf.reshape(x, [-1, 1, means.shape[1]])
        # By differences, so that little is lost: the squares of images are much larger.
        squares = tf.reduce_sum(tf.square(flat - means), 2)  # [n, N]
        return tf.reduce_logsumexp(-squares / (2 * self.sigma**2), 1) - np.log(len(self.means))


class Annealer:
    """The graph of chains along the path of a density.

    Attributes:
        reference: r.
    """

    def __init__(
        self,
        value_fn: Callable[[tf.Tensor], tf.Tensor],
        reference: Reference,
        session: tf.Session,
        sampler: str = "hmc",
        num_leapfrog: int = 5,
        seed: int = 0,
    ) -> None:
        """Build it, in the graph of a session.

        Args:
            value_fn: positions [n, ...] -> f(x) [n].
            reference: r.
            session: that computes; its variables have their values.
            sampler: of the moves, mala or hmc.
            num_leapfrog: steps in a move of hmc.
            seed: of the random numbers.
        """
        self.reference = reference
        self._value_fn, self._session, self._seed = value_fn, session, seed
        self._passes = 0  # so far: each draws numbers of its own
        self._target = samplers.TARGET_ACCEPTANCE[sampler]
        moves: dict[str, Callable[..., samplers.Chains]] = {
            "mala": samplers.mala,
            "hmc": partial(samplers.hmc, num_leapfrog=num_leapfrog),
        }
        self._move = moves[sampler]
        with session.graph.as_default():
            self._x = tf.placeholder(tf.float32, [None, *reference.shape])
            self._temperatures = tf.placeholder(tf.float64, [None])  # [k + 1]
            self._step_sizes = tf.placeholder(tf.float32, [None])  # [k], of the moves
            self._first_size = tf.placeholder(tf.float32, [])  # from which it adapts
            self._adapts = tf.placeholder(tf.bool, [])
            self._pass = tf.placeholder(tf.int32, [])
            self._first = tf.placeholder(tf.int32, [])  # number of the block's first move
            self._key = streams.key(seed, Stream.ANNEALING, self._pass)
            self._values = value_fn(self._x)
            self._block = self._build()

    def _build(self) -> list[tf.Tensor]:
        """Chains along a block of the path."""
        length = tf.size(self._temperatures) - 1
        records = [tf.TensorArray(tf.float32, length, element_shape=[]) for _ in range(3)]
        weights = tf.zeros(tf.shape(self._x)[:1], tf.float64)
        _, x, weights, _, records = tf.while_loop(
            lambda k, *_: k < length,
            self._step,
            [tf.constant(0), self._x, weights, self._first_size, records],
            parallel_iterations=1,
            back_prop=False,
        )
        return [x, weights, *(record.stack() for record in records)]

    def _step(
        self, k: tf.Tensor, x: tf.Tensor, weights: tf.Tensor, size: tf.Tensor, records: list
    ) -> list:
        """Weigh the chains at a temperature, and move them at the next."""
        here, there = self._temperatures[k], self._temperatures[k + 1]
        value = self._value_fn(x)  # [n]
        weights += (there - here) * tf.cast(value, tf.float64)  # of many small terms
        size = tf.where_v2(self._adapts, size, self._step_sizes[k])
        b = tf.cast(there, tf.float32)
        chains = self._move(
            lambda x: b * self._value_fn(x) + self.reference.log_prob(x),
            *(x, size, 1, self._key),
            first_step=self._first + k,
        )
        rate = tf.reduce_mean(chains.acceptance_rate)
        told = zip(records, (tf.reduce_mean(value), rate, size), strict=True)
        records = [record.write(k, number) for record, number in told]
        adapted = samplers.adapted_step_size(size, rate, self._target)
        return [k + 1, chains.position, weights, adapted, records]

    # What is called: numpy in, numpy out

    def drawn(self, n: int) -> np.ndarray:
        """Exact samples of the reference, [n, ...]; every call draws others."""
        rng = streams.generator(self._seed, Stream.ANNEALING, self._next_pass())
        return self.reference.draw(n, rng)

    def _next_pass(self) -> int:
        self._passes += 1
        return self._passes

    def along(
        self,
        x: np.ndarray,
        temperatures: np.ndarray,
        step_sizes: np.ndarray | float,
        advance: Advance = lambda _: None,
    ) -> Annealed:
        """Chains from x [n, ...] along temperatures [K + 1], in this order.

        Args:
            x: samples at the first temperature.
            temperatures: b, up from 0 to 1 or back; or the same again and again.
            step_sizes: delta at every temperature [K + 1], held fixed; or one number, from which
                it adapts to the sampler's best acceptance rate, shared by all chains.  Chains that
                adapt are there to find step sizes: their weights prove nothing.
            advance: told after each block.
        """
        adapts = np.ndim(step_sizes) == 0
        number, length = self._next_pass(), len(temperatures) - 1
        size, log_weights, records = np.float32(step_sizes if adapts else 0), np.zeros(len(x)), []
        for first in range(0, length, BLOCK):
            last = min(first + BLOCK, length)
            sizes = np.zeros(last - first) if adapts else step_sizes[first + 1 : last + 1]  # type: ignore[index]
            x, weights, *told = self._session.run(
                self._block,
                {
                    self._x: x,
                    self._temperatures: temperatures[first : last + 1],
                    self._step_sizes: sizes,
                    self._first_size: size,
                    self._adapts: adapts,
                    self._pass: number,
                    self._first: first,
                },
            )
            log_weights += weights
            records.append(told)
            size = told[2][-1]
            advance(last - first)
        values, rates, sizes = (np.concatenate(part) for part in zip(*records, strict=True))
        end = self.values(x).mean()
        return Annealed(x, log_weights, np.append(values, end), rates, sizes)

    def values(self, x: np.ndarray) -> np.ndarray:
        """F(x) [n] of positions [n, ...]."""
        return self._session.run(self._values, {self._x: x})

    def schedule(
        self, x: np.ndarray, grid: np.ndarray, step_size: float, advance: Advance = lambda _: None
    ) -> Schedule:
        """Find a schedule by a pass along another one, in which step sizes adapt.

        The pass is then forgotten.  The temperatures are even in thermodynamic length, the integral
        of the standard deviation of f under p_b (Crooks, 2007), whose square is d E_b[f] / db:
        there the weights gain variance evenly.

        Args:
            x: samples [n, ...] at the first temperature.
            grid: temperatures [K + 1].
            step_size: delta, from which it adapts.
            advance: told after each block.
        """
        passed, numbers = self.along(x, grid, step_size, advance), np.arange(len(grid))
        length = np.sqrt(np.maximum(np.diff(passed.values) * np.diff(grid), 0))  # [K]
        share = np.full(len(length), EVEN if length.any() else 1.0) / len(length)
        if length.any():
            share += (1 - EVEN) * length / length.sum()
        reached = np.append(0.0, share.cumsum())
        reached /= reached[-1]
        place = np.interp(np.linspace(0, 1, len(grid)), reached, numbers)
        sizes = np.append(passed.step_sizes[0], passed.step_sizes)
        return Schedule(np.interp(place, numbers, grid), np.interp(place, numbers, sizes))

    def grid(self, num_temperatures: int) -> np.ndarray:
        """Temperatures in even steps of log b, from where f moves the weights by about a nat."""
        spread = self.values(self.drawn(SPREAD)).std()
        first = min(0.5, 1 / max(spread, 1e-9))
        return np.append(0.0, np.geomspace(first, 1, num_temperatures))


class Bracket(NamedTuple):
    """Log Z from both sides, and the chains that have found it."""

    forward: Estimate
    reverse: Estimate  # of log Z, not of -log Z
    annealed: Annealed  # chains from the reference, where they arrived
    returned: Annealed  # chains back to it
    settled: np.ndarray  # [n, ...], from where these went


def bracket(
    annealer: Annealer,
    starts: np.ndarray,
    num_temperatures: int,
    num_settling: int,
    advance: Advance = lambda _: None,
) -> Bracket:
    """Estimate log Z forward from the reference, and back from chains of the model.

    Step sizes and temperatures of either way are found by chains of their own.

    Args:
        annealer: of the density.
        starts: from where chains of the model start, [n, ...]; exact samples of it need no
            settling.
        num_temperatures: K.
        num_settling: moves at b = 1 from the starts: half of them adapt the step size, the others
            keep it.
        advance: told how many moves are done, of those that `moves` says.
    """
    n, grid = len(starts), annealer.grid(num_temperatures)
    size = FIRST_STEP * annealer.reference.sigma
    size = annealer.along(annealer.drawn(n), np.zeros(WARM_UP + 1), size, advance).step_size
    up = annealer.schedule(annealer.drawn(n), grid, size, advance)
    annealed = annealer.along(annealer.drawn(n), *up, advance)
    half, size = num_settling // 2, float(up.step_sizes[-1])
    x = starts
    if half:
        adapting = annealer.along(x, np.ones(half + 1), size, advance)
        x, size = adapting.position, adapting.step_size
    down = annealer.schedule(x, grid[::-1], size, advance)
    if half:
        x = annealer.along(x, np.ones(half + 1), np.full(half + 1, size), advance).position
    returned = annealer.along(x, *down, advance)
    back = estimate(returned.log_weights)
    reverse = back._replace(log_mean=-back.log_mean)
    return Bracket(estimate(annealed.log_weights), reverse, annealed, returned, x)


def moves(num_temperatures: int, num_settling: int) -> int:
    """How many moves of every chain `bracket` tells of."""
    return WARM_UP + 4 * num_temperatures + 2 * (num_settling // 2)
