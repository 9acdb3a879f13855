"""Reading and writing safetensors files: arrays by name, and one JSON document about them.

A file is an 8-byte length, a JSON header of that many bytes (name -> type, shape, byte range), then the
arrays' bytes.
Source: the format's description, https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from cnnfast.formats.atomic import atomic_write
from cnnfast.formats.contents import Contents, Refused, put
from cnnfast.formats.numbers import from_bfloat16
from cnnfast.formats.strict_json import dump, member, of_kind, only_keys, parse, short

SUFFIX = ".safetensors"
MAX_HEADER_BYTES = 100_000_000
_MAX_RANK = 32  # what every NumPy can hold
_MAX_ELEMENTS = 2**59  # so that bytes fit in 63 bits
_ITEM_BYTES = {
    "BOOL": 1,
    "F16": 2,
    "F32": 4,
    "F64": 8,
    "I16": 2,
    "I32": 4,
    "I64": 8,
    "I8": 1,
    "U16": 2,
    "U32": 4,
    "U64": 8,
    "U8": 1,
}
_FOREIGN_ITEM_BYTES = {"BF16": 2}  # read from other libraries' files, never written
_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}  # those that weights have
_DOCUMENT = "cnnfast"  # the one entry of the metadata, so that equal contents give equal files


def checked_path(path: Any) -> str:
    """`path` as a string. ValueError unless it ends in .safetensors, TypeError if it is no path."""
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"expected the path of a file, got {path!r}") from None
    if not name.endswith(SUFFIX):
        raise ValueError(f"files are kept as {SUFFIX}, got {name!r}; give a path that ends in {SUFFIX}")
    return name


def write(path: Any, arrays: Mapping[str, np.ndarray], document: dict[str, Any]) -> None:
    """Writes arrays and a document, atomically.

    Args:
        path: ends in .safetensors.
        arrays: by name.
        document: what JSON can hold.

    Raises:
        ValueError: another ending, a document that JSON cannot hold or that makes the header too large.
        OSError: the file cannot be written; the old one is untouched.
    """
    from safetensors.numpy import save

    name = checked_path(path)
    metadata = {_DOCUMENT: dump(document, name)}
    names = sum(len(key.encode()) + 128 for key in arrays)
    if len(dump(metadata[_DOCUMENT], name)) + names > MAX_HEADER_BYTES:
        raise ValueError(f"{name}: the description of the model needs more than {MAX_HEADER_BYTES} bytes")
    contiguous = {key: np.asarray(array, order="C") for key, array in arrays.items()}
    data = save(contiguous, metadata)
    with atomic_write(name) as temporary, open(temporary, "wb") as f:  # save_file would give the file its own mode
        f.write(data)


def read(path: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the document of a file that `write` made.

    The whole file is read first and its header checked by the format's rules; only then is it parsed. What
    was checked is what is parsed, even if the file changes meanwhile.

    Raises:
        ValueError: another ending, not a safetensors file, one that breaks the format's rules, or without a
            document.
        OSError: the file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    name = checked_path(path)
    data = _contents(name)
    metadata = check(data, name)
    if _DOCUMENT not in metadata:
        raise ValueError(f"{name}: not a file of cnnfast: the metadata have no entry {_DOCUMENT!r}")
    document = of_kind(f"{name}: the document", parse(metadata[_DOCUMENT], name), dict)
    try:
        return load(data), document
    except SafetensorError as error:
        raise ValueError(f"{name}: not a valid safetensors file: {error}") from None


def read_foreign(file: BinaryIO, size: int) -> Contents:
    """The arrays of a safetensors file of another library. Integer ones hold no weights and are left out.

    Args:
        file: open for reading.
        size: of the file in bytes.

    Raises:
        ValueError: a broken rule of the format.
    """
    data = file.read()
    try:
        _, header, start = _checked_header(data, "the contents", _ITEM_BYTES | _FOREIGN_ITEM_BYTES)
    except ValueError as error:
        raise Refused(str(error)) from None
    arrays: dict[str, np.ndarray] = {}
    for name, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            continue
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        begin = start + entry["data_offsets"][0]
        numbers = np.frombuffer(data, dtype, math.prod(entry["shape"]), begin).reshape(entry["shape"])
        put(arrays, name, from_bfloat16(numbers) if entry["dtype"] == "BF16" else numbers)
    return Contents("safetensors", arrays)


def is_ours(file: BinaryIO) -> bool:
    """Whether an open file has the document that `write` adds. What looks wrong is not judged here."""
    begin = file.read(8)
    header = file.read(min(int.from_bytes(begin, "little"), MAX_HEADER_BYTES))
    file.seek(0)
    try:
        metadata = json.loads(header)["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return isinstance(metadata, dict) and _DOCUMENT in metadata


def check(data: bytes, name: str) -> dict[str, str]:
    """Checks a safetensors file by the format's rules and returns its metadata.

    Args:
        data: the whole file.
        name: of the file, for messages.

    Raises:
        ValueError: a rule is broken.
    """
    return _checked_header(data, name, _ITEM_BYTES)[0]


def _checked_header(
    data: bytes, name: str, item_bytes: Mapping[str, int]
) -> tuple[dict[str, str], dict[str, dict[str, Any]], int]:
    """The metadata, the tensors' descriptions, and where their data begin."""
    if len(data) < 8:
        raise ValueError(f"{name}: not a safetensors file: {len(data)} bytes are too few for the header's length")
    size = int.from_bytes(data[:8], "little")
    if size > min(MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError(
            f"{name}: not a whole safetensors file: its header should have {size} bytes; "
            f"{len(data) - 8} follow, at most {MAX_HEADER_BYTES} are allowed"
        )
    if data[8:9] != b"{":
        raise ValueError(f"{name}: not a safetensors file: the header begins with {data[8:9]!r} instead of b'{{'")
    try:
        text = data[8 : 8 + size].decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: the header is not UTF-8: {error}") from None
    header = of_kind(f"{name}: the header", parse(text, f"{name}: header"), dict)
    metadata = _checked_metadata(name, header.pop("__metadata__", {}))
    ranges = sorted(_byte_range(f"{name}: tensor {short(key)}", entry, item_bytes) for key, entry in header.items())
    _check_cover(name, ranges, len(data) - 8 - size)
    return metadata, header, 8 + size


def _contents(name: str) -> bytes:
    """The bytes of a file; neither a folder nor a pipe nor a device, which might never end."""
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise ValueError(f"{name}: expected a file, got a folder, a pipe or a device")
    with open(name, "rb") as f:
        return f.read()


def _checked_metadata(name: str, metadata: Any) -> dict[str, str]:
    checked = of_kind(f"{name}: the metadata", metadata, dict)
    for key, value in checked.items():
        of_kind(f"{name}: the metadata's {short(key)}", value, str)
    return checked


def _byte_range(what: str, entry: Any, item_bytes: Mapping[str, int]) -> tuple[int, int]:
    """(begin, end) of a tensor in the file's data, which must fit its type and shape."""
    dtype = member(what, entry, "dtype", str)
    shape = member(what, entry, "shape", list)
    offsets = member(what, entry, "data_offsets", list)
    only_keys(what, entry, {"dtype", "shape", "data_offsets"})
    if dtype not in item_bytes:
        raise ValueError(f"{what} has the unknown type {short(dtype)}; known: {', '.join(item_bytes)}")
    if len(shape) > _MAX_RANK or not all(type(d) is int and d >= 0 for d in shape):
        raise ValueError(f"{what} needs a shape of at most {_MAX_RANK} whole numbers >= 0, got {short(shape)}")
    if len(offsets) != 2 or not all(type(o) is int and o >= 0 for o in offsets):
        raise ValueError(f"{what} needs data_offsets of two whole numbers >= 0, got {short(offsets)}")
    if math.prod(d or 1 for d in shape) > _MAX_ELEMENTS:  # a zero must not hide what no array can be
        raise ValueError(f"{what} has a shape that no array can have: {short(shape)}")
    begin, end = offsets
    wanted = math.prod(shape) * item_bytes[dtype]
    if end - begin != wanted:
        raise ValueError(f"{what} of type {dtype} and shape {shape} needs {wanted} bytes, its offsets are {offsets}")
    return begin, end


def _check_cover(name: str, ranges: list[tuple[int, int]], size: int) -> None:
    """The ranges must follow each other without gap or overlap, and end where the file ends."""
    at = 0
    for begin, end in ranges:
        if begin != at:
            raise ValueError(f"{name}: a tensor should begin at byte {at} of the data, it begins at {begin}")
        at = end
    if at != size:
        raise ValueError(f"{name}: not a whole safetensors file: the tensors need {at} bytes of data, it has {size}")
