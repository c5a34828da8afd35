"""Models of an image pixel by pixel: p(Y) = prod_i p(y_i | y_1 ... y_(i-1)), in raster order.

The log probability of an 8-bit image is exact, and one pass gives it.  Drawing takes a step a
pixel; pixels that are given stay, and so an image is completed.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from baseline import GROUP, Baseline, Settings
from common import flags, streams
from common.export import Signature
from common.flags import choice, number, setting, whole
from common.layers import Network
from common.likelihood import bits_per_dim
from common.session import tf
from common.streams import Stream
from masked import Dropout, kept
from pixel_likelihood import UNIFORMS, Distribution, Given, distribution

NORM = 1.0  # at most, of the gradient of the loss in nats a dimension
DROPOUT = 0.5
PIXELS = 64**2  # of a batch: many images, where they are small
EDGE = 1e-7  # uniform numbers stay so far from 0 and 1
BETA2 = 0.99  # of Adam: the gradient shrinks fast at first


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoregressiveSettings(Settings):
    """What models of this kind are told."""

    width: int = setting(24, whole(1, 1024), "channels of a layer", group="model")
    num_layers: int = setting(3, whole(1, 64), "layers after the first one", group="model")
    distribution: str = setting(
        "logistics",
        choice(["logistics", "softmax"]),
        "of a pixel: a mixture of discretized logistics, or a softmax over 256 levels",
        group="model",
    )
    components: int = setting(5, whole(1, 100), "logistics in the mixture", group="model")
    dropout: float = setting(
        DROPOUT,
        number(0, 0.9),
        "share of the features that are hidden at random while it learns",
        group="learning",
    )
    log_step: int = setting(
        500,
        whole(1, 10**9),
        "iterations from one progress panel and checkpoint to the next",
        group=flags.RUN,
        free=True,
    )

    @property
    def batch(self) -> int:
        """Images in an iteration: as many as have PIXELS pixels."""
        return max(1, PIXELS // self.image_size**2)


class Canvas:
    """Images that are drawn pixel by pixel.

    Attributes:
        levels: [n, S, S, 3], what is there so far, to be written to.
    """

    levels: np.ndarray

    def begin(self, row: int) -> None:
        """Go to a row; those above are done."""
        raise NotImplementedError

    def draw(self, column: int, uniforms: np.ndarray) -> np.ndarray:
        """Levels [n, 3] of a pixel of the row, by uniform numbers [n, UNIFORMS]."""
        raise NotImplementedError


class Autoregressive(Baseline):
    """A model of this kind.  Images are in [0, 255] outside, and in [-1, 1] inside."""

    distribution: Distribution

    @abstractmethod
    def given(self, levels: tf.Tensor, drop: Callable = kept) -> Given:
        """What every pixel is conditioned on.

        Args:
            levels: images [B, S, S, 3] in [0, 255].
            drop: hides a share of the features, while it learns; see `masked.Dropout`.
        """

    @abstractmethod
    def canvas(self, images: np.ndarray) -> Canvas:
        """For drawing on copies of images [n, S, S, 3] in [0, 255]."""

    @abstractmethod
    def _make_networks(self) -> list[Network]:
        """Make those of the features."""

    @abstractmethod
    def _make_sampler(self) -> None:
        """Build what a canvas runs."""

    @property
    def networks(self) -> list[Network]:
        """Of the features, and of the distribution."""
        return [*self._networks, self.distribution.network]

    def _make(self) -> None:
        settings = self.settings
        self.distribution = distribution(settings.distribution, settings.components, settings.seed)
        self._networks = self._make_networks()

    def _build(self) -> None:
        """One iteration: a step up the log probability of a batch."""
        self._make()
        self._begin()
        levels = self.inputs.images
        self._log_probs = self.distribution.log_probs(self.given(levels), levels)
        step, settings = tf.cast(self._iteration, tf.int32), self.settings
        drop = Dropout(settings.dropout, streams.key(settings.seed, Stream.DROPOUT, step))
        log_probs = self.distribution.log_probs(self.given(levels, drop), levels)
        loss = -tf.reduce_mean(tf.reduce_sum(log_probs, [1, 2, 3]))
        dimensions = levels.shape[1:].num_elements()
        optimizer = tf.train.AdamOptimizer(self.inputs.learning_rate, beta2=BETA2)
        pairs = optimizer.compute_gradients(loss / dimensions)
        gradients, norm = tf.clip_by_global_norm([gradient for gradient, _ in pairs], NORM)
        self._record = {
            "loss": loss,
            "bits_per_dim": loss / (dimensions * np.log(2)),
            "gradient_norm": norm,
        }
        with tf.control_dependencies(list(self._record.values())):
            learned = zip(gradients, [variable for _, variable in pairs], strict=True)
            self._update = optimizer.apply_gradients(learned, self._iteration)
        self._make_sampler()

    # What users call: numpy in, numpy out

    def log_probs(self, images: np.ndarray) -> np.ndarray:
        """Log p(R), log p(G | R), log p(B | R, G) of every pixel given those before it, nats.

        Args:
            images: [n, S, S, 3], whole numbers in [0, 255].

        Returns:
            [n, S, S, 3].
        """
        return self.in_groups(self._log_probs, self.inputs.images, images)

    def log_prob(self, images: np.ndarray) -> np.ndarray:
        """Log p(Y) of 8-bit images [n, S, S, 3] in [0, 255], exact, nats: [n]."""
        return self.log_probs(images).sum((1, 2, 3), dtype=np.float64)

    def sample(self, n: int) -> np.ndarray:
        """N images of the model, [n, S, S, 3] in [0, 255], the first ones always the same."""
        side = self.settings.image_size
        hidden = np.zeros([n, side, side, 1], bool)
        return self._draw(np.zeros([n, side, side, 3], np.float32), hidden, Stream.SAMPLES)

    def complete(self, images: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """Images with their hidden pixels drawn anew, in raster order.

        A pixel is drawn given those before it, seen or drawn, but not those after it: of the
        posterior where the hidden pixels are the last ones, as the lower half.

        Args:
            images: [n, S, S, 3], whole numbers in [0, 255].
            visible: [n, S, S, 1], not 0 where a pixel is seen.

        Returns:
            [n, S, S, 3], whole numbers in [0, 255], the seen pixels as they were.
        """
        return self._draw(images, np.asarray(visible) != 0, Stream.COMPLETION)

    def _draw(self, images: np.ndarray, visible: np.ndarray, stream: Stream) -> np.ndarray:
        """As `complete`, by the numbers of a stream."""
        rng = streams.generator(self.settings.seed, stream)
        drawn = []
        for start in range(0, len(images), GROUP):
            group = slice(start, start + GROUP)
            canvas = self.canvas(images[group])
            levels, seen = canvas.levels, visible[group, ..., 0]
            shape = [*levels.shape[:3], UNIFORMS]
            uniforms = np.clip(rng.random(shape, np.float32), EDGE, 1 - EDGE)
            for row, column in np.argwhere(~seen.all(0)):
                canvas.begin(row)
                new = canvas.draw(column, uniforms[:, row, column])
                kept = seen[:, row, column, None]
                levels[:, row, column] = np.where(kept, levels[:, row, column], new)
            drawn.append(np.array(levels))
        return np.concatenate(drawn)

    def bits(self, images: np.ndarray) -> np.ndarray:
        """Bits of every pixel given those before it: [n, S, S], of images [n, S, S, 3]."""
        return bits_per_dim(self.log_probs(images).sum(3), 1)

    def signatures(self) -> dict[str, Signature]:
        """For a SavedModel: `log_prob`."""
        self._make()
        side = self.settings.image_size
        images = tf.placeholder(tf.float32, [None, side, side, 3], "images")
        log_probs = self.distribution.log_probs(self.given(images), images)
        about: dict[str, Any] = {
            "images": f"float32 [n, {side}, {side}, 3], RGB, whole numbers in [0, 255]",
            "log_prob": "float32 [n]: exact, in nats",
        }
        log_prob = tf.reduce_sum(log_probs, [1, 2, 3])
        return {"log_prob": Signature({"images": images}, {"log_prob": log_prob}, about)}
