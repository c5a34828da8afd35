"""What a SavedModel of DesNet does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import streams
from common.export import Signature
from common.session import tf
from common.streams import Stream
from noise_levels import in_parts

if TYPE_CHECKING:
    from DesNet import DesNet


def signatures(model: DesNet) -> dict[str, Signature]:
    """`synthesize`, by chains of the run's own length, and `energy`, built in the current graph."""
    side, settings = model.settings.image_size, model.settings
    shape = [None, side, side, 3]
    about = f"float32 [n, {side}, {side}, 3], RGB in [0, 255]"
    step_sizes, iteration = model.session.run(
        [model.step_sizes, tf.train.get_global_step(model.session.graph)]
    )
    starts = tf.placeholder(tf.float32, shape, "starts")
    value = model.log_prob(starts - model.mean_colour)
    index = tf.range(tf.shape(starts)[0]) % model.num_chains
    key = streams.key(settings.seed, Stream.SYNTHESIS, int(iteration))
    entered = starts - model.mean_colour
    if (levels := model.levels) is not None:  # the noise that they enter with
        noise_key = streams.key(settings.seed, Stream.STARTS)
        noise = tf.random.stateless_normal(tf.shape(starts), noise_key)
        widths = [float(widths[levels.mean]) for widths in (levels.sigma, levels.tau)]
        entered += in_parts(tf.constant([widths]), noise)
    with model.networks[0].precision(settings.precision):
        chains = model.langevin_dynamics(
            *(entered, tf.gather(tf.constant(step_sizes), index), key),
            num_steps=None if levels is None else model.length_from("mean"),
        )
    return {
        "synthesize": Signature(
            {"starts": starts},
            {"images": chains.position + model.mean_colour},
            {"starts": about, "images": about + ", unclipped"},
        ),
        "energy": Signature(
            {"images": starts},
            {"energy": -value},
            {"images": about, "energy": "float32 [n], -log p(Y) + log Z in nats"},
        ),
    }
