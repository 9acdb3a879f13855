"""Convolution layers: values against the oracle, shapes, weights, messages."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from cnnfast import initializers, layers, ops
from tests.oracle import conv as oracle
from tests.oracle import depthwise as depthwise_oracle
from tests.tolerance import assert_sum_close


def _with_random_weights(rng, layer, x):
    layer(x)
    layer.set_weights([rng.standard_normal(w.shape).astype(np.float32) for w in layer.get_weights()])
    return layer


def test_conv2d_layer_computes_the_convolution_its_arguments_describe(rng):
    x = rng.standard_normal((2, 9, 8, 6)).astype(np.float32)
    layer = layers.Conv2D(4, (3, 2), strides=(2, 1), padding="same", dilation_rate=(1, 2), groups=2, activation="relu")
    w, b = _with_random_weights(rng, layer, x).get_weights()
    assert w.shape == (3, 2, 3, 4) and b.shape == (4,)
    pads = oracle.same_pads((9, 8), (3, 2), (2, 1), (1, 2))
    exact = np.maximum(oracle.conv2d(x, w, b, (2, 1), (1, 2), pads, 2), 0)
    assert_sum_close(layer(x), exact, w[..., 0].size, np.abs(x).max() * np.abs(w).max())


def test_depthwise_layer_computes_the_convolution_its_arguments_describe(rng):
    x = rng.standard_normal((2, 9, 8, 5)).astype(np.float32)
    layer = layers.DepthwiseConv2D((3, 2), strides=2, padding="same", depth_multiplier=3, activation=ops.relu)
    w, b = _with_random_weights(rng, layer, x).get_weights()
    assert w.shape == (3, 2, 5, 3) and b.shape == (15,)
    pads = oracle.same_pads((9, 8), (3, 2), (2, 2), (1, 1))
    exact = np.maximum(depthwise_oracle.depthwise_conv2d(x, w, b, (2, 2), (1, 1), pads), 0)
    assert_sum_close(layer(x), exact, 6, np.abs(x).max() * np.abs(w).max())


def test_separable_layer_is_a_depthwise_and_a_pointwise_convolution(rng):
    x = rng.standard_normal((2, 7, 8, 3)).astype(np.float32)
    layer = layers.SeparableConv2D(4, 3, depth_multiplier=2)
    depthwise, pointwise, b = _with_random_weights(rng, layer, x).get_weights()
    assert depthwise.shape == (3, 3, 3, 2) and pointwise.shape == (1, 1, 6, 4)
    middle = depthwise_oracle.depthwise_conv2d(x, depthwise, None, (1, 1), (1, 1), (0, 0, 0, 0))
    exact = oracle.conv2d(middle, pointwise, b, (1, 1), (1, 1), (0, 0, 0, 0), 1)
    assert_sum_close(layer(x), exact, 9 + 6, np.abs(middle).max() * np.abs(pointwise).max())


def test_a_convolution_without_bias_has_one_weight(rng):
    x = np.ones((1, 4, 4, 2))
    for layer in (
        layers.Conv2D(3, 2, use_bias=False),
        layers.DepthwiseConv2D(2, use_bias=False),
        layers.Conv2DTranspose(3, 2, use_bias=False),
    ):
        layer(x)
        assert [w.name for w in layer.weights] == [f"{layer.name}/kernel"]
        assert layer.bias is None and layer.count_params() == math.prod(layer.kernel.shape)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [*itertools.product((1, 2, 3, 5), (1, 2, 3), (1, 2))])
def test_output_shapes_follow_keras_formulas(padding, kernel, stride, dilation):
    span = (kernel - 1) * dilation + 1
    options = {"strides": stride, "padding": padding, "dilation_rate": dilation}
    for n in (9, 10, 13):
        if padding == "same":
            forward, backward = math.ceil(n / stride), n * stride
        else:
            forward, backward = math.ceil((n - span + 1) / stride), n * stride + max(span - stride, 0)
        shape = (None, n, n + 1, 4)
        assert layers.Conv2D(6, kernel, **options).compute_output_shape(shape)[::3] == (None, 6)
        assert layers.Conv2D(6, kernel, **options).compute_output_shape(shape)[1] == forward
        assert layers.DepthwiseConv2D(kernel, **options).compute_output_shape(shape)[1] == forward
        assert layers.SeparableConv2D(6, kernel, **options).compute_output_shape(shape)[1] == forward
        assert layers.Conv2DTranspose(6, kernel, **options).compute_output_shape(shape)[1] == backward
    x = np.zeros((1, 9, 10, 4))
    for layer in (layers.Conv2D(2, kernel, **options), layers.Conv2DTranspose(2, kernel, **options)):
        assert layer(x).shape == layer.compute_output_shape(x.shape)


@pytest.mark.parametrize("cls", [layers.Conv2D, layers.SeparableConv2D, layers.Conv2DTranspose])
def test_rows_and_columns_may_be_unknown(cls):
    layer = cls(5, 3, strides=2, padding="same")
    y = layer(layers.Input((None, None, 3)))
    assert y.shape == (None, None, None, 5) and layer.built
    assert layer(np.ones((1, 6, 4, 3))).shape[1:3] in ((3, 2), (12, 8))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Conv2D(0, 3), ValueError, "filters must be at least 1, got 0"),
        (lambda: layers.Conv2D(2.5, 3), TypeError, "filters must be an integer, got 2.5"),
        (lambda: layers.Conv2D(4, 0), ValueError, "kernel_size must be at least 1, got 0"),
        (
            lambda: layers.Conv2D(4, (3, 3, 3)),
            TypeError,
            r"kernel_size must be an integer or two, got \(3, 3, 3\)",
        ),
        (lambda: layers.Conv2D(4, 3, strides=0), ValueError, "strides must be at least 1, got 0"),
        (lambda: layers.Conv2D(4, 3, padding="full"), ValueError, "'full'"),
        (
            lambda: layers.Conv2D(4, 3, data_format="channels_first"),
            ValueError,
            "data_format.*'channels_first'",
        ),
        (
            lambda: layers.Conv2D(4, 3, kernel_constraint="max_norm"),
            ValueError,
            "kernel_constraint is not supported",
        ),
        (lambda: layers.Conv2D(5, 3, groups=2), ValueError, "filters=5 cannot be split into groups=2"),
        (lambda: layers.Conv2D(4, 3, activation="rellu"), ValueError, "unknown activation 'rellu'"),
        (lambda: layers.Conv2D(4, 3, filter=3), TypeError, "filter"),
        (lambda: layers.Conv2D(4, 3, dtype="float16"), ValueError, "float16"),
        (
            lambda: layers.Conv2D(4, 3)(np.ones((2, 5))),
            ValueError,
            r"expects \(N,H,W,C\), got shape \(None, 5\)",
        ),
        (lambda: layers.Conv2D(4, 3)(np.ones((1, 2, 5, 1))), ValueError, "window of 3 rows does not fit"),
        (lambda: layers.Conv2D(4, 3)(layers.Input((8, 8, None))), ValueError, "needs the last dimension"),
        (
            lambda: layers.Conv2D(4, 3, groups=2)(np.ones((1, 5, 5, 3))),
            ValueError,
            "3 input channels.*groups=2",
        ),
        (lambda: layers.Conv2D(4, 3)(np.array([[["a"]]])), TypeError, "real numbers"),
        (lambda: layers.Conv2D(4, 3)(np.ones((0, 5, 5, 3))), ValueError, "size 0"),
    ],
)
def test_bad_arguments_and_inputs_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_built_layer_refuses_other_channels():
    layer = layers.Conv2D(32, 3)
    layer(np.ones((1, 28, 28, 3)))
    with pytest.raises(ValueError, match=r"w expects 3 input channels .*x has \(N,H,W,C\)=\(8, 28, 28, 1\)"):
        layer(np.ones((8, 28, 28, 1)))


def test_kernels_and_biases_begin_as_they_are_told():
    layer = layers.Conv2D(3, 2, kernel_initializer=initializers.HeNormal(seed=3), bias_initializer="ones")
    layer(np.ones((1, 4, 4, 5)))
    kernel, bias = layer.get_weights()
    assert np.array_equal(kernel, initializers.HeNormal(seed=3)((2, 2, 5, 3))) and bias.tolist() == [1, 1, 1]
