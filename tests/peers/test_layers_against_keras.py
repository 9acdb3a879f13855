"""Each layer against Keras with the same weights: outputs, shapes, names of weights, gradients."""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest

from cnnfast import layers
from tests.layers import cases
from tests.layers.cases import case_id, gradients

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
CASES = [case for case in cases.CASES if case[0] != "Preprocess"]  # a layer that Keras does not have
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras", reason="Keras is not installed")


@pytest.fixture
def pair(keras, rng, request):
    """The same layer of both libraries with the same random weights, and an input."""
    name, arguments, shapes = request.param
    xs = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    x = xs if len(xs) > 1 else xs[0]
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    ours(x), theirs(x)
    weights = [np.abs(rng.standard_normal(w.shape)).astype(np.float32) + 0.1 for w in theirs.get_weights()]
    weights = [w if w.ndim == 1 else w - w.mean() for w in weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs, x


@pytest.mark.parametrize("pair", CASES, ids=case_id, indirect=True)
def test_layer_agrees_with_keras(pair):
    ours, theirs, x = pair
    exact = np.asarray(theirs(x))
    y = ours(x)
    assert y.shape == exact.shape
    assert np.max(np.abs(y - exact)) <= 1e-5 * np.max(np.abs(exact))


@pytest.mark.parametrize("pair", CASES, ids=case_id, indirect=True)
def test_shapes_and_weight_names_are_those_of_keras(pair):
    ours, theirs, x = pair
    shape = [tuple(v.shape) for v in x] if isinstance(x, list) else tuple(x.shape)
    assert tuple(ours.compute_output_shape(shape)) == tuple(theirs.compute_output_shape(shape))
    assert [w.name.split("/")[-1] for w in ours.weights] == [w.name for w in theirs.weights if "seed" not in w.name]
    assert ours.count_params() == theirs.count_params()


def _assert_same_gradients(pair, rng, **training):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    ours, theirs, x = pair
    inputs = [tf.constant(v) for v in (x if isinstance(x, list) else [x])]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = theirs(inputs if isinstance(x, list) else inputs[0], **training)
        dy = rng.standard_normal(y.shape).astype(np.float32)
        total = tf.reduce_sum(y * dy)
    exact = tape.gradient(total, [*inputs, *(v.value for v in theirs.trainable_variables)])
    for a, b in zip(gradients(ours, x, dy, **training), map(np.asarray, exact), strict=True):
        # Batch normalization's gradients are differences of near equals: they are exact relative to dy.
        assert a.shape == b.shape and np.max(np.abs(a - b)) <= 1e-5 * max(np.max(np.abs(b)), np.max(np.abs(dy)))


@pytest.mark.parametrize("pair", CASES, ids=case_id, indirect=True)
def test_gradients_agree_with_keras(pair, rng):
    _assert_same_gradients(pair, rng)


@pytest.mark.parametrize("pair", [c for c in CASES if c[0] == "BatchNormalization"], ids=case_id, indirect=True)
def test_gradients_through_batch_statistics_agree_with_keras(pair, rng):
    _assert_same_gradients(pair, rng, training=True)
    ours, theirs, _ = pair
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_arguments_come_in_the_order_of_keras(keras, case):
    theirs = list(inspect.signature(getattr(keras.layers, case[0])).parameters)
    parameters = inspect.signature(getattr(layers, case[0])).parameters.values()
    ours = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert ours == theirs[: len(ours)]
