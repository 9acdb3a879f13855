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


def describe_node(node: Node, reference: Callable[[Value], int], where: str) -> dict[str, Any]:
    """An op's node as JSON can hold it.

    Args:
        node: of a model's definition.
        reference: the number of a value within the model.
        where: for messages.

    Raises:
        ValueError: the op cannot be called by its name with what the node holds.
    """
    inputs = [_describe_input(v, reference) for v in node.inputs]
    described = {"op": node.op.name, "inputs": inputs, "attributes": _plain(node.attributes)}
    symbolic = [None if v is None else v if v.constant is None else v.constant for v in node.inputs]
    again = _call(node.op.name, symbolic, described["attributes"], where)[0].node
    if again is None or again.op is not node.op or _plain(again.attributes) != described["attributes"]:
        raise ValueError(f"{where}: op {node.op.name} cannot be saved; put it into a layer of your own")
    return described


def check_node(what: str, entry: Any) -> int:
    """Checks a description as far as JSON goes, and returns how many bytes of constants it holds.

    Raises:
        ValueError: an unknown op, no symbolic input, a constant that is none, or attributes that are no
            object.
    """
    name = member(what, entry, "op", str)
    only_keys(what, entry, {"op", "inputs", "attributes"})
    if name not in _callable_names():
        raise ValueError(f"{what}: unknown op {short(name)}; known: {', '.join(sorted(_callable_names()))}")
    member(what, entry, "attributes", dict)
    inputs = member(what, entry, "inputs", list)
    for i in inputs:
        if i is not None and type(i) is not int and type(i) is not dict:
            raise ValueError(
                f"{what}: an input must be the number of a value, a constant or null, got {short(i)}"
            )
    # Without a symbolic input the op would not be described but computed, at whatever size the file says.
    if not any(type(i) is int for i in inputs):
        raise ValueError(
            f"{what}: op {name} needs an input that is a value of the model, got {short(inputs)}"
        )
    return sum(_read_constant(what, i).nbytes for i in inputs if isinstance(i, dict))


def apply_node(what: str, entry: dict[str, Any], value: Callable[[int], Value]) -> list[Value]:
    """The outputs of a checked description.

    Args:
        what: for messages.
        entry: the description.
        value: finds a value of the model by its number.

    Raises:
        ValueError: the op does not take these inputs or attributes.
    """
    inputs = [
        value(i) if isinstance(i, int) else None if i is None else _read_constant(what, i)
        for i in entry["inputs"]
    ]
    return _call(entry["op"], inputs, entry["attributes"], what)


def _callable_names() -> set[str]:
    """Ops that a model's values can be given to: public, and not changing what they read."""
    return {name for name, op in OPS.items() if name in ops.__all__ and not op.updates}


def _call(name: str, inputs: list[Any], attributes: dict[str, Any], where: str) -> list[Value]:
    """Calls the public function of an op, which checks everything it is given."""
    if name not in _callable_names():
        raise ValueError(f"{where}: op {name} has no public function; put it into a layer of your own")
    function = getattr(ops, name)
    first = next(iter(inspect.signature(function).parameters.values()))
    arguments = [inputs] if first.name == "xs" else inputs
    try:
        result = function(*arguments, **attributes)
    except Exception as error:
        raise ValueError(f"{where}: op {name}: {error}") from error
    return list(result) if isinstance(result, tuple) else [result]


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
        raise ValueError(
            f"{what}: a constant must be one of {', '.join(_CONSTANT_TYPES)}, got {short(dtype)}"
        )
    shape = [of_kind(f"{what}: a constant's size", d, int) for d in member(what, entry, "shape", list)]
    text = member(f"{what}: a constant", entry, "base64", str)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{what}: a constant is not base64: {error}") from None
    kind = np.dtype(dtype).newbyteorder("<")
    if len(shape) > 8 or any(d < 1 for d in shape) or math.prod(shape) * kind.itemsize != len(data):
        raise ValueError(
            f"{what}: a constant of shape {short(shape)} and type {dtype} cannot have {len(data)} bytes"
        )
    return np.frombuffer(data, kind).reshape(shape).astype(dtype)


def _plain(value: Any) -> Any:
    """Tuples become lists and NumPy's numbers Python's."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
