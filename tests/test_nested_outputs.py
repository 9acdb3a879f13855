"""Outputs that lie inside a nested model are outputs of the model around it."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Model, Sequential, layers, ops
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec

IMAGE = (8, 8, 3)


def conv_base(name="base"):
    x = inputs = Input(IMAGE)
    x = layers.Conv2D(4, 3, activation="relu", name=f"{name}_conv1")(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    x = layers.Conv2D(5, 3, activation="relu", name=f"{name}_conv2")(x)
    return Model(inputs, layers.MaxPooling2D(2, name=f"{name}_pool")(x), name=name)


def images(n=3):
    return np.random.default_rng(1).standard_normal((n, *IMAGE)).astype(np.float32)


def test_an_inner_layers_output_beside_the_models_own():
    base = conv_base()
    model = Sequential([base, layers.Flatten(), layers.Dense(2)])
    inner = model.get_layer("base").get_layer("base_conv2")
    both = Model(inputs=[model.inputs], outputs=[inner.output, model.output])
    features, predictions = both.predict(images(), verbose=0)
    np.testing.assert_array_equal(features, Model(base.inputs, inner.output).predict(images(), verbose=0))
    np.testing.assert_allclose(predictions, model.predict(images(), verbose=0), rtol=1e-6, atol=1e-6)
    assert both.outputs[0].name == "base_conv2"
    assert {id(w) for w in both.weights} == {id(w) for w in model.weights}
    assert base in model.layers and len(base._nodes) == 1  # the model itself stays as it was


def test_an_inner_layers_output_alone_from_two_models_down():
    inner = conv_base("inner")
    middle = Sequential([layers.Conv2D(3, 3, padding="same", input_shape=IMAGE, name="first"), inner], name="middle")
    model = Sequential([layers.Rescaling(0.5, input_shape=IMAGE), middle, layers.Flatten(), layers.Dense(2)])
    found = Model(model.inputs, middle.get_layer("inner").get_layer("inner_conv1").output)
    before = Model(middle.inputs, middle.get_layer("first").output).predict(0.5 * images(), verbose=0)
    wanted = Model(inner.inputs, inner.get_layer("inner_conv1").output).predict(before, verbose=0)
    np.testing.assert_allclose(found.predict(images(), verbose=0), wanted, rtol=1e-6, atol=1e-6)
    assert [layer.name for layer in found.layers[-2:]] == ["first", "inner_conv1"]


def test_the_prediction_depends_on_the_inner_output_that_was_asked_for():
    model = Sequential([conv_base(), layers.Flatten(), layers.Dense(2)])
    both = Model(model.inputs, [model.layers[0].get_layer("base_conv2").output, model.output])
    graph = Graph()
    x = graph.input(Spec((3, *IMAGE)))
    features, predictions = both(x)
    seed = np.array([[0.0, 1.0]] * 3, np.float32)
    (gradient,) = differentiate(graph, [(predictions, graph.constant(seed))], [features])
    assert gradient is not None
    _, (a, g) = Program(graph, [x], [features, gradient]).run([images()])
    kernel = model.layers[-1].kernel.numpy()[:, 1].reshape(2, 2, 5)
    spread = np.repeat(np.repeat(kernel, 2, 0), 2, 1)[None]
    largest = a == np.repeat(np.repeat(ops.max_pool2d(a, 2), 2, 1), 2, 2)
    assert ((g != 0) <= largest).all()
    np.testing.assert_allclose(g[g != 0], np.broadcast_to(spread, g.shape)[g != 0], rtol=1e-6)


def test_modes_and_trainable_reach_the_layers_that_were_written_out():
    base, inputs = conv_base(), Input(IMAGE)
    outputs = layers.Dense(2)(layers.Flatten()(base(inputs, training=False)))
    model = Model(inputs, outputs)
    both = Model(inputs, [base.get_layer("base_conv2").output, outputs])
    x = images()
    trained = both(x, training=True)[1]
    np.testing.assert_allclose(trained, model(x, training=True), rtol=1e-6, atol=1e-6)
    base.trainable = False
    assert both.trainable_weights == model.trainable_weights != []


def test_such_a_model_is_saved_and_read_back(tmp_path):
    model = Sequential([conv_base(), layers.Flatten(), layers.Dense(2)])
    both = Model(model.inputs, [model.layers[0].get_layer("base_conv2").output, model.output])
    both.save(tmp_path / "both.safetensors")
    again = cnnfast.load_model(tmp_path / "both.safetensors")
    for mine, theirs in zip(again.predict(images(), verbose=0), both.predict(images(), verbose=0), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_it_works_in_a_copy_and_in_a_model_read_from_a_file(tmp_path):
    model = Sequential([conv_base(), layers.Flatten(), layers.Dense(2)])
    model.save(tmp_path / "model.safetensors")
    for other in (copy.deepcopy(model), cnnfast.load_model(tmp_path / "model.safetensors")):
        both = Model(other.inputs, [other.layers[0].get_layer("base_conv1").output, other.output])
        np.testing.assert_allclose(both.predict(images(), verbose=0)[1], model.predict(images(), verbose=0), rtol=1e-6)


def test_a_base_that_is_applied_twice_leaves_it_open_which_value_is_meant():
    base, a, b = conv_base(), Input(IMAGE), Input(IMAGE)
    both = Model([a, b], layers.Add()([base(a), base(b)]))
    with pytest.raises(ValueError, match="inside base, applied 2 times"):
        Model(both.inputs, base.get_layer("base_conv1").output)
    one = Model(a, base.get_layer("base_conv1").output)  # over one of the inputs there is one
    np.testing.assert_array_equal(
        one.predict(images(), verbose=0),
        Model(base.inputs, base.get_layer("base_conv1").output).predict(images(), verbose=0),
    )


def test_an_output_of_something_else_is_refused_as_before():
    other, model = conv_base("other"), Sequential([conv_base(), layers.Flatten()])
    with pytest.raises(ValueError, match="does not depend on the given inputs alone"):
        Model(model.inputs, other.output)
    with pytest.raises(ValueError, match="does not depend on the given inputs alone"):
        Model(model.inputs, [model.output, other.get_layer("other_conv1").output])
