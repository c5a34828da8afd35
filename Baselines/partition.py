"""Partition functions: exact by enumeration, or estimated by annealed importance sampling.

Of n binary units there are 2^n configurations; to add up all of them is exact, and each unit more
doubles the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from common.session import tf
from common.streams import fold_in

LARGEST = 16  # hidden units that are enumerated
PIECE = 2**20  # numbers that are computed at once while configurations are added up: few enough
# to stay in a processor's cache


def configurations(first: tf.Tensor | int, count: int, units: int) -> tf.Tensor:
    """Binary configurations, in the order of the binary numbers that they spell.

    Args:
        first: number of the first one.
        count: how many.
        units: n, at most 30.

    Returns:
        [count, n] of 0 and 1 in float32.
    """
    numbers = (first + tf.range(count))[:, None]
    places = tf.constant(np.arange(units)[::-1].copy(), tf.int32)[None]
    return tf.cast(tf.bitwise.bitwise_and(tf.bitwise.right_shift(numbers, places), 1), tf.float32)


def all_configurations(units: int, first: int = 0, count: int | None = None) -> np.ndarray:
    """Configurations of n units, by default all 2^n, as an array in float64.

    In the order of the binary numbers that they spell; arguments as for `configurations`.
    """
    numbers = np.arange(first, 2**units if count is None else first + count)
    return ((numbers[:, None] >> np.arange(units)[::-1]) & 1).astype(np.float64)


def _piece(units: int, width: int) -> int:
    """How many configurations, each of so many numbers, are in memory at once."""
    return 2 ** max(0, min(units, int(math.log2(PIECE / width))))


def in_pieces(units: int, width: int, function: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """`function` of all configurations of n units, as many at a time as PIECE allows: [2^n].

    Args:
        units: n.
        width: numbers that a configuration takes in memory.
        function: [count, n] -> [count] in float64.
    """
    count = _piece(units, width)
    firsts = tf.range(0, 2**units, count)
    pieces = tf.map_fn(
        lambda first: function(configurations(first, count, units)),
        *(firsts, tf.float64),
        parallel_iterations=1,
        back_prop=False,
    )
    return tf.reshape(pieces, [2**units])


def gradient_of_log_sum(
    function: Callable[[list[tf.Tensor], tf.Tensor], tf.Tensor],
    xs: list[tf.Tensor],
    values: tf.Tensor,
    units: int,
    width: int,
) -> list[tf.Tensor]:
    """The gradient in xs of log sum_h exp function(xs, h): the mean of function's own over p(h).

    The configurations are gone through once more, so that memory holds but some of them.

    Args:
        function: of xs and h [count, n]: [count] in float64.
        xs: tensors.
        values: of function for all h, [2^n], as `in_pieces` gives them.
        units: n.
        width: numbers that a configuration takes in memory.
    """
    count = _piece(units, width)
    probabilities = tf.stop_gradient(tf.nn.softmax(values))

    def body(first: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
        inside = [tf.identity(x) for x in xs]
        of_piece = function(inside, configurations(first, count, units))
        mean = tf.reduce_sum(probabilities[first : first + count] * of_piece)
        gradients = tf.gradients(mean, inside, unconnected_gradients="zero")
        added = (total + gradient for total, gradient in zip(sums, gradients, strict=True))
        return first + count, *added

    zeros = [tf.zeros_like(x) for x in xs]
    _, *gradients = tf.while_loop(
        lambda first, *_: first < 2**units,
        *(body, (tf.constant(0), *zeros)),
        back_prop=False,
        parallel_iterations=1,
    )
    return gradients


def annealed(
    energy: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    step: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
    start: tf.Tensor,
    num_steps: int,
    key: tf.Tensor,
) -> tf.Tensor:
    """Annealed importance sampling (Neal, 2001; Salakhutdinov and Murray, ICML 2008), forward.

    Chains walk from a law whose partition function is known, at beta = 0, to the one in question,
    at beta = 1, and weigh what each step of beta changes: the mean of the weights is Z_1 / Z_0.

    Args:
        energy: of x [C, n] at beta: [C].
        step: x [C, n], beta and a key -> x after a step that leaves the law at beta as it is.
        start: [C, n], draws at beta = 0.
        num_steps: from beta = 0 to 1.
        key: int32 [2].

    Returns:
        The logarithms of the weights, [C] in float64.
    """

    def body(i: tf.Tensor, x: tf.Tensor, log_weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        before, after = (tf.cast(number, x.dtype) / num_steps for number in (i, i + 1))
        gain = energy(x, before) - energy(x, after)
        return i + 1, step(x, after, fold_in(key, i)), log_weights + tf.cast(gain, tf.float64)

    zeros = tf.zeros(tf.shape(start)[:1], tf.float64)
    _, _, log_weights = tf.while_loop(
        lambda i, *_: i < num_steps,
        body,
        (tf.constant(0), start, zeros),
        back_prop=False,
        parallel_iterations=1,
    )
    return log_weights


def effective_number(log_probabilities: np.ndarray) -> float:
    """How many equally likely configurations would be as many: exp of the entropy."""
    probabilities = np.exp(log_probabilities)
    finite = probabilities > 0
    return float(np.exp(-(probabilities[finite] * log_probabilities[finite]).sum()))
