"""Gradients with the noise averaged away, and how much they vary."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.explain.gradient import Channels, check_channels, shown
from cnnfast.explain.probe import BATCH_SIZE, whole_number
from cnnfast.explain.targets import TargetLike
from cnnfast.explain.variants import Explained
from cnnfast.models.model import Model


def smoothgrad(
    model: Model,
    x: Any,
    target: TargetLike = None,
    *,
    samples: int = 50,
    noise: float = 0.2,
    absolute: bool = True,
    channels: Channels = "keep",
    seed: int = 0,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Any:
    """SmoothGrad: the mean of the gradients at noisy copies of each image.

    The noise is normal with sigma = noise * (max - min) of the image, as in the paper and in tf-keras-vis; Captum's
    `NoiseTunnel(stdevs=1.0, nt_samples=5)` takes sigma itself. The mean is of signed gradients, so that what is noise
    cancels out; Captum's `NoiseTunnel(Saliency(f))` averages absolute values unless it is told `abs=False`. Memory
    does not grow with `samples`.

    Args:
        model, output: see `saliency`.
        x: images (N, H, W, C) as the model takes them, uint8 or float; a list for a model with several inputs.
        target: see `saliency`. By default the class that the image itself has, whatever its noisy copies have.
        samples: noisy copies of each image, from 1.
        noise: sigma as a share of the image's range, from 0; the paper finds 0.1 to 0.2 best.
        absolute: the mean's absolute value; False leaves the sign.
        channels: "keep", or "max" or "sum" for one map of all channels.
        seed: of the noise, from 0; the noise of an image depends on it and on the image's place in x alone.
        batch_size: noisy copies run at once.

    Returns:
        float32 (N, H, W, C), in score per unit of x; (N, H, W) where `channels` is not "keep"; a list of them if x is
        one.

    Raises:
        ValueError: numbers out of range, and as `saliency`.
        TypeError: no model, no numbers.

    Source: Smilkov et al., "SmoothGrad: removing noise by adding noise" (2017), section 2.

    Example:
        >>> smoothgrad(convnet, images, target=1, samples=4, channels="max").shape
        (4, 16, 16)
    """
    explained = Explained.of(model, x, target, op="smoothgrad", output=output, batch_size=batch_size)
    check_channels(explained.probe, channels)
    samples = whole_number("smoothgrad", "samples", samples, 1)
    means, _ = _moments(explained, samples, noise, seed)
    return shown(explained.probe, [np.abs(m) for m in means] if absolute else means, channels)


def vargrad(
    model: Model,
    x: Any,
    target: TargetLike = None,
    *,
    samples: int = 50,
    noise: float = 0.2,
    channels: Channels = "keep",
    seed: int = 0,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Any:
    """VarGrad: the variance of the gradients at noisy copies of each image. It is 0 where the model is linear.

    The copies are those of `smoothgrad`. The variance is of signed gradients, divided by their number, as of Captum's
    `NoiseTunnel(Saliency(f))` with `nt_type="vargrad"` and `abs=False`.

    Args:
        model, x, target, noise, channels, seed, output, batch_size: see `smoothgrad`.
        samples: noisy copies of each image, from 2.

    Returns:
        float32 (N, H, W, C), in squared score per unit of x; (N, H, W) where `channels` is not "keep"; a list of them
        if x is one.

    Raises:
        ValueError, TypeError: as `smoothgrad`.

    Source: Adebayo et al., "Local explanation methods for deep neural networks lack sensitivity to parameter values"
    (2018), section 2.

    Example:
        >>> vargrad(convnet, images, target=1, samples=4, channels="sum").shape
        (4, 16, 16)
    """
    explained = Explained.of(model, x, target, op="vargrad", output=output, batch_size=batch_size)
    check_channels(explained.probe, channels)
    samples = whole_number("vargrad", "samples", samples, 2)
    _, squares = _moments(explained, samples, noise, seed)
    return shown(explained.probe, [s / samples for s in squares], channels)


def _moments(explained: Explained, samples: int, noise: float, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """float64 means of the gradients and sums of their squared distances from these, for each input.

    Updated with each gradient, which loses no digits where the variance is small (Welford, 1962).
    """
    make = _noisy(explained, noise, seed)
    means = [np.zeros(a.shape) for a in explained.probe.xs]
    squares = [np.zeros(a.shape) for a in explained.probe.xs]
    for sample, variant, gradients in explained.gradients(samples, make):
        for mean, square, gradient in zip(means, squares, gradients, strict=True):
            distance = gradient - mean[sample]
            mean[sample] += distance / (variant + 1)
            square[sample] += distance * (gradient - mean[sample])
    return means, squares


def _noisy(explained: Explained, noise: float, seed: int) -> Callable[[int, int], list[np.ndarray]]:
    """Makes noisy copies, each from a stream of its own: no other sample or copy changes it."""
    op, xs = explained.probe.op, explained.probe.xs
    key = whole_number(op, "seed", seed, 0)
    if not isinstance(noise, (int, float, np.number)) or not 0 <= noise < math.inf:
        raise ValueError(f"{op}: noise must be a finite number from 0, got {noise!r}")

    def make(sample: int, variant: int) -> list[np.ndarray]:
        generator = np.random.default_rng([key, sample, variant])
        return [
            a[sample] + np.float32(noise * np.ptp(a[sample])) * generator.standard_normal(a.shape[1:], np.float32)
            for a in xs
        ]

    return make
