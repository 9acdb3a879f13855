"""Output and weight shapes of the suite's layers.

A peer's process does not load cnnfast's engine, so the suite has shape rules of its own; an engine that
follows others cannot agree with anything here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

Shape = tuple[int, ...]
Options = dict[str, Any]


def pair(value: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    """(rows, columns) of an option that may be one number."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def padding_of(size: Shape, o: Options) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right)) of a window with these options over `size` = (H, W)."""
    if o["padding"] == "valid":
        return (0, 0), (0, 0)
    if o["padding"] != "same":
        return (o["padding"],) * 2, (o["padding"],) * 2
    sides = []
    for n, k, s in zip(size, pair(o["kernel"]), pair(o["strides"]), strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * o.get("dilation", 1) + 1 - n, 0)
        sides.append((total // 2, total - total // 2))  # the odd one goes to the bottom and right
    return sides[0], sides[1]


def _window(x: Shape, o: Options) -> Shape:
    sides = padding_of(x[:2], o)
    return tuple(
        (n + lo + hi - (k - 1) * o.get("dilation", 1) - 1) // s + 1
        for n, k, s, (lo, hi) in zip(x[:2], pair(o["kernel"]), pair(o["strides"]), sides, strict=True)
    )


def _same(inputs: list[Shape], _: Options) -> Shape:
    return inputs[0]


_OUTPUT: dict[str, Callable[[list[Shape], Options], Shape]] = {
    "conv2d": lambda x, o: (*_window(x[0], o), o["filters"]),
    "depthwise": lambda x, o: (*_window(x[0], o), x[0][2]),
    "max_pool": lambda x, o: (*_window(x[0], o), x[0][2]),
    "average_pool": lambda x, o: (*_window(x[0], o), x[0][2]),
    "global_average_pool": lambda x, o: (x[0][2],),
    "dense": lambda x, o: (o["units"],),
    "flatten": lambda x, o: (prod(x[0]),),
    "concatenate": lambda x, o: (*x[0][:-1], sum(s[-1] for s in x)),
    "dropout": _same,
    "batch_norm": _same,
    "relu": _same,
    "relu6": _same,
    "softmax": _same,
    "add": _same,
    "augmentation": _same,
}


def output_shape(kind: str, inputs: list[Shape], options: Options) -> Shape:
    """Shape of one sample of a layer's output. ValueError for a kind the suite does not have."""
    if kind not in _OUTPUT:
        raise ValueError(f"bench: unknown layer kind {kind!r}; known are {', '.join(_OUTPUT)}")
    return _OUTPUT[kind](inputs, options)


def weight_shapes(kind: str, x: Shape, o: Options) -> dict[str, Shape]:
    """Shapes of a layer's weights in Keras' order, by Keras' names."""
    c = x[-1]
    if kind == "batch_norm":
        return dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (c,))
    if kind == "conv2d":
        kernel: Shape = (*pair(o["kernel"]), c // o["groups"], o["filters"])
    elif kind == "depthwise":
        kernel = (*pair(o["kernel"]), c, 1)
    elif kind == "dense":
        kernel = (c, o["units"])
    else:
        return {}
    outputs = c if kind == "depthwise" else kernel[-1]
    return {"kernel": kernel, "bias": (outputs,)} if o["bias"] else {"kernel": kernel}
