"""A plane of images: draws of the prior, each matched with a training image by optimal transport.

Where the likelihood is largest, the posteriors of the training images together are the prior: each
image owns an even part of it.  Learning by inference alone comes there slowly, for a posterior is
as narrow as the noise is small, and what lies between two of them is seen by none: there f fades
from one image to the next.  So draws u ~ N(0, REACH^2 I) are learned as well.  Each is matched with

    i(u) = argmin_i ||f(u) - Y_i||^2 - b_i,

the semi-discrete optimal transport from f(u) to the images, whose potentials b ascend by stochastic
gradients until every image has as many draws as others (Genevay, Cuturi, Peyre and Bach, NIPS
2016).  A draw on a border between two images can only be far from both, so errors count as those of
a Cauchy law, c log(1 + ||f(u) - Y_i||^2 / c), of which large ones pull little.

Where an image is drawn so moves, and its chain has to follow: every chain is offered the draws of
the iteration, whose f(u) are at hand, by a step of sampling importance resampling, which leaves the
law of its posterior as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from common import fitting, quality, samplers, streams
from common.session import tf
from common.streams import Stream
from generator_learning import flat
from generator_settings import OPTIMIZERS
from resampling import resampled

if TYPE_CHECKING:
    from GenNet import GenNet

REACH = 1.25  # standard deviations of the draws: the pictures go farther than most of the prior
# Of a potential, in mean squared distances: no image takes draws from where another is drawn well.
LIMIT = 0.25
# Grey levels: root of c / D, of D numbers that are seen, while the learning rate is full, and at
# its end.
TOLERANCE = 16.0, 5.0
NUMBERS = 25_000_000  # of the images that draws are matched with, 100 MB: 2034 of 64 x 64


class Transport:
    """The matches of one iteration, on top of the model's graph.

    Attributes:
        made: f(u) of the draws [M, D], by the weights as the iteration finds them.
    """

    def __init__(self, model: GenNet) -> None:
        """Make the variables: the potential of every image, and, in no checkpoint, the images.

        Args:
            model: whose f it is.
        """
        self._model, shard = model, model.shard
        self._ascent = OPTIMIZERS[model.settings.optimizer].potentials
        size = 3 * model.settings.image_size**2
        most = max(1, NUMBERS // size)
        self._kept = fitting.evenly(shard.count, most)  # which are matched
        self._matchable = sum(min(count, most) for count in shard.sizes)  # of all workers
        self._potentials = shard.variable("transport/potentials", tf.zeros([shard.total]))
        self._fed = tf.placeholder(tf.float32, [len(self._kept), size])
        self._images = self._held("images")
        self._visible = None if model.visible is None else self._held("visible")
        self.rate = tf.placeholder(tf.float32, [], "transport/rate")  # share of the full one
        shape = [model.settings.prior_draws, model.settings.z_dim]
        # By all workers alike.
        key = streams.iteration_key(model.settings.seed, Stream.TRANSPORT)
        self._drawn = REACH * tf.random.stateless_normal(shape, key)  # u [M, d]
        with model.networks[0].precision(model.settings.precision):
            self.made = tf.reshape(model.generator(self._drawn), [-1, size])

    def _held(self, name: str) -> tf.Variable:
        """A variable of what is fed, in no checkpoint."""
        local = [tf.GraphKeys.LOCAL_VARIABLES]
        return tf.Variable(self._fed, False, collections=local, name=f"transport/{name}")

    def keep(self, images: np.ndarray) -> None:
        """Take this worker's images, [n, S, S, 3] in [0, 255], with hidden pixels at 0."""
        rows = images[self._kept].astype(np.float32) / 127.5 - 1
        visible = self._model.visible
        if self._visible is not None and visible is not None:
            visible = np.broadcast_to(visible[self._kept], rows.shape)
            rows = np.where(visible, rows, 0)
            self._start(self._visible, visible)
        self._start(self._images, rows)

    def _start(self, variable: tf.Variable, rows: np.ndarray) -> None:
        fed = rows.reshape(len(rows), -1).astype(np.float32)
        self._model.session.run(variable.initializer, {self._fed: fed})

    def share_of_rate(self, iteration: int, total: int) -> float:
        """What `rate` is fed in an iteration, counted from 0, of `total`."""
        return self._model.settings.left(iteration / total)

    def resampled(
        self,
        chains: samplers.Chains,
        images: tf.Tensor,
        sigma: tf.Tensor,
        visible: tf.Tensor | None,
    ) -> samplers.Chains:
        """Chains of posteriors, some of which go on from one of the draws.

        Draws are of N(0, REACH^2 I), and their weights p(Y, u) / q(u).

        Args:
            chains: as they have arrived.
            images: of the chains, [B, S, S, 3] in [-1, 1].
            sigma: standard deviation of the noise.
            visible: which pixels are seen, [B, S, S, 1]; by default all.
        """
        seed, rank = self._model.settings.seed, self._model.cluster.rank
        key = streams.iteration_key(seed, Stream.RESAMPLING, rank)
        seen = None if visible is None else flat(tf.ones_like(images), visible)
        squares = squared_distances_of_seen(self.made, flat(images, visible), seen)  # [M, B]
        u, z = (tf.reduce_sum(tf.square(each), 1) for each in (self._drawn, chains.position))
        log_weights = -tf.transpose(squares) / (2 * sigma**2) - (1 - REACH**-2) * u / 2
        log_weight = chains.last_log_prob + z / (2 * REACH**2)
        offered = self._drawn, log_weights
        return chains._replace(position=resampled(chains.position, log_weight, *offered, key))

    def loss(
        self, sigma: tf.Tensor, batch: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Operation]]:
        """The mean over the draws of c log(1 + ||f(u) - Y||^2 / c) / (2 sigma^2).

        Of several workers all have the same draws, and each learns those that are nearest to an
        image of its own.

        Args:
            sigma: standard deviation of the noise.
            batch: how many images this worker learns in the iteration.

        Returns:
            The mean, and what makes the ascent of the potentials, told whether the iteration
            counts.
        """
        cluster = self._model.cluster
        images, made = self._images.read_value(), self.made
        visible = None if self._visible is None else self._visible.read_value()
        squares = tf.stop_gradient(squared_distances_of_seen(made, images, visible))  # [M, n]
        potentials = tf.gather(self._potentials.read_value(), self._kept)
        reduced = squares - potentials
        nearest, best = tf.argmin(reduced, 1), tf.reduce_min(reduced, 1)  # [M]
        rows = tf.one_hot(cluster.rank, cluster.size)[:, None] * best
        (of_all,) = cluster.sum([rows])  # [workers, M]
        mine = tf.cast(tf.equal(tf.argmin(of_all, 0), cluster.rank), tf.float32)
        (scale,) = cluster.mean([tf.reduce_mean(squares)], len(self._kept))
        matched = tf.one_hot(nearest, len(self._kept)) * mine[:, None]
        lacking = 1 / self._matchable - tf.reduce_mean(matched, 0)
        ascended = potentials + self._ascent * self.rate * scale * lacking
        ascended = tf.clip_by_value(ascended, -LIMIT * scale, LIMIT * scale)

        def ascend(sane: tf.Tensor) -> tf.Operation:
            stand = tf.where_v2(sane, ascended, potentials)
            return tf.scatter_update(self._potentials, self._kept, stand).op

        residual, numbers = made - tf.gather(images, nearest), float(images.shape[1])
        if visible is not None:
            seen = tf.gather(visible, nearest)
            residual, numbers = residual * seen, tf.reduce_sum(seen, 1)
        start, end = ((grey / 127.5) ** 2 for grey in TOLERANCE)
        c = numbers * start * (end / start) ** (1 - self.rate)
        error = tf.reduce_sum(tf.square(residual), 1)
        error = mine * c * tf.math.log1p(error / c)
        # The mean over all workers' batches is to be the sum over the workers.
        (whole,) = cluster.sum([tf.cast(batch, tf.float32)])
        error *= whole / tf.cast(batch, tf.float32)
        return tf.reduce_mean(error) / (2 * sigma**2), ascend


def squared_distances_of_seen(
    made: tf.Tensor, images: tf.Tensor, visible: tf.Tensor | None
) -> tf.Tensor:
    """||f(u) - Y||^2 [M, n] of made [M, D] and images [n, D], of the pixels that are seen.

    Args:
        made: f(u).
        images: Y, 0 where they are hidden.
        visible: 1 where they are seen, [n, D]; by default everywhere.
    """
    squares = quality.squared_distances(made, images)
    if visible is None:
        return squares
    return squares - tf.matmul(tf.square(made), 1 - visible, transpose_b=True)
