"""What a description of a model must fulfil before any of its layers is made: types, references, sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cnnfast.formats.op_nodes import check_node
from cnnfast.formats.strict_json import member, of_kind, only_keys, short

VERSION = 1
MAX_APPLICATIONS = 10_000  # of layers and ops; those of a nested model count each time it is used
MAX_NESTING = 32  # models within models
MAX_CONSTANT_BYTES = 2**24  # arrays given to ops; what is larger belongs into a layer's weights
_MAX_NAME = 200  # characters


@dataclass
class _Parts:
    """What a model is made of: numbers of layers (each time one is applied), ops, and bytes of constants."""

    layers: list[int] = field(default_factory=list)
    ops: int = 0
    constant_bytes: int = 0


def check_description(what: str, description: Any) -> list[dict[str, Any]]:
    """Checks a description of a model and returns its table of layers.

    Args:
        what: its name in messages.
        description: {"version": ..., "layers": [...]}, perhaps hostile.

    Raises:
        ValueError: another version; a wrong type, an unknown key, a reference that does not point backwards;
            more layers, nesting or constants than any real model has; a layer that no model uses.
    """
    version = member(what, description, "version", int)
    if version != VERSION:
        raise ValueError(f"{what} has version {version}, this package reads version {VERSION}")
    only_keys(what, description, {"version", "layers"})
    entries = member(what, description, "layers", list)
    parts = [_check_entry(f"{what}: layer {i}", entry, i) for i, entry in enumerate(entries)]
    if not entries or entries[-1]["class_name"] not in _CHECKS:
        raise ValueError(f"{what} must end with a model")
    _check_sizes(what, parts)
    used = {number for part in parts for number in part.layers}
    if unused := set(range(len(entries) - 1)) - used:
        raise ValueError(f"{what}: layer {min(unused)} is part of no model")
    return entries


def _check_sizes(what: str, parts: list[_Parts]) -> None:
    """Bounds what building the model costs, however cunningly its models contain each other."""
    applications: list[int] = []
    nesting: list[int] = []
    for i, part in enumerate(parts):
        applications.append(max(1, part.ops + sum(applications[n] for n in part.layers)))
        nesting.append(1 + max((nesting[n] for n in part.layers), default=0))
        if applications[i] > MAX_APPLICATIONS:
            raise ValueError(f"{what}: layer {i} applies more than {MAX_APPLICATIONS} layers")
        if nesting[i] > MAX_NESTING:
            raise ValueError(f"{what}: layer {i} nests models more than {MAX_NESTING} deep")
    constants = sum(part.constant_bytes for part in parts)
    if constants > MAX_CONSTANT_BYTES:
        raise ValueError(f"{what} holds {constants} bytes of constants, at most {MAX_CONSTANT_BYTES} are allowed")


def _check_entry(where: str, entry: Any, position: int) -> _Parts:
    class_name = member(where, entry, "class_name", str)
    where = f"{where} ({short(class_name)})"
    only_keys(where, entry, {"class_name", "config"})
    config = member(where, entry, "config", dict)
    _check_name(where, config.get("name"))
    if "trainable" in config:
        member(where, config, "trainable", bool)
    return _CHECKS[class_name](where, config, position) if class_name in _CHECKS else _Parts()


def _check_name(where: str, name: Any) -> None:
    if name is None:
        return
    if not 0 < len(of_kind(f"{where}: 'name'", name, str)) <= _MAX_NAME:
        raise ValueError(f"{where}: a name needs 1 to {_MAX_NAME} characters, got {short(name)}")


def _check_sequential(where: str, config: dict[str, Any], position: int) -> _Parts:
    only_keys(where, config, {"name", "trainable", "input", "layers"})
    if config.get("input") is not None:
        _check_input(where, config["input"])
    return _Parts([_reference(where, n, position) for n in member(where, config, "layers", list)])


def _check_model(where: str, config: dict[str, Any], position: int) -> _Parts:
    only_keys(where, config, {"name", "trainable", "inputs", "nodes", "outputs", "several"})
    for entry in member(where, config, "inputs", list):
        _check_input(where, entry)
    parts = _Parts()
    for i, node in enumerate(member(where, config, "nodes", list)):
        _check_model_node(f"{where}: node {i}", node, position, parts)
    for n in member(where, config, "outputs", list):
        of_kind(f"{where}: an output", n, int)
    several = member(where, config, "several", list)
    if len(several) != 2 or not all(type(s) is bool for s in several):
        raise ValueError(f"{where}: 'several' must be two of true or false, got {short(several)}")
    return parts


def _check_model_node(where: str, node: Any, position: int, parts: _Parts) -> None:
    """Adds to `parts` what a node of a model applies."""
    if not isinstance(node, dict) or "layer" not in node:
        parts.constant_bytes += check_node(where, node)
        parts.ops += 1
        return
    only_keys(where, node, {"layer", "inputs", "attributes"})
    parts.layers.append(_reference(where, node["layer"], position))
    for n in member(where, node, "inputs", list):
        of_kind(f"{where}: an input", n, int)
    attributes = member(where, node, "attributes", dict)
    only_keys(where, attributes, {"several", "training"})
    member(where, attributes, "several", bool)
    if attributes.get("training") is not None:
        member(where, attributes, "training", bool)


def _check_input(where: str, entry: Any) -> None:
    where = f"{where}: an input"
    _check_name(where, member(where, entry, "shape", list) and entry.get("name"))
    member(where, entry, "dtype", str)
    only_keys(where, entry, {"name", "shape", "dtype"})


def _reference(where: str, number: Any, position: int) -> int:
    """The number of an earlier layer: pointing backwards only, layers cannot form a circle."""
    if not 0 <= of_kind(f"{where}: the number of a layer", number, int) < position:
        raise ValueError(f"{where}: the number of a layer must lie in [0, {position - 1}], got {number}")
    return number


_CHECKS = {"Model": _check_model, "Sequential": _check_sequential}
