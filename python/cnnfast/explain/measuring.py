"""What all measures of explanations share: one number per image from the model, maps in one form, orders of pixels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from cnnfast.explain.maps import ExplanationWarning
from cnnfast.explain.perturbation import probabilities
from cnnfast.explain.probe import BATCH_SIZE, Probe
from cnnfast.explain.targets import Target, TargetLike, predicted_classes
from cnnfast.models.model import Model
from cnnfast.random import check_seed

#: An explanation: of a model, images and a target to (N, H, W) or (N, H, W, C).
Method = Callable[[Model, Any, Any], np.ndarray]


class Meter:
    """The model's probability or score of a target, for changed versions of some images.

    A target that depends on the scores, as the predicted class does, is that of the unchanged images throughout.

    Args:
        model, x, target, op, output, batch_size: as for `Probe`; x is images.
        of: "probability" (softmax of the scores, sigmoid of a single one or where the model has it) or "score".

    Attributes:
        images: float32 (N, H, W, C).

    Raises:
        ValueError: no images, a target that is a function, an unknown `of`.
    """

    def __init__(
        self,
        model: Model,
        x: Any,
        target: TargetLike,
        *,
        op: str,
        of: str,
        output: int | str = 0,
        batch_size: int = BATCH_SIZE,
    ):
        if of not in ("probability", "score"):
            raise ValueError(f"{op}: of must be 'probability' or 'score', got {of!r}")
        self._probe = Probe(model, x, op=op, output=output, batch_size=batch_size)
        self._of, self._batch_size = of, int(batch_size)
        self.images = images_of(self._probe)
        found = self._probe.target(target)
        if not isinstance(found, Target):
            raise ValueError(f"{op}: a target that is a function cannot be measured; take classes or a Target")
        self._weights = found.weights(self._probe.scores(), slice(0, self._probe.count))

    def __call__(self, changed: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """float64 (n,): the numbers of changed images (n, H, W, C) that are versions of `samples` (n,)."""
        scores = self._probe.scores([np.ascontiguousarray(changed, np.float32)]).astype(np.float64)
        weights = self._weights[samples].astype(np.float64)
        score = self._of == "score"
        terms = scores * weights if score else probabilities(scores, weights, self._probe.seen_through)
        return terms.reshape(len(scores), -1).sum(1)

    def all_of(self, versions: int, changed: Callable[[int], Iterable[np.ndarray]]) -> np.ndarray:
        """float64 (N, versions): the numbers of all versions of all images, no more than a batch of them in memory.

        Args:
            versions: of each image.
            changed: from a sample's number to its versions (H, W, C), one after the other.
        """
        count = self._probe.count
        stream = (image for sample in range(count) for image in changed(sample))
        parts, begin = [], 0
        for chunk in _chunks(stream, self._batch_size):
            parts.append(self(chunk, np.arange(begin, begin + len(chunk)) // versions))
            begin += len(chunk)
        return np.concatenate(parts).reshape(count, versions)


def images_of(probe: Probe) -> np.ndarray:
    """The model's only input, (N, H, W, C). ValueError if there are others, or if it is no images."""
    if len(probe.xs) != 1 or probe.xs[0].ndim != 4:
        shapes = [a.shape for a in probe.xs]
        raise ValueError(f"{probe.op}: needs a model with images (N,H,W,C) as its only input, the shapes are {shapes}")
    return probe.xs[0]


def settled(op: str, model: Model, x: Any, target: TargetLike, output: int | str = 0) -> TargetLike:
    """`target`, or instead of None the classes that are predicted for x, which changed images may not change."""
    if target is not None:
        return target
    scores = Probe(model, x, op=op, output=output).scores()
    if scores.ndim != 2:
        raise ValueError(f"{op}: scores {scores.shape} have no predicted class; give a target, as explain.region")
    return predicted_classes(scores)


def quietly(method: Method, model: Model, x: Any, target: TargetLike) -> np.ndarray:
    """Explanations of changed images or models, of which it is no news that some find nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExplanationWarning)
        return method(model, x, target)


def flat_maps(op: str, maps: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Explanations as float64 (N, H, W): of (N, H, W, C) the sum over channels of the absolute values.

    Args:
        op: for messages.
        maps: the explanations.
        shape: of the images that they must fit, (N, H, W, C).

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    array = np.asarray(maps, np.float64)
    if array.ndim not in (3, 4) or array.size == 0:
        raise ValueError(f"{op}: maps must be (N,H,W) or (N,H,W,C), got {array.shape}")
    if shape is not None and array.shape[:3] != shape[:3]:
        raise ValueError(f"{op}: images {shape} need maps {shape[:3]}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{op}: the maps have values that are not finite")
    return np.abs(array).sum(3) if array.ndim == 4 else array


def stream_of(op: str, seed: int, sample: int) -> np.random.Generator:
    """Random numbers of a sample, which do not depend on the samples around it."""
    return np.random.default_rng([check_seed(op, seed, 2**64), sample])


def ascending(map_: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions (H*W,) of a map (H, W), the least relevant first; those of equal value in random order.

    Maps are often 0 in large parts. Taken in reading order these would be removed from top to bottom, and that would
    be measured too.
    """
    flat = map_.reshape(-1)
    return np.lexsort((rng.random(flat.size), flat))


def _chunks(images: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    held: list[np.ndarray] = []
    for image in images:
        held.append(image)
        if len(held) == size:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)
