"""How high the density of each image stands, at the level where no noise leads from one to another.

A score says how log p changes, and there it is known only near the images: between two of them lies
a valley that neither chain nor noisy image ever sees, and beyond it log p may be higher or lower by
any number.  The density that is learned has the images in equal parts.  So once scores are learned,
the mass that p has around each image is measured, and what it lacks is added to f,

    h(Y) = sum_j w_j(Y) h_j,   w_j(Y) ~ exp(-||P Y - P Y_j||^2 / 2 tau^2),

where P averages over blocks of pixels, and tau is the noise of such a mean: w is what tells the
noisy images apart.  Around each of them it is 1 for one j, and h is flat: no score changes.

The mass around image j is Z_j = E[exp r(Y)] over noisy images Y ~ q_j = N(Y_j, sigma^2 I), where
r = log p - log q_j.  Its logarithm lies between the mean of r over q_j and that over chains of p
which have started there, and in the middle up to third moments of r.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common import fitting
from common.session import tf

SIDE = 8  # of a thumbnail
MOST = 256  # images that have heights of their own; others have those of the most alike
CHAINS = 64  # that measure them, or one an image
STEPS = 64  # of these, in which they settle


class Heights:
    """Images by their thumbnails, and what is added to f around each."""

    def __init__(self, count: int, image_size: int, sigma: float) -> None:
        """Describe them.

        Args:
            count: of images, N.
            image_size: side S.
            sigma: noise on them, in grey levels.
        """
        self.kept = fitting.evenly(count, MOST)  # which of the images
        self._block = image_size // SIDE
        self._side = image_size // self._block
        self._sigma = sigma

    def _variable(self, name: str, shape: list[int]) -> tf.Variable:
        with tf.variable_scope("heights", reuse=tf.AUTO_REUSE):
            zeros = tf.zeros_initializer()
            return tf.get_variable(name, shape, tf.float32, zeros, trainable=False)

    @property
    def thumbnails(self) -> tf.Variable:
        """P Y_j, [N, T T 3]."""
        return self._variable("thumbnails", [len(self.kept), 3 * self._side**2])

    @property
    def values(self) -> tf.Variable:
        """h_j, [N], in nats; 0 while learning goes on."""
        return self._variable("values", [len(self.kept)])

    def __call__(self, y: tf.Tensor) -> tf.Tensor:
        """What is added to f of images [B, S, S, 3]: [B]."""
        pooled = self._pooled(tf.cast(y, tf.float32))
        squares = tf.reduce_sum(tf.square(pooled[:, None] - self.thumbnails), 2)  # [B, N]
        weights = tf.nn.softmax(-squares * self._block**2 / (2 * self._sigma**2))
        return tf.cast(tf.linalg.matvec(weights, self.values), y.dtype)

    def reset(self, session: tf.Session) -> None:
        """Set them to 0."""
        with session.graph.as_default():
            self.values.load(np.zeros(len(self.kept)), session)

    def _pooled(self, y: tf.Tensor) -> tf.Tensor:
        """P Y: [B, S, S, 3] -> [B, T T 3]."""
        pooled = tf.nn.avg_pool2d(y, self._block, self._block, "VALID")
        return tf.reshape(pooled, [-1, 3 * self._side**2])

    def level_out(
        self,
        images: np.ndarray,
        log_prob: Callable[[np.ndarray], np.ndarray],
        settle: Callable[[np.ndarray], np.ndarray],
        rng: np.random.Generator,
        session: tf.Session,
        gather: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        """Measure the heights of images, and add what they lack.

        Args:
            images: those `kept`, [N, S, S, 3] in grey levels less the mean colour; or this
                worker's of them.
            log_prob: log p [n] of such images, up to a constant.
            settle: where chains of p from such images are after STEPS.
            rng: of the noise.
            session: that holds the variables.
            gather: rows of all workers from those of one.
        """
        with session.graph.as_default():
            x = tf.placeholder(tf.float32, [None, *images.shape[1:]])
            pooled = self._pooled(x)
            p, h = (tf.placeholder(tf.float32, v.shape) for v in (self.thumbnails, self.values))
            keep, add = self.thumbnails.assign(p), self.values.assign(h)
        self.reset(session)
        every = np.arange(max(CHAINS, len(images))) % len(images)
        noisy = images[every]
        noisy += self._sigma * rng.standard_normal(noisy.shape, np.float32)
        means = np.zeros(len(images))
        for stand in (noisy, settle(noisy)):
            square = np.square(stand - images[every], dtype=np.float64).sum((1, 2, 3))
            rest = log_prob(stand) + square / (2 * self._sigma**2)
            means += np.bincount(every, rest) / np.bincount(every) / 2
        measured = np.concatenate([means[:, None], session.run(pooled, {x: images})], 1)
        measured = gather(measured.astype(np.float64))
        height = measured[:, 0]
        session.run([keep, add], {p: measured[:, 1:], h: height.mean() - height})
