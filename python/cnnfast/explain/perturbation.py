"""What explanations by perturbation share: scores of many partly hidden copies of each image, few of them at once.

Images are treated one after the other and the copies of each in batches of their own, so what is found out about an
image does not depend on which others are explained with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import numpy as np

from cnnfast.explain.probe import BATCH_SIZE, Probe
from cnnfast.explain.targets import Target, TargetLike
from cnnfast.models.model import Model

#: What is explained: the target's score, or what the final softmax or sigmoid makes of it.
Of: TypeAlias = Literal["score", "probability"]

#: For some of the copies of an image what is kept of each pixel, from 0 to 1: (n, H, W).
Masks: TypeAlias = Callable[[slice], np.ndarray]

#: From scores (n, ...) of copies of an image to what their values are sums of, (n, ...).
Rule: TypeAlias = Callable[[np.ndarray], np.ndarray]


class HiddenCopies:
    """Images, and how a model sees them when parts are hidden.

    A copy is mask * image + (1 - mask) * baseline. Its value is the target's score: with default target, of the class
    that is predicted for the image itself.

    Args:
        op: name of the method, for messages.
        model: with one input.
        x: images (N, H, W, C).
        target: see `TargetLike`.
        baseline: what hidden pixels become: a number, one for each channel (C,), an image (H, W, C) or one for each
            image (N, H, W, C).
        of: "score", or "probability": the class's after softmax (of scores whose model ends in a sigmoid, or of single
            ones, after sigmoid).
        output: which of the model's outputs, by number or name.
        batch_size: copies that are made at once.

    Attributes:
        images: float32 (N, H, W, C).
        shape: of the images.

    Raises:
        ValueError, TypeError: no images (N, H, W, C), several inputs, a baseline that does not fit, "probability" of a
            function, and what `Probe` raises.
    """

    def __init__(
        self,
        op: str,
        model: Model,
        x: Any,
        target: TargetLike,
        baseline: Any,
        *,
        of: Of = "score",
        output: int | str = 0,
        batch_size: int = BATCH_SIZE,
    ):
        if of not in ("score", "probability"):
            raise ValueError(f"{op}: of must be 'score' or 'probability', got {of!r}")
        self._probe = Probe(model, x, op=op, output=output, batch_size=batch_size)
        self._op, self._of, self._batch_size = op, of, int(batch_size)
        if len(self._probe.xs) > 1:
            raise ValueError(f"{op}: expected a model with one input of images, got {len(self._probe.xs)} inputs")
        self.images = self._probe.xs[0]
        if self.images.ndim != 4:
            raise ValueError(f"{op}: x must be images (N,H,W,C), got shape {self.images.shape}")
        self.shape = self.images.shape
        self._baseline = _broadcast(op, baseline, self.shape)
        self._target = self._probe.target(target)
        if of == "probability" and not isinstance(self._target, Target):
            raise ValueError(f"{op}: a function is a target for scores; take of='score' with it")
        self._rules = [self._rule(i) for i in range(len(self.images))]

    def batches(self, i: int, count: int, masks: Masks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Masks (n, H, W) and values float64 (n,) of all copies of one image, in batches.

        Args:
            i: which image.
            count: how many copies.
            masks: what is kept in the copies that a slice of range(count) selects.
        """
        image, baseline = self.images[i], self._baseline[i]
        for begin in range(0, count, self._batch_size):
            kept = masks(slice(begin, min(begin + self._batch_size, count)))
            share = kept.astype(np.float32)[..., None]
            yield kept, self._values(i, share * image + (1 - share) * baseline)

    def values(self, i: int, count: int, masks: Masks) -> np.ndarray:
        """float64 (count,): of all copies of one image; see `batches`."""
        return np.concatenate([values for _, values in self.batches(i, count, masks)])

    def value(self, i: int) -> float:
        """Of an image of which nothing is hidden."""
        return float(self._values(i, self.images[i : i + 1])[0])

    def _rule(self, i: int) -> Rule:
        scores, target = self._scores(self.images[i : i + 1]), self._target
        if not isinstance(target, Target):
            return lambda found: applied(self._op, target, found)
        weights = target.weights(scores, slice(i, i + 1)).astype(np.float64)
        if self._of == "score":
            return lambda found: found * weights
        return lambda found: probabilities(found.astype(np.float64), weights, self._probe.seen_through)

    def _scores(self, copies: np.ndarray) -> np.ndarray:
        scores = self._probe.scores([copies])
        if not np.isfinite(scores).all():
            raise ValueError(
                f"{self._op}: {self._probe.model.name} gives scores that are not finite; they cannot be explained"
            )
        return scores

    def _values(self, i: int, copies: np.ndarray) -> np.ndarray:
        return self._rules[i](self._scores(copies)).reshape(len(copies), -1).sum(1, dtype=np.float64)


def applied(op: str, function: Callable[[Any], Any], scores: np.ndarray) -> np.ndarray:
    """What a target that is a function makes of scores (n, ...): (n, ...)."""
    found = np.asarray(function(scores))
    if found.dtype.kind != "f":
        raise TypeError(
            f"{op}: a target that is a function takes the scores {scores.shape} and gives what cnnfast.ops make of "
            f"them, got {found.dtype} {found.shape}"
        )
    if found.ndim == 0 or len(found) != len(scores):
        raise ValueError(
            f"{op}: a target that is a function must keep the samples apart: of scores {scores.shape} it made "
            f"{found.shape}"
        )
    return found


def probabilities(scores: np.ndarray, weights: np.ndarray, seen_through: str | None) -> np.ndarray:
    """What the model's end makes of scores (n, ..., K), times the weights.

    A weight below 0 of a single score, K = 1, is for class 0.

    Args:
        scores: float64.
        weights: float64 of the scores' shape, or of one sample.
        seen_through: see `Probe`.
    """
    if scores.shape[-1] == 1:
        return np.abs(weights) * _sigmoid(np.sign(weights) * scores)
    if seen_through == "sigmoid":
        return weights * _sigmoid(scores)
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return weights * raised / raised.sum(-1, keepdims=True)


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -scores))  # exact also where it is nearly 0


def _broadcast(op: str, baseline: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(baseline)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{op}: baseline must be numbers, got {baseline!r}")
    if not np.isfinite(array).all():
        raise ValueError(f"{op}: baseline must be finite numbers, got {baseline!r}")
    try:
        return np.broadcast_to(array.astype(np.float32), shape)
    except ValueError:
        raise ValueError(
            f"{op}: baseline must be a number, (C,), (H,W,C) or (N,H,W,C) for images {shape}, got shape {array.shape}"
        ) from None
