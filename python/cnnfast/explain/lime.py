"""LIME: a linear model of how the score depends on which segments of the image are shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnfast.explain.perturbation import HiddenCopies, Of
from cnnfast.explain.probe import BATCH_SIZE
from cnnfast.explain.superpixels import masks_of, segments_of
from cnnfast.explain.targets import TargetLike
from cnnfast.image.arguments import number
from cnnfast.models.model import Model
from cnnfast.random import check_seed
from cnnfast.training.sources import whole_number


def lime(
    model: Model,
    x: Any,
    target: TargetLike = None,
    segments: Any = None,
    samples: int = 1000,
    kernel_width: float = 0.25,
    alpha: float = 1.0,
    seed: int = 0,
    *,
    of: Of = "score",
    baseline: Any = 0,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """LIME: the weights of segments in a linear model of the score, fitted to copies that show some of them.

    Each segment is shown or hidden by the toss of a coin; the first copy shows all. Copies near the image count most,
    exp(-d^2 / (2 kernel_width^2)) with the cosine distance d between what is shown and all. The fit is a ridge
    regression with an intercept, in float64.

    Args:
        model: any model with one input.
        x: images (N, H, W, C) as the model takes them.
        target: see `gradcam`; the default class is that of the whole image.
        segments: about how many superpixels (`superpixels` makes them), default 50; or labels, whole numbers (N, H, W)
            or (H, W), of a segmentation of one's own.
        samples: copies of each image; a few for each segment are needed.
        kernel_width: of the kernel, above 0; large values count all copies alike.
        alpha: of the ridge regression, from 0: draws the weights to 0. With 0 it is ordinary least squares.
        seed: of the tosses; images with as many segments see the same ones.
        of: "score" before a final softmax or sigmoid, or "probability" after it as in the paper.
        baseline: what hidden pixels become: a number, (C,), an image (H, W, C) or one for each (N, H, W, C).
        output: which output of a model with several, by number or name.
        batch_size: copies of an image run at once.

    Returns:
        float32 (N, H, W), in units of the score: each pixel has the weight of its segment, above 0 where the segment
        speaks for the class.

    Raises:
        ValueError: numbers out of range, segments or a baseline of a wrong shape, a class that is not there, several
            inputs.
        TypeError: no model, no numbers.

    Source: Ribeiro et al., "Why should I trust you? Explaining the predictions of any classifier" (2016), eq. 2 and
    section 3.4.

    Example:
        >>> weights = lime(convnet, images, target=1, segments=9, samples=100)
        >>> weights.shape
        (4, 16, 16)
    """
    count = whole_number("lime", "samples", samples)
    width = number("lime", "kernel_width", kernel_width, 0.0)
    if not width:
        raise ValueError("lime: kernel_width must be above 0")
    ridge = number("lime", "alpha", alpha, 0.0)
    start = check_seed("lime", seed)
    copies = HiddenCopies("lime", model, x, target, baseline, of=of, output=output, batch_size=batch_size)
    maps = np.empty(copies.shape[:3], np.float32)
    for i, labels in enumerate(segments_of("lime", copies.images, segments)):
        shown = tosses(count, labels.max() + 1, start)
        values = copies.values(i, count, masks_of(shown, labels))
        maps[i] = fitted(shown, values, nearness(shown, width), ridge)[labels]
    return maps


def tosses(count: int, segments: int, seed: int) -> np.ndarray:
    """float64 (count, segments): 1 for what is shown. All in the first row, then each with probability 1/2."""
    shown = np.random.default_rng(seed).integers(2, size=(count, segments)).astype(np.float64)
    shown[0] = 1
    return shown


def nearness(shown: np.ndarray, kernel_width: float) -> np.ndarray:
    """float64 (count,): how much each copy counts. To show nothing has the cosine distance 1."""
    distance = 1 - np.sqrt(shown.mean(1))
    return np.exp(-((distance / kernel_width) ** 2) / 2)


def fitted(shown: np.ndarray, values: np.ndarray, counts: np.ndarray, alpha: float) -> np.ndarray:
    """The slopes (segments,) of a weighted ridge regression; its intercept is not drawn to 0.

    The ridge is `segments` further rows of an ordinary least squares problem, which is solved without squaring it; of
    several solutions, which alpha 0 may leave, the shortest is taken.
    """
    centred = shown - np.average(shown, axis=0, weights=counts)
    root = np.sqrt(counts)
    rows = np.vstack([root[:, None] * centred, np.sqrt(alpha) * np.eye(shown.shape[1])])
    right = np.concatenate([root * (values - np.average(values, weights=counts)), np.zeros(shown.shape[1])])
    return np.linalg.lstsq(rows, right, rcond=None)[0]
