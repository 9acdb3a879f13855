"""JSON from strangers."""

from __future__ import annotations

import math

import pytest

from cnnfast.formats.strict_json import MAX_DEPTH, dump, member, of_kind, only_keys, parse, short


def test_numbers_keep_every_bit():
    for number in (0.1, 5e-324, 1.7976931348623157e308, -0.0, 2**127 + 1, -(2**63)):
        again = parse(dump(number, "n"), "n")
        assert type(again) is type(number)
        assert again == number and math.copysign(1, again) == math.copysign(1, number)


def test_nesting_is_accepted_up_to_the_limit():
    parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "list")
    for depth in (MAX_DEPTH + 1, 900, 10**6):
        with pytest.raises(ValueError, match=f"list: JSON is nested more than {MAX_DEPTH} deep"):
            parse("[" * depth + "]" * depth, "list")
        with pytest.raises(ValueError, match="nested"):
            parse('{"a":' * depth + "0" + "}" * depth, "object")


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e400", "1" * 41, "-" + "1" * 5000, "0." + "1" * 100])
def test_numbers_that_are_none_or_too_long_are_refused(text):
    with pytest.raises(ValueError, match="config: not valid JSON"):
        parse(f"[{text}]", "config")


def test_member_refuses_missing_and_mistyped_entries():
    assert member("x", {"a": 1}, "a", float) == 1.0
    for value, kind in ((True, int), (1, bool), (1.0, int), ("1", float), (None, dict), ([], dict)):
        with pytest.raises(ValueError, match="x: 'a' must be"):
            member("x", {"a": value}, "a", kind)
    with pytest.raises(ValueError, match="lacks 'a'"):
        member("x", {}, "a", int)
    with pytest.raises(ValueError, match="must be an object"):
        member("x", [], "a", int)
    with pytest.raises(ValueError, match=r"unknown keys \['b'\]; known: \['a'\]"):
        only_keys("x", {"a": 1, "b": 2}, {"a"})


def test_values_in_messages_are_short_however_large_they_are():
    nested: list = []
    for _ in range(60):
        nested = [nested]
    for value in ("x" * 10**6, list(range(10**5)), {str(i): i for i in range(1000)}, nested, 10**39):
        assert len(short(value)) < 300
        with pytest.raises(ValueError) as caught:
            of_kind("value", value, bool)
        assert len(str(caught.value)) < 400
