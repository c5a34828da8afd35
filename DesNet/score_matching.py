"""Learning by score matching, where chains of the model go (`--learning score_matching`).

Of images with noise the score is known: at level i of the noise (see noise_levels.py), where
image j is seen as m_j,

    d log q_i(Y) / dY = (sum_j w_j(Y) m_j - Y) / sigma^2,  w_j(Y) ~ exp(-||Y - m_j||^2 / 2 sigma^2)

(the detail's part over sigma^2, the colour's over tau^2), and the energy's is fitted to it
(Vincent, 2011; Song and Ermon, 2019; as the gradient of an energy: Salimans and Ho, 2021).  Flat
colours have three dimensions, and their part is learned from colours with noise alone.  Of detail,
fitted at noisy images alone, the score is right there and anywhere else whatever it happens to be:
in so many dimensions the noisy images of any two are worlds apart, and a chain that errs between
them is lost.  So CHAINS chains of the model are always on their way down the ladder from mean
images, stay for a while at its end, and are renewed; every iteration is one step of each, and the
score is fitted where they stand as well.

The matrices of the ConvNet take steps of Muon's, see common/muon.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from best import BestWeights
from common import fitting, samplers, streams
from common.flags import SettingsError
from common.guard import until_sane
from common.model import Record
from common.session import tf
from common.streams import Stream, fold_in
from descriptor_settings import CHAINS, POINTS
from guard import GuardedAdam, running_autocorrelation
from heights import STEPS
from noise_levels import gather, in_parts

if TYPE_CHECKING:
    from conditional_network import ConditionalNetwork
    from DesNet import DesNet
    from noise_levels import NoiseLevels

AT_REST = 0.2  # share of the noisy images that are at the lowest level
# Whose detail a mean image is given is decided in a first share of the way, and a share of the
# other noisy images are there.
DECIDES, DECIDING = 0.3, 0.5
STAY = 0.3  # how long a chain stays at the lowest level, as a share of its way there
COLOURS = 1024  # with noise, in an iteration
MAX_NEIGHBOURS = 2048  # images that points are compared with: 100 MB of 64 x 64
# Grey levels: errors of what is seen below the noise count in proportion to the noise, and this.
TOLERANCE = 12.0


class ScoreMatching:
    """One iteration of it, on top of the model's graph."""

    def __init__(self, model: DesNet, network: ConditionalNetwork) -> None:
        """Build it in the current graph.

        Args:
            model: whose network is in the graph already.
            network: that one.

        Raises:
            SettingsError: there are more workers than chains.
        """
        self._model, settings = model, model.settings
        self._network, self._levels = network, network.levels
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
        # As many in every iteration: of sizes that are known a graph has far fewer operations.
        self._drawn = max(POINTS, model.shard.largest_batch(settings.batch_size or 1))
        points, image = self._drawn + self._count, [side, side, 3]
        self._points = tf.placeholder(tf.float32, [points, *image], "points")  # last the chains'
        self._seen = tf.placeholder(tf.float32, [self._drawn, *image], "seen")  # below their noise
        self._exact = tf.placeholder(tf.bool, [], "exact")
        self._neighbours = _Neighbours(self._levels, side)
        self._level = tf.placeholder(tf.int32, [points], "level")
        self._rests = tf.cast(tf.equal(self._level, self._levels.lowest), tf.float32)
        self._rate = tf.placeholder(tf.float32, [], "score_matching/learning_rate")
        self._all_colours = tf.constant(model.colours - model.mean_colour, tf.float32)  # [N, 3]
        self._period = round((1 + STAY) * (self._levels.lowest - self._levels.mean))
        self._build()

    def _build(self) -> None:
        """Fit the score, and move the chains."""
        model, levels, settings = self._model, self._levels, self._model.settings
        with self._network.precision(settings.precision):
            value = self._network(self._points, self._level)
            slope = tf.gradients(value, self._points, tf.ones_like(value))[0]
        score = slope - self._points / settings.ref_sigma**2
        errors, objective = self._compare(score)
        objective += self._compare_colours(self._key(Stream.COLOURS))
        noise = samplers.standard_normal(
            [self._count, *self._points.shape[1:]], self._key(Stream.SYNTHESIS)
        )
        growth, drift, width = (
            gather(values, self._level)[-self._count :]  # [m, 2]
            for values in (levels.growth, levels.drift, levels.width)
        )
        stand = self._points[-self._count :]
        moved = in_parts(growth, stand) + in_parts(drift, score[-self._count :])
        moved += in_parts(width, noise)
        means = [
            *(objective, tf.reduce_mean(tf.abs(score[-self._count :]))),
            *(tf.reduce_mean(width[:, 0]), *self._at_rest(value)),
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
            self._network.matrices(),
        )
        self.best = BestWeights(self._network.variables())
        with tf.control_dependencies([self.best.note(loss, adam.iteration)]):
            rate = tf.identity(self._rate)  # without which no weight moves
        sane, norm, updates = adam.minimize(
            *(objective, rate, None, tf.math.is_finite(loss), count)
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

    def _key(self, stream: Stream) -> tf.Tensor:
        """Of what this worker draws in an iteration."""
        return streams.iteration_key(self._model.settings.seed, stream, self._model.cluster.rank)

    def _compare(self, score: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What the score makes of the noise of every point: errors [n], squared; and the loss."""
        levels = self._levels
        a, b, sigma, tau = (
            gather(values, self._level)
            for values in (levels.detail, levels.colour, levels.sigma, levels.tau)
        )
        # The mean of what may be below the noise.
        clean = self._points + in_parts(tf.square(tf.stack([sigma, tau], 1)), score)
        target = self._neighbours.seen_from(self._points, a, b, sigma, tau)
        one_by_one = tf.concat([self._seen, target[-self._count :]], 0)
        target = tf.where_v2(self._exact, target, one_by_one)
        # Where the colour stays as it is, its score is of no use.
        counts = tf.stack([tf.ones_like(self._rests), self._rests], 1)
        difference = in_parts(counts, clean - target)
        errors = tf.reduce_mean(tf.square(difference), [1, 2, 3])
        tolerated = tf.square(a * sigma) + tf.square(TOLERANCE * tf.square(a))
        return errors, tf.reduce_mean(errors / tolerated)

    def _compare_colours(self, key: tf.Tensor) -> tf.Tensor:
        """The loss of flat colours, on their way to the level of mean images."""
        levels, colours = self._levels, self._all_colours
        keys = [fold_in(key, number) for number in range(5)]
        level = _whole_numbers(keys[0], COLOURS, levels.mean)
        b, sigma = gather(levels.colour, level), gather(levels.tau, level) / levels.side
        one, other = (
            tf.gather(colours, _whole_numbers(each, COLOURS, colours.shape[0]))
            for each in keys[1:3]
        )
        # Half of them on the way from one to another, where chains may err and no noise leads.
        share = tf.nn.relu(tf.random.stateless_uniform([COLOURS, 1], keys[3], -1.0))
        stand = b[:, None] * (one + share * (other - one))
        stand += sigma[:, None] * samplers.standard_normal([COLOURS, 3], keys[4])
        value = self._network.of_colours(stand, level)
        slope = tf.gradients(value, stand, tf.ones_like(value))[0]
        reference = levels.pixels * stand / self._model.settings.ref_sigma**2
        clean = stand + tf.square(sigma)[:, None] * (slope - reference)
        products = b[:, None] * tf.matmul(stand, colours, transpose_b=True)
        norms = tf.square(b)[:, None] * tf.reduce_sum(tf.square(colours), 1)
        weights = tf.nn.softmax((products - norms / 2) / tf.square(sigma)[:, None])  # [n, N]
        target = b[:, None] * tf.matmul(weights, colours)
        errors = tf.square(self._network.turned(clean - target))
        # What is not known: of little noise, that, and of much, the colours.
        known = 1 / tf.square(sigma)[:, None] + 1 / tf.square(b[:, None] * self._network.spreads)
        far = tf.reduce_mean(tf.square(target - stand), 1, keepdims=True)
        return tf.reduce_mean(errors / (1 / known + far / 4))

    def _at_rest(self, value: tf.Tensor) -> list[tf.Tensor]:
        """Of what is at the lowest level: the sum of f of images, their number; of chains."""
        parts = slice(None, -self._count), slice(-self._count, None)
        sums = self._rests * value, self._rests
        return [tf.reduce_sum(x[part]) for part in parts for x in sums]

    def train(self, images: np.ndarray, first: int, total: int) -> Iterator[Record]:
        """Iterations from `first` up to `total`, of this worker's images [N, S, S, 3]."""
        model, settings = self._model, self._model.settings
        kept = fitting.evenly(len(images), MAX_NEIGHBOURS)
        colours = (model.colours[model.shard.own] - model.mean_colour).astype(np.float32)
        detail = images[kept] - model.mean_colour - colours[kept, None, None]
        self._neighbours.keep(model.session, detail, colours[kept])
        del detail
        if first < total:  # learning goes on: what was level is not any more
            self._network.heights.reset(model.session)
            self.best.begin(model.session)
        # Of a part of the images, the score of all is only known in the mean.
        exact = len(kept) == len(images) and model.cluster.size == 1
        stand = model.session.run(self._chains)
        for iteration, index, batch in model.shard.batches(images, settings, first, total):
            seed = settings.seed, Stream.DATA_NOISE, iteration + 1, model.cluster.rank
            rng = streams.generator(*seed)
            repeated = streams.in_turn(rng, len(batch), self._drawn)
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
            if iteration + 1 == total:  # before the last checkpoint
                self.best.settle(model.session, total)
                self._level_out(images)
            yield {"iteration": iteration + 1, **record}

    def _level_out(self, images: np.ndarray) -> None:
        """Make the images, [N, S, S, 3] of this worker, as likely as each other."""
        model, own = self._model, self._model.shard.own
        heights = self._network.heights
        kept = heights.kept[(own.start <= heights.kept) & (heights.kept < own.stop)] - own.start
        mean = model.mean_colour
        heights.level_out(
            images[kept].astype(np.float32) - mean,
            lambda stand: -model.energies(stand + mean).astype(np.float64),
            lambda stand: model.run_chains(stand + mean, STEPS, kind="image") - mean,
            streams.generator(model.settings.seed, Stream.HEIGHTS, 0, model.cluster.rank),
            *(model.session, model.cluster.gather),
        )

    def _spread(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Levels of noisy images: where it is decided which; at the lowest; and all over."""
        first, way = self._levels.mean, self._levels.lowest - self._levels.mean
        low, deciding = round(AT_REST * count), round(DECIDING * (1 - AT_REST) * count)
        shares = [(deciding, DECIDES), (count - low - deciding, 1.0)]
        parts = [way * end * (np.arange(n) + rng.random(n)) / n for n, end in shares if n]
        level = first + rng.permutation(np.concatenate(parts))
        return np.append(level, np.full(low, self._levels.lowest)).astype(np.int32)

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
        ahead = np.arange(CHAINS)[self._shard.own] * self._period // CHAINS
        age = (iteration + ahead) % self._period
        level = np.minimum(self._levels.mean + age, self._levels.lowest)
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
        self, points: tf.Tensor, a: tf.Tensor, b: tf.Tensor, sigma: tf.Tensor, tau: tf.Tensor
    ) -> tf.Tensor:
        """The mean of what may be below the noise of points [n, S, S, 3]; likewise.

        Args:
            points: images with noise.
            a: of the level of each, [n].
            b: likewise.
            sigma: likewise.
            tau: likewise.
        """
        detail, colours, of_detail, of_colours = (
            self._kept[name].read_value()
            for name in ("detail", "colours", "detail_norms", "colours_norms")
        )
        flat = tf.reshape(points, [-1, 3 * self._pixels])
        products = (a / tf.square(sigma))[:, None] * tf.matmul(flat, detail, transpose_b=True)
        total = tf.reduce_sum(points, [1, 2])  # [n, 3]
        products += (b / tf.square(tau))[:, None] * tf.matmul(total, colours, transpose_b=True)
        norms = tf.square(a / sigma)[:, None] * of_detail
        norms += tf.square(b / tau)[:, None] * self._pixels * of_colours
        weights = tf.nn.softmax(products - norms / 2)  # [n, N]
        seen = _each(a) * tf.reshape(tf.matmul(weights, detail), tf.shape(points))
        return seen + (b[:, None] * tf.matmul(weights, colours))[:, None, None]


def _whole_numbers(key: tf.Tensor, count: int, end: int) -> tf.Tensor:
    """So many, from 0 to end - 1."""
    return tf.random.stateless_uniform([count], key, maxval=end, dtype=tf.int32)


def _each(value: tf.Tensor) -> tf.Tensor:
    return value[:, None, None, None]
