"""Losses that compare predictions with targets of the same shape, number by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.graph.values import Spec
from cnnfast.losses.base import Loss, register
from cnnfast.ops import loss as loss_ops
from cnnfast.registry import snake_case


class PointwiseLoss(Loss):
    """A loss that is an op of the same name. Shapes: predictions and targets (..., K)."""

    _op: Callable[..., Any] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._op = getattr(loss_ops, snake_case(cls.__name__), cls._op)

    def __init__(self, reduction: str = "sum_over_batch_size", name: str | None = None, dtype: str | None = None):
        super().__init__(reduction=reduction, name=name or snake_case(type(self).__name__), dtype=dtype)

    def compute(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        op = type(self)._op
        assert op is not None
        return op(y_pred, y_true, sample_weight, **self._options())[0]

    def _options(self) -> dict[str, Any]:
        """What the op is told besides."""
        return {}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._options()}


@register("mse", "MSE")
class MeanSquaredError(PointwiseLoss):
    """Mean over the last axis of (prediction - target)^2."""


@register("mae", "MAE")
class MeanAbsoluteError(PointwiseLoss):
    """Mean over the last axis of |prediction - target|."""


@register("mape", "MAPE")
class MeanAbsolutePercentageError(PointwiseLoss):
    """Mean over the last axis of 100 |prediction - target| / |target|, the divisor at least 1e-7."""


@register("msle", "MSLE")
class MeanSquaredLogarithmicError(PointwiseLoss):
    """Mean over the last axis of (log(1 + prediction) - log(1 + target))^2, both at least 1e-7."""


@register()
class LogCosh(PointwiseLoss):
    """Mean over the last axis of log(cosh(prediction - target)): quadratic near the target, linear far from it."""


@register()
class Poisson(PointwiseLoss):
    """Mean over the last axis of prediction - target * log(prediction + 1e-7)."""


@register("kld", "KLD")
class KLDivergence(PointwiseLoss):
    """Sum over the last axis of target * log(target / prediction), both kept in [1e-7, 1]."""


@register()
class CategoricalHinge(PointwiseLoss):
    """max(1 + the largest prediction of a wrong class - that of the right one, 0), for one-hot targets."""


class _Margin(PointwiseLoss):
    """A loss of targets -1 and 1; where all are 0 or 1, the zeros count as -1."""

    def targets(self, y_true: Any, y_pred: Spec) -> np.ndarray:
        y = super().targets(y_true, y_pred)
        return 2 * y - 1 if ((y == 0) | (y == 1)).all() else y


@register()
class Hinge(_Margin):
    """Mean over the last axis of max(1 - target * prediction, 0), for targets of -1 and 1 (or 0 and 1)."""


@register()
class SquaredHinge(_Margin):
    """Mean over the last axis of max(1 - target * prediction, 0)^2, for targets of -1 and 1 (or 0 and 1)."""


@register()
class Huber(PointwiseLoss):
    """Mean over the last axis of e^2 / 2, for an error e of more than delta of delta * (|e| - delta / 2).

    Args:
        delta: where the loss becomes linear, at least 0.

    Source: Huber, "Robust estimation of a location parameter" (1964).

    Example:
        >>> Huber(delta=1.0)([[0.0, 0.0]], [[0.5, 3.0]])
        1.3125
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: str | None = None,
    ):
        super().__init__(reduction, name, dtype)
        self.delta = loss_ops.check_option(name, "delta", delta)

    def _options(self) -> dict[str, Any]:
        return {"delta": self.delta}
