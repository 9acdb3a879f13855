"""Activations: each reads one tensor and writes another of the same shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cnnfast.graph.values import Node, Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken


def _same_shape(name: str, operands: tuple[str, ...] = ("x",)) -> Callable[[list[Spec | None], Attributes], list[Spec]]:
    def infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
        checked = [require_float(name, n, unbroken(name, n, s)) for n, s in zip(operands, specs, strict=True)]
        for n, s in zip(operands[1:], checked[1:], strict=True):
            if s.shape != checked[0].shape:
                raise ValueError(f"{name}: {n} expects shape {checked[0].shape}, got {s.shape}")
        return [checked[0]]

    return infer


def _activation(name: str, reads: str) -> tuple[Op, Op]:
    """An activation and its gradient, which reads dy and the activation's input ("x") or output ("y")."""
    backward = Op(f"{name}_backward", _same_shape(f"{name}_backward", ("dy", reads)), inplace=0)

    def gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
        read = node.inputs[0] if reads == "x" else node.outputs[0]
        return [apply(backward, [grads[0], read], node.attributes)]

    return Op(name, _same_shape(name), gradient, inplace=0), backward


RELU, RELU_BACKWARD = _activation("relu", "y")
RELU6, RELU6_BACKWARD = _activation("relu6", "y")
LEAKY_RELU, LEAKY_RELU_BACKWARD = _activation("leaky_relu", "y")
SIGMOID, SIGMOID_BACKWARD = _activation("sigmoid", "y")
TANH, TANH_BACKWARD = _activation("tanh", "y")
SILU, SILU_BACKWARD = _activation("silu", "x")
GELU, GELU_BACKWARD = _activation("gelu", "x")
GELU_TANH, GELU_TANH_BACKWARD = _activation("gelu_tanh", "x")
ELU, ELU_BACKWARD = _activation("elu", "x")
SOFTPLUS, SOFTPLUS_BACKWARD = _activation("softplus", "x")


def _relu_backward_bias_infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
    (dy,) = _same_shape("relu_backward_bias", ("dy", "y"))(specs, {})
    if not dy.shape:
        raise ValueError("relu_backward_bias: dy expects at least 1 dimension, got a scalar")
    return [dy, Spec((dy.shape[-1],))]


# What `fuse` makes of a ReLU's gradient and the bias gradient that reads it.
RELU_BACKWARD_BIAS = Op("relu_backward_bias", _relu_backward_bias_infer, inplace=0)


def relu(x: Tensor) -> Tensor:
    """max(x, 0), element by element; NaN stays NaN.

    Args:
        x: tensor of any shape, float32.

    Returns:
        A tensor of the same shape.

    Example:
        >>> relu(np.array([-1.0, 2.0]))
        array([0., 2.], dtype=float32)
    """
    return apply(RELU, [x])


def relu_backward(dy: Tensor, y: Tensor) -> Tensor:
    """Gradient of `relu` from its output y: dy where y > 0, else 0 (at 0 too, as Keras and PyTorch do)."""
    return apply(RELU_BACKWARD, [dy, y])


def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6), element by element.

    Source: Krizhevsky, "Convolutional deep belief networks on CIFAR-10" (2010).

    Example:
        >>> relu6(np.array([-1.0, 2.0, 9.0]))
        array([0., 2., 6.], dtype=float32)
    """
    return apply(RELU6, [x])


def relu6_backward(dy: Tensor, y: Tensor) -> Tensor:
    """Gradient of `relu6` from its output y: dy where 0 < y < 6, else 0."""
    return apply(RELU6_BACKWARD, [dy, y])


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where x > 0, else negative_slope * x (Maas et al. 2013).

    Args:
        x: tensor of any shape, float32.
        negative_slope: at least 0; 0.2 as in Keras' function (its layer LeakyReLU takes 0.3).

    Raises:
        ValueError: a slope that is negative or not finite.

    Example:
        >>> leaky_relu(np.array([-1.0, 2.0]), negative_slope=0.5)
        array([-0.5,  2. ], dtype=float32)
    """
    return apply(LEAKY_RELU, [x], {"negative_slope": _slope("leaky_relu", negative_slope)})


def leaky_relu_backward(dy: Tensor, y: Tensor, negative_slope: float = 0.2) -> Tensor:
    """Gradient of `leaky_relu` from its output y: dy where y > 0, else negative_slope * dy."""
    slope = _slope("leaky_relu_backward", negative_slope)
    return apply(LEAKY_RELU_BACKWARD, [dy, y], {"negative_slope": slope})


def _slope(op: str, value: Any) -> float:
    # Below 0 the sign of y would no longer tell the sign of x, which the gradient reads from y.
    slope = _finite(op, "negative_slope", value)
    if slope < 0:
        raise ValueError(f"{op}: negative_slope must be at least 0, got {value!r}")
    return slope


def _finite(op: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{op}: {name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{op}: {name} must be finite, got {value!r}")
    return float(value)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), element by element; does not overflow.

    Example:
        >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
        array([0. , 0.5, 1. ], dtype=float32)
    """
    return apply(SIGMOID, [x])


def sigmoid_backward(dy: Tensor, y: Tensor) -> Tensor:
    """Gradient of `sigmoid` from its output y: dy * y * (1 - y)."""
    return apply(SIGMOID_BACKWARD, [dy, y])


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, element by element.

    Example:
        >>> tanh(np.array([-1000.0, 0.0, 1000.0]))
        array([-1.,  0.,  1.], dtype=float32)
    """
    return apply(TANH, [x])


def tanh_backward(dy: Tensor, y: Tensor) -> Tensor:
    """Gradient of `tanh` from its output y: dy * (1 - y^2)."""
    return apply(TANH_BACKWARD, [dy, y])


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also called swish (Ramachandran et al., "Searching for activation functions", 2017).

    Example:
        >>> silu(np.array([0.0, 1000.0]))
        array([   0., 1000.], dtype=float32)
    """
    return apply(SILU, [x])


def silu_backward(dy: Tensor, x: Tensor) -> Tensor:
    """Gradient of `silu` from its input x: dy * s * (1 + x * (1 - s)) with s = sigmoid(x)."""
    return apply(SILU_BACKWARD, [dy, x])


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x times the probability that a standard normal number is below x.

    Args:
        x: tensor of any shape, float32.
        approximate: use 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), as some networks were trained.

    Example:
        >>> gelu(np.array([0.0, 100.0]))
        array([  0., 100.], dtype=float32)

    Source: Hendrycks and Gimpel, "Gaussian error linear units" (2016).
    """
    return apply(GELU_TANH if approximate else GELU, [x])


def gelu_backward(dy: Tensor, x: Tensor, approximate: bool = False) -> Tensor:
    """Gradient of `gelu` from its input x."""
    return apply(GELU_TANH_BACKWARD if approximate else GELU_BACKWARD, [dy, x])


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1) (Clevert et al., "Exponential linear units", 2016).

    Example:
        >>> elu(np.array([-1000.0, 2.0]))
        array([-1.,  2.], dtype=float32)
    """
    return apply(ELU, [x], {"alpha": _finite("elu", "alpha", alpha)})


def elu_backward(dy: Tensor, x: Tensor, alpha: float = 1.0) -> Tensor:
    """Gradient of `elu` from its input x: dy where x > 0, else dy * alpha * exp(x)."""
    return apply(ELU_BACKWARD, [dy, x], {"alpha": _finite("elu_backward", "alpha", alpha)})


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), element by element; does not overflow.

    Example:
        >>> softplus(np.array([-1000.0, 1000.0]))
        array([   0., 1000.], dtype=float32)
    """
    return apply(SOFTPLUS, [x])


def softplus_backward(dy: Tensor, x: Tensor) -> Tensor:
    """Gradient of `softplus` from its input x: dy * sigmoid(x)."""
    return apply(SOFTPLUS_BACKWARD, [dy, x])
