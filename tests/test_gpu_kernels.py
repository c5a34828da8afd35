"""Every step of both models on a GPU, of which this machine has none: kernels, memory, forms."""

from collections import Counter

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import CENTRED, UNIT, built, desnet, gennet
from placement import copies, lacking, nodes

from common import samplers, session
from descriptor_settings import SAMPLERS as DESCRIPTOR_SAMPLERS
from generator_settings import SAMPLERS as GENERATOR_SAMPLERS

needs_kernels = pytest.mark.skipif(
    not tf.test.is_built_with_cuda(),
    reason="this TensorFlow is built without CUDA and lists no kernels for a GPU",
)

# Operations that may be without a kernel, and why.
WITHOUT_KERNEL = {
    "SaveV2",  # writes a checkpoint's files: once, at the end of a run and every --log_step
    "Const of texts",  # the names of what is saved
}

# What lies in the host's memory at a step of a chain, by what it is.
LOOP = {"While", "StatelessWhile", "_Arg", "_Retval", "AddV2", "Less"}  # counter, length, key
SHAPES = {  # the shapes of tensors, their parts and products; axes; places in a path of positions
    *("BroadcastGradientArgs", "BroadcastTo", "ConcatOffset", "ConcatV2", "Const"),
    *("Conv2DBackpropFilter", "Conv2DBackpropInput", "ExpandDims", "Fill", "FloorDiv", "FloorMod"),
    *("Mean", "Mul", "Pack", "Reshape", "Shape", "ShapeN", "Slice", "StridedSlice", "Sum"),
    *("TensorListSetItem", "Tile", "Unpack"),
}
KEYS = {  # of random numbers
    *("_Arg", "Const", "Pack", "StatelessRandomGetKeyCounter", "StatelessRandomUniformFullIntV2"),
    *("StatelessRandomUniformV2", "Unpack"),
}
HANDLES = {"ReadVariableOp", "_Arg", "_Retval"}  # where variables lie, not what they hold
FEW = 8  # numbers: the largest shape has 6 axes

# Vectors whose length shows at the run: axes, at most as many as a tensor has.
AXES = {"BroadcastGradientArgs.r0", "BroadcastGradientArgs.r1", "Sum.reduction_indices"}


def is_small(use):
    """Whether a tensor in the host's memory is one of those that may be there."""
    op_type, dtype = use.argument.partition(".")[0], use.tensor.dtype.base_dtype.name
    if dtype == "resource":
        return op_type in HANDLES
    if op_type not in {"int32": LOOP | SHAPES | KEYS, "uint64": KEYS, "bool": LOOP}.get(dtype, ()):
        return False
    size = use.tensor.shape.num_elements()
    return use.argument in AXES if size is None else size <= FEW


# The graphs, as they are built on a GPU


def generator_graph(**options):
    """That of an iteration, of chains that are drawn after it, and of their metric."""
    model = built(gennet(num_cores=0, num_leapfrog=1, **options))
    assert model.posterior._drawing("float32") and model.posterior._metric is not None
    return model.session.graph


def descriptor_graph(**options):
    return built(desnet(num_cores=0, num_leapfrog=1, **options)).session.graph


GRAPHS = {
    f"GenNet {sampler} {precision}": (
        generator_graph,
        {"sampler": sampler, "precision": precision},
    )
    for sampler in GENERATOR_SAMPLERS
    for precision in ("float32", "bfloat16")
}
GRAPHS["GenNet hidden pixels"] = (
    generator_graph,
    {"visible": np.ones([3, 16, 16, 1]), "occlude": "70%"},
)
GRAPHS |= {
    f"DesNet {sampler} {learning} float32": (
        descriptor_graph,
        {"sampler": sampler, "learning": learning},
    )
    for sampler in DESCRIPTOR_SAMPLERS
    for learning in ("short_run", "convergent")
}
GRAPHS |= {  # only Langevin dynamics can do with bfloat16
    f"DesNet langevin {learning} bfloat16": (
        descriptor_graph,
        {"learning": learning, "precision": "bfloat16"},
    )
    for learning in ("short_run", "convergent")
}
GRAPHS["DesNet assignment"] = (descriptor_graph, {"network": "assignment"})


@needs_kernels
@pytest.mark.parametrize("graph", GRAPHS)
def test_every_step_is_fit_for_a_gpu(graph, monkeypatch):
    monkeypatch.setattr(session, "_multiplies_bfloat16", lambda device: True)
    build, options = GRAPHS[graph]
    every = list(nodes(build(**options)))
    assert lacking(every) <= WITHOUT_KERNEL

    # The keys of the steps are made on the processor, and a checkpoint is read there.
    pinned = [node for node in every if node.pinned and not node.name.startswith("save/")]
    assert {node.type for node in pinned} <= KEYS
    assert all(is_small(use) for node in pinned for use in (*node.inputs, *node.outputs))

    steps = [node for node in every if node.in_step]
    assert {"Conv2D", "Conv2DBackpropInput", "StatelessRandomUniformV2"} <= {n.type for n in steps}
    in_host = [use for node in steps for use in (*node.inputs, *node.outputs) if use.in_host]
    # The arguments of a loop's condition are those of its body, where their shapes are known.
    known = [u for u in in_host if u.argument != "_Arg" or u.tensor.shape.rank is not None]
    assert [use for use in known if not is_small(use)] == []
    # No step waits for the GPU to hand something back, and all that it is given is its key.
    assert {(c.producer, c.consumer) for c in copies(steps) if c.to_host} == set()
    assert {(c.producer, c.consumer) for c in copies(steps)} == {
        (f"StatelessRandomGetKeyCounter.{part}", f"StatelessRandomUniformV2.{part}")
        for part in ("key", "counter")
    }


# What is looked for is found


def looped(step, dtype="float32"):
    """The nodes of a loop that does `step` to a batch of images."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(dtype, [None, 16, 16, 3])
        tf.while_loop(lambda t, x: t < 3, lambda t, x: (t + 1, step(x)), [0, images])
    return list(nodes(graph))


def python_step(x):
    y = tf.py_func(lambda x: x, [x], x.dtype)
    y.set_shape(x.shape)
    return y


def scattered(x):
    return tf.tensor_scatter_nd_update(x, [[0]], x[1:2])


@needs_kernels
def test_a_step_without_a_kernel_is_found():
    assert lacking(looped(python_step)) == {"PyFunc"}
    assert lacking(looped(scattered, "bfloat16")) == {"TensorScatterUpdate"}
    assert lacking(looped(scattered)) == set()  # for float32 there is one


@needs_kernels
def test_images_in_the_memory_of_the_processor_are_found():
    # Whole numbers are added there, and images of them too.
    steps = [node for node in looped(lambda x: x + 1, "int32") if node.in_step]
    found = {
        use.argument
        for node in steps
        for use in (*node.inputs, *node.outputs)
        if use.in_host and not is_small(use)
    }
    assert {"AddV2.x", "AddV2.z", "_Retval"} <= found


@needs_kernels
@pytest.mark.parametrize(
    ("step", "consumer"),
    [
        # The gradient of a sum computes with shapes, on the GPU.
        (lambda x: tf.gradients(tf.reduce_sum(x, [1, 2, 3]), x)[0], "Reshape.shape"),
        (
            lambda x: x * tf.linalg.diag_part(x[..., 0])[:, :, None, None],
            "MatrixDiagPartV3.padding_value",
        ),
        (lambda x: x + tf.cast(tf.reduce_prod(tf.shape(x)) + 1, x.dtype), "AddV2.x"),
    ],
    ids=["gradient of a sum", "diagonal", "size of a tensor"],
)
def test_a_copy_that_a_step_waits_for_is_found(step, consumer):
    steps = [node for node in looped(step) if node.in_step]
    assert consumer in {copy.consumer for copy in copies(steps) if copy.to_host}


@needs_kernels
def test_keys_that_the_gpu_makes_are_found(monkeypatch):
    monkeypatch.setattr(samplers, "KEYS_ON", None)
    steps = [node for node in nodes(descriptor_graph()) if node.in_step]
    assert {copy.producer for copy in copies(steps) if copy.to_host} == {
        "StatelessRandomUniformFullIntV2.output"
    }


# Chains on a second device, which stands for the GPU


def ends(build, device):
    """Where chains end whose model is placed on a device, and what passes between the devices."""
    with tf.Graph().as_default():
        with tf.device(device):
            chains = build()
        config = tf.ConfigProto(device_count={"CPU": 2})
        with tf.Session(config=config) as session:
            session.run(tf.global_variables_initializer())
            options = tf.RunOptions(output_partition_graphs=True)
            metadata = tf.RunMetadata()
            end = session.run(chains.position, options=options, run_metadata=metadata)
    sent = Counter(
        tf.as_dtype(node.attr["T"].type).name
        for graph in metadata.partition_graphs
        for node in graph.node
        if node.op == "_Send" and "/ctrl/" not in node.input[0]  # an empty tensor, for order
    )
    return end, sent


@pytest.mark.parametrize(
    "build",
    [
        lambda: desnet(num_cores=0).langevin_dynamics(
            tf.constant(CENTRED, tf.float32), 0.3, tf.constant([0, 1]), num_steps=3
        ),
        lambda: gennet(num_cores=0).langevin_dynamics(
            tf.zeros([3, 2]), UNIT.astype(np.float32), 0.3, 0.1, tf.constant([0, 1]), num_steps=3
        ),
    ],
    ids=["DesNet", "GenNet"],
)
def test_chains_on_another_device_are_sent_only_their_keys(build):
    expected, sent = ends(build, None)
    assert not sent
    end, sent = ends(build, "/device:CPU:1")
    assert sent.pop("float32") == 1  # where they end, to whoever asked
    # Keys and the number of the step; and whether there is a next one.
    assert sent.keys() == {"int32", "bool"}
    np.testing.assert_array_equal(end, expected)


# Forms of convolutions


@pytest.fixture
def gpu(monkeypatch):
    """A machine that has one, as far as the models ask."""
    monkeypatch.setattr(session, "gpu_details", lambda device: {"device_name": "GPU 0"})


def work(function, *inputs):
    """How often each kind of operation stands in what `function` builds, gradient included."""
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, inputs)
        tf.gradients(function(x), x)
        kinds = {"Conv2D", "Conv2DBackpropInput", "MatMul", "BatchMatMulV2", "DepthToSpace", "Pad"}
        return Counter(op.type for op in graph.get_operations() if op.type in kinds)


def test_a_gpu_is_given_one_convolution_for_each_layer_and_the_whole_batch(gpu):
    generator, descriptor = gennet(num_cores=None), desnet(num_cores=None)
    # Forward and back; the dense layers multiply matrices, at each of which both factors learn,
    # and so does what bounds the features of z.
    assert work(generator.generator, None, 2) == {
        **{"Conv2DBackpropInput": 4, "Conv2D": 4, "MatMul": 18}
    }
    assert work(descriptor.descriptor, None, 16, 16, 3) == {
        **{"Conv2D": 3, "Conv2DBackpropInput": 3, "MatMul": 8}
    }


def test_a_processor_is_given_its_own_forms():
    generator, descriptor = gennet(num_cores=2), desnet(num_cores=2)
    assert work(generator.generator, None, 2)["Pad"]
    kinds = work(descriptor.descriptor, None, 16, 16, 3)
    assert kinds["Pad"] and kinds["DepthToSpace"]
    assert kinds["Conv2D"] > 6  # of two halves
