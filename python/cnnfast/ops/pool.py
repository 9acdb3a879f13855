"""Pooling: the largest or the mean value of each window, or of each whole image."""

from __future__ import annotations

from typing import Any

from cnnfast.graph.values import Node, Spec
from cnnfast.ops import window
from cnnfast.ops.core import Attributes, GradientRule, Op, Tensor, apply, require_float, unbroken
from cnnfast.ops.shape import reshape
from cnnfast.ops.window import IntPair

#: windows of more positions than a byte can number keep their argmax as int32
_BYTE_POSITIONS = 256


def _images(op: str, spec: Spec | None, name: str = "x") -> Spec:
    return require_float(op, name, unbroken(op, name, spec, 4, "(N,H,W,C)"))


def _resolve(specs: list[Spec | None], a: Attributes) -> Attributes:
    x = _images("pool2d", specs[0])
    return {**a, "padding": window.window_padding(window.spatial(x), a["pool_size"], a)}


def _output(op: str, x: Spec, a: Attributes) -> Spec:
    if not isinstance(a["padding"], str):
        top, bottom, left, right = a["padding"]
        rows, cols = a["pool_size"]
        if max(top, bottom) >= rows or max(left, right) >= cols:
            raise ValueError(
                f"{op}: padding (top, bottom, left, right)={tuple(a['padding'])} must be smaller than the window "
                f"({rows}, {cols}), or some windows would see no input"
            )
    return Spec((x.shape[0], *window.window_output(op, window.spatial(x), a["pool_size"], a), x.shape[3]))


def _argmax(y: Spec, positions: int | None) -> Spec:
    small = positions is not None and positions <= _BYTE_POSITIONS
    return Spec(y.shape, "uint8" if small else "int32")


def _max_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    y = _output("max_pool2d", _images("max_pool2d", specs[0]), a)
    return [y, _argmax(y, a["pool_size"][0] * a["pool_size"][1])] if a["argmax"] else [y]


def _average_infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    return [_output("average_pool2d", _images("average_pool2d", specs[0]), a)]


def _global_infer(op: str, with_argmax: bool):  # type: ignore[no-untyped-def]
    def infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
        x = _images(op, specs[0])
        y = Spec((x.shape[0], x.shape[3]))
        return [y, Spec(y.shape, "int32")] if with_argmax and a["argmax"] else [y]

    return infer


def _backward_infer(op: str, rank: int):  # type: ignore[no-untyped-def]
    """dx has the shape of x but for the batch, which is dy's."""

    def infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
        dy = require_float(op, "dy", unbroken(op, "dy", specs[0], rank))
        dx = Spec((dy.shape[0], *a["size"], dy.shape[-1]))
        if rank == 4:
            y = _output(op, dx, a)
            if y.shape != dy.shape:
                raise ValueError(f"{op}: an input of {tuple(a['size'])} gives dy {y.shape}, got {dy.shape}")
        if len(specs) > 1 and (specs[1] is None or specs[1].shape != dy.shape):
            raise ValueError(f"{op}: argmax expects dy's shape {dy.shape}, got {specs[1] and specs[1].shape}")
        return [dx]

    return infer


def _with_size(node: Node) -> Attributes:
    x = node.inputs[0]
    assert x is not None
    kept = {k: v for k, v in node.attributes.items() if k in ("pool_size", "strides", "padding")}
    return {**kept, "size": list(x.shape[1:3])}


def _max_gradient(backward: str) -> GradientRule:
    def rule(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
        return [apply(_OPS[backward], [grads[0], node.outputs[1]], _with_size(node))]

    return rule


def _average_gradient(backward: str) -> GradientRule:
    def rule(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
        return [apply(_OPS[backward], [grads[0]], _with_size(node))]

    return rule


_OPS = {
    op.name: op
    for op in (
        Op("max_pool2d", _max_infer, _max_gradient("max_pool2d_backward"), _resolve, droppable=True),
        Op("max_pool2d_backward", _backward_infer("max_pool2d_backward", 4)),
        Op("average_pool2d", _average_infer, _average_gradient("average_pool2d_backward"), _resolve),
        Op("average_pool2d_backward", _backward_infer("average_pool2d_backward", 4)),
        Op("global_max_pool2d", _global_infer("global_max_pool2d", True), _max_gradient("global_max_pool2d_backward"), droppable=True),
        Op("global_max_pool2d_backward", _backward_infer("global_max_pool2d_backward", 2)),
        Op(
            "global_average_pool2d",
            _global_infer("global_average_pool2d", False),
            _average_gradient("global_average_pool2d_backward"),
        ),
        Op("global_average_pool2d_backward", _backward_infer("global_average_pool2d_backward", 2)),
    )
}


def _attributes(op: str, pool_size: IntPair, strides: IntPair | None, padding: Any) -> Attributes:
    size = window.int_pair(op, "pool_size", pool_size)
    return {
        "pool_size": size,
        "strides": size if strides is None else window.int_pair(op, "strides", strides),
        "padding": window.normal_padding(op, padding),
    }


def max_pool2d(
    x: Tensor, pool_size: IntPair = 2, *, strides: IntPair | None = None, padding: Any = "valid"
) -> Tensor:
    """The largest value of each window, channel by channel.

    Args:
        x: (N, H, W, C).
        pool_size: rows and columns of the window, one integer or two.
        strides: step of the window; the window's size if None.
        padding: as in `conv2d`, but smaller than the window; padding never is the largest.

    Returns:
        (N, P, Q, C). NaN in a window gives NaN.

    Raises:
        ValueError: the window does not fit, or a padding is as large as the window.

    Example:
        >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
        [[5.0, 7.0], [13.0, 15.0]]
    """
    return _max(x, _attributes("max_pool2d", pool_size, strides, padding))[0]


def max_pool2d_argmax(
    x: Tensor, pool_size: IntPair = 2, *, strides: IntPair | None = None, padding: Any = "valid"
) -> tuple[Tensor, Tensor]:
    """`max_pool2d` and, for each output, which position r * S + s of its window was the (first) largest."""
    a = _attributes("max_pool2d", pool_size, strides, padding)
    return apply(_OPS["max_pool2d"], [x], {**a, "argmax": True})


def _max(x: Tensor, a: Attributes, name: str = "max_pool2d") -> list[Tensor]:
    """With the argmax where a gradient may be asked for: in graphs, which drop it if nobody reads it."""
    result = apply(_OPS[name], [x], {**a, "argmax": True})
    return list(result)


def max_pool2d_backward(
    dy: Tensor,
    argmax: Tensor,
    size: IntPair,
    pool_size: IntPair = 2,
    *,
    strides: IntPair | None = None,
    padding: Any = "valid",
) -> Tensor:
    """Gradient of `max_pool2d`: each dy goes to the input that was the largest of its window.

    Args:
        dy: (N, P, Q, C).
        argmax: from `max_pool2d_argmax`.
        size: (H, W) of the input.
        pool_size, strides, padding: as in the forward pass.

    Returns:
        dx (N, H, W, C).
    """
    return _window_backward("max_pool2d_backward", [dy, argmax], size, pool_size, strides, padding)


def average_pool2d(
    x: Tensor, pool_size: IntPair = 2, *, strides: IntPair | None = None, padding: Any = "valid"
) -> Tensor:
    """The mean of each window; padding does not count. Arguments as `max_pool2d`.

    Example:
        >>> average_pool2d(np.ones((1, 3, 3, 1)), 2, padding="same")[0, :, :, 0].tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    return apply(_OPS["average_pool2d"], [x], _attributes("average_pool2d", pool_size, strides, padding))


def average_pool2d_backward(
    dy: Tensor, size: IntPair, pool_size: IntPair = 2, *, strides: IntPair | None = None, padding: Any = "valid"
) -> Tensor:
    """Gradient of `average_pool2d`: from dy (N, P, Q, C) to dx (N, H, W, C), `size` being (H, W)."""
    return _window_backward("average_pool2d_backward", [dy], size, pool_size, strides, padding)


def _window_backward(
    name: str, inputs: list[Tensor], size: IntPair, pool_size: IntPair, strides: IntPair | None, padding: Any
) -> Tensor:
    a = _attributes(name, pool_size, strides, padding)
    pair = window.int_pair(name, "size", size)
    a["padding"] = window.window_padding(pair, a["pool_size"], a)
    return apply(_OPS[name], inputs, {**a, "size": pair})


def global_max_pool2d(x: Tensor, *, keepdims: bool = False) -> Tensor:
    """The largest value of each channel of x (N, H, W, C): (N, C), or (N, 1, 1, C) with keepdims."""
    return _kept(_max(x, {}, "global_max_pool2d")[0], keepdims)


def global_average_pool2d(x: Tensor, *, keepdims: bool = False) -> Tensor:
    """The mean of each channel of x (N, H, W, C): (N, C), or (N, 1, 1, C) with keepdims.

    Example:
        >>> global_average_pool2d(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
        [[1.5]]
    """
    return _kept(apply(_OPS["global_average_pool2d"], [x]), keepdims)


def _kept(y: Tensor, keepdims: bool) -> Tensor:
    return reshape(y, (1, 1, y.shape[-1]), keep_batch=True) if keepdims else y
