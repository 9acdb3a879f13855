"""PyTorch's .pth and .pt files: state dicts, read by a pickle machine that cannot call anything.

Since PyTorch 1.6 a file is a zip file: `<name>/data.pkl` describes the tensors, `<name>/data/<key>` holds the numbers
of a storage. Before that it was a row of pickles (a magic number, a version, facts about the system, the tensors,
the storages' keys), then the storages, each behind its length.
Source: torch/serialization.py of https://github.com/pytorch/pytorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from cnnfast.formats.contents import Contents, Refused, put
from cnnfast.formats.pickle_machine import MAX_PROGRAM, Machine
from cnnfast.formats.strict_json import short
from cnnfast.formats.torch_tensors import GLOBALS, Storage, StorageType, Tensor
from cnnfast.formats.zip_archive import ZipArchive

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # under which training scripts keep a state dict
_PREFIXES = ("module.", "_orig_mod.")  # of models saved inside DataParallel or torch.compile
MAX_PROGRAM_EXPANSION = 16  # of a data.pkl that someone packed; that of a network shrinks less than 10-fold
MAX_SHARING = 2  # bytes of tensors for each byte of storages: tied weights are views of one storage

ReadStorage = Callable[[Storage], bytes]


def read(file: BinaryIO, size: int) -> Contents:
    """The floating-point tensors of a state dict. Integer ones (`num_batches_tracked`) are counters, left out.

    Raises:
        ValueError: TorchScript, a whole module or any other object, a damaged file, tensors beyond their storages.
    """
    zipped = file.read(2) == b"PK"
    file.seek(0)
    value, read_storage, order = _read_zip(file, size) if zipped else _read_legacy(file)
    return Contents("torch", _arrays(_state_dict(value), read_storage, order))


# The two containers


def _read_zip(file: BinaryIO, size: int) -> tuple[Any, ReadStorage, str]:
    archive = ZipArchive(file, size)
    programs = [name for name in archive.names if name.rpartition("/")[2] == "data.pkl"]
    if len(programs) != 1:
        raise Refused("a zip file, but not one that torch.save wrote: it has no data.pkl")
    root = programs[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in archive.names or any(name.startswith(f"{root}code/") for name in archive.names):
        raise Refused("a TorchScript archive, which holds a program; save the state dict: model.state_dict()")
    order = "little"
    if f"{root}byteorder" in archive.names:
        order = archive.read(f"{root}byteorder", 100).decode("ascii")
    if archive.expansion(programs[0]) > MAX_PROGRAM_EXPANSION:
        raise Refused(f"its data.pkl is packed more than {MAX_PROGRAM_EXPANSION}-fold; torch.save does not pack it")
    machine = Machine(archive.read(programs[0], MAX_PROGRAM), GLOBALS, _storage)
    return machine.run(), lambda storage: archive.read(f"{root}data/{storage.key}", storage.nbytes), order


def _read_legacy(file: BinaryIO) -> tuple[Any, ReadStorage, str]:
    data = memoryview(file.read())
    storages: dict[str, Storage] = {}

    def persistent(description: Any) -> Storage:
        storage = _storage(description)
        return storages.setdefault(storage.key, storage)

    machine = Machine(data, GLOBALS, persistent)
    if machine.run() != _LEGACY_MAGIC or machine.run() != _LEGACY_VERSION:
        raise Refused("a pickle, but not one that torch.save wrote")
    system = machine.run()
    value = machine.run()
    keys = machine.run()
    if type(keys) is not list or not all(type(key) is str and key in storages for key in keys):
        raise Refused("the list of storages names some that no tensor uses")
    places: dict[str, memoryview] = {}
    at = machine.at
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(data[at : at + 8], "little")
        at += 8
        if count != storage.count or at + storage.nbytes > len(data):
            raise Refused(f"storage {short(key)} of {storage.count} numbers is not whole")
        places[key] = data[at : at + storage.nbytes]
        at += storage.nbytes
    little = system.get("little_endian", True) if type(system) is dict else True

    def read_storage(storage: Storage) -> bytes:
        if storage.key not in places:
            raise Refused(f"storage {short(storage.key)} is not in the file")
        return bytes(places[storage.key])

    return value, read_storage, "little" if little else "big"


def _storage(description: Any) -> Storage:
    """The storage of a persistent id: ("storage", type, key, device, count), once followed by a view."""
    if type(description) is not tuple or len(description) not in (5, 6) or description[0] != "storage":
        raise Refused("the pickle refers to something that is no storage of numbers")
    _, kind, key, _, count = description[:5]
    if description[5:] not in ((), (None,)):
        raise Refused("the pickle has a view of a storage in a form that PyTorch gave up long ago")
    if not isinstance(kind, StorageType) or type(key) is not str or type(count) is not int or count < 0:
        raise Refused("the pickle describes a storage without a type, a key or a length")
    return Storage(kind, key, count)


# The state dict


def _state_dict(value: Any) -> dict[str, Tensor]:
    """The tensors by name: `value` itself, or what a training script's dictionary has under a usual name."""
    for _ in range(3):
        if type(value) is not dict:
            break
        inner = next((value[key] for key in _WRAPPERS if type(value.get(key)) is dict), None)
        if inner is None or any(isinstance(item, Tensor) for item in value.values()):
            break
        value = inner
    if type(value) is not dict:
        raise Refused(f"expected a state dict, got {'one tensor' if isinstance(value, Tensor) else 'something else'}")
    tensors = {key: item for key, item in value.items() if isinstance(item, Tensor)}
    for key in tensors:
        if type(key) is not str:
            raise Refused(f"the state dict names a tensor {short(key)}, expected a text")
    if not tensors:
        known = ", ".join(short(key) for key in list(value)[:8])
        raise Refused(f"the dictionary holds no tensors (its keys: {known}); a state dict may stand under {_WRAPPERS}")
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def _arrays(tensors: dict[str, Tensor], read_storage: ReadStorage, order: str) -> dict[str, np.ndarray]:
    if order not in ("little", "big"):
        raise Refused(f"the order of bytes should be little or big, it is {short(order)}")
    weights = {name: tensor for name, tensor in tensors.items() if tensor.storage.kind.is_float}
    for name, tensor in weights.items():
        tensor.check(name)
    held = {tensor.storage.key: tensor.storage.nbytes for tensor in weights.values()}
    if sum(tensor.nbytes for tensor in weights.values()) > MAX_SHARING * sum(held.values()):
        raise Refused(f"the tensors have more than {MAX_SHARING} times the bytes of their storages")
    arrays: dict[str, np.ndarray] = {}
    key, numbers = "", np.empty(0, np.float32)
    for name, tensor in weights.items():
        if tensor.storage.key != key or not arrays:  # neighbours may share one storage
            key, numbers = tensor.storage.key, tensor.storage.numbers(read_storage(tensor.storage), order)
        put(arrays, name, tensor.view(numbers))
    return arrays
