"""Arithmetic with broadcasting, and sums, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from cnnfast.graph import Graph, Spec
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from tests.gradients import assert_gradients_agree
from tests.tolerance import UNIT_ROUNDOFF, assert_sum_close

SHAPES = [
    ((), ()),
    ((1,), (1,)),
    ((7,), (7,)),
    ((16,), ()),
    ((), (17,)),
    ((3, 5), (5,)),
    ((3, 5), (3, 1)),
    ((1, 5), (3, 1)),
    ((2, 3, 4, 5), (2, 1, 1, 5)),
    ((2, 3, 4, 5), (3, 1, 5)),
    ((2, 1, 4, 1), (3, 1, 17)),
    ((2, 3, 4, 1), (2, 3, 4, 9)),
    ((20001,), (20001,)),
    ((3, 16385), (3, 16385)),
    ((3, 16385), (16385,)),
    ((5000, 3), (3,)),
    ((2, 1, 3, 1, 2, 1, 2, 1), (1, 2, 1, 3, 1, 2, 1, 2)),
]
BINARY = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", SHAPES)
def test_binary_op_agrees_with_numpy_bit_for_bit_on_every_isa(rng, isa, name, shapes):
    a, b = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    y = getattr(ops, name)(a, b)
    np.testing.assert_array_equal(y, BINARY[name](a, b))  # one operation: one rounding, the same everywhere
    assert y.dtype == np.float32


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", [s for s in SHAPES if np.prod(np.broadcast_shapes(*s)) < 300])
def test_gradient_rule_of_binary_op_agrees_with_central_differences(rng, name, shapes):
    arrays = [rng.standard_normal(s) for s in shapes]
    assert_gradients_agree(getattr(ops, name), BINARY[name], arrays, rng, rtol=1e-5)


def test_a_tensor_multiplied_with_itself_gets_both_gradients(rng):
    assert_gradients_agree(lambda x: ops.multiply(x, x), lambda x: x * x, [rng.standard_normal((3, 4))], rng)


def test_binary_ops_give_the_same_bits_for_any_number_of_threads(rng, same_bits):
    a, b = rng.standard_normal((40, 33, 50)), rng.standard_normal((33, 1))
    same_bits(lambda: [ops.add(a, b), ops.multiply(a, b), ops.subtract(b, a)])


def test_add_lets_the_batch_stay_unknown():
    graph = Graph()
    y = ops.add(graph.input(Spec((None, 4, 1, 8))), graph.input(Spec((None, 1, 4, 8))))
    assert y.shape == (None, 4, 4, 8)
    assert ops.multiply(graph.input(Spec((None, 8))), graph.input(Spec((8,)))).shape == (None, 8)


@pytest.mark.parametrize("n", [1, 7, 16, 33, 40000])
def test_scale_and_cast_agree_with_numpy_on_every_isa(rng, isa, n):
    x = rng.standard_normal(n).astype(np.float32)
    cases = [(ops.scale, x), (ops.cast, x), (ops.cast, rng.integers(0, 256, n).astype(np.uint8))]
    cases.append((ops.cast, rng.integers(-(2**31), 2**31, n).astype(np.int32)))
    for op, numbers in cases:
        product = numbers * np.float64(np.float32(1 / 255))
        # The conversion, the product and the sum round once each, at most.
        bound = UNIT_ROUNDOFF * (3 * np.abs(product) + 0.5)
        assert np.all(np.abs(op(numbers, 1 / 255, -0.5) - (product - 0.5)) <= bound)


def test_gradients_of_scale_and_cast_agree_with_central_differences(rng):
    x = rng.standard_normal((3, 4))
    assert_gradients_agree(lambda x: ops.scale(x, -0.7, 3), lambda x: -0.7 * x + 3, [x], rng)
    assert_gradients_agree(lambda x: ops.cast(x, 2.5), lambda x: 2.5 * x, [x], rng)


REDUCED = [
    ((1,), None), ((33,), None), ((100_003,), None), ((3, 5), 0), ((3, 5), 1), ((3, 5), None),
    ((2, 3, 4, 5), (1, 2)), ((2, 3, 4, 5), (0, 2)), ((2, 3, 4, 5), (1, 3)), ((2, 3, 4, 5), -1),
    ((2, 3, 4, 5), (0, 1, 2)),
    ((2, 3, 2, 3, 2), (0, 2, 4)), ((3, 70, 70, 17), (1, 2)), ((9, 40, 41, 3), (0, 1, 2)),
    ((4, 100, 700), 1), ((3, 4), ()),
]  # fmt: skip


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("shape", "axis"), REDUCED)
def test_sum_and_mean_agree_with_numpy_on_every_isa(rng, isa, shape, axis, keepdims):
    x = rng.standard_normal(shape).astype(np.float32)
    wide = x.astype(np.float64)
    y, exact = ops.sum(x, axis, keepdims=keepdims), wide.sum(axis, keepdims=keepdims)
    terms = x.size // max(exact.size, 1)
    assert_sum_close(y, exact, terms, np.abs(x).max())
    mean = wide.mean(axis, keepdims=keepdims)
    assert_sum_close(ops.mean(x, axis, keepdims=keepdims), mean, terms, np.abs(x).max() / terms)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [c for c in REDUCED if np.prod(c[0]) < 200])
def test_gradients_of_sum_and_mean_agree_with_central_differences(rng, shape, axis, keepdims):
    x = rng.standard_normal(shape)
    for ours, theirs in ((ops.sum, np.sum), (ops.mean, np.mean)):
        assert_gradients_agree(
            lambda x, f=ours: f(x, axis, keepdims=keepdims),
            lambda x, f=theirs: np.asarray(f(x, axis=axis, keepdims=keepdims)),
            [x], rng, rtol=1e-5,
        )  # fmt: skip


@pytest.mark.parametrize("n", [1, 5, 64, 65, 100_003])
def test_sums_of_squares_and_magnitudes_agree_with_numpy_on_every_isa(rng, isa, n):
    x = rng.standard_normal(n).astype(np.float32)
    wide = x.astype(np.float64)
    assert_sum_close(ops.sum_squares(x, 0.5), np.sum(wide**2) * 0.5, n, 0.5 * np.max(wide**2))
    assert_sum_close(ops.sum_abs(x, 2.0), np.sum(np.abs(wide)) * 2, n, 2 * np.max(np.abs(wide)))


def test_gradients_of_sums_of_squares_and_magnitudes_agree_with_central_differences(rng):
    x = rng.standard_normal((3, 7))
    for ours, theirs in ((ops.sum_squares, np.square), (ops.sum_abs, np.abs)):
        assert_gradients_agree(
            lambda x, f=ours: f(x, 0.3),
            lambda x, f=theirs: np.asarray(0.3 * np.sum(f(x))),
            [x],
            rng,
            rtol=1e-5,
        )


def test_sums_give_the_same_bits_for_any_number_of_threads(rng, same_bits):
    x = rng.standard_normal((7, 90, 91, 5))
    same_bits(lambda: [ops.sum(x, a) for a in (None, (0, 1, 2), (1, 2), -1, (0, 2))] + [ops.sum_squares(x)])


def test_a_scalar_loss_made_of_ops_has_gradients_from_a_plain_number(rng):
    graph, x_ = Graph(), rng.standard_normal((4, 5)).astype(np.float32)
    x = graph.input(Spec(x_.shape))
    loss = ops.add(ops.scale(ops.mean(ops.multiply(x, x)), 3.0), ops.sum_squares(x, scale=0.5))
    (dx,) = differentiate(graph, [(loss, 2.0)], [x])
    _, (actual,) = Program(graph, [x], [dx]).run([x_])
    np.testing.assert_allclose(actual, 2 * (3 * 2 * x_ / 20 + x_), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.add(np.ones((2, 3)), np.ones(4)), r"add: sizes must agree .* got \(2, 3\) and \(4,\)"),
        (lambda: ops.multiply(np.ones((0, 3)), np.ones(3)), r"multiply: a has a dimension of size 0"),
        (lambda: ops.scale(np.ones(3), np.inf), r"scale: scale must be finite, got inf"),
        (lambda: ops.sum(np.ones((2, 3)), 2), r"sum: axis must lie in \[-2, 2\) for shape \(2, 3\), got 2"),
        (lambda: ops.sum(np.ones((2, 3)), (0, -2)), r"sum: axis names an axis twice: \(0, -2\)"),
        (lambda: ops.mean(np.ones((2, 0))), r"mean: x has a dimension of size 0: shape \(2, 0\)"),
    ],
)
def test_arithmetic_refuses_bad_input_with_the_values_in_the_message(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.add(np.ones(3), "x"),
        lambda: ops.add(np.ones(3, np.uint8), np.ones(3)),
        lambda: ops.scale(np.ones(3), "2"),
    ],
)
def test_arithmetic_refuses_what_is_not_a_float_tensor(call):
    with pytest.raises(TypeError):
        call()
