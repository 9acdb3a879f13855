"""HDF5 files that may be hostile, behind the few things that files of weights need: groups, datasets, texts.

HDF5 can point out of its file: external links, external storage and virtual datasets read other files of this
computer (CVE-2026-1669). It can also describe endless data in few bytes. Here a name is looked up one step at a
time, through hard links only, and a dataset is read only if its bytes are in the file or are packed by deflate,
and all of them together stay within what a file of that size can hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np

from cnnfast.formats.contents import Refused
from cnnfast.formats.hdf5_heaps import largest_text
from cnnfast.formats.numbers import MAX_RANK, from_bfloat16
from cnnfast.formats.strict_json import short

MAX_OBJECTS = 100_000  # groups and datasets looked at
MAX_DEPTH = 32  # groups inside each other
MAX_EXPANSION = 64  # numbers' bytes for each byte of the file, where they are packed
_MAX_TEXTS = 2**30  # bytes of one attribute with texts
_MAX_NAME = 1000  # characters


def import_h5py() -> Any:
    """The package h5py. ImportError, with what to install, if there is none."""
    try:
        import h5py  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ImportError('HDF5 files need h5py: pip install "cnnfast[hdf5]"') from None
    return h5py


class Hdf5File:
    """An HDF5 file, opened for reading.

    Args:
        file: open for reading.
        size: of the file in bytes.
        outer: bytes of the file that it was unpacked from, if any; its numbers are counted against these.

    Raises:
        ImportError: h5py is not installed.
        OSError: HDF5 does not take the file.
    """

    def __init__(self, file: BinaryIO, size: int, outer: int | None = None):
        self._h5py = h5py = import_h5py()
        self._source, self._size = file, size
        self._most = MAX_EXPANSION * (size if outer is None else min(outer, size))
        self._objects = 0
        self._stored = self._unpacked = 0
        self._file = h5py.File(file, "r")
        self.root = Group(self, self._file, "", 0)

    def __enter__(self) -> Hdf5File:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def child(self, parent: Group, name: str) -> Group | Dataset:
        """What stands under a name, a single step, in a group."""
        path = f"{parent.path}/{name}"
        self._objects += 1
        if self._objects > MAX_OBJECTS or parent.depth >= MAX_DEPTH:
            raise Refused(f"the file has more than {MAX_OBJECTS} objects or groups more than {MAX_DEPTH} deep")
        link = parent.handle.get(name, getlink=True)
        if not isinstance(link, self._h5py.HardLink):
            raise Refused(f"{short(path)} is a link ({type(link).__name__}); links are not followed")
        item = parent.handle[name]
        if isinstance(item, self._h5py.Group):
            return Group(self, item, path, parent.depth + 1)
        if isinstance(item, self._h5py.Dataset):
            return Dataset(item, path)
        raise Refused(f"{short(path)} is neither a group nor a dataset")

    def is_text(self, dtype: Any) -> bool:
        """Whether a type is one of texts, of fixed or any length."""
        return dtype.kind == "S" or self._h5py.check_string_dtype(dtype) is not None

    @cached_property
    def largest_text(self) -> int:
        """Bytes of the longest text of any length; must be asked for before such a text is read."""
        return largest_text(self._source, self._size)

    def text(self, handle: Any, attribute: str) -> str | None:
        """A text kept as an attribute of a group or dataset; None if there is none, or something else."""
        if attribute not in handle.attrs:
            return None
        identifier = handle.attrs.get_id(attribute)
        if identifier.shape != () or not self.is_text(identifier.dtype):
            return None
        longest = identifier.dtype.itemsize if identifier.dtype.kind == "S" else self.largest_text
        if longest > _MAX_TEXTS:
            return None
        value = handle.attrs[attribute]
        value = value.decode("utf-8") if isinstance(value, bytes) else value
        return value if isinstance(value, str) and 0 < len(value) <= _MAX_NAME else None

    def numbers(self, wanted: Dataset) -> np.ndarray:
        """The contents of a dataset, after all that speaks against reading it."""
        dataset, path = wanted.handle, wanted.path
        shape, dtype = dataset.shape, dataset.dtype
        # of bfloat16 HDF5 knows nothing; Keras keeps its bytes and says so in an attribute
        bfloat16 = dtype.kind == "V" and dtype.itemsize == 2 and self.text(dataset, "dtype") == "bfloat16"
        if not bfloat16 and (dtype.kind != "f" or dtype.itemsize not in (2, 4, 8)):
            raise Refused(f"{short(path)} must hold floating-point numbers, it holds {short(str(dtype))}")
        if shape is None or len(shape) > MAX_RANK:
            raise Refused(f"{short(path)} has no shape or more than {MAX_RANK} dimensions")
        self._check_storage(dataset, path, math.prod(shape) * dtype.itemsize)
        numbers = np.asarray(dataset[()])
        return from_bfloat16(np.ascontiguousarray(numbers).view("<u2")) if bfloat16 else numbers

    def _check_storage(self, dataset: Any, path: str, needed: int) -> None:
        """The bytes of a dataset must lie in this file, unpacked or packed by deflate."""
        h5d, h5z = self._h5py.h5d, self._h5py.h5z
        properties = dataset.id.get_create_plist()
        if properties.get_external_count():
            raise Refused(f"{short(path)} keeps its numbers in another file; only the file itself is read")
        layout = properties.get_layout()
        if layout not in (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED):
            raise Refused(f"{short(path)} is a virtual dataset, put together from other files; these are not read")
        stored = dataset.id.get_storage_size()
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        allowed = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
        if not allowed.issuperset(filters):
            raise Refused(f"{short(path)} is packed by a filter other than deflate: {filters}")
        if needed > (stored if not filters else MAX_EXPANSION * stored):
            raise Refused(f"{short(path)} of shape {dataset.shape} needs {needed} bytes, the file has {stored} for it")
        self._stored += stored
        self._unpacked += needed
        if self._stored > self._size or self._unpacked > self._most:
            raise Refused(
                f"the file has {self._most // MAX_EXPANSION} bytes and describes {max(self._stored, self._unpacked)} "
                "and more"
            )
        if layout == h5d.CHUNKED and math.prod(dataset.chunks) * dataset.dtype.itemsize > self._most:
            raise Refused(f"{short(path)} has chunks of {dataset.chunks}: more than a file of {self._size} bytes holds")


@dataclass
class Dataset:
    """A dataset of an `Hdf5File`, not read yet: h5py's object and where it stands."""

    handle: Any
    path: str


class Group:
    """A group of an `Hdf5File`.

    Attributes:
        path: where it stands in the file.
        depth: how many groups it lies in.
        handle: h5py's group.
    """

    def __init__(self, file: Hdf5File, handle: Any, path: str, depth: int):
        self._file, self.handle, self.path, self.depth = file, handle, path, depth

    def __contains__(self, name: str) -> bool:
        return self.has_link(name)

    def has_link(self, name: str) -> bool:
        """Whether there is a link of this name; it is not followed, as `name in handle` might."""
        return bool(self.handle.id.links.exists(name.encode()))

    def names(self) -> list[str]:
        """The names of what is in the group."""
        if len(self.handle) > MAX_OBJECTS:
            raise Refused(f"group {short(self.path)} holds more than {MAX_OBJECTS} objects")
        return [str(name) for name in self.handle]

    def group(self, name: str) -> Group:
        """The group of a name, which may have several steps: "model/conv"."""
        found = self._find(name)
        if not isinstance(found, Group):
            raise Refused(f"{short(f'{self.path}/{name}')} should be a group, it is a dataset")
        return found

    def array(self, name: str) -> np.ndarray:
        """The numbers of a dataset, whose name may have several steps."""
        found = self._find(name)
        if isinstance(found, Group):
            raise Refused(f"{short(f'{self.path}/{name}')} should be a dataset, it is a group")
        return self._file.numbers(found)

    def children(self) -> Iterator[tuple[str, Group]]:
        """The groups in this group; datasets are passed over unread."""
        for name in self.names():
            found = self._file.child(self, name)
            if isinstance(found, Group):
                yield name, found

    def texts(self, attribute: str) -> list[str] | None:
        """A list of texts kept as an attribute, perhaps in parts `attribute0`, `attribute1`...; None if not there.

        HDF5 keeps at most 64 KiB in an attribute, hence the parts.
        """
        if attribute in self.handle.attrs:
            return self._texts(attribute)
        if f"{attribute}0" not in self.handle.attrs:
            return None
        texts: list[str] = []
        part = 0
        while f"{attribute}{part}" in self.handle.attrs:
            texts += self._texts(f"{attribute}{part}")
            part += 1
            if len(texts) > MAX_OBJECTS or part > MAX_OBJECTS:
                raise Refused(f"the list {attribute} of {short(self.path)} has more than {MAX_OBJECTS} entries")
        return texts

    def text(self, attribute: str) -> str | None:
        """A text kept as an attribute; None if there is none, or something else."""
        return self._file.text(self.handle, attribute)

    def _texts(self, attribute: str) -> list[str]:
        identifier = self.handle.attrs.get_id(attribute)
        shape, dtype = identifier.shape, identifier.dtype
        if shape is None or len(shape) != 1:
            raise Refused(f"the attribute {attribute} of {short(self.path)} must be a list of texts")
        if shape[0] == 0:
            return []  # Keras leaves the type of an empty list to NumPy
        if not self._file.is_text(dtype):
            raise Refused(f"the attribute {attribute} of {short(self.path)} must be a list of texts, it holds {dtype}")
        longest = dtype.itemsize if dtype.kind == "S" else self._file.largest_text
        if shape[0] * longest > _MAX_TEXTS:
            raise Refused(
                f"the attribute {attribute} of {short(self.path)} may hold {shape[0] * longest} bytes of text"
            )
        values = self.handle.attrs[attribute]
        return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]

    def _find(self, name: str) -> Group | Dataset:
        found: Group | Dataset = self
        for step in name.split("/"):
            if not isinstance(found, Group):
                raise Refused(f"{short(f'{self.path}/{name}')} leads through a dataset")
            if step in ("", ".") or not found.has_link(step):
                raise Refused(f"{short(f'{self.path}/{name}')} is not in the file")
            found = self._file.child(found, step)
        return found
