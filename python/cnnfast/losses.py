"""Losses: what training makes small. Each is one kernel that gives the loss and its gradient in the same pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.configurable import describe
from cnnfast.graph.values import Spec, Value
from cnnfast.ops import loss as loss_ops
from cnnfast.ops.elementwise import scale
from cnnfast.registry import Registry

LOSSES: Registry[Loss] = Registry("loss")

_REDUCTIONS = {"sum_over_batch_size": False, "mean": False, "sum": True}


class Loss:
    """Base of all losses.

    Args:
        reduction: "sum_over_batch_size" (or "mean"): the weighted sum over samples divided by their number;
            "sum": the weighted sum.
        name: for messages.
    """

    #: activation whose inputs (logits) the loss can take directly, which is faster and more exact
    seen_through: str | None = None

    def __init__(self, *, reduction: str = "sum_over_batch_size", name: str | None = None):
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


class _Crossentropy(Loss):
    """What all cross-entropies share: each is a pair of ops, one for logits and one for probabilities."""

    _of_logits: Callable[..., Any]
    _of_probabilities: Callable[..., Any]

    def __init__(self, from_logits: bool, reduction: str, name: str):
        super().__init__(reduction=reduction, name=name)
        self.from_logits = from_logits

    def compute(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        logits = y_pred if self.from_logits else self._logits(y_pred)
        if logits is not None:
            return self._of_logits(logits, y_true, sample_weight, **self._options())[0]
        return self._of_probabilities(y_pred, y_true, sample_weight, **self._options())[0]

    def _logits(self, y_pred: Any) -> Any | None:
        """What went into the activation that made `y_pred`, if that is known."""
        if isinstance(y_pred, Value) and y_pred.node is not None and y_pred.node.op.name == self.seen_through:
            return y_pred.node.inputs[0]
        return None

    def _options(self) -> dict[str, Any]:
        """What the ops are told besides."""
        return {}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits, **self._options()}


class _SmoothedCrossentropy(_Crossentropy):
    """A cross-entropy whose targets are moved towards equal shares of all classes."""

    def __init__(self, from_logits: bool, label_smoothing: float, axis: int, reduction: str, name: str):
        super().__init__(from_logits, reduction, name)
        if axis != -1:
            raise ValueError(f"{name}: only axis=-1 is supported, got {axis}")
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"{name}: label_smoothing must lie in [0, 1], got {label_smoothing}")
        self.label_smoothing = float(label_smoothing)

    def _options(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing}


@LOSSES.add
class SparseCategoricalCrossentropy(_Crossentropy):
    """-log of the probability given to the true class, for targets that are class numbers.

    Args:
        from_logits: predictions are logits; otherwise probabilities (a softmax just before is seen through).

    Shapes: predictions (..., K), targets integers (...) in [0, K-1].

    Example:
        >>> round(SparseCategoricalCrossentropy()([1], [[0.1, 0.8, 0.1]]), 4)
        0.2231
    """

    seen_through = "softmax"
    _of_logits = staticmethod(loss_ops.sparse_softmax_crossentropy)
    _of_probabilities = staticmethod(loss_ops.sparse_categorical_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "sparse_categorical_crossentropy",
    ):
        super().__init__(from_logits, reduction, name)
        if ignore_class is not None:
            raise ValueError(f"{name}: ignore_class is not supported; give those samples a sample_weight of 0")

    def targets(self, y_true: Any, y_pred: Spec) -> np.ndarray:
        return class_targets(self.name, y_true, y_pred)


@LOSSES.add
class CategoricalCrossentropy(_SmoothedCrossentropy):
    """-sum over classes of target times log of probability, for one-hot (or soft) targets.

    Args:
        from_logits: predictions are logits; otherwise probabilities (a softmax just before is seen through).
        label_smoothing: targets become (1 - s) * target + s / K (Szegedy et al. 2016, section 7).

    Shapes: predictions and targets (..., K).
    """

    seen_through = "softmax"
    _of_logits = staticmethod(loss_ops.softmax_crossentropy)
    _of_probabilities = staticmethod(loss_ops.categorical_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
    ):
        super().__init__(from_logits, label_smoothing, axis, reduction, name)


@LOSSES.add
class BinaryCrossentropy(_SmoothedCrossentropy):
    """-(t log p + (1-t) log(1-p)), averaged over the last axis.

    Args:
        from_logits: predictions are logits; otherwise probabilities (a sigmoid just before is seen through).
        label_smoothing: targets become (1 - s) * target + s / 2.

    Shapes: predictions (..., K); targets the same, or (...) for K = 1.
    """

    seen_through = "sigmoid"
    _of_logits = staticmethod(loss_ops.binary_crossentropy_with_logits)
    _of_probabilities = staticmethod(loss_ops.binary_crossentropy)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "binary_crossentropy",
    ):
        super().__init__(from_logits, label_smoothing, axis, reduction, name)


@LOSSES.add
class MeanSquaredError(Loss):
    """Mean over the last axis of (prediction - target)^2. Shapes: predictions and targets (..., K)."""

    def __init__(self, reduction: str = "sum_over_batch_size", name: str = "mean_squared_error"):
        super().__init__(reduction=reduction, name=name)

    def compute(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        return loss_ops.mean_squared_error(y_pred, y_true, sample_weight)[0]


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


_ALIASES = {
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
}
for _alias, _class in _ALIASES.items():
    LOSSES.add(_class, _alias)


def get(identifier: Any) -> Loss:
    """A loss from its name, from an object, or from a NumPy function (y_true, y_pred) -> (loss, gradient)."""
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        return LOSSES.find(identifier)()
    if isinstance(identifier, dict):
        return LOSSES.find(identifier.get("class_name")).from_config(identifier.get("config", {}))
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier):
        return NumpyLoss(identifier)
    raise TypeError(f"loss: expected a name, a Loss or a function, got {identifier!r}")


def serialize(loss: Loss) -> dict[str, Any]:
    """{"class_name", "config"} of a loss. ValueError for a NumPy function, which no file can hold."""
    return describe(LOSSES, loss)
