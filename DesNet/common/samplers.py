"""Markov chain Monte Carlo in the TensorFlow graph, over a batch of independent chains.

A sampler knows nothing of networks.  It is given a function that maps positions [B, ...] to one
log density per chain [B], and returns `Chains`.  All B chains step together in one
`tf.while_loop`, and no chain ever sees another.

Conventions, the same for every sampler:

* `step_size` is the delta of x <- x + (delta^2 / 2) d log p / dx + delta U, U ~ N(0, I): a
  scalar, or [B] for a step of each chain's own.  (TFP's MALA takes delta^2, blackjax delta^2 / 2.)
* `key` is an int32 [2] tensor.  Step t draws its numbers from `fold_in(key, t)`, counted from
  `first_step`, so that a chain may be run in pieces and takes the same path.
* `keep_path` asks for every position of the chains too.
* A proposal whose log density is not finite is rejected by every Metropolis-Hastings test.
* No gradient flows through a chain: positions come back behind `tf.stop_gradient`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from common import streams
from common.session import tf

LogProbFn = Callable[["tf.Tensor"], "tf.Tensor"]
MetricFn = Callable[["tf.Tensor"], tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]]

# Acceptance rates at which each sampler explores fastest in many dimensions: Roberts and Rosenthal
# (1998) for MALA, Beskos et al. (2013) for HMC.
TARGET_ACCEPTANCE = {"mala": 0.574, "hmc": 0.651}

KEYS_ON = "/device:CPU:0"  # where the keys of the steps are made

NAMES = {  # in words
    "preconditioned": "Langevin dynamics in the Gauss-Newton metric",
    "langevin": "Langevin dynamics",
    "mala": "Langevin dynamics with a Metropolis-Hastings test",
    "hmc": "Hamiltonian Monte Carlo",
}


class Chains(NamedTuple):
    """Where B chains arrived, and how they went."""

    position: tf.Tensor  # [B, ...]
    acceptance_rate: tf.Tensor  # [B], share of proposals accepted (1 without a test)
    score_magnitude: tf.Tensor  # [B], mean |component| of d log p / dx along the chain
    first_log_prob: tf.Tensor  # [B], the log density where the chain started
    last_log_prob: tf.Tensor  # [B], and where it arrived
    path: tf.Tensor | None = None  # [l, B, ...], the position after every step, if asked for


def _score(log_prob: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    # Each chain's log density depends on its own position only: the gradient of the sum over
    # chains is the gradient of each.  The ones take their shape from x: TensorFlow would take it
    # from the log density, and a step that needs only the score would compute both.
    return tf.gradients(log_prob, x, tf.ones(tf.shape(x)[:1], x.dtype))[0]


def _per_chain(value: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """A scalar or [B], shaped so that it multiplies x [B, ...] chain by chain."""
    value = tf.convert_to_tensor(value, x.dtype)
    return value if value.shape.rank == 0 else tf.reshape(value, [-1] + [1] * (x.shape.rank - 1))


def _mean(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(x, list(range(1, x.shape.rank)))  # [B, ...] -> [B]


def _sum(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(x, list(range(1, x.shape.rank)))  # [B, ...] -> [B]


# TensorFlow reads keys on the processor.  Made on a GPU, each would have to be copied back, and
# every step of a chain would wait for it.


def _fold_in(key: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    with tf.device(KEYS_ON):
        return streams.fold_in(key, number)


def _two_keys(key: tf.Tensor) -> list[tf.Tensor]:
    with tf.device(KEYS_ON):
        return tf.unstack(tf.random.experimental.stateless_split(key))


def standard_normal(
    shape: tf.Tensor, key: tf.Tensor, dtype: tf.DType | str = "float32"
) -> tf.Tensor:
    """U ~ N(0, I) of a shape, by the polar coordinates of pairs (Box and Muller, 1958).

    The law of `tf.random.stateless_normal`, whose kernel takes its logarithms and cosines one by
    one; here they are operations on the whole tensor, in half the time.
    """
    # As scalars: the product of a vector of whole numbers is no work for a GPU, which copies it.
    size = math.prod(tf.unstack(shape))
    uniform = tf.random.stateless_uniform([2, (size + 1) // 2], key, dtype=dtype)  # in [0, 1)
    radius = tf.sqrt(-2 * tf.math.log(1 - uniform[0]))
    angle = 2 * math.pi * uniform[1] - [[0.0], [math.pi / 2]]  # the cosine, and the sine
    return tf.reshape(tf.reshape(radius * tf.cos(angle), [-1])[:size], shape)


def _accept(log_ratio: tf.Tensor, key: tf.Tensor, adjust: tf.Tensor | bool = True) -> tf.Tensor:
    """The Metropolis-Hastings test: true [B] with probability min(1, exp(log_ratio)).

    With `adjust` false whatever is finite passes.
    """
    uniform = tf.random.stateless_uniform(tf.shape(log_ratio), key, dtype=log_ratio.dtype)
    # log(0) = -inf would let a NaN ratio through a "not greater" test; "less" is false for NaN.
    passed = tf.logical_or(tf.math.log(uniform) < log_ratio, tf.logical_not(adjust))
    return tf.logical_and(tf.math.is_finite(log_ratio), passed)


def _choose(accepted: tf.Tensor, new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
    """`new` for the chains that accepted, `old` for the others."""
    return tf.where_v2(tf.reshape(accepted, [-1] + [1] * (new.shape.rank - 1)), new, old)


def _loop(body: Callable, num_steps: tf.Tensor | int, state: list, keep_path: bool) -> tuple:
    """Run `body(step, *state) -> state` for `num_steps` steps.

    Returns:
        The last state, a list that begins with the position, and, if asked for, the path.
    """
    x = state[0]
    path = []
    if keep_path:
        path = [tf.TensorArray(x.dtype, num_steps, element_shape=x.shape)]
    _, state, path = tf.while_loop(
        lambda t, *_: t < num_steps,
        lambda t, s, p: _advance(t, body(t, *s), p),
        [tf.constant(0), state, path],
        # A step needs the one before it; and there is nothing to learn through a chain.
        parallel_iterations=1,
        back_prop=False,
    )
    return state, path[0].stack() if path else None


def _advance(t: tf.Tensor, state: list, path: list) -> list:
    return [t + 1, state, [array.write(t, state[0]) for array in path]]


def _tested(
    propose: Callable,
    start: list,
    num_steps: tf.Tensor | int,
    key: tf.Tensor,
    first_step: tf.Tensor | int,
    keep_path: bool,
    adjust: tf.Tensor | bool = True,
) -> Chains:
    """Chains whose every proposal is put to the Metropolis-Hastings test.

    Args:
        propose: a key and a state [x, log p(x), score, ...], as arguments -> the state that is
            proposed, and the logarithm [B] of what its acceptance probability is the minimum of
            with 1.
        start: the first state.
        num_steps: length of the chains.
        key: int32 [2].
        first_step: number of the first step.
        keep_path: return every position too.
        adjust: whether the test is made.
    """
    x = start[0]

    def step(t, *state):  # type: ignore[no-untyped-def]
        *old, accepted, magnitude = state
        proposal_key, accept_key = _two_keys(_fold_in(key, first_step + t))
        new, log_ratio = propose(proposal_key, *old)
        accept = _accept(log_ratio, accept_key, adjust)
        return [
            *(_choose(accept, b, a) for a, b in zip(old, new, strict=True)),
            accepted + tf.cast(accept, x.dtype),
            magnitude + _mean(tf.abs(old[2])),
        ]

    zeros = tf.zeros_like(_mean(x))
    state = [*start, zeros, zeros]
    (position, log_prob, *_, accepted, magnitude), path = _loop(step, num_steps, state, keep_path)
    length, position = tf.cast(num_steps, x.dtype), tf.stop_gradient(position)
    return Chains(position, accepted / length, magnitude / length, start[1], log_prob, path)


def langevin(
    log_prob_fn: LogProbFn,
    x: tf.Tensor,
    step_size: tf.Tensor | float,
    num_steps: tf.Tensor | int,
    key: tf.Tensor,
    *,
    first_step: tf.Tensor | int = 0,
    keep_path: bool = False,
    score_fn: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> Chains:
    """Unadjusted Langevin dynamics.

    x <- x + (delta^2 / 2) d log p(x) / dx + delta U.  Its stationary law is p only as delta -> 0:
    for N(0, s^2) the variance is s^2 / (1 - delta^2 / (4 s^2)), and beyond delta = 2 s it diverges.

    Args:
        log_prob_fn: [B, ...] -> [B], unnormalised log density of each chain.
        x: [B, ...], where the chains start.
        step_size: delta, scalar or [B].
        num_steps: length of the chains.
        key: int32 [2].
        first_step: number of the first step, for a chain that goes on.
        keep_path: return every position of the chains too.
        score_fn: [B, ...] -> d log p(x) / dx [B, ...], where that can be had without log p(x); by
            default the gradient of log_prob_fn.
    """
    delta = _per_chain(step_size, x)
    score_fn = score_fn or (lambda x: _score(log_prob_fn(x), x))

    def step(x: tf.Tensor, noise: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        score = score_fn(x)
        return x + delta**2 / 2 * score + delta * noise, score

    chains = annealed_langevin(
        *(step, x, num_steps, key), first_step=first_step, keep_path=keep_path
    )
    # The steps need no log density: two are computed apart, and only if they are asked for.
    return chains._replace(
        first_log_prob=log_prob_fn(x), last_log_prob=log_prob_fn(chains.position)
    )


def annealed_langevin(
    step_fn: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    x: tf.Tensor,
    num_steps: tf.Tensor | int,
    key: tf.Tensor,
    *,
    first_step: tf.Tensor | int = 0,
    keep_path: bool = False,
) -> Chains:
    """Langevin dynamics of a density that changes with every step (Song and Ermon, 2019).

    At every step x <- move_t(x, d log p_t(x) / dx, U), U ~ N(0, I).

    Args:
        step_fn: positions and noise, [B, ...] each, and the number of a step -> where chains are
            after it, and d log p_t(x) / dx before, [B, ...] each.
        x: [B, ...], where the chains start.
        num_steps: length of the chains.
        key: int32 [2].
        first_step: number of the first step, for a chain that goes on.
        keep_path: return every position of the chains too.

    Returns:
        The chains; their log densities, which no step needs, are not computed, and 0.
    """

    def step(t: tf.Tensor, x: tf.Tensor, magnitude: tf.Tensor) -> list:
        number = first_step + t
        noise = standard_normal(tf.shape(x), _fold_in(key, number), x.dtype)
        moved, score = step_fn(x, noise, number)
        return [moved, magnitude + _mean(tf.abs(score))]

    zeros = tf.zeros_like(_mean(x))
    (position, magnitude), path = _loop(step, num_steps, [x, zeros], keep_path)
    length = tf.cast(num_steps, x.dtype)
    position = tf.stop_gradient(position)
    return Chains(position, zeros + 1, magnitude / length, zeros, zeros, path)


def hmc(
    log_prob_fn: LogProbFn,
    x: tf.Tensor,
    step_size: tf.Tensor | float,
    num_steps: tf.Tensor | int,
    key: tf.Tensor,
    *,
    first_step: tf.Tensor | int = 0,
    keep_path: bool = False,
    num_leapfrog: int = 10,
    adjust: tf.Tensor | bool = True,
    jitter: float = 0.0,
) -> Chains:
    """Hamiltonian Monte Carlo (Neal, 2011) with identity mass.

    A step draws a momentum p ~ N(0, I), follows Hamilton's equations for `num_leapfrog` leapfrog
    steps of size delta, and accepts with probability
    min(1, exp(log p(x') - |p'|^2 / 2 - log p(x) + |p|^2 / 2)).

    Args as for `langevin`, but for score_fn; besides, num_leapfrog: gradient evaluations a step;
    adjust: whether proposals are put to the test, which a burn-in may do without; jitter: each step
    of each chain has a step size of its own, uniform within delta (1 +- jitter).  Trajectories of
    one length that happen to be half an orbit of some direction lead there from x to -x and back
    for ever, and in few dimensions nothing else breaks that (Neal, 2011, section 3.2).
    """
    mean_delta = _per_chain(step_size, x)

    def evaluate(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        log_prob = log_prob_fn(x)
        return log_prob, _score(log_prob, x)

    def propose(key, x, log_prob, score):  # type: ignore[no-untyped-def]
        momentum = standard_normal(tf.shape(x), key, x.dtype)
        delta = mean_delta
        if jitter:
            span = [1 - jitter, 1 + jitter]
            shape, jitter_key = tf.shape(log_prob), _fold_in(key, 0)
            factor = tf.random.stateless_uniform(shape, jitter_key, *span, dtype=x.dtype)
            delta *= _per_chain(factor, x)
        new_x, new_log_prob, new_score, new_momentum = x, log_prob, score, momentum
        for _ in range(num_leapfrog):
            new_momentum += delta / 2 * new_score
            new_x += delta * new_momentum
            new_log_prob, new_score = evaluate(new_x)
            new_momentum += delta / 2 * new_score
        kinetic, new_kinetic = _sum(momentum**2) / 2, _sum(new_momentum**2) / 2
        log_ratio = new_log_prob - new_kinetic - log_prob + kinetic
        return [new_x, new_log_prob, new_score], log_ratio

    start = [x, *evaluate(x)]
    return _tested(propose, start, num_steps, key, first_step, keep_path, adjust)


def mala(
    log_prob_fn: LogProbFn,
    x: tf.Tensor,
    step_size: tf.Tensor | float,
    num_steps: tf.Tensor | int,
    key: tf.Tensor,
    *,
    first_step: tf.Tensor | int = 0,
    keep_path: bool = False,
    adjust: tf.Tensor | bool = True,
) -> Chains:
    """Langevin dynamics with a Metropolis-Hastings test (Roberts and Tweedie, 1996).

    The proposal is the step of `langevin`; the test makes its stationary law exactly p.  It is HMC
    with one leapfrog step, whose ratio of kinetic energies is that of the two proposal densities
    (Neal, 2011, section 5.2).

    Args as for `langevin`, but for score_fn; besides, adjust: whether proposals are tested.
    """
    return hmc(
        log_prob_fn,
        x,
        step_size,
        num_steps,
        key,
        first_step=first_step,
        keep_path=keep_path,
        num_leapfrog=1,
        adjust=adjust,
    )


def preconditioned_langevin(
    metric_fn: MetricFn,
    x: tf.Tensor,
    step_size: tf.Tensor | float,
    num_steps: tf.Tensor | int,
    key: tf.Tensor,
    *,
    first_step: tf.Tensor | int = 0,
    keep_path: bool = False,
) -> Chains:
    """Simplified manifold MALA (Girolami and Calderhead, 2011): Langevin in a local metric G.

    x' ~ N(mu(x), delta^2 G(x)^-1), mu(x) = x + (delta^2 / 2) G(x)^-1 d log p(x) / dx, accepted
    with the full Metropolis-Hastings ratio, G at both ends.  The test needs only log p to be
    exact: an approximate score or metric changes the speed, not the stationary law.

    Args:
        metric_fn: [B, d] -> log density [B], score [B, d], metric [B, d, d] (positive definite).
        x: [B, d], where the chains start.
        step_size: delta, scalar or [B]; near 1 suits every scale.
        num_steps: length of the chains.
        key: int32 [2].
        first_step: number of the first step, for a chain that goes on.
        keep_path: return every position of the chains too.
    """
    delta = _per_chain(step_size, x)

    def evaluate(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        log_prob, score, metric = metric_fn(x)
        factor = tf.linalg.cholesky(metric)  # G = L L^T
        drift = tf.linalg.cholesky_solve(factor, score[..., None])[..., 0]
        return log_prob, score, factor, x + delta**2 / 2 * drift

    def log_proposal(x: tf.Tensor, factor: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        # log N(x; mean, delta^2 (L L^T)^-1), less the terms that both directions share.
        whitened = tf.linalg.matvec(factor, x - mean, transpose_a=True) / delta
        # tf.linalg.diag_part has a number to pad with, which a GPU copies back at every step.
        diagonal = tf.raw_ops.MatrixDiagPart(input=factor)
        log_det = tf.reduce_sum(tf.math.log(diagonal), -1)
        return log_det - tf.reduce_sum(whitened**2, -1) / 2

    def propose(key, x, log_prob, score, factor, mean):  # type: ignore[no-untyped-def]
        noise = standard_normal(tf.shape(x), key, x.dtype)
        # L^-T U has covariance (L L^T)^-1.
        white = tf.linalg.triangular_solve(factor, noise[..., None], adjoint=True)[..., 0]
        new_x = mean + delta * white
        new_log_prob, new_score, new_factor, new_mean = evaluate(new_x)
        log_ratio = (
            new_log_prob
            - log_prob
            + log_proposal(x, new_factor, new_mean)
            - log_proposal(new_x, factor, mean)
        )
        return [new_x, new_log_prob, new_score, new_factor, new_mean], log_ratio

    return _tested(propose, [x, *evaluate(x)], num_steps, key, first_step, keep_path)


def adapted_step_size(
    step_size: tf.Tensor, acceptance_rate: tf.Tensor, target: float, rate: float = 0.2
) -> tf.Tensor:
    """Each chain's step size [B], moved towards the target acceptance rate.

    log delta <- log delta + rate (acceptance_rate - target), Robbins-Monro with a constant rate,
    because the density moves while the model learns.  Chains that are to be reported as samples
    keep their step fixed: adapting it would bend their stationary law.
    """
    return step_size * tf.exp(rate * (acceptance_rate - target))
