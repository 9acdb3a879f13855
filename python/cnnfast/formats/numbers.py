"""Numbers of files as float32."""

from __future__ import annotations

import numpy as np

from cnnfast.formats.contents import Refused
from cnnfast.formats.strict_json import short

MAX_RANK = 32  # what every NumPy can hold


def as_float32(name: str, array: np.ndarray) -> np.ndarray:
    """The array in float32, C-contiguous, writable and nobody else's.

    Args:
        name: of the array, for messages.
        array: of float16, float32 or float64, in any order of bytes.

    Raises:
        ValueError: another type, or a number that float32 cannot hold.

    Example:
        >>> as_float32("w", np.array([1.5], ">f8"))
        array([1.5], dtype=float32)
    """
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise Refused(f"{short(name)} must hold floating-point numbers of 16, 32 or 64 bits, it holds {array.dtype}")
    try:
        with np.errstate(over="raise"):
            return np.array(array, dtype=np.float32, order="C")
    except FloatingPointError:
        raise Refused(f"{short(name)} holds numbers too large for float32") from None


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """float32 numbers of bfloat16 ones, given as unsigned 16-bit integers: the upper halves of float32.

    Example:
        >>> from_bfloat16(np.array([0x3FC0], np.uint16))
        array([1.5], dtype=float32)
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)
