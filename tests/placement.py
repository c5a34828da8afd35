"""What TensorFlow would do with a graph on a GPU, told from the kernels of its Linux wheel.

The wheel lists its kernels without a GPU: for each, the types that it takes, and which of its
arguments lie in the memory of the processor, the host.  An operation without a kernel for the GPU
would run on the processor.  An edge from the GPU's memory to the host's is a copy, which waits for
all that the GPU was given before.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf
from tensorflow.python.framework import kernels, op_def_registry

LOOPS = ("While", "StatelessWhile")
CALLS = (*LOOPS, "If", "StatelessIf")


class Use(NamedTuple):
    """A tensor as an argument of an operation."""

    argument: str  # type of the operation, name of the argument
    tensor: tf.Tensor
    in_host: bool  # whether the operation has it in the memory of the processor


class Node(NamedTuple):
    """An operation of a graph, or of a function that it calls."""

    type: str
    name: str
    dtypes: str
    pinned: bool  # to the processor, by the model itself
    has_kernel: bool  # for a GPU
    in_step: bool  # whether it runs at every step of a loop
    inputs: list[Use]
    outputs: list[Use]


# Kernels


class Kernel(NamedTuple):
    """What an operation is computed by."""

    device: str
    label: str
    priority: int
    constraints: dict[str, set]  # by attribute, the values that it may have
    in_host: frozenset[str]  # arguments in the memory of the processor


def _values(attribute: Any) -> set:
    """What an attribute holds, a value or a list of them: types, numbers, texts, booleans."""
    if attribute.HasField("list"):
        return {value for _, values in attribute.list.ListFields() for value in values}
    return {getattr(attribute, attribute.WhichOneof("value"))}


@functools.cache
def _kernels(op_type: str) -> list[Kernel]:
    return [
        Kernel(
            each.device_type,
            each.label,
            each.priority,
            {c.name: _values(c.allowed_values) for c in each.constraint},
            frozenset(each.host_memory_arg),
        )
        for each in kernels.get_registered_kernels_for_op(op_type).kernel
    ]


def kernel(op_type: str, attributes: Any, device: str = "GPU") -> Kernel | None:
    """The kernel that TensorFlow takes, by the rules of its op_kernel.cc; None if there is none.

    Of the device's own kernels whose constraints the attributes meet, that of the highest
    priority; or else one of those for any device ("DEFAULT").
    """
    label = attributes["_kernel"].s.decode() if "_kernel" in attributes else ""
    names = {name for each in _kernels(op_type) for name in each.constraints}
    values = {name: _values(attributes[name]) for name in names}
    for of in (device, "DEFAULT"):
        fitting = [
            each
            for each in _kernels(op_type)
            if each.device == of and each.label == label
            if all(values[name] <= allowed for name, allowed in each.constraints.items())
        ]
        if fitting:
            return max(fitting, key=lambda each: each.priority)
    return None


# Memory


@functools.cache
def _carried_in_host(dtype: tf.DType) -> bool:
    """Whether a type is carried in the host's memory by a loop or a condition.

    TensorFlow makes Switch and its like of them.
    """
    attributes = {"T": tf.AttrValue(type=dtype.as_datatype_enum)}
    chosen = kernel("Switch", attributes)
    assert chosen is not None
    return "data" in chosen.in_host


def _carried(name: str, tensors: Iterable[tf.Tensor]) -> list[Use]:
    return [Use(name, tensor, _carried_in_host(tensor.dtype)) for tensor in tensors]


def _arguments(definitions: Any, attributes: Any) -> Iterator[str]:
    """The name of the argument that each input, or each output, of an operation belongs to."""
    for each in definitions:
        count = 1
        if each.number_attr:
            count = attributes[each.number_attr].i
        elif each.type_list_attr:
            count = len(attributes[each.type_list_attr].list.type)
        yield from [each.name] * count


def _node(operation: tf.Operation, attributes: Any, is_argument: bool, in_step: bool) -> Node:
    chosen = kernel(operation.type, attributes)
    pinned = "CPU" in operation.device
    definition = op_def_registry.get(operation.type)

    def uses(definitions: Any, tensors: Iterable[tf.Tensor]) -> list[Use]:
        if is_argument or operation.type in CALLS:
            return _carried("_Arg" if is_argument else operation.type, tensors)
        of_host = None if pinned or chosen is None else chosen.in_host
        return [
            Use(f"{operation.type}.{name}", tensor, of_host is None or name in of_host)
            for name, tensor in zip(_arguments(definitions, attributes), tensors, strict=True)
        ]

    return Node(
        "_Arg" if is_argument else operation.type,
        operation.name,
        ", ".join(tensor.dtype.name for tensor in (*operation.inputs, *operation.outputs)),
        pinned,
        is_argument or chosen is not None,
        in_step,
        uses(definition.input_arg, operation.inputs),
        uses(definition.output_arg, operation.outputs),
    )


def nodes(graph: tf.Graph, in_step: bool = False, is_condition: bool = False) -> Iterator[Node]:
    """Every operation of the graph, of the functions that it calls, and of those that they call.

    What a function returns is a node of type _Retval.
    """
    arguments = {id(tensor) for tensor in getattr(graph, "inputs", [])}
    for operation in graph.get_operations():
        attributes = operation.node_def.attr
        is_argument = any(id(tensor) in arguments for tensor in operation.outputs)
        yield _node(operation, attributes, is_argument, in_step)
        for name, attribute in attributes.items():
            for function in (attribute.func, *attribute.list.func):
                if function.name:
                    yield from nodes(
                        graph._get_function(function.name).graph,
                        in_step or operation.type in LOOPS,
                        operation.type in LOOPS and name == "cond",
                    )
    returned = _carried("_Retval", getattr(graph, "outputs", []))
    if is_condition:  # which the host reads, to go on or not
        returned = [use._replace(in_host=True) for use in returned]
    yield Node("_Retval", "", "", False, True, in_step, returned, [])


def lacking(of: Iterable[Node]) -> set[str]:
    """Types of the nodes that have no kernel for a GPU and are not pinned elsewhere."""
    return {
        f"{node.type} of texts" if node.dtypes == "string" else node.type
        for node in of
        if not node.has_kernel and not node.pinned
    }


class Copy(NamedTuple):
    """A tensor that goes from one memory to the other."""

    producer: str
    consumer: str
    tensor: tf.Tensor
    to_host: bool


def copies(of: Iterable[Node]) -> list[Copy]:
    """What is copied between the memories where the nodes meet."""
    of = list(of)
    made = {id(use.tensor): use for node in of for use in node.outputs}
    return [
        Copy(made[id(use.tensor)].argument, use.argument, use.tensor, use.in_host)
        for node in of
        for use in node.inputs
        if made[id(use.tensor)].in_host != use.in_host
    ]
