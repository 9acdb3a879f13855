"""Keras' functions that transform one image by one thing, such as `random_rotation`.

Images have their channels first unless `row_axis`, `col_axis` and `channel_axis` say otherwise, as in Keras. Random
numbers come from cnnfast's generator, or from `np.random` with compat "keras3" and "keras2".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast import random
from cnnfast.image import intensity, parameters
from cnnfast.image.generator import ImageDataGenerator
from cnnfast.image.parameters import KERAS


def apply_affine_transform(
    x: np.ndarray,
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    order: int = 1,
    *,
    compat: str = "fixed",
) -> np.ndarray:
    """An image moved as `ImageDataGenerator.apply_transform` does.

    Args:
        x: an image, (C, H, W) with the axes as they are by default.
        theta, shear: degrees, counter-clockwise.
        tx, ty: what is added to x and y, in pixels, where the result is read.
        zx, zy: factors in these directions; above 1 things become smaller.
        row_axis, col_axis, channel_axis: the axes of x, from 0.
        fill_mode, cval, order, compat: as for `ImageDataGenerator` (`interpolation_order`).

    Raises:
        ValueError: x has no three axes, or other arguments do not fit.

    Example:
        >>> apply_affine_transform(np.eye(3)[None], theta=90, order=0)[0]
        array([[0., 0., 1.],
               [0., 1., 0.],
               [1., 0., 0.]])
    """
    axes = _axes("apply_affine_transform", x, row_axis, col_axis, channel_axis)
    generator = ImageDataGenerator(fill_mode=fill_mode, cval=cval, interpolation_order=order, compat=compat)
    one = {"theta": theta, "tx": tx, "ty": ty, "shear": shear, "zx": zx, "zy": zy}
    return np.moveaxis(generator.apply_transform(np.moveaxis(x, axes, (0, 1, 2)), one), (0, 1, 2), axes)


def random_rotation(x: np.ndarray, rg: float, *args: Any, compat: str = "fixed", **kwargs: Any) -> np.ndarray:
    """An image rotated by up to `rg` degrees either way.

    Args:
        args, kwargs: row_axis=1, col_axis=2, channel_axis=0, fill_mode="nearest", cval=0.0, interpolation_order=1; as
            for `apply_affine_transform`.

    Example:
        >>> random_rotation(np.ones((1, 4, 4)), 30).shape
        (1, 4, 4)
    """
    return _moved(x, args, kwargs, compat, theta=_uniform(compat, -rg, rg))


def random_shift(x: np.ndarray, wrg: float, hrg: float, *args: Any, compat: str = "fixed", **kwargs: Any) -> np.ndarray:
    """An image shifted by up to the fractions `wrg` of its width and `hrg` of its height either way.

    Args:
        args, kwargs: as for `random_rotation`.

    Example:
        >>> random_shift(np.ones((1, 4, 4)), 0.5, 0.25).shape
        (1, 4, 4)
    """
    options = _options(args, kwargs)
    _axes("random_shift", x, *(options[name] for name in _AXES))
    vertical = _uniform(compat, -hrg, hrg) * np.shape(x)[options["row_axis"]]
    horizontal = _uniform(compat, -wrg, wrg) * np.shape(x)[options["col_axis"]]
    first, second = (vertical, horizontal) if compat in KERAS else (horizontal, vertical)
    return _moved(x, args, kwargs, compat, tx=first, ty=second)


def random_shear(x: np.ndarray, intensity: float, *args: Any, compat: str = "fixed", **kwargs: Any) -> np.ndarray:
    """An image that leans by up to `intensity` degrees either way.

    Args:
        args, kwargs: as for `random_rotation`.

    Example:
        >>> random_shear(np.ones((1, 4, 4)), 20).shape
        (1, 4, 4)
    """
    return _moved(x, args, kwargs, compat, shear=_uniform(compat, -intensity, intensity))


def random_zoom(
    x: np.ndarray, zoom_range: Sequence[float], *args: Any, compat: str = "fixed", **kwargs: Any
) -> np.ndarray:
    """An image enlarged or made smaller by factors between the two of `zoom_range`, for rows and columns each.

    Args:
        args, kwargs: as for `random_rotation`.

    Example:
        >>> random_zoom(np.ones((1, 4, 4)), (0.8, 1.2)).shape
        (1, 4, 4)
    """
    low, high = parameters.pair("zoom_range", zoom_range)
    zx, zy = (1, 1) if low == high == 1 else _source(compat).uniform(low, high, 2)
    return _moved(x, args, kwargs, compat, zx=zx, zy=zy)


def apply_channel_shift(x: np.ndarray, intensity: float, channel_axis: int = 0, *, compat: str = "fixed") -> np.ndarray:
    """An image with `intensity` added to all channels; values stay in the range that the image had.

    Example:
        >>> apply_channel_shift(np.array([[[0.0, 2.0, 9.0]]]), 3.0)
        array([[[3., 5., 9.]]], dtype=float32)
    """
    return _changed(x, channel_axis, compat, channel_shift_intensity=intensity)


def random_channel_shift(
    x: np.ndarray, intensity_range: float, channel_axis: int = 0, *, compat: str = "fixed"
) -> np.ndarray:
    """`apply_channel_shift` by up to `intensity_range` either way.

    Example:
        >>> random_channel_shift(np.ones((1, 4, 4)), 20).shape
        (1, 4, 4)
    """
    return apply_channel_shift(x, _uniform(compat, -intensity_range, intensity_range), channel_axis, compat=compat)


def apply_brightness_shift(
    x: np.ndarray, brightness: float, scale: bool = True, *, compat: str = "fixed"
) -> np.ndarray:
    """An image times a factor; see `brightness_range` of `ImageDataGenerator`.

    Args:
        x: (H, W, C), values from 0 to 255.
        scale: stretch the values to 0 to 255 before.

    Returns:
        float32 (H, W, C).

    Example:
        >>> apply_brightness_shift(np.array([[[10.0], [200.0]]]), 1.5, scale=False).ravel()
        array([ 15., 255.], dtype=float32)
    """
    images = np.array(x, np.float32)[None]
    if images.ndim != 4 or images.size == 0:
        raise ValueError(f"apply_brightness_shift: expected an image (H,W,C), got {np.shape(x)}")
    if scale and compat not in KERAS:
        images -= images.min()
        images *= 255 / (images.max() or 1)
    intensity.brighten(images, np.array([brightness]), "keras2" if scale and compat in KERAS else compat)
    return images[0]


def random_brightness(
    x: np.ndarray, brightness_range: Sequence[float], scale: bool = True, *, compat: str = "fixed"
) -> np.ndarray:
    """`apply_brightness_shift` with a factor between the two of `brightness_range`.

    Example:
        >>> random_brightness(np.full((4, 4, 1), 100.0), (0.5, 1.5)).shape
        (4, 4, 1)
    """
    factor = _uniform(compat, *parameters.pair("brightness_range", brightness_range))
    return apply_brightness_shift(x, factor, scale, compat=compat)


_AXES = ("row_axis", "col_axis", "channel_axis")
_DEFAULTS = {
    "row_axis": 1,
    "col_axis": 2,
    "channel_axis": 0,
    "fill_mode": "nearest",
    "cval": 0.0,
    "interpolation_order": 1,
}


def _options(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What follows the range in Keras' functions, by position or name."""
    if len(args) > len(_DEFAULTS):
        raise TypeError(f"expected at most {list(_DEFAULTS)} after the range, got {len(args)} arguments")
    given = dict(zip(_DEFAULTS, args, strict=False))
    if unknown := (set(kwargs) - set(_DEFAULTS)) | (set(kwargs) & set(given)):
        raise TypeError(f"unexpected or repeated argument {sorted(unknown)[0]!r}; known are {list(_DEFAULTS)}")
    return {**_DEFAULTS, **given, **kwargs}


def _moved(x: np.ndarray, args: tuple[Any, ...], kwargs: dict[str, Any], compat: str, **movement: Any) -> np.ndarray:
    options = _options(args, kwargs)
    order = options.pop("interpolation_order")
    return apply_affine_transform(x, **movement, **options, order=order, compat=compat)


def _changed(x: np.ndarray, channel_axis: int, compat: str, **change: float) -> np.ndarray:
    images = np.moveaxis(np.array(x, np.float32), channel_axis, -1)[None]
    if images.ndim != 4 or images.size == 0:
        raise ValueError(f"apply_channel_shift: expected an image of three axes, got {np.shape(x)}")
    intensity.shift_channels(images, np.array([change["channel_shift_intensity"]]))
    return np.moveaxis(images[0], -1, channel_axis)


def _source(compat: str) -> Any:
    return np.random if compat in KERAS else random.get_generator()


def _uniform(compat: str, low: float, high: float) -> float:
    return float(_source(compat).uniform(low, high))


def _axes(op: str, x: Any, *axes: int) -> tuple[int, ...]:
    if sorted(axes) != [0, 1, 2]:
        raise ValueError(f"{op}: row_axis, col_axis and channel_axis must be 0, 1 and 2 in some order, got {axes}")
    if np.ndim(x) != 3:
        raise ValueError(f"{op}: expected an image of three axes, got {np.shape(x)}")
    return axes
