"""Activations: each reads one tensor and writes another of the same shape."""

from __future__ import annotations

from cnnfast.graph.values import Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken


def _same_shape(name: str, operands: tuple[str, ...] = ("x",)):  # type: ignore[no-untyped-def]
    def infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
        checked = [require_float(name, n, unbroken(name, n, s)) for n, s in zip(operands, specs, strict=True)]
        for n, s in zip(operands[1:], checked[1:], strict=True):
            if s.shape != checked[0].shape:
                raise ValueError(f"{name}: {n} expects shape {checked[0].shape}, got {s.shape}")
        return [checked[0]]

    return infer


RELU_BACKWARD = Op("relu_backward", _same_shape("relu_backward", ("dy", "y")), inplace=0)
RELU = Op(
    "relu",
    _same_shape("relu"),
    gradient=lambda node, grads, _: [apply(RELU_BACKWARD, [grads[0], node.outputs[0]])],
    inplace=0,
)


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
