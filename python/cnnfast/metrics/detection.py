"""Metrics of yes-or-no decisions: a prediction above a threshold is a yes.

All of them count, for every threshold, the weight of the true and of the false positives; negatives follow
from the totals. One sort into the intervals between thresholds serves all thresholds at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.checks import numbers
from cnnfast.metrics.base import Metric, leading_weights, paired, register

_MAX_THRESHOLDS = 1_000_000
_ENDPOINT = 1e-7  # AUC's outer thresholds lie this far outside [0, 1], so that 0 and 1 are inside


class ThresholdMetric(Metric):
    """Base class: counts (T, L) for T thresholds and L label columns, which are 1 unless `multi_label`."""

    direction = "up"

    def __init__(self, thresholds: Sequence[float], name: str | None, dtype: str | None):
        super().__init__(name, dtype)
        self.thresholds = list(thresholds)
        self.reset_state()

    def reset_state(self) -> None:
        shape = (len(self.thresholds), 1)
        self.true_positives = np.zeros(shape)
        self.false_positives = np.zeros(shape)
        self.positives = np.zeros(1)
        self.negatives = np.zeros(1)

    @property
    def false_negatives(self) -> np.ndarray:
        return self.positives - self.true_positives

    @property
    def true_negatives(self) -> np.ndarray:
        return self.negatives - self.false_positives

    def _count(self, true: np.ndarray, pred: np.ndarray, weights: np.ndarray) -> None:
        """Add labels, predictions and weights, each (n, L)."""
        order = np.argsort(self.thresholds, kind="stable")
        above = _above(np.asarray(self.thresholds, np.float32)[order], pred)
        inverse = np.argsort(order)
        self.true_positives = self.true_positives + _tail_sums(above, weights * true, len(order))[inverse]
        self.false_positives = self.false_positives + _tail_sums(above, weights * ~true, len(order))[inverse]
        self.positives = self.positives + (weights * true).sum(0)
        self.negatives = self.negatives + (weights * ~true).sum(0)

    def _per_threshold(self, values: np.ndarray) -> float | np.ndarray:
        return float(values[0, 0]) if len(self.thresholds) == 1 else values[:, 0]


def _above(thresholds: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """How many of the sorted thresholds each prediction exceeds; not-a-number exceeds none."""
    above = np.searchsorted(thresholds, pred.astype(np.float32), side="left")
    above[np.isnan(pred)] = 0
    return above


def _tail_sums(above: np.ndarray, weights: np.ndarray, num_thresholds: int) -> np.ndarray:
    """(T, L): the weight in column l of the predictions that exceed threshold t."""
    columns = above.shape[1]
    cells = above + (num_thresholds + 1) * np.arange(columns)
    sums = np.bincount(cells.ravel(), weights.ravel(), minlength=(num_thresholds + 1) * columns)
    return sums.reshape(columns, num_thresholds + 1)[:, :0:-1].cumsum(1)[:, ::-1].T


def _binary(op: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    true, pred = paired(op, y_true, y_pred)
    if not ((true == 0) | (true == 1)).all():
        raise ValueError(f"{op}: y_true must be 0 or 1, has values from {true.min()} to {true.max()}")
    return true.astype(bool), pred


def _weights(op: str, sample_weight: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape) if sample_weight is None else leading_weights(op, sample_weight, shape)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def _parse_thresholds(op: str, thresholds: float | Sequence[float] | None, default: float) -> list[float]:
    if thresholds is None:
        return [default]
    values = np.atleast_1d(numbers(op, "thresholds", thresholds)).astype(float)
    if values.ndim > 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{op}: thresholds must be numbers in [0, 1], came {thresholds!r}")
    return values.tolist()


class _Counted(ThresholdMetric):
    """Weight of one of the four outcomes per threshold."""

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        self._given = thresholds
        super().__init__(_parse_thresholds(type(self).__name__, thresholds, 0.5), name, dtype)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add 0 or 1 labels and scores of one shape, with weights aligned with their leading axes."""
        true, pred = _binary(self.name, y_true, y_pred)
        weights = _weights(self.name, sample_weight, true.shape)
        self._count(true.reshape(-1, 1), pred.reshape(-1, 1), weights.reshape(-1, 1))

    def get_config(self) -> dict[str, Any]:
        return {"thresholds": self._given, **super().get_config()}


@register()
class TruePositives(_Counted):
    """Weight of the predictions above the threshold (default 0.5) that are labelled 1."""

    def result(self) -> float | np.ndarray:
        return self._per_threshold(self.true_positives)


@register()
class TrueNegatives(_Counted):
    """Weight of the predictions not above the threshold (default 0.5) that are labelled 0."""

    def result(self) -> float | np.ndarray:
        return self._per_threshold(self.true_negatives)


@register()
class FalsePositives(_Counted):
    """Weight of the predictions above the threshold (default 0.5) that are labelled 0."""

    direction = "down"

    def result(self) -> float | np.ndarray:
        return self._per_threshold(self.false_positives)


@register()
class FalseNegatives(_Counted):
    """Weight of the predictions not above the threshold (default 0.5) that are labelled 1."""

    direction = "down"

    def result(self) -> float | np.ndarray:
        return self._per_threshold(self.false_negatives)


class _Selected(ThresholdMetric):
    """What precision and recall share: thresholds, the `top_k` scores only, one class only."""

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ):
        if top_k is not None and top_k < 1:
            raise ValueError(f"{type(self).__name__}: top_k must be at least 1, came {top_k}")
        self._given = thresholds
        self.top_k = top_k
        self.class_id = class_id
        default = 0.5 if top_k is None else -np.inf
        super().__init__(_parse_thresholds(type(self).__name__, thresholds, default), name, dtype)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add 0 or 1 labels and scores of one shape, with weights aligned with their leading axes."""
        true, pred = _binary(self.name, y_true, y_pred)
        if self.top_k is not None:
            pred = self._only_top_k(pred, self.top_k)
        if self.class_id is not None:
            true, pred = self._only_class(true, self.class_id), self._only_class(pred, self.class_id)
        weights = _weights(self.name, sample_weight, true.shape)
        self._count(true.reshape(-1, 1), pred.reshape(-1, 1), weights.reshape(-1, 1))

    def _only_top_k(self, pred: np.ndarray, k: int) -> np.ndarray:
        if k > pred.shape[-1]:
            raise ValueError(f"{self.name}: top_k={k}, but y_pred {pred.shape} has {pred.shape[-1]} scores")
        kept = np.argsort(-pred, axis=-1, kind="stable")[..., :k]
        result = np.full(pred.shape, -np.inf, np.float32)
        np.put_along_axis(result, kept, np.take_along_axis(pred, kept, -1).astype(np.float32), -1)
        return result

    def _only_class(self, array: np.ndarray, class_id: int) -> np.ndarray:
        if array.ndim < 2 or not 0 <= class_id < array.shape[-1]:
            raise ValueError(f"{self.name}: there is no class_id={class_id} in y_pred of shape {array.shape}")
        return array[..., class_id, None]

    def get_config(self) -> dict[str, Any]:
        own = {"thresholds": self._given, "top_k": self.top_k, "class_id": self.class_id}
        return {**own, **super().get_config()}


@register()
class Precision(_Selected):
    """Share of the positive predictions that are right: TP / (TP + FP).

    Args:
        thresholds: in [0, 1], one or several (then the result is an array); a prediction above it is
            positive. Default 0.5, or none with `top_k`.
        top_k: only the `top_k` largest scores of each sample can be positive.
        class_id: look at this class only.

    Example:
        >>> from cnnfast.metrics import Precision
        >>> Precision()([0, 1, 1, 1], [0.7, 0.2, 0.9, 0.6], sample_weight=[1, 1, 1, 2])
        0.75
    """

    def result(self) -> float | np.ndarray:
        return self._per_threshold(_ratio(self.true_positives, self.true_positives + self.false_positives))


@register()
class Recall(_Selected):
    """Share of the positive labels that are found: TP / (TP + FN). Arguments as for `Precision`.

    Example:
        >>> from cnnfast.metrics import Recall
        >>> Recall()([0, 1, 1, 1], [0.7, 0.2, 0.9, 0.6], sample_weight=[1, 1, 1, 2])
        0.75
    """

    def result(self) -> float | np.ndarray:
        return self._per_threshold(_ratio(self.true_positives, self.true_positives + self.false_negatives))


@register()
class AUC(ThresholdMetric):
    """Area under the ROC or the precision-recall curve, approximated over a fixed set of thresholds.

    Args:
        num_thresholds: number of thresholds, evenly spread over [0, 1]; at least 2.
        curve: "ROC" or "PR".
        summation_method: "interpolation" (trapezoids; for PR the interpolation of Davis and Goadrich 2006,
            "The Relationship Between Precision-Recall and ROC Curves", section 4), "minoring" or "majoring".
        thresholds: own thresholds in [0, 1] instead of `num_thresholds`; 0 and 1 are added.
        multi_label: each of the columns of (N, L) labels has a curve of its own; the result is their mean.
        num_labels: L, only with `multi_label`; taken from the first batch if None.
        label_weights: L weights of the columns: in the mean with `multi_label`, else of the predictions.
        from_logits: predictions are logits; without it they must be probabilities.

    Example:
        >>> from cnnfast.metrics import AUC
        >>> AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
        0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ):
        if curve not in ("ROC", "PR"):
            raise ValueError(f"AUC: curve must be 'ROC' or 'PR', came {curve!r}")
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                f"AUC: summation_method must be 'interpolation', 'minoring' or 'majoring', came {summation_method!r}"
            )
        if thresholds is None and not 2 <= num_thresholds <= _MAX_THRESHOLDS:
            raise ValueError(f"AUC: num_thresholds must lie in 2 to {_MAX_THRESHOLDS}, came {num_thresholds}")
        if num_labels is not None and not multi_label:
            raise ValueError(f"AUC: num_labels={num_labels} needs multi_label=True")
        if label_weights is not None and not (min(label_weights) >= 0 and max(label_weights) > 0):
            raise ValueError(f"AUC: label_weights must not be negative nor all 0, came {label_weights}")
        self._given = thresholds
        self.num_thresholds = num_thresholds if thresholds is None else len(thresholds) + 2
        self.curve = curve
        self.summation_method = summation_method
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]
        self.from_logits = from_logits
        self.refuses_predictions = not from_logits
        if thresholds is None:
            inner = np.linspace(0, 1, num_thresholds)[1:-1].tolist()
        else:
            inner = sorted(_parse_thresholds("AUC", thresholds, 0.5)) if len(thresholds) else []
        super().__init__([-_ENDPOINT, *inner, 1 + _ENDPOINT], name, dtype)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add 0 or 1 labels and probabilities of one shape, with weights aligned with their leading axes."""
        true, pred = _binary(self.name, y_true, y_pred)
        pred = self._probabilities(pred)
        weights = _weights(self.name, sample_weight, true.shape)
        if self.multi_label:
            self._check_columns(pred)
        else:
            if self.label_weights is not None:
                weights = weights * self._column_weights(pred.shape)
            true, pred, weights = (array.reshape(-1, 1) for array in (true, pred, weights))
        self._count(true, pred, weights)

    def _probabilities(self, pred: np.ndarray) -> np.ndarray:
        if self.from_logits:
            return 0.5 * (1 + np.tanh(0.5 * pred.astype(np.float64)))  # the sigmoid; tanh cannot overflow
        if (pred < 0).any() or (pred > 1).any():
            raise ValueError(
                f"{self.name}: y_pred must be probabilities in [0, 1], has values from {pred.min()} to "
                f"{pred.max()}; for logits set from_logits=True"
            )
        return pred

    def _check_columns(self, pred: np.ndarray) -> None:
        started = (self.positives + self.negatives).any()
        known = len(self.positives) if started else self.num_labels
        if pred.ndim != 2 or (known is not None and pred.shape[1] != known):
            raise ValueError(f"{self.name}: y_pred must be (N, {known or 'L'}), came {pred.shape}")
        if self.label_weights is not None:
            self._column_weights(pred.shape)

    def _column_weights(self, shape: tuple[int, ...]) -> np.ndarray:
        weights = np.asarray(self.label_weights)
        if weights.shape != shape[-1:]:
            raise ValueError(f"{self.name}: {len(weights)} label_weights do not fit y_pred {shape}")
        return weights

    def result(self) -> float:
        interpolated = (self.curve, self.summation_method) == ("PR", "interpolation")
        areas = self._interpolated_pr_area() if interpolated else self._area()
        if self.multi_label and self.label_weights is not None and len(areas) == len(self.label_weights):
            return float(np.average(areas, weights=self.label_weights))
        return float(areas.mean())

    def _area(self) -> np.ndarray:
        recall = _ratio(self.true_positives, self.true_positives + self.false_negatives)
        if self.curve == "ROC":
            x, y = _ratio(self.false_positives, self.false_positives + self.true_negatives), recall
        else:
            x, y = recall, _ratio(self.true_positives, self.true_positives + self.false_positives)
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2
        else:
            heights = (np.minimum if self.summation_method == "minoring" else np.maximum)(y[:-1], y[1:])
        return ((x[:-1] - x[1:]) * heights).sum(0)

    def _interpolated_pr_area(self) -> np.ndarray:
        """Between two thresholds TP is linear in the positive predictions P, so precision is s + c / P with
        s = dTP / dP and c = TP - s P. Over recall that integrates to s (dTP + c log(P_0 / P_1)) / positives.
        """
        tp = self.true_positives
        p = tp + self.false_positives
        dtp = tp[:-1] - tp[1:]
        slope = _ratio(dtp, p[:-1] - p[1:])
        intercept = tp[1:] - slope * p[1:]
        ratio = np.divide(p[:-1], p[1:], out=np.ones_like(dtp), where=(p[:-1] > 0) & (p[1:] > 0))
        positives = np.broadcast_to(self.positives, dtp.shape)
        return _ratio(slope * (dtp + intercept * np.log(ratio)), positives).sum(0)

    def get_config(self) -> dict[str, Any]:
        return {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "thresholds": None if self._given is None else self.thresholds[1:-1],
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
            **super().get_config(),
        }
