"""What the readers of foreign files hand on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


class Refused(ValueError):
    """A file that a reader does not take, said in words for the user; the file's name is added by the caller."""


@dataclass
class Contents:
    """The kind of a file, its arrays by name, where they stand in the model, whose they are (see `ForeignWeights`)."""

    kind: str
    arrays: dict[str, np.ndarray]
    structure: dict[str, str] = field(default_factory=dict)
    variant: str | None = None


def put(arrays: dict[str, np.ndarray], name: str, array: np.ndarray) -> None:
    """Adds an array under a name that must be free."""
    if name in arrays:
        raise Refused(f"two arrays are named {name[:200]!r}")
    arrays[name] = array
