"""Losses: what training makes small. Each is one kernel that gives the loss and its gradient in the same pass."""

from __future__ import annotations

from typing import Any

from cnnfast.configurable import describe
from cnnfast.losses.base import LOSSES, Loss, NumpyLoss
from cnnfast.losses.crossentropy import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    SparseCategoricalCrossentropy,
)
from cnnfast.losses.pointwise import (
    CategoricalHinge,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
)

__all__ = [
    "LOSSES",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "NumpyLoss",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "get",
    "serialize",
]


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
