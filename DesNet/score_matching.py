"""Learning by score matching, where chains of the model go (`--learning score_matching`).

Of images with noise the score is known: at level i of the noise (see noise_levels.py), where
image j is seen as m_j,

    d log q_i(Y) / dY = (sum_j w_j(Y) m_j - Y) / sigma^2,  w_j(Y) ~ exp(-||Y - m_j||^2 / 2 sigma^2),

and the energy's is fitted to it (Vincent, 2011; Song and Ermon, 2019; as the gradient of an energy:
Salimans and Ho, 2021).  Fitted at noisy images alone, it is right there and anywhere else
whatever it happens to be: in so many dimensions the noisy images of any two are worlds apart, and a
chain that errs between them is lost.  So CHAINS chains of the model are always on their way down
the ladder, half of them from noise and half from mean images, stay for a while at its end, and are
renewed; every iteration is one step of each, and the score is fitted where they stand as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from common import samplers, streams
from common.flags import SettingsError
from common.guard import until_sane
from common.model import Record
from common.session import tf
from common.streams import Stream
from descriptor_settings import CHAINS, POINTS
from guard import GuardedAdam, running_autocorrelation

if TYPE_CHECKING:
    from DesNet import DesNet
    from noise_levels import NoiseLevels

AT_REST = 0.2  # share of the noisy images that are at the lowest level
STAY = 0.5  # how long a chain stays at the lowest level, as a share of the way from the top
MAX_NEIGHBOURS = 2048  # images that points are compared with: 100 MB of 64 x 64
# Grey levels: errors of what is seen below the noise count in proportion to the noise, and this.
TOLERANCE = 12.0


class ScoreMatching:
    """One iteration of it, on top of the model's graph."""

    def __init__(self, model: DesNet, levels: NoiseLevels) -> None:
        """Build it in the current graph.

        Args:
            model: whose network is in the graph already.
            levels: of the noise.

        Raises:
            SettingsError: there are more workers than chains.
        """
        self._model, settings = model, model.settings
        self._levels, self._network = levels, model.networks[0]
        if model.cluster.size > CHAINS:
            raise SettingsError(
                f"--learning score_matching has {CHAINS} chains, and workers share them: let at"
                f" most {CHAINS} learn"
            )
        self._shard = model.shard.evenly(CHAINS)
        self._count = self._shard.count  # of this worker's chains
        side = settings.image_size
        start = tf.zeros([self._shard.total, side, side, 3])
        self._chains = self._shard.variable("chains/images", start)
        shape = [None, side, side, 3]
        self._points = tf.placeholder(tf.float32, shape, "points")  # the last are the chains'
        self._seen = tf.placeholder(tf.float32, shape, "seen")  # below the noise of the others
        self._exact = tf.placeholder(tf.bool, [], "exact")
        self._neighbours = _Neighbours(self._levels, side)
        self._level = tf.placeholder(tf.int32, [None], "level")
        self._rate = tf.placeholder(tf.float32, [], "score_matching/learning_rate")
        kinds = ["noise", "mean"] * (CHAINS // 2)
        self._entries = self._levels.entries(kinds, CHAINS)[self._shard.own]
        self._periods = self._levels.lowest - self._entries + round(STAY * self._levels.lowest)
        self._build()

    def _build(self) -> None:
        """Fit the score, and move the chains."""
        model, levels, settings = self._model, self._levels, self._model.settings
        with self._network.precision(settings.precision):
            value = self._network(self._points, self._level)
            slope = tf.gradients(value, self._points, tf.ones_like(value))[0]
        score = slope - self._points / settings.ref_sigma**2
        errors, objective = self._compare(score)
        step_size = self._at(levels.width)[-self._count :]
        key = streams.key(
            settings.seed,
            Stream.SYNTHESIS,
            tf.cast(tf.train.get_or_create_global_step(), tf.int32),
            model.cluster.rank,
        )
        noise = samplers.standard_normal([self._count, *self._points.shape[1:]], key)
        stand, drift = self._points[-self._count :], _each(step_size**2 / 2) * score[-self._count :]
        moved = stand + drift + _each(step_size) * noise
        means = [
            *(objective, tf.reduce_mean(tf.abs(score[-self._count :]))),
            *(tf.reduce_mean(step_size), *self._at_rest(value)),
        ]
        count = tf.shape(self._points)[0]
        loss, magnitude, step_size, *at_rest = model.cluster.mean(means, count)
        observed, images, synthesized, chains = at_rest
        difference = observed / images - tf.math.divide_no_nan(synthesized, chains)
        adam = GuardedAdam(
            self._network.variables(),
            [],
            settings.beta1 or 0.0,
            settings.beta2 or 0.0,
            model.cluster,
        )
        sane, norm, updates = adam.minimize(
            *(objective, self._rate, tf.constant(1.0), tf.math.is_finite(loss), count)
        )
        moves = self._chains.assign(tf.where_v2(sane, moved, stand))
        autocorrelation, noted = running_autocorrelation(tf.where_v2(sane, difference, 0.0))
        with tf.control_dependencies([*updates, noted]):
            self._sane, self._errors, self._moved = sane, errors, tf.identity(moves)
            self._record = {
                "loss": tf.identity(loss),
                "energy_difference": difference,
                "energy_difference_autocorrelation": autocorrelation,
                "score_magnitude": magnitude,
                "gradient_norm": norm,
                "acceptance_rate": tf.constant(1.0),
                "step_size": step_size,
                "learning_rate": self._rate * adam.rate_factor,
                "roll_backs": adam.roll_backs.read_value(),
            }

    def _at(self, values: np.ndarray) -> tf.Tensor:
        """Those of the points, of values by level."""
        return tf.gather(tf.constant(values, tf.float32), self._level)

    def _compare(self, score: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What the score makes of the noise of every point: errors [n], squared; and the loss."""
        levels = self._levels
        a, b, sigma = map(self._at, (levels.detail, levels.colour, levels.sigma))
        clean = self._points + _each(tf.square(sigma)) * score  # the mean of what may be below it
        target = self._neighbours.seen_from(self._points, a, b, sigma)
        one_by_one = tf.concat([self._seen, target[-self._count :]], 0)
        target = tf.where_v2(self._exact, target, one_by_one)
        errors = tf.reduce_mean(tf.square(clean - target), [1, 2, 3])
        tolerated = tf.square(a * sigma) + tf.square(TOLERANCE * tf.square(a))
        return errors, tf.reduce_mean(errors / tolerated)

    def _at_rest(self, value: tf.Tensor) -> list[tf.Tensor]:
        """Of what is at the lowest level: the sum of f of images, their number; of chains."""
        rest = tf.cast(tf.equal(self._level, self._levels.lowest), tf.float32)
        parts = slice(None, -self._count), slice(-self._count, None)
        return [tf.reduce_sum(x[part]) for part in parts for x in (rest * value, rest)]

    def train(self, images: np.ndarray, first: int, total: int) -> Iterator[Record]:
        """Iterations from `first` up to `total`, of this worker's images [N, S, S, 3]."""
        model, settings = self._model, self._model.settings
        kept = np.unique(np.linspace(0, len(images) - 1, MAX_NEIGHBOURS).astype(int))
        colours = (model.colours[model.shard.own] - model.mean_colour).astype(np.float32)
        detail = images[kept] - model.mean_colour - colours[kept, None, None]
        self._neighbours.keep(model.session, detail, colours[kept])
        del detail
        # Of a part of the images, the score of all is only known in the mean.
        exact = len(kept) == len(images) and model.cluster.size == 1
        stand = model.session.run(self._chains)
        for iteration, index, batch in model.shard.batches(images, settings, first, total):
            seed = settings.seed, Stream.DATA_NOISE, iteration + 1, model.cluster.rank
            rng = streams.generator(*seed)
            repeated = np.arange(max(POINTS, len(batch))) % len(batch)
            batch = batch - model.mean_colour - colours[index, None, None]  # its detail
            batch, colour = batch[repeated], colours[index][repeated]
            stand, chain_level = self._renewed(stand, iteration, (batch, colour), colours, rng)
            level = self._spread(len(batch), rng)
            seen = self._levels.mixed(batch, colour, level)
            points = np.concatenate([self._levels.noisy(seen, level, rng), stand])
            level = np.concatenate([level, chain_level])
            feed = {
                self._points: points,
                self._seen: seen,
                self._exact: exact,
                self._level: level,
                self._rate: settings.rate(iteration, total),
            }
            record, stand = self._repeat(feed, iteration, chain_level == chain_level.max())
            yield {"iteration": iteration + 1, **record}

    def _spread(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Levels of noisy images: a few at the lowest, as of chains, the others all over."""
        lowest = self._levels.lowest
        others = count - round(AT_REST * count)
        level = lowest * (rng.permutation(others) + rng.random(others)) / others
        return np.append(level, np.full(count - others, lowest)).astype(np.int32)

    def _renewed(
        self,
        stand: np.ndarray,
        iteration: int,
        batch: tuple[np.ndarray, np.ndarray],
        colours: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The chains, of which those whose time is over start anew, and the level of each.

        Args:
            stand: the chains of this worker, [m, S, S, 3].
            iteration: its number, from 0.
            batch: the detail [n, S, S, 3] and the colours [n, 3] of images.
            colours: of all images, [N, 3].
            rng: of the noise.
        """
        # So that they are everywhere.
        ahead = np.arange(CHAINS)[self._shard.own] * self._periods // CHAINS
        age = (iteration + ahead) % self._periods
        level = np.minimum(self._entries + age, self._levels.lowest)
        if iteration == 0:  # on the way, as if they had always been
            picks = np.arange(self._count) % len(batch[0])
            seen = self._levels.mixed(batch[0][picks], batch[1][picks], level)
            return self._levels.noisy(seen, level, rng), level
        if (new := age == 0).any():
            flat = colours[rng.integers(len(colours), size=new.sum())]
            seen = self._levels.mixed(np.zeros_like(stand[new]), flat, level[new])
            stand = stand.copy()
            stand[new] = self._levels.noisy(seen, level[new], rng)
        return stand, level

    def _repeat(self, feed: dict, iteration: int, low: np.ndarray) -> tuple[Record, np.ndarray]:
        """Do an iteration until it is sane; the record, and where the chains [m] stand."""
        model, moved = self._model, feed[self._points][-self._count :]

        def attempt(_: int) -> tuple[bool, Record]:
            nonlocal moved
            fetched = [self._sane, self._record, self._errors, self._moved]
            sane, record, errors, moved = model.session.run(fetched, feed)
            at_the_end = errors[-self._count :][low]
            ends = moved[low] + model.mean_colour
            return sane, {
                **record,
                "psnr": 10 * np.log10(255**2 / max(float(at_the_end.mean()), 1e-3)),
                "out_of_range": ((ends < 0) | (ends > 255)).mean(),
            }

        return until_sane(attempt, lambda: model.settings.remedy(iteration, 1.0)), moved


class _Neighbours:
    """Images that points of the graph are compared with.

    They are kept beside the variables of the model, and are in no checkpoint.
    """

    def __init__(self, levels: NoiseLevels, image_size: int) -> None:
        self._levels, self._pixels = levels, image_size**2
        sizes = {"detail": 3 * self._pixels, "colours": 3}
        self._fed = {name: tf.placeholder(tf.float32, [None, n]) for name, n in sizes.items()}
        self._kept = {
            name: tf.Variable(
                *(value, False),
                collections=[tf.GraphKeys.LOCAL_VARIABLES],
                validate_shape=False,
                shape=value.shape,
                name=f"neighbours/{name}",
            )
            for name, value in (
                *self._fed.items(),
                *((f"{n}_norms", tf.reduce_sum(tf.square(v), 1)) for n, v in self._fed.items()),
            )
        }

    def keep(self, session: tf.Session, detail: np.ndarray, colours: np.ndarray) -> None:
        """Take the detail Y - c [N, S, S, 3] and the colours c [N, 3] of images."""
        values = {"detail": detail.reshape(len(detail), -1), "colours": colours}
        session.run(
            [kept.initializer for kept in self._kept.values()],
            {self._fed[name]: value for name, value in values.items()},
        )

    def seen_from(
        self, points: tf.Tensor, a: tf.Tensor, b: tf.Tensor, sigma: tf.Tensor
    ) -> tf.Tensor:
        """The mean of what may be below the noise of points [n, S, S, 3]; likewise.

        Args:
            points: images with noise.
            a: of the level of each, [n].
            b: likewise.
            sigma: likewise.
        """
        detail, colours, of_detail, of_colours = (
            self._kept[name].read_value()
            for name in ("detail", "colours", "detail_norms", "colours_norms")
        )
        flat = tf.reshape(points, [-1, 3 * self._pixels])
        products = a[:, None] * tf.matmul(flat, detail, transpose_b=True)
        total = tf.reduce_sum(points, [1, 2])  # [n, 3]
        products += b[:, None] * tf.matmul(total, colours, transpose_b=True)
        norms = tf.square(a)[:, None] * of_detail
        norms += tf.square(b)[:, None] * self._pixels * of_colours
        weights = tf.nn.softmax((products - norms / 2) / tf.square(sigma)[:, None])  # [n, N]
        seen = _each(a) * tf.reshape(tf.matmul(weights, detail), tf.shape(points))
        return seen + (b[:, None] * tf.matmul(weights, colours))[:, None, None]


def _each(value: tf.Tensor) -> tf.Tensor:
    return value[:, None, None, None]
