"""Pooling and its gradients against the float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec
from tests.gradcheck import numeric_gradient
from tests.oracle import pool as oracle
from tests.oracle.conv import same_pads
from tests.tolerance import assert_sum_close

# N, H, W, C, window, strides, padding: channels around the vector width; windows that overlap, touch, gape;
# leftover rows and columns, padding on all sides, windows of more than 256 elements, batches of one and many.
SHAPES = [
    (1, 1, 1, 1, (1, 1), (1, 1), "valid"),
    (2, 6, 6, 8, (2, 2), (2, 2), "valid"),
    (3, 7, 5, 17, (2, 2), (2, 2), "valid"),
    (2, 7, 5, 3, (2, 2), (2, 2), "same"),
    (33, 4, 4, 1, (2, 2), (2, 2), "valid"),
    (2, 9, 8, 10, (3, 3), (2, 2), "valid"),
    (2, 9, 8, 16, (3, 3), (2, 2), "same"),
    (2, 5, 6, 7, (3, 3), (1, 1), "same"),
    (1, 10, 11, 33, (3, 2), (1, 2), "valid"),
    (2, 11, 10, 4, (2, 2), (3, 4), "valid"),
    (2, 11, 10, 9, (2, 3), (3, 3), "same"),
    (1, 6, 5, 5, (4, 4), (2, 3), ((3, 2), (1, 3))),
    (2, 5, 5, 15, (2, 2), (2, 2), ((1, 0), (1, 1))),
    (1, 20, 19, 6, (17, 16), (2, 3), "valid"),
    (1, 3, 4, 2, (7, 9), (1, 1), "same"),
    (2, 40, 3, 64, (5, 1), (5, 1), "valid"),
]


def _pads(shape):
    _, H, W, _, size, strides, padding = shape
    if padding == "same":
        return same_pads((H, W), size, strides, (1, 1))
    return (0, 0, 0, 0) if padding == "valid" else (*padding[0], *padding[1])


def _case(rng, shape):
    N, H, W, C, size, strides, padding = shape
    x = rng.standard_normal((N, H, W, C)).astype(np.float32)
    return x, size, strides, _pads(shape), {"strides": strides, "padding": padding}


@pytest.mark.parametrize("shape", SHAPES)
def test_max_pool_and_its_argmax_are_exact_on_every_isa(rng, isa, shape):
    x, size, strides, pads, options = _case(rng, shape)
    y, argmax = ops.max_pool2d_argmax(x, size, **options)
    exact, position = oracle.max_pool2d(x, size, strides, pads)
    assert np.array_equal(y, exact)
    assert np.array_equal(argmax, position)
    assert argmax.dtype == (np.uint8 if size[0] * size[1] <= 256 else np.int32)
    assert np.array_equal(ops.max_pool2d(x, size, **options), exact)


@pytest.mark.parametrize("shape", SHAPES)
def test_max_pool_gradient_agrees_with_the_oracle_on_every_isa(rng, isa, shape):
    x, size, strides, pads, options = _case(rng, shape)
    y, argmax = ops.max_pool2d_argmax(x, size, **options)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx = ops.max_pool2d_backward(dy, argmax, x.shape[1:3], size, **options)
    exact = oracle.max_pool2d_backward(dy, x, size, strides, pads)
    assert_sum_close(dx, exact, size[0] * size[1], np.abs(dy).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_average_pool_and_its_gradient_agree_with_the_oracle_on_every_isa(rng, isa, shape):
    x, size, strides, pads, options = _case(rng, shape)
    y = ops.average_pool2d(x, size, **options)
    assert_sum_close(y, oracle.average_pool2d(x, size, strides, pads), size[0] * size[1], np.abs(x).max())
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx = ops.average_pool2d_backward(dy, x.shape[1:3], size, **options)
    exact = oracle.average_pool2d_backward(dy, x.shape, size, strides, pads)
    assert_sum_close(dx, exact, size[0] * size[1], np.abs(dy).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_pooling_gives_the_same_bits_for_any_number_of_threads(rng, same_bits, shape):
    x, size, _, _, options = _case(rng, shape)
    x = np.tile(x, (7, 1, 1, 1))
    y, argmax = same_bits(lambda: ops.max_pool2d_argmax(x, size, **options))
    same_bits(lambda: ops.max_pool2d_backward(y, argmax, x.shape[1:3], size, **options))
    same_bits(lambda: ops.average_pool2d(x, size, **options))
    same_bits(lambda: ops.average_pool2d_backward(y, x.shape[1:3], size, **options))


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (2, 3)])
def test_max_pool_gives_gradient_to_the_first_of_ties(isa, size):
    x = np.zeros((1, 6, 6, 9), np.float32)
    y, argmax = ops.max_pool2d_argmax(x, size)
    dx = ops.max_pool2d_backward(np.ones_like(y), argmax, (6, 6), size)
    expected = np.zeros_like(x)
    expected[:, :: size[0], :: size[1]] = 1
    assert np.array_equal(dx, expected)


def test_first_of_ties_lies_in_the_image_even_where_the_window_does_not(isa):
    x = np.full((1, 2, 2, 3), -np.inf, np.float32)
    y, argmax = ops.max_pool2d_argmax(x, 2, padding=1)
    assert np.all(y == -np.inf)
    assert argmax[0, :, :, 0].tolist() == [[3, 2], [1, 0]]
    dx = ops.max_pool2d_backward(np.ones_like(y), argmax, (2, 2), 2, padding=1)
    assert np.all(dx == 1)


@pytest.mark.parametrize("size", [2, 3, (1, 4)])
@pytest.mark.parametrize("where", range(12))
def test_max_pool_passes_nan_on_and_nothing_else_does(isa, size, where):
    x = np.random.default_rng(where).standard_normal((1, 12, 12, 11)).astype(np.float32)
    x[0, where // 4, where % 4, where % 11] = np.nan
    x[0, 5, 5] = np.inf
    x[0, 6, 6] = -np.inf
    R, S = (size, size) if isinstance(size, int) else size
    y = ops.max_pool2d(x, size)
    expected = x.reshape(1, 12 // R, R, 12 // S, S, 11).max((2, 4))
    assert np.array_equal(y, expected, equal_nan=True)
    assert np.isnan(y).sum() == 1


@pytest.mark.parametrize(("N", "H", "W", "C"), [(1, 1, 1, 1), (2, 7, 7, 17), (3, 20, 19, 8), (1, 5, 3, 100)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling_agrees_with_the_oracle_on_every_isa(rng, isa, N, H, W, C, keepdims):
    x = rng.standard_normal((N, H, W, C)).astype(np.float32)
    top, argmax = ops.global_max_pool2d_argmax(x, keepdims=keepdims)
    mean = ops.global_average_pool2d(x, keepdims=keepdims)
    shape = (N, 1, 1, C) if keepdims else (N, C)
    assert top.shape == argmax.shape == mean.shape == shape
    assert np.array_equal(top.reshape(N, C), x.max((1, 2)))
    assert np.array_equal(argmax.reshape(N, C), x.reshape(N, H * W, C).argmax(1))
    assert_sum_close(mean, x.astype(float).mean((1, 2)).reshape(shape), H * W, np.abs(x).max())
    dy = rng.standard_normal(shape).astype(np.float32)
    dx = ops.global_max_pool2d_backward(dy, argmax, (H, W)).reshape(N, H * W, C)
    assert np.array_equal(np.take_along_axis(dx, argmax.reshape(N, 1, C), 1)[:, 0], dy.reshape(N, C))
    assert np.count_nonzero(dx) == N * C
    share = ops.global_average_pool2d_backward(dy, (H, W))
    exact = np.broadcast_to(dy.astype(float).reshape(N, 1, 1, C) / (H * W), x.shape)
    assert_sum_close(share, exact, 1, np.abs(dy).max())


def test_mean_of_a_large_image_stays_exact(isa):
    x = np.full((1, 512, 512, 1), 0.1, np.float32)
    assert abs(float(ops.global_average_pool2d(x)[0, 0]) / float(np.float32(0.1)) - 1) < 1e-5


@pytest.mark.parametrize("op", [ops.max_pool2d, ops.average_pool2d])
@pytest.mark.parametrize(("size", "strides", "padding"), [(2, 2, "same"), (3, 1, "same"), (2, 3, "valid")])
def test_pooling_gradients_agree_with_central_differences(rng, op, size, strides, padding):
    shape = (2, 5, 4, 3)
    # Distinct values a good step apart: no kink within reach of the differences.
    x = rng.permutation(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)
    pads = same_pads(shape[1:3], (size, size), (strides, strides), (1, 1)) if padding == "same" else (0, 0, 0, 0)
    forward = (lambda *a: oracle.max_pool2d(*a)[0]) if op is ops.max_pool2d else oracle.average_pool2d
    dy = rng.standard_normal(op(x, size, strides=strides, padding=padding).shape)

    exact = numeric_gradient(lambda v: float((forward(v, (size, size), (strides, strides), pads) * dy).sum()), x)
    dx = _graph_gradient(lambda v: op(v, size, strides=strides, padding=padding), x, dy)
    assert np.allclose(dx, exact, atol=1e-5)


@pytest.mark.parametrize("op", [ops.global_max_pool2d, ops.global_average_pool2d])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling_gradients_agree_with_central_differences(rng, op, keepdims):
    x = rng.permutation(np.arange(60, dtype=np.float32)).reshape(2, 5, 3, 2)
    dy = rng.standard_normal((2, 1, 1, 2) if keepdims else (2, 2))
    reduce = np.max if op is ops.global_max_pool2d else np.mean
    exact = numeric_gradient(lambda v: float((reduce(v, axis=(1, 2)) * dy.reshape(2, 2)).sum()), x)
    assert np.allclose(_graph_gradient(lambda v: op(v, keepdims=keepdims), x, dy), exact, atol=1e-5)


def _graph_gradient(function, x, dy):
    """dx by the op's own gradient rule, in a Program."""
    graph = Graph()
    value, gradient = graph.input(Spec(x.shape)), graph.input(Spec(dy.shape))
    (dx,) = differentiate(graph, [(function(value), gradient)], [value])
    return Program(graph, [value, gradient], [dx]).run([x, dy.astype(np.float32)])[1][0]


def test_a_program_without_gradients_keeps_no_argmax():
    graph = Graph()
    x = graph.input(Spec((1, 4, 4, 8)))
    y = ops.max_pool2d(x)
    Program(graph, [x], [y])
    assert [len(n.outputs) for n in graph.nodes] == [1]


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        ((2, 8, 8), {}, r"max_pool2d: x expects 4 dimensions \(N,H,W,C\), got shape \(2, 8, 8\)"),
        ((2, 0, 8, 3), {}, r"dimension of size 0"),
        ((2, 2, 8, 3), {"pool_size": 3}, r"max_pool2d: a window of 3 rows does not fit in the input's 2"),
        ((2, 8, 8, 3), {"pool_size": 0}, r"pool_size must be at least 1, got 0"),
        ((2, 8, 8, 3), {"strides": (1, 0)}, r"strides must be at least 1"),
        ((2, 8, 8, 3), {"padding": 2}, r"padding must be smaller than the window \(2, 2\), got 2"),
        ((2, 8, 8, 3), {"padding": "full"}, r"padding must be 'valid', 'same' or numbers, got 'full'"),
    ],
)
def test_pooling_refuses_bad_input_with_the_values_in_the_message(x, options, message):
    with pytest.raises(ValueError, match=message):
        ops.max_pool2d(np.zeros(x, np.float32), **options)


def test_pooling_gradients_refuse_what_the_forward_pass_cannot_have_given():
    dy, argmax = np.zeros((1, 2, 2, 3), np.float32), np.zeros((1, 2, 2, 3), np.uint8)
    with pytest.raises(ValueError, match=r"dy expects shape \(1, 3, 3, 3\), got \(1, 2, 2, 3\)"):
        ops.max_pool2d_backward(dy, argmax, (6, 6))
    with pytest.raises(ValueError, match=r"argmax expects shape \(1, 2, 2, 3\), got \(1, 2, 2, 1\)"):
        ops.max_pool2d_backward(dy, argmax[..., :1].copy(), (4, 4))
    with pytest.raises(TypeError, match="argmax must be uint8 or int32, got float32"):
        ops.max_pool2d_backward(dy, argmax.astype(np.float32), (4, 4))


def test_an_argmax_from_elsewhere_sends_nothing_astray():
    argmax = np.full((1, 2, 2, 1), 200, np.uint8)
    dx = ops.max_pool2d_backward(np.ones((1, 2, 2, 1)), argmax, (4, 4))
    assert not dx.any()
