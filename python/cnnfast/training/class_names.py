"""The names of the classes that a model tells apart, and those that data have."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

MAX_CLASSES = 100_000
_MAX_NAME = 200  # characters
_UNFIT = {"Cc", "Cs", "Zl", "Zp"}  # Unicode's categories of control characters, half characters and line separators


def checked_class_names(what: str, names: Any) -> list[str] | None:
    """Class names as a new list, or None.

    Args:
        what: for messages.
        names: None, or a list or tuple of strings, perhaps from a hostile file.

    Raises:
        TypeError: something else. ValueError: no names or very many; one that is empty or very long, or has control
            characters, which could play tricks on a terminal.
    """
    if names is None:
        return None
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{what} must be None or a list of strings, got {_short(names)}")
    if not 1 <= len(names) <= MAX_CLASSES:
        raise ValueError(f"{what} must be 1 to {MAX_CLASSES} names, got {len(names)}")
    for name in names:
        if not 1 <= len(name) <= _MAX_NAME:
            raise ValueError(f"{what} must have 1 to {_MAX_NAME} characters each, got {_short(name)}")
        if any(unicodedata.category(c) in _UNFIT for c in name):
            raise ValueError(f"{what} must not have control characters, got {_short(name)}")
    return list(names)


def class_names_of(data: Any) -> list[str] | None:
    """The class names that a data set has, in the order of their numbers; None if it has none.

    Taken from `class_names`, or `class_indices` (numbers by name) of data that come with labels. Names that are
    nothing but the classes' numbers say nothing.
    """
    if getattr(data, "class_mode", "") in (None, "input", "raw", "multi_output"):
        return None
    names = getattr(data, "class_names", None)
    indices = getattr(data, "class_indices", None)
    if names is None and isinstance(indices, Mapping):
        names = sorted(indices, key=lambda name: indices[name])
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        return None
    return None if list(names) == [str(n) for n in range(len(names))] else list(names)


def joined_class_names(op: str, known: list[str] | None, data: Any) -> list[str] | None:
    """The names of the classes of a model, `known` if it has some, and data that are given to it.

    Raises:
        ValueError: they differ; both are named.
    """
    found = class_names_of(data)
    if known is None or found is None or known == found:
        return known or found
    raise ValueError(
        f"{op}: the data have the classes {_short(found)}, the model knows {_short(known)}; give the data class_names "
        "in this order, or set model.class_names to None if it is to learn others"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:297]}..."
