"""Chains of images, in the graph of a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from common import samplers
from common.session import tf
from common.streams import fold_in

if TYPE_CHECKING:
    from DesNet import DesNet


def sample(
    model: DesNet,
    images: tf.Tensor,
    step_size: tf.Tensor | float,
    key: tf.Tensor,
    num_steps: tf.Tensor | int,
    first_step: tf.Tensor | int,
    adjust: tf.Tensor | bool,
    visible: tf.Tensor | None,
) -> samplers.Chains:
    """Chains by the sampler of the settings; see `DesNet.langevin_dynamics`."""

    def seen(position: tf.Tensor) -> tf.Tensor:
        """The image at a position, which counts where pixels are hidden."""
        return position if visible is None else tf.where_v2(visible, images, position)

    num_leapfrog = model.settings.num_leapfrog
    by: dict[str, Callable] = {
        "langevin": partial(
            samplers.langevin, score_fn=lambda position: model.score(seen(position))
        ),
        "mala": partial(samplers.mala, adjust=adjust),
        "hmc": partial(samplers.hmc, num_leapfrog=num_leapfrog, adjust=adjust),
    }
    chains = by[model.settings.sampler](
        *(lambda position: model.log_prob(seen(position)), images, step_size, num_steps, key),
        first_step=first_step,
    )
    return chains._replace(position=seen(chains.position))


def go_down(
    model: DesNet,
    images: tf.Tensor,
    key: tf.Tensor,
    num_steps: tf.Tensor | int,
    first_step: tf.Tensor | int,
    entry: tf.Tensor | int,
    visible: tf.Tensor | None,
) -> samplers.Chains:
    """Chains down the ladder of noise, a step at a level, from the level `entry` [B] or scalar on.

    Of visible pixels every step sees what is to be seen of them at its level, with noise of its
    own; where chains end they are as given.
    """
    levels = model.levels
    assert levels is not None

    def at(number: tf.Tensor) -> tf.Tensor:
        level = tf.minimum(entry + number, levels.lowest)
        return tf.broadcast_to(level, tf.shape(images)[:1])

    def gathered(values, number):  # type: ignore[no-untyped-def]
        return tf.gather(tf.constant(values, tf.float32), at(number))

    def seen(position: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        if visible is None:
            return position
        shown = tf.cast(visible, tf.float32)
        pixels = tf.maximum(tf.reduce_sum(shown, [1, 2, 3], keepdims=True), 1)
        flat = tf.reduce_sum(shown * images, [1, 2], keepdims=True) / pixels
        a, b, sigma = (
            gathered(values, number)[:, None, None, None]
            for values in (levels.detail, levels.colour, levels.sigma)
        )
        noise = samplers.standard_normal(tf.shape(images), fold_in(fold_in(key, number), 1))
        return tf.where_v2(visible, a * images + (b - a) * flat + sigma * noise, position)

    chains = samplers.annealed_langevin(
        lambda position, number: model.score(seen(position, number), at(number)),
        lambda number: (gathered(levels.drift, number), gathered(levels.width, number)),
        *(images, num_steps, key),
        first_step=first_step,
    )
    if visible is None:
        return chains
    return chains._replace(position=tf.where_v2(visible, images, chains.position))
