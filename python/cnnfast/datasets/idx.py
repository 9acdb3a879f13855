"""The idx file format of MNIST and its relatives (EMNIST, KMNIST, Fashion-MNIST).

An idx file is big-endian: two zero bytes, a type code, the rank, one 32-bit length per dimension, then the
values in C order (the format is described on http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from cnnfast.datasets._store import check_sha256

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_RANK = 8
_MAX_DEFLATE_RATIO = 1032  # zlib's technical notes, "Maximum Compression Factor"


def read_idx(path: str | os.PathLike[str], *, sha256: str | None = None) -> np.ndarray:
    """Read one idx file, compressed with gzip (name ends in ``.gz``) or not.

    The header is checked against the size of the file before anything is allocated, so a damaged or hostile
    file cannot ask for more memory than its own content can fill.

    Args:
        path: the file.
        sha256: expected SHA-256 of the uncompressed content, in hexadecimal; not checked if None.

    Returns:
        A new array in native byte order, for example uint8 (60000, 28, 28).

    Raises:
        ValueError: the file is no idx file, is truncated or too long, or has another digest.
        OSError: the file cannot be read.

    Example:
        >>> import pathlib
        >>> from cnnfast.datasets.idx import read_idx
        >>> file = pathlib.Path("labels-idx1-ubyte")
        >>> _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        >>> read_idx(file)
        array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    compressed = path.suffix == ".gz"
    bound = path.stat().st_size * (_MAX_DEFLATE_RATIO if compressed else 1)
    try:
        with gzip.open(path) if compressed else open(path, "rb") as file:
            header, dtype, shape = _read_header(cast(BinaryIO, file), path, bound)
            size = math.prod(shape) * dtype.itemsize
            data = file.read(size + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"read_idx: {path} is no complete gzip file: {error}") from error
    if len(data) != size:
        found = "more" if len(data) > size else f"only {len(data)}"
        raise ValueError(f"read_idx: {path} promises {size} bytes for shape {shape}, has {found}")
    if sha256 is not None:
        digest = hashlib.sha256(header)
        digest.update(data)
        check_sha256(path, digest.hexdigest(), sha256)
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read_header(file: BinaryIO, path: Path, bound: int) -> tuple[bytes, np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or not 1 <= magic[3] <= _MAX_RANK:
        raise ValueError(f"read_idx: {path} is no idx file: it begins with {magic.hex(' ') or 'nothing'}")
    dtype, rank = np.dtype(_DTYPES[magic[2]]), magic[3]
    lengths = file.read(4 * rank)
    if len(lengths) < 4 * rank:
        raise ValueError(f"read_idx: {path} ends after {4 + len(lengths)} bytes of its {4 + 4 * rank} byte header")
    shape = struct.unpack(f">{rank}I", lengths)
    if math.prod(shape) * dtype.itemsize > bound:
        raise ValueError(f"read_idx: {path} is too small to hold the shape {shape} that it promises")
    return magic + lengths, dtype, shape
