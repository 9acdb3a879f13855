"""Transforms that mix images, and their labels, within a batch.

Who is mixed with whom: every image draws a number from its own stream; in the order of these numbers each image takes
its successor, the last one the first. So nobody is left over, nobody meets itself (unless it is alone), everybody
serves once, and the order of the batch does not matter; its composition does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnfast import checks
from cnnfast.image.arguments import number, probability
from cnnfast.image.transform import TRANSFORMS, Transform
from cnnfast.image.work import Work


class _Mixing(Transform):
    """What mixes images with those of `partners`, and labels alike."""

    def __init__(self, num_classes: int | None, alpha: float, p: float):
        op = type(self).__name__
        if num_classes is not None and num_classes != int(number(op, "num_classes", num_classes, 1)):
            raise ValueError(f"{op}: num_classes must be a whole number, came {num_classes!r}")
        self.num_classes = None if num_classes is None else int(num_classes)
        self.alpha = number(op, "alpha", alpha, 1e-3)
        self.p = probability(op, "p", p)

    def prepare(self, work: Work) -> None:
        op = type(self).__name__
        if work.corners is not None or work.keypoints is not None:
            raise ValueError(f"{op}: mixes images with their labels, and cannot mix boxes or keypoints")
        if work.labels is None:
            raise ValueError(f"{op}: labels are needed, they are mixed as the images are")
        work.labels = soft_labels(op, work.labels, self.num_classes)

    def plain_labels(self, labels: Any) -> Any:
        return soft_labels(type(self).__name__, labels, self.num_classes)

    def apply(self, work: Work, which: np.ndarray) -> None:
        u = work.draw(which, 2)
        shares = np.array([work.rng(i).beta(self.alpha, self.alpha) for i in which])
        order = np.argsort(u[:, 0], kind="stable")
        partners = np.empty_like(which)
        partners[order] = which[np.roll(order, -1)]
        mixed = u[:, 1] < self.p
        if mixed.any():
            kept = self._mix(work, which[mixed], partners[mixed], shares[mixed])
            assert work.labels is not None
            kept = kept.reshape(-1, *[1] * (work.labels.ndim - 1)).astype(np.float32)
            labels = work.labels.copy()
            labels[which[mixed]] = kept * work.labels[which[mixed]] + (1 - kept) * work.labels[partners[mixed]]
            work.labels = labels

    def _mix(self, work: Work, which: np.ndarray, partners: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Mixes images; the shares of their own that they really keep."""
        raise NotImplementedError


def soft_labels(op: str, labels: Any, num_classes: int | None) -> np.ndarray:
    """Labels as float32 shares of classes, (N, K); (N,) or (N, 1) as it came if there is but one, a probability.

    Args:
        op: for messages.
        labels: (N, K); or class numbers (N,) or (N, 1).
        num_classes: K; None only for labels that have it; 1 for labels from 0 to 1.
    """
    array = checks.numbers(op, "labels", labels)
    if array.ndim == 2 and array.shape[1] > 1:
        if num_classes not in (None, array.shape[1]):
            raise ValueError(f"{op}: labels must be (N, {num_classes}), came {array.shape}")
        return array.astype(np.float32)
    if array.ndim > 2:
        raise ValueError(f"{op}: labels must be (N,), (N, 1) or (N, K), came {array.shape}")
    if num_classes is None:
        raise ValueError(
            f"{op}: labels {array.shape} are class numbers, so num_classes is needed (1 for probabilities from 0 to 1)"
        )
    if num_classes == 1:
        if array.min() < 0 or array.max() > 1:
            raise ValueError(f"{op}: with num_classes=1 labels must lie in 0 to 1, came {array.min()} to {array.max()}")
        return array.astype(np.float32)
    whole = checks.classes(op, "labels", array.reshape(-1), num_classes)
    return np.eye(num_classes, dtype=np.float32)[whole]


@TRANSFORMS.add
class MixUp(_Mixing):
    """share * image + (1 - share) * another one, share ~ Beta(alpha, alpha); labels alike (Zhang et al. 2018).

    Labels become float32 (N, num_classes), for a loss such as "categorical_crossentropy".

    Args:
        num_classes: number of classes; not needed for one-hot labels; 1 for labels from 0 to 1, as
            "binary_crossentropy" takes them, which keep their shape.
        alpha: 0.2 by default; large values mix half and half.
        p: probability, 1 by default.

    Example:
        >>> from cnnfast.image import transforms
        >>> mix = transforms.MixUp(num_classes=3)
        >>> images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 2, 1, 1])
        >>> mix(images, labels=labels, seed=5).labels.sum(axis=1)
        array([1., 1., 1., 1.], dtype=float32)
    """

    def __init__(self, num_classes: int | None = None, alpha: float = 0.2, p: float = 1.0):
        super().__init__(num_classes, alpha, p)

    def prepare(self, work: Work) -> None:
        super().prepare(work)
        if work.has_masks:
            raise ValueError("MixUp: masks cannot be mixed; CutMix can")

    def _mix(self, work: Work, which: np.ndarray, partners: np.ndarray, shares: np.ndarray) -> np.ndarray:
        before = work.images()
        after = before.copy()
        for i, other, share in zip(which, partners, shares.astype(np.float32), strict=True):
            mixed = before[i] * share
            mixed += before[other] * (np.float32(1) - share)
            after[i] = mixed if work.is_float else np.rint(mixed, out=mixed)
        work.replace(after, None)
        return shares


@TRANSFORMS.add
class CutMix(_Mixing):
    """Pastes a rectangle of another image, at its place; labels are mixed by area (Yun et al. 2019).

    The rectangle has the proportions of the image and 1 - share of its area, share ~ Beta(alpha, alpha); its centre
    lies anywhere, and what sticks out is cut off and not counted. Masks are pasted with it. Labels: see `MixUp`.

    Args:
        num_classes: number of classes; not needed for one-hot labels; 1 for labels from 0 to 1.
        alpha: 1 by default.
        p: probability, 1 by default.
    """

    def __init__(self, num_classes: int | None = None, alpha: float = 1.0, p: float = 1.0):
        super().__init__(num_classes, alpha, p)

    def _mix(self, work: Work, which: np.ndarray, partners: np.ndarray, shares: np.ndarray) -> np.ndarray:
        before, masks = work.images(), work.masks()
        after = before.copy()
        masks_after = None if masks is None else masks.copy()
        rows, columns = work.size
        kept = np.empty(len(which))
        for k, (i, other, u) in enumerate(zip(which, partners, work.draw(which, 2), strict=True)):
            side = math.sqrt(1.0 - shares[k])
            place = _around(u[0], rows, side), _around(u[1], columns, side)
            after[i][place] = before[other][place]
            if masks is not None and masks_after is not None:
                masks_after[i][place] = masks[other][place]
            area = (place[0].stop - place[0].start) * (place[1].stop - place[1].start)
            kept[k] = 1.0 - area / (rows * columns)
        work.replace(after, masks_after)
        return kept


def _around(u: float, length: int, share: float) -> slice:
    """`share` of `length` pixels around the place `u` (0 to 1), as far as they exist."""
    cut = int(length * share)
    start = math.floor(u * length) - cut // 2
    return slice(max(start, 0), min(start + cut, length))
