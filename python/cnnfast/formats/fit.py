"""Weights of foreign files for the weights of a model: all that fits is found before any weight changes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from cnnfast.formats.strict_json import short
from cnnfast.graph.values import Variable
from cnnfast.layers.base import Layer

_MAX_SHOWN = 8  # problems in a message


class Fit:
    """What a file has for a model, gathered layer by layer, then set at once.

    Args:
        path: of the file.
        model: whose weights are to be set.
        skip_mismatch: whether what does not fit is left out with a warning.
    """

    def __init__(self, path: str, model: Layer, skip_mismatch: bool):
        self.path, self.model, self._skip = path, model, skip_mismatch
        self._pairs: list[tuple[Variable, np.ndarray]] = []
        self._problems: list[str] = []

    def layer(self, path: str, layer: Layer, arrays: Sequence[np.ndarray], source: str) -> None:
        """Offers a layer its weights, in its order.

        Args:
            path: of the layer within the model, for messages.
            layer: it takes all of `arrays` or none.
            arrays: in the order and layout of the layer's weights.
            source: where in the file they stand.
        """
        weights = layer._weights
        if len(arrays) != len(weights):
            names = [w.name.rsplit("/", 1)[-1] for w in weights]
            self.problem(
                f"layer {short(path)} has {len(weights)} weights {names}, {short(source)} in the file has {len(arrays)}"
            )
            return
        different = [
            f"{path}/{w.name.rsplit('/', 1)[-1]} expects shape {w.shape}, {short(source)} in the file gives {a.shape}"
            for w, a in zip(weights, arrays, strict=True)
            if w.shape != a.shape
        ]
        self._problems += different
        if not different:
            self._pairs += zip(weights, arrays, strict=True)

    def weight(self, path: str, variable: Variable, array: np.ndarray | None) -> None:
        """Offers a single weight its array; None if the file has none."""
        if array is None:
            self.problem(f"missing in the file: {path}")
        elif array.shape != variable.shape or array.dtype != variable.spec.dtype:
            self.problem(f"{path} expects shape {variable.shape}, the file has {array.shape} of {array.dtype}")
        else:
            self._pairs.append((variable, array))

    def problem(self, what: str) -> None:
        """Notes something that does not fit."""
        self._problems.append(what)

    def refuse(self, why: str) -> ValueError:
        """The error for a file that cannot be fitted at all."""
        return ValueError(
            f"{self.path}: the weights do not fit the model {self.model.name}: {why}. Nothing has changed"
        )

    def finish(self) -> None:
        """Sets the weights.

        Raises:
            ValueError: something does not fit (unless it may be skipped), or nothing fits; no weight has changed.
        """
        more = len(self._problems) - _MAX_SHOWN
        listed = "; ".join(self._problems[:_MAX_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        if self._problems and not self._skip:
            raise self.refuse(listed)
        if not self._pairs:
            raise self.refuse(listed or "no layer of the model has a name that is in the file")
        if self._problems:
            warnings.warn(f"{self.path}: skipped what does not fit {self.model.name}: {listed}", stacklevel=4)
        for variable, array in self._pairs:
            variable.assign(array)


def grouped(arrays: Mapping[str, np.ndarray], separator: str) -> dict[str, dict[str, np.ndarray]]:
    """Arrays by layer, then by their names within it, both in the order of the file.

    Example:
        >>> grouped({"a/kernel": np.zeros(1), "a/bias": np.zeros(1)}, "/").keys()
        dict_keys(['a'])
    """
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, _, weight = name.rpartition(separator)
        layers.setdefault(layer, {})[weight] = array
    return layers


def listed(names: Sequence[str]) -> str:
    """Some names, as a message can show them."""
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(short(name) for name in names[:_MAX_SHOWN]) + more
