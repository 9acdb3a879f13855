"""Tensors as PyTorch pickles them: a storage of numbers, and how a tensor lies in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast.formats.contents import Refused
from cnnfast.formats.numbers import MAX_RANK, from_bfloat16
from cnnfast.formats.pickle_machine import Globals, Rebuild
from cnnfast.formats.strict_json import short

_BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class StorageType:
    """What a storage holds: a type of NumPy, or bfloat16."""

    dtype: str

    @property
    def is_float(self) -> bool:
        return self.dtype == _BFLOAT16 or np.dtype(self.dtype).kind == "f"

    @property
    def itemsize(self) -> int:
        return 2 if self.dtype == _BFLOAT16 else np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Storage:
    """`count` numbers that the file keeps under `key`."""

    kind: StorageType
    key: str
    count: int

    @property
    def nbytes(self) -> int:
        return self.count * self.kind.itemsize

    def numbers(self, data: bytes, order: str) -> np.ndarray:
        """The storage's numbers. ValueError if there are fewer or more bytes than it has."""
        if len(data) != self.nbytes:
            raise Refused(f"storage {short(self.key)} needs {self.nbytes} bytes, it has {len(data)}")
        bfloat16 = self.kind.dtype == _BFLOAT16
        dtype = np.dtype("uint16" if bfloat16 else self.kind.dtype).newbyteorder("<" if order == "little" else ">")
        numbers = np.frombuffer(data, dtype)
        return from_bfloat16(numbers) if bfloat16 else numbers


@dataclass(frozen=True)
class Tensor:
    """A storage, where in it the tensor begins, and its sizes and steps in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.storage.kind.itemsize

    def check(self, name: str) -> None:
        """ValueError unless all of the tensor lies in its storage, and no number of it is met twice."""
        rank = len(self.shape)
        whole = (self.offset, *self.shape, *self.strides)
        if rank > MAX_RANK or len(self.strides) != rank or not all(type(n) is int and n >= 0 for n in whole):
            raise Refused(
                f"tensor {short(name)} has the impossible sizes {short(self.shape)}, steps {short(self.strides)} or "
                f"offset {short(self.offset)}"
            )
        count = math.prod(self.shape)
        last = self.offset + sum((d - 1) * s for d, s in zip(self.shape, self.strides, strict=True))
        if count > self.storage.count or (count and last >= self.storage.count):
            raise Refused(
                f"tensor {short(name)} of shape {self.shape}, steps {self.strides} and offset {self.offset} goes "
                f"beyond its storage of {self.storage.count} numbers"
            )

    def view(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor in the numbers of its storage, after `check`."""
        if not math.prod(self.shape):
            return np.empty(self.shape, numbers.dtype)
        steps = tuple(s * numbers.itemsize for s in self.strides)
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps, writeable=False)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """Of a tensor that requires a gradient, or has hooks or metadata, only the numbers matter here."""
    if type(storage) is not Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise Refused("the pickle makes a tensor of something other than a storage, sizes and steps")
    return Tensor(storage, offset, shape, strides)


def _rebuild_parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise Refused("the pickle makes a parameter of something other than a tensor")
    return data


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    """An OrderedDict, which pickle fills afterwards; Python 2 gave its items as a list of pairs."""
    if type(items) not in (tuple, list) or items:
        raise Refused("the pickle makes an ordered dictionary in an unusual way")
    return {}


def _size(items: Any) -> tuple[Any, ...]:
    if type(items) is not tuple:
        raise Refused("the pickle makes a torch.Size of something other than a tuple")
    return items


_STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}

# All that a pickle may name. A state dict needs the first four; the rest stand in training scripts' dictionaries.
GLOBALS: Globals = {
    "collections.OrderedDict": Rebuild(_ordered_dict, 0, 1),
    "torch._utils._rebuild_tensor_v2": Rebuild(_rebuild_tensor, 6, 7),
    **{f"torch.{name}": StorageType(dtype) for name, dtype in _STORAGES.items()},
    **{f"torch.cuda.{name}": StorageType(dtype) for name, dtype in _STORAGES.items()},
    "torch._utils._rebuild_tensor": Rebuild(_rebuild_tensor, 4, 4),
    "torch._utils._rebuild_parameter": Rebuild(_rebuild_parameter, 3, 3),
    "torch.Size": Rebuild(_size, 1, 1),
}
