"""The columns of a table of images in memory: a pandas DataFrame, a dict of lists, whatever has columns by name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnfast.image.decode import EXTENSIONS

Label = str | Sequence[str]


def column(op: str, frame: Any, name: Any) -> list[Any]:
    """The values of a column. ValueError, in the name of `op`, if there is none of that name."""
    try:
        return list(frame[name])
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        has = list(getattr(frame, "columns", frame if isinstance(frame, Mapping) else ()))
        raise ValueError(f"{op}: there is no column {name!r}, the table has {has}") from error


def file_names(op: str, frame: Any, name: str) -> list[str]:
    """A column of paths. TypeError if something else is in it."""
    values = column(op, frame, name)
    for row, value in enumerate(values):
        if not isinstance(value, (str, os.PathLike)):
            raise TypeError(f"{op}: column {name!r} must hold file names, row {row} has {value!r}")
    return [os.fspath(value) for value in values]


def existing_files(op: str, name: str, paths: Sequence[str]) -> list[int]:
    """The rows whose files exist and have names as images have; a warning tells of others."""
    missing = [not (path.lower().endswith(EXTENSIONS) and os.path.isfile(path)) for path in paths]
    if any(missing):
        warnings.warn(
            f"{op}: {sum(missing)} of {len(paths)} file names in column {name!r} are no image files and are left out, "
            f"the first is {paths[missing.index(True)]!r}",
            stacklevel=4,
        )
    return [row for row, gone in enumerate(missing) if not gone]


def class_labels(op: str, frame: Any, name: Any, class_mode: str) -> list[Label]:
    """A column of class names; with "categorical" an image may have several.

    Raises:
        TypeError: something else is in it.
    """
    if not isinstance(name, str):
        raise TypeError(f"{op}: y_col must be the name of one column with class_mode={class_mode!r}, got {name!r}")
    allowed: tuple[type, ...] = (str, list, tuple) if class_mode == "categorical" else (str,)
    expected = "strings, or lists of them" if class_mode == "categorical" else "strings"
    values = column(op, frame, name)
    for row, value in enumerate(values):
        if not isinstance(value, allowed):
            raise TypeError(
                f"{op}: with class_mode={class_mode!r} column {name!r} must hold {expected}, row {row} has {value!r}; "
                "numbers are classes after .astype(str), or targets with class_mode='raw'"
            )
    return values


def rows_of_classes(
    labels: Sequence[Label], rows: Sequence[int], classes: Sequence[str] | None
) -> tuple[list[Label], list[int], list[str]]:
    """Labels, the rows that have one, and the class names: those given, in their order, or all there are, sorted."""
    if not classes:
        found = sorted({name for row in rows for name in _several(labels[row])})
        return list(labels), list(rows), found
    known = list(dict.fromkeys(classes))
    kept = [[name for name in _several(label) if name in known] for label in labels]
    chosen: list[Label] = [
        label if isinstance(label, str) else names for label, names in zip(labels, kept, strict=True)
    ]
    return chosen, [row for row in rows if kept[row]], known


def class_numbers(numbers: Mapping[str, int], label: Label) -> int | list[int]:
    """The number of a class, or those of several."""
    return numbers[label] if isinstance(label, str) else [numbers[name] for name in label]


def _several(label: Label) -> Sequence[str]:
    return (label,) if isinstance(label, str) else label


def targets(op: str, frame: Any, name: Any, class_mode: str | None, rows: Sequence[int]) -> Any:
    """What the columns of targets have: an array for "raw", a list of them for "multi_output", else None."""
    if class_mode == "multi_output":
        if not isinstance(name, list):
            raise TypeError(f"{op}: y_col must be a list of columns with class_mode='multi_output', got {name!r}")
        return [_array(op, frame, one, rows) for one in name]
    if class_mode != "raw":
        return None
    if isinstance(name, (list, tuple)):
        return np.stack([_array(op, frame, one, rows) for one in name], axis=1)
    return _array(op, frame, name, rows)


def weights(op: str, frame: Any, name: str) -> np.ndarray:
    """A column of numbers. TypeError if something else is in it."""
    values = np.array(column(op, frame, name))
    if values.dtype.kind not in "fiub" or values.ndim != 1:
        raise TypeError(f"{op}: column {name!r} must hold numbers, the weights, got {values.dtype}")
    return values


def _array(op: str, frame: Any, name: Any, rows: Sequence[int]) -> np.ndarray:
    values = column(op, frame, name)
    try:
        array = np.array([values[row] for row in rows])
    except ValueError as error:
        raise ValueError(f"{op}: column {name!r} holds no array of numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{op}: column {name!r} must hold numbers, got {array.dtype}")
    return array
