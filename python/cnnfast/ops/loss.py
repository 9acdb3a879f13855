"""Losses fused with their gradient: one kernel gives both.

Each function returns (loss, dx): the scalar sum of weighted row losses divided by the number of rows, and its
gradient by the predictions. A row is one distribution, the last axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

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


def _apply(op: Op, x: Tensor, targets: Tensor, weight: Tensor | None, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    return apply(op, [x, targets, weight], {"label_smoothing": _smoothing(op.name, smoothing)})


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


def check_option(op: str, name: str, value: Any) -> float:
    """`value` as a float. TypeError if it is no number, ValueError if it is out of range."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{op}: {name} must be a number, got {value!r}")
    if name == "label_smoothing":
        return _smoothing(op, float(value))
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{op}: {name} must be a finite number of at least 0, got {value!r}")
    return float(value)


def _smoothing(op: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{op}: label_smoothing must lie in [0, 1], got {value}")
    return float(value)


def _pointwise(name: str, formula: str, **options: float | None) -> Callable[..., tuple[Tensor, Tensor]]:
    """The function of a loss of x and targets t of one shape, with its options and their defaults."""
    op = _loss_op(name)

    def loss(x: Tensor, targets: Tensor, sample_weight: Tensor | None = None, **given: Any) -> tuple[Tensor, Tensor]:
        if unknown := given.keys() - options.keys():
            raise TypeError(f"{name}: expected the options {sorted(options)}, got {sorted(unknown)}")
        chosen = {key: value for key, value in (options | given).items() if value is not None}
        return apply(op, [x, targets, sample_weight], {key: check_option(name, key, v) for key, v in chosen.items()})

    loss.__name__ = loss.__qualname__ = name
    settings = "".join(f", {key}={value}" for key, value in options.items())
    loss.__doc__ = f"""{formula}.

    Called as {name}(x, targets, sample_weight=None{settings}) with x and targets (..., K), weights (...) or None.

    Returns:
        The loss, a scalar: the mean of the rows' losses times their weights; and its gradient by x, (..., K).
    """
    return loss


mean_squared_error = _pointwise("mean_squared_error", "Mean over the last axis of (x - t)^2")
mean_absolute_error = _pointwise("mean_absolute_error", "Mean over the last axis of |x - t|")
mean_absolute_percentage_error = _pointwise(
    "mean_absolute_percentage_error", "Mean over the last axis of 100 |x - t| / max(|t|, 1e-7)"
)
mean_squared_logarithmic_error = _pointwise(
    "mean_squared_logarithmic_error", "Mean over the last axis of (log(1 + x) - log(1 + t))^2, x and t at least 1e-7"
)
huber = _pointwise("huber", "Mean over the last axis of e^2 / 2 up to |e| = |x - t| = delta, then linear", delta=1.0)
log_cosh = _pointwise("log_cosh", "Mean over the last axis of log(cosh(x - t))")
hinge = _pointwise("hinge", "Mean over the last axis of max(1 - t x, 0), for t of -1 and 1")
squared_hinge = _pointwise("squared_hinge", "Mean over the last axis of max(1 - t x, 0)^2, for t of -1 and 1")
categorical_hinge = _pointwise("categorical_hinge", "max(1 + the largest (1 - t) x - the sum of t x, 0)")
poisson = _pointwise("poisson", "Mean over the last axis of x - t log(x + 1e-7)")
kl_divergence = _pointwise("kl_divergence", "Sum over the last axis of t log(t / x), both kept in [1e-7, 1]")
binary_focal_crossentropy = _pointwise(
    "binary_focal_crossentropy",
    "Binary cross-entropy times (1 - p)^gamma, p the probability given to the target; balanced by alpha unless None",
    alpha=None,
    gamma=2.0,
    label_smoothing=0.0,
)
categorical_focal_crossentropy = _pointwise(
    "categorical_focal_crossentropy",
    "Categorical cross-entropy with each class times alpha (1 - probability)^gamma",
    alpha=0.25,
    gamma=2.0,
    label_smoothing=0.0,
)


def as_labels(op: str, labels: Tensor) -> Tensor:
    """Arrays become int32; symbolic labels must be int32 already."""
    from cnnfast.graph.values import Value
    from cnnfast.ops.core import as_int32

    return labels if isinstance(labels, Value) else as_int32(op, "labels", labels)
