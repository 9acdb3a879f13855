"""Concatenation, slices, padding and cropping against NumPy; upsampling against its matrix."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from tests.gradients import assert_gradients_agree
from tests.oracle import resize as oracle
from tests.tolerance import UNIT_ROUNDOFF


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_concatenate_agrees_with_numpy(rng, axis, dtype):
    shape = [2, 3, 4, 5]
    xs = []
    for size in (1, 7, 3):
        shape[axis] = size
        xs.append((rng.standard_normal(shape) * 50).astype(dtype))
    np.testing.assert_array_equal(ops.concatenate(xs, axis), np.concatenate(xs, axis))


def test_gradient_of_concatenate_gives_each_input_its_part(rng):
    xs = [rng.standard_normal((2, n, 3)) for n in (1, 4, 2)]
    assert_gradients_agree(lambda *x: ops.concatenate(x, 1), lambda *x: np.concatenate(x, 1), xs, rng)


def test_concatenate_may_use_a_tensor_twice(rng):
    x = rng.standard_normal((2, 3))
    assert_gradients_agree(lambda x: ops.concatenate([x, x]), lambda x: np.concatenate([x, x], -1), [x], rng)


@pytest.mark.parametrize(("axis", "begin", "end"), [(0, 1, 2), (1, 0, 3), (2, 2, 5), (-1, 6, 7)])
def test_slice_and_its_gradient_agree_with_numpy(rng, axis, begin, end):
    x = rng.standard_normal((2, 3, 5, 7)).astype(np.float32)
    index = [slice(None)] * 4
    index[axis] = slice(begin, end)
    np.testing.assert_array_equal(ops.slice_axis(x, axis, begin, end), x[tuple(index)])
    assert_gradients_agree(lambda x: ops.slice_axis(x, axis, begin, end), lambda x: x[tuple(index)], [x], rng)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 7), (3, 40, 41, 16)])
@pytest.mark.parametrize(
    ("padding", "sides"),
    [(2, (2, 2, 2, 2)), ((0, 3), (0, 0, 3, 3)), (((1, 0), (0, 2)), (1, 0, 0, 2)), (0, (0, 0, 0, 0))],
)
def test_zero_padding_agrees_with_numpy_and_cropping_undoes_it(rng, shape, padding, sides):
    x = rng.standard_normal(shape).astype(np.float32)
    top, bottom, left, right = sides
    y = ops.zero_pad2d(x, padding)
    np.testing.assert_array_equal(y, np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))))
    np.testing.assert_array_equal(ops.crop2d(y, padding), x)


def test_gradients_of_padding_and_cropping_agree_with_central_differences(rng):
    x, sides = rng.standard_normal((2, 4, 5, 3)), ((1, 2), (0, 1))
    pads = ((0, 0), *sides, (0, 0))
    assert_gradients_agree(lambda x: ops.zero_pad2d(x, sides), lambda x: np.pad(x, pads), [x], rng)
    assert_gradients_agree(lambda x: ops.crop2d(x, sides), lambda x: x[:, 1:-2, :-1], [x], rng)


SIZES = [(1, 1, 1, 1), (2, 3, 4, 1), (2, 3, 4, 7), (1, 5, 2, 16), (2, 2, 6, 33)]
FACTORS = [(1, 1), (2, 2), (3, 2), (1, 4), (5, 1)]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("shape", SIZES)
def test_upsampling_and_its_gradient_agree_with_their_matrices_on_every_isa(rng, isa, shape, factor, interpolation):
    x = rng.standard_normal(shape).astype(np.float32)
    y = ops.upsample2d(x, factor, interpolation)
    exact = oracle.upsample2d(x.astype(np.float64), factor, interpolation)
    np.testing.assert_allclose(y, exact, rtol=0, atol=8 * UNIT_ROUNDOFF * np.abs(x).max())
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx = ops.upsample2d_backward(dy, factor, interpolation)
    exact = oracle.upsample2d_backward(dy.astype(np.float64), factor, interpolation)
    readers = 4 * factor[0] * factor[1]
    np.testing.assert_allclose(dx, exact, rtol=0, atol=4 * readers * UNIT_ROUNDOFF * np.abs(dy).max())


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_gradient_rule_of_upsampling_agrees_with_central_differences(rng, interpolation):
    x = rng.standard_normal((2, 3, 2, 3))
    assert_gradients_agree(
        lambda x: ops.upsample2d(x, (2, 3), interpolation),
        lambda x: oracle.upsample2d(x, (2, 3), interpolation),
        [x], rng, rtol=1e-5,
    )  # fmt: skip


def test_layout_ops_give_the_same_bits_for_any_number_of_threads(rng, same_bits):
    x = rng.standard_normal((5, 30, 31, 17)).astype(np.float32)
    same_bits(lambda: [ops.concatenate([x, x]), ops.zero_pad2d(x, 3), ops.crop2d(x, 3), ops.slice_axis(x, 1, 2, 20)])
    same_bits(lambda: [ops.upsample2d(x, 2, i) for i in ("nearest", "bilinear")])
    same_bits(lambda: [ops.upsample2d_backward(x[:, :, :30], (3, 2), i) for i in ("nearest", "bilinear")])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.concatenate([]), r"concatenate: expected at least one tensor, got none"),
        (
            lambda: ops.concatenate([np.ones((2, 3)), np.ones((3, 3))]),
            r"must agree but for axis 1, .*\(2, 3\) and \(3, 3\)",
        ),
        (lambda: ops.concatenate([np.ones((2, 3)), np.ones(3)], 0), r"must agree but for axis 0"),
        (
            lambda: ops.concatenate([np.ones((2, 3))], 2),
            r"axis must lie in \[-2, 2\) for shape \(2, 3\), got 2",
        ),
        (lambda: ops.slice_axis(np.ones((2, 3)), 1, 2, 4), r"axis 1 of \(2, 3\) ends at 3, got \[2, 4\)"),
        (lambda: ops.slice_axis(np.ones((2, 3)), 1, 2, 2), r"expected 0 <= begin < end, got \[2, 2\)"),
        (
            lambda: ops.zero_pad2d(np.ones((1, 2, 2, 1)), -1),
            r"zero_pad2d: padding must not be negative, got -1",
        ),
        (lambda: ops.crop2d(np.ones((1, 2, 2, 1)), 1), r"leaves nothing of \(1, 2, 2, 1\)"),
        (
            lambda: ops.zero_pad2d(np.ones((2, 2, 1)), 1),
            r"x expects 4 dimensions \(N,H,W,C\), got shape \(2, 2, 1\)",
        ),
        (lambda: ops.upsample2d(np.ones((1, 2, 2, 1)), 0), r"size must be at least 1, got 0"),
        (
            lambda: ops.upsample2d(np.ones((1, 2, 2, 1)), 2, "cubic"),
            r"must be 'nearest' or 'bilinear', got 'cubic'",
        ),
        (
            lambda: ops.upsample2d_backward(np.ones((1, 3, 2, 1)), 2),
            r"\(P,Q\)=\(3, 2\) is no multiple of size \(2, 2\)",
        ),
    ],
)
def test_layout_ops_refuse_bad_input_with_the_values_in_the_message(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.zero_pad2d(np.ones((1, 2, 2, 1)), "same"),
        lambda: ops.concatenate([np.ones(3, np.uint8), np.ones(3)]),
        lambda: ops.upsample2d(np.ones((1, 2, 2, 1)), 1.5),
    ],
)
def test_layout_ops_refuse_the_wrong_types(call):
    with pytest.raises(TypeError):
        call()
