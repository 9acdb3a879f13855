"""Objects that JSON can describe: a class name from a closed registry and the constructor's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from cnnfast.registry import Registry

T = TypeVar("T", bound="Configurable")


class Configurable:
    """Keeps its constructor's arguments as attributes of the same names; equal if class and arguments are."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls: type[T], config: dict[str, Any]) -> T:
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.get_config() == self.get_config()

    def __hash__(self) -> int:
        return hash((type(self), repr(self.get_config())))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def describe(registry: Registry[Any], thing: Any) -> dict[str, Any]:
    """{"class_name", "config"} of an object whose class is in the registry. ValueError for any other."""
    name = registry.name_of(type(thing))
    if name is None:
        known_as = getattr(thing, "name", thing)
        cls = type(thing).__name__
        raise ValueError(f"{registry.kind} {known_as!r} cannot be saved: its class {cls} is not registered")
    return {"class_name": name, "config": thing.get_config()}


def restore(registry: Registry[Any], description: Any) -> Any:
    """The object of a description. ValueError for an unknown class or arguments that it does not take."""
    if not isinstance(description, dict) or not {"class_name"} <= description.keys():
        raise ValueError(f"{registry.kind}: expected {{'class_name', 'config'}}, got {description!r}")
    cls = registry.find(description["class_name"])
    return construct(registry.kind, cls.__name__, cls.from_config, description.get("config", {}))


def construct(kind: str, name: str, build: Callable[[dict[str, Any]], Any], config: Any) -> Any:
    """build(config), with a ValueError where the arguments in `config` do not fit the constructor."""
    if not isinstance(config, dict):
        raise ValueError(f"{kind} {name}: config must hold arguments by name, got {config!r}")
    try:
        return build(config)
    except TypeError as error:
        raise ValueError(f"{kind} {name}: {error}") from error
