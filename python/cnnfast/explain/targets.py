"""Targets: what an explanation is of. A class's score by default, or any weighted sum of the model's scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from cnnfast.graph.values import Value

#: None, a class (number or name), one for each sample, a `Target`, or a function of the symbolic scores.
TargetLike: TypeAlias = "int | str | Sequence[Any] | np.ndarray | Target | Callable[[Value], Value] | None"


class Target(ABC):
    """A weighted sum of a model's scores, for each sample."""

    @abstractmethod
    def weights(self, scores: np.ndarray, rows: slice) -> np.ndarray:
        """float32, shaped as `scores`: what each is multiplied with.

        Args:
            scores: of the samples in `rows`, before a final softmax or sigmoid.
            rows: which of all samples they are.

        Raises:
            ValueError: scores that do not fit.
        """


class Classes(Target):
    """One class for each sample; without classes, the one with the highest score.

    Of a model with a single score, class 1 is that score and class 0 its negative.

    Args:
        op: for messages.
        classes: int (N,), or None for the predicted ones.
    """

    def __init__(self, op: str, classes: np.ndarray | None):
        self._op = op
        self._classes = classes

    def weights(self, scores: np.ndarray, rows: slice) -> np.ndarray:
        if scores.ndim != 2:
            raise ValueError(
                f"{self._op}: a class is a target for scores (N,K), the model gives {scores.shape}; for maps of scores "
                "take explain.region, for others explain.weighted or a function"
            )
        count = scores.shape[1]
        chosen = predicted_classes(scores) if self._classes is None else self._classes[rows]
        known = max(count, 2)
        if chosen.min() < 0 or chosen.max() >= known:
            wrong = chosen[(chosen < 0) | (chosen >= known)][0]
            raise ValueError(f"{self._op}: target {wrong} is out of range, the model has the classes 0 to {known - 1}")
        weights = np.zeros(scores.shape, np.float32)
        if count == 1:
            weights[:, 0] = np.where(chosen == 1, 1, -1)
        else:
            weights[np.arange(len(scores)), chosen] = 1
        return weights


class _Weighted(Target):
    def __init__(self, weights: np.ndarray):
        self._weights = weights

    def weights(self, scores: np.ndarray, rows: slice) -> np.ndarray:
        single = self._weights.ndim == scores.ndim - 1
        chosen = np.broadcast_to(self._weights, scores.shape) if single else self._weights[rows]
        if chosen.shape != scores.shape:
            raise ValueError(f"weighted: the scores are {scores.shape}, the weights {chosen.shape}")
        return np.ascontiguousarray(chosen, np.float32)


def weighted(weights: Any) -> Target:
    """A weighted sum of the scores as a target, for outputs of any shape.

    Args:
        weights: shaped as the scores of one sample, or as those of all.

    Raises:
        ValueError: weights that are not finite, or all 0.

    Example:
        >>> target = weighted([0.0, 1.0, -1.0])  # why class 1 rather than class 2
    """
    array = np.asarray(weights, np.float32)
    if not np.isfinite(array).all() or not array.any():
        raise ValueError("weighted: the weights must be finite numbers that are not all 0")
    return _Weighted(array)


class _Region(Target):
    def __init__(self, category: int, mask: np.ndarray | None, box: np.ndarray | None):
        self._category, self._mask, self._box = category, mask, box

    def weights(self, scores: np.ndarray, rows: slice) -> np.ndarray:
        if scores.ndim != 4:
            raise ValueError(f"region: expected maps of scores (N,P,Q,K), the model gives {scores.shape}")
        if not 0 <= self._category < scores.shape[3]:
            raise ValueError(
                f"region: class {self._category} is out of range, the model has the classes 0 to {scores.shape[3] - 1}"
            )
        mask = self._mask_for(scores, rows)
        total = mask.sum((1, 2), keepdims=True)
        if not total.all():
            raise ValueError(f"region: no position lies in the region of sample {int(np.argmin(total)) + rows.start}")
        weights = np.zeros(scores.shape, np.float32)
        weights[..., self._category] = mask
        return weights

    def _mask_for(self, scores: np.ndarray, rows: slice) -> np.ndarray:
        n, p, q, _ = scores.shape
        if self._box is not None:
            boxes = np.broadcast_to(self._box, (n, 4)) if self._box.ndim == 1 else self._box[rows]
            y, x = np.arange(p)[:, None] + 0.5, np.arange(q)[None, :] + 0.5
            top, left, bottom, right = (boxes[:, i, None, None] for i in range(4))
            return ((y >= top * p) & (y < bottom * p) & (x >= left * q) & (x < right * q)).astype(np.float32)
        if self._mask is None:
            return (scores.argmax(-1) == self._category).astype(np.float32)
        mask = np.broadcast_to(self._mask, (n, p, q)) if self._mask.ndim == 2 else self._mask[rows]
        if mask.shape != (n, p, q):
            raise ValueError(f"region: the scores are {scores.shape}, the mask {mask.shape}")
        return mask


def region(category: int, mask: Any = None, box: Any = None) -> Target:
    """The sum of a class's scores in a part of a map of scores (N, P, Q, K), as segmentation and detection give them.

    Args:
        category: the class, 0 to K - 1.
        mask: (P, Q) or (N, P, Q), weights of the positions; default those where the class has the highest score.
        box: (top, left, bottom, right) as shares of the height and width from 0 to 1, or (N, 4) of them.

    Raises:
        ValueError: mask and box both, or numbers that are none.

    Source: Vinogradova et al., "Towards interpretable semantic segmentation via gradient-weighted class activation
    mapping" (2020), eq. 2.

    Example:
        >>> target = region(1, box=(0, 0, 0.5, 0.5))  # class 1 in the upper left quarter
    """
    if mask is not None and box is not None:
        raise ValueError("region: give a mask or a box, not both")
    chosen = None if mask is None else np.asarray(mask, np.float32)
    edges = None if box is None else np.asarray(box, np.float32)
    if chosen is not None and (chosen.ndim not in (2, 3) or not np.isfinite(chosen).all()):
        raise ValueError(f"region: mask must be finite numbers (P,Q) or (N,P,Q), got shape {chosen.shape}")
    if edges is not None and (edges.ndim not in (1, 2) or edges.shape[-1] != 4 or not np.isfinite(edges).all()):
        raise ValueError(f"region: box must be (top, left, bottom, right) or (N,4) of them, got {box!r}")
    return _Region(int(category), chosen, edges)


def predicted_classes(scores: np.ndarray) -> np.ndarray:
    """int64 (N,) of scores (N, K): the highest; of a single one 1 where it is above 0."""
    return (scores[:, 0] > 0).astype(np.int64) if scores.shape[1] == 1 else scores.argmax(1)


def resolved(op: str, target: Any, count: int, class_names: Sequence[str] | None) -> Target:
    """A target in the form that explanations work with; functions are not resolved here.

    Args:
        op: for messages.
        target: see `TargetLike`.
        count: of samples.
        class_names: of the model.

    Raises:
        TypeError: a target of another kind. ValueError: an unknown name, or another number of classes than samples.
    """
    if target is None or isinstance(target, Target):
        return target if target is not None else Classes(op, None)
    if isinstance(target, str) or np.ndim(target) == 0:
        chosen = np.full(count, _number(op, target, class_names), np.int64)
    else:
        if np.ndim(target) != 1 or len(target) != count:
            raise ValueError(f"{op}: {count} samples need {count} targets, got shape {np.shape(target)}")
        each = target.tolist() if isinstance(target, np.ndarray) else list(target)
        chosen = np.asarray([_number(op, t, class_names) for t in each], np.int64)
    return Classes(op, chosen)


def _number(op: str, target: Any, class_names: Sequence[str] | None) -> int:
    if isinstance(target, str):
        if class_names is None:
            raise ValueError(f"{op}: target {target!r} is a name, but the model has no class_names")
        if target not in class_names:
            raise ValueError(f"{op}: no class is named {target!r}; the classes are {', '.join(class_names[:20])}")
        return list(class_names).index(target)
    if isinstance(target, bool) or not hasattr(target, "__index__"):
        raise TypeError(f"{op}: target must be None, a class, a list of them, a Target or a function, got {target!r}")
    return int(target.__index__())
