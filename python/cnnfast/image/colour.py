"""Transforms that change colours: none of them moves a pixel, or touches a mask.

Images have 1 or 3 channels. Factors are those of Pillow's `ImageEnhance`: 1 is the image as it is, 0 black, plain grey,
without colours or smoothed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from cnnfast.image import pixels
from cnnfast.image.arguments import around, number, probability
from cnnfast.image.transform import TRANSFORMS, Transform
from cnnfast.image.work import Work

Range = float | Sequence[float]


class Colour(Transform):
    """What changes images one by one, in colour alone. A subclass defines `draw` and `change`."""

    #: random numbers that an image takes
    draws = 0

    def prepare(self, work: Work) -> None:
        check_colours(type(self).__name__, work)

    def apply(self, work: Work, which: np.ndarray) -> None:
        change_colours(work, which, [self.change(u) for u in work.draw(which, self.draws)])

    def change(self, u: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        """What to do to one image (H, W, C), 0 to 255, with its random numbers in [0, 1); None for nothing."""
        raise NotImplementedError


def check_colours(op: str, work: Work) -> None:
    """Images must have 1 or 3 channels, and floats lie in their range."""
    if work.channels not in (1, 3):
        raise ValueError(f"{op}: images must have 1 or 3 channels, came {work.channels}")
    if not work.is_float:
        return
    images = work.images()
    low, high = float(images.min()), float(images.max())
    if not (low >= 0.0 and high <= work.scale):
        raise ValueError(f"{op}: float images must lie in 0 to value_range={work.scale:g}, came {low:g} to {high:g}")
    if work.scale == 255.0 and 0.0 < high <= 1.0:
        warnings.warn(
            f"{op}: float images lie in 0 to {high:g} where 0 to 255 is expected; for 0 to 1 give value_range=1",
            stacklevel=4,
        )


def change_colours(work: Work, which: np.ndarray, changes: Sequence[Callable[[np.ndarray], np.ndarray] | None]) -> None:
    """Changes each image of `which` by its function of an image from 0 to 255."""
    which = np.array([i for i, change in zip(which, changes, strict=True) if change is not None], int)
    if len(which) == 0:
        return
    images = work.writable(which)
    scale = np.float32(work.scale / 255.0)
    for i, change in zip(which, filter(None, changes), strict=True):
        if work.is_float and scale != 1.0:
            images[i] = change(images[i] / scale) * scale
        else:
            images[i] = change(images[i])


@TRANSFORMS.add
class ColorJitter(Colour):
    """Brightness, contrast, saturation and hue at random, each about the image as it is.

    All four are linear maps of colours, done as one: brightness and saturation as `ImageEnhance` has them, contrast
    about the image's mean grey, hue as a turn about the grey axis in YIQ (Haeberli 1993), which keeps the grey of each
    pixel. So their order does not matter, and values are rounded and cut off once, at the end. (torchvision rounds
    after each, in a random order, and turns the hue in HSV.) Images in grey have no saturation or hue to change.

    Args:
        brightness, contrast, saturation: a number v >= 0 for factors from max(0, 1 - v) to 1 + v, or a pair
            (low, high) of factors; default 0: as it is.
        hue: in turns of the colour circle: a number h in 0 to 0.5 for -h to h, or a pair; default 0.

    Example:
        >>> from cnnfast.image import transforms
        >>> jitter = transforms.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02)
    """

    draws = 4

    def __init__(self, brightness: Range = 0.0, contrast: Range = 0.0, saturation: Range = 0.0, hue: Range = 0.0):
        op = type(self).__name__
        self._factors = np.array(
            [
                around(op, "brightness", brightness, 1.0, 0.0),
                around(op, "contrast", contrast, 1.0, 0.0),
                around(op, "saturation", saturation, 1.0, 0.0),
                around(op, "hue", hue, 0.0, -0.5, 0.5),
            ]
        )
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def change(self, u: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        low, high = self._factors.T
        brightness, contrast, saturation, hue = (float(v) for v in low + (high - low) * u)
        if (brightness, contrast, saturation, hue) == (1.0, 1.0, 1.0, 0.0):
            return None
        return partial(_jitter, brightness, contrast, saturation, hue)


_WEIGHTS = np.array(pixels.GREY) / 2**16
# NTSC's axes of colour below the grey of Rec. 601 (Haeberli, "Matrix Operations for Image Processing", 1993)
_YIQ = np.array([_WEIGHTS, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_RGB = np.linalg.inv(_YIQ)


def _jitter(brightness: float, contrast: float, saturation: float, hue: float, image: np.ndarray) -> np.ndarray:
    rows = image.sum(axis=0, dtype=np.uint32 if image.dtype == np.uint8 else np.float64)
    means = rows.sum(axis=0, dtype=np.float64) / (image.shape[0] * image.shape[1])
    grey = float(means @ _WEIGHTS) if len(means) == 3 else float(means[0])
    factor, offset = brightness * contrast, brightness * (1.0 - contrast) * grey
    if len(means) == 1 or (saturation == 1.0 and hue == 0.0):
        return pixels.scaled(image, factor, offset)
    cos, sin = np.cos(2 * np.pi * hue), np.sin(2 * np.pi * hue)
    # in YIQ: grey stays, the plane of colours turns and grows
    turn = np.array([[1, 0, 0], [0, saturation * cos, -saturation * sin], [0, saturation * sin, saturation * cos]])
    return pixels.mix_channels(image, factor * (_RGB @ turn @ _YIQ), offset)


class _Sometimes(Colour):
    """A fixed change with probability `p`."""

    draws = 1

    def __init__(self, p: float):
        self.p = probability(type(self).__name__, "p", p)

    def change(self, u: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        return self.changed if u[0] < self.p else None

    def changed(self, image: np.ndarray) -> np.ndarray:
        """The changed image."""
        raise NotImplementedError


@TRANSFORMS.add
class Grayscale(_Sometimes):
    """All channels become the image's grey, 0.299 R + 0.587 G + 0.114 B; their number stays.

    Args:
        p: probability, 1 by default.
    """

    def __init__(self, p: float = 1.0):
        super().__init__(p)

    def changed(self, image: np.ndarray) -> np.ndarray:
        return np.broadcast_to(pixels.luminance(image), image.shape)


@TRANSFORMS.add
class Invert(_Sometimes):
    """The negative: 255 - v.

    Args:
        p: probability, 0.5 by default.
    """

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def changed(self, image: np.ndarray) -> np.ndarray:
        return pixels.invert(image)


@TRANSFORMS.add
class AutoContrast(_Sometimes):
    """Each channel stretched to go from 0 to 255, as Pillow's `ImageOps.autocontrast`.

    Args:
        p: probability, 0.5 by default.
    """

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def changed(self, image: np.ndarray) -> np.ndarray:
        return pixels.autocontrast(image)


@TRANSFORMS.add
class Equalize(_Sometimes):
    """Each channel's histogram made even, as Pillow's `ImageOps.equalize`.

    Args:
        p: probability, 0.5 by default.
    """

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def changed(self, image: np.ndarray) -> np.ndarray:
        return pixels.equalize(image)


@TRANSFORMS.add
class Posterize(_Sometimes):
    """The upper `bits` of 8 bits of each value, as Pillow's `ImageOps.posterize`.

    Args:
        bits: 1 to 8, 4 by default.
        p: probability, 0.5 by default.
    """

    def __init__(self, bits: int = 4, p: float = 0.5):
        super().__init__(p)
        if bits != int(number("Posterize", "bits", bits, 1, 8)):
            raise ValueError(f"Posterize: bits must be a whole number, came {bits!r}")
        self.bits = int(bits)

    def changed(self, image: np.ndarray) -> np.ndarray:
        return pixels.posterize(image, self.bits)


@TRANSFORMS.add
class Solarize(_Sometimes):
    """The negative of all values from `threshold` on, as Pillow's `ImageOps.solarize`.

    Args:
        threshold: on the scale 0 to 255; 128 by default.
        p: probability, 0.5 by default.
    """

    def __init__(self, threshold: float = 128.0, p: float = 0.5):
        super().__init__(p)
        self.threshold = number("Solarize", "threshold", threshold, 0.0, 256.0)

    def changed(self, image: np.ndarray) -> np.ndarray:
        return pixels.solarize(image, self.threshold)


@TRANSFORMS.add
class Sharpness(Colour):
    """Smoother or sharper, as Pillow's `ImageEnhance.Sharpness`.

    Args:
        sharpness: a number v for factors from max(0, 1 - v) to 1 + v, or a pair (low, high) of factors; 0 smooths, 1
            is the image, 2 sharpens.
    """

    draws = 1

    def __init__(self, sharpness: Range = 0.5):
        self._factors = around("Sharpness", "sharpness", sharpness, 1.0, 0.0)
        self.sharpness: Any = sharpness

    def change(self, u: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        factor = self._factors[0] + (self._factors[1] - self._factors[0]) * float(u[0])
        return partial(pixels.sharpness, factor=factor)
