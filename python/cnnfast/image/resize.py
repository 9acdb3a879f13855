"""`smart_resize`: images of another size without distortion, as Keras resizes arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnfast.image.arrays import channels_first
from cnnfast.image.decode import size_of


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - abs(x))


def _keys(x: np.ndarray) -> np.ndarray:
    """R. Keys, "Cubic Convolution Interpolation for Digital Image Processing" (1981), eq. 15: a = -1/2."""
    x = abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(radius: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


#: how far a kernel reaches, in pixels, and its values
_KERNELS = {
    "bilinear": (1, _triangle),
    "bicubic": (2, _keys),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
}


def smart_resize(
    x: Any, size: Sequence[int], interpolation: str = "bilinear", data_format: str = "channels_last"
) -> np.ndarray:
    """The largest part in the middle of an image that has the aspect ratio of `size`, resized to it.

    As in Keras, pixels are interpolated between the nearest ones and not averaged where the image is made much
    smaller; `read_image` does that.

    Args:
        x: an image (H, W, C) or images (N, H, W, C); with "channels_first" (C, H, W) or (N, C, H, W).
        size: (rows, columns) of the result.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        data_format: "channels_last" or "channels_first".

    Returns:
        float32 in the layout of `x`; with "nearest" of the type of `x`.

    Raises:
        TypeError, ValueError: another shape, size or name.

    Example:
        >>> smart_resize(np.arange(12.0).reshape(2, 6, 1), (1, 1)).ravel()
        array([5.5], dtype=float32)
    """
    rows, columns = size_of("smart_resize", "size", size)
    images = np.asarray(x)
    if images.ndim not in (3, 4) or images.size == 0:
        raise ValueError(f"smart_resize: expected an image (H,W,C) or images (N,H,W,C), got {images.shape}")
    if interpolation not in (*_KERNELS, "nearest"):
        raise ValueError(
            f"smart_resize: interpolation must be 'nearest' or one of {', '.join(_KERNELS)}, got {interpolation!r}"
        )
    first = channels_first("smart_resize", data_format)
    images = np.moveaxis(images, -3, -1) if first else images
    height, width = images.shape[-3:-1]
    crop_height = max(min(height, int(width * rows / columns)), 1)
    crop_width = max(min(width, int(height * columns / rows)), 1)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    images = images[..., top : top + crop_height, left : left + crop_width, :]
    resized = _resized(_resized(images, -3, rows, interpolation), -2, columns, interpolation)
    return np.moveaxis(resized, -1, -3) if first else resized


def _resized(images: np.ndarray, axis: int, size: int, interpolation: str) -> np.ndarray:
    """Images whose rows (axis -3) or columns (axis -2) are resampled to another number of them."""
    count = images.shape[axis]
    centers = (np.arange(size) + 0.5) * (count / size)  # pixel i covers i to i + 1
    if interpolation == "nearest":
        return images.take(np.minimum(centers.astype(int), count - 1), axis)
    reach, kernel = _KERNELS[interpolation]
    taps = np.floor(centers - 0.5).astype(int)[:, None] + np.arange(1 - reach, 1 + reach)
    weights = kernel(taps + 0.5 - centers[:, None])
    if interpolation == "bilinear":
        taps = taps.clip(0, count - 1)  # the border is repeated
    inside = (taps >= 0) & (taps < count)
    weights = np.where(inside, weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((size, count), np.float32)
    np.add.at(matrix, (np.arange(size)[:, None], taps.clip(0, count - 1)), weights)
    return np.moveaxis(np.tensordot(matrix, images.astype(np.float32), (1, axis % images.ndim)), 0, axis)
