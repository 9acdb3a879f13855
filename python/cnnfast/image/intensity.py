"""Keras' random changes of intensity: channel shift and brightness."""

from __future__ import annotations

import numpy as np

from cnnfast.image.parameters import KERAS

_IMAGE = (1, 2, 3)  # the axes of an image in a batch
# whole numbers come out of the affine transform by so much too small at most: it computes in single precision
_ROUNDING = 256 * 9 * 2.0**-24


def shift_channels(images: np.ndarray, intensities: np.ndarray) -> None:
    """Adds a number to each image, in place, and cuts off what leaves the range that the image had.

    Args:
        images: (N, H, W, C) float32.
        intensities: (N,).
    """
    low, high = images.min(_IMAGE, keepdims=True), images.max(_IMAGE, keepdims=True)
    images += intensities.astype(np.float32)[:, None, None, None]
    np.clip(images, low, high, out=images)


def brighten(images: np.ndarray, factors: np.ndarray, compat: str) -> None:
    """Multiplies each image by a factor, in place; of four channels the last, transparency, stays.

    - "fixed": 0 stays 0, or the smallest value if that is negative; what exceeds 255, or the image's largest value if
      that is more, is cut off.
    - "keras3": in whole numbers from 0 to 255, cut off behind the point, as Pillow computes. An image that leaves
      this range is stretched to it before, and back after.
    - "keras2": every image is stretched to this range before, and stays so.

    Args:
        images: (N, H, W, C) float32, C = 1, 3 or 4 but for "fixed".
        factors: (N,).

    Raises:
        ValueError: images of another number of channels.
    """
    if compat not in KERAS:
        _brighten_exactly(images, factors)
        return
    if images.shape[3] not in (1, 3, 4):
        raise ValueError(f"brightness_range: expected images of 1, 3 or 4 channels, got {images.shape[1:]}")
    for image, factor in zip(images, factors, strict=True):
        _brighten_as_pillow(image, factor, stretch=compat == "keras2")


def _colours(images: np.ndarray) -> np.ndarray:
    """A view without the fourth of four channels."""
    return images[..., :3] if images.shape[-1] == 4 else images


def _brighten_exactly(images: np.ndarray, factors: np.ndarray) -> None:
    low = np.minimum(images.min(_IMAGE, keepdims=True), 0)
    high = np.maximum(images.max(_IMAGE, keepdims=True), 255)
    colours = _colours(images)
    stays = low.any()
    if stays:
        colours -= low
    colours *= factors.astype(np.float32)[:, None, None, None]
    if stays:
        colours += low
    np.clip(colours, low, high, out=colours)


def _brighten_as_pillow(image: np.ndarray, factor: float, stretch: bool) -> None:
    low, high = image.min(), image.max()
    outside = low < 0 or high > 255
    if outside or stretch:
        image -= low
        if (largest := image.max()) != 0:
            image /= largest
        image *= 255
    # Pillow blends each of the 256 values with black in single precision and cuts the result off
    table = np.clip(np.float32(factor) * np.arange(256, dtype=np.float32), 0, 255).astype(np.uint8).astype(np.float32)
    pixels = np.minimum(image + np.float32(_ROUNDING), 255).astype(np.uint8)
    image[...] = pixels
    _colours(image)[...] = table[_colours(pixels)]
    if outside and not stretch:
        image /= 255
        image *= high - low
        image += low
