"""Five steps of each optimizer beside Keras, from the same weights with the same gradients."""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest

from cnnfast import optimizers
from tests.optimizer_cases import CASES, Training, assert_close, case_id, numbers

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras", reason="Keras is not installed")


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_steps_agree_with_keras(keras, rng, case):
    name, options = case
    weights, gradients = numbers(rng)
    theirs = getattr(keras.optimizers, name)(**options)
    variables = [keras.Variable(w, dtype="float32") for w in weights]
    for step in gradients:
        theirs.apply(list(map(keras.ops.convert_to_tensor, step)), variables)
    after = Training(getattr(optimizers, name)(**options), weights).run(gradients)
    assert_close(after, weights, [np.asarray(v).astype(np.float64) for v in variables])


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_arguments_and_defaults_are_those_of_keras(keras, name):
    theirs = inspect.signature(getattr(keras.optimizers, name)).parameters
    ours = inspect.signature(getattr(optimizers, name)).parameters
    shared = [p for p in ours if p not in ("name", "learning_rate_multipliers")]
    assert shared == [p for p in theirs if p in shared]
    assert {p: ours[p].default for p in shared} == {p: theirs[p].default for p in shared}
