"""Cross-entropies, of probabilities or of logits, and their focal forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.graph.values import Spec, Value
from cnnfast.losses.base import Loss, class_targets, register
from cnnfast.ops import loss as loss_ops
from cnnfast.ops.activation import sigmoid
from cnnfast.ops.softmax import softmax


class _Crossentropy(Loss):
    """What all cross-entropies share: each is a pair of ops, one for logits and one for probabilities."""

    _of_logits: Callable[..., Any]
    _of_probabilities: Callable[..., Any]

    def __init__(self, from_logits: bool, reduction: str, name: str, dtype: str | None):
        super().__init__(reduction=reduction, name=name, dtype=dtype)
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


def _only_last(name: str, axis: int) -> None:
    if axis != -1:
        raise ValueError(f"{name}: only axis=-1 is supported, got {axis}")


class _SmoothedCrossentropy(_Crossentropy):
    """A cross-entropy whose targets are moved towards equal shares of all classes."""

    def __init__(
        self, from_logits: bool, label_smoothing: float, axis: int, reduction: str, name: str, dtype: str | None
    ):
        super().__init__(from_logits, reduction, name, dtype)
        _only_last(name, axis)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"{name}: label_smoothing must lie in [0, 1], got {label_smoothing}")
        self.label_smoothing = float(label_smoothing)

    def _options(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing}


@register()
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
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: str | None = None,
    ):
        super().__init__(from_logits, reduction, name, dtype)
        _only_last(name, axis)
        if ignore_class is not None:
            raise ValueError(f"{name}: ignore_class is not supported; give those samples a sample_weight of 0")

    def targets(self, y_true: Any, y_pred: Spec) -> np.ndarray:
        return class_targets(self.name, y_true, y_pred)


@register()
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
        dtype: str | None = None,
    ):
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)


@register("bce", "BCE")
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
        dtype: str | None = None,
    ):
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)


class _Focal(_SmoothedCrossentropy):
    """Cross-entropies that count less what is already predicted well; of logits, their activation comes first."""

    seen_through = None
    _activation: Callable[..., Any]

    def __init__(
        self,
        alpha: float,
        gamma: float,
        from_logits: bool,
        label_smoothing: float,
        axis: int,
        reduction: str,
        name: str,
        dtype: str | None,
    ):
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.alpha = loss_ops.check_option(name, "alpha", alpha)
        self.gamma = loss_ops.check_option(name, "gamma", gamma)

    def _of_logits(self, logits: Any, *arguments: Any, **options: Any) -> Any:
        return self._of_probabilities(self._activation(logits), *arguments, **options)

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "alpha": self.alpha, "gamma": self.gamma}


@register()
class CategoricalFocalCrossentropy(_Focal):
    """Cross-entropy of one-hot targets, each class times alpha * (1 - probability)^gamma.

    Args:
        alpha, gamma: numbers of at least 0.
        from_logits, label_smoothing: as for `CategoricalCrossentropy`.

    Shapes: predictions and targets (..., K).

    Source: Lin et al., "Focal loss for dense object detection" (2017).
    """

    _activation = staticmethod(softmax)
    _of_probabilities = staticmethod(loss_ops.categorical_focal_crossentropy)

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: str | None = None,
    ):
        super().__init__(alpha, gamma, from_logits, label_smoothing, axis, reduction, name, dtype)


@register()
class BinaryFocalCrossentropy(_Focal):
    """Binary cross-entropy times (1 - probability of the target)^gamma, averaged over the last axis.

    Args:
        apply_class_balancing: weigh targets of 1 by alpha and those of 0 by 1 - alpha.
        alpha, gamma: numbers of at least 0.
        from_logits, label_smoothing: as for `BinaryCrossentropy`.

    Shapes: predictions (..., K); targets the same, or (...) for K = 1.

    Source: Lin et al., "Focal loss for dense object detection" (2017).
    """

    _activation = staticmethod(sigmoid)
    _of_probabilities = staticmethod(loss_ops.binary_focal_crossentropy)

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: str | None = None,
    ):
        super().__init__(alpha, gamma, from_logits, label_smoothing, axis, reduction, name, dtype)
        self.apply_class_balancing = bool(apply_class_balancing)

    def _options(self) -> dict[str, Any]:
        options = super()._options()
        return options if self.apply_class_balancing else {**options, "alpha": None}

    def get_config(self) -> dict[str, Any]:
        balancing = {"apply_class_balancing": self.apply_class_balancing, "alpha": self.alpha}
        return {**super().get_config(), **balancing}
