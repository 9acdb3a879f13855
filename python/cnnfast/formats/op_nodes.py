"""Ops applied directly to the values of a model: written by name, read back through the ops' own checks."""

from __future__ import annotations

import base64
import binascii
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast import ops
from cnnfast.formats.strict_json import member, of_kind, only_keys, short
from cnnfast.graph.values import Node, Value
from cnnfast.ops.core import OPS

_CONSTANT_TYPES = ("float32", "int32", "uint8")

# Ops whose public functions have other names or arguments than the nodes they make: for each op the functions
# that may have made it, the arguments' names by those of the attributes (None: no argument), what is added.
_Maker = tuple[str, dict[str, str | None], dict[str, Any]]
_MAKERS: dict[str, list[_Maker]] = {
    "conv2d_backward_input": [("conv2d_transpose", {"size": "output_size", "groups": None}, {})],
    "crop2d": [("crop2d", {"padding": "cropping"}, {})],
    "depthwise_conv2d": [("depthwise_conv2d", {"groups": None}, {})],
    "global_max_pool2d": [("global_max_pool2d", {"argmax": None}, {})],
    "max_pool2d": [("max_pool2d", {"argmax": None}, {})],
    "slice": [("slice_axis", {}, {})],
    "sum": [(name, {"axes": "axis", "scale": None, "mean": None}, {}) for name in ("sum", "mean")],
    "upsample_bilinear": [("upsample2d", {}, {"interpolation": "bilinear"})],
    "upsample_nearest": [("upsample2d", {}, {"interpolation": "nearest"})],
}


def describe_node(node: Node, reference: Callable[[Value], int], where: str) -> dict[str, Any]:
    """An op's node as JSON can hold it: the public function that makes it, and the arguments.

    Args:
        node: of a model's definition.
        reference: the number of a value within the model.
        where: for messages.

    Raises:
        ValueError: no public function makes such a node.
    """
    operands = [None if v is None else v if v.constant is None else v.constant for v in node.inputs]
    for name, renamed, added in _MAKERS.get(node.op.name, [(node.op.name, {}, {})]):
        named = {renamed.get(key, key): value for key, value in node.attributes.items()}
        arguments = _plain({key: v for key, v in named.items() if key is not None} | added)
        try:
            again = _call(name, operands, arguments, where)
        except ValueError:
            continue
        if _same(again, node):
            inputs = [_describe_input(v, reference) for v in node.inputs]
            return {"op": name, "inputs": inputs, "arguments": arguments}
    raise ValueError(f"{where}: op {node.op.name} cannot be saved; put it into a layer of your own")


def _same(a: Node, b: Node) -> bool:
    """Whether two nodes compute the same from the same."""
    inputs = zip(a.inputs, b.inputs, strict=False)
    return (
        a.op is b.op
        and len(a.inputs) == len(b.inputs)
        and all(x is y or (x is not None and x.constant is not None) for x, y in inputs)
        and _plain(a.attributes) == _plain(b.attributes)
    )


def check_node(what: str, entry: Any) -> int:
    """Checks a description as far as JSON goes, and returns how many bytes of constants it holds.

    Raises:
        ValueError: an unknown op, no symbolic input, a constant that is none, or arguments that are no
            object.
    """
    name = member(what, entry, "op", str)
    only_keys(what, entry, {"op", "inputs", "arguments"})
    if name not in _public_names():
        raise ValueError(f"{what}: unknown op {short(name)}; known: {', '.join(sorted(_public_names()))}")
    member(what, entry, "arguments", dict)
    inputs = member(what, entry, "inputs", list)
    for i in inputs:
        if i is not None and type(i) is not int and type(i) is not dict:
            raise ValueError(f"{what}: an input must be the number of a value, a constant or null, got {short(i)}")
    # Without a symbolic input the op would not be described but computed, at whatever size the file says.
    if not any(type(i) is int for i in inputs):
        raise ValueError(f"{what}: op {name} needs an input that is a value of the model, got {short(inputs)}")
    return sum(_read_constant(what, i).nbytes for i in inputs if isinstance(i, dict))


def apply_node(what: str, entry: dict[str, Any], value: Callable[[int], Value]) -> list[Value]:
    """The outputs of a checked description.

    Args:
        what: for messages.
        entry: the description.
        value: finds a value of the model by its number.

    Raises:
        ValueError: the op does not take these inputs or arguments.
    """
    operands = [
        value(i) if isinstance(i, int) else None if i is None else _read_constant(what, i) for i in entry["inputs"]
    ]
    return _call(entry["op"], operands, entry["arguments"], what).outputs


def _public_names() -> set[str]:
    """Functions that files may name: public ones of ops that do not change what they read."""
    makers = {name for found in _MAKERS.values() for name, *_ in found}
    return makers | {name for name, op in OPS.items() if name in ops.__all__ and not op.updates}


def _call(name: str, operands: list[Any], arguments: dict[str, Any], where: str) -> Node:
    """The node that a public function makes; the function checks everything it is given."""
    if name not in _public_names():
        raise ValueError(f"{where}: op {name} has no public function")
    function = getattr(ops, name)
    first = next(iter(inspect.signature(function).parameters.values()))
    positional = [operands] if first.name == "xs" else operands
    try:
        result = function(*positional, **arguments)
    except Exception as error:
        raise ValueError(f"{where}: op {name}: {error}") from error
    output = result[0] if isinstance(result, tuple) else result
    if not isinstance(output, Value) or output.node is None:
        raise ValueError(f"{where}: op {name} does nothing here")
    return output.node


def _describe_input(value: Value | None, reference: Callable[[Value], int]) -> Any:
    if value is None:
        return None
    return reference(value) if value.constant is None else _describe_constant(value.constant)


def _describe_constant(array: np.ndarray) -> dict[str, Any]:
    """An array as text: base64 keeps every bit, NaN and infinities included, which JSON's numbers do not."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def _read_constant(what: str, entry: dict[str, Any]) -> np.ndarray:
    only_keys(f"{what}: a constant", entry, {"base64", "dtype", "shape"})
    dtype = member(f"{what}: a constant", entry, "dtype", str)
    if dtype not in _CONSTANT_TYPES:
        raise ValueError(f"{what}: a constant must be one of {', '.join(_CONSTANT_TYPES)}, got {short(dtype)}")
    shape = [of_kind(f"{what}: a constant's size", d, int) for d in member(what, entry, "shape", list)]
    text = member(f"{what}: a constant", entry, "base64", str)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{what}: a constant is not base64: {error}") from None
    kind = np.dtype(dtype).newbyteorder("<")
    if len(shape) > 8 or any(d < 1 for d in shape) or math.prod(shape) * kind.itemsize != len(data):
        raise ValueError(f"{what}: a constant of shape {short(shape)} and type {dtype} cannot have {len(data)} bytes")
    return np.frombuffer(data, kind).reshape(shape).astype(dtype)


def _plain(value: Any) -> Any:
    """Tuples become lists and NumPy's numbers Python's."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
