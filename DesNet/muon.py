"""Muon: gradient steps that are orthogonal matrices (Jordan et al., 2024).

Of the momentum M = U S V^T of a layer's weights a step takes U V^T, which is the steepest descent
among steps that change what leaves the layer by no more than so much, whatever enters it (Bernstein
and Newhouse, 2024).  So the few large singular values, in which all images have a part, do not
drown the many small ones, by which images differ.
"""

from __future__ import annotations

from common.session import tf

MOMENTUM = 0.95
# Of s -> a s + b s^3 + c s^5, which brings singular values to about 1 when it is applied so often
# (Jordan et al.).
COEFFICIENTS, TIMES = (3.4445, -4.7750, 2.0315), 5
# Singular values of a step, in learning rates, be the matrix large or small: so does one learning
# rate for Muon and Adam, and for images of any size.
LENGTH = 4.0


def descend(variable: tf.Variable, gradient: tf.Tensor, learning_rate: tf.Tensor) -> tf.Operation:
    """Take a step, and make the momentum's variable beside the model's.

    Args:
        variable: weights [..., m], which are taken for a matrix of m columns.
        gradient: of what is to fall.
        learning_rate: scalar.
    """
    with tf.variable_scope("momentum"):
        zeros = tf.zeros_initializer()
        momentum = tf.get_variable(
            variable.op.name, variable.shape, initializer=zeros, trainable=False
        )
    momentum = momentum.assign(MOMENTUM * momentum + gradient)
    ahead = gradient + MOMENTUM * momentum  # where it will be: Nesterov's
    step = orthogonalized(tf.reshape(ahead, [-1, variable.shape[-1]]))
    step = LENGTH * learning_rate * tf.reshape(step, variable.shape)
    return variable.assign_sub(step, read_value=False)


def orthogonalized(matrix: tf.Tensor) -> tf.Tensor:
    """U V^T, nearly, of a matrix U S V^T [m, n]; of directions below 0.002 of its norm, less.

    By Newton and Schulz's iteration, where all but two products are of small Gram matrices.
    """
    rows, columns = matrix.shape
    if rows < columns:
        return tf.transpose(orthogonalized(tf.transpose(matrix)))
    matrix = tf.math.divide_no_nan(matrix, tf.norm(matrix))
    a, b, c = COEFFICIENTS
    gram = tf.matmul(matrix, matrix, transpose_a=True)  # [n, n]
    product = identity = tf.eye(int(columns))
    for _ in range(TIMES):
        factor = a * identity + b * gram + c * tf.matmul(gram, gram)
        product = tf.matmul(product, factor)
        gram = tf.matmul(factor, tf.matmul(gram, factor))
    return tf.matmul(matrix, product)
