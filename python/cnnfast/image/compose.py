"""Transforms made of transforms: one after the other, with a probability, one of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.configurable import describe, restore
from cnnfast.image.arguments import probability
from cnnfast.image.transform import TRANSFORMS, Transform
from cnnfast.image.work import Work


class _Group(Transform):
    """What holds other transforms."""

    def __init__(self, transforms: Transform | Sequence[Transform]):
        op = type(self).__name__
        found = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for transform in found:
            if not isinstance(transform, Transform):
                raise TypeError(f"{op}: expected transforms, came {transform!r}")
        if not found:
            raise ValueError(f"{op}: expected at least one transform, came none")
        self.transforms = found

    def prepare(self, work: Work) -> None:
        for transform in self.transforms:
            transform.prepare(work)

    def plain_labels(self, labels: Any) -> Any:
        for transform in self.transforms:
            labels = transform.plain_labels(labels)
        return labels

    def get_config(self) -> dict[str, Any]:
        parts = [describe(TRANSFORMS, transform) for transform in self.transforms]
        return {**super().get_config(), "transforms": parts}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        parts = config.get("transforms")
        if not isinstance(parts, list):
            raise ValueError(f"{cls.__name__}: transforms must be a list of descriptions, came {parts!r}")
        return cls(**{**config, "transforms": [restore(TRANSFORMS, part) for part in parts]})


@TRANSFORMS.add
class Compose(_Group):
    """One transform after the other; neighbours that only move pixels are done in one warp.

    Moves compose as if the image went on beyond its edges as `fill_mode` says: what a crop cuts off is still
    there for a rotation behind it, if that has "reflect" or "nearest"; not for "constant" and "wrap", nor for padding.

    Args:
        transforms: a list of transforms, in order.

    Example:
        >>> from cnnfast.image import transforms
        >>> augment = transforms.Compose([transforms.RandomFlip(), transforms.RandomRotation(15)])
        >>> images = np.zeros((2, 8, 8, 3), np.uint8)
        >>> augment(images, seed=1, epoch=0, samples=[7, 4]).images.shape
        (2, 8, 8, 3)
    """

    def apply(self, work: Work, which: np.ndarray) -> None:
        for transform in self.transforms:
            transform.apply(work, which)


@TRANSFORMS.add
class RandomApply(_Group):
    """Its transforms, one after the other, with probability `p`, and nothing else; drawn for each image.

    Args:
        transforms: a transform or a list of them; they must keep the size of images.
        p: probability, 0.5 by default.
    """

    def __init__(self, transforms: Transform | Sequence[Transform], p: float = 0.5):
        super().__init__(transforms)
        self.p = probability("RandomApply", "p", p)

    def apply(self, work: Work, which: np.ndarray) -> None:
        chosen = which[work.draw(which, 1)[:, 0] < self.p]
        for transform in self.transforms:
            if len(chosen):
                transform.apply(work, chosen)


@TRANSFORMS.add
class OneOf(_Group):
    """One of its transforms, drawn for each image.

    Args:
        transforms: a list of transforms that keep the size of images; `Compose` makes several into one.
        weights: how often each of them is drawn, compared with the others; equally often by default.

    Example:
        >>> from cnnfast.image import transforms
        >>> mix = transforms.OneOf([transforms.MixUp(10), transforms.CutMix(10)])
    """

    def __init__(self, transforms: Sequence[Transform], weights: Sequence[float] | None = None):
        super().__init__(transforms)
        self.weights = None if weights is None else [float(weight) for weight in weights]
        if self.weights is None:
            return
        if len(self.weights) != len(self.transforms):
            raise ValueError(f"OneOf: expected {len(self.transforms)} weights, came {len(self.weights)}")
        if not all(0.0 <= weight < np.inf for weight in self.weights) or sum(self.weights) == 0.0:
            raise ValueError(f"OneOf: weights must be finite, at least 0, and not all 0, came {self.weights}")

    def apply(self, work: Work, which: np.ndarray) -> None:
        weights = np.ones(len(self.transforms)) if self.weights is None else np.array(self.weights)
        limits = np.cumsum(weights) / weights.sum()
        choice = np.searchsorted(limits[:-1], work.draw(which, 1)[:, 0], side="right")
        for number, transform in enumerate(self.transforms):
            chosen = which[choice == number]
            if len(chosen):
                transform.apply(work, chosen)
