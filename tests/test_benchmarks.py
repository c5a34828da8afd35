"""What the benchmark rests on: its count of operations, and rounds that alternate."""

import numpy as np
import tensorflow.compat.v1 as tf
from conftest import ROOT, load_file

from common import convolutions, layers
from descriptor_settings import Settings as DescriptorSettings
from DesNet import DesNet
from generator_settings import Settings as GeneratorSettings
from GenNet import GenNet

bench = load_file(ROOT / "benchmarks" / "bench.py")


def operations(build):
    """Floating-point operations of a graph, as TensorFlow counts them."""
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        build()
        session.run(tf.global_variables_initializer())
        options = tf.profiler.ProfileOptionBuilder.float_operation()
        options["output"] = "none"
        return tf.profiler.profile(graph, options=options).total_float_ops


def test_the_operations_of_the_networks_are_counted_right(monkeypatch):
    # Our forms of convolutions multiply zeros besides, which are not counted as work.
    monkeypatch.setattr(convolutions, "FEW_CHANNELS", 0)
    monkeypatch.setattr(convolutions, "FEW_PIXELS", 0)
    # Nor is the drawing of the weights.
    monkeypatch.setattr(layers._Normal, "__call__", lambda _, shape, dtype, **__: tf.zeros(shape))
    generator = operations(lambda: GenNet(GeneratorSettings(), 1).generator(tf.zeros([1, 2])))
    model = DesNet(DescriptorSettings(network="assignment"), np.zeros([1, 3]), num_cores=1)
    descriptor = operations(lambda: model.descriptor(tf.zeros([1, 64, 64, 3])))
    np.testing.assert_allclose(bench.GENERATOR_FLOP, generator, rtol=0.03)
    np.testing.assert_allclose(bench.DESCRIPTOR_FLOP, descriptor, rtol=0.03)


class Recorder:
    """A contender that notes its turns instead of working."""

    turns: list[str] = []

    def __init__(self, module, function, arguments):
        self.name = function

    def seconds(self):
        Recorder.turns.append(self.name)
        return float(len(Recorder.turns))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_rounds_alternate(monkeypatch):
    monkeypatch.setattr(bench, "Contender", Recorder)
    times = bench.alternate({"A": ("m", "a", {}), "B": ("m", "b", {})}, 3)
    assert Recorder.turns == ["a", "b"] * 3
    assert times == {
        "A": {"median": 3.0, "least": 1.0, "most": 5.0},
        "B": {"median": 4.0, "least": 2.0, "most": 6.0},
    }
