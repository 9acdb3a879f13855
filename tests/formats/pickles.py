"""PyTorch's files put together by hand, instruction by instruction, so that hostile ones can be made as well."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

PROTOCOL, STOP, MARK, REDUCE, BUILD = b"\x80\x02", b".", b"(", b"R", b"b"
MAGIC = 0x1950A86A20F9469CFC6C


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*items: bytes) -> bytes:
    return MARK + b"".join(items) + b"t"


def dictionary(items: Mapping[str, bytes]) -> bytes:
    return b"}" + MARK + b"".join(text(key) + value for key, value in items.items()) + b"u"


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + REDUCE


def storage(key: str, count: int, kind: str = "FloatStorage", module: str = "torch") -> bytes:
    return tuple_of(text("storage"), name(module, kind), text(key), text("cpu"), number(count)) + b"Q"


def tensor(of: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    hooks = called(name("collections", "OrderedDict"))
    sizes = (tuple_of(*map(number, values)) for values in (shape, strides))
    return called(name("torch._utils", "_rebuild_tensor_v2"), of, number(offset), *sizes, b"\x89", hooks)


def plain(key: str, array: np.ndarray) -> bytes:
    strides = tuple(s // array.itemsize for s in array.strides)
    return tensor(storage(key, array.size), 0, array.shape, strides)


def program(value: bytes) -> bytes:
    return PROTOCOL + value + STOP


def zipped(data_pkl: bytes, storages: Mapping[str, bytes], packing: int = zipfile.ZIP_STORED, **more: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as f:
        f.writestr("archive/data.pkl", data_pkl)
        for key, data in {**{f"data/{k}": v for k, v in storages.items()}, **more}.items():
            f.writestr(f"archive/{key}", data)
    return buffer.getvalue()


def legacy(data_pkl: bytes, storages: Mapping[str, np.ndarray]) -> bytes:
    system = dictionary({"protocol_version": number(1001), "little_endian": b"\x88"})
    keys = b"]" + MARK + b"".join(map(text, storages)) + b"e"
    head = b"".join(map(program, (number(MAGIC), number(1001), system)))
    numbers = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return head + data_pkl + program(keys) + numbers


ARRAYS: dict[str, Any] = {
    "conv.weight": np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2),
    "conv.bias": np.array([0.5, -1.0], np.float32),
}


def state_dict(arrays: Mapping[str, np.ndarray] = ARRAYS) -> bytes:
    return program(dictionary({key: plain(str(i), array) for i, (key, array) in enumerate(arrays.items())}))


def storages(arrays: Mapping[str, np.ndarray] = ARRAYS) -> dict[str, np.ndarray]:
    return {str(i): array for i, array in enumerate(arrays.values())}


def good_zip() -> bytes:
    return zipped(state_dict(), {key: array.tobytes() for key, array in storages().items()})


def good_legacy() -> bytes:
    return legacy(state_dict(), storages())
