"""Batch normalization over the last axis, and the moving averages that inference uses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnfast.graph.values import Node, Spec, Value, Variable
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken

_EPILOGUES = frozenset({"relu", "relu6"})


def _features(op: str, name: str, spec: Spec | None) -> Spec:
    x = require_float(op, name, unbroken(op, name, spec))
    if len(x.shape) < 2:
        raise ValueError(f"{op}: {name} expects at least 2 dimensions (..., C), got shape {x.shape}")
    return x


def _check_channels(op: str, x: Spec, names: tuple[str, ...], specs: list[Spec | None]) -> Spec:
    """Each tensor that is given has one number a channel of x; returns that spec."""
    for name, spec in zip(names, specs, strict=True):
        if spec is not None and spec.shape != x.shape[-1:]:
            raise ValueError(f"{op}: {name} expects shape {x.shape[-1:]} for (..., C)={x.shape}, got {spec.shape}")
        if spec is not None:
            require_float(op, name, spec)
    return Spec(x.shape[-1:])


def _check_same(op: str, dy: Spec, x: Spec) -> None:
    if dy.shape != x.shape:
        raise ValueError(f"{op}: dy expects the shape of x, {x.shape}, got {dy.shape}")


def _infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    op = "batch_norm"
    x = _features(op, "x", specs[0])
    channel = _check_channels(op, x, ("gamma", "beta"), specs[1:])
    return [x, channel, channel]


def _backward_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    op = "batch_norm_backward"
    dy, x = _features(op, "dy", specs[0]), _features(op, "x", specs[1])
    _check_same(op, dy, x)
    channel = _check_channels(op, x, ("gamma", "mean", "variance"), specs[2:])
    return [x, channel, channel]


def _inference_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    op = "batch_norm_inference"
    x = _features(op, "x", specs[0])
    _check_channels(op, x, ("gamma", "beta", "mean", "variance"), specs[1:])
    return [x]


def _inference_backward_input_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    op = "batch_norm_inference_backward_input"
    dy = _features(op, "dy", specs[0])
    _check_channels(op, dy, ("gamma", "variance"), specs[1:])
    return [dy]


def _backward_scale_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    op = "batch_norm_backward_scale"
    dy, x = _features(op, "dy", specs[0]), _features(op, "x", specs[1])
    _check_same(op, dy, x)
    channel = _check_channels(op, x, ("mean", "variance"), specs[2:])
    return [channel, channel]


def _moving_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    op = "moving_average_update"
    moving, value = (require_float(op, n, unbroken(op, n, s)) for n, s in zip(("moving", "value"), specs, strict=True))
    if moving.shape != value.shape:
        raise ValueError(f"{op}: value expects the shape of moving, {moving.shape}, got {value.shape}")
    return []


def _gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    if grads[1] is not None or grads[2] is not None:
        raise ValueError("batch_norm: the batch's mean and variance have no gradient")
    x, gamma, beta = node.inputs
    mean, variance = node.outputs[1:]
    dx, dgamma, dbeta = apply(
        BATCH_NORM_BACKWARD, [grads[0], x, gamma, mean, variance], {"epsilon": node.attributes["epsilon"]}
    )
    return [dx, None if gamma is None else dgamma, None if beta is None else dbeta]


def _inference_gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    if needs[3] or needs[4]:
        raise ValueError("batch_norm_inference: the moving mean and variance have no gradient")
    x, gamma, _, mean, variance = node.inputs
    a: Attributes = {"epsilon": node.attributes["epsilon"]}
    dx = dgamma = dbeta = None
    if needs[0]:
        dx = apply(BATCH_NORM_INFERENCE_BACKWARD_INPUT, [grads[0], gamma, variance], a)
    if needs[1] or needs[2]:
        dgamma, dbeta = apply(BATCH_NORM_BACKWARD_SCALE, [grads[0], x, mean, variance], a)
    return [dx, dgamma, dbeta, None, None]


BATCH_NORM = Op("batch_norm", _infer, _gradient, epilogues=_EPILOGUES, inplace=0)
BATCH_NORM_BACKWARD = Op("batch_norm_backward", _backward_infer, inplace=0)
BATCH_NORM_INFERENCE = Op(
    "batch_norm_inference", _inference_infer, _inference_gradient, epilogues=_EPILOGUES, inplace=0
)
BATCH_NORM_INFERENCE_BACKWARD_INPUT = Op(
    "batch_norm_inference_backward_input", _inference_backward_input_infer, inplace=0
)
BATCH_NORM_BACKWARD_SCALE = Op("batch_norm_backward_scale", _backward_scale_infer)
MOVING_AVERAGE_UPDATE = Op("moving_average_update", _moving_infer, updates=(0,))


def _epsilon(op: str, epsilon: float) -> Attributes:
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise ValueError(f"{op}: epsilon must be a number of at least 0, got {epsilon!r}")
    return {"epsilon": float(epsilon)}


def _given(op: str, **tensors: Tensor | None) -> None:
    """The engine lets gamma and beta be missing, nothing else."""
    for name, tensor in tensors.items():
        if tensor is None:
            raise ValueError(f"{op}: {name} is missing")


def batch_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, *, epsilon: float = 1e-3
) -> tuple[Tensor, Tensor, Tensor]:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with this batch's moments of each channel.

    Args:
        x: (..., C), at least two dimensions.
        gamma: (C,), or None for 1.
        beta: (C,), or None for 0.
        epsilon: keeps the square root away from 0.

    Returns:
        y (..., C), and the batch's mean and biased variance, (C,) each.

    Raises:
        ValueError: shapes that do not fit each other, a negative epsilon.

    Example:
        >>> y, mean, variance = batch_norm(np.array([[1.0], [3.0]]), epsilon=0.0)
        >>> y.ravel().tolist(), mean.tolist(), variance.tolist()
        ([-1.0, 1.0], [2.0], [1.0])

    Source: Ioffe and Szegedy, "Batch normalization" (2015), algorithm 1.
    """
    return apply(BATCH_NORM, [x, gamma, beta], _epsilon("batch_norm", epsilon))


def batch_norm_backward(
    dy: Tensor,
    x: Tensor,
    gamma: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-3,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `batch_norm` from its input and the moments it gave: dx (..., C), dgamma (C,), dbeta (C,).

    The moments depend on x, and dx takes that into account.

    Example:
        >>> x = np.array([[1.0], [3.0]])
        >>> y, mean, variance = batch_norm(x)
        >>> dx, dgamma, dbeta = batch_norm_backward(np.ones((2, 1)), x, None, mean, variance)
        >>> dx.ravel().tolist(), dbeta.tolist()
        ([0.0, 0.0], [2.0])
    """
    op = "batch_norm_backward"
    _given(op, mean=mean, variance=variance)
    return apply(BATCH_NORM_BACKWARD, [dy, x, gamma, mean, variance], _epsilon(op, epsilon))


def batch_norm_inference(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-3,
) -> Tensor:
    """`batch_norm` with given mean and variance, (C,) each, such as the moving averages of training.

    Example:
        >>> batch_norm_inference(np.array([[5.0]]), None, None, [1.0], [4.0], epsilon=0.0)
        array([[2.]], dtype=float32)
    """
    op = "batch_norm_inference"
    _given(op, mean=mean, variance=variance)
    return apply(BATCH_NORM_INFERENCE, [x, gamma, beta, mean, variance], _epsilon(op, epsilon))


def batch_norm_inference_backward(
    dy: Tensor,
    x: Tensor,
    gamma: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-3,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `batch_norm_inference`, its moments constant: dx (..., C), dgamma (C,), dbeta (C,)."""
    op = "batch_norm_inference_backward"
    _given(op, mean=mean, variance=variance)
    a = _epsilon(op, epsilon)
    dgamma, dbeta = apply(BATCH_NORM_BACKWARD_SCALE, [dy, x, mean, variance], a)
    return apply(BATCH_NORM_INFERENCE_BACKWARD_INPUT, [dy, gamma, variance], a), dgamma, dbeta


def moving_average_update(moving: Tensor, value: Tensor, *, momentum: float = 0.99) -> None:
    """moving = momentum * moving + (1 - momentum) * value, in place.

    Args:
        moving: a Variable, or a C-contiguous float32 array, which is changed.
        value: what to move towards, of the same shape.
        momentum: in [0, 1]; the nearer to 1, the slower.

    Raises:
        TypeError: `moving` cannot be changed in place.
        ValueError: shapes differ, momentum out of range.

    Example:
        >>> moving = np.zeros(1, np.float32)
        >>> moving_average_update(moving, [2.0], momentum=0.75)
        >>> moving
        array([0.5], dtype=float32)
    """
    op = "moving_average_update"
    if not 0.0 <= momentum <= 1.0:
        raise ValueError(f"{op}: momentum must lie in [0, 1], got {momentum!r}")
    changeable = isinstance(moving, np.ndarray) and moving.dtype == np.float32 and moving.flags.carray
    if not (isinstance(moving, (Variable, Value)) or changeable):
        what = getattr(moving, "dtype", type(moving).__name__)
        raise TypeError(f"{op}: moving must be a Variable or a writable C-contiguous float32 array, got {what}")
    changed = moving.value if isinstance(moving, Variable) else moving
    if isinstance(changed, np.ndarray) and isinstance(value, np.ndarray) and np.may_share_memory(changed, value):
        value = value.copy()  # the kernel would read what it has just written
    apply(MOVING_AVERAGE_UPDATE, [moving, value], {"momentum": float(momentum)})
