"""Tests do not depend on those that ran before."""

from __future__ import annotations

import pytest

from cnnfast import activations, layers
from tests.conftest import REGISTRIES


@pytest.mark.parametrize("time", ["first", "second"])
def test_names_that_a_test_registers_are_forgotten_after_it(time):
    for registry in REGISTRIES:
        assert "OnlyHere" not in registry.names()
        registry.add(type("OnlyHere", (), {}))
    assert "only_here" not in activations.names()
    activations.register(lambda x: x, "only_here")
    layers.register(type("OnlyHereToo", (layers.Layer,), {}))
