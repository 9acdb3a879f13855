"""What a score is worth at every threshold, and whether a probability means what it says: ROC, precision-recall and
calibration curves, and the scores of each class."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.checks import numbers
from cnnfast.metrics.confusion import class_numbers


class RocCurve(NamedTuple):
    """True against false positives.

    Attributes:
        fpr, tpr: float64 (T,), shares of the negatives and of the positives that score at least the threshold;
            both rise from 0 to 1.
        thresholds: float64 (T,), falling, the first is infinite.
        auc: area under the curve, 0 to 1: how often a positive scores more than a negative, ties counting half.
    """

    fpr: np.ndarray
    tpr: np.ndarray
    thresholds: np.ndarray
    auc: float


class PrecisionRecallCurve(NamedTuple):
    """Precision against recall.

    Attributes:
        precision: float64 (T,), share of positives among those that score at least the threshold.
        recall: float64 (T,), share of the positives that do; rises to 1.
        thresholds: float64 (T,), falling.
        average_precision: sum of the precisions, each times the step of the recall; 0 to 1.
    """

    precision: np.ndarray
    recall: np.ndarray
    thresholds: np.ndarray
    average_precision: float


class CalibrationCurve(NamedTuple):
    """Confidence against accuracy, in bins of equal width.

    Attributes:
        edges: float64 (B + 1,), of the bins, 0 to 1; a bin holds its upper edge, the first both.
        counts: int64 (B,), samples in each.
        confidence, accuracy: float64 (B,), means over a bin's samples; NaN in empty bins.
        ece: expected calibration error, the mean over samples of the gap between the two in their bin.
        mce: maximum calibration error, the largest gap.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    ece: float
    mce: float


class ClassScores(NamedTuple):
    """How well each class is told from the others.

    Attributes:
        precision: float64 (C,), share of right ones among the predictions of a class; NaN if it is never predicted.
        recall: float64 (C,), share of a class's samples that are found; NaN without samples.
        f1: float64 (C,), 2 TP / (2 TP + FP + FN), the harmonic mean of both; NaN for a class that never occurs.
        support: (C,), samples of each class.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def roc_curve(y_true: ArrayLike, y_score: ArrayLike) -> RocCurve:
    """The receiver operating characteristic of a score for two classes.

    Args:
        y_true: 0 or 1, (N,) or (N, 1).
        y_score: more speaks for 1; (N,) or (N, 1).

    Raises:
        ValueError: other labels, other lengths, scores that are not finite, one of the classes missing.

    Source: Fawcett, "An introduction to ROC analysis" (2006), algorithms 1 and 2.

    Example:
        >>> from cnnfast.metrics import roc_curve
        >>> roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).auc
        0.75
    """
    true_positives, false_positives, thresholds = _counts("roc_curve", y_true, y_score)
    positives, negatives = true_positives[-1], false_positives[-1]
    if not negatives:
        raise ValueError("roc_curve: y_true has no negatives (0)")
    tpr = np.concatenate([[0.0], true_positives / positives])
    fpr = np.concatenate([[0.0], false_positives / negatives])
    auc = float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1])) / 2)
    return RocCurve(fpr, tpr, np.concatenate([[np.inf], thresholds]), auc)


def precision_recall_curve(y_true: ArrayLike, y_score: ArrayLike) -> PrecisionRecallCurve:
    """Precision and recall of a score for two classes at every threshold.

    Args:
        y_true: 0 or 1, (N,) or (N, 1).
        y_score: more speaks for 1; (N,) or (N, 1).

    Raises:
        ValueError: other labels, other lengths, scores that are not finite, no positives.

    Source: Davis and Goadrich, "The relationship between precision-recall and ROC curves" (2006); between two points of
    the curve nothing is interpolated.

    Example:
        >>> from cnnfast.metrics import precision_recall_curve
        >>> curve = precision_recall_curve([0, 1, 1, 0], [0.1, 0.9, 0.3, 0.5])
        >>> curve.recall.tolist(), round(curve.average_precision, 4)
        ([0.5, 0.5, 1.0, 1.0], 0.8333)
    """
    true_positives, false_positives, thresholds = _counts("precision_recall_curve", y_true, y_score)
    precision = true_positives / (true_positives + false_positives)
    recall = true_positives / true_positives[-1]
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return PrecisionRecallCurve(precision, recall, thresholds, average)


def calibration_curve(y_true: ArrayLike, y_pred: ArrayLike, bins: int = 15) -> CalibrationCurve:
    """How often a model is right when it says that it is sure.

    Args:
        y_true: classes (N,) or (N, 1), or one-hot (N, C).
        y_pred: probabilities (N, C): the confidence is that of the predicted class, the accuracy how often it is the
            true one; or (N,) or (N, 1) of class 1: then the confidence is this and the accuracy how often it is 1.
        bins: how many, from 1.

    Raises:
        ValueError: numbers beyond 0 and 1, different lengths, classes that are not there, no bins.

    Source: Guo et al., "On calibration of modern neural networks" (2017), eq. 2 to 5.

    Example:
        >>> from cnnfast.metrics import calibration_curve
        >>> round(calibration_curve([1, 1, 0, 1], [0.9, 0.8, 0.9, 0.8], bins=5).ece, 3)
        0.3
    """
    op = "calibration_curve"
    if isinstance(bins, bool) or not hasattr(bins, "__index__") or bins < 1:
        raise ValueError(f"{op}: bins must be a whole number from 1, came {bins!r}")
    confidence, right = _confidence(op, y_true, y_pred)
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(which, minlength=bins)
    some = np.maximum(count, 1)
    mean, share = (
        np.where(count, np.bincount(which, values, bins) / some, np.nan) for values in (confidence, right.astype(float))
    )
    gaps = np.nan_to_num(np.abs(mean - share))
    return CalibrationCurve(edges, count, mean, share, float(np.sum(gaps * count) / len(right)), float(gaps.max()))


def class_scores(matrix: ArrayLike) -> ClassScores:
    """Precision, recall and F1 of each class.

    Args:
        matrix: (C, C), true classes in rows, as `confusion_matrix` gives it.

    Raises:
        ValueError: no square matrix.

    Example:
        >>> from cnnfast.metrics import class_scores
        >>> class_scores([[8, 2], [0, 10]]).recall
        array([0.8, 1. ])
    """
    counts = numbers("class_scores", "matrix", matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"class_scores: expected a square matrix, came {counts.shape}")
    right, true, predicted = np.diagonal(counts), counts.sum(1), counts.sum(0)
    return ClassScores(
        _quotient(right, predicted), _quotient(right, true), _quotient(2 * right, true + predicted), true
    )


def _quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(y > 0, x / np.where(y > 0, y, 1), np.nan)


def _counts(op: str, y_true: ArrayLike, y_score: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many positives and negatives score at least each of the different scores, and these, falling."""
    true, scores = _column(op, "y_true", y_true), _column(op, "y_score", y_score).astype(np.float64)
    if len(true) != len(scores):
        raise ValueError(f"{op}: y_true has {len(true)} samples, y_score {len(scores)}")
    if not np.isin(true, (0, 1)).all():
        raise ValueError(f"{op}: y_true must be 0 or 1, has values from {true.min()} to {true.max()}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{op}: y_score must be finite numbers")
    if not true.any():
        raise ValueError(f"{op}: y_true has no positives (1)")
    order = np.argsort(-scores, kind="stable")
    positive, scores = true[order].astype(np.int64), scores[order]
    last_of_equals = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    found = np.cumsum(positive)[last_of_equals]
    return found, last_of_equals + 1 - found, scores[last_of_equals]


def _confidence(op: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The confidence of each sample, and whether it was right."""
    probabilities: Any = numbers(op, "y_pred", y_pred).astype(np.float64)
    # float32 probabilities may exceed 1 by rounding
    if not ((probabilities >= 0) & (probabilities <= 1 + 1e-5)).all():
        raise ValueError(
            f"{op}: y_pred must be probabilities from 0 to 1, has values from {probabilities.min():.4g} to "
            f"{probabilities.max():.4g}"
        )
    true = class_numbers(op, "y_true", y_true)
    if probabilities.ndim not in (1, 2) or len(probabilities) != len(true):
        raise ValueError(f"{op}: {len(true)} samples need y_pred (N,) or (N, C), came {probabilities.shape}")
    single = probabilities.ndim == 1 or probabilities.shape[1] == 1
    classes = 2 if single else probabilities.shape[1]
    if true.max() >= classes:
        raise ValueError(f"{op}: y_true must be classes from 0 to {classes - 1}, has {true.max()}")
    if single:
        return probabilities.reshape(-1), true == 1
    return probabilities.max(1), probabilities.argmax(1) == true


def _column(op: str, what: str, values: ArrayLike) -> np.ndarray:
    array = numbers(op, what, values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{op}: {what} must be (N,) or (N, 1), came {array.shape}")
    return array
