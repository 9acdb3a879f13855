"""Pooling: the largest element or the mean of each window, and of whole images; forward and gradients.

Padding never takes part: a window at the edge holds only what lies in the image, so padding must be smaller
than the window.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnfast.graph.values import Node, Spec
from cnnfast.ops import window
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken
from cnnfast.ops.window import IntPair

_GEOMETRY = ("pool_size", "strides", "padding")
# Positions in a window are computed in float32 lanes, which are exact up to here.
_MAX_POSITIONS = 1 << 24


def _image(op: str, specs: list[Spec | None]) -> Spec:
    return require_float(op, "x", unbroken(op, "x", specs[0], 4, "(N,H,W,C)"))


def _position_type(op: str, rows: int, cols: int) -> str:
    """The smallest type that holds a position in the window."""
    if rows * cols > _MAX_POSITIONS:
        raise ValueError(f"{op}: a window may have at most 2**24 elements, got {rows} x {cols}")
    return "uint8" if rows * cols <= 256 else "int32"


def _resolve(op: str):  # type: ignore[no-untyped-def]
    def resolve(specs: list[Spec | None], a: Attributes) -> Attributes:
        return {**a, "padding": window.window_padding(window.spatial(_image(op, specs)), a["pool_size"], a)}

    return resolve


def _output(op: str, x: Spec, a: Attributes) -> Spec:
    return Spec((x.shape[0], *window.window_output(op, window.spatial(x), a["pool_size"], a), x.shape[3]))


def _max_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    y = _output("max_pool2d", _image("max_pool2d", specs), a)
    return [y, Spec(y.shape, _position_type("max_pool2d", *a["pool_size"]))]


def _average_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    return [_output("average_pool2d", _image("average_pool2d", specs), a)]


def _global_output(x: Spec, a: Attributes) -> Spec:
    return Spec((x.shape[0], 1, 1, x.shape[3]) if a["keepdims"] else (x.shape[0], x.shape[3]))


def _global_max_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    x = _image("global_max_pool2d", specs)
    _position_type("global_max_pool2d", x.shape[1] or 1, x.shape[2] or 1)
    y = _global_output(x, a)
    return [y, Spec(y.shape, "int32")]


def _global_average_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    return [_global_output(_image("global_average_pool2d", specs), a)]


def _check_gradient(op: str, specs: list[Spec | None], expected: Spec) -> None:
    """dy, and argmax where there is one, must have the shape that the forward pass gives."""
    for name, spec in zip(("dy", "argmax"), specs, strict=False):
        checked = unbroken(op, name, spec)
        if checked.shape != expected.shape:
            raise ValueError(f"{op}: {name} expects shape {expected.shape}, got {checked.shape}")
    require_float(op, "dy", unbroken(op, "dy", specs[0]))
    if len(specs) > 1 and specs[1] is not None and specs[1].dtype not in ("uint8", "int32"):
        raise TypeError(f"{op}: argmax must be uint8 or int32, got {specs[1].dtype}")


def _backward_infer(op: str):  # type: ignore[no-untyped-def]
    def infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
        dy = unbroken(op, "dy", specs[0], 4, "(N,P,Q,C)")
        x = Spec((dy.shape[0], *a["size"], dy.shape[3]))
        _check_gradient(op, specs, _output(op, x, a))
        return [x]

    return infer


def _global_backward_infer(op: str):  # type: ignore[no-untyped-def]
    def infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
        dy = unbroken(op, "dy", specs[0])
        x = Spec((dy.shape[0], *a["size"], dy.shape[-1]))
        _check_gradient(op, specs, _global_output(x, a))
        return [x]

    return infer


def _gradient(backward: Op, attributes: tuple[str, ...]):  # type: ignore[no-untyped-def]
    """The rule of an op whose gradient needs dy, the argmax if there is one, and the size of x."""

    def rule(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
        x = node.inputs[0]
        assert x is not None
        a = {**{k: node.attributes[k] for k in attributes}, "size": list(x.shape[1:3])}
        return [apply(backward, [grads[0], *node.outputs[1:]], a)]

    return rule


MAX_POOL2D_BACKWARD = Op("max_pool2d_backward", _backward_infer("max_pool2d_backward"), own_types=True)
AVERAGE_POOL2D_BACKWARD = Op("average_pool2d_backward", _backward_infer("average_pool2d_backward"))
GLOBAL_MAX_POOL2D_BACKWARD = Op(
    "global_max_pool2d_backward", _global_backward_infer("global_max_pool2d_backward"), own_types=True
)
GLOBAL_AVERAGE_POOL2D_BACKWARD = Op(
    "global_average_pool2d_backward", _global_backward_infer("global_average_pool2d_backward")
)
MAX_POOL2D = Op(
    "max_pool2d",
    _max_infer,
    _gradient(MAX_POOL2D_BACKWARD, _GEOMETRY),
    _resolve("max_pool2d"),
    droppable=True,
)
AVERAGE_POOL2D = Op(
    "average_pool2d",
    _average_infer,
    _gradient(AVERAGE_POOL2D_BACKWARD, _GEOMETRY),
    _resolve("average_pool2d"),
)
GLOBAL_MAX_POOL2D = Op(
    "global_max_pool2d",
    _global_max_infer,
    _gradient(GLOBAL_MAX_POOL2D_BACKWARD, ("keepdims",)),
    droppable=True,
)
GLOBAL_AVERAGE_POOL2D = Op(
    "global_average_pool2d", _global_average_infer, _gradient(GLOBAL_AVERAGE_POOL2D_BACKWARD, ("keepdims",))
)


def _attributes(op: str, pool_size: IntPair, strides: IntPair | None, padding: Any) -> Attributes:
    size = window.int_pair(op, "pool_size", pool_size)
    pads = window.normal_padding(op, padding)
    if not isinstance(pads, str) and (max(pads[:2]) >= size[0] or max(pads[2:]) >= size[1]):
        raise ValueError(f"{op}: padding must be smaller than the window {tuple(size)}, got {padding!r}")
    steps = size if strides is None else window.int_pair(op, "strides", strides)
    return {"pool_size": size, "strides": steps, "padding": pads}


def max_pool2d(x: Tensor, pool_size: IntPair = 2, *, strides: IntPair | None = None, padding: Any = "valid") -> Tensor:
    """The largest element of each window, channel by channel; NaN where the window holds one.

    The gradient goes to the first of several largest elements, in row order.

    Args:
        x: (N, H, W, C).
        pool_size: rows and columns of the window, one integer or two.
        strides: step of the window; default `pool_size`.
        padding: "valid", "same" (output is ceil(input / stride)), an integer, (rows, columns), or
            ((top, bottom), (left, right)). Padding never wins.

    Returns:
        (N, P, Q, C).

    Raises:
        ValueError: a window larger than the padded input; padding not smaller than the window.

    Example:
        >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
        [[5.0, 7.0], [13.0, 15.0]]
    """
    return max_pool2d_argmax(x, pool_size, strides=strides, padding=padding)[0]


def max_pool2d_argmax(
    x: Tensor, pool_size: IntPair = 2, *, strides: IntPair | None = None, padding: Any = "valid"
) -> tuple[Tensor, Tensor]:
    """`max_pool2d`, and which element of each window won: its position r * S + s in the window of R x S.

    Returns:
        y (N, P, Q, C), and argmax of the same shape: uint8 for windows of up to 256 elements, int32 above.

    Example:
        >>> y, argmax = max_pool2d_argmax(np.array([1.0, 5.0, 2.0, 5.0]).reshape(1, 2, 2, 1))
        >>> y.item(), argmax.item()
        (5.0, 1)
    """
    return apply(MAX_POOL2D, [x], _attributes("max_pool2d", pool_size, strides, padding))


def max_pool2d_backward(
    dy: Tensor,
    argmax: Tensor,
    size: IntPair,
    pool_size: IntPair = 2,
    *,
    strides: IntPair | None = None,
    padding: Any = "valid",
) -> Tensor:
    """Gradient of `max_pool2d`: each element of dy goes to the one that won its window.

    Args:
        dy: (N, P, Q, C).
        argmax: (N, P, Q, C), from `max_pool2d_argmax`.
        size: (H, W) of the input.
        pool_size, strides, padding: as in the forward pass.

    Returns:
        dx (N, H, W, C).

    Example:
        >>> y, argmax = max_pool2d_argmax(np.array([1.0, 5.0, 2.0, 5.0]).reshape(1, 2, 2, 1))
        >>> max_pool2d_backward(np.ones_like(y), argmax, (2, 2)).ravel().tolist()
        [0.0, 1.0, 0.0, 0.0]
    """
    a = _backward_attributes("max_pool2d_backward", size, pool_size, strides, padding)
    return apply(MAX_POOL2D_BACKWARD, [dy, argmax], a)


def average_pool2d(
    x: Tensor, pool_size: IntPair = 2, *, strides: IntPair | None = None, padding: Any = "valid"
) -> Tensor:
    """The mean of each window, channel by channel. Padding is not counted.

    Args:
        x: (N, H, W, C).
        pool_size: rows and columns of the window, one integer or two.
        strides: step of the window; default `pool_size`.
        padding: as in `max_pool2d`.

    Returns:
        (N, P, Q, C).

    Raises:
        ValueError: a window larger than the padded input; padding not smaller than the window.

    Example:
        >>> average_pool2d(np.ones((1, 3, 3, 1)), padding="same")[0, :, :, 0].tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    return apply(AVERAGE_POOL2D, [x], _attributes("average_pool2d", pool_size, strides, padding))


def average_pool2d_backward(
    dy: Tensor,
    size: IntPair,
    pool_size: IntPair = 2,
    *,
    strides: IntPair | None = None,
    padding: Any = "valid",
) -> Tensor:
    """Gradient of `average_pool2d`: each element of dy (N, P, Q, C) in equal shares to its window.

    Args and result: as in `max_pool2d_backward`.

    Example:
        >>> average_pool2d_backward(np.ones((1, 1, 1, 1)), (2, 2)).ravel().tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    a = _backward_attributes("average_pool2d_backward", size, pool_size, strides, padding)
    return apply(AVERAGE_POOL2D_BACKWARD, [dy], a)


def _backward_attributes(
    op: str, size: IntPair, pool_size: IntPair, strides: IntPair | None, padding: Any
) -> Attributes:
    a = {**_attributes(op, pool_size, strides, padding), "size": window.int_pair(op, "size", size)}
    return {**a, "padding": window.window_padding(a["size"], a["pool_size"], a)}


def global_max_pool2d(x: Tensor, *, keepdims: bool = False) -> Tensor:
    """The largest element of each channel; NaN where there is one.

    Args:
        x: (N, H, W, C).
        keepdims: the output is (N, 1, 1, C) instead of (N, C).

    Example:
        >>> global_max_pool2d(np.arange(8.0).reshape(1, 2, 2, 2)).tolist()
        [[6.0, 7.0]]
    """
    return apply(GLOBAL_MAX_POOL2D, [x], {"keepdims": bool(keepdims)})[0]


def global_max_pool2d_argmax(x: Tensor, *, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """`global_max_pool2d`, and where: h * W + w of the (first) largest element, int32."""
    return apply(GLOBAL_MAX_POOL2D, [x], {"keepdims": bool(keepdims)})


def global_max_pool2d_backward(dy: Tensor, argmax: Tensor, size: IntPair) -> Tensor:
    """Gradient of `global_max_pool2d`: dx (N, H, W, C) from dy and argmax, (N, C) or (N, 1, 1, C) each.

    `size` is (H, W) of the input.

    Example:
        >>> y, argmax = global_max_pool2d_argmax(np.array([1.0, 5.0, 2.0, 5.0]).reshape(1, 2, 2, 1))
        >>> global_max_pool2d_backward(y, argmax, (2, 2)).ravel().tolist()
        [0.0, 5.0, 0.0, 0.0]
    """
    return apply(GLOBAL_MAX_POOL2D_BACKWARD, [dy, argmax], _global_attributes("global_max_pool2d_backward", dy, size))


def global_average_pool2d(x: Tensor, *, keepdims: bool = False) -> Tensor:
    """The mean of each channel (Lin, Chen and Yan, "Network in network", 2013).

    Args:
        x: (N, H, W, C).
        keepdims: the output is (N, 1, 1, C) instead of (N, C).

    Example:
        >>> global_average_pool2d(np.arange(8.0).reshape(1, 2, 2, 2)).tolist()
        [[3.0, 4.0]]
    """
    return apply(GLOBAL_AVERAGE_POOL2D, [x], {"keepdims": bool(keepdims)})


def global_average_pool2d_backward(dy: Tensor, size: IntPair) -> Tensor:
    """Gradient of `global_average_pool2d`: dx (N, H, W, C) from dy, (N, C) or (N, 1, 1, C), and (H, W).

    Example:
        >>> global_average_pool2d_backward([[4.0]], (2, 2)).ravel().tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    return apply(GLOBAL_AVERAGE_POOL2D_BACKWARD, [dy], _global_attributes("global_average_pool2d_backward", dy, size))


def _global_attributes(op: str, dy: Tensor, size: IntPair) -> Attributes:
    rank = len(dy.shape) if hasattr(dy, "shape") else np.ndim(dy)
    return {"keepdims": rank == 4, "size": window.int_pair(op, "size", size)}
