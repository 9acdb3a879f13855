"""Transposed convolution: the input gradient of `conv2d`, used forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnfast.ops import engine, window
from cnnfast.ops.conv import CONV2D, CONV2D_BACKWARD_INPUT, CONV2D_BACKWARD_WEIGHT, conv_attributes, shape_of
from cnnfast.ops.core import Attributes, Tensor, apply
from cnnfast.ops.dense import bias_backward
from cnnfast.ops.window import IntPair

_OP = "conv2d_transpose"


def _axis(n: int, k: int, s: int, padding: str | Sequence[int], extra: int | None, size: int | None) -> list[int]:
    """[output size, padding before, padding after] of one axis of n; k is the dilated window, s the stride.

    The padding is that of the convolution which takes the output back to n.
    """
    span = (n - 1) * s + k
    if not isinstance(padding, str):
        lo, hi = padding
        return [size or span - lo - hi + (extra or 0), lo, hi]
    if size is None and extra is None:
        size = n * s if padding == "same" else n * s + max(k - s, 0)
    elif size is None:
        size = span + (extra or 0) - (2 * (k // 2) if padding == "same" else 0)
    total = max(span - size, 0) if padding == "same" else 0
    return [size, total // 2, total - total // 2]


def _transposed(
    x: Tensor, w: Tensor, a: Attributes, output_padding: IntPair | None, output_size: IntPair | None
) -> Attributes:
    """The attributes of the convolution that is transposed; its input's rows and columns are "size"."""
    x_shape, w_shape = shape_of(x), shape_of(w)
    if len(x_shape) != 4 or len(w_shape) != 4 or (x_shape[3] is not None and w_shape[3] != x_shape[3]):
        raise ValueError(f"{_OP}: w (R,S,K,C)={w_shape} expects x (N,H,W,C) with the same C, got x {x_shape}")
    extra: Any = [None] * 2 if output_padding is None else window.int_pair(_OP, "output_padding", output_padding, 0)
    if output_padding is not None and any(o >= s for o, s in zip(extra, a["strides"], strict=True)):
        raise ValueError(f"{_OP}: output_padding={output_padding} must be smaller than strides={tuple(a['strides'])}")
    wanted: Any = [None] * 2 if output_size is None else window.int_pair(_OP, "output_size", output_size)
    axes: list[Any] = []
    for i, (n, s, d) in enumerate(zip(x_shape[1:3], a["strides"], a["dilation"], strict=True)):
        if n is None:
            axes.append([None, 0, 0])
            continue
        k = (w_shape[i] - 1) * d + 1
        padding = a["padding"] if isinstance(a["padding"], str) else a["padding"][2 * i : 2 * i + 2]
        size, lo, hi = _axis(n, k, s, padding, extra[i], wanted[i])
        if size < 1 or engine.window_output_size(size, w_shape[i], s, d, lo, hi) != n:
            raise ValueError(
                f"{_OP}: {n} {('rows', 'columns')[i]} cannot become {size} with window {k}, stride {s}, "
                f"padding {a['padding']!r}, output_padding {output_padding}"
            )
        axes.append([size, lo, hi])
    (rows, top, bottom), (columns, left, right) = axes
    return {**a, "padding": [top, bottom, left, right], "size": [rows, columns]}


def conv2d_transpose(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    strides: IntPair = 1,
    padding: Any = "valid",
    dilation: IntPair = 1,
    output_padding: IntPair | None = None,
    output_size: IntPair | None = None,
) -> Tensor:
    """Transposed convolution: what `conv2d` does to its output's gradient, as an operation that enlarges.

    With s the stride and k = (R - 1) * dilation + 1, the H rows become
    "valid": H * s + max(k - s, 0); "same": H * s; padding in numbers: (H - 1) * s + k - top - bottom + o;
    and with output_padding o, "valid": (H - 1) * s + k + o; "same": (H - 1) * s + k - 2 * (k // 2) + o.

    Args:
        x: (N, H, W, C).
        w: (R, S, K, C): output channels first, as the kernel of the convolution that is transposed.
        b: (K,), or None.
        strides: one integer or (rows, columns). Default 1.
        padding: "valid" (default), "same" or numbers, as that convolution would pad.
        dilation: distance between the window's elements. Default 1.
        output_padding: rows and columns added at the bottom and right; smaller than the stride. Default None.
        output_size: (P, Q) instead of the formulas, if the convolution takes it to (H, W). Default None.

    Returns:
        (N, P, Q, K).

    Raises:
        ValueError: shapes that do not fit each other, or an output not taken to (H, W).

    Example:
        >>> conv2d_transpose(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1)), strides=2).shape
        (1, 4, 4, 1)

    Source: Zeiler et al., "Deconvolutional networks" (2010); Dumoulin and Visin (2016), chapter 4.
    """
    a = conv_attributes(_OP, strides, padding, dilation)
    return apply(CONV2D_BACKWARD_INPUT, [x, w, b], _transposed(x, w, a, output_padding, output_size))


def conv2d_transpose_backward(
    dy: Tensor,
    x: Tensor,
    w: Tensor,
    *,
    strides: IntPair = 1,
    padding: Any = "valid",
    dilation: IntPair = 1,
    output_padding: IntPair | None = None,
    output_size: IntPair | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `conv2d_transpose`: from dy (N, P, Q, K) to dx (N, H, W, C), dw (R, S, K, C) and db (K,).

    Example:
        >>> x, w = np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))
        >>> dx, dw, db = conv2d_transpose_backward(np.ones((1, 4, 4, 1)), x, w, strides=2)
        >>> dx.ravel().tolist(), dw.ravel().tolist(), db.tolist()
        ([4.0, 4.0, 4.0, 4.0], [4.0, 4.0, 4.0, 4.0], [16.0])
    """
    a = _transposed(x, w, conv_attributes(_OP, strides, padding, dilation), output_padding, output_size)
    del a["size"]
    dw = apply(CONV2D_BACKWARD_WEIGHT, [x, dy], {**a, "kernel_size": list(shape_of(w)[:2])})
    return apply(CONV2D, [dy, w, None], a), dw, bias_backward(dy)
