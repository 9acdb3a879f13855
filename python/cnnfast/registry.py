"""Closed registries: names in a file can only mean classes that are listed in the package or added by the user."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to classes of one kind.

    Args:
        kind: what the classes are, for messages ("layer").
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

    def add(self, cls: type[T], *names: str) -> type[T]:
        """Registers `cls` under its own name and `names`; usable as a decorator."""
        for name in (cls.__name__, *names):
            self._classes[name] = cls
        return cls

    def find(self, name: Any) -> type[T]:
        """The class of that name. ValueError if there is none."""
        if not isinstance(name, str) or name not in self._classes:
            raise ValueError(f"unknown {self.kind} {name!r}; known: {', '.join(sorted(self._classes))}")
        return self._classes[name]

    def name_of(self, cls: type) -> str | None:
        """The first name under which a class is registered, or None."""
        return next((n for n, c in self._classes.items() if c is cls), None)

    def names(self) -> list[str]:
        return list(self._classes)


def snake_case(name: str) -> str:
    """``TopKCategoricalAccuracy`` -> ``top_k_categorical_accuracy``; ``AUC`` -> ``auc``."""
    words = re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return words.lower()
