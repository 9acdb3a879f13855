"""Losses as metrics: squared and absolute errors, cross-entropies. The functions give one value per sample.

A loss reported this way is the plain mean over samples, without the model's regularisation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.metrics.accuracy import sparse
from cnnfast.metrics.base import MeanMetricWrapper, paired, register

_EPSILON = 1e-7  # Keras' backend.epsilon(): probabilities are kept this far from 0 and 1


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Mean of the squared difference over the last axis; of (N,) arrays one value per sample."""
    return _last_mean(np.square(_difference("mean_squared_error", y_true, y_pred)))


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Mean of the absolute difference over the last axis; of (N,) arrays one value per sample."""
    return _last_mean(np.abs(_difference("mean_absolute_error", y_true, y_pred)))


def binary_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0
) -> np.ndarray:
    """-(t log p + (1 - t) log(1 - p)), mean over the last axis; `y_pred` is p, or log(p / (1 - p)) as logits.

    `label_smoothing` s moves the labels to t (1 - s) + s / 2.
    """
    true, pred = _floats("binary_crossentropy", y_true, y_pred)
    true = true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:  # max(z, 0) - z t + log(1 + exp(-|z|)), which cannot overflow
        return _last_mean(np.maximum(pred, 0) - pred * true + np.log1p(np.exp(-np.abs(pred))))
    pred = pred.clip(_EPSILON, 1 - _EPSILON)
    return _last_mean(-(true * np.log(pred) + (1 - true) * np.log1p(-pred)))


def categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> np.ndarray:
    """-sum(t log p) over the class axis; `y_pred` are probabilities (scaled to sum 1) or logits.

    `label_smoothing` s moves the labels to t (1 - s) + s / C.
    """
    true, pred = _floats("categorical_crossentropy", y_true, y_pred)
    true = true * (1.0 - label_smoothing) + label_smoothing / pred.shape[axis]
    return -(true * _log_probabilities(pred, from_logits, axis)).sum(axis)


def sparse_categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, axis: int = -1
) -> np.ndarray:
    """-log p of the labelled class; `y_pred` are probabilities (scaled to sum 1) or logits."""
    op = "sparse_categorical_crossentropy"
    true, pred = sparse(op, y_true, np.moveaxis(np.asarray(y_pred), axis, -1))
    logs = _log_probabilities(pred.astype(np.float64), from_logits, axis=-1)
    return -np.take_along_axis(logs, true[..., None], -1)[..., 0]


def _difference(op: str, y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    true, pred = _floats(op, y_true, y_pred)
    return pred - true


def _floats(op: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    true, pred = paired(op, y_true, y_pred)
    return true.astype(np.float64), pred.astype(np.float64)


def _last_mean(values: np.ndarray) -> np.ndarray:
    return values.mean(-1) if values.ndim > 1 else values


def _log_probabilities(pred: np.ndarray, from_logits: bool, axis: int) -> np.ndarray:
    if from_logits:
        shifted = pred - pred.max(axis, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    return np.log((pred / pred.sum(axis, keepdims=True)).clip(_EPSILON, 1 - _EPSILON))


def _check_smoothing(op: str, label_smoothing: float) -> None:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{op}: label_smoothing must lie in 0 to 1, came {label_smoothing}")


@register("mse", "MSE")
class MeanSquaredError(MeanMetricWrapper):
    """Mean squared error.

    Example:
        >>> from cnnfast.metrics import MeanSquaredError
        >>> MeanSquaredError()([[0, 1], [0, 0]], [[1, 1], [0, 0]])
        0.25
    """

    direction = "down"

    def __init__(self, name: str | None = "mean_squared_error", dtype: str | None = None):
        super().__init__(mean_squared_error, name, dtype)


@register("rmse", "RMSE")
class RootMeanSquaredError(MeanMetricWrapper):
    """Square root of the mean squared error.

    Example:
        >>> from cnnfast.metrics import RootMeanSquaredError
        >>> RootMeanSquaredError()([[0, 1], [0, 0]], [[1, 1], [0, 0]])
        0.5
    """

    direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: str | None = None):
        super().__init__(_squared_error, name, dtype)

    def result(self) -> float:
        return float(np.sqrt(super().result()))


def _squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    return np.square(_difference("root_mean_squared_error", y_true, y_pred))


@register("mae", "MAE")
class MeanAbsoluteError(MeanMetricWrapper):
    """Mean absolute error.

    Example:
        >>> from cnnfast.metrics import MeanAbsoluteError
        >>> MeanAbsoluteError()([[0, 1], [0, 0]], [[1, 1], [0, 0]])
        0.25
    """

    direction = "down"

    def __init__(self, name: str | None = "mean_absolute_error", dtype: str | None = None):
        super().__init__(mean_absolute_error, name, dtype)


@register("bce", "BCE")
class BinaryCrossentropy(MeanMetricWrapper):
    """Cross-entropy of independent yes-or-no labels, in nats.

    Example:
        >>> from cnnfast.metrics import BinaryCrossentropy
        >>> round(BinaryCrossentropy()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]), 4)
        0.8149
    """

    direction = "down"

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ):
        _check_smoothing("BinaryCrossentropy", label_smoothing)
        super().__init__(binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


@register()
class CategoricalCrossentropy(MeanMetricWrapper):
    """Cross-entropy of one-hot labels, in nats.

    Example:
        >>> from cnnfast.metrics import CategoricalCrossentropy
        >>> round(CategoricalCrossentropy()([[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]]), 4)
        1.1769
    """

    direction = "down"

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ):
        _check_smoothing("CategoricalCrossentropy", label_smoothing)
        super().__init__(
            categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


@register()
class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Cross-entropy of class numbers, in nats.

    Example:
        >>> from cnnfast.metrics import SparseCategoricalCrossentropy
        >>> round(SparseCategoricalCrossentropy()([1, 2], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]]), 4)
        1.1769
    """

    direction = "down"

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        axis: int = -1,
    ):
        super().__init__(sparse_categorical_crossentropy, name, dtype, from_logits=from_logits, axis=axis)
