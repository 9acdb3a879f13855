"""The affine transform that Keras' parameters stand for, in each of the versions that there were."""

from __future__ import annotations

import numpy as np

from cnnfast.image.parameters import KERAS, Transforms
from cnnfast.image.warp import warp


def affine_matrices(transforms: Transforms, rows: int, columns: int, compat: str) -> np.ndarray:
    """Where each pixel of the result comes from.

    Rotation, translation, shear and zoom are multiplied in this order, around the centre of the image.

    - "fixed": they act on (x, y), x along the rows and y down, so that a positive angle is counter-clockwise.
    - "keras3", today's Keras, the same with the centre's coordinates swapped.
    - "keras2", Keras 2.1.3 to 2.8: they act on (row, column), which makes a positive angle clockwise; the centre is one
      pixel off in both.

    Args:
        rows, columns: size of the images.

    Returns:
        float64 (N, 2, 3): (row, column) in the image = M @ (row, column, 1) in the result.
    """
    theta, shear = np.deg2rad(transforms.theta), np.deg2rad(transforms.shear)
    rotation = _stacked(np.cos(theta), -np.sin(theta), 0, np.sin(theta), np.cos(theta), 0)
    translation = _stacked(1, 0, transforms.tx, 0, 1, transforms.ty)
    shearing = _stacked(1, -np.sin(shear), 0, 0, np.cos(shear), 0)
    zoom = _stacked(transforms.zx, 0, 0, 0, transforms.zy, 0)
    matrices = rotation @ translation @ shearing @ zoom
    half = 0.5 if compat == "keras2" else -0.5
    size = (columns, rows) if compat == "fixed" else (rows, columns)
    first, second = (n / 2 + half for n in size)
    matrices = _stacked(1, 0, first, 0, 1, second) @ matrices @ _stacked(1, 0, -first, 0, 1, -second)
    if compat != "keras2":
        matrices = matrices[:, [1, 0, 2]][:, :, [1, 0, 2]]
    return matrices[:, :2]


def _stacked(*entries: float | np.ndarray) -> np.ndarray:
    """(N, 3, 3) from the first two rows, each entry a number or (N,)."""
    count = max(np.size(entry) for entry in entries)
    matrices = np.zeros((count, 3, 3))
    for place, entry in enumerate(entries):
        matrices[:, place // 3, place % 3] = entry
    matrices[:, 2, 2] = 1
    return matrices


def flipped_matrices(matrices: np.ndarray, transforms: Transforms, rows: int, columns: int) -> np.ndarray:
    """The matrices with the flips of the result in them: its pixel (r, c) is that of (r, columns - 1 - c) before."""
    flips = ((transforms.flip_vertical, 0, rows), (transforms.flip_horizontal, 1, columns))
    matrices = matrices.copy()
    for chosen, axis, size in flips:
        matrices[chosen, :, 2] += matrices[chosen, :, axis] * (size - 1)
        matrices[chosen, :, axis] *= -1
    return matrices


def apply_affine(
    images: np.ndarray,
    transforms: Transforms,
    *,
    compat: str,
    fill_mode: str,
    cval: float,
    order: int,
    dtype: np.dtype,
    scale: float | None = None,
    threads: int | None = None,
) -> np.ndarray:
    """Images moved and flipped; an image that does not move stays as it is, bit for bit.

    Args:
        images: (N, H, W, C) uint8 or float32.
        fill_mode, cval, order: as for `warp`.
        dtype: of the result, uint8 or float32.
        scale: factor of the result, or None.
        threads: as for `warp`.
    """
    rows, columns = images.shape[1:3]
    moves = transforms.moves
    # Keras flips what the affine transform gave. One matrix for both is the same but for roundings of 1e-14 of a pixel,
    # which tell where a coordinate lies on an edge to the pixel; splines are only then exact where nothing moves.
    at_once = compat not in KERAS and order <= 1
    if moves.any():
        matrices = affine_matrices(transforms, rows, columns, compat)
        if at_once:
            matrices = flipped_matrices(matrices, transforms, rows, columns)
        factors = None if scale is None else np.full(len(images), scale)

        def warped(some: np.ndarray | slice) -> np.ndarray:
            return warp(
                images[some],
                matrices[some],
                order=order,
                fill_mode=fill_mode,
                cval=cval,
                dtype=dtype,
                scale=None if factors is None else factors[some],
                threads=threads,
            )

    if moves.all():
        result = warped(slice(None))
    else:
        result = scaled(images, dtype, scale)
        if moves.any():
            result[moves] = warped(moves)
    for flip, axis in ((transforms.flip_horizontal, 2), (transforms.flip_vertical, 1)):
        chosen = flip & ~moves if at_once else flip
        if chosen.any():
            result[chosen] = np.flip(result[chosen], axis)
    return result


def scaled(images: np.ndarray, dtype: np.dtype, scale: float | None) -> np.ndarray:
    """A copy of images, of another type or times a factor; then it is float32."""
    return images.astype(dtype) if scale is None else np.multiply(images, np.float32(scale), dtype=np.float32)
