"""Affine warps of batches of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from cnnfast.ops import engine

FILL_MODES = ("nearest", "constant", "reflect", "wrap")
_DTYPES = (np.dtype(np.uint8), np.dtype(np.float32))
_MOST_PIXELS = 2**31 - 1


def warp(
    images: ArrayLike,
    matrices: ArrayLike,
    *,
    size: Sequence[int] | None = None,
    order: int = 1,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    dtype: DTypeLike | None = None,
    scale: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    threads: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Each image read through an affine map: what `scipy.ndimage.affine_transform` gives for each channel.

    Output pixel (p, q) is the image's value at (row, column) = M @ (p, q, 1), in pixels, the centre of the first at
    (0, 0).

    Args:
        images: (N, H, W, C), uint8 or float32.
        matrices: (N, 2, 3), finite.
        size: rows and columns of the output; those of the images by default.
        order: of the spline that goes through the pixels: 0 takes the nearest pixel, 1 is bilinear, 2 to 5 are
            B-splines.
        fill_mode: what lies outside an image: "nearest" repeats its edge, "constant" is `cval`, "reflect" mirrors it
            (abcd|dcba), "wrap" repeats it with a period of one pixel less than its size, as in SciPy.
        cval: of fill mode "constant".
        dtype: of the result, uint8 or float32; that of the images by default.
        scale, offset: (N,) or (N, C): the result is `scale * warped + offset`, before rounding.
        threads: None for all of the engine's, which then works for nobody else; 1 for the calling thread alone, which
            does not wait for the engine. The result is the same, bit for bit.
        out: array (N, P, Q, C) for the result, C-contiguous and apart from the images.

    Returns:
        (N, P, Q, C); uint8 is rounded to nearest, upwards from the middle, and clipped to 0 to 255.

    Raises:
        TypeError: images, dtype or out neither uint8 nor float32.
        ValueError: other shapes, numbers that are not finite, an unknown order or mode, `out` overlapping the images.

    Example:
        >>> image = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
        >>> half_a_pixel_right = [[[1, 0, 0], [0, 1, -0.5]]]
        >>> warp(image, half_a_pixel_right)[0, ..., 0]
        array([[0. , 0.5, 1.5],
               [3. , 3.5, 4.5]], dtype=float32)

    Source: Unser, Aldroubi and Eden, "Fast B-spline transforms for continuous image representation and
    interpolation" (1991), for orders from 2.
    """
    x = _images(images)
    N, H, W, C = x.shape
    P, Q = (H, W) if size is None else _size(size)
    m = _finite("matrices", np.ascontiguousarray(matrices, dtype=np.float64))
    if m.shape != (N, 2, 3):
        raise ValueError(f"warp: matrices must be (N,2,3)=({N}, 2, 3), came {m.shape}")
    if isinstance(order, bool) or order not in range(6):
        raise ValueError(f"warp: order must be from 0 to 5, came {order!r}")
    if fill_mode not in FILL_MODES:
        raise ValueError(f"warp: fill_mode must be one of {', '.join(FILL_MODES)}, came {fill_mode!r}")
    if not np.isfinite(cval):
        raise ValueError(f"warp: cval must be finite, came {cval!r}")
    if threads not in (None, 1):
        raise ValueError(f"warp: threads must be None (the engine's) or 1 (the caller's), came {threads!r}")
    y = _result(x, (N, P, Q, C), dtype, out)
    if y.size and not H * W:
        raise ValueError(f"warp: images have no pixels, (N,H,W,C)={x.shape}")
    s, o = _per_channel("scale", scale, N, C), _per_channel("offset", offset, N, C)
    if s is not None or o is not None:
        s = np.ones((N, C), np.float32) if s is None else s
        o = np.zeros((N, C), np.float32) if o is None else o
    engine.warp_images(x, m, y, int(order), fill_mode, float(cval), s, o, threads == 1)
    return y


def _images(images: ArrayLike) -> np.ndarray:
    x = np.asarray(images)
    if x.ndim != 4:
        raise ValueError(f"warp: images must be (N,H,W,C), came shape {x.shape}")
    if x.dtype not in _DTYPES:
        raise TypeError(f"warp: images must be uint8 or float32, came {x.dtype}")
    if x.shape[1] * x.shape[2] > _MOST_PIXELS:
        raise ValueError(f"warp: an image must have fewer than 2^31 pixels, came (N,H,W,C)={x.shape}")
    return np.require(x, requirements=["C", "A"])


def _size(size: Sequence[int]) -> tuple[int, int]:
    sizes = tuple(size)
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in sizes)
    if len(sizes) != 2 or not whole or not all(0 < n <= _MOST_PIXELS for n in sizes):
        raise ValueError(f"warp: size must be (rows, columns), each at least 1, came {size!r}")
    return int(sizes[0]), int(sizes[1])


def _finite(what: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ValueError(f"warp: {what} must be finite, came {values[~np.isfinite(values)][0]}")
    return values


def _per_channel(what: str, values: ArrayLike | None, N: int, C: int) -> np.ndarray | None:
    """`scale` or `offset` as (N, C)."""
    if values is None:
        return None
    array = _finite(what, np.asarray(values, dtype=np.float32))
    if array.shape not in ((N,), (N, C)):
        raise ValueError(f"warp: {what} must be (N,)=({N},) or (N,C)=({N}, {C}), came {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array.reshape(N, -1), (N, C)))


def _result(x: np.ndarray, shape: tuple[int, ...], dtype: DTypeLike | None, out: np.ndarray | None) -> np.ndarray:
    if out is None:
        wanted = x.dtype if dtype is None else np.dtype(dtype)
        if wanted not in _DTYPES:
            raise TypeError(f"warp: dtype must be uint8 or float32, came {wanted}")
        return np.empty(shape, wanted)
    if not isinstance(out, np.ndarray) or out.dtype not in _DTYPES:
        raise TypeError(f"warp: out must be an array of uint8 or float32, came {getattr(out, 'dtype', type(out))}")
    if dtype is not None and out.dtype != np.dtype(dtype):
        raise TypeError(f"warp: out must be {np.dtype(dtype)}, came {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"warp: out must be (N,P,Q,C)={shape}, came {out.shape}")
    if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
        raise ValueError("warp: out must be C-contiguous, aligned and writeable")
    if np.may_share_memory(out, x):
        raise ValueError("warp: out must not overlap the images")
    return out
