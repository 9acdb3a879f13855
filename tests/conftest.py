"""What all tests share: seeded numbers, every instruction set, every number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import activations, initializers, layers, losses, metrics, optimizers, regularizers, schedules
from cnnfast.ops import engine

REGISTRIES = (
    layers.LAYERS,
    initializers.INITIALIZERS,
    losses.LOSSES,
    metrics.REGISTRY,
    optimizers.OPTIMIZERS,
    regularizers.REGULARIZERS,
    schedules.SCHEDULES,
)


@pytest.fixture(autouse=True)
def without_registered_names(monkeypatch):
    """What a test registers is forgotten after it."""
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    monkeypatch.setattr(activations, "_ACTIVATIONS", dict(activations._ACTIVATIONS))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture(params=engine.available_isas())
def isa(request):
    """Runs the test once for each instruction set of this CPU."""
    before = engine.isa()
    engine.set_isa(request.param)
    yield request.param
    engine.set_isa(before)


@pytest.fixture
def same_bits():
    """Calls a function with 1, 2 and 4 threads and asserts that its arrays are the same, bit for bit."""
    before = engine.num_threads()

    def check(function):
        results = []
        for threads in (1, 2, 4):
            engine.set_num_threads(threads)
            out = function()
            results.append([np.asarray(a) for a in (out if isinstance(out, (list, tuple)) else [out])])
        for other in results[1:]:
            for a, b in zip(results[0], other, strict=True):
                assert a.tobytes() == b.tobytes()
        return results[0]

    yield check
    engine.set_num_threads(before)
