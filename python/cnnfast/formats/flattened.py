"""Where the features that a layer reads stand in PyTorch, which flattens images channels first.

A dense layer behind a Flatten reads (H,W,C) here and (C,H,W) there, so that the rows of its kernel must be put into
another order, and so must the scales of a batch normalization between the two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnfast import layers
from cnnfast.formats.contents import Refused
from cnnfast.graph.values import Node, Value
from cnnfast.layers.base import Layer
from cnnfast.models import Model

Rows = np.ndarray  # feature i here is feature rows[i] in PyTorch
_MIXED = np.empty(0, np.intp)  # of an image that a Reshape has given other rows: not worked out


def flattened_rows(model: Model) -> dict[int, Rows]:
    """For each layer (by its id) that reads flattened images: which of PyTorch's features each of its own is.

    Args:
        model: made of layers and ops; models in it are looked into.

    Raises:
        ValueError: features become images again (a dense layer, then a Reshape), or images are flattened after a
            Reshape to another form: the order of what made them is not worked out.

    Example:
        >>> top = layers.Dense(3)
        >>> rows = flattened_rows(Sequential([Input((1, 2, 2)), layers.Flatten(), top]))
        >>> rows[id(top)].tolist()  # two pixels of two channels
        [0, 2, 1, 3]
    """
    found: dict[int, Rows] = {}
    _trace(model, [None] * len(model.inputs), found)
    return found


def _trace(model: Model, inputs: Sequence[Rows | None], found: dict[int, Rows]) -> list[Rows | None]:
    """Follows the features through a model and notes who reads them; the rows of its outputs."""
    rows: dict[int, Rows | None] = {id(v): r for v, r in zip(model.inputs, inputs, strict=True)}
    for node in model._definition:
        values = [v for v in node.inputs if v is not None]
        read = [rows.get(id(v)) for v in values]
        if isinstance(node.op, Model):
            made = _trace(node.op, read, found)
        else:
            if isinstance(node.op, Layer) and read and read[0] is not None and read[0] is not _MIXED:
                found[id(node.op)] = read[0]
            made = [_after(node, values, read)] * len(node.outputs)
        rows.update((id(v), r) for v, r in zip(node.outputs, made, strict=True))
    return [rows.get(id(v)) for v in model.outputs]


def _after(node: Node, values: Sequence[Value], read: Sequence[Rows | None]) -> Rows | None:
    """The rows of what a layer or op gives."""
    y = node.outputs[0]
    if not values or (isinstance(node.op, layers.Dense) and y.ndim == 2):
        return None  # its outputs are in the order of its own weights
    x = values[0]
    if any(r is _MIXED for r in read) and y.ndim > 2:
        return _MIXED
    if _reshapes(node):
        if y.ndim == 2 and read[0] is _MIXED:
            raise Refused("images get another form in a Reshape before they are flattened; PyTorch has another order")
        if y.ndim == 2 and x.ndim == 4:
            return _channels_first(x)
        if y.ndim > 2 and x.ndim == 4 and y.shape != x.shape and x.shape[-1] != 1 and x.shape[1:3] != (1, 1):
            return _MIXED
        if y.ndim == 4 and x.ndim == 2 and y.shape[-1] != 1 and y.shape[1:3] != (1, 1):
            raise Refused("features become images in a Reshape; PyTorch has their channels in another order")
    if isinstance(node.op, layers.Concatenate) or _name(node) == "concatenate":
        return _joined(values, read) if y.ndim == 2 else None
    return next((r for r in read if r is not None and r is not _MIXED), None) if y.shape == x.shape else None


def _channels_first(x: Value) -> Rows | None:
    _, h, w, c = x.shape
    if h is None or w is None or c is None:
        return None  # then no dense layer can follow
    return np.arange(c * h * w).reshape(c, h, w).transpose(1, 2, 0).ravel()


def _joined(values: Sequence[Value], read: Sequence[Rows | None]) -> Rows | None:
    """Of features one after the other, some of them flattened images."""
    if all(r is None for r in read):
        return None
    parts, at = [], 0
    for value, rows in zip(values, read, strict=True):
        count = int(value.shape[-1] or 0)
        parts.append(at + (np.arange(count) if rows is None else rows))
        at += count
    return np.concatenate(parts)


def _reshapes(node: Node) -> bool:
    return isinstance(node.op, (layers.Flatten, layers.Reshape)) or _name(node) == "reshape"


def _name(node: Node) -> str:
    """The name of an op; a layer has a name too, but one that the user gave."""
    return "" if isinstance(node.op, Layer) else node.op.name
