"""What the benchmark rests on: its count of operations, and rounds that alternate."""

import json
from importlib import import_module

import numpy as np
import tensorflow.compat.v1 as tf
from conftest import IMAGES, ROOT, fails, load_file

from common import convolutions, datasets, layers
from descriptor_settings import Settings as DescriptorSettings
from DesNet import DesNet
from generator_settings import Settings as GeneratorSettings
from GenNet import GenNet

bench = load_file(ROOT / "benchmarks" / "bench.py")
gpu = load_file(ROOT / "benchmarks" / "gpu.py")
robust = load_file(ROOT / "benchmarks" / "robust.py")
arrivals = load_file(ROOT / "benchmarks" / "arrivals.py")


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


def test_without_a_gpu_its_benchmark_ends_in_a_sentence(capsys, monkeypatch):
    monkeypatch.setattr(gpu.session, "gpu_details", lambda device: None)
    sentence = fails(capsys, gpu.main, [])
    assert sentence.startswith("benchmarks/gpu.py: TensorFlow sees no GPU here; pip install")


def once(tasks, rounds):
    """The tasks, each run once in this process."""
    for module, function, arguments in tasks.values():
        getattr(import_module(module), function)(**arguments)()
    return {name: {"median": 2.0, "least": 1.0, "most": 3.0} for name in tasks}


def test_the_benchmark_of_a_gpu_times_the_same_work(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "alternate", once)
    ours = {name: each for name, each in gpu.CONTENDERS.items() if name == "ours, TF32"}
    rows = gpu.measure({"GenNet": IMAGES, "DesNet": IMAGES}, ours, "cpu", 1)
    assert [(row["model"], row["images"]) for row in rows] == [("GenNet", 3), ("DesNet", 3)]
    for row in rows:
        flop = bench.count_flop(row["model"], IMAGES)
        assert row["gflop"] == flop / 1e9
        assert row["times"]["ours, TF32"]["gflop_per_second"] == flop / 2e9
    assert capsys.readouterr().out.count("2000.00 ms  (1000.00 to 3000.00)") == 2


def test_folders_of_every_kind_are_made_without_a_network(tmp_path):
    counts = {"both": 18, "mirrored": 22, "digits": 50, "gradients": 12, "one": 1, "equal": 2}
    loaded = {}
    for name in {*robust.folders.FOLDERS} - {"many"}:
        robust.folders.write(name, tmp_path / name)
        loaded[name] = datasets.load(tmp_path / name, 16)
        assert not loaded[name].skipped
    assert {name: len(loaded[name].names) for name in counts} == counts
    np.testing.assert_array_equal(*loaded["equal"].images)
    np.testing.assert_array_equal(loaded["grey"].images[..., 0], loaded["grey"].images[..., 2])
    mirrored = loaded["mirrored"].images.astype(int)
    assert np.abs(mirrored[0] - mirrored[1][:, ::-1]).max() <= 1


def test_a_run_that_fails_is_a_row_of_the_table(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(robust.folders, "write", lambda name, folder: folder.mkdir())
    monkeypatch.setattr(robust, "JSON", tmp_path / "robust.json")
    robust.main(["--folders", "one"])
    row = capsys.readouterr().out.splitlines()[1]
    assert row.count("no readable image in") == 2
    assert set(json.loads((tmp_path / "robust.json").read_text())["0"]) == {"one"}


def test_chains_arrive_where_they_are_like_an_image():
    noisy = IMAGES[[2, 2, 0]] + np.random.default_rng(0).normal(0, 8, (3, *IMAGES.shape[1:]))
    told = arrivals.judged(np.concatenate([noisy, np.full_like(IMAGES[:1], 128)]), IMAGES)
    assert told["arrived"] == 3 / 4  # a grey one is like none
    assert told["counts"] == [1, 0, 2]


def test_arrivals_are_written_of_every_run(finished, monkeypatch, tmp_path, capsys):
    folder = next(path for path in finished if path.parent.name == "DesNet")
    monkeypatch.setattr(arrivals, "learn", lambda *_: folder)
    monkeypatch.setattr(arrivals, "JSON", tmp_path / "arrivals.json")
    monkeypatch.setattr(arrivals, "CHAINS", 4)
    arrivals.main(["--steps", "3", "--seeds", "5", "--categories", "some", "--name", "tiny"])
    told = json.loads((tmp_path / "arrivals.json").read_text())["tiny"]["some"]["5"]
    for start in arrivals.STARTS:
        for when in ("arrived", "stayed"):
            assert 4 * told[start][when]["arrived"] == sum(told[start][when]["counts"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("some           5 |")
