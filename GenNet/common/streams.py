"""Random numbers: one named stream for everything that is drawn.

What is drawn depends on the seed of the run, the name of its stream, the iteration, and the rank of
who draws (a group of chains, a worker), and on nothing that was drawn before.  So a run is
reproducible, one that is gone on with has the same bits, and no two uses share their numbers.
"""

from __future__ import annotations

import enum

import numpy as np

from common.session import tf


class Stream(enum.IntEnum):
    """Everything that is drawn.  A new stream goes to the end: its number is part of the draws."""

    WEIGHTS = enum.auto()  # of a network when learning begins, by the name of a variable
    ORDER = enum.auto()  # of the images, by epoch
    LATENTS = enum.auto()  # where the chains of z start
    INFERENCE = enum.auto()  # steps of the chains of z, by iteration
    SYNTHESIS = enum.auto()  # steps of the chains of images, by iteration and group of chains
    DATA_NOISE = enum.auto()  # on observed images, by iteration
    SAMPLES = enum.auto()  # z of the prior, for pictures
    OCCLUSION = enum.auto()  # pixels that are hidden
    OVERDISPERSION = enum.auto()  # of the chains that a posterior is drawn by, where they start
    POSTERIOR = enum.auto()  # steps of those chains, by group
    PARTICLES = enum.auto()  # that infer an image which was not learned
    PARTICLE_STEPS = enum.auto()  # their steps, by level of the noise
    REFERENCE = enum.auto()  # noise that chains start from after learning
    FLOOR = enum.auto()  # independent draws, which chains are measured against
    SLICES = enum.auto()  # directions that patches of images are compared along
    PATCHES = enum.auto()  # of images, where they are cut out, by iteration
    CORRUPTION = enum.auto()  # of images that are then denoised, by draw
    ADVERSARIAL = enum.auto()  # z of the images that a discriminator is shown, by iteration
    COMPLETION = enum.auto()  # hidden pixels that a model draws given those that are seen
    DROPOUT = enum.auto()  # features that are hidden while a model learns, by iteration
    ANNEALING = enum.auto()  # of chains to the reference and back: starts and steps, by pass
    STARTS = enum.auto()  # noise that chains start from, by iteration; 0: of what is shown
    COLOURS = enum.auto()  # flat colours with noise, by iteration
    TRANSPORT = enum.auto()  # z of the prior that are matched with images, by iteration
    HEIGHTS = enum.auto()  # noise on images whose log densities are compared
    RESAMPLING = enum.auto()  # which chains of z go on from draws of the prior, by iteration
    METRIC = enum.auto()  # directions along which f moves, for the metric of z, by iteration


def fold_in(key: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """The key of a part of what `key` draws: int32 [2]."""
    return tf.random.experimental.stateless_fold_in(key, number)


def key(
    seed: int,
    stream: Stream | tf.Tensor,
    iteration: tf.Tensor | int = 0,
    rank: tf.Tensor | int = 0,
) -> tf.Tensor:
    """The key of TensorFlow's stateless random operations: int32 [2].

    Args:
        seed: of the run.
        stream: what is drawn.
        iteration: when, int32.
        rank: by whom, int32.
    """
    return fold_in(fold_in(tf.stack([seed, stream]), iteration), rank)


def iteration_key(seed: int, stream: Stream, rank: tf.Tensor | int = 0) -> tf.Tensor:
    """`key` of the iteration that learning is at, by its global step; arguments as for `key`."""
    step = tf.cast(tf.train.get_or_create_global_step(), tf.int32)
    return key(seed, stream, step, rank)


def in_turn(rng: np.random.Generator, count: int, draws: int) -> np.ndarray:
    """So many draws of 0 to count - 1, [draws]: all in a random order, then all in another one."""
    rounds = -(-draws // count)
    return np.concatenate([rng.permutation(count) for _ in range(rounds)])[:draws]


def generator(seed: int, stream: Stream, iteration: int = 0, rank: int = 0) -> np.random.Generator:
    """NumPy's generator of the numbers of a stream; arguments as for `key`."""
    return np.random.default_rng([seed, stream, iteration, rank])
