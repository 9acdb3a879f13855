"""Insertion and deletion: does a model's answer come and go with the pixels that an explanation points to?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cnnfast.explain.measuring import Meter, ascending, flat_maps, stream_of
from cnnfast.explain.probe import BATCH_SIZE, whole_number
from cnnfast.explain.targets import TargetLike
from cnnfast.models.model import Model

_BLUR_RADIUS, _BLUR_SIGMA = 5, 5.0  # of the paper's kernel of 11x11 pixels


class Curve(NamedTuple):
    """How a model's answer changes while pixels come or go.

    Attributes:
        curve: float64 (N, steps + 1), the probability or score with 0/steps to steps/steps of the pixels changed.
        area: float64 (N,), under the curve, over shares from 0 to 1 (trapezoidal rule).
    """

    curve: np.ndarray
    area: np.ndarray


def insertion(
    model: Model,
    x: Any,
    maps: Any,
    target: TargetLike = None,
    *,
    steps: int = 50,
    baseline: Any = "blur",
    of: str = "probability",
    seed: int = 0,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Curve:
    """The insertion game: pixels are put into a blurred image, the most relevant first.

    The answer of a good explanation rises early: its area is large.

    Args:
        model: any model with images as its only input.
        x: images (N, H, W, C) as the model takes them.
        maps: their explanations, (N, H, W) or (N, H, W, C); of the latter the absolute values are summed.
        target: as for `gradcam`, but no function. The predicted class is that of the whole images.
        steps: into how many steps the H*W pixels are divided.
        baseline: what is there before: "blur" (11x11 Gaussian, sigma 5), "mean" (each image's mean colour), a number,
            or an array that fits x.
        of: "probability" or "score" (before a final softmax or sigmoid).
        seed: decides the order of pixels of equal relevance.
        output: which output of a model with several.
        batch_size: images run at once.

    Returns:
        `Curve`: (N, steps + 1) and its area (N,).

    Raises:
        ValueError: maps that do not fit the images, a target that does not fit the model, wrong settings.

    Source: Petsiuk et al., "RISE: randomized input sampling for explanation of black-box models" (2018), section 4.2.

    Example:
        >>> maps = cnnfast.explain.gradcam(convnet, images, target=1)
        >>> insertion(convnet, images, maps, target=1, steps=8).curve.shape
        (4, 9)
    """
    meter = Meter(model, x, target, op="insertion", of=of, output=output, batch_size=batch_size)
    start = backdrop("insertion", meter.images, baseline)
    return _played("insertion", meter, start, meter.images, maps, steps, seed)


def deletion(
    model: Model,
    x: Any,
    maps: Any,
    target: TargetLike = None,
    *,
    steps: int = 50,
    baseline: Any = "mean",
    of: str = "probability",
    seed: int = 0,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Curve:
    """The deletion game: pixels are taken out of an image, the most relevant first.

    The answer of a good explanation falls early: its area is small. Pixels are painted in the image's mean colour, as
    the paper does it in its normalized images with 0.

    Args:
        model, x, maps, target, steps, baseline, of, seed, output, batch_size: as for `insertion`.

    Returns:
        `Curve`: (N, steps + 1) and its area (N,).

    Raises:
        ValueError: as `insertion`.

    Source: Petsiuk et al. (2018), section 4.2.

    Example:
        >>> maps = cnnfast.explain.gradcam(convnet, images, target=1)
        >>> deletion(convnet, images, maps, target=1, steps=8).area.shape
        (4,)
    """
    meter = Meter(model, x, target, op="deletion", of=of, output=output, batch_size=batch_size)
    end = backdrop("deletion", meter.images, baseline)
    return _played("deletion", meter, meter.images, end, maps, steps, seed)


def backdrop(op: str, images: np.ndarray, baseline: Any) -> np.ndarray:
    """What stands where pixels are absent: float32 (N, H, W, C), see `insertion`."""
    if isinstance(baseline, str):
        if baseline == "blur":
            return blurred(images)
        if baseline == "mean":
            return np.broadcast_to(images.mean((1, 2), keepdims=True, dtype=np.float64), images.shape).astype("f4")
        raise ValueError(f"{op}: baseline must be 'blur', 'mean', a number or an array, got {baseline!r}")
    array = np.asarray(baseline, np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{op}: baseline has values that are not finite")
    try:
        return np.broadcast_to(array, images.shape)
    except ValueError:
        raise ValueError(f"{op}: images {images.shape} need a baseline that fits, got shape {array.shape}") from None


def blurred(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) through the paper's Gaussian of 11x11 pixels; the border is continued."""
    rows, columns = (_blur_weights(size) for size in images.shape[1:3])
    return np.einsum("ph,nhwc,qw->npqc", rows, images, columns, optimize=True).astype(np.float32)


def _blur_weights(size: int) -> np.ndarray:
    """(size, size): what each position counts for each blurred one."""
    offsets = np.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1)
    kernel = np.exp(-0.5 * (offsets / _BLUR_SIGMA) ** 2)
    weights = np.zeros((size, size))
    for offset, share in zip(offsets, kernel / kernel.sum(), strict=True):
        np.add.at(weights, (np.arange(size), np.clip(np.arange(size) + offset, 0, size - 1)), share)
    return weights


def _played(op: str, meter: Meter, start: np.ndarray, end: np.ndarray, maps: Any, steps: int, seed: int) -> Curve:
    """From `start` to `end`, the most relevant pixels first."""
    relevance = flat_maps(op, maps, meter.images.shape)
    steps = whole_number(op, "steps", steps)
    size = relevance[0].size
    if steps > size:
        raise ValueError(f"{op}: {size} pixels cannot be divided into {steps} steps")
    bounds = np.rint(np.linspace(0, size, steps + 1)).astype(int)

    def versions(sample: int) -> Iterator[np.ndarray]:
        order = ascending(relevance[sample], stream_of(op, seed, sample))[::-1]
        image = start[sample].copy()
        pixels, wanted = image.reshape(size, -1), end[sample].reshape(size, -1)
        yield image.copy()
        for low, high in pairwise(bounds):
            pixels[order[low:high]] = wanted[order[low:high]]
            yield image.copy()

    curve = meter.all_of(steps + 1, versions)
    return Curve(curve, (curve[:, 1:] + curve[:, :-1]).mean(1) / 2)
