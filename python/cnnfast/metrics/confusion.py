"""Which classes are taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.checks import classes, numbers
from cnnfast.metrics.base import Metric, leading_weights, register

_MAX_CLASSES = 10_000  # a matrix of 0.8 GB
_SUMS = {"true": (1,), "pred": (0,), "all": (0, 1)}  # normalize -> the axes whose sum becomes 1


def confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    num_classes: int | None = None,
    normalize: str | None = None,
    sample_weight: ArrayLike | None = None,
) -> np.ndarray:
    """Count how often the class of the row (true) was predicted as the class of the column.

    Args:
        y_true: class numbers (N,) or (N, 1), or one-hot (N, C).
        y_pred: the same, or scores (N, C), of which the largest counts, or probabilities (N, 1) of class 1.
        num_classes: number of rows and columns; default one more than the largest class, at least C.
        normalize: None for counts; "true" makes rows sum to 1 (the diagonal is the recall of each class),
            "pred" columns (the diagonal is the precision), "all" the whole. Empty rows or columns stay 0.
        sample_weight: weights (N,) instead of counting 1 each.

    Returns:
        (num_classes, num_classes), int64 for plain counts, else float64.

    Raises:
        ValueError: no samples, different lengths, classes below 0 or not below `num_classes`.

    Example:
        >>> from cnnfast.metrics import confusion_matrix
        >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2])
        array([[1, 1, 0],
               [0, 1, 0],
               [0, 0, 1]])
    """
    op = "confusion_matrix"
    check_normalize(op, normalize)
    true, pred = class_numbers(op, "y_true", y_true, num_classes), class_numbers(op, "y_pred", y_pred, num_classes)
    if len(true) != len(pred):
        raise ValueError(f"{op}: y_true has {len(true)} samples, y_pred {len(pred)}")
    if num_classes is None:
        num_classes = max(true.max() + 1, pred.max() + 1, _columns(y_true), _columns(y_pred))
    check_num_classes(op, num_classes)
    weights = None if sample_weight is None else leading_weights(op, sample_weight, true.shape)
    cells = np.bincount(true * num_classes + pred, weights, minlength=num_classes**2)
    return normalized(cells.reshape(num_classes, num_classes), normalize)


def check_num_classes(op: str, num_classes: int) -> None:
    """Raise ValueError unless a matrix of so many classes can be made."""
    if not 1 <= num_classes <= _MAX_CLASSES:
        raise ValueError(f"{op}: the number of classes must lie in 1 to {_MAX_CLASSES}, came {num_classes}")


def check_normalize(op: str, normalize: str | None) -> None:
    """Raise ValueError unless `normalize` is one of the choices."""
    if normalize is not None and normalize not in _SUMS:
        raise ValueError(f"{op}: normalize must be None, 'true', 'pred' or 'all', came {normalize!r}")


def normalized(matrix: np.ndarray, normalize: str | None) -> np.ndarray:
    """`matrix` divided by its sums over the axes that `normalize` means; sums of 0 are left alone."""
    if normalize is None:
        return matrix
    sums = matrix.sum(_SUMS[normalize], keepdims=True)
    return matrix / np.where(sums == 0, 1, sums)


def _columns(array: ArrayLike) -> int:
    shape = np.shape(array)
    return shape[1] if len(shape) == 2 else 1


def class_numbers(op: str, what: str, values: ArrayLike, num_classes: int | None = None) -> np.ndarray:
    """int64 (N,): classes from any form that `confusion_matrix` takes; `what` "y_pred" may be probabilities (N, 1)."""
    array = numbers(op, what, values)
    if array.ndim not in (1, 2):
        raise ValueError(f"{op}: {what} must be classes (N,) or scores (N, C), came {array.shape}")
    if array.ndim == 2 and array.shape[1] > 1:
        array = array.argmax(1)
    elif array.ndim == 2:
        array = array[:, 0]
        if what == "y_pred" and array.dtype.kind == "f":
            array = array > 0.5
    return classes(op, what, array, num_classes)


@register()
class ConfusionMatrix(Metric):
    """`confusion_matrix` over batches.

    Args:
        num_classes: number of classes; the matrix grows as needed if None.
        normalize: as for `confusion_matrix`.

    Example:
        >>> from cnnfast.metrics import ConfusionMatrix
        >>> metric = ConfusionMatrix(num_classes=2)
        >>> metric.update_state([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        >>> metric.result()
        array([[1, 0],
               [1, 1]])
    """

    def __init__(
        self,
        num_classes: int | None = None,
        normalize: str | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        check_normalize("ConfusionMatrix", normalize)
        if num_classes is not None:
            check_num_classes("ConfusionMatrix", num_classes)
        super().__init__(name, dtype)
        self.num_classes = num_classes
        self.normalize = normalize
        self.matrix = np.zeros((num_classes or 0,) * 2, np.int64)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add labels and predictions in any of the forms that `confusion_matrix` takes."""
        new = confusion_matrix(y_true, y_pred, self.num_classes, sample_weight=sample_weight)
        size = max(len(self.matrix), len(new))
        self.matrix = _grown(self.matrix, size) + _grown(new, size)

    def result(self) -> np.ndarray:
        """(C, C), rows true, columns predicted; int64 counts unless normalised or weighted."""
        return normalized(self.matrix.copy(), self.normalize)

    def reset_state(self) -> None:
        self.matrix = np.zeros((self.num_classes or 0,) * 2, np.int64)

    def get_config(self) -> dict[str, Any]:
        return {"num_classes": self.num_classes, "normalize": self.normalize, **super().get_config()}


def _grown(matrix: np.ndarray, size: int) -> np.ndarray:
    return np.pad(matrix, (0, size - len(matrix)))
