"""Random streams: reproducible, named, and no two alike."""

import itertools

import numpy as np
import tensorflow.compat.v1 as tf
from conftest import built, desnet, gennet

from common import streams
from common.streams import Stream


def keys(places):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run([streams.key(*place) for place in places])


def test_every_place_has_numbers_of_its_own():
    places = list(
        itertools.product((0, 1), (Stream.SYNTHESIS, Stream.DATA_NOISE), (0, 1, 7), (0, 3))
    )
    assert len({tuple(key) for key in keys(places)}) == len(places)
    draws = [streams.generator(*place).integers(2**62) for place in places]
    assert len(set(draws)) == len(places)
    assert [streams.generator(*place).integers(2**62) for place in places] == draws


def test_a_stream_may_be_fed():
    with tf.Graph().as_default(), tf.Session() as session:
        stream = tf.placeholder(tf.int32, [])
        key = streams.key(3, stream, 5, 2)
        fed = session.run(key, {stream: Stream.POSTERIOR})
    np.testing.assert_array_equal(fed, keys([(3, Stream.POSTERIOR, 5, 2)])[0])


def test_the_numbers_of_streams_stay():
    # They are part of the draws: a new stream goes to the end.
    assert [stream.name for stream in Stream][:6] == [
        *("WEIGHTS", "ORDER", "LATENTS", "INFERENCE", "SYNTHESIS", "DATA_NOISE")
    ]
    assert [int(stream) for stream in Stream] == list(range(1, len(Stream) + 1))


def test_weights_start_from_the_seed_and_the_name_alone():
    # Models that are built otherwise have the same weights where they have the same layers.
    pairs = [
        (built(gennet(sampler="mala")), built(gennet(sampler="langevin", num_images=2))),
        (built(desnet()), built(desnet(learning="convergent", network="strided", num_cores=2))),
    ]
    for one, other in pairs:
        a, b = one.learned_values(), other.learned_values()
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
            assert name.endswith("bias") or np.ptp(a[name]) > 0
    changed = built(gennet(sampler="mala", seed=1)).learned_values()
    first = pairs[0][0].learned_values()
    assert all((changed[n] != first[n]).any() for n in first if n.endswith("weight"))
