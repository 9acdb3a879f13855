"""Learning rates that differ between layers: factors by the names of layers and models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cnnfast.graph.values import Variable
    from cnnfast.layers.base import Layer


def checked(what: str, multipliers: Any) -> dict[str, float]:
    """Factors by name, as an optimizer was given them.

    Raises:
        TypeError: no dict of numbers by text.
        ValueError: an empty name, a negative or infinite factor.
    """
    if multipliers is None:
        return {}
    if not isinstance(multipliers, Mapping):
        raise TypeError(f"{what}: expected a dict of factors by names of layers, got {type(multipliers).__name__}")
    for name, factor in multipliers.items():
        if not isinstance(name, str):
            raise TypeError(f"{what}: expected names of layers, got {name!r}")
        if isinstance(factor, bool) or not isinstance(factor, (int, float, np.number)):
            raise TypeError(f"{what}: the factor of {name!r} must be a number, got {factor!r}")
        if not name or not 0 <= factor < np.inf:
            raise ValueError(f"{what}: expected finite factors of at least 0 by name, got {factor!r} for {name!r}")
    return {name: float(factor) for name, factor in multipliers.items()}


def factors(model: Layer, multipliers: Mapping[str, float]) -> dict[Variable, float]:
    """The factor of the learning rate of each weight of a model that is not 1.

    A layer has the factor of the longest name that fits its own; if none does, that of the model around it.

    Raises:
        ValueError: a name that fits no layer of the model.
    """
    if not multipliers:
        return {}
    found: dict[Variable, float] = {}
    seen: set[int] = set()
    used: set[str] = set()
    stack = [(model, 1.0)]
    while stack:
        layer, factor = stack.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        fitting = [name for name in multipliers if _fits(name, layer.name)]
        used.update(fitting)
        if fitting:
            factor = multipliers[max(fitting, key=len)]
        found.update((weight, factor) for weight in layer._weights if factor != 1.0)
        stack.extend((inner, factor) for inner in reversed(list(layer.sublayers())))
    if unknown := [name for name in multipliers if name not in used]:
        names = ", ".join(layer.name for layer in model.all_layers())
        raise ValueError(
            f"{model.name}: learning_rate_multipliers names {unknown[0]!r}, which is no layer and no beginning of "
            f"one up to an underscore; the layers are {names if len(names) < 1000 else names[:1000] + '...'}"
        )
    return found


def _fits(name: str, layer: str) -> bool:
    """Whether it is the layer's name or what stands before an underscore in it: block1, but not that of block10."""
    return layer == name or layer.startswith(name + "_")
