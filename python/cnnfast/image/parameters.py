"""What `ImageDataGenerator` draws at random: the ranges, and a transform for each sample drawn from them."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

#: numbers from a sample's stream that make a transform; each parameter has a place of its own among them, so that it
#: does not depend on which others are in use
DRAWS = 12

#: compat modes whose numbers come from NumPy's global generator, in Keras' order
KERAS = ("keras2", "keras3")
COMPAT = ("fixed", *KERAS)

OP = "ImageDataGenerator"

Shift = float | int | tuple[float, ...]


@dataclass(frozen=True)
class Ranges:
    """Keras' ranges, checked.

    Attributes:
        rotation, shear: degrees; the angle lies within plus and minus it.
        width_shift, height_shift: a float r: within plus and minus r, as a fraction of the size if r < 1, else pixels;
            a whole number n: 0 to n - 1 pixels; a tuple: one of its numbers. Of both, the sign is random.
        zoom: smallest and largest factor, drawn for each direction.
        channel_shift: the number added to all channels lies within plus and minus it.
        brightness: smallest and largest factor, or None.
    """

    rotation: float
    width_shift: Shift
    height_shift: Shift
    shear: float
    zoom: tuple[float, float]
    channel_shift: float
    brightness: tuple[float, float] | None
    horizontal_flip: bool
    vertical_flip: bool


@dataclass(frozen=True)
class Transforms:
    """A transform for each of N images: float64 (N,), flips bool (N,), None for what is not in use."""

    theta: np.ndarray
    tx: np.ndarray
    ty: np.ndarray
    shear: np.ndarray
    zx: np.ndarray
    zy: np.ndarray
    flip_horizontal: np.ndarray
    flip_vertical: np.ndarray
    channel_shift_intensity: np.ndarray | None
    brightness: np.ndarray | None

    @property
    def moves(self) -> np.ndarray:
        """Whether pixels move at all, flips aside: bool (N,)."""
        angles = (self.theta != 0) | (self.shear != 0)
        return angles | (self.tx != 0) | (self.ty != 0) | (self.zx != 1) | (self.zy != 1)

    @property
    def changes_intensity(self) -> bool:
        """Whether there is more than movement."""
        return self.channel_shift_intensity is not None or self.brightness is not None

    def one(self, i: int) -> dict[str, Any]:
        """The i-th as Keras' dict of parameters."""
        arrays = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: None if array is None else array[i].item() for name, array in arrays}


_NEUTRAL = {"theta": 0.0, "tx": 0.0, "ty": 0.0, "shear": 0.0, "zx": 1.0, "zy": 1.0}
_FLIPS = ("flip_horizontal", "flip_vertical")
_COLOURS = ("channel_shift_intensity", "brightness")


def collect(parameters: Sequence[Mapping[str, Any]]) -> Transforms:
    """The transforms of Keras' dicts of parameters; what a dict lacks does nothing.

    Raises:
        ValueError: an unknown parameter. TypeError: one that is no number.
    """
    known = {*_NEUTRAL, *_FLIPS, *_COLOURS}
    for one in parameters:
        if unknown := sorted(set(one) - known):
            raise ValueError(f"apply_transform: unknown parameter {unknown[0]!r}; expected some of {sorted(known)}")
        for name, value in one.items():
            if value is not None and not isinstance(value, (int, float, np.number, np.bool_)):
                raise TypeError(f"apply_transform: {name} must be a number, got {value!r}")
    arrays: dict[str, Any] = {
        name: np.array([one.get(name, neutral) for one in parameters], np.float64) for name, neutral in _NEUTRAL.items()
    }
    for name in _FLIPS:
        arrays[name] = np.array([bool(one.get(name, False)) for one in parameters], bool)
    for name in _COLOURS:
        values = [one.get(name) for one in parameters]
        arrays[name] = None if None in values else np.array(values, np.float64)
    return Transforms(**arrays)


def draw(ranges: Ranges, rows: int, columns: int, u: np.ndarray) -> Transforms:
    """Transforms of images of a size from numbers in [0, 1).

    Args:
        u: (N, DRAWS). tx is the shift in x direction, along the rows; ty that in y direction.
    """

    def within(low: float, high: float, place: int) -> np.ndarray:
        return low + (high - low) * u[:, place]

    zoom, brightness = ranges.zoom, ranges.brightness
    return Transforms(
        theta=within(-ranges.rotation, ranges.rotation, 0),
        tx=_shifts(ranges.width_shift, columns, u[:, 1], u[:, 2]),
        ty=_shifts(ranges.height_shift, rows, u[:, 3], u[:, 4]),
        shear=within(-ranges.shear, ranges.shear, 5),
        zx=within(*zoom, 6),
        zy=within(*zoom, 7),
        flip_horizontal=(u[:, 8] < 0.5) & ranges.horizontal_flip,
        flip_vertical=(u[:, 9] < 0.5) & ranges.vertical_flip,
        channel_shift_intensity=within(-ranges.channel_shift, ranges.channel_shift, 10)
        if ranges.channel_shift
        else None,
        brightness=None if brightness is None else within(*brightness, 11),
    )


def _shifts(shift: Shift, size: int, u: np.ndarray, sign: np.ndarray) -> np.ndarray:
    if isinstance(shift, float):
        pixels = shift * (2 * u - 1)
    else:
        choices = np.arange(shift) if isinstance(shift, int) else np.array(shift)
        if not len(choices):
            return np.zeros_like(u)
        pixels = choices[(u * len(choices)).astype(int)] * np.where(sign < 0.5, -1.0, 1.0)
    return pixels * size if _is_fraction(shift) else pixels


def _is_fraction(shift: Shift) -> bool:
    return (max(shift) if isinstance(shift, tuple) else shift) < 1


def draw_as_keras(ranges: Ranges, rows: int, columns: int) -> dict[str, Any]:
    """One transform from NumPy's global generator, drawn in Keras' order, named as Keras does.

    There tx belongs to `height_shift_range` and ty to `width_shift_range`.
    """
    random = np.random  # the generator that Keras draws from
    theta = random.uniform(-ranges.rotation, ranges.rotation) if ranges.rotation else 0
    tx = _shift_as_keras(ranges.height_shift, rows)
    ty = _shift_as_keras(ranges.width_shift, columns)
    shear = random.uniform(-ranges.shear, ranges.shear) if ranges.shear else 0
    zx, zy = (1, 1) if ranges.zoom == (1, 1) else random.uniform(*ranges.zoom, 2)
    flip_horizontal = (random.random() < 0.5) and ranges.horizontal_flip
    flip_vertical = (random.random() < 0.5) and ranges.vertical_flip
    bound = ranges.channel_shift
    return {
        "theta": theta,
        "tx": tx,
        "ty": ty,
        "shear": shear,
        "zx": zx,
        "zy": zy,
        "flip_horizontal": flip_horizontal,
        "flip_vertical": flip_vertical,
        "channel_shift_intensity": random.uniform(-bound, bound) if bound else None,
        "brightness": None if ranges.brightness is None else random.uniform(*ranges.brightness),
    }


def _shift_as_keras(shift: Shift, size: int) -> Any:
    if not shift:
        return 0
    if isinstance(shift, float):
        pixels = np.random.uniform(-shift, shift)  # noqa: NPY002
    else:
        pixels = np.random.choice(shift) * np.random.choice([-1, 1])  # noqa: NPY002
    return pixels * size if _is_fraction(shift) else pixels


# What a user passes

_LARGEST = float(np.finfo(np.float32).max)


def number(what: str, value: Any) -> float:
    """A finite number, of Python's own types.

    Raises:
        TypeError: no number. ValueError: infinite, not a number, or beyond single precision.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{OP}: {what} must be a number, got {value!r}")
    if not abs(value) <= _LARGEST:
        raise ValueError(f"{OP}: {what} must be finite in single precision, got {value!r}")
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


def pair(what: str, value: Any) -> tuple[float, float]:
    """Two finite numbers, in any order as in Keras."""
    parts = () if isinstance(value, str) or not np.iterable(value) else tuple(value)
    if len(parts) != 2:
        raise ValueError(f"{OP}: {what} must be two numbers (smallest, largest), got {value!r}")
    return number(what, parts[0]), number(what, parts[1])


def shift_range(what: str, value: Any) -> Shift:
    """A range of shifts: a float, a whole number of at least 0, or a tuple of numbers."""
    if np.iterable(value) and not isinstance(value, str):
        return tuple(number(what, part) for part in value)
    shift = number(what, value)
    if isinstance(shift, int) and shift < 0:
        raise ValueError(f"{OP}: {what} as a whole number of pixels must be at least 0, got {shift}")
    return shift


def zoom_range(value: Any, compat: str) -> tuple[float, float]:
    """Smallest and largest factor: of z, 1 - z and 1 + z."""
    if np.iterable(value) and not isinstance(value, str):
        zoom = pair("zoom_range", value)
    else:
        z = number("zoom_range", value)
        zoom = 1 - z, 1 + z
    if compat not in KERAS and min(zoom) < 0:
        raise ValueError(f"{OP}: zoom_range must not give negative factors, got {value!r}, which means {zoom}")
    return zoom


def whole(what: str, value: Any, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{OP}: {what} must be a whole number, got {value!r}") from None
    if not low <= result <= high:
        raise ValueError(f"{OP}: {what} must lie in {low} to {high}, got {result}")
    return result
