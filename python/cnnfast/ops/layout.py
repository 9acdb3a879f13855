"""Ops that move numbers without changing them: concatenation, slices, zero padding, cropping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.graph.values import Node, Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply, unbroken
from cnnfast.ops.window import normal_padding


def _concatenate_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    op, axis = "concatenate", a["axis"]
    xs = [unbroken(op, f"input {i}", s) for i, s in enumerate(specs)]
    first = xs[0]
    for i, x in enumerate(xs):
        if x.dtype != first.dtype:
            raise TypeError(f"{op}: input {i} must be {first.dtype} as input 0 is, got {x.dtype}")
        if len(x.shape) != len(first.shape) or any(
            d != axis and None not in (m, n) and m != n
            for d, (m, n) in enumerate(zip(first.shape, x.shape, strict=False))
        ):
            raise ValueError(f"{op}: shapes must agree but for axis {axis}, got {first.shape} and {x.shape}")
    sizes = [x.shape[axis] for x in xs]
    total = None if None in sizes else sum(d for d in sizes if d is not None)
    return [Spec((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)]


def _concatenate_gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    axis, begin, parts = node.attributes["axis"], 0, []
    for x, needed in zip(node.inputs, needs, strict=True):
        assert x is not None
        end = begin + x.spec.known_shape[axis]
        parts.append(slice_axis(grads[0], axis, begin, end) if needed else None)
        begin = end
    return parts


def _slice_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    x, axis = unbroken("slice_axis", "x", specs[0]), a["axis"]
    size = x.shape[axis]
    if size is not None and a["end"] > size:
        wanted = f"[{a['begin']}, {a['end']})"
        raise ValueError(f"slice_axis: axis {axis} of {x.shape} ends at {size}, got {wanted}")
    return [Spec((*x.shape[:axis], a["end"] - a["begin"], *x.shape[axis + 1 :]), x.dtype)]


def _slice_gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    x, a = node.inputs[0], node.attributes
    assert x is not None
    size = x.spec.known_shape[a["axis"]]
    return [apply(SLICE_BACKWARD, [grads[0]], {"axis": a["axis"], "begin": a["begin"], "size": size})]


def _slice_backward_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    dy, axis = unbroken("slice_backward", "dy", specs[0]), a["axis"]
    return [Spec((*dy.shape[:axis], a["size"], *dy.shape[axis + 1 :]), dy.dtype)]


def _slice_backward_gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    dy, a = node.inputs[0], node.attributes
    assert dy is not None
    end = a["begin"] + dy.spec.known_shape[a["axis"]]
    return [slice_axis(grads[0], a["axis"], a["begin"], end)]


def _resized(op: str, specs: list[Spec | None], padding: Sequence[int], sign: int) -> list[Spec]:
    x = unbroken(op, "x", specs[0], 4, "(N,H,W,C)")
    top, bottom, left, right = padding
    rows, cols = (
        None if size is None else size + sign * more
        for size, more in zip(x.shape[1:3], (top + bottom, left + right), strict=True)
    )
    if any(d is not None and d < 1 for d in (rows, cols)):
        raise ValueError(f"{op}: cropping {padding} [top, bottom, left, right] leaves nothing of {x.shape}")
    return [Spec((x.shape[0], rows, cols, x.shape[3]), x.dtype)]


def _pad_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    return _resized("zero_pad2d", specs, a["padding"], 1)


def _pad_gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    return [apply(CROP2D, [grads[0]], node.attributes)]


def _crop_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    return _resized("crop2d", specs, a["padding"], -1)


def _crop_gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    return [apply(ZERO_PAD2D, [grads[0]], node.attributes)]


CONCATENATE = Op("concatenate", _concatenate_infer, _concatenate_gradient, own_types=True)
SLICE = Op("slice", _slice_infer, _slice_gradient, own_types=True)
SLICE_BACKWARD = Op("slice_backward", _slice_backward_infer, _slice_backward_gradient, own_types=True)
ZERO_PAD2D = Op("zero_pad2d", _pad_infer, _pad_gradient, own_types=True)
CROP2D = Op("crop2d", _crop_infer, _crop_gradient, own_types=True)


def _axis(op: str, x: Tensor, axis: Any) -> int:
    rank = len(np.shape(x))
    if not isinstance(axis, (int, np.integer)) or not -rank <= axis < rank:
        raise ValueError(f"{op}: axis must lie in [-{rank}, {rank}) for shape {np.shape(x)}, got {axis!r}")
    return int(axis) % rank


def concatenate(xs: Sequence[Tensor], axis: int = -1) -> Tensor:
    """Tensors one after the other along an axis.

    Args:
        xs: at least one tensor; sizes agree but for `axis`.
        axis: counted from the end if negative; the channels by default.

    Raises:
        ValueError: nothing to concatenate, an axis out of range, sizes that do not agree.
        TypeError: inputs of different types.

    Example:
        >>> concatenate([np.ones((2, 1)), np.zeros((2, 2))])
        array([[1., 0., 0.],
               [1., 0., 0.]], dtype=float32)
    """
    xs = list(xs)
    if not xs:
        raise ValueError("concatenate: expected at least one tensor, got none")
    return apply(CONCATENATE, xs, {"axis": _axis("concatenate", xs[0], axis)})


def slice_axis(x: Tensor, axis: int, begin: int, end: int) -> Tensor:
    """x[..., begin:end, ...] along one axis.

    Raises:
        ValueError: an axis out of range, or not 0 <= begin < end <= the axis' size.

    Example:
        >>> slice_axis(np.arange(6.0).reshape(2, 3), 1, 1, 3)
        array([[1., 2.],
               [4., 5.]], dtype=float32)
    """
    if not 0 <= begin < end:
        raise ValueError(f"slice_axis: expected 0 <= begin < end, got [{begin}, {end})")
    return apply(SLICE, [x], {"axis": _axis("slice_axis", x, axis), "begin": int(begin), "end": int(end)})


def zero_pad2d(x: Tensor, padding: Any = 1) -> Tensor:
    """Zeros around each image.

    Args:
        x: (N, H, W, C).
        padding: one integer for all sides, (rows, columns), or ((top, bottom), (left, right)).

    Returns:
        (N, top + H + bottom, left + W + right, C).

    Example:
        >>> zero_pad2d(np.ones((1, 1, 1, 1)), ((1, 0), (0, 1)))[0, :, :, 0]
        array([[0., 0.],
               [1., 0.]], dtype=float32)
    """
    return apply(ZERO_PAD2D, [x], {"padding": _sides("zero_pad2d", padding)})


def crop2d(x: Tensor, cropping: Any = 0) -> Tensor:
    """Each image without its outermost rows and columns.

    Args:
        x: (N, H, W, C).
        cropping: one integer for all sides, (rows, columns), or ((top, bottom), (left, right)).

    Raises:
        ValueError: nothing would be left.

    Example:
        >>> crop2d(np.arange(9.0).reshape(1, 3, 3, 1), 1).item()
        4.0
    """
    return apply(CROP2D, [x], {"padding": _sides("crop2d", cropping)})


def _sides(op: str, padding: Any) -> list[int]:
    if isinstance(padding, str):
        raise TypeError(f"{op}: expected integers, got {padding!r}")
    sides = normal_padding(op, padding)
    assert isinstance(sides, list)
    return sides
