"""Occlusion: how much the score falls when a window of the image is hidden."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnfast.explain.perturbation import HiddenCopies, Of
from cnnfast.explain.probe import BATCH_SIZE
from cnnfast.explain.targets import TargetLike
from cnnfast.image.arguments import image_size
from cnnfast.models.model import Model

_WINDOW = 15  # rows and columns, where the images have as many


def occlusion(
    model: Model,
    x: Any,
    target: TargetLike = None,
    window: int | tuple[int, int] | None = None,
    strides: int | tuple[int, int] | None = None,
    baseline: Any = 0,
    *,
    of: Of = "score",
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Occlusion: how much the score falls when a window is hidden, averaged over the windows that cover a pixel.

    The window slides from the upper left corner. Its last step in each direction may reach beyond the image, so that
    every pixel is covered.

    Args:
        model: any model with one input.
        x: images (N, H, W, C) as the model takes them.
        target: see `gradcam`; the default class is that of the whole image.
        window: rows and columns that are hidden at once; default 15, or as many as the images have.
        strides: rows and columns between windows, at most the window; default half a window, rounded up. With 1 the map
            is finest: H * W runs of the model for each image.
        baseline: what hidden pixels become: a number, (C,), an image (H, W, C) or one for each (N, H, W, C).
        of: "score" before a final softmax or sigmoid, or "probability" after it.
        output: which output of a model with several, by number or name.
        batch_size: copies of an image run at once.

    Returns:
        float32 (N, H, W), in units of the score: above 0 where hiding hurts the class, below 0 where it helps.

    Raises:
        ValueError: a window larger than the image, strides larger than the window, a class that is not there, images or
            a baseline of a wrong size, several inputs.
        TypeError: no model, no numbers.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014), section 4.2.

    Example:
        >>> drops = occlusion(convnet, images, target=1, window=4)
        >>> drops.shape
        (4, 16, 16)
    """
    copies = HiddenCopies("occlusion", model, x, target, baseline, of=of, output=output, batch_size=batch_size)
    count, height, width, _ = copies.shape
    spans, steps = _checked(window, strides, (height, width))
    rows, columns = (_covers(*lengths) for lengths in zip((height, width), spans, steps, strict=True))

    def kept(chosen: slice) -> np.ndarray:
        row, column = np.divmod(np.arange(chosen.start, chosen.stop), len(columns))
        return 1 - rows[row, :, None] * columns[column, None, :]

    windows = np.outer(rows.sum(0), columns.sum(0))
    maps = np.empty((count, height, width), np.float32)
    for i in range(count):
        drops = copies.value(i) - copies.values(i, len(rows) * len(columns), kept)
        maps[i] = rows.T @ drops.reshape(len(rows), len(columns)) @ columns / windows
    return maps


def _checked(window: Any, strides: Any, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    usual = min(_WINDOW, size[0]), min(_WINDOW, size[1])
    spans = image_size("occlusion", "window", usual if window is None else window)
    steps = tuple(-(-n // 2) for n in spans) if strides is None else image_size("occlusion", "strides", strides)
    if spans[0] > size[0] or spans[1] > size[1]:
        raise ValueError(f"occlusion: window {spans} is larger than the images (H,W)={size}")
    if steps[0] > spans[0] or steps[1] > spans[1]:
        raise ValueError(f"occlusion: strides {steps} would leave pixels out, window is {spans}")
    return spans, (steps[0], steps[1])


def _covers(length: int, span: int, step: int) -> np.ndarray:
    """float64 (windows, length): 1 where a window covers. As many as it takes to reach the end, the last cut there."""
    starts = np.arange(-(-(length - span) // step) + 1)[:, None] * step
    place = np.arange(length)
    return ((place >= starts) & (place < starts + span)).astype(np.float64)
