"""KernelSHAP: Shapley values of an image's segments, from a weighted linear fit."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from cnnfast.explain.perturbation import HiddenCopies, Of
from cnnfast.explain.probe import BATCH_SIZE
from cnnfast.explain.superpixels import masks_of, segments_of
from cnnfast.explain.targets import TargetLike
from cnnfast.models.model import Model
from cnnfast.random import check_seed
from cnnfast.training.sources import whole_number


def kernel_shap(
    model: Model,
    x: Any,
    target: TargetLike = None,
    segments: Any = None,
    samples: int = 1000,
    seed: int = 0,
    *,
    of: Of = "score",
    baseline: Any = 0,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """KernelSHAP: what each segment adds to the score on average over all orders in which segments can be shown.

    Over all segments these Shapley values sum up to f(image) - f(baseline), exactly. With samples for all 2^segments
    choices of segments they are exact themselves. Otherwise those of the smallest and the largest choices that count
    most are all taken, and of the rest as many as are left are drawn at random, each with its complement.

    Args:
        model: any model with one input.
        x: images (N, H, W, C) as the model takes them.
        target: see `gradcam`; the default class is that of the whole image.
        segments: about how many superpixels (`superpixels` makes them), default 50; or labels, whole numbers (N, H, W)
            or (H, W), of a segmentation of one's own.
        samples: copies of each image, at least 2. Less than two for each segment leave values undetermined; they are
            then made as equal as possible.
        seed: of what is drawn; images with as many segments see the same.
        of: "score" before a final softmax or sigmoid, or "probability" after it.
        baseline: what hidden pixels become: a number, (C,), an image (H, W, C) or one for each (N, H, W, C).
        output: which output of a model with several, by number or name.
        batch_size: copies of an image run at once.

    Returns:
        float32 (N, H, W), in units of the score: each pixel has the value of its segment.

    Raises:
        ValueError: numbers out of range, segments or a baseline of a wrong shape, a class that is not there, several
            inputs.
        TypeError: no model, no numbers.

    Source: Lundberg and Lee, "A unified approach to interpreting model predictions" (2017), theorem 2; pairs of
    complements: Covert and Lee, "Improving KernelSHAP" (2021), on paired sampling.

    Example:
        >>> values = kernel_shap(convnet, images, target=1, segments=9, samples=100)
        >>> values.shape
        (4, 16, 16)
    """
    count = whole_number("kernel_shap", "samples", samples, 2)
    start = check_seed("kernel_shap", seed)
    copies = HiddenCopies("kernel_shap", model, x, target, baseline, of=of, output=output, batch_size=batch_size)
    maps = np.empty(copies.shape[:3], np.float32)
    for i, labels in enumerate(segments_of("kernel_shap", copies.images, segments)):
        shown, counts = coalitions(labels.max() + 1, count, start)
        values = copies.values(i, len(shown), masks_of(shown, labels))
        maps[i] = fitted(shown[2:], values[2:], counts, values[0], values[1])[labels]
    return maps


def coalitions(segments: int, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which segments to show: none, all, then choices among them.

    Args:
        segments: how many there are.
        samples: how many rows at most.
        seed: of what is drawn.

    Returns:
        float64 (rows, segments), 1 for what is shown; float64 (rows - 2,), how much each choice but the first two
        counts. Of all choices of a size these weights sum up to a multiple of 1 / (size * (segments - size)), which is
        Shapley's kernel times their number.
    """
    parts, counts = [np.zeros((1, segments)), np.ones((1, segments))], [np.zeros(0)]
    left = samples - 2
    sizes = list(range(1, segments // 2 + 1))
    weights = [_weight(segments, size) for size in sizes]
    # A size is taken whole if as many draws by weight would go to it as there are choices.
    while sizes and _number(segments, sizes[0]) * sum(weights) <= left * weights[0]:
        size, weight = sizes.pop(0), weights.pop(0)
        chosen = np.array(list(combinations(range(segments), size)))
        rows = np.zeros((len(chosen), segments))
        np.put_along_axis(rows, chosen, 1, axis=1)
        found = [rows] if 2 * size == segments else [rows, 1 - rows]
        parts += found
        number = len(found) * len(rows)
        counts.append(np.full(number, weight / number))
        left -= number
    if sizes and left >= 2:
        rows = _drawn(segments, np.array(sizes), np.array(weights) / sum(weights), left // 2, seed)
        parts += [rows, 1 - rows]
        counts.append(np.full(2 * len(rows), sum(weights) / (2 * len(rows))))
    return np.concatenate(parts), np.concatenate(counts)


def _number(segments: int, size: int) -> int:
    """Of choices of this size or of its complement's."""
    return comb(segments, size) * (1 if 2 * size == segments else 2)


def _weight(segments: int, size: int) -> float:
    """Of all of them together."""
    return (1 if 2 * size == segments else 2) / (size * (segments - size))


def _drawn(segments: int, sizes: np.ndarray, shares: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(count, segments): choices of the sizes with the probabilities `shares`."""
    generator = np.random.default_rng(seed)
    wanted = generator.choice(sizes, count, p=shares)
    ranks = generator.random((count, segments)).argsort(1).argsort(1)
    return (ranks < wanted[:, None]).astype(np.float64)


def fitted(shown: np.ndarray, values: np.ndarray, counts: np.ndarray, empty: float, full: float) -> np.ndarray:
    """Shapley values (segments,): the weighted linear fit to `values` that is exact where none and all are shown.

    The values are their mean, (full - empty) / segments, and deviations from it that sum to 0. Only the deviations are
    fitted: to rows without their own means, whose shortest solution sums to 0 of itself.
    """
    segments = shown.shape[1]
    mean = (full - empty) / segments
    root = np.sqrt(counts)
    rows = root[:, None] * (shown - shown.mean(1, keepdims=True))
    right = root * (values - empty - shown.sum(1) * mean)
    return mean + np.linalg.lstsq(rows, right, rcond=None)[0]
