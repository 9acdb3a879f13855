"""Batch normalization right after a convolution gets its moments from it, and they are as good as its own."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import ops
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec, Variable
from cnnfast.ops import engine
from tests.tolerance import UNIT_ROUNDOFF

# N, H, W, C, K (0: depthwise), kernel, strides, padding, groups
SHAPES = [
    (1, 1, 1, 3, 5, 1, 1, "valid", 1),
    (3, 11, 13, 16, 40, 1, 1, "valid", 1),
    (2, 40, 33, 5, 70, 1, 1, "valid", 1),
    (2, 9, 8, 300, 33, 1, 1, "valid", 1),  # several passes
    (5, 3, 3, 7, 200, 1, 1, "valid", 1),  # several ranges of channels
    (2, 12, 10, 32, 36, 3, 2, "same", 2),
    (9, 4, 5, 3, 17, 3, 1, "same", 1),
    (1, 1, 1, 3, 0, 3, 1, "same", 1),
    (3, 30, 31, 24, 0, 3, 1, "same", 1),
    (2, 17, 20, 35, 0, 5, 2, "same", 1),
]


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _convolution(shape, mean=0.0):
    """x, and the function that convolves it; the results have this mean."""
    N, H, W, C, K, kernel, strides, padding, groups = shape
    w = Variable(_random(kernel, kernel, C // groups, K or 1) / np.sqrt(kernel * kernel * C))
    b = Variable(np.full(K or C, mean))
    if K:
        return _random(N, H, W, C), lambda v: ops.conv2d(v, w, b, strides=strides, padding=padding, groups=groups)
    return _random(N, H, W, C), lambda v: ops.depthwise_conv2d(v, w, b, strides=strides, padding=padding)


def _run(build, x):
    """The number of inputs of batch normalization, and the results."""
    graph = Graph(training=True)
    v = graph.input(Spec(x.shape))
    program = Program(graph, [v], build(v))
    (node,) = [n for n in graph.nodes if n.op.name == "batch_norm"]
    return len(node.inputs), program.run([x])[1]


@pytest.fixture(autouse=True)
def direct():
    cnnfast.config.set_conv2d_algorithm("direct")
    yield
    cnnfast.config.set_conv2d_algorithm("auto")


@pytest.mark.parametrize("mean", [0.0, 1e3, -1e5])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments_of_a_convolution_agree_with_the_oracle_on_every_isa(isa, shape, mean):
    x, convolve = _convolution(shape, mean)

    def build(v):
        y = convolve(v)
        return [y, *ops.batch_norm(y)]

    inputs, (y, z, m, variance) = _run(build, x)
    assert inputs == 5
    rows = y.astype(np.float64).reshape(-1, y.shape[-1])
    assert np.all(np.abs(m - rows.mean(0)) <= 2 * UNIT_ROUNDOFF * np.maximum(np.abs(rows).max(0), 1))
    assert np.all(np.abs(variance - rows.var(0)) <= 32 * UNIT_ROUNDOFF * rows.var(0))
    sigma = np.sqrt(rows.var(0) + 1e-3)
    error = UNIT_ROUNDOFF * (32 + 2 * np.abs(rows).max(0) / sigma)
    assert np.all(np.abs(z - (y - rows.mean(0)) / sigma) <= error * (1 + np.abs(z).max()))
    np.testing.assert_array_equal(y, _run(lambda v: [convolve(v), ops.batch_norm(v)[0]], x)[1][0])


@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[-2]])
def test_one_result_far_from_the_others_costs_no_more_than_the_bound(isa, shape):
    """The worst for sums of differences from a block's first result is that only this one is far from the mean.

    Of n results it is then sqrt(n) standard deviations away: the squares are n times what counts, and so is what a few
    roundings cost. Blocks of these shapes have up to 1300 results.
    """
    x, convolve = _convolution(shape)
    x[:] = 1e-3 * x
    x[:, :3, :3] += 1e3
    _, (y, m, variance) = _run(lambda v: [convolve(v), *ops.batch_norm(convolve(v))[1:]], x)
    rows = y.astype(np.float64).reshape(-1, y.shape[-1])
    assert np.all(np.abs(m - rows.mean(0)) <= 32 * UNIT_ROUNDOFF * np.abs(rows).max(0))
    assert np.all(np.abs(variance / rows.var(0) - 1) <= 8 * 1300 * UNIT_ROUNDOFF)


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[4]])
def test_activation_and_residual_are_part_of_what_the_moments_are_of(isa, shape):
    x, convolve = _convolution(shape)
    residual = _random(*convolve(x).shape, seed=3)

    def build(v):
        y = ops.relu(ops.add(convolve(v), v.graph.constant(residual)))
        return [y, *ops.batch_norm(y)[1:]]

    inputs, (y, m, variance) = _run(build, x)
    assert inputs == 5
    rows = y.astype(np.float64).reshape(-1, y.shape[-1])
    np.testing.assert_allclose(m, rows.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, rows.var(0), rtol=1e-5)


@pytest.mark.parametrize("shape", [SHAPES[2], SHAPES[3], SHAPES[-2]])
def test_moments_have_the_same_bits_for_any_number_of_threads(same_bits, shape):
    x, convolve = _convolution(shape)
    same_bits(lambda: _run(lambda v: list(ops.batch_norm(convolve(v))), x)[1])


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[-2]])
def test_gradients_are_those_of_batch_normalization_alone(shape):
    x, convolve = _convolution(shape)
    dy = _random(*convolve(x).shape, seed=5)

    def build(v):
        y = ops.relu6(ops.batch_norm(convolve(v))[0])
        return differentiate(v.graph, [(y, v.graph.constant(dy))], [v])

    inputs, (dx,) = _run(build, x)
    assert inputs == 5

    def alone(v):
        y = ops.relu6(ops.batch_norm(ops.add(convolve(v), v.graph.constant(np.zeros_like(dy))))[0])
        return differentiate(v.graph, [(y, v.graph.constant(dy))], [v])

    assert np.max(np.abs(dx - _run(alone, x)[1][0])) <= 1e-5 * np.max(np.abs(dx))


@pytest.mark.parametrize("why", ["winograd", "pooled"])
def test_where_the_convolution_cannot_give_them_batch_normalization_takes_them_itself(why):
    x, w = _random(2, 12, 14, 16), Variable(_random(3, 3, 16, 24))
    cnnfast.config.set_conv2d_algorithm("winograd4" if why == "winograd" else "direct")

    def build(v):
        y = ops.conv2d(v, w, padding="same")
        y = ops.max_pool2d(y, 2) if why == "pooled" else y
        return [y, *ops.batch_norm(y)[1:]]

    inputs, (y, m, variance) = _run(build, x)
    assert inputs == 3
    np.testing.assert_allclose(m, y.mean((0, 1, 2)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(variance, y.var((0, 1, 2)), rtol=1e-4)


def test_not_a_number_comes_through(isa):
    x, convolve = _convolution(SHAPES[1])
    x[1, 2, 3, 0] = np.nan
    m, variance = _run(lambda v: list(ops.batch_norm(convolve(v))[1:]), x)[1]
    assert np.all(np.isnan(m)) and np.all(np.isnan(variance))


@pytest.mark.parametrize("op", ["conv2d", "depthwise_conv2d"])
def test_moments_of_another_number_of_blocks_are_refused(op):
    floats, a = "float32", {"strides": [1, 1], "dilation": [1, 1], "padding": [0] * 4, "groups": 1}
    inputs = [(floats, [1, 4, 4, 3]), (floats, [1, 1, 3, 1]), None]
    with pytest.raises(ValueError, match=f"{op}: .*blocks"):
        K = 1 if op == "conv2d" else 3
        engine.Step(op, inputs, [(floats, [1, 4, 4, K]), (floats, [77, 4, K])], a)


def test_blocks_too_large_for_their_first_result_leave_the_moments_to_batch_normalization():
    x = _random(32, 128, 128, 1)
    x[:, 0, 0] = 1e4
    w = Variable(np.ones((1, 1, 1, 1)))
    inputs, (_, _, variance) = _run(lambda v: list(ops.batch_norm(ops.depthwise_conv2d(v, w))), x)
    assert inputs == 3
    assert np.isclose(variance, x.var(dtype=float), rtol=1e-4)
