"""The energy of a restricted Boltzmann machine, and all that it says in closed form.

Of visible units v [D] and binary hidden units h [H], with u = h - 1/2 and centre m [D]:

    Gaussian v:  E(v, h) = ||v - b||^2 / (2 sigma^2) - (v - b)^T W u / sigma^2 - c^T h
    binary v:    E(v, h) = -b^T v - (v - s(b))^T W u - c^T h,  s(b) = 1 / (1 + exp -b)

Both are the usual energies (Smolensky, 1986; Welling et al., NIPS 2004) counted from a centre, a
half of every h and the mean that v has by itself (Montavon and Mueller, 2012): the laws are the
same, and learning is not.  In the usual form the weight of a configuration grows with ||W h||^2, by
thousands of nats where there are thousands of pixels, and all but one of 2^H die.  In this form
||W u||^2 is the same for all of them, as long as the columns of W are at right angles.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from common.likelihood import gaussian_grey_levels
from common.session import tf
from common.streams import fold_in
from partition import all_configurations

COMPONENTS = 16  # of the mixture, that are integrated over grey levels at once
NEGLIGIBLE = 1e-6  # nats of log p(Y), that as many more add when the rest is left out


def _product(x: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """X [n, H] times the transpose of weight [D, H]: [n, D]."""
    return tf.matmul(x, weight, transpose_b=True)


def _bernoulli(logits: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Draws of 0 and 1 with these log odds."""
    uniform = tf.random.stateless_uniform(tf.shape(logits), key, dtype=logits.dtype)
    return tf.cast(uniform < tf.sigmoid(logits), logits.dtype)


class Harmonium(NamedTuple):
    """A restricted Boltzmann machine: its numbers, as tensors of one type."""

    weight: Any  # W [D, H]
    hidden_bias: Any  # c [H]
    visible_bias: Any  # b [D]
    log_sigma: Any = None  # of Gaussian visible units, scalar; None: they are binary

    @property
    def precision(self) -> Any:
        """1 / sigma^2; 1 for binary visible units."""
        return 1.0 if self.log_sigma is None else tf.exp(-2 * self.log_sigma)

    @property
    def centre(self) -> Any:
        """The mean of v without hidden units, [D]."""
        return tf.sigmoid(self.visible_bias) if self.log_sigma is None else self.visible_bias

    def at(self, beta: tf.Tensor) -> Harmonium:
        """The machine with beta W and beta c: without hidden units at 0, itself at 1."""
        return self._replace(weight=beta * self.weight, hidden_bias=beta * self.hidden_bias)

    # One layer given the other

    def hidden_logits(self, v: tf.Tensor) -> tf.Tensor:
        """Log odds of h given v [B, D]: c + W^T (v - centre) / sigma^2, [B, H]."""
        return self.hidden_bias + self.precision * tf.matmul(v - self.centre, self.weight)

    def visible_input(self, h: tf.Tensor) -> tf.Tensor:
        """B + W u [B, D] for h [B, H]: the mean of Gaussian v, the log odds of binary ones."""
        return self.visible_bias + _product(h - 0.5, self.weight)

    def visible_mean(self, h: tf.Tensor) -> tf.Tensor:
        """The mean of v [B, D] given h [B, H], which may be probabilities."""
        given = self.visible_input(h)
        return tf.sigmoid(given) if self.log_sigma is None else given

    def draw_hidden(self, v: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """H given v [B, D]: [B, H]."""
        return _bernoulli(self.hidden_logits(v), key)

    def draw_visible(self, h: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """V given h [B, H]: [B, D]."""
        given = self.visible_input(h)
        if self.log_sigma is None:
            return _bernoulli(given, key)
        noise = tf.random.stateless_normal(tf.shape(given), key, dtype=given.dtype)
        return given + tf.exp(self.log_sigma) * noise

    def gibbs(self, v: tf.Tensor, num_steps: int, key: tf.Tensor) -> tf.Tensor:
        """Gibbs steps of v [B, D]: all of h given v, then all of v given h."""

        def body(i: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            step = fold_in(key, i)
            return i + 1, self.draw_visible(self.draw_hidden(v, fold_in(step, 0)), fold_in(step, 1))

        loop = (lambda i, _: i < num_steps), body, (tf.constant(0), v)
        return tf.while_loop(*loop, back_prop=False, parallel_iterations=1)[1]

    # Log densities

    def alone(self, v: tf.Tensor) -> tf.Tensor:
        """The energy [B] of v [B, D] without hidden units."""
        if self.log_sigma is None:
            return -tf.linalg.matvec(v, self.visible_bias)
        return self.precision / 2 * tf.reduce_sum(tf.square(v - self.visible_bias), 1)

    def free_energy(self, v: tf.Tensor) -> tf.Tensor:
        """F(v) = -log sum_h exp -E(v, h), [B] for v [B, D]."""
        logits = self.hidden_logits(v)
        halves = (logits - self.hidden_bias) / 2  # of what u = h - 1/2 counts from
        return self.alone(v) + tf.reduce_sum(halves - tf.nn.softplus(logits), 1)

    def log_prob_given(self, v: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        """The mean log p(v | h) of v [B, D] where p(v | h) has these means [B, D]: a scalar."""
        if self.log_sigma is None:
            mean = tf.clip_by_value(mean, 1e-7, 1 - 1e-7)
            each = v * tf.math.log(mean) + (1 - v) * tf.math.log1p(-mean)
            return tf.reduce_mean(tf.reduce_sum(each, 1))
        distances = tf.reduce_sum(tf.square(v - mean), 1)
        return -self.precision / 2 * tf.reduce_mean(distances) - self.log_z_alone()

    def log_z_alone(self) -> tf.Tensor:
        """The logarithm of the partition function of the visible units without hidden ones."""
        if self.log_sigma is None:
            return tf.reduce_sum(tf.nn.softplus(self.visible_bias))
        dimensions = self.visible_bias.shape[0]
        return dimensions * (self.log_sigma + math.log(2 * math.pi) / 2)

    def log_weights(self, h: tf.Tensor) -> tf.Tensor:
        """Log of the sum, or the integral, of exp -E(v, h) over v: [B] for h [B, H].

        Over all h, they are the unnormalised logarithms of p(h): the weights of a mixture, whose
        components are p(v | h).  Those of Gaussian v are a Boltzmann machine of h by itself.
        """
        u, biases = h - 0.5, tf.linalg.matvec(h, self.hidden_bias)
        if self.log_sigma is None:
            inputs = self.visible_input(h)
            shift = tf.linalg.matvec(inputs - self.visible_bias, self.centre)
            return biases - shift + tf.reduce_sum(tf.nn.softplus(inputs), 1)
        gram = self.precision * tf.matmul(self.weight, self.weight, transpose_a=True)  # [H, H]
        return self.log_z_alone() + biases + tf.reduce_sum(tf.matmul(u, gram) * u, 1) / 2

    def in_float64(self) -> Harmonium:
        """The same machine, computed in float64."""
        return Harmonium(*(None if x is None else tf.cast(x, tf.float64) for x in self))

    def reduced(self) -> Harmonium:
        """A machine of as few visible units as its hidden ones, which have the same law.

        Hidden units see of Gaussian v but its products with W, so that any weight with the same
        W^T W will do, such as one of H rows.  Z_1 / Z_0 of the two machines is the same, for Z_0
        without hidden units.  Of binary v it is the machine itself.
        """
        if self.log_sigma is None:
            return self
        values, vectors = tf.linalg.eigh(tf.matmul(self.weight, self.weight, transpose_a=True))
        root = tf.sqrt(tf.maximum(values, 0))[:, None] * tf.transpose(vectors)  # [H, H]
        return self._replace(weight=root, visible_bias=tf.zeros_like(self.hidden_bias))

    @property
    def width(self) -> int:
        """Numbers that `log_weights` keeps of a configuration, for `partition.in_pieces`."""
        dimensions, hidden = self.weight.shape
        return dimensions if self.log_sigma is None else hidden


def contrastive_gradient(
    machine: Harmonium, v: tf.Tensor, negative: tf.Tensor, variables: list[tf.Tensor]
) -> list[tf.Tensor]:
    """The gradient of mean F(v) - mean F(v'): that of contrastive divergence, with v' fixed.

    Of v' drawn from the machine it is the gradient of mean -log p(v).

    Args:
        machine: the machine.
        v: images, [B, D].
        negative: v', the ends of the chains, [C, D].
        variables: numbers of the machine.
    """
    positive = tf.reduce_mean(machine.free_energy(v))
    chains = tf.reduce_mean(machine.free_energy(tf.stop_gradient(negative)))
    return tf.gradients(positive - chains, variables)


def joint_log_density(
    machine: Harmonium, log_prior: np.ndarray, all_h: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Log p(h) + log p(v | h) of all configurations, for Gaussian units: [B, 2^H].

    Args:
        machine: of arrays in float64.
        log_prior: log p(h), [2^H].
        all_h: the configurations, [2^H, H].
        v: [B, D].
    """
    u, residual, sigma = all_h - 0.5, v - machine.visible_bias, np.exp(machine.log_sigma)
    gram = machine.weight.T @ machine.weight
    cross = (residual @ machine.weight) @ u.T  # [B, 2^H]
    distances = (residual**2).sum(1)[:, None] - 2 * cross + ((u @ gram) * u).sum(1)
    constant = v.shape[1] * np.log(sigma * np.sqrt(2 * np.pi))
    return log_prior - distances / (2 * sigma**2) - constant


def integrated_log_prob(
    machine: Harmonium, log_prior: np.ndarray, images: np.ndarray
) -> np.ndarray:
    """Log p(Y), nats, of 8-bit images [n, D] under the mixture of all p(v | h): [n].

    The density of a component is integrated over the grey level of each dimension.  The likeliest
    components come first, and the rest is left out once as many more add nothing.

    Args:
        machine: of Gaussian units, of arrays in float64; v is the grey level / 127.5 - 1.
        log_prior: log p(h), [2^H].
        images: whole numbers in [0, 255].
    """
    all_h = all_configurations(machine.weight.shape[1])
    sigma = 127.5 * np.exp(machine.log_sigma)
    nats = []
    for image in images.astype(np.float64):
        joint = joint_log_density(machine, log_prior, all_h, image[None] / 127.5 - 1)[0]
        order = np.argsort(-joint, kind="stable")
        total = -np.inf
        for first in range(0, len(order), COMPONENTS):
            chosen = order[first : first + COMPONENTS]
            means = machine.visible_bias + (all_h[chosen] - 0.5) @ machine.weight.T
            levels = gaussian_grey_levels(image, (means + 1) * 127.5, sigma)
            before, total = total, np.logaddexp(total, logsumexp(log_prior[chosen] + levels))
            if total - before < NEGLIGIBLE:
                break
        nats.append(total)
    return np.array(nats)
