"""Chains of images, in the graph of a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from common import samplers
from common.session import tf
from common.streams import fold_in
from noise_levels import NoiseLevels, gather, in_parts

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

    def step(
        position: tf.Tensor, noise: tf.Tensor, number: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        level = tf.broadcast_to(tf.minimum(entry + number, levels.lowest), tf.shape(images)[:1])
        stand = position
        if visible is not None:
            own = samplers.standard_normal(tf.shape(images), fold_in(fold_in(key, number), 1))
            stand = _seen(levels, images, visible, position, level, own)
        score = model.score(stand, level)
        growth, drift, width = (
            gather(values, level) for values in (levels.growth, levels.drift, levels.width)
        )
        moved = in_parts(growth, stand) + in_parts(drift, score) + in_parts(width, noise)
        if visible is not None:
            moved = _recoloured(levels, images, visible, moved, stand, score, level)
        return moved, score

    chains = samplers.annealed_langevin(step, images, num_steps, key, first_step=first_step)
    if visible is None:
        return chains
    return chains._replace(position=tf.where_v2(visible, images, chains.position))


def _seen(
    levels: NoiseLevels,
    images: tf.Tensor,
    visible: tf.Tensor,
    position: tf.Tensor,
    level: tf.Tensor,
    noise: tf.Tensor,
) -> tf.Tensor:
    """The position, but for the visible pixels: what a level shows of those, of its colour."""
    a, b, sigma = (
        gather(values, level)[:, None, None, None]
        for values in (levels.detail, levels.colour, levels.sigma)
    )
    flat = tf.reduce_mean(position, [1, 2], keepdims=True)
    return tf.where_v2(visible, a * (images - flat / b) + flat + sigma * noise, position)


def _recoloured(
    levels: NoiseLevels,
    images: tf.Tensor,
    visible: tf.Tensor,
    moved: tf.Tensor,
    stand: tf.Tensor,
    score: tf.Tensor,
    level: tf.Tensor,
) -> tf.Tensor:
    """Images that moved, of the colour by which the visible pixels are what they are.

    On the way down the colour stays as it is, but that of an image of which only a part is seen is
    not known: it is what the visible pixels are, less the mean detail that may be there.
    """
    a, sigma = (gather(values, level) for values in (levels.detail, levels.sigma))
    takes_off = tf.stack([tf.square(sigma), tf.zeros_like(sigma)], 1)
    clean = in_parts(tf.ones_like(takes_off), stand) + in_parts(takes_off, score)
    detail = clean - tf.reduce_mean(clean, [1, 2], keepdims=True)
    detail = tf.math.divide_no_nan(detail, a[:, None, None, None])
    shown = tf.cast(visible, tf.float32)
    pixels = tf.reduce_sum(shown, [1, 2], keepdims=True)  # [B, 1, 1, 1]
    colour = tf.reduce_sum(shown * (images - detail), [1, 2], keepdims=True) / tf.maximum(pixels, 1)
    recoloured = moved - tf.reduce_mean(moved, [1, 2], keepdims=True) + colour
    stays = tf.logical_and(level >= levels.mean, level < levels.lowest)[:, None, None, None]
    return tf.where_v2(tf.logical_and(stays, pixels > 0), recoloured, moved)
