"""The layout of our files: kinds of files, the entries of their JSON document, the names of their arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnfast.formats import safetensors_io
from cnnfast.formats.strict_json import member, only_keys, short

VERSION = 1
WEIGHTS = "weights/"  # begins the names of arrays that are weights: weights/<layer>/<weight>
SLOTS = "optimizer/"  # of those that an optimizer keeps for each weight: optimizer/<layer>/<weight>/<slot>
EXTRA = "extra/"  # of those that the caller of save_checkpoint added
_ENTRIES = {
    "weights": {"version", "kind", "variant"},
    "model": {"version", "kind", "variant", "preprocessing", "architecture", "training", "class_names"},
    "checkpoint": {"version", "kind", "epoch", "extra", "optimizer", "random"},
}
_ARRAYS = {"weights": (WEIGHTS,), "model": (WEIGHTS, SLOTS), "checkpoint": (WEIGHTS, SLOTS, EXTRA)}


def document_of(kind: str, **entries: Any) -> dict[str, Any]:
    """A document of one of the kinds "weights", "model" and "checkpoint"."""
    return {"version": VERSION, "kind": kind, **entries}


def variant_entry(model: Any) -> dict[str, str]:
    """The entry that says whose weights a network of `applications` has; none for other models."""
    return _entries(model, "variant")


def network_entries(model: Any) -> dict[str, str]:
    """The entries of a whole network of `applications`: its variant and what it wants of its images."""
    return _entries(model, "variant", "preprocessing")


def _entries(model: Any, *names: str) -> dict[str, str]:
    return {name: value for name in names if (value := getattr(model, name, None)) is not None}


def read_document(path: Any, kinds: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the document of a file of one of `kinds`.

    Raises:
        ValueError: not such a file, another version, or entries or arrays that are unknown.
        OSError: the file cannot be read.
    """
    arrays, document = safetensors_io.read(path)
    version = member(f"{path}", document, "version", int)
    if version != VERSION:
        raise ValueError(f"{path} has version {version}, this package reads version {VERSION}")
    kind = member(f"{path}", document, "kind", str)
    if kind not in kinds:
        raise ValueError(f"{path} must hold {' or '.join(kinds)}, it holds {short(kind)}")
    only_keys(f"{path}", document, _ENTRIES[kind])
    for name in arrays:
        if not name.startswith(_ARRAYS[kind]):
            raise ValueError(f"{path}: array {short(name)} must begin with one of {', '.join(_ARRAYS[kind])}")
    return arrays, document


def arrays_under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
