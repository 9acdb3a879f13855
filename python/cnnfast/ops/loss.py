"""Losses fused with their gradient: one kernel gives both.

Each function returns (loss, dx): the scalar sum of weighted row losses divided by the number of rows, and its
gradient by the predictions. A row is one distribution, the last axis.
"""

from __future__ import annotations

from typing import Any

from cnnfast.graph.values import Node, Spec
from cnnfast.ops.core import Attributes, Op, Tensor, apply, require_float, unbroken
from cnnfast.ops.elementwise import scale


def _infer(name: str, classes: bool):  # type: ignore[no-untyped-def]
    def infer(specs: list[Spec | None], _: Attributes) -> list[Spec]:
        x = require_float(name, "x", unbroken(name, "x", specs[0]))
        target = unbroken(name, "targets", specs[1])
        if len(x.shape) < 2:
            raise ValueError(f"{name}: x expects at least 2 dimensions (..., K), got shape {x.shape}")
        sparse = classes and target.dtype == "int32"
        if not sparse:
            require_float(name, "targets", target)
        wanted = x.shape[:-1] if sparse else x.shape
        if target.shape != wanted:
            raise ValueError(f"{name}: targets expect shape {wanted} for x {x.shape}, got {target.shape}")
        if specs[2] is not None and require_float(name, "sample_weight", specs[2]).shape != x.shape[:-1]:
            raise ValueError(f"{name}: sample_weight expects shape {x.shape[:-1]}, got {specs[2].shape}")
        return [Spec(()), x]

    return infer


def _gradient(node: Node, grads: list[Any], _: list[bool]) -> list[Any]:
    """The kernel's gradient times the factor that the loss is multiplied with later."""
    if not isinstance(grads[0], (int, float)):
        raise ValueError(f"{node.op.name}: a loss can only be scaled by numbers and added to others")
    dx = node.outputs[1]
    return [dx if grads[0] == 1.0 else scale(dx, float(grads[0])), None, None]


def _loss_op(name: str, *, classes: bool = False) -> Op:
    """A loss; with `classes`, its targets may be class numbers, which are int32."""
    return Op(name, _infer(name, classes), _gradient, droppable=True, own_types=True)


SOFTMAX_CROSSENTROPY = _loss_op("softmax_crossentropy", classes=True)
CATEGORICAL_CROSSENTROPY = _loss_op("categorical_crossentropy", classes=True)
BINARY_CROSSENTROPY = _loss_op("binary_crossentropy")
BINARY_CROSSENTROPY_WITH_LOGITS = _loss_op("binary_crossentropy_with_logits")
MEAN_SQUARED_ERROR = _loss_op("mean_squared_error")


def _apply(op: Op, x: Tensor, targets: Tensor, weight: Tensor | None, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    if not 0.0 <= smoothing <= 1.0:
        raise ValueError(f"{op.name}: label_smoothing must lie in [0, 1], got {smoothing}")
    return apply(op, [x, targets, weight], {"label_smoothing": float(smoothing)})


def softmax_crossentropy(
    logits: Tensor, targets: Tensor, sample_weight: Tensor | None = None, *, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """-sum of target * log softmax(logits), computed without overflow.

    Args:
        logits: (..., K).
        targets: (..., K), one-hot or any distribution.
        sample_weight: (...), or None.
        label_smoothing: s in [0, 1]: targets become (1 - s) * target + s / K.

    Returns:
        The loss, a scalar, and its gradient by the logits, (..., K).

    Example:
        >>> loss, dlogits = softmax_crossentropy(np.zeros((1, 2)), np.array([[1.0, 0.0]]))
        >>> round(float(loss), 4), dlogits.tolist()
        (0.6931, [[-0.5, 0.5]])
    """
    return _apply(SOFTMAX_CROSSENTROPY, logits, targets, sample_weight, label_smoothing)


def sparse_softmax_crossentropy(
    logits: Tensor, labels: Tensor, sample_weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`softmax_crossentropy` for targets that are class numbers.

    Args:
        logits: (..., K).
        labels: integers (...) in [0, K-1].
        sample_weight: (...), or None.

    Raises:
        ValueError: a label out of range.

    Example:
        >>> round(float(sparse_softmax_crossentropy(np.zeros((1, 2)), [0])[0]), 4)
        0.6931
    """
    return _apply(SOFTMAX_CROSSENTROPY, logits, as_labels("sparse_softmax_crossentropy", labels), sample_weight)


def categorical_crossentropy(
    x: Tensor, targets: Tensor, sample_weight: Tensor | None = None, *, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """-sum of target * log p for probabilities x (..., K), normalised and kept 1e-7 off 0 and 1, as in Keras."""
    return _apply(CATEGORICAL_CROSSENTROPY, x, targets, sample_weight, label_smoothing)


def sparse_categorical_crossentropy(
    x: Tensor, labels: Tensor, sample_weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`categorical_crossentropy` for targets that are class numbers (...) in [0, K-1]."""
    return _apply(CATEGORICAL_CROSSENTROPY, x, as_labels("sparse_categorical_crossentropy", labels), sample_weight)


def binary_crossentropy(
    x: Tensor, targets: Tensor, sample_weight: Tensor | None = None, *, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """-(t log x + (1-t) log(1-x)) averaged over the last axis, for probabilities x kept 1e-7 off 0 and 1.

    With label_smoothing s, targets become (1 - s) * target + s / 2. Shapes (..., K).
    """
    return _apply(BINARY_CROSSENTROPY, x, targets, sample_weight, label_smoothing)


def binary_crossentropy_with_logits(
    x: Tensor, targets: Tensor, sample_weight: Tensor | None = None, *, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """`binary_crossentropy` of sigmoid(x), computed without overflow."""
    return _apply(BINARY_CROSSENTROPY_WITH_LOGITS, x, targets, sample_weight, label_smoothing)


def mean_squared_error(x: Tensor, targets: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(x - target)^2 averaged over the last axis. Shapes (..., K).

    Example:
        >>> mean_squared_error(np.array([[3.0]]), np.array([[1.0]]))[0]
        array(4., dtype=float32)
    """
    return _apply(MEAN_SQUARED_ERROR, x, targets, sample_weight)


def as_labels(op: str, labels: Tensor) -> Tensor:
    """Arrays become int32; symbolic labels must be int32 already."""
    from cnnfast.graph.values import Value
    from cnnfast.ops.core import as_int32

    return labels if isinstance(labels, Value) else as_int32(op, "labels", labels)
