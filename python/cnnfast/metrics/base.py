"""What all metrics share: a name, a state that grows with every batch, a result; and the weighted means."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.checks import numbers
from cnnfast.registry import Registry, snake_case

REGISTRY: Registry[Metric] = Registry("metric")


def register(*aliases: str) -> Callable[[type], type]:
    """Class decorator: makes a metric known by its name, its name in snake case, and `aliases`."""

    def add(cls: type) -> type:
        return REGISTRY.add(cls, snake_case(cls.__name__), *aliases)

    return add


class Metric:
    """Base class of metrics. A subclass has `update_state`, `result` and `reset_state`.

    States are float64, so a metric over many batches equals the metric over all samples at once (as long as
    every batch has the same shape per sample).

    Args:
        name: key in logs and in `History`; default the class's name in snake case.
        dtype: a floating type or None, kept in the config for Keras' argument order; states stay float64.

    Attributes:
        direction: "up" if more is better, "down" if less is, None if neither.
        refuses_predictions: whether predictions of the right shape may be refused for their values.
    """

    direction: str | None = None
    refuses_predictions: bool = False

    def __init__(self, name: str | None = None, dtype: str | None = None):
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise ValueError(f"{type(self).__name__}: dtype must be a floating type or None, came {dtype!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: name must be text or None, came {name!r}")
        self.name = name or snake_case(type(self).__name__)
        self.dtype = dtype

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add one batch: ``(y_true, y_pred, sample_weight=None)``."""
        raise NotImplementedError

    def check(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Raise what `update_state` would raise, and change nothing.

        Training asks before it updates the weights, with the true targets and, where only their shape matters, made-up
        predictions. A metric of one's own is not asked: it has nothing against any targets unless it says so here.
        """
        if REGISTRY.name_of(type(self)) is not None:
            copy.copy(self).update_state(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        """The metric over everything since the last reset; 0.0 before the first batch."""
        raise NotImplementedError

    def reset_state(self) -> None:
        """Forget everything."""
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`update_state`, then `result`."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """The metric whose `get_config` gave `config`, with a fresh state."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class Averaged(Metric):
    """Base class of weighted means: keeps the weighted sum of values and the sum of weights."""

    def __init__(self, name: str | None = None, dtype: str | None = None):
        super().__init__(name, dtype)
        self.total = 0.0
        self.count = 0.0

    def add(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values (N, ...), averaged per sample, with weights (), (N,) or of more of their axes."""
        array = numbers(self.name, "values", values).astype(np.float64, copy=False)
        if sample_weight is None:
            samples = len(array) if array.ndim else 1
            self.total += float(array.mean()) * samples
            self.count += samples
            return
        weights = numbers(self.name, "sample_weight", sample_weight).astype(np.float64, copy=False)
        if weights.ndim == array.ndim + 1 and weights.shape[-1] == 1:
            weights = weights[..., 0]
        array = array.mean(axis=tuple(range(weights.ndim, array.ndim)))
        weights = broadcast(self.name, weights, array.shape)
        scale = len(array) / array.size if array.ndim else 1.0
        self.total += float((array * weights).sum()) * scale
        self.count += float(weights.sum()) * scale

    def result(self) -> float:
        return self.total / self.count if self.count else 0.0

    def reset_state(self) -> None:
        self.total = 0.0
        self.count = 0.0


@register()
class Mean(Averaged):
    """Weighted mean of values.

    Values of more than one axis are first averaged per sample, so batches count by their number of samples.

    Example:
        >>> from cnnfast.metrics import Mean
        >>> Mean()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
        2.0
    """

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values (N, ...) with weights (), (N,) or of more of the axes of `values`."""
        self.add(values, sample_weight)


@register()
class Sum(Metric):
    """Weighted sum of values.

    Example:
        >>> from cnnfast.metrics import Sum
        >>> Sum()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
        4.0
    """

    def __init__(self, name: str | None = None, dtype: str | None = None):
        super().__init__(name, dtype)
        self.total = 0.0

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values of any shape times weights, which are aligned with their leading axes."""
        array = numbers(self.name, "values", values)
        if sample_weight is not None:
            array = array * leading_weights(self.name, sample_weight, array.shape)
        self.total += float(array.sum(dtype=np.float64))

    def result(self) -> float:
        return self.total

    def reset_state(self) -> None:
        self.total = 0.0


class MeanMetricWrapper(Averaged):
    """Mean of a function ``fn(y_true, y_pred, **kwargs)`` that gives one value per sample, or more.

    Example:
        >>> import numpy as np
        >>> from cnnfast.metrics import MeanMetricWrapper
        >>> def largest_error(y_true, y_pred):
        ...     return np.abs(y_true - y_pred).max(axis=-1)
        >>> metric = MeanMetricWrapper(largest_error)
        >>> metric.update_state(np.zeros((2, 3)), np.array([[1, 2, 3], [0, 0, 1]]))
        >>> metric.name, metric.result()
        ('largest_error', 2.0)
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: str | None = None, **kwargs: Any):
        super().__init__(name or getattr(fn, "__name__", None) or snake_case(type(fn).__name__), dtype)
        self._fn = fn
        self._kwargs = kwargs

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add one batch; weights are (), (N,) or have more of the axes of the function's values."""
        self.add(self._fn(y_true, y_pred, **self._kwargs), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Raises ValueError for a bare wrapper: a function cannot be saved."""
        if type(self) is MeanMetricWrapper:
            raise ValueError(f"metric {self.name!r} wraps a function, which cannot be saved; subclass Metric")
        return {**super().get_config(), **self._kwargs}


def paired(op: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of one shape; a last axis of length 1 that only one of them has does not matter."""
    true, pred = numbers(op, "y_true", y_true), numbers(op, "y_pred", y_pred)
    if true.ndim == pred.ndim + 1 and true.shape[-1] == 1:
        true, pred = (true, pred[:, None]) if pred.ndim == 1 else (true[..., 0], pred)
    elif pred.ndim == true.ndim + 1 and pred.shape[-1] == 1:
        true, pred = (true[:, None], pred) if true.ndim == 1 else (true, pred[..., 0])
    if true.shape != pred.shape:
        raise ValueError(f"{op}: y_true and y_pred must have one shape, came {true.shape} and {pred.shape}")
    return true, pred


def broadcast(op: str, weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`weights` broadcast to `shape`."""
    try:
        return np.broadcast_to(weights, shape)
    except ValueError:
        raise ValueError(f"{op}: sample_weight {weights.shape} does not fit values {shape}") from None


def leading_weights(op: str, sample_weight: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """Weights aligned with the leading axes of `shape`, broadcast to it, in float64."""
    weights = numbers(op, "sample_weight", sample_weight).astype(np.float64, copy=False)
    if weights.ndim == len(shape) + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    return broadcast(op, weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim)), shape)
