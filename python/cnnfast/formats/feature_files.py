"""Files of features: what a frozen network computed from some data, for as long as neither has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.formats import safetensors_io
from cnnfast.graph.values import Spec

_DOCUMENT = {"version": 1, "kind": "features"}


def digest_of(parts: Iterable[Any]) -> str:
    """SHA-256 of arrays, numbers and texts, each with its kind and size, so that no two lists are alike."""
    digest = hashlib.sha256()
    for part in parts:
        data: Any
        if isinstance(part, np.ndarray):
            data = np.ascontiguousarray(part)
            head = f"array {data.dtype.str} {data.shape}"
            data = data.reshape(-1).view(np.uint8)
        else:
            data = str(part).encode("utf-8", "surrogateescape")
            head = f"{type(part).__name__} {len(data)}"
        digest.update(f"{head}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def path_of(folder: Any, key: str) -> Path:
    """Where the features of a key are kept."""
    return Path(os.fsdecode(folder)) / f"features-{key[:32]}{safetensors_io.SUFFIX}"


def write_features(folder: Any, key: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keeps the features of a key in a folder, which is made if it is not there. OSError if that cannot be done."""
    os.makedirs(folder, exist_ok=True)
    content = digest_of(part for name in sorted(arrays) for part in (name, arrays[name]))
    safetensors_io.write(path_of(folder, key), arrays, {**_DOCUMENT, "key": key, "content": content})


def read_features(folder: Any, key: str, wanted: Mapping[str, Spec]) -> dict[str, np.ndarray] | None:
    """The features of a key; None if they are not there, or if the file is damaged or holds anything else.

    Args:
        folder: where `write_features` put them.
        key: what they were computed from and with.
        wanted: type and shape of each array that must be there.
    """
    try:
        arrays, document = safetensors_io.read(path_of(folder, key))
    except (OSError, ValueError):
        return None
    found = {name: Spec(array.shape, array.dtype.name) for name, array in arrays.items()}
    content = digest_of(part for name in sorted(arrays) for part in (name, arrays[name]))
    if found != wanted or document != {**_DOCUMENT, "key": key, "content": content}:
        return None
    return arrays
