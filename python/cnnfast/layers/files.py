"""Layers as JSON: written with their arguments, read back through a closed registry."""

from __future__ import annotations

from typing import Any

from cnnfast.configurable import construct
from cnnfast.layers.base import Layer
from cnnfast.registry import Registry

LAYERS: Registry[Layer] = Registry("layer")

# Deeper nesting than any model has: a file that goes beyond it was made to exhaust the stack.
_MAX_DEPTH = 64


def register(cls: type[Layer]) -> type[Layer]:
    """Makes a layer of one's own known to saved models, by its class name; usable as a decorator.

    Example:
        >>> @register
        ... class Twice(Layer):
        ...     def call(self, x):
        ...         return ops.add(x, x)
        >>> deserialize({"class_name": "Twice", "config": {"name": "t"}})
        <Twice name=t>
    """
    if not isinstance(cls, type) or not issubclass(cls, Layer):
        raise TypeError(f"register: expected a subclass of Layer, got {cls!r}")
    if cls.__name__ in LAYERS.names() and LAYERS.find(cls.__name__).__module__.startswith("cnnfast."):
        raise ValueError(f"register: {cls.__name__} is the name of a layer of this package; choose another")
    return LAYERS.add(cls)


def serialize(layer: Layer) -> dict[str, Any]:
    """{"class_name", "config"} of a layer, as JSON can hold it.

    Raises:
        ValueError: its class is not registered, or an argument (a nameless function) cannot be written.
    """
    name = LAYERS.name_of(type(layer))
    if name is None:
        raise ValueError(f"layer {layer.name}: class {type(layer).__name__} is not registered; see layers.register")
    config = layer.get_config()
    _require_plain(config, f"layer {layer.name}")
    return {"class_name": name, "config": config}


def deserialize(description: Any) -> Layer:
    """The layer of a description, without its weights. Only registered classes are ever made.

    Raises:
        ValueError: not a description, an unknown class, an argument that the class does not take or that is
            not plain (None, bool, int, float, str, lists and dictionaries of those).
    """
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise ValueError(f"layer: expected {{'class_name': ..., 'config': {{...}}}}, got {_short(description)}")
    cls = LAYERS.find(description.get("class_name"))
    config = description["config"]
    _require_plain(config, f"layer {cls.__name__}")
    return construct("layer", cls.__name__, cls.from_config, config)


def _require_plain(value: Any, where: str, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"{where}: the config is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{where}: config has a key that is no text: {key!r}")
            _require_plain(item, f"{where}, {key}" if depth == 0 else where, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _require_plain(item, where, depth + 1)
    elif not (value is None or isinstance(value, (bool, int, float, str))):
        raise ValueError(f"{where}: config may hold plain values only, got {type(value).__name__} {_short(value)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
