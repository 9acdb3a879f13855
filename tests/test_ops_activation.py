"""Activations and their gradients against the float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from cnnfast.ops import engine
from tests.gradients import assert_gradients_agree
from tests.oracle.activation import ACTIVATIONS
from tests.tolerance import UNIT_ROUNDOFF, assert_sum_close

FUNCTIONS = {
    "relu": (ops.relu, ops.relu_backward, "y"),
    "relu6": (ops.relu6, ops.relu6_backward, "y"),
    "leaky_relu": (lambda x: ops.leaky_relu(x, 0.3), lambda dy, y: ops.leaky_relu_backward(dy, y, 0.3), "y"),
    "sigmoid": (ops.sigmoid, ops.sigmoid_backward, "y"),
    "tanh": (ops.tanh, ops.tanh_backward, "y"),
    "silu": (ops.silu, ops.silu_backward, "x"),
    "gelu": (ops.gelu, ops.gelu_backward, "x"),
    "gelu_tanh": (lambda x: ops.gelu(x, True), lambda dy, x: ops.gelu_backward(dy, x, True), "x"),
    "elu": (lambda x: ops.elu(x, 0.7), lambda dy, x: ops.elu_backward(dy, x, 0.7), "x"),
    "softplus": (ops.softplus, ops.softplus_backward, "x"),
}
SIZES = [1, 3, 4, 7, 8, 9, 15, 16, 17, 33, 50001]

# Values that are products keep their relative error; where 1 + erf or 1 + tanh cancels, the error is a few
# roundings of x itself.
ULPS = {"gelu": 8, "gelu_tanh": 8}


def _inputs(rng, n):
    """Both signs, from tiny to saturated, away from the kinks at 0 and 6."""
    x = rng.standard_normal(n) * 10.0 ** rng.uniform(-3, 1.5, n)
    return np.where(np.abs(x - 6) < 1e-2, 6.5, x).astype(np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_agrees_with_the_oracle_on_every_isa(rng, isa, name):
    forward = FUNCTIONS[name][0]
    for n in SIZES:
        x = _inputs(rng, n)
        exact = ACTIVATIONS[name][0](x.astype(np.float64))
        floor = ULPS[name] * UNIT_ROUNDOFF * np.abs(x) if name in ULPS else 1e-37  # denormals may become 0
        assert np.all(np.abs(forward(x) - exact) <= 8 * UNIT_ROUNDOFF * np.abs(exact) + floor)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_gradient_agrees_with_the_oracle_on_every_isa(rng, isa, name):
    forward, backward, reads = FUNCTIONS[name]
    for n in SIZES:
        x, dy = _inputs(rng, n), rng.standard_normal(n).astype(np.float32)
        slope = ACTIVATIONS[name][1](x.astype(np.float64))
        dx = backward(dy, forward(x) if reads == "y" else x)
        # y is known to a rounding of 1 where it saturates, 1 - y no better; silu and gelu multiply by |x|.
        floor = 32 * UNIT_ROUNDOFF * np.maximum(1, np.minimum(np.abs(x), 10))
        assert np.all(np.abs(dx - dy * slope) <= np.abs(dy) * (8 * UNIT_ROUNDOFF * np.abs(slope) + floor))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_rule_of_activation_agrees_with_central_differences(rng, name):
    x = rng.uniform(-3, 3, (3, 5))
    x = np.where(np.abs(x) < 0.01, 0.5, x)
    assert_gradients_agree(FUNCTIONS[name][0], ACTIVATIONS[name][0], [x], rng, rtol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_gives_the_same_bits_for_any_number_of_threads(rng, same_bits, name):
    x = _inputs(rng, 100_003)
    (y,) = same_bits(lambda: FUNCTIONS[name][0](x))
    same_bits(lambda: FUNCTIONS[name][1](x, y))


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("relu", (0, np.inf)), ("relu6", (0, 6)), ("leaky_relu", (-np.inf, np.inf)), ("sigmoid", (0, 1)),
        ("tanh", (-1, 1)), ("elu", (-0.7, np.inf)), ("softplus", (0, np.inf)),
    ],
)  # fmt: skip
def test_activation_reaches_its_limits_and_keeps_nan(isa, name, limits):
    y = FUNCTIONS[name][0](np.array([-np.inf, np.inf, np.nan], np.float32))
    np.testing.assert_array_equal(y[:2], np.array(limits, np.float32))
    assert np.isnan(y[2])


@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_tanh"])
def test_activation_of_large_numbers_is_x_or_0(isa, name):
    y = FUNCTIONS[name][0](np.array([-1000.0, 1000.0, np.nan], np.float32))
    np.testing.assert_array_equal(y, [0, 1000, np.nan])


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize(
    "shape",
    [(1,), (7,), (1, 1), (5, 3), (100, 10), (33, 17), (2, 9, 9, 32), (70, 1, 3, 100), (50000, 1), (2, 9000)],
)
def test_one_pass_of_relu_and_bias_gradient_equals_the_two_ops(rng, isa, same_bits, activation, shape):
    dy = rng.standard_normal(shape).astype(np.float32)
    y = np.clip(rng.standard_normal(shape) * 6, 0, 6).astype(np.float32)

    def one_pass():
        dz, db = np.empty_like(dy), np.empty(shape[-1], np.float32)
        engine.run_step("relu_backward_bias", [dy, y], [dz, db], {"epilogue": activation})
        return dz, db

    dz, db = same_bits(one_pass)
    np.testing.assert_array_equal(dz, FUNCTIONS[activation][1](dy, y))
    exact = dz.astype(np.float64).reshape(-1, shape[-1]).sum(axis=0)
    assert_sum_close(db, exact, dy.size // shape[-1], np.abs(dy).max())


def test_relu_backward_bias_may_write_over_dy(rng, isa):
    dy, y = rng.standard_normal((2, 1000, 48)).astype(np.float32)
    expected = np.where(y > 0, dy, 0)
    engine.run_step("relu_backward_bias", [dy, y], [dy, np.empty(48, np.float32)], {"epilogue": "relu"})
    np.testing.assert_array_equal(dy, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.relu(np.zeros((0, 3))), r"relu: x has a dimension of size 0: shape \(0, 3\)"),
        (
            lambda: ops.relu_backward(np.zeros(3), np.zeros(4)),
            r"relu_backward: y expects shape \(3,\), got \(4,\)",
        ),
        (
            lambda: ops.leaky_relu(np.zeros(3), -0.1),
            r"leaky_relu: negative_slope must be at least 0, got -0.1",
        ),
        (lambda: ops.elu(np.zeros(3), np.nan), r"elu: alpha must be finite, got nan"),
    ],
)
def test_activation_refuses_bad_input_with_the_values_in_the_message(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [lambda: ops.relu("three"), lambda: ops.elu(np.zeros(3), None), lambda: ops.relu(np.zeros(3, np.uint8))],
)
def test_activation_refuses_what_is_not_a_float_tensor(call):
    with pytest.raises(TypeError):
        call()
