"""What all losses share: checked targets and weights, the reduction; and losses written in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from cnnfast.graph.values import Spec, Value
from cnnfast.ops.elementwise import scale
from cnnfast.registry import Registry, snake_case

LOSSES: Registry[Loss] = Registry("loss")


_Class = TypeVar("_Class", bound="type[Loss]")


def register(*aliases: str) -> Callable[[_Class], _Class]:
    """Class decorator: makes a loss known by its name, its name in snake case, and `aliases`."""

    def add(cls: _Class) -> _Class:
        LOSSES.add(cls, snake_case(cls.__name__), *aliases)
        return cls

    return add


_REDUCTIONS = {"sum_over_batch_size": False, "mean": False, "sum": True}


class Loss:
    """Base of all losses.

    Args:
        reduction: "sum_over_batch_size" (or "mean"): the weighted sum over samples divided by their number;
            "sum": the weighted sum.
        name: for messages.
        dtype: a floating type or None, taken for Keras' sake: losses are computed in float32.
    """

    #: activation whose inputs (logits) the loss can take directly, which is faster and more exact
    seen_through: str | None = None

    def __init__(self, *, reduction: str = "sum_over_batch_size", name: str | None = None, dtype: str | None = None):
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise ValueError(f"{type(self).__name__}: dtype must be a floating type or None, got {dtype!r}")
        if reduction not in _REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: reduction must be one of {sorted(_REDUCTIONS)}, got {reduction!r}"
            )
        self.reduction = reduction
        self.name = name or type(self).__name__

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """The loss of arrays.

        Args:
            y_true: targets.
            y_pred: predictions, of the shape that the loss asks for.
            sample_weight: one weight a sample, or None.
        """
        y_pred = np.ascontiguousarray(y_pred, dtype=np.float32)
        spec = Spec(y_pred.shape)
        y_true = self.targets(y_true, spec)
        weights = None if sample_weight is None else self.weights(sample_weight, spec)
        return float(self._reduced(self.compute(y_true, y_pred, weights), y_pred.shape))

    def symbolic(self, y_true: Value, y_pred: Value, sample_weight: Value | None) -> Value:
        """The scalar loss as a value of the graph of `y_pred`."""
        return self._reduced(self.compute(y_true, y_pred, sample_weight), y_pred.spec.known_shape)

    def _reduced(self, loss: Any, shape: tuple[int, ...]) -> Any:
        if not _REDUCTIONS[self.reduction]:
            return loss
        return scale(loss, float(np.prod(shape[:-1], dtype=np.int64)))

    def compute(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        """The mean loss, of arrays or of values."""
        raise TypeError(f"{type(self).__name__}: a loss must define compute()")

    def targets(self, y_true: Any, y_pred: Spec) -> np.ndarray:
        """Targets as the kernel reads them. ValueError or TypeError if they do not fit the predictions."""
        return dense_targets(self.name, y_true, y_pred)

    def weights(self, sample_weight: Any, y_pred: Spec) -> np.ndarray:
        """Weights, one for each loss that is averaged: all dimensions of the predictions but the last."""
        wanted = y_pred.known_shape[:-1]
        w = np.asarray(sample_weight, dtype=np.float32)
        if not np.isfinite(w).all():
            raise ValueError(f"{self.name}: sample_weight must hold finite numbers, got {w[~np.isfinite(w)][0]}")
        while w.ndim > len(wanted) and w.shape[-1] == 1:
            w = w[..., 0]
        if w.shape != wanted[: w.ndim]:
            raise ValueError(f"{self.name}: sample_weight expects shape {wanted}, got {np.shape(sample_weight)}")
        w = w.reshape(w.shape + (1,) * (len(wanted) - w.ndim))
        return np.require(np.broadcast_to(w, wanted), requirements=["C", "A"])

    def get_config(self) -> dict[str, Any]:
        return {"reduction": self.reduction, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        return cls(**config)


def dense_targets(name: str, y_true: Any, y_pred: Spec) -> np.ndarray:
    """Float targets of the predictions' shape; (N,) serves for predictions (N, 1)."""
    y = np.asarray(y_true)
    if y.dtype.kind not in "fiub":
        raise TypeError(f"{name}: targets must be numbers, got dtype {y.dtype}")
    wanted = y_pred.known_shape
    if y.shape == wanted[:-1] and wanted[-1] == 1:
        y = y[..., None]
    if y.shape != wanted:
        raise ValueError(f"{name}: targets expect the predictions' shape {wanted}, got {y.shape}")
    return np.require(y, np.float32, ["C", "A"])


def class_targets(name: str, y_true: Any, y_pred: Spec) -> np.ndarray:
    """Class numbers as int32, one for each distribution of the predictions, all in range."""
    y = np.asarray(y_true)
    if y.dtype.kind == "f":
        broken = ~np.isfinite(y) | (y != np.floor(y))
        if broken.any():
            raise ValueError(f"{name}: targets must be whole class numbers, got {y[broken][0]}")
        y = y.astype(np.int64)
    if y.dtype.kind not in "iu":
        raise TypeError(f"{name}: targets must be whole class numbers, got dtype {y.dtype}")
    wanted, classes = y_pred.known_shape[:-1], y_pred.known_shape[-1]
    if y.shape == (*wanted, 1):
        y = y[..., 0]
    if y.shape != wanted:
        raise ValueError(
            f"{name}: targets expect shape {wanted} for predictions {y_pred.shape}, got {y.shape}"
            + ("; for one-hot targets use categorical_crossentropy" if y.shape == y_pred.shape else "")
        )
    if y.size and (y.min() < 0 or y.max() >= classes):
        raise ValueError(f"{name}: classes must lie in [0, {classes - 1}], got {y.min()} to {y.max()}")
    return np.require(y, np.int32, ["C", "A"])


class NumpyLoss(Loss):
    """A loss written in NumPy: a function (y_true, y_pred) -> (loss, gradient of the loss by y_pred)."""

    def __init__(self, function: Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]):
        super().__init__(name=getattr(function, "__name__", "loss"))
        self.function = function

    def targets(self, y_true: Any, y_pred: Spec) -> np.ndarray:
        y = np.asarray(y_true)
        if y.ndim == 0 or y.shape[0] != y_pred.shape[0]:
            raise ValueError(f"{self.name}: targets expect {y_pred.shape[0]} samples, got shape {y.shape}")
        return y

    def weights(self, sample_weight: Any, y_pred: Spec) -> np.ndarray:
        raise ValueError(f"{self.name}: a loss written in NumPy takes no sample_weight or class_weight, got one")

    def evaluate(self, y_true: np.ndarray, y_pred: np.ndarray) -> tuple[float, np.ndarray]:
        """Calls the function and checks what it gives."""
        result = self.function(y_true, y_pred)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"{self.name}: a loss function must return (loss, gradient), got {type(result).__name__}")
        loss = np.asarray(result[0], dtype=np.float64)
        gradient = np.ascontiguousarray(result[1], dtype=np.float32)
        if loss.ndim != 0:
            raise ValueError(f"{self.name}: the loss must be one number, got shape {loss.shape}")
        if gradient.shape != y_pred.shape:
            raise ValueError(
                f"{self.name}: the gradient expects the predictions' shape {y_pred.shape}, got {gradient.shape}"
            )
        return float(loss), gradient
