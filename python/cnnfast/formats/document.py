"""The JSON document in a file: what kind of file it is, and the layout's version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.formats import safetensors_io
from cnnfast.formats.strict_json import member, only_keys, short

VERSION = 1
_KEYS = {
    "weights": {"version", "kind"},
    "model": {"version", "kind", "architecture", "training"},
    "checkpoint": {"version", "kind", "epoch", "extra", "optimizer", "random"},
}


def document_of(kind: str, **entries: Any) -> dict[str, Any]:
    """A document of one of the kinds "weights", "model" and "checkpoint"."""
    return {"version": VERSION, "kind": kind, **entries}


def read_document(path: Any, kinds: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the document of a file of one of `kinds`.

    Raises:
        ValueError: not such a file, another version, or unknown entries.
        OSError: the file cannot be read.
    """
    arrays, document = safetensors_io.read(path)
    version = member(f"{path}", document, "version", int)
    if version != VERSION:
        raise ValueError(f"{path} has version {version}, this package reads version {VERSION}")
    kind = member(f"{path}", document, "kind", str)
    if kind not in kinds:
        raise ValueError(f"{path} must hold {' or '.join(kinds)}, it holds {short(kind)}")
    only_keys(f"{path}", document, _KEYS[kind])
    return arrays, document
