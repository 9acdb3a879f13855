"""The examples in docstrings do what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Sequential, layers, ops, random

PACKAGE = Path(cnnfast.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.fixture
def names():
    """What examples speak of without saying where it comes from: the package, models and their data."""
    random.set_seed(1)
    layers.base.reset_names()
    x, y = random.get_generator().normal(size=(20, 4)), np.arange(20) % 2
    model = Sequential([Input((4,)), layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    convnet = Sequential(
        [
            Input((16, 16, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    images = random.get_generator().uniform(size=(4, 16, 16, 3)).astype(np.float32)
    return {"np": np, "cnnfast": cnnfast, "ops": ops, "layers": layers, "Input": Input, "Sequential": Sequential,
            "model": model, "x": x, "y": y, "convnet": convnet, "images": images}  # fmt: skip


@pytest.fixture(autouse=True)
def without_trace(tmp_path, monkeypatch):
    """Files go into an empty folder, and random numbers go on where they were."""
    monkeypatch.chdir(tmp_path)
    state = random.get_state()
    yield
    random.set_state(state)


@pytest.mark.parametrize("module", MODULES)
def test_examples_show_what_comes_out(module, names):
    module = importlib.import_module(module)
    result = doctest.testmod(module, globs=names | vars(module))
    assert result.attempted and not result.failed
