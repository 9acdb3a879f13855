"""Batches, and how the structures that users pass (arrays, lists, dicts of arrays) become lists of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Batch:
    """What one step computes with: one array per input, per output, and weights or None per output.

    `samples` are the numbers that the samples have in their data set, if it knows them.
    """

    xs: list[np.ndarray]
    ys: list[np.ndarray] | None
    weights: list[np.ndarray | None]
    samples: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of samples."""
        return len(self.xs[0])

    def part(self, samples: Any) -> Batch:
        """Some of the samples, by a slice or by their numbers."""
        ys = None if self.ys is None else [y[samples] for y in self.ys]
        weights = [None if w is None else w[samples] for w in self.weights]
        return Batch([x[samples] for x in self.xs], ys, weights)

    def structure(self) -> tuple[Any, Any, Any]:
        """x, y and sample_weight as a user would pass them."""
        weighs = any(w is not None for w in self.weights)
        return self.xs, self.ys, self.weights if weighs else None


@dataclass(frozen=True)
class Names:
    """The names of a model's inputs and outputs; empty where they are not known yet.

    `classes` tells how many numbers the first output has for a sample of inputs like those given.
    """

    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    classes: Callable[[list[np.ndarray]], int] = lambda xs: 0


def list_of_arrays(op: str, what: str, value: Any, names: Sequence[str]) -> list[np.ndarray]:
    """The arrays of a structure, in the order of `names`.

    Args:
        op: for messages, as `fit`.
        what: for messages, as `x`.
        value: an array; a list or tuple of arrays; or a dict by name.
        names: the names that a dict must have; the number of arrays that a list must have, if known.

    Raises:
        TypeError: a part is no array of numbers.
        ValueError: names are missing or unknown, or the number of arrays is wrong.
    """
    if isinstance(value, np.ndarray) and len(names) == 1:
        return [_array(op, what, value)]
    if isinstance(value, Mapping):
        value = _by_name(op, what, value, names)
    several = isinstance(value, (list, tuple)) and (len(names) > 1 or _holds_arrays(value))
    parts = list(value) if several else [value]
    if names and len(parts) != len(names):
        hint = "; join samples with np.stack" if len(names) == 1 else ""
        raise ValueError(
            f"{op}: {what} expects {len(names)} arrays ({', '.join(names)}), got a list of {len(parts)}{hint}"
        )
    return [_array(op, what, part) for part in parts]


def _by_name(op: str, what: str, value: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    if set(value) != set(names):
        raise ValueError(f"{op}: {what} expects the names {sorted(names)}, got {sorted(map(str, value))}")
    return [value[name] for name in names]


def _holds_arrays(value: Sequence[Any]) -> bool:
    """Whether a list is a list of arrays, not an array written as a list."""
    return bool(value) and all(getattr(part, "shape", ()) != () for part in value)


def _array(op: str, what: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{op}: {what} is no array of numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{op}: {what} must hold real numbers, got {type(value).__name__} with dtype {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{op}: {what} needs an axis of samples, got the single number {array}")
    return array


def list_of_weights(op: str, value: Any, names: Sequence[str], count: int) -> list[np.ndarray | None]:
    """Sample weights per output: one array serves all outputs, None weighs nothing."""
    if value is None:
        return [None] * count
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - set(names))
        if unknown:
            raise ValueError(f"{op}: sample_weight has no output named {unknown[0]!r}; the outputs are {list(names)}")
        parts = [value.get(name) for name in names]
    elif isinstance(value, (list, tuple)) and any(part is None or np.ndim(part) for part in value):
        parts = list(value)
        if len(parts) != count:
            raise ValueError(f"{op}: sample_weight expects {count} arrays, one for each output, got {len(parts)}")
    else:
        parts = [value] * count
    return [None if part is None else _array(op, "sample_weight", part) for part in parts]


def make_batch(op: str, data: Any, names: Names, class_weight: Mapping[int, float] | None = None) -> Batch:
    """A batch from `(x,)`, `(x, y)` or `(x, y, sample_weight)`, or x alone.

    Raises:
        TypeError, ValueError: see `list_of_arrays`; lengths that differ; sample and class weights together.
    """
    x, y, weight = unpack(op, data)
    xs = list_of_arrays(op, "x", x, names.inputs)
    ys = None if y is None else list_of_arrays(op, "y", y, names.outputs)
    weights = list_of_weights(op, weight, names.outputs, len(ys or names.outputs))
    check_lengths(op, xs, ys, weights)
    if class_weight is not None:
        weights = weights_of_classes(op, ys, weights, class_weight, names.classes(xs))
    return Batch(xs, ys, weights)


def unpack(op: str, data: Any) -> tuple[Any, Any, Any]:
    """x, y and sample weights of a tuple of one to three of them, or of x alone."""
    if isinstance(data, list) and 2 <= len(data) <= 3:
        data = tuple(data)  # as the loaders of PyTorch give them
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(f"{op}: expected (x, y) or (x, y, sample_weight), got a tuple of {len(data)}")
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


def check_lengths(
    op: str, xs: Sequence[np.ndarray], ys: Sequence[np.ndarray] | None, weights: Sequence[np.ndarray | None]
) -> None:
    """All arrays must have the same number of samples, at least one."""
    parts = {"x": xs, "y": ys or [], "sample_weight": [w for w in weights if w is not None]}
    lengths = {what: [len(a) for a in arrays] for what, arrays in parts.items() if arrays}
    distinct = {n for numbers in lengths.values() for n in numbers}
    if len(distinct) > 1:
        listed = ", ".join(f"{what} has {' and '.join(map(str, n))}" for what, n in lengths.items())
        raise ValueError(f"{op}: all arrays must have the same number of samples, {listed}")
    if distinct == {0}:
        raise ValueError(f"{op}: there are no samples: x has shape {xs[0].shape}")


def weights_of_classes(
    op: str,
    ys: Sequence[np.ndarray] | None,
    weights: Sequence[np.ndarray | None],
    class_weight: Mapping[int, float],
    classes: int,
) -> list[np.ndarray | None]:
    """The weight of each sample's class; 1 for classes that are not listed.

    Classes are whole numbers (N,) or (N, 1), or one-hot rows (N, K). Those of the targets exist, and those below
    `classes`, the size of the output; a single output decides between 0 and 1.
    """
    if ys is None or len(ys) != 1:
        raise ValueError(f"{op}: class_weight needs a model with one output and its targets, got {len(ys or [])}")
    if any(w is not None for w in weights):
        raise ValueError(f"{op}: give either class_weight or sample_weight, got both")
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"{op}: class_weight expects a dict of weights by class, got {type(class_weight).__name__}")
    for label, weight in class_weight.items():
        if not isinstance(label, (int, float, np.number)) or label < 0 or label != int(label):
            raise ValueError(f"{op}: class_weight expects class numbers as keys, got {label!r}")
        if not isinstance(weight, (int, float, np.number)) or not 0.0 <= weight < math.inf:
            raise ValueError(f"{op}: class_weight expects finite weights of at least 0, got {weight!r} for {label!r}")
    y = ys[0]
    if y.ndim == 2 and y.shape[1] > 1:
        y = y.argmax(axis=1)
    y = y.reshape(len(y), -1)
    if y.shape[1] != 1:
        raise ValueError(f"{op}: class_weight needs one class per sample, y has shape {ys[0].shape}")
    last = max(classes - 1, 1 if classes else 0, ys[0].shape[1] - 1 if ys[0].ndim > 1 else 0, int(y.max()))
    if strange := [label for label in class_weight if label > last]:
        raise ValueError(f"{op}: class_weight names class {strange[0]}, the classes are 0 to {last}")
    result = np.ones(len(y), np.float32)
    for label, weight in class_weight.items():
        result[y[:, 0] == label] = weight
    return [result]
