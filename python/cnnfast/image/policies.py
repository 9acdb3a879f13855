"""RandAugment and TrivialAugment: published lists of operations, drawn for each image.

Colour operations are Pillow's, bit for bit on uint8. Shears leave the upper left corner where it is, translations go by
whole pixels, rotations are about the centre, as in the published code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from cnnfast.image import affine, pixels
from cnnfast.image.arguments import filling, number
from cnnfast.image.colour import change_colours, check_colours
from cnnfast.image.transform import TRANSFORMS, Transform
from cnnfast.image.work import Work

Change = Callable[[np.ndarray], np.ndarray]
Size = tuple[int, int]


@dataclass(frozen=True)
class Operation:
    """One operation of a list; without `move` and `change` it does nothing.

    Args:
        high: the magnitude at the last bin.
        low: the magnitude at the first one.
        signed: whether it is negated half of the time.
        move: the map (3, 3) of a magnitude and the image's size.
        change: what a magnitude does to an image.
    """

    high: float = 0.0
    low: float = 0.0
    signed: bool = False
    move: Callable[[float, Size], np.ndarray] | None = None
    change: Callable[[float], Change] | None = None

    def magnitude(self, level: float, negative: bool) -> float:
        """The magnitude at `level`, 0 to 1, of the range."""
        value = self.low + (self.high - self.low) * level
        return -value if self.signed and negative else value


def _shear(axis: int, slope: float, size: Size) -> np.ndarray:
    """Reads x + 1/2 at x + 1/2 + slope * (y + 1/2); with x and y exchanged for axis 0."""
    matrix = np.eye(3)
    matrix[axis, 1 - axis] = slope
    matrix[axis, 2] = 0.5 * slope
    return matrix


def _translate(axis: int, distance: float, size: Size) -> np.ndarray:
    """By whole pixels."""
    matrix = np.eye(3)
    matrix[axis, 2] = -int(distance)
    return matrix


def _translate_by_share(axis: int, share: float, size: Size) -> np.ndarray:
    return _translate(axis, share * size[axis], size)


def _rotate(degrees: float, size: Size) -> np.ndarray:
    return affine.about_centre(size, affine.rotations(np.array([degrees])))[0]


def _enhance(function: Callable[[np.ndarray, float], np.ndarray], most: float) -> Operation:
    """Factors from 1 - most to 1 + most."""

    def change(magnitude: float) -> Change:
        return lambda image: function(image, 1.0 + magnitude)

    return Operation(most, signed=True, change=change)


def _operations(
    shear: float, translate: Callable[..., np.ndarray], distance: float, degrees: float, factor: float, bits: int
) -> dict[str, Operation]:
    """The fourteen operations that both papers have, under their names there.

    Args:
        shear: slope at the last bin.
        translate, distance: the map of an axis, a distance and the size; the distance at the last bin.
        degrees: of rotation at the last bin.
        factor: by how much factors differ from 1 at the last bin.
        bits: fewest bits of Posterize.
    """
    return {
        "Identity": Operation(),
        "AutoContrast": Operation(change=lambda magnitude: pixels.autocontrast),
        "Equalize": Operation(change=lambda magnitude: pixels.equalize),
        "Rotate": Operation(degrees, signed=True, move=_rotate),
        "Solarize": Operation(0.0, 255.0, change=lambda magnitude: partial(pixels.solarize, threshold=magnitude)),
        "Color": _enhance(pixels.saturation, factor),
        "Posterize": Operation(8.0 - bits, change=lambda cut: partial(pixels.posterize, bits=8 - round(cut))),
        "Contrast": _enhance(pixels.contrast, factor),
        "Brightness": _enhance(pixels.brightness, factor),
        "Sharpness": _enhance(pixels.sharpness, factor),
        "ShearX": Operation(shear, signed=True, move=partial(_shear, 1)),
        "ShearY": Operation(shear, signed=True, move=partial(_shear, 0)),
        "TranslateX": Operation(distance, signed=True, move=partial(translate, 1)),
        "TranslateY": Operation(distance, signed=True, move=partial(translate, 0)),
    }


# Cubuk et al. 2020, section 3.1: the list; ranges of AutoAugment (Cubuk et al. 2019, table 6), whose translations by
# up to 150 pixels were for images of 331
RAND_AUGMENT = _operations(0.3, _translate_by_share, 150 / 331, 30.0, 0.9, 4)
# Müller and Hutter 2021, table 2, column "Wide"
TRIVIAL_AUGMENT_WIDE = _operations(0.99, _translate, 32.0, 135.0, 0.99, 2)


class _Policy(Transform):
    """Operations of a list, drawn for each image."""

    operations: dict[str, Operation]

    def __init__(self, bins: int, order: int, fill_mode: str, cval: float, mask_cval: float):
        op = type(self).__name__
        self.num_magnitude_bins = _whole(op, "num_magnitude_bins", bins, 2)
        self._fill = filling(op, order, fill_mode, cval, mask_cval)
        self.order, self.fill_mode, self.cval, self.mask_cval = order, fill_mode, cval, mask_cval

    def prepare(self, work: Work) -> None:
        check_colours(type(self).__name__, work)

    def _apply_one(self, work: Work, which: np.ndarray, u: np.ndarray, levels: np.ndarray) -> None:
        """One operation for each image: chosen by u[:, 0], its sign by u[:, 1], at `levels` of its range."""
        names = list(self.operations)
        chosen = [self.operations[names[int(v * len(names))]] for v in u[:, 0]]
        magnitudes = [
            operation.magnitude(float(level), sign < 0.5)
            for operation, level, sign in zip(chosen, levels, u[:, 1], strict=True)
        ]
        maps = {
            i: operation.move(magnitude, work.size)
            for i, operation, magnitude in zip(which, chosen, magnitudes, strict=True)
            if operation.move is not None
        }
        if maps:
            work.move(np.array(list(maps)), np.stack(list(maps.values())), fill=self._fill)
        changes = [
            None if operation.change is None else operation.change(magnitude)
            for operation, magnitude in zip(chosen, magnitudes, strict=True)
        ]
        change_colours(work, which, changes)


@TRANSFORMS.add
class RandAugment(_Policy):
    """`num_ops` operations of a list of 14, one after the other, each with the same magnitude (Cubuk et al. 2020,
    "RandAugment: Practical automated data augmentation with a reduced search space").

    Rotate to 30 degrees, shear to 0.3, translate to 45 % of the size, Posterize to 4 bits, Solarize, AutoContrast,
    Equalize, Identity, and Color, Contrast, Brightness, Sharpness to 1 +- 0.9, each at `magnitude` of its range.

    Args:
        num_ops: operations for each image; 2 by default.
        magnitude: a bin from 0 to `num_magnitude_bins` - 1; 9 by default.
        num_magnitude_bins: 31 by default.
        order, fill_mode, cval, mask_cval: see `geometry`; 1, "constant", 128, 0.

    Example:
        >>> from cnnfast.image import transforms
        >>> images = np.zeros((2, 8, 8, 3), np.uint8)
        >>> transforms.RandAugment()(images, seed=3).images.shape
        (2, 8, 8, 3)
    """

    operations = RAND_AUGMENT

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        order: int = 1,
        fill_mode: str = "constant",
        cval: float = 128.0,
        mask_cval: float = 0.0,
    ):
        super().__init__(num_magnitude_bins, order, fill_mode, cval, mask_cval)
        self.num_ops = _whole("RandAugment", "num_ops", num_ops, 1)
        self.magnitude = _whole("RandAugment", "magnitude", magnitude, 0, self.num_magnitude_bins - 1)

    def apply(self, work: Work, which: np.ndarray) -> None:
        u = work.draw(which, 2 * self.num_ops)
        levels = np.full(len(which), self.magnitude / (self.num_magnitude_bins - 1))
        for k in range(self.num_ops):
            self._apply_one(work, which, u[:, 2 * k : 2 * k + 2], levels)


@TRANSFORMS.add
class TrivialAugment(_Policy):
    """One operation of a list of 14, with a random magnitude: TrivialAugment Wide, which has nothing to tune (Müller
    and Hutter 2021, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation").

    Rotate to 135 degrees, shear to 0.99, translate to 32 pixels, Posterize to 2 bits, Solarize, AutoContrast, Equalize,
    Identity, and Color, Contrast, Brightness, Sharpness to 1 +- 0.99.

    Args:
        num_magnitude_bins: 31 by default.
        order, fill_mode, cval, mask_cval: see `geometry`; 1, "constant", 0, 0.
    """

    operations = TRIVIAL_AUGMENT_WIDE

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        order: int = 1,
        fill_mode: str = "constant",
        cval: float = 0.0,
        mask_cval: float = 0.0,
    ):
        super().__init__(num_magnitude_bins, order, fill_mode, cval, mask_cval)

    def apply(self, work: Work, which: np.ndarray) -> None:
        u = work.draw(which, 3)
        bins = self.num_magnitude_bins
        self._apply_one(work, which, u, np.floor(u[:, 2] * bins) / (bins - 1))


def _whole(op: str, what: str, value: int, low: int, high: float = np.inf) -> int:
    if value != int(number(op, what, value, low, high)):
        raise ValueError(f"{op}: {what} must be a whole number, came {value!r}")
    return int(value)
