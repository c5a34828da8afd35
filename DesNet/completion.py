"""Hidden pixels of an image, drawn by chains given the visible ones."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from chain_groups import enter, run_in_groups
from common import datasets, streams
from common.session import tf
from common.streams import Stream

if TYPE_CHECKING:
    from DesNet import DesNet


class Completion:
    """p(hidden pixels | visible ones) of a model as it is, on top of the model's graph."""

    def __init__(self, model: DesNet) -> None:
        self._model = model

    def complete(
        self, images: np.ndarray, visible: np.ndarray, num_steps: int, first_step: int = 0
    ) -> np.ndarray:
        """Images with their hidden pixels drawn, by the sampler of the model.

        A chain starts where all hidden pixels have the mean colour of the visible ones.

        Args:
            images: [n, S, S, 3] in [0, 255].
            visible: [n, S, S, 1], not 0 where a pixel is seen.
            num_steps: of a chain.
            first_step: number of the first step, for chains that go on from where images stand.

        Returns:
            [n, S, S, 3], unclipped; the visible pixels as they were.
        """
        shown, starts = np.asarray(visible) != 0, images
        if not first_step:
            seen = np.broadcast_to(shown | ~shown.any((1, 2, 3), keepdims=True), images.shape)
            colours = images.mean((1, 2), where=seen, dtype=np.float64)
            starts = np.where(shown, images, datasets.flat_images(colours, images.shape[1]))
        rows = {self._model.inputs.starts: starts, self._visible: shown}
        if self._model.levels is not None:
            rng = streams.generator(self._model.settings.seed, Stream.COMPLETION)
            rows |= enter(self._model, starts, "mean", rng, first_step)
            place = self._model.inputs.starts
            rows[place] = np.where(shown, images, rows[place])
        return run_in_groups(self._model, self._completed, rows, num_steps, first_step)

    @cached_property
    def _completed(self) -> tf.Tensor:
        """Where chains that see some pixels end, [B, S, S, 3] in [0, 255]."""
        model = self._model
        inputs, settings = model.inputs, model.settings
        network = model.networks[0]
        with model.session.graph.as_default(), network.precision(settings.precision):
            iteration = tf.cast(tf.train.get_global_step(), tf.int32)
            chains = model.langevin_dynamics(
                inputs.starts - model.mean_colour,
                tf.gather(model.step_sizes, inputs.index),
                streams.key(settings.seed, Stream.COMPLETION, iteration, inputs.group),
                num_steps=inputs.num_steps,
                first_step=inputs.first_step,
                visible=self._visible,
                entry=inputs.entry,
            )
            return chains.position + model.mean_colour

    @cached_property
    def _visible(self) -> tf.Tensor:
        side = self._model.settings.image_size
        with self._model.session.graph.as_default():
            return tf.placeholder(tf.bool, [None, side, side, 1], "visible")
