"""RISE: the average of random masks, weighted by what the model says of the image under them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnfast.explain.maps import upsampling
from cnnfast.explain.perturbation import HiddenCopies, Masks, Of
from cnnfast.explain.probe import BATCH_SIZE
from cnnfast.explain.targets import TargetLike
from cnnfast.image.arguments import number
from cnnfast.models.model import Model
from cnnfast.random import check_seed
from cnnfast.training.sources import whole_number


def rise(
    model: Model,
    x: Any,
    target: TargetLike = None,
    masks: int = 2000,
    cells: int = 7,
    probability: float = 0.5,
    seed: int = 0,
    *,
    of: Of = "probability",
    baseline: Any = 0,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """RISE: the class's probability under random masks, averaged over the masks that keep a pixel.

    sum_m f(x * m) m / (masks * probability), over smooth masks m: coarse random grids, enlarged bilinearly and shifted
    by less than a cell. All images see the same masks.

    Args:
        model: any model with one input.
        x: images (N, H, W, C) as the model takes them.
        target: see `gradcam`; the default class is that of the whole image.
        masks: number of masks, and of runs of the model for each image.
        cells: rows and columns of the grids.
        probability: of a cell to be kept, above 0 and at most 1.
        seed: of the masks.
        of: "probability" after a final softmax or sigmoid as in the paper, or "score" before it.
        baseline: what hidden pixels become: a number, (C,), an image (H, W, C) or one for each (N, H, W, C).
        output: which output of a model with several, by number or name.
        batch_size: copies of an image run at once.

    Returns:
        float32 (N, H, W): an estimate of the mean probability (or score) when the pixel is kept. What counts are the
        differences within a map; with few masks its noise is of the order of the mean value / sqrt(masks).

    Raises:
        ValueError: numbers out of range, a class that is not there, images or a baseline of a wrong size, several
            inputs.
        TypeError: no model, no numbers.

    Source: Petsiuk et al., "RISE: randomized input sampling for explanation of black-box models" (2018), eq. 6 and
    section 3.2.

    Example:
        >>> heat = rise(convnet, images, target=1, masks=50, cells=4)
        >>> heat.shape
        (4, 16, 16)
    """
    count = whole_number("rise", "masks", masks)
    sides = whole_number("rise", "cells", cells)
    share = number("rise", "probability", probability, 0.0, 1.0)
    if not share:
        raise ValueError("rise: probability must be above 0: nothing would be kept of the images")
    copies = HiddenCopies("rise", model, x, target, baseline, of=of, output=output, batch_size=batch_size)
    n, height, width, _ = copies.shape
    kept = smooth_masks(np.random.default_rng(check_seed("rise", seed)), count, sides, share, (height, width))
    maps = np.empty((n, height, width), np.float32)
    for i in range(n):
        total = sum(np.tensordot(values, shown, 1) for shown, values in copies.batches(i, count, kept))
        maps[i] = total / (count * share)
    return maps


def smooth_masks(
    generator: np.random.Generator, count: int, cells: int, probability: float, size: tuple[int, int]
) -> Masks:
    """Masks of the paper's section 3.2. Only grids and shifts are kept; masks are made when they are asked for.

    Grids become (cells + 1) cells large, cells being rounded up, so that an image shifted by up to a cell still fits.
    """
    grids = (generator.random((count, cells, cells)) < probability).astype(np.float32)
    enlarged, shifted = [], []
    for length in size:
        cell = -(-length // cells)
        enlarged.append(upsampling(cells, (cells + 1) * cell).astype(np.float32))
        shifted.append(generator.integers(cell, size=count)[:, None] + np.arange(length))

    def masks(chosen: slice) -> np.ndarray:
        rows, columns = (by[at[chosen]] for by, at in zip(enlarged, shifted, strict=True))
        return rows @ grids[chosen] @ columns.transpose(0, 2, 1)

    return masks
