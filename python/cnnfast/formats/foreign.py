"""Weights that other libraries wrote: Keras' HDF5 and .keras, PyTorch's .pth, NumPy's .npz, safetensors.

A file is taken for what both its name and its first bytes say. Each format has a reader of its own, which gives
float32 arrays by name and refuses whatever is not plain arrays of numbers; nothing in a file is executed, and
no more memory is taken than the file has numbers for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from cnnfast.formats import keras_hdf5, npz, safetensors_io, torch_files
from cnnfast.formats.contents import Contents, Refused
from cnnfast.formats.numbers import as_float32


@dataclass(frozen=True)
class ForeignWeights:
    """The weights in a file of another library.

    Attributes:
        path: of the file.
        kind: "keras_h5" (layers with named weights), "keras3" (layers with numbered weights), "torch" (a state
            dict), "safetensors" or "npz".
        arrays: float32, C-contiguous and the caller's own, by name. For Keras' kinds and npz "layer/weight", with
            a layer's weights in its own order and nested models as "model/layer/weight"; Keras 3 numbers weights:
            "layer/0". For torch and safetensors as the file has them.
        structure: where each array stands in the model, for Keras' kinds; else empty. For "keras_h5" the layer of the
            outermost model that it belongs to. For "keras3" the array's name with each layer called after its class
            and number within its model ("functional/conv2d_1/0"), which is what identifies layers there.
        variant: what a file written by this package says of whose weights it holds: any text, or None.
    """

    path: str
    kind: str
    arrays: dict[str, np.ndarray]
    structure: dict[str, str] = field(default_factory=dict)
    variant: str | None = None


def read_foreign(path: str | os.PathLike[str]) -> ForeignWeights:
    """The weights in a file of another library.

    Args:
        path: of a .h5, .hdf5, .weights.h5, .keras, .pth, .pt, .pth.tar, .bin, .npz or .safetensors file.

    Raises:
        ValueError: another ending, contents that are not what the name says, a damaged file, or one that holds what
            is refused (see docs/files.md); the message names the file.
        ImportError: an HDF5 file without h5py: `pip install "cnnfast[hdf5]"`.
        OSError: the file cannot be read.

    Example:
        >>> np.savez("two.npz", **{"conv1/kernel": np.ones((3, 3, 1, 2)), "conv1/bias": np.zeros(2)})
        >>> weights = read_foreign("two.npz")
        >>> weights.kind, list(weights.arrays), weights.arrays["conv1/bias"].dtype.name
        ('npz', ['conv1/kernel', 'conv1/bias'], 'float32')
    """
    name = path_of(path)
    reader = _reader_of(name)
    with open_file(name) as f:
        size = os.fstat(f.fileno()).st_size
        _check_begin(name, reader, f.read(8))
        f.seek(0)
        try:
            contents = reader.read(f, size)
            # taken out one by one, so that the file's own numbers need not stay until the end
            arrays = {key: as_float32(key, contents.arrays.pop(key)) for key in list(contents.arrays)}
        except Refused as error:
            raise ValueError(f"{name}: {error}") from error
        except ImportError as error:
            raise ImportError(f"{name}: {error}") from error
        except Exception as error:  # whatever a library makes of a hostile file, to the reader it is a bad file
            message = str(error) or type(error).__name__
            raise ValueError(f"{name}: the file is damaged: {message[:300]!r}") from error
    if not arrays:
        raise ValueError(f"{name}: the file holds no weights")
    return ForeignWeights(name, contents.kind, arrays, contents.structure, contents.variant)


def path_of(path: str | os.PathLike[str]) -> str:
    """`path` as a string. TypeError if it is no path."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise TypeError(f"load_weights: expected the path of a file, got {path!r}") from None


def open_file(name: str) -> BinaryIO:
    """The file, opened for reading. ValueError if it is a folder, a pipe or a device, OSError if not there."""
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise ValueError(f"{name}: expected a file, got a folder, a pipe or a device")
    return open(name, "rb")


# Which reader


@dataclass(frozen=True)
class _Reader:
    """A format: how its files begin, and what reads them from an open file of known size."""

    what: str
    magics: tuple[bytes, ...]
    read: Callable[[BinaryIO, int], Contents]


_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_KNOWN = {
    _HDF5: "an HDF5 file",
    _ZIP: "a zip file",
    _PICKLE: "a pickle",
    b"\x93NUMPY": "a single NumPy array (.npy)",
    b"\x1f\x8b": "a gzip file",
    b"version ": "a Git LFS pointer, a text that stands for a file not yet downloaded",
    b"<!DOCTYP": "a web page",
    b"<html": "a web page",
}
_KERAS_H5 = _Reader("HDF5 with Keras weights", (_HDF5,), keras_hdf5.read_h5)
_KERAS = _Reader("a zip file with a Keras model", (_ZIP,), keras_hdf5.read_keras)
_TORCH = _Reader("a PyTorch file", (_ZIP, _PICKLE), torch_files.read)
_READERS = {
    ".h5": _KERAS_H5,
    ".hdf5": _KERAS_H5,
    ".keras": _KERAS,
    ".pth": _TORCH,
    ".pt": _TORCH,
    ".pth.tar": _TORCH,
    ".bin": _TORCH,
    ".npz": _Reader("a zip file with NumPy arrays", (_ZIP,), npz.read),
    safetensors_io.SUFFIX: _Reader("a safetensors file", (), safetensors_io.read_foreign),
}


def _reader_of(name: str) -> _Reader:
    for ending, reader in _READERS.items():
        if name.lower().endswith(ending):
            return reader
    raise ValueError(f"{name}: weights are read from files that end in {', '.join(_READERS)}")


def _check_begin(name: str, reader: _Reader, begin: bytes) -> None:
    """The first bytes must be those of the format that the name promises."""
    if not reader.magics or begin.startswith(reader.magics):
        return
    came = next((what for magic, what in _KNOWN.items() if begin.startswith(magic)), None)
    if came is None:
        came = "a text file" if begin and all(9 <= b < 127 for b in begin) else "an empty file" if not begin else None
    raise ValueError(f"{name}: expected {reader.what}, got {came or 'something else'}: it begins with {begin!r}")
