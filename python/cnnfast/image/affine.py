"""Matrices (N, 3, 3) of moves: where in the image as it is the pixel (row, column, 1) of the new one lies.

The centre of the first pixel is row 0, column 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

Size = tuple[int, int]


def flips(size: Size, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Turned upside down where `rows`, left to right where `columns` is true: (N,) each."""
    maps = np.tile(np.eye(3), (len(rows), 1, 1))
    for axis, turned in enumerate((rows, columns)):
        maps[turned, axis, axis] = -1.0
        maps[turned, axis, 2] = size[axis] - 1.0
    return maps


def crops(tops: ArrayLike, lefts: ArrayLike) -> np.ndarray:
    """The first new pixel is the one in row `tops`, column `lefts`; negative numbers pad."""
    top, left = np.broadcast_arrays(np.atleast_1d(tops), np.atleast_1d(lefts))
    maps = np.tile(np.eye(3), (len(top), 1, 1))
    maps[:, 0, 2], maps[:, 1, 2] = top, left
    return maps


def resized_crops(rectangles: np.ndarray, size: Size) -> np.ndarray:
    """Rectangles (N, 4) of pixels, top, left, height, width, are stretched to `size`, edge on edge."""
    maps = np.tile(np.eye(3), (len(rectangles), 1, 1))
    for axis in (0, 1):
        step = rectangles[:, 2 + axis] / size[axis]
        maps[:, axis, axis] = step
        maps[:, axis, 2] = rectangles[:, axis] + 0.5 * step - 0.5  # half-pixel centres
    return maps


def about_centre(size: Size, linear: np.ndarray, shifts: np.ndarray | float = 0.0) -> np.ndarray:
    """The content goes through `linear` (N, 2, 2), a map of (row, column) about the centre, then by `shifts` (N, 2)."""
    inverse = np.linalg.inv(linear)
    centre = (np.array(size) - 1.0) / 2.0
    maps = np.tile(np.eye(3), (len(linear), 1, 1))
    maps[:, :2, :2] = inverse
    maps[:, :2, 2] = centre - (inverse @ (centre + np.broadcast_to(shifts, (len(linear), 2)))[..., None])[..., 0]
    return maps


def rotations(degrees: np.ndarray) -> np.ndarray:
    """(N, 2, 2): counter-clockwise on the screen, where rows go down."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return _matrices(cos, -sin, sin, cos)


def shears(along_x: np.ndarray, along_y: np.ndarray) -> np.ndarray:
    """(N, 2, 2): by angles in degrees; x grows by tan(along_x) for each row, y by tan(along_y) for each column."""
    one = np.ones_like(along_x)
    return _matrices(one, np.tan(np.radians(along_y)), np.tan(np.radians(along_x)), one)


def zooms(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(N, 2, 2): the content grows by these factors."""
    return _matrices(rows, np.zeros_like(rows), np.zeros_like(rows), columns)


def _matrices(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([a, b], -1), np.stack([c, d], -1)], -2)
