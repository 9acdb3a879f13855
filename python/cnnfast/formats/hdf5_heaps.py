"""The global heaps of an HDF5 file, where texts of any length lie, checked before HDF5 reads them.

The HDF5 library walks through a heap from object to object by their sizes and does not end where one says 0; and
a list may name one long text any number of times, which it would copy each time. Here all heaps of a file are
walked through first. Source: HDF5 File Format Specification 3.0, II and III.E.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from cnnfast.formats.contents import Refused

_HEADER = 16  # bytes before a heap's first object: signature, version, reserved, size
_OBJECT = 16  # bytes before an object's data: number, references, reserved, size
_BLOCK = 2**20


def largest_text(file: BinaryIO, size: int) -> int:
    """How many bytes the longest text in the heaps of a file can have; 0 if there are none.

    Args:
        file: open for reading; its position is kept.
        size: of the file in bytes.

    Raises:
        ValueError: a heap that is damaged, or another width of lengths than 8 bytes.
    """
    at = file.tell()
    try:
        file.seek(0)
        _check_width(file.read(16))
        return max((_largest_object(file, begin, size) for begin in list(_heaps(file))), default=0)
    finally:
        file.seek(at)


def _check_width(superblock: bytes) -> None:
    """Offsets and lengths have 8 bytes in every file that h5py writes; other widths are not worked out here."""
    widths = superblock[13:15] if superblock[8] < 2 else superblock[9:11]
    if widths != b"\x08\x08":
        raise Refused(f"the HDF5 file has offsets and lengths of {list(widths)} bytes, expected 8")


def _heaps(file: BinaryIO) -> Iterator[int]:
    """Where heaps begin: all places with their signature, whether or not anything refers to them."""
    file.seek(0)
    begin, rest = 0, b""
    while block := file.read(_BLOCK):
        text = rest + block
        for found in re.finditer(rb"GCOL\x01", text):
            yield begin + found.start()
        rest = text[-4:]
        begin += len(text) - len(rest)


def _largest_object(file: BinaryIO, begin: int, size: int) -> int:
    """The size of a heap's largest object. Objects must follow each other up to the heap's end."""
    file.seek(begin + 8)
    end = begin + int.from_bytes(file.read(8), "little")
    if not begin + _HEADER <= end <= size:
        raise Refused(f"the heap at byte {begin} of the HDF5 file is not whole")
    largest, at = 0, begin + _HEADER
    while end - at >= _OBJECT:
        file.seek(at)
        head = file.read(_OBJECT)
        number, length = int.from_bytes(head[:2], "little"), int.from_bytes(head[8:], "little")
        taken = length if number == 0 else _OBJECT + -(-length // 8) * 8  # number 0 is free space, its head included
        if taken < _OBJECT or taken > end - at:
            raise Refused(f"the heap at byte {begin} of the HDF5 file has an object of {length} bytes at byte {at}")
        if number:
            largest = max(largest, length)
        at += taken
    return largest
