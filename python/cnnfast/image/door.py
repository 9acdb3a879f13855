"""What the parts of a batch must be where they enter a transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast import random
from cnnfast.image.streams import sample_rng

_WORD = 2**64  # of the counter that epoch and sample are part of


def check_images(op: str, images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) as uint8 or float32. TypeError or ValueError for anything else."""
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise TypeError(f"{op}: images must be uint8 or floats, came {images.dtype} {images.shape}")
    if images.ndim != 4:
        raise ValueError(f"{op}: images must be (N, H, W, C) or one image (H, W, C), came shape {images.shape}")
    if 0 in images.shape:
        raise ValueError(f"{op}: images are empty, shape {images.shape}")
    return images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)


def generators(op: str, seed: Any, epoch: Any, samples: Any, count: int) -> list[np.random.Generator]:
    """The generators of `samples`, by default the first `count`."""
    seed = random.check_seed(op, seed)
    if isinstance(epoch, bool) or not isinstance(epoch, (int, np.integer)) or not 0 <= epoch < _WORD:
        raise ValueError(f"{op}: epoch must be a whole number from 0, came {epoch!r}")
    numbers = np.arange(count) if samples is None else np.asarray(samples)
    if numbers.shape != (count,) or numbers.dtype.kind not in "iu" or numbers.min() < 0:
        raise ValueError(
            f"{op}: samples must be {count} whole numbers from 0, one for each image, came {numbers.dtype} "
            f"{numbers.shape}"
        )
    return [sample_rng(seed, int(epoch), int(sample)) for sample in numbers]


def check_masks(op: str, masks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Masks (N, H, W, C) in a dtype that can be warped."""
    if masks.ndim not in (3, 4) or masks.shape[:3] != shape[:3] or masks.size == 0:
        raise ValueError(f"{op}: masks must be (N, H, W) or (N, H, W, C) for images {shape}, came {masks.shape}")
    if masks.dtype.kind not in "biuf":
        raise TypeError(f"{op}: masks must be numbers or booleans, came {masks.dtype}")
    if masks.dtype.kind in "iu" and masks.dtype.itemsize > 2 and not -(2**24) <= masks.min() <= masks.max() <= 2**24:
        raise ValueError(f"{op}: masks must lie within +-2**24, came {masks.min()} to {masks.max()}")
    working = np.uint8 if masks.dtype.kind == "b" or masks.dtype == np.uint8 else np.float32
    return (masks if masks.ndim == 4 else masks[..., None]).astype(working, copy=False)


def check_points(op: str, what: str, values: Any, count: int, numbers: int) -> list[np.ndarray]:
    """For each image an array (n, `numbers`) of finite float64."""
    if len(values) != count:
        raise ValueError(f"{op}: {what} must come for each of {count} images, came {len(values)}")
    found = []
    for i, value in enumerate(values):
        array = np.asarray(value, np.float64)
        if array.size == 0:
            array = array.reshape(0, numbers)
        if array.ndim != 2 or array.shape[1] != numbers or not np.isfinite(array).all():
            raise ValueError(f"{op}: {what} of image {i} must be finite numbers (n, {numbers}), came {array.shape}")
        if numbers == 4 and (array[:, 2:] < array[:, :2]).any():
            raise ValueError(f"{op}: boxes of image {i} must be x_min, y_min, x_max, y_max, came {array.tolist()}")
        found.append(array)
    return found


def check_box_labels(op: str, labels: Any, boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each image an array of as many labels as it has boxes."""
    found = [np.asarray(label) for label in labels]
    lengths, expected = [len(label) if label.ndim else -1 for label in found], [len(box) for box in boxes]
    if lengths != expected:
        raise ValueError(f"{op}: labels must be those of the boxes, {expected} for each image, came {lengths}")
    return found


def check_labels(op: str, labels: Any, count: int) -> np.ndarray:
    """Labels (N, ...)."""
    array = np.asarray(labels)
    if array.ndim == 0 or len(array) != count:
        raise ValueError(f"{op}: labels must come for each of {count} images, came shape {array.shape}")
    return array
