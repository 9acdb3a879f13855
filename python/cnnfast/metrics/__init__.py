"""Metrics with Keras' names, arguments and results, in NumPy: numbers that tell people how good a model is.

``compile(metrics=[...])`` takes the names, classes' instances or plain functions that `get` takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnfast.configurable import describe
from cnnfast.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    resolve_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from cnnfast.metrics.base import REGISTRY, Mean, MeanMetricWrapper, Metric, Sum
from cnnfast.metrics.confusion import ConfusionMatrix, confusion_matrix
from cnnfast.metrics.curves import calibration_curve, class_scores, precision_recall_curve, roc_curve
from cnnfast.metrics.detection import (
    AUC,
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from cnnfast.metrics.errors import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)


def get(
    identifier: str | Metric | type[Metric] | Callable[..., Any] | dict[str, Any],
    y_true_shape: tuple[int, ...] | None = None,
    y_pred_shape: tuple[int, ...] | None = None,
    from_loss: str | None = None,
) -> Metric:
    """The metric that `identifier` means.

    Args:
        identifier: a metric or its class; a name such as ``"accuracy"``, ``"mse"`` or ``"AUC"``; a function
            ``fn(y_true, y_pred)`` giving values per sample; or what `serialize` gave.
        y_true_shape, y_pred_shape, from_loss: if `y_pred_shape` is known, ``"accuracy"`` and ``"acc"`` become
            the one that `resolve_accuracy` picks; else they mean exact equality.

    Returns:
        The metric itself, or a new one, whose `name` is the name that was asked for.

    Raises:
        ValueError: unknown name or bad config. TypeError: `identifier` is none of these.

    Example:
        >>> from cnnfast import metrics
        >>> metrics.get("accuracy", (64,), (64, 10))
        <SparseCategoricalAccuracy name=accuracy>
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        if identifier.lower() in ("accuracy", "acc") and y_pred_shape is not None:
            return resolve_accuracy(y_true_shape, y_pred_shape, from_loss)(name=identifier)
        return REGISTRY.find(identifier)(name=identifier)
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if callable(identifier):
        cls: Any = identifier
        return cls() if isinstance(identifier, type) else MeanMetricWrapper(identifier)
    raise TypeError(f"metrics.get: expected a name, a metric or a function, came {identifier!r}")


def serialize(metric: Metric) -> dict[str, Any]:
    """A JSON-able description of `metric` without its state, for `deserialize`."""
    return describe(REGISTRY, metric)


def deserialize(description: dict[str, Any]) -> Metric:
    """The metric that `serialize` described; only registered classes. ValueError if it is malformed."""
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise ValueError(f"metrics.deserialize: expected class_name and config, came {description!r}")
    cls = REGISTRY.find(description.get("class_name"))
    try:
        return cls.from_config(description["config"])
    except TypeError as error:
        raise ValueError(f"metrics.deserialize: bad config for {cls.__name__}: {error}") from error


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "ConfusionMatrix",
    "FalseNegatives",
    "FalsePositives",
    "Mean",
    "MeanAbsoluteError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "accuracy",
    "binary_accuracy",
    "binary_crossentropy",
    "calibration_curve",
    "categorical_accuracy",
    "categorical_crossentropy",
    "class_scores",
    "confusion_matrix",
    "deserialize",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "precision_recall_curve",
    "resolve_accuracy",
    "roc_curve",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]
