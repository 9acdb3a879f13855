"""CSV files that list images: names, classes, numbers, each checked with its line."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Table:
    """The columns of a CSV file, as text, and the line of each row."""

    op: str
    path: str
    columns: dict[str, list[str]]
    lines: list[int]

    def texts(self, column: str) -> list[str]:
        """A column without empty entries. ValueError if there is none of that name, or it has some."""
        if column not in self.columns:
            raise ValueError(f"{self.op}: {self.path} has no column {column!r}, it has {list(self.columns)}")
        values = self.columns[column]
        for value, line in zip(values, self.lines, strict=True):
            if not value:
                raise ValueError(f"{self.op}: {self.path}, line {line}: column {column!r} is empty")
        return values

    def numbers(self, column: str) -> np.ndarray:
        """A column of finite numbers, float32. ValueError, with the line, if one is not."""
        values = [_number(text) for text in self.texts(column)]
        for value, text, line in zip(values, self.columns[column], self.lines, strict=True):
            if not math.isfinite(value):
                raise ValueError(f"{self.op}: {self.path}, line {line}: {column!r} must be a number, got {text!r}")
        return np.array(values, np.float32)

    def classes(self, column: str, names: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
        """The numbers of a column's classes, and their names: `names`, or those of the column, sorted.

        Raises:
            ValueError: a class that is not among `names`; the line is named.
        """
        texts = self.texts(column)
        known = sorted(set(texts)) if names is None else list(names)
        numbers = {name: number for number, name in enumerate(known)}
        for text, line in zip(texts, self.lines, strict=True):
            if text not in numbers:
                raise ValueError(f"{self.op}: {self.path}, line {line}: class {text!r} is none of {known}")
        return np.array([numbers[text] for text in texts], np.int32), known

    def check_files(self, column: str, paths: Sequence[str]) -> None:
        """FileNotFoundError, with the line, for the first of the paths that is no file."""
        for path, line in zip(paths, self.lines, strict=True):
            if not os.path.isfile(path):
                raise FileNotFoundError(
                    f"{self.op}: {self.path}, line {line}: {column!r} names {path}, which is no file"
                )


def read_table(op: str, path: str | os.PathLike[str], delimiter: str = ",") -> Table:
    """Reads a CSV file whose first line names the columns; empty lines are left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no text in UTF-8, no rows, columns with the same name, or lines with fewer or more entries than
            there are columns.

    Example:
        >>> with open("t.csv", "w") as file:
        ...     _ = file.write("name,class\\na.png,cat\\n")
        >>> read_table("read", "t.csv").columns
        {'name': ['a.png'], 'class': ['cat']}
    """
    name = os.fspath(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            rows = [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError:
        raise FileNotFoundError(f"{op}: there is no file {name}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{op}: {name} is no CSV file in UTF-8: {error}") from error
    if len(rows) < 2:
        raise ValueError(
            f"{op}: {name} lists no images: expected a line with the columns' names and a line for each image"
        )
    header = [column.strip() for column in rows[0][1]]
    if len(set(header)) < len(header):
        raise ValueError(f"{op}: {name}: names of columns must differ, got {header}")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(f"{op}: {name}, line {line}: expected {len(header)} entries, got {len(row)}")
    columns = {column: [row[i].strip() for _, row in rows[1:]] for i, column in enumerate(header)}
    return Table(op, name, columns, [line for line, _ in rows[1:]])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
