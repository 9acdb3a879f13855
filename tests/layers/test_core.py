"""Dense, merging, shapes, activations: values against NumPy, and messages."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import activations, layers, ops
from tests.tolerance import assert_sum_close


@pytest.mark.parametrize("shape", [(3, 7), (2, 5, 7), (2, 3, 4, 7)])
def test_dense_multiplies_the_last_axis(rng, shape):
    x = rng.standard_normal(shape).astype(np.float32)
    layer = layers.Dense(5, bias_initializer="random_normal")
    y = layer(x)
    kernel, bias = layer.get_weights()
    exact = x.astype(float) @ kernel.astype(float) + bias
    assert_sum_close(y, exact, 7, np.abs(x).max() * np.abs(kernel).max())


def test_dense_takes_its_features_from_the_first_input():
    layer = layers.Dense(5)
    layer(np.ones((2, 7)))
    with pytest.raises(ValueError, match=r"w \(in,out\)=\(7, 5\) expects 7 features, x has shape \(2, 6\)"):
        layer(np.ones((2, 6)))
    with pytest.raises(ValueError, match="needs the last dimension"):
        layers.Dense(5)(layers.Input((3, None)))
    with pytest.raises(ValueError, match="kernel_constraint"):
        layers.Dense(5, kernel_constraint="unit_norm")


def test_merging_layers_do_what_numpy_does(rng):
    a, b, c = rng.standard_normal((3, 2, 4, 5, 6)).astype(np.float32)
    assert np.array_equal(layers.Add()([a, b, c]), a + b + c)
    assert np.array_equal(layers.Subtract()([a, b]), a - b)
    assert np.array_equal(layers.Multiply()([a, b, c]), a * b * c)
    assert np.allclose(layers.Average()([a, b, c]), (a + b + c) / 3, atol=1e-6)
    for axis in (1, 2, 3, -1, -2):
        assert np.array_equal(layers.Concatenate(axis=axis)([a, b[..., :6]]), np.concatenate([a, b], axis))


def test_a_channel_scale_multiplies_an_image(rng):
    x, s = (
        rng.standard_normal((2, 4, 5, 6)).astype(np.float32),
        rng.standard_normal((2, 1, 1, 6)).astype(np.float32),
    )
    assert np.array_equal(layers.Multiply()([x, s]), x * s)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Add()(np.ones((2, 3))), "Add expects a list of inputs"),
        (lambda: layers.Subtract()([np.ones((2, 3))] * 3), "Subtract expects 2 inputs, got 3"),
        (lambda: layers.Add()([np.ones((2, 3)), np.ones((2, 4))]), r"\(2, 3\).*\(2, 4\)"),
        (lambda: layers.Concatenate()([np.ones((2, 3, 4)), np.ones((2, 5, 4))]), r"\(2, 5, 4\)"),
        (lambda: layers.Concatenate(axis=3)([np.ones((2, 3)), np.ones((2, 3))]), "3"),
    ],
)
def test_inputs_that_cannot_be_merged_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_shape_layers_do_what_numpy_does(rng):
    x = rng.standard_normal((2, 4, 5, 3)).astype(np.float32)
    assert np.array_equal(layers.Flatten()(x), x.reshape(2, -1))
    assert np.array_equal(layers.Reshape((5, -1))(x), x.reshape(2, 5, 12))
    assert np.array_equal(layers.ZeroPadding2D(((1, 2), (0, 3)))(x), np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0))))
    assert np.array_equal(layers.ZeroPadding2D(2)(x), np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))))
    assert np.array_equal(layers.Cropping2D(((1, 2), (0, 3)))(x), x[:, 1:2, :2])
    assert np.array_equal(layers.UpSampling2D((3, 2))(x), x.repeat(3, 1).repeat(2, 2))
    assert layers.Flatten()(layers.Input((None, None, 3))).shape == (None, None)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Reshape((5, 5))(np.ones((2, 24))), ValueError, r"24.*\(2, 5, 5\)"),
        (lambda: layers.Reshape((-1, -1))(np.ones((2, 24))), ValueError, "at most one -1"),
        (lambda: layers.Reshape("23"), TypeError, "target_shape"),
        (lambda: layers.ZeroPadding2D(-1), ValueError, "must not be negative, got -1"),
        (lambda: layers.ZeroPadding2D("same"), TypeError, "'same'"),
        (lambda: layers.ZeroPadding2D(1)(np.ones((2, 3))), ValueError, r"expects \(N,H,W,C\)"),
        (lambda: layers.Cropping2D(2)(np.ones((1, 4, 5, 3))), ValueError, "4"),
        (lambda: layers.UpSampling2D(0), ValueError, "size must be at least 1, got 0"),
        (lambda: layers.UpSampling2D(2, interpolation="bicubic"), ValueError, "'bicubic'"),
        (lambda: layers.Rescaling("big"), TypeError, "scale must be a number, got 'big'"),
        (lambda: layers.Softmax(axis=1), ValueError, "axis=-1"),
        (lambda: layers.ReLU(max_value=-1.0), ValueError, "max_value"),
        (lambda: layers.ReLU(threshold=0.5), ValueError, "threshold is not supported, got threshold=0.5"),
    ],
)
def test_bad_shapes_and_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_rescaling_takes_bytes_and_channels():
    x = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    assert np.allclose(layers.Rescaling(1 / 255, offset=-0.5)(x), x / 255 - 0.5, atol=1e-7)
    scale, offset = [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]
    y = layers.Rescaling(scale, offset)(x)
    assert y.dtype == np.float32 and np.allclose(y, x * np.array(scale) + offset, atol=1e-6)
    assert np.allclose(layers.Rescaling(2.0, offset)(x), x * 2.0 + offset, atol=1e-6)


# Where the branches of the functions differ.
POINTS = np.array([-30.0, -3.0, -1.0, -0.25, -0.0, 0.0, 0.25, 0.5, 1.0, 3.0, 7.0, 30.0])


def test_relu_has_slope_and_limit():
    x = POINTS[None]
    assert np.array_equal(layers.ReLU()(x), np.maximum(x, 0))
    assert np.array_equal(layers.ReLU(max_value=6.0)(x), np.clip(x, 0, 6))
    assert np.allclose(layers.ReLU(negative_slope=0.1)(x), np.where(x > 0, x, 0.1 * x))
    assert np.allclose(layers.LeakyReLU()(x), np.where(x > 0, x, 0.3 * x))
    for slope in (0.0, 0.1):
        exact = np.minimum(np.where(x > 0, x, slope * x), 2.0)
        # The limit is taken as 2 - relu(2 - y): rounding relative to the larger of 2 and |y|
        error = layers.ReLU(max_value=2.0, negative_slope=slope)(x) - exact
        assert (np.abs(error) <= 2**-23 * np.maximum(2, np.abs(exact))).all()


# The composed ones; those of the engine are tested with the ops.
FORMULAS = {
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "log_sigmoid": lambda x: -np.logaddexp(-x, 0),
    "linear": lambda x: x,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_composed_activations_follow_their_formulas(name):
    assert np.allclose(activations.get(name)(POINTS), FORMULAS[name](POINTS), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(activations.names()))
def test_every_activation_name_makes_a_layer_that_comes_back(name):
    layer = layers.deserialize(layers.serialize(layers.Activation(name)))
    assert layer.activation is activations.get(name)
    assert layer(POINTS[None]).shape == (1, len(POINTS))


def test_activations_are_names_or_functions_of_ops():
    assert activations.get(None) is activations.linear and activations.get("linear") is activations.linear
    assert activations.get("swish") is activations.get("silu")
    assert activations.get(ops.relu) is ops.relu and activations.serialize(ops.relu) == "relu"
    with pytest.raises(ValueError, match="unknown activation 'rely'"):
        activations.get("rely")
    with pytest.raises(TypeError, match="got 3"):
        activations.get(3)


def test_any_function_of_ops_is_an_activation():
    def shifted(x):
        return ops.add(ops.relu(x), x)

    x = np.array([[-1.0, 2.0]], np.float32)
    assert layers.Activation(shifted)(x).tolist() == [[-1.0, 4.0]]
    with pytest.raises(ValueError, match=r"activations\.register"):
        activations.serialize(shifted)
    activations.register(shifted)
    assert layers.deserialize(layers.serialize(layers.Activation("shifted"))).activation is shifted


@pytest.mark.parametrize("name", ["Add", "Subtract", "Multiply", "Average", "Concatenate"])
def test_merging_functions_do_what_their_layers_do(rng, name):
    a, b = rng.standard_normal((2, 3, 4, 5, 2)).astype(np.float32)
    made, function = getattr(layers, name), getattr(layers, name.lower())
    assert np.array_equal(function([a, b]), made()([a, b]))
    value = function([layers.Input((4, 5, 2)), layers.Input((4, 5, 2))], name="merged")
    assert value.shape == made()([layers.Input((4, 5, 2)), layers.Input((4, 5, 2))]).shape
    if name == "Concatenate":
        assert function([a, b], axis=1).shape == (3, 8, 5, 2)
