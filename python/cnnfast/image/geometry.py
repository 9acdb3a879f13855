"""Transforms that move pixels. Each is a matrix per image, so that a chain of them costs one warp.

Common arguments: `order`, the spline order between pixels (1: bilinear); `fill_mode`, what lies beyond the edge
("reflect" d c b a | a b c d | d c b a, "nearest", "constant", "wrap", as SciPy's); `cval`, the value of "constant" on
the scale 0 to 255, and `mask_cval`, the one for masks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.image import affine
from cnnfast.image.arguments import around, filling, image_size, number, paddings, pair, spline_order
from cnnfast.image.transform import TRANSFORMS, Transform
from cnnfast.image.work import RIM, Fill, Work

_FLIPS = {"horizontal": (False, True), "vertical": (True, False), "horizontal_and_vertical": (True, True)}


@TRANSFORMS.add
class RandomFlip(Transform):
    """Mirrors images, each direction with probability `p`.

    Args:
        mode: "horizontal" (left to right, the default), "vertical" or "horizontal_and_vertical".
        p: probability, 0.5 by default.
    """

    def __init__(self, mode: str = "horizontal", p: float = 0.5):
        if mode not in _FLIPS:
            raise ValueError(f"RandomFlip: mode must be one of {', '.join(_FLIPS)}, came {mode!r}")
        self.mode = mode
        self.p = number("RandomFlip", "p", p, 0.0, 1.0)

    def apply(self, work: Work, which: np.ndarray) -> None:
        rows, columns = (work.draw(which, 2) < self.p).T & np.array(_FLIPS[self.mode])[:, None]
        work.move(which, affine.flips(work.size, rows, columns))


class _Filling(Transform):
    """What looks between pixels and beyond the edge of images."""

    def __init__(self, order: int, fill_mode: str, cval: float, mask_cval: float):
        self._fill = filling(type(self).__name__, order, fill_mode, cval, mask_cval)
        self.order = order
        self.fill_mode = fill_mode
        self.cval = cval
        self.mask_cval = mask_cval


@TRANSFORMS.add
class RandomAffine(_Filling):
    """Turns, shears, zooms and shifts images about their centre, in this order reading from the content's side:
    zoom, shear, rotation, shift.

    Args:
        rotation: degrees, counter-clockwise: a number r for -r to r, or a pair (low, high).
        shift: as a share of the size: a number for both directions, or (vertical, horizontal); each from -s to s.
        shear: degrees along x: a number s for -s to s; or a pair of such numbers, along x and along y.
        zoom: by how much content grows: a number z in 0 to 1 for 1 - z to 1 + z, or a pair (low, high).
        stretch: by how much the proportions may change: with a number s in 0 to 1, rows and columns grow by
            independent factors 1 - s to 1 + s more.
        order, fill_mode, cval, mask_cval: see above; 1, "reflect", 0, 0.

    Example:
        >>> from cnnfast.image import transforms
        >>> course = transforms.RandomAffine(rotation=40, shift=0.2, shear=10, zoom=0.2, fill_mode="nearest")
    """

    def __init__(
        self,
        rotation: float | Sequence[float] = 0.0,
        shift: float | Sequence[float] = 0.0,
        shear: float | Sequence[float] = 0.0,
        zoom: float | Sequence[float] = 0.0,
        stretch: float = 0.0,
        order: int = 1,
        fill_mode: str = "reflect",
        cval: float = 0.0,
        mask_cval: float = 0.0,
    ):
        super().__init__(order, fill_mode, cval, mask_cval)
        op = type(self).__name__
        self._rotation = around(op, "rotation", rotation, 0.0)
        self._shift = _both(op, "shift", shift)
        self._shear = _both(op, "shear", shear if isinstance(shear, (list, tuple, np.ndarray)) else (shear, 0.0), 89.0)
        self._zoom = around(op, "zoom", zoom, 1.0, low=1e-3)
        self._stretch = number(op, "stretch", stretch, 0.0, 0.99)
        self.rotation, self.shift, self.shear, self.zoom, self.stretch = rotation, shift, shear, zoom, stretch

    def apply(self, work: Work, which: np.ndarray) -> None:
        u = work.draw(which, 8)
        symmetric = 2.0 * u - 1.0
        zoom = _between(u[:, 1], self._zoom)[:, None] * (1.0 + self._stretch * symmetric[:, 2:4])
        linear = (
            affine.rotations(_between(u[:, 0], self._rotation))
            @ affine.shears(self._shear[0] * symmetric[:, 4], self._shear[1] * symmetric[:, 5])
            @ affine.zooms(zoom[:, 0], zoom[:, 1])
        )
        shifts = symmetric[:, 6:8] * np.array(self._shift) * np.array(work.size)
        work.move(which, affine.about_centre(work.size, linear, shifts), fill=self._fill)


@TRANSFORMS.add
class RandomRotation(_Filling):
    """Turns images about their centre.

    Args:
        degrees: a number d for -d to d, or a pair (low, high); counter-clockwise.
        order, fill_mode, cval, mask_cval: see above; 1, "reflect", 0, 0.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        order: int = 1,
        fill_mode: str = "reflect",
        cval: float = 0.0,
        mask_cval: float = 0.0,
    ):
        super().__init__(order, fill_mode, cval, mask_cval)
        self._degrees = around("RandomRotation", "degrees", degrees, 0.0)
        self.degrees = degrees

    def apply(self, work: Work, which: np.ndarray) -> None:
        angles = _between(work.draw(which, 1)[:, 0], self._degrees)
        work.move(which, affine.about_centre(work.size, affine.rotations(angles)), fill=self._fill)


@TRANSFORMS.add
class Pad(_Filling):
    """Adds pixels around images.

    Args:
        padding: pixels on all sides; (above and below, left and right); or (above, below, left, right).
        fill_mode, cval, mask_cval: see above; "constant", 0, 0.
    """

    def __init__(
        self,
        padding: int | Sequence[int],
        fill_mode: str = "constant",
        cval: float = 0.0,
        mask_cval: float = 0.0,
    ):
        super().__init__(1, fill_mode, cval, mask_cval)
        self._padding = paddings("Pad", padding)
        self.padding = padding

    def apply(self, work: Work, which: np.ndarray) -> None:
        above, below, left, right = self._padding
        size = (work.size[0] + above + below, work.size[1] + left + right)
        work.move(which, np.repeat(affine.crops(-above, -left), len(which), 0), size=size, fill=self._fill, pads=True)


@TRANSFORMS.add
class CenterCrop(Transform):
    """The middle of images; half a pixel to the upper left where it cannot be exact.

    Args:
        size: rows and columns, or one number for both; not more than the image has.
    """

    def __init__(self, size: int | Sequence[int]):
        self._size = image_size("CenterCrop", "size", size)
        self.size = size

    def apply(self, work: Work, which: np.ndarray) -> None:
        spare = _spare("CenterCrop", work.size, self._size)
        corner = affine.crops(spare[0] // 2, spare[1] // 2)
        work.move(which, np.repeat(corner, len(which), 0), size=self._size, crops=True)


@TRANSFORMS.add
class RandomCrop(_Filling):
    """A rectangle of the image at a random place.

    Args:
        size: rows and columns, or one number for both; None for the size of the image, with `padding`.
        padding: pixels to add first, as for `Pad`: 4 for images of 32 x 32 (He et al. 2016, section 4.2).
        fill_mode, cval, mask_cval: see above; "constant", 0, 0.
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        fill_mode: str = "constant",
        cval: float = 0.0,
        mask_cval: float = 0.0,
    ):
        super().__init__(1, fill_mode, cval, mask_cval)
        self._size = None if size is None else image_size("RandomCrop", "size", size)
        self._padding = paddings("RandomCrop", padding)
        self.size = size
        self.padding = padding

    def apply(self, work: Work, which: np.ndarray) -> None:
        size = self._size or work.size
        above, below, left, right = self._padding
        padded = (work.size[0] + above + below, work.size[1] + left + right)
        spare = np.array(_spare("RandomCrop", padded, size))
        corners = np.floor(work.draw(which, 2) * (spare + 1)) - (above, left)
        fill = self._fill if any(self._padding) else None
        work.move(which, affine.crops(corners[:, 0], corners[:, 1]), size=size, fill=fill, crops=True, pads=True)


@TRANSFORMS.add
class Resize(Transform):
    """Another size. Pixels are read between their neighbours, not averaged: to shrink to less than half, let the
    loader do it.

    Args:
        size: rows and columns, or one number for both.
        order: see above; 1.
    """

    def __init__(self, size: int | Sequence[int], order: int = 1):
        self._fill = Fill(spline_order("Resize", order), RIM)
        self._size = image_size("Resize", "size", size)
        self.size, self.order = size, order

    def apply(self, work: Work, which: np.ndarray) -> None:
        maps = affine.resized_crops(np.array([[0, 0, *work.size]]), self._size)
        work.move(which, np.repeat(maps, len(which), 0), size=self._size, fill=self._fill)


@TRANSFORMS.add
class RandomResizedCrop(Transform):
    """A rectangle of random area and proportions at a random place, stretched to `size` (Szegedy et al. 2015,
    section 6, with the proportions drawn on a logarithmic scale as torchvision does).

    Args:
        size: rows and columns, or one number for both; default that of the image.
        scale: the rectangle's share of the area, (low, high); default (0.08, 1).
        ratio: its width over its height, (low, high); default (3/4, 4/3).
        order: see above; 1.
    """

    _TRIES = 10

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        order: int = 1,
    ):
        op = type(self).__name__
        self._fill = Fill(spline_order(op, order), RIM)
        self._size = None if size is None else image_size(op, "size", size)
        self._scale = pair(op, "scale", scale, 1e-6, 1.0)
        self._ratio = pair(op, "ratio", ratio, 1e-3, 1e3)
        self.size, self.scale, self.ratio, self.order = size, scale, ratio, order

    def apply(self, work: Work, which: np.ndarray) -> None:
        u = work.draw(which, 2 * self._TRIES + 2)
        found = np.array([self._rectangle(work.size, row) for row in u])
        size = self._size or work.size
        work.move(which, affine.resized_crops(found, size), size=size, fill=self._fill, crops=True)

    def _rectangle(self, size: tuple[int, int], u: np.ndarray) -> tuple[int, int, int, int]:
        """top, left, height, width from uniform numbers: the first of ten tries that fits into the image."""
        low, high = (math.log(ratio) for ratio in self._ratio)
        for share, proportion in zip(u[2::2], u[3::2], strict=True):
            area = size[0] * size[1] * _between(share, self._scale)
            ratio = math.exp(low + (high - low) * proportion)
            height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < height <= size[0] and 0 < width <= size[1]:
                top, left = math.floor(u[0] * (size[0] - height + 1)), math.floor(u[1] * (size[1] - width + 1))
                return top, left, height, width
        return self._middle(size)

    def _middle(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The largest rectangle of allowed proportions, in the middle."""
        ratio = min(max(size[1] / size[0], self._ratio[0]), self._ratio[1])
        height = min(size[0], max(1, round(size[1] / ratio)))
        width = min(size[1], max(1, round(size[0] * ratio)))
        return (size[0] - height) // 2, (size[1] - width) // 2, height, width


def _between(u: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Uniform numbers in [0, 1) stretched to `limits`."""
    return limits[0] + (limits[1] - limits[0]) * u


def _both(op: str, what: str, value: Any, high: float = np.inf) -> tuple[float, float]:
    """Two numbers from 0 to `high`: a pair, or one number twice."""
    found = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value, value]
    if len(found) != 2:
        raise ValueError(f"{op}: {what} must be a number or a pair, came {value!r}")
    return number(op, what, found[0], 0.0, high), number(op, what, found[1], 0.0, high)


def _spare(op: str, size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    if wanted[0] > size[0] or wanted[1] > size[1]:
        raise ValueError(f"{op}: size {wanted} does not fit into images of {size} (rows, columns)")
    return size[0] - wanted[0], size[1] - wanted[1]
