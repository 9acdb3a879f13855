"""NumPy's .npz: a zip file of arrays. Nothing pickled is read.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import io
import math
from typing import BinaryIO

import numpy as np

from cnnfast.formats.contents import Contents, Refused, put
from cnnfast.formats.numbers import MAX_RANK
from cnnfast.formats.strict_json import short
from cnnfast.formats.zip_archive import ZipArchive

_SUFFIX = ".npy"
_MAX_HEADER = 10_000  # characters, NumPy's own limit


def read(file: BinaryIO, size: int) -> Contents:
    """The arrays of an .npz file. ValueError if it holds anything else, or objects."""
    archive = ZipArchive(file, size)
    arrays: dict[str, np.ndarray] = {}
    for name in archive.names:
        if not name.endswith(_SUFFIX):
            raise Refused(f"entry {short(name)} is not an array (.npy)")
        put(arrays, name.removesuffix(_SUFFIX), _array(name, archive.read(name)))
    return Contents("npz", arrays)


def _array(name: str, data: bytes) -> np.ndarray:
    """An array from the bytes of a .npy file, which must hold as many numbers as its header says."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream, max_header_size=_MAX_HEADER)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream, max_header_size=_MAX_HEADER)
    else:
        raise Refused(f"{short(name)} has version {version} of the .npy format, expected 1.0 or 2.0")
    shape, by_columns, dtype = header
    if dtype.kind != "f":
        raise Refused(f"{short(name)} must hold floating-point numbers, it holds {dtype}")
    if len(shape) > MAX_RANK or not all(type(d) is int and d >= 0 for d in shape):
        raise Refused(f"{short(name)} has the impossible shape {short(shape)}")
    needed, left = math.prod(shape) * dtype.itemsize, len(data) - stream.tell()
    if needed != left:
        raise Refused(f"{short(name)} of shape {short(shape)} needs {needed} bytes, it has {left}")
    numbers = np.frombuffer(data, dtype, offset=stream.tell())
    return numbers.reshape(shape, order="F" if by_columns else "C")
