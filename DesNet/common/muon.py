"""Muon: gradient steps that are orthogonal matrices (Jordan et al., 2024).

Of the momentum M = U S V^T of a layer's weights a step takes U V^T, which is the steepest descent
among steps that change what leaves the layer by no more than so much, whatever enters it (Bernstein
and Newhouse, 2024).  So the few large singular values, in which all images have a part, do not
drown the many small ones, by which images differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.session import tf

# Of s -> a s + b s^3 + c s^5, which brings singular values to about 1 when it is applied so often
# (Jordan et al.).
COEFFICIENTS, TIMES = (3.4445, -4.7750, 2.0315), 5


def descend(
    pairs: Sequence[tuple[tf.Tensor, tf.Variable]],
    learning_rate: tf.Tensor,
    length: float,
    momentum: float,
) -> list[tf.Operation]:
    """Take a step, and make the variables of the momentum beside the model's.

    Args:
        pairs: gradients of what is to fall, and weights [..., m], which are taken for a matrix of m
            columns each.
        learning_rate: scalar.
        length: singular values of a step, in learning rates, be the matrix large or small: so does
            one learning rate for Muon and Adam, and for images of any size.
        momentum: share of M that the next M keeps.
    """
    ahead = []
    for gradient, variable in pairs:
        with tf.init_scope(), tf.variable_scope("momentum"):  # outside of what steps depend on
            zeros = tf.zeros_initializer()
            kept = tf.get_variable(
                variable.op.name, variable.shape, initializer=zeros, trainable=False
            )
        mean = kept.assign(momentum * kept + gradient)
        where = gradient + momentum * mean  # it will be: Nesterov's
        ahead.append(tf.reshape(where, [-1, variable.shape[-1]]))
    length = length * learning_rate
    return [
        variable.assign_sub(tf.reshape(length * step, variable.shape), read_value=False)
        for (_, variable), step in zip(pairs, orthogonalized(ahead), strict=True)
    ]


def descend_beside(
    adam: tf.train.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
    matrices: Sequence[tf.Variable],
    learning_rate: tf.Tensor,
    length: float,
    momentum: float,
) -> list[tf.Operation]:
    """Take a step on some of the variables, and one of another optimizer's on all else.

    Args:
        adam: the other one.
        gradients: of what is to fall, in each of the variables.
        variables: of a network.
        matrices: those of them that take a step here.
        learning_rate: see `descend`.
        length: likewise.
        momentum: likewise.
    """
    pairs = {v.op.name: (g, v) for g, v in zip(gradients, variables, strict=True)}
    turned = [pairs.pop(matrix.op.name) for matrix in matrices]
    steps = descend(turned, learning_rate, length, momentum)
    return [*steps, adam.apply_gradients(list(pairs.values()))]


def orthogonalized(matrices: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """U V^T, nearly, of matrices U S V^T [m, n]; of directions below 0.002 of their norm, less.

    By Newton and Schulz's iteration, where all but two products are of small Gram matrices, those
    of one size at once.
    """
    wide = [matrix.shape[0] < matrix.shape[1] for matrix in matrices]
    turned = [tf.transpose(m) if is_wide else m for m, is_wide in zip(matrices, wide, strict=True)]
    tall = [tf.math.divide_no_nan(matrix, tf.norm(matrix)) for matrix in turned]
    steps: dict[int, tf.Tensor] = {}
    for size in {int(matrix.shape[1]): None for matrix in tall}:
        alike = [i for i, matrix in enumerate(tall) if matrix.shape[1] == size]
        grams = [tf.matmul(tall[i], tall[i], transpose_a=True) for i in alike]
        for i, factor in zip(alike, tf.unstack(_polynomial(tf.stack(grams))), strict=True):
            steps[i] = tf.matmul(tall[i], factor)
    return [tf.transpose(steps[i]) if is_wide else steps[i] for i, is_wide in enumerate(wide)]


def _polynomial(gram: tf.Tensor) -> tf.Tensor:
    """What X is multiplied with, where X^T X is `gram` [..., n, n]: the iteration."""
    a, b, c = COEFFICIENTS
    identity = tf.eye(int(gram.shape[-1]))
    product = None
    for _ in range(TIMES):
        factor = a * identity + b * gram + c * tf.matmul(gram, gram)
        product = factor if product is None else tf.matmul(product, factor)
        gram = tf.matmul(factor, tf.matmul(gram, factor))
    return product
