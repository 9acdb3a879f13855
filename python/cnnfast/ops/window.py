"""Strides, dilation and padding, as the user writes them and as kernels need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnfast.graph.values import Shape, Spec
from cnnfast.ops import engine
from cnnfast.ops.core import Attributes, require_size

IntPair = int | Sequence[int]

MAX_SETTING = 2**31 - 1  # of a stride, a padding, ...: no sum or product of two wraps around in 64 bits


def int_pair(op: str, name: str, value: IntPair, minimum: int = 1) -> list[int]:
    """[rows, columns] from one integer or two. ValueError out of range, TypeError for anything else."""
    pair = [value, value] if isinstance(value, int) else list(value)
    if len(pair) != 2 or not all(isinstance(v, int) and not isinstance(v, bool) for v in map(_as_int, pair)):
        raise TypeError(f"{op}: {name} must be an integer or two, got {value!r}")
    pair = [_as_int(v) for v in pair]
    if min(pair) < minimum:
        raise ValueError(f"{op}: {name} must be at least {minimum}, got {value!r}")
    if max(pair) > MAX_SETTING:
        raise ValueError(f"{op}: {name} must be at most {MAX_SETTING}, got {value!r}")
    return pair


def _as_int(value: Any) -> Any:
    """NumPy's integers count as integers."""
    return value.__index__() if hasattr(value, "__index__") and not isinstance(value, bool) else value


def normal_padding(op: str, padding: Any) -> str | list[int]:
    """ "valid", "same", or [top, bottom, left, right] from an integer, (rows, columns) or ((t, b), (l, r))."""
    if isinstance(padding, str):
        if padding.lower() not in ("valid", "same"):
            raise ValueError(f"{op}: padding must be 'valid', 'same' or numbers, got {padding!r}")
        return padding.lower()
    sides = [padding, padding] if isinstance(padding, int) else list(padding)
    if len(sides) == 4 and all(isinstance(_as_int(s), int) for s in sides):
        flat = [_as_int(s) for s in sides]
    elif len(sides) == 2:
        flat = [_as_int(v) for side in sides for v in (side if isinstance(side, Sequence) else (side, side))]
    else:
        flat = []
    if len(flat) != 4 or not all(isinstance(v, int) and not isinstance(v, bool) for v in flat):
        raise TypeError(f"{op}: padding must be 'valid', 'same' or integers, got {padding!r}")
    if min(flat) < 0:
        raise ValueError(f"{op}: padding must not be negative, got {padding!r}")
    if max(flat) > MAX_SETTING:
        raise ValueError(f"{op}: padding must be at most {MAX_SETTING}, got {padding!r}")
    return flat


def _axis_padding(axis: int, size: int, kernel: Sequence[int], a: Attributes) -> tuple[int, int]:
    """(before, after) of one axis: 0 for rows, 1 for columns."""
    padding = a["padding"]
    if padding == "valid":
        return 0, 0
    if padding == "same":
        return engine.same_padding(size, kernel[axis], a["strides"][axis], _dilation(a)[axis])
    return padding[2 * axis], padding[2 * axis + 1]


def _dilation(a: Attributes) -> Sequence[int]:
    return a.get("dilation", (1, 1))


def window_padding(size: Sequence[int | None], kernel: Sequence[int], a: Attributes) -> list[int] | str:
    """[top, bottom, left, right] of the attribute "padding"; "same" stays while a size is unknown."""
    if None in size and a["padding"] == "same":
        return "same"
    return [side for axis in range(2) for side in _axis_padding(axis, size[axis] or 0, kernel, a)]


def window_output(
    op: str, size: Sequence[int | None], kernel: Sequence[int], a: Attributes, channels: int | None = 1
) -> list[int | None]:
    """Output rows and columns (P, Q). ValueError if the window does not fit in the padded input, or that in memory."""
    out: list[int | None] = []
    padded: list[int | None] = []
    for axis, one in enumerate(size):
        if one is None:
            out.append(None)
            padded.append(None)
            continue
        dilation = _dilation(a)[axis]
        lo, hi = _axis_padding(axis, one, kernel, a)
        n = engine.window_output_size(one, kernel[axis], a["strides"][axis], dilation, lo, hi)
        if n < 1:
            raise ValueError(
                f"{op}: a window of {(kernel[axis] - 1) * dilation + 1} {('rows', 'columns')[axis]} does not fit in "
                f"the input's {one} with padding {lo} + {hi}"
            )
        out.append(n)
        padded.append(lo + one + hi)
    require_size(op, "the padded input", Spec((*padded, channels)))
    return out


def spatial(spec: Spec) -> Shape:
    """(H, W) of a tensor (N, H, W, C)."""
    return spec.shape[1:3]
