"""Dropout without stored masks: what is dropped follows from a seed, so the gradient drops the same again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnfast import random
from cnnfast.graph.values import Node, Spec, Value
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken

_SEEDED = 2**32  # salts from here on belong to seeds the user gave, below to places in a graph


def _infer(specs: list[Spec | None], a: Attributes) -> list[Spec]:
    x = require_float("dropout", "x", unbroken("dropout", "x", specs[0]))
    noise = a.get("noise_shape", x.shape)
    fits = all(n in (1, None, d) for n, d in zip(noise, x.shape, strict=False))
    if len(noise) != len(x.shape) or not fits:
        raise ValueError(f"dropout: noise_shape must hold 1 or the sizes of x {x.shape}, got {tuple(noise)}")
    return [x]


def _resolve(specs: list[Spec | None], a: Attributes) -> Attributes:
    x = specs[0]
    if "noise_shape" not in a or x is None or len(a["noise_shape"]) != len(x.shape):
        return a
    drawn = [d if n is None else n for n, d in zip(a["noise_shape"], x.shape, strict=True)]
    return {**a, "noise_shape": drawn}


def _gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    return [apply(DROPOUT, [grads[0]], node.attributes)]  # the same salt: the same elements


DROPOUT = Op("dropout", _infer, _gradient, _resolve, inplace=0, random=True)


def dropout(x: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None) -> Tensor:
    """Sets each element to 0 with probability `rate` and multiplies the others by 1 / (1 - rate).

    Args:
        x: tensor of any shape, float32.
        rate: in [0, 1].
        noise_shape: sizes of what is drawn: 1 where elements along an axis are dropped together, else the
            size of x (or None for it). All elements by themselves if not given.
        seed: the same seed drops the same elements, on any number of threads and any processor. On arrays
            None draws one from `cnnfast.random`; within a model each step drops others, and layers of equal
            seeds drop alike.

    Raises:
        ValueError: a rate outside [0, 1], a noise_shape that does not fit, a seed out of range.

    Example:
        >>> x = np.ones((4, 100))
        >>> sorted(set(dropout(x, 0.5, seed=1).ravel().tolist()))
        [0.0, 2.0]
        >>> bool((dropout(x, 0.5, (4, 1), seed=1).std(axis=1) == 0).all())
        True

    Source: Srivastava et al., "Dropout" (2014); random bits as in Salmon et al., "Parallel random numbers:
    as easy as 1, 2, 3" (2011).
    """
    if isinstance(rate, bool) or not hasattr(rate, "__float__"):
        raise TypeError(f"dropout: rate must be a number, got {rate!r}")
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout: rate must lie in [0, 1], got {rate!r}")
    attributes: dict[str, Any] = {"rate": float(rate)}
    if noise_shape is not None:
        attributes["noise_shape"] = [None if n is None else int(n) for n in noise_shape]
    if seed is None:  # within a model the seed comes with each step
        return apply(DROPOUT, [x], attributes, seed=0 if isinstance(x, Value) else random.next_seed())
    attributes["salt"] = _SEEDED + random.check_seed("dropout", seed, 2**62)
    return apply(DROPOUT, [x], attributes)


def dropout_backward(dy: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int = 0) -> Tensor:
    """Gradient of `dropout` with the same rate, noise_shape and seed: it drops the same elements of dy.

    Example:
        >>> x = np.ones((4, 100))
        >>> bool((dropout(x, 0.3, seed=7) == dropout_backward(x, 0.3, seed=7)).all())
        True
    """
    return dropout(dy, rate, noise_shape, seed)
