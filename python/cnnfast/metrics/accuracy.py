"""Accuracies: how often the prediction is the label. The functions give one value, 0 or 1, per prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.checks import classes, numbers
from cnnfast.metrics.base import MeanMetricWrapper, Metric, paired, register


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """1 where `y_pred` equals `y_true`, else 0; same shapes, but for a last axis of 1."""
    true, pred = paired("accuracy", y_true, y_pred)
    return (true == pred).astype(np.float32)


def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> np.ndarray:
    """1 where (`y_pred` > `threshold`) is the label 0 or 1, else 0; same shapes, but for a last axis of 1."""
    true, pred = paired("binary_accuracy", y_true, y_pred)
    return ((pred > np.asarray(threshold, np.float32)) == true).astype(np.float32)


def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """1 where the largest score is that of the one-hot label's class; both (..., C), gives (...)."""
    true, pred = _one_hot("categorical_accuracy", y_true, y_pred)
    return (pred.argmax(-1) == true.argmax(-1)).astype(np.float32)


def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """1 where the largest score of (..., C) is that of the class `y_true` (...) or (..., 1), gives (...)."""
    true, pred = sparse("sparse_categorical_accuracy", y_true, y_pred)
    return (pred.argmax(-1) == true).astype(np.float32)


def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> np.ndarray:
    """1 where the one-hot label's class is among the `k` largest scores; both (..., C), gives (...)."""
    true, pred = _one_hot("top_k_categorical_accuracy", y_true, y_pred)
    return _in_top_k(true.argmax(-1), pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False
) -> np.ndarray:
    """1 where the class `y_true` (...) is among the `k` largest scores `y_pred` (..., C), gives (...).

    With `from_sorted_ids`, `y_pred` (..., M) holds classes from the best downwards instead of scores.
    """
    op = "sparse_top_k_categorical_accuracy"
    if from_sorted_ids:
        ids = numbers(op, "y_pred", y_pred)
        true = _without_last(op, classes(op, "y_true", y_true), ids)
        return (ids[..., :k] == true[..., None]).any(-1).astype(np.float32)
    true, pred = sparse(op, y_true, y_pred)
    return _in_top_k(true, pred, k)


def sparse(op: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Classes (...) and scores (..., C), checked against each other."""
    pred = numbers(op, "y_pred", y_pred)
    if pred.ndim == 0:
        raise ValueError(f"{op}: y_pred must have scores per class as its last axis, came a scalar")
    return _without_last(op, classes(op, "y_true", y_true, pred.shape[-1]), pred), pred


def _without_last(op: str, true: np.ndarray, pred: np.ndarray) -> np.ndarray:
    if true.shape == (*pred.shape[:-1], 1):
        true = true[..., 0]
    if true.shape != pred.shape[:-1]:
        raise ValueError(
            f"{op}: y_true must have the shape of y_pred without its last axis, {pred.shape[:-1]}, "
            f"came {true.shape} with y_pred {pred.shape}"
        )
    return true


def _one_hot(op: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    true, pred = numbers(op, "y_true", y_true), numbers(op, "y_pred", y_pred)
    if true.shape != pred.shape or pred.ndim == 0:
        raise ValueError(
            f"{op}: y_true must be one-hot with the shape of y_pred {pred.shape}, came {true.shape}; "
            f"for class numbers there is sparse_{op}"
        )
    return true, pred


def _in_top_k(true: np.ndarray, pred: np.ndarray, k: int) -> np.ndarray:
    """Ties count as hits, as in Keras on TensorFlow; a score that is no finite number never does."""
    score = np.take_along_axis(pred, true[..., None], axis=-1)
    hit = ((pred > score).sum(-1) < k) & np.isfinite(score[..., 0])
    return hit.astype(np.float32)


@register("acc")
class Accuracy(MeanMetricWrapper):
    """How often predictions equal labels exactly; what ``compile(metrics=["accuracy"])`` means, see `get`.

    Example:
        >>> from cnnfast.metrics import Accuracy
        >>> Accuracy()([1, 2, 3, 4], [0, 2, 3, 4])
        0.75
    """

    direction = "up"

    def __init__(self, name: str | None = "accuracy", dtype: str | None = None):
        super().__init__(accuracy, name, dtype)


@register()
class BinaryAccuracy(MeanMetricWrapper):
    """How often predictions above `threshold` are labelled 1 and others 0.

    Example:
        >>> from cnnfast.metrics import BinaryAccuracy
        >>> BinaryAccuracy()([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]])
        0.75
    """

    direction = "up"

    def __init__(self, name: str | None = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5):
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


@register()
class CategoricalAccuracy(MeanMetricWrapper):
    """How often the largest score is that of the one-hot label; scores may be logits or probabilities.

    Example:
        >>> from cnnfast.metrics import CategoricalAccuracy
        >>> CategoricalAccuracy()([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
        0.5
    """

    direction = "up"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: str | None = None):
        super().__init__(categorical_accuracy, name, dtype)


@register()
class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the largest score is that of the labelled class; scores may be logits or probabilities.

    Example:
        >>> from cnnfast.metrics import SparseCategoricalAccuracy
        >>> SparseCategoricalAccuracy()([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]])
        0.5
    """

    direction = "up"

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: str | None = None):
        super().__init__(sparse_categorical_accuracy, name, dtype)


@register()
class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the one-hot label is among the `k` largest scores.

    Example:
        >>> from cnnfast.metrics import TopKCategoricalAccuracy
        >>> TopKCategoricalAccuracy(k=2)([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
        1.0
    """

    direction = "up"

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: str | None = None):
        super().__init__(top_k_categorical_accuracy, name, dtype, k=_positive(self, k))


@register()
class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the labelled class is among the `k` largest scores.

    Example:
        >>> from cnnfast.metrics import SparseTopKCategoricalAccuracy
        >>> SparseTopKCategoricalAccuracy(k=2)([2, 1], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
        1.0
    """

    direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: str | None = None,
        from_sorted_ids: bool = False,
    ):
        fn: Any = sparse_top_k_categorical_accuracy
        super().__init__(fn, name, dtype, k=_positive(self, k), from_sorted_ids=from_sorted_ids)


def _positive(metric: Metric, k: int) -> int:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"{type(metric).__name__}: k must be a whole number of at least 1, came {k!r}")
    return int(k)


def resolve_accuracy(
    y_true_shape: tuple[int, ...] | None, y_pred_shape: tuple[int, ...], from_loss: str | None = None
) -> type[Metric]:
    """Which class ``"accuracy"`` means for labels and predictions of these shapes, by Keras' rule.

    One output per sample means `BinaryAccuracy`; labels with fewer axes than the predictions, or with a last
    axis of 1, mean `SparseCategoricalAccuracy`; anything else `CategoricalAccuracy`.

    Args:
        y_true_shape: shape of the labels, batch axis included, or None if not known yet.
        y_pred_shape: shape of the predictions, batch axis included.
        from_loss: name of the loss; decides between sparse and one-hot labels if `y_true_shape` is None.

    Example:
        >>> from cnnfast.metrics import resolve_accuracy
        >>> resolve_accuracy((64,), (64, 10)).__name__
        'SparseCategoricalAccuracy'
    """
    if len(y_pred_shape) < 2 or y_pred_shape[-1] == 1:
        return BinaryAccuracy
    if y_true_shape is None:
        is_sparse = from_loss is not None and from_loss.startswith("sparse")
    else:
        is_sparse = len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1
    return SparseCategoricalAccuracy if is_sparse else CategoricalAccuracy
