"""Zip files that may be hostile: what they unpack to is bounded before anything is unpacked."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from cnnfast.formats.contents import Refused
from cnnfast.formats.strict_json import short

MAX_ENTRIES = 100_000
MAX_EXPANSION = 64  # bytes unpacked for each byte of the file; weights hardly shrink, a bomb grows a thousandfold
_ENCRYPTED = 0x1  # of an entry's flags


class ZipArchive:
    """The entries of a zip file, checked.

    Args:
        file: open for reading.
        size: of the file in bytes.

    Raises:
        ValueError: not a zip file, too many entries, two of one name, encrypted ones, another compression than
            none or deflate, or more than 64 times the file's size when unpacked.
    """

    def __init__(self, file: BinaryIO, size: int):
        try:
            self._zip = zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            raise Refused(f"not a whole zip file: {error}") from None
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES:
            raise Refused(f"the zip file has {len(entries)} entries, at most {MAX_ENTRIES} are allowed")
        self._entries = {entry.filename: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise Refused("the zip file has two entries of one name")
        for entry in entries:
            if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused(f"entry {short(entry.filename)} of the zip file is encrypted or packed in an unknown way")
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > MAX_EXPANSION * size:
            raise Refused(f"the zip file has {size} bytes and would unpack to {unpacked}: more than {MAX_EXPANSION}x")

    @property
    def names(self) -> list[str]:
        """The entries' names, in the order of the file's directory."""
        return list(self._entries)

    def size(self, name: str) -> int:
        """How many bytes an entry says it has when unpacked. ValueError if there is none."""
        if name not in self._entries:
            raise Refused(f"the zip file has no entry {short(name)}")
        return self._entries[name].file_size

    def expansion(self, name: str) -> float:
        """How many bytes an entry of this archive unpacks to for each of its bytes in the file."""
        return self.size(name) / max(self._entries[name].compress_size, 1)

    def read(self, name: str, limit: int | None = None) -> bytes:
        """An entry's bytes.

        Raises:
            ValueError: no such entry, more bytes than `limit`, damaged bytes, or other than it says there are.
        """
        size = self.size(name)
        if limit is not None and size > limit:
            raise Refused(f"entry {short(name)} has {size} bytes, at most {limit} are allowed")
        try:
            with self._zip.open(self._entries[name]) as f:
                data = f.read(size + 1)
        except zipfile.BadZipFile as error:
            raise Refused(f"entry {short(name)} is damaged: {error}") from None
        if len(data) != size:
            raise Refused(f"entry {short(name)} should have {size} bytes, it has {len(data)} or more")
        return data
