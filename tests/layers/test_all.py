"""What holds of every layer: shapes agree, configurations come back, hostile ones do not."""

from __future__ import annotations

import json

import numpy as np
import pytest

import cnnfast
from cnnfast import layers, ops
from cnnfast.layers import base
from tests.layers.cases import CASES, case_id, gradients


def _make(case):
    name, arguments, shapes = case
    return getattr(layers, name)(**arguments), list(shapes) if len(shapes) > 1 else shapes[0]


def _numbers(rng, shape):
    if isinstance(shape, list):
        return [rng.standard_normal(s).astype(np.float32) for s in shape]
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_every_layer_runs_on_arrays_and_says_its_output_shape(rng, case):
    layer, shape = _make(case)
    said = layer.compute_output_shape(shape)
    y = layer(_numbers(rng, shape))
    assert isinstance(y, np.ndarray) and y.dtype == np.float32 and y.shape == said
    assert layer.count_params() == sum(w.size for w in layer.get_weights())


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_every_layer_is_defined_with_an_open_batch(case):
    layer, shape = _make(case)
    exact = layer.compute_output_shape(shape)
    fresh, _ = _make(case)
    inputs = [layers.Input(s[1:]) for s in (shape if isinstance(shape, list) else [shape])]
    y = fresh(inputs if len(inputs) > 1 else inputs[0])
    assert y.shape == (None, *exact[1:]) and fresh.output_shape == y.shape


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_every_layer_comes_back_from_its_configuration(rng, case):
    layer, shape = _make(case)
    x = _numbers(rng, shape)
    y = layer(x)
    description = json.loads(json.dumps(layers.serialize(layer)))
    again = layers.deserialize(description)
    assert type(again) is type(layer) and again.name == layer.name and layers.serialize(again) == description
    again(x)
    again.set_weights(layer.get_weights())
    assert np.array_equal(again(x), y)


LINEAR = {
    "Add", "Average", "AveragePooling2D", "Concatenate", "Conv2D", "Conv2DTranspose", "Cropping2D", "Dense",
    "DepthwiseConv2D", "Flatten", "GlobalAveragePooling2D", "Reshape", "SeparableConv2D", "Subtract",
    "UpSampling2D", "ZeroPadding2D",
}  # fmt: skip


@pytest.mark.parametrize("case", [c for c in CASES if c[0] in LINEAR and "activation" not in c[1]], ids=case_id)
def test_gradients_of_linear_layers_are_their_differences(rng, case):
    """sum(dx * d) = sum(dy * (f(x + d) - f(x))), exactly but for rounding, however large d is."""
    layer, shape = _make(case)
    x, d = _numbers(rng, shape), _numbers(rng, shape)
    moved = [a + b for a, b in zip(x, d, strict=True)] if isinstance(x, list) else x + d
    difference = layer(moved).astype(float) - layer(x)
    dy = rng.standard_normal(difference.shape).astype(np.float32)
    count = len(shape) if isinstance(shape, list) else 1
    found = gradients(layer, x, dy)[:count]
    parts = [np.sum(a.astype(float) * b) for a, b in zip(found, d if count > 1 else [d], strict=True)]
    # 2 u an element, as the outputs are rounded; errors of many elements add up like their root
    assert abs(sum(parts) - np.sum(dy * difference)) <= 1e-5 * np.sqrt(np.sum(dy.astype(float) ** 2)) * (
        np.abs(difference).max() + 1
    )


def test_every_public_layer_is_registered_and_tried():
    public = {
        getattr(layers, n)
        for n in layers.__all__
        if isinstance(getattr(layers, n), type) and issubclass(getattr(layers, n), layers.Layer)
    } - {layers.Layer}
    assert public <= {layers.LAYERS.find(n) for n in layers.LAYERS.names()}
    assert public - {layers.InputLayer} == {getattr(layers, name) for name, _, _ in CASES}


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("Conv2D", "conv2d"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("MaxPooling2D", "max_pooling2d"),
        ("GlobalAveragePooling2D", "global_average_pooling2d"),
        ("BatchNormalization", "batch_normalization"),
        ("ReLU", "re_lu"),
        ("LeakyReLU", "leaky_re_lu"),
        ("Dense", "dense"),
    ],
)
def test_automatic_names_are_those_of_keras(class_name, name):
    base.reset_names()
    assert [base.unique_name(class_name) for _ in range(3)] == [name, f"{name}_1", f"{name}_2"]


HOSTILE = [
    ("text", "expected"),
    ({"class_name": "Dense"}, "expected"),
    ({"class_name": "os.system", "config": {"command": "true"}}, "unknown layer 'os.system'"),
    ({"class_name": "Layer", "config": {}}, "unknown layer 'Layer'"),
    ({"class_name": ["Dense"], "config": {}}, r"unknown layer \['Dense'\]"),
    ({"class_name": "Dense", "config": {"units": 3, "module": "os"}}, "module"),
    ({"class_name": "Dense", "config": {}}, "units"),
    ({"class_name": "Dense", "config": {"units": "3"}}, "units must be an integer, got '3'"),
    ({"class_name": "Dense", "config": {"units": -3}}, "units must be at least 1, got -3"),
    ({"class_name": "Dense", "config": {"units": 3, "activation": "os.system"}}, "os.system"),
    ({"class_name": "Dense", "config": {"units": 3, "activation": print}}, "plain values only"),
    ({"class_name": "Dense", "config": {"units": 3, 4: 5}}, "4"),
    (
        {
            "class_name": "Dense",
            "config": {"units": 3, "kernel_initializer": {"class_name": "Popen", "config": {}}},
        },
        "unknown initializer 'Popen'",
    ),
    ({"class_name": "Conv2D", "config": {"filters": 3, "kernel_size": [3, "3"]}}, "kernel_size"),
    ({"class_name": "BatchNormalization", "config": {"momentum": float("nan")}}, "momentum"),
    ({"class_name": "Dropout", "config": {"rate": 1e9}}, "rate"),
    ({"class_name": "Reshape", "config": {"target_shape": 3}}, "target_shape"),
    ({"class_name": "InputLayer", "config": {"batch_shape": [None, "a"]}}, "'a'"),
]


@pytest.mark.parametrize(("description", "message"), HOSTILE)
def test_a_hostile_description_is_refused_by_name(description, message):
    with pytest.raises(ValueError, match=message):
        layers.deserialize(description)


def test_endless_nesting_is_refused():
    config: list = []
    for _ in range(5000):
        config = [config]
    with pytest.raises(ValueError, match="nested"):
        layers.deserialize({"class_name": "Reshape", "config": {"target_shape": config}})


def test_a_layer_of_ones_own_is_known_once_registered(rng):
    class ShiftForTest(layers.Layer):
        def __init__(self, amount=1.0, **kwargs):
            super().__init__(**kwargs)
            self.amount = amount

        def build(self, input_shape):
            self.offset = self.add_weight((input_shape[-1],), "ones", name="offset", regularizer="l2")

        def call(self, x):
            return ops.add(x, self.offset)

    layer = ShiftForTest(amount=2.0, name="shift")
    with pytest.raises(ValueError, match="ShiftForTest is not registered"):
        layers.serialize(layer)
    layers.register(ShiftForTest)
    config = {"name": "shift", "trainable": True, "amount": 2.0}
    assert layers.serialize(layer) == {"class_name": "ShiftForTest", "config": config}
    assert layers.deserialize(layers.serialize(layer)).amount == 2.0
    assert np.array_equal(layer(np.zeros((2, 3))), np.ones((2, 3)))
    with pytest.raises(TypeError, match="subclass of Layer"):
        layers.register(int)
    with pytest.raises(ValueError, match="Dense is the name of a layer of this package"):
        layers.register(type("Dense", (layers.Layer,), {}))


def test_a_nameless_function_cannot_be_saved_and_says_so():
    with pytest.raises(ValueError, match=r"activations\.register"):
        layers.serialize(layers.Dense(3, activation=lambda x: x))


def test_input_makes_a_symbolic_value_and_a_layer():
    x = layers.Input((28, 28, 1), batch_size=4, name="image")
    assert x.shape == (4, 28, 28, 1) and x.dtype == "float32" and x.graph is None and x.name == "image"
    assert isinstance(x.node.op, layers.InputLayer) and x.node.op.output is x and x.node.op.built
    assert layers.Input(batch_shape=(None, 3), dtype="uint8").dtype == "uint8"
    assert layers.Input(7).shape == (None, 7) and layers.Input(()).shape == (None,)
    with pytest.raises(TypeError, match="symbolic"):
        np.asarray(x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either shape or batch_shape"),
        ({"shape": (3,), "batch_shape": (None, 3)}, "either shape or batch_shape"),
        ({"batch_shape": (None, 3), "batch_size": 4}, "batch_size=4"),
        ({"shape": (0, 3)}, "at least 1, got 0"),
        ({"shape": (3,), "dtype": "complex64"}, "complex64"),
        ({"shape": (3,), "sparse": True}, "sparse"),
    ],
)
def test_input_says_what_it_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.Input(**arguments)


def test_trainable_and_weights_follow_the_layer():
    layer = layers.Dense(3)
    layer(np.ones((1, 2)))
    assert [w.name for w in layer.trainable_weights] == [f"{layer.name}/kernel", f"{layer.name}/bias"]
    layer.trainable = False
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 2
    before = layer.get_weights()
    with pytest.raises(ValueError, match=r"expects shape \(3,\), got \(4,\)"):
        layer.set_weights([np.zeros((2, 3)), np.zeros(4)])
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


def test_images_of_bytes_are_numbers_like_others():
    layer = layers.Flatten()
    x = np.arange(12, dtype=np.uint8).reshape(1, 2, 6)
    assert np.array_equal(layer(x), x.reshape(1, 12).astype(np.float32))


def test_the_package_names_its_layers():
    assert cnnfast.layers is layers
