"""Changes of one image (H, W, C), C 1 or 3: uint8, or float32 from 0 to 255. None writes to its argument.

On uint8 they give what Pillow's `ImageEnhance` and `ImageOps` give, bit for bit; on floats the same without rounding,
apart from `equalize`, which counts whole values.
"""

from __future__ import annotations

import numpy as np

# Rec. 601, in units of 2^-16 as Pillow has them
GREY = (19595, 38470, 7471)


def luminance(image: np.ndarray) -> np.ndarray:
    """Brightness of each pixel, (H, W, 1), in the image's dtype."""
    if image.shape[2] == 1:
        return image
    if image.dtype != np.uint8:
        shares = np.array(GREY, np.float32) / np.float32(2**16)
        return sum((image[..., c] * shares[c] for c in (1, 2)), image[..., 0] * shares[0])[..., None]
    red, green, blue = (image[..., c].astype(np.uint32) for c in range(3))
    for plane, weight in zip((red, green, blue), GREY, strict=True):
        plane *= np.uint32(weight)
    red += green
    red += blue
    red += np.uint32(2**15)
    red >>= np.uint32(16)
    return red.astype(np.uint8)[..., None]


def blend(base: np.ndarray | float, image: np.ndarray, factor: float) -> np.ndarray:
    """base + factor * (image - base), kept within 0 to 255; rounded down for uint8."""
    low = base if np.isscalar(base) else np.asarray(base, np.float32)
    out = np.subtract(image, low, dtype=np.float32)
    out *= np.float32(factor)
    out += low
    return finish(out, image.dtype)


def finish(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float32 `values`, which may be written over, kept within 0 to 255, rounded down for uint8."""
    np.clip(values, np.float32(0), np.float32(255), out=values)
    return values.astype(dtype, copy=False)


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """0 is black, 1 the image."""
    return blend(0.0, image, factor)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """0 is the mean grey of the image, 1 the image."""
    mean = float(luminance(image).mean(dtype=np.float64))
    return blend(float(int(mean + 0.5)) if image.dtype == np.uint8 else mean, image, factor)


def saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """0 is the image in grey, 1 the image."""
    return blend(luminance(image), image, factor)


def sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """0 is the image smoothed by (1 1 1, 1 5 1, 1 1 1) / 13, its outermost pixels as they are, 1 the image."""
    return blend(_smooth(image), image, factor)


def _smooth(image: np.ndarray) -> np.ndarray:
    if min(image.shape[:2]) < 3:
        return image
    sums: np.ndarray = image.astype(np.uint16 if image.dtype == np.uint8 else np.float32)
    rows: np.ndarray = sums[:-2] + sums[1:-1]
    rows += sums[2:]
    inner: np.ndarray = rows[:, :-2] + rows[:, 1:-1]
    inner += rows[:, 2:]
    middle: np.ndarray = sums[1:-1, 1:-1]
    middle *= 4
    inner += middle
    out = image.copy()
    if image.dtype == np.uint8:
        inner *= 2
        inner += 13
        inner //= 26  # to the nearest; 13 is odd, so nothing lies half-way
        out[1:-1, 1:-1] = inner
    else:
        np.divide(inner, np.float32(13), out=out[1:-1, 1:-1])
    return out


def to_dtype(values: np.ndarray, dtype: np.dtype, cut: bool = False) -> np.ndarray:
    """Float32 `values` in another dtype; whole numbers are rounded, or cut off behind the point, and kept within what
    the dtype can hold.
    """
    if values.dtype == dtype or dtype.kind not in "biu":
        return values.astype(dtype, copy=False)
    whole = np.trunc(values) if cut else np.rint(values)
    if dtype.kind == "b":
        return whole.astype(dtype)
    limits = np.iinfo(dtype)
    low, high = np.float32(limits.min), np.float32(limits.max)
    if int(high) > limits.max:
        high = np.nextafter(high, np.float32(0))
    return np.clip(whole, low, high).astype(dtype)


def invert(image: np.ndarray) -> np.ndarray:
    """The negative."""
    return np.subtract(255, image, dtype=image.dtype)


def solarize(image: np.ndarray, threshold: float) -> np.ndarray:
    """The negative of all values from `threshold` on."""
    return np.where(image < threshold, image, invert(image))


def posterize(image: np.ndarray, bits: int) -> np.ndarray:
    """The upper `bits` of 8 bits of each value."""
    step = 2 ** (8 - bits)
    if image.dtype == np.uint8:
        return image & np.uint8(256 - step)
    return np.floor(image / np.float32(step)) * np.float32(step)


def autocontrast(image: np.ndarray) -> np.ndarray:
    """Each channel stretched to go from 0 to 255, unless it has one value only."""
    low, high = (edge(edge(image, axis=0), axis=0).astype(np.float64) for edge in (np.min, np.max))
    spread = high - low
    flat = spread <= 0
    scale = np.where(flat, 1.0, 255.0 / np.where(flat, 1.0, spread))
    offset = np.where(flat, 0.0, -low * scale)
    if image.dtype != np.uint8:
        return finish(image * scale.astype(np.float32) + offset.astype(np.float32), image.dtype)
    values = np.arange(256)[:, None] * scale + offset
    return look_up(image, np.clip(values, 0, 255).astype(np.uint8))


def equalize(image: np.ndarray) -> np.ndarray:
    """Each channel mapped so that its values are spread as evenly as a table can (Pillow's rule)."""
    whole = image if image.dtype == np.uint8 else finish(image + np.float32(0.5), np.dtype(np.uint8))
    tables = np.stack([_equalizing(whole[..., c]) for c in range(image.shape[2])], 1)
    return look_up(whole, tables).astype(image.dtype, copy=False)


def _equalizing(channel: np.ndarray) -> np.ndarray:
    counts = np.bincount(channel.ravel(), minlength=256)
    present = np.flatnonzero(counts)
    step = (channel.size - counts[present[-1]]) // 255
    if len(present) < 2 or step == 0:
        return np.arange(256, dtype=np.uint8)
    before = np.cumsum(counts) - counts
    return np.minimum((before + step // 2) // step, 255).astype(np.uint8)


def look_up(image: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Each channel of a uint8 image through its column of `tables` (256, C)."""
    out = np.empty_like(image)
    for c in range(image.shape[2]):
        out[..., c] = np.take(np.ascontiguousarray(tables[:, c]), image[..., c], mode="wrap")
    return out


def scaled(image: np.ndarray, factor: float, offset: float) -> np.ndarray:
    """factor * image + offset, kept within 0 to 255, rounded to the nearest for uint8."""
    out = np.multiply(image, np.float32(factor), dtype=np.float32)
    out += np.float32(offset + _half(image))
    return finish(out, image.dtype)


def mix_channels(image: np.ndarray, matrix: np.ndarray, offset: float) -> np.ndarray:
    """matrix (3, 3) @ colour + offset, kept within 0 to 255, rounded to the nearest for uint8."""
    weights, shift = matrix.astype(np.float32), np.float32(offset + _half(image))
    planes = [image[..., c].astype(np.float32) for c in range(3)]
    out = np.empty(image.shape, image.dtype)
    total, term = np.empty_like(planes[0]), np.empty_like(planes[0])
    for k in range(3):  # plane by plane: a matrix product of three terms is slower, and its bits are up to BLAS
        np.multiply(planes[0], weights[k, 0], out=total)
        for c in (1, 2):
            np.multiply(planes[c], weights[k, c], out=term)
            total += term
        total += shift
        out[..., k] = finish(total, image.dtype)
    return out


def _half(image: np.ndarray) -> float:
    return 0.5 if image.dtype == np.uint8 else 0.0
