"""JSON from files that may be hostile: no duplicate keys, NaN or endless numbers; and typed access to it."""

from __future__ import annotations

import json
import math
import reprlib
from collections import Counter
from typing import Any, TypeVar

T = TypeVar("T")

MAX_DEPTH = 64  # objects and lists inside each other; a model of nested models needs far fewer
_MAX_DIGITS = 40  # more than any number in a file of ours has
_shortener = reprlib.Repr()
_shortener.maxstring = _shortener.maxother = 60
_KINDS = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "a string",
}


def parse(text: str, what: str) -> Any:
    """The value that `text` describes.

    Args:
        text: JSON.
        what: its name in messages.

    Raises:
        ValueError: not JSON, a key that stands twice, a number that is not finite or absurdly long, deep
            nesting.

    Example:
        >>> parse('{"units": 3}', "config")
        {'units': 3}
    """
    too_deep = f"{what}: JSON is nested more than {MAX_DEPTH} deep"
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite, parse_int=_integer
        )
    except RecursionError:
        raise ValueError(too_deep) from None
    except ValueError as error:
        raise ValueError(f"{what}: not valid JSON: {error}") from None
    if _depth(value) > MAX_DEPTH:
        raise ValueError(too_deep)
    return value


def dump(value: Any, what: str) -> str:
    """`value` as compact JSON.

    Raises:
        ValueError: it holds something that JSON cannot, such as NaN or an object.
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{what}: cannot be written as JSON: {error}") from None


def member(what: str, value: Any, key: str, kind: type[T]) -> T:
    """`value[key]`, which must be there and be of the type `kind` (float takes whole numbers too).

    Raises:
        ValueError: `value` is no object, has no such key, or something else under it.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object, got {short(value)}")
    if key not in value:
        raise ValueError(f"{what} lacks {key!r}")
    return of_kind(f"{what}: {key!r}", value[key], kind)


def of_kind(what: str, value: Any, kind: type[T]) -> T:
    """`value` if it is of the type `kind`. True is not a number here."""
    if type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return kind(value)  # type: ignore[call-arg]
    raise ValueError(f"{what} must be {_KINDS[kind]}, got {short(value)}")


def only_keys(what: str, value: dict[str, Any], allowed: set[str]) -> None:
    """ValueError if there are other keys than `allowed`."""
    if unknown := sorted(set(value) - allowed):
        raise ValueError(f"{what} has unknown keys {short(unknown)}; known: {sorted(allowed)}")


def short(value: Any) -> str:
    """The value as a message can show it."""
    return _shortener.repr(value)


def _depth(value: Any) -> int:
    """How many objects and lists stand inside each other: 0 for a number, 1 for a list of numbers."""
    levels, layer = 0, [value]
    while layer := [v for v in layer if isinstance(v, (dict, list))]:
        levels += 1
        layer = [v for outer in layer for v in (outer.values() if isinstance(outer, dict) else outer)]
    return levels


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {short(twice)} stands twice")
    return result


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not a number that JSON knows")


def _finite(text: str) -> float:
    value = float(text) if len(text) <= _MAX_DIGITS else math.inf
    if not math.isfinite(value):
        raise ValueError(f"the number {short(text)} is too large or too long")
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"the number {short(text)} is too long")
    return int(text)
