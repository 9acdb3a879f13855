"""Ops that only see a tensor with another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cnnfast.graph.values import Node, Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply


def _infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    x = specs[0]
    assert x is not None
    shape: list[int | None] = list(a["shape"])
    if a.get("keep_batch"):
        shape = [x.shape[0], *shape]
    known = None not in x.shape
    if -1 in shape:
        rest = x.shape[1:] if a.get("keep_batch") else x.shape
        others = math.prod(d for d in (shape[1:] if a.get("keep_batch") else shape) if d is not None and d != -1)
        if None in rest:
            shape[shape.index(-1)] = None
        else:
            total = math.prod(d for d in rest if d is not None)
            if others == 0 or total % others:
                raise ValueError(f"reshape: {x.shape} cannot become {tuple(shape)}")
            shape[shape.index(-1)] = total // others
    if known and None not in shape and math.prod(x.known_shape) != math.prod(d for d in shape if d is not None):
        raise ValueError(f"reshape: {x.shape} has {math.prod(x.known_shape)} elements, {tuple(shape)} has others")
    if not known and None not in x.shape[1:] and None not in shape[1:] and a.get("keep_batch"):
        before, after = (math.prod(d for d in s[1:] if d is not None) for s in (x.shape, shape))
        if before != after:
            raise ValueError(f"reshape: {x.shape} has {before} elements a sample, {tuple(shape)} has {after}")
    return [Spec(tuple(shape), x.dtype)]


def _gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    x = node.inputs[0]
    assert x is not None
    return [reshape(grads[0], x.spec.known_shape)]


RESHAPE = Op("reshape", _infer, _gradient, alias=True, own_types=True)


def reshape(x: Tensor, shape: Sequence[int], *, keep_batch: bool = False) -> Tensor:
    """The same elements in another shape; nothing is copied inside a model.

    Args:
        x: any tensor.
        shape: the new shape; one dimension may be -1 and is then worked out.
        keep_batch: `shape` leaves out the first dimension, which stays as it is.

    Raises:
        ValueError: the shapes do not hold the same number of elements, or -1 stands twice.

    Example:
        >>> reshape(np.zeros((2, 3, 4)), (-1,), keep_batch=True).shape
        (2, 12)
    """
    shape = [int(d) for d in shape]
    if shape.count(-1) > 1 or any(d < -1 or d == 0 for d in shape):
        raise ValueError(f"reshape: dimensions must be positive, and at most one -1; got {tuple(shape)}")
    return apply(RESHAPE, [x], {"shape": shape, "keep_batch": keep_batch})
