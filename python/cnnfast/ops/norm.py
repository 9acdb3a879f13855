"""Batch normalization over the last axis (Ioffe and Szegedy, 2015)."""

from __future__ import annotations

from typing import Any

from cnnfast.graph.values import Node, Spec, Variable
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken


def _checked(name: str, specs: list[Spec | None], vectors: dict[int, str], tensors: dict[int, str]) -> list[Spec]:
    """The tensors, which must agree in shape; the vectors must have one number a channel."""
    found = [require_float(name, n, unbroken(name, n, specs[i])) for i, n in tensors.items()]
    x = found[0]
    if len(x.shape) < 2:
        raise ValueError(f"{name}: x expects at least 2 dimensions (N, ..., C), got shape {x.shape}")
    for spec in found[1:]:
        if spec.shape != x.shape:
            raise ValueError(f"{name}: expected shape {x.shape}, got {spec.shape}")
    for i, n in vectors.items():
        spec = specs[i]
        if spec is not None and spec.shape != x.shape[-1:]:
            raise ValueError(f"{name}: {n} expects shape {x.shape[-1:]}, got {spec.shape}")
    return found


def _infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    (x,) = _checked("batch_norm", specs, {1: "gamma", 2: "beta"}, {0: "x"})
    return [x, Spec(x.shape[-1:]), Spec(x.shape[-1:])]


def _inference_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    vectors = {1: "gamma", 2: "beta", 3: "mean", 4: "variance"}
    return _checked("batch_norm_inference", specs, vectors, {0: "x"})


def _backward_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    vectors = {2: "gamma", 3: "mean", 4: "variance"}
    dy, _x = _checked("batch_norm_backward", specs, vectors, {0: "dy", 1: "x"})
    return [dy, Spec(dy.shape[-1:]), Spec(dy.shape[-1:])]


def _gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    x, gamma, _beta = node.inputs
    _y, mean, variance = node.outputs
    epsilon = {"epsilon": node.attributes["epsilon"]}
    return list(apply(BATCH_NORM_BACKWARD, [grads[0], x, gamma, mean, variance], epsilon))


def _inference_gradient(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
    x, gamma, _, mean, variance = node.inputs
    epsilon = {"epsilon": node.attributes["epsilon"]}
    dx = dgamma = dbeta = None
    if needs[0]:
        dx = apply(BATCH_NORM_INFERENCE_BACKWARD_INPUT, [grads[0], gamma, variance], epsilon)
    if needs[1] or needs[2]:
        dgamma, dbeta = apply(BATCH_NORM_BACKWARD_SCALE, [grads[0], x, mean, variance], epsilon)
    return [dx, dgamma, dbeta]


def _moving_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    moving, value = specs
    if moving is None or value is None or moving.shape != value.shape:
        raise ValueError(f"moving_average_update: expected equal shapes, got {moving} and {value}")
    return []


_EPILOGUES = frozenset({"relu", "relu6"})

BATCH_NORM = Op("batch_norm", _infer, _gradient, epilogues=_EPILOGUES)
BATCH_NORM_BACKWARD = Op("batch_norm_backward", _backward_infer)
BATCH_NORM_INFERENCE = Op("batch_norm_inference", _inference_infer, _inference_gradient, epilogues=_EPILOGUES)
BATCH_NORM_INFERENCE_BACKWARD_INPUT = Op(
    "batch_norm_inference_backward_input",
    lambda specs, _: _checked("batch_norm_backward", specs, {1: "gamma", 2: "variance"}, {0: "dy"}),
)
BATCH_NORM_BACKWARD_SCALE = Op(
    "batch_norm_backward_scale",
    lambda specs, _: [
        Spec(s.shape[-1:])
        for s in _checked("batch_norm_backward", specs, {2: "mean", 3: "variance"}, {0: "dy", 1: "x"})
    ],
)
MOVING_AVERAGE_UPDATE = Op("moving_average_update", _moving_infer, updates=(0,))


def batch_norm(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, *, epsilon: float = 1e-3
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalizes each channel by the mean and variance of the batch, as in training.

    Args:
        x: (N, ..., C).
        gamma, beta: scale and offset (C,), or None for 1 and 0.
        epsilon: added to the variance.

    Returns:
        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, (N, ..., C); mean (C,); biased variance (C,).

    Example:
        >>> y, mean, variance = batch_norm(np.array([[1.0], [3.0]]), epsilon=0.0)
        >>> y.ravel().tolist(), float(mean[0]), float(variance[0])
        ([-1.0, 1.0], 2.0, 1.0)
    """
    return apply(BATCH_NORM, [x, gamma, beta], {"epsilon": float(epsilon)})


def batch_norm_backward(
    dy: Tensor, x: Tensor, gamma: Tensor | None, mean: Tensor, variance: Tensor, *, epsilon: float = 1e-3
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `batch_norm`: dx (N, ..., C), dgamma (C,), dbeta (C,)."""
    return apply(BATCH_NORM_BACKWARD, [dy, x, gamma, mean, variance], {"epsilon": float(epsilon)})


def batch_norm_inference(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, mean: Tensor, variance: Tensor, *, epsilon: float = 1e-3
) -> Tensor:
    """Normalizes each channel of x (N, ..., C) by a given mean and variance (C,), as in inference."""
    return apply(BATCH_NORM_INFERENCE, [x, gamma, beta, mean, variance], {"epsilon": float(epsilon)})


def moving_average_update(moving: Variable, value: Tensor, *, momentum: float) -> None:
    """moving = momentum * moving + (1 - momentum) * value, in place."""
    apply(MOVING_AVERAGE_UPDATE, [moving, value], {"momentum": float(momentum)})
