"""Batch normalization and its gradients against the float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec, Variable
from tests.gradcheck import numeric_gradient
from tests.oracle import norm as oracle

U = 2.0**-24

# Channels around the vector width and the strip of four vectors; one, several and uneven slices and blocks of
# rows; ranks from 2 up.
SHAPES = [
    (3, 100000),  # more channels than fit in a block, in fewer rows than there are slices
    (1, 1),
    (2, 3),
    (5, 17),
    (33, 1),
    (4, 5, 3),
    (2, 7, 5, 8),
    (3, 9, 11, 33),
    (2, 3, 3, 300),
    (8, 31, 29, 32),
    (5, 63, 61, 10),
    (2, 2, 3, 2, 65),
]


def _case(rng, shape, mean=0.5, spread=2.0):
    C = shape[-1]
    x = (mean + spread * rng.standard_normal(shape)).astype(np.float32)
    gamma, beta = rng.standard_normal((2, C)).astype(np.float32)
    return x, gamma, beta


def _close(actual, exact, x, growth=32.0):
    """Relative to the largest value: the sums are short (blocks, slices): a few roundings are all."""
    assert actual.shape == exact.shape
    assert np.max(np.abs(actual - exact)) <= growth * U * max(np.max(np.abs(exact)), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_agrees_with_the_oracle_on_every_isa(rng, isa, shape):
    x, gamma, beta = _case(rng, shape)
    y, mean, variance = ops.batch_norm(x, gamma, beta, epsilon=1e-2)
    exact = oracle.batch_norm(x, gamma, beta, 1e-2)
    scale = np.abs(gamma).max() * np.abs(x).max() / 0.1
    _close(y, exact[0], scale)
    _close(mean, exact[1], np.abs(x).max())
    _close(variance, exact[2], 0.0)


@pytest.mark.parametrize("mean", [0.0, 1e3, -1e4])
@pytest.mark.parametrize("shape", [(4096, 3), (64, 25, 25, 16), (100000, 1)])
def test_variance_is_exact_far_from_zero(rng, isa, shape, mean):
    x, _, _ = _case(rng, shape, mean=mean, spread=1.0)
    _, m, variance = ops.batch_norm(x)
    exact = x.astype(np.float64).var(tuple(range(x.ndim - 1)))
    assert np.max(np.abs(variance / exact - 1)) < 2e-6
    assert np.max(np.abs(m - x.astype(np.float64).mean(tuple(range(x.ndim - 1))))) <= 2 * U * max(abs(mean), 1)


def test_constant_channel_has_variance_zero_and_finite_output(isa):
    y, mean, variance = ops.batch_norm(np.full((77, 5), 0.1, np.float32), beta=np.arange(5))
    assert np.all(variance <= 1e-14)
    assert np.allclose(y, np.arange(5), atol=1e-5)
    assert np.allclose(mean, 0.1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("given", [True, False])
def test_batch_norm_gradients_agree_with_the_oracle_on_every_isa(rng, isa, shape, given):
    x, gamma, beta = _case(rng, shape)
    gamma, beta = (gamma, beta) if given else (None, None)
    dy = rng.standard_normal(shape).astype(np.float32)
    _, mean, variance = ops.batch_norm(x, gamma, beta, epsilon=1e-2)
    dx, dgamma, dbeta = ops.batch_norm_backward(dy, x, gamma, mean, variance, epsilon=1e-2)
    _, m, v = oracle.batch_norm(x, gamma, beta, 1e-2)
    share, dg, db = oracle.batch_norm_inference_backward(dy, x, gamma, m, v, 1e-2)
    rows = x.size // shape[-1]
    xhat, scale = (x - m) / np.sqrt(v + 1e-2), (1 if gamma is None else gamma) / np.sqrt(v + 1e-2)
    exact = share - scale * (db + xhat * dg) / rows
    largest = np.abs(dy).max() * np.abs(scale).max() * max(np.abs(xhat).max(), 1) ** 2
    _close(dx, exact, largest)
    _close(dgamma, dg, np.sqrt(rows) * np.abs(dy).max() * max(np.abs(xhat).max(), 1))
    _close(dbeta, db, np.sqrt(rows) * np.abs(dy).max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("given", [True, False])
def test_inference_and_its_gradients_agree_with_the_oracle_on_every_isa(rng, isa, shape, given):
    x, gamma, beta = _case(rng, shape)
    gamma, beta = (gamma, beta) if given else (None, None)
    C = shape[-1]
    mean, variance = rng.standard_normal(C).astype(np.float32), rng.random(C).astype(np.float32)
    dy = rng.standard_normal(shape).astype(np.float32)
    y = ops.batch_norm_inference(x, gamma, beta, mean, variance, epsilon=1e-2)
    scale = 10 * (1 if gamma is None else np.abs(gamma).max())
    _close(y, oracle.batch_norm_inference(x, gamma, beta, mean, variance, 1e-2), np.abs(x).max() * scale)
    exact = oracle.batch_norm_inference_backward(dy, x, gamma, mean, variance, 1e-2)
    rows = x.size // C
    sizes = (np.abs(dy).max() * scale, np.sqrt(rows) * 10 * np.abs(dy).max() * np.abs(x).max(), np.sqrt(rows))
    for got, want, size in zip(
        ops.batch_norm_inference_backward(dy, x, gamma, mean, variance, epsilon=1e-2),
        exact,
        sizes,
        strict=True,
    ):
        _close(got, want, size)


@pytest.mark.parametrize("shape", [(5, 17), (8, 31, 29, 32), (5, 63, 61, 10)])
def test_batch_norm_gives_the_same_bits_for_any_number_of_threads(rng, same_bits, shape):
    x, gamma, beta = _case(rng, shape)
    y, mean, variance = same_bits(lambda: ops.batch_norm(x, gamma, beta))
    same_bits(lambda: ops.batch_norm_backward(y, x, gamma, mean, variance))
    same_bits(lambda: ops.batch_norm_inference_backward(y, x, gamma, mean, variance))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_gradient_rules_agree_with_central_differences(rng, training, given):
    shape = (3, 2, 2, 3)
    x, gamma, beta = _case(rng, shape)
    mean, variance = rng.standard_normal(3).astype(np.float32), 1 + rng.random(3).astype(np.float32)
    dy = rng.standard_normal(shape).astype(np.float32)

    def exact(x, g, b):
        if training:
            return float((oracle.batch_norm(x, g, b, 1e-2)[0] * dy).sum())
        return float((oracle.batch_norm_inference(x, g, b, mean, variance, 1e-2) * dy).sum())

    graph = Graph()
    arrays = [x, gamma, beta] if given else [x]
    values = [graph.input(Spec(a.shape)) for a in arrays]
    g, b = values[1:] if given else (None, None)
    if training:
        y = ops.batch_norm(values[0], g, b, epsilon=1e-2)[0]
    else:
        y = ops.batch_norm_inference(values[0], g, b, mean, variance, epsilon=1e-2)
    gradients = differentiate(graph, [(y, graph.constant(dy))], values)
    _, got = Program(graph, values, gradients).run(arrays)
    wide = [a.astype(np.float64) for a in arrays] + [None] * (3 - len(arrays))
    for i, one in enumerate(got):

        def along(v, i=i):
            return exact(*(v if j == i else a for j, a in enumerate(wide)))

        assert np.allclose(one, numeric_gradient(along, wide[i]), atol=2e-5)


def test_relu_after_batch_norm_becomes_its_epilogue(rng):
    x, gamma, beta = _case(rng, (4, 5, 5, 9))
    graph = Graph()
    value = graph.input(Spec(x.shape))
    y = ops.relu(ops.batch_norm(value, graph.constant(gamma), graph.constant(beta))[0])
    program = Program(graph, [value], [y])
    assert [n.op.name for n in graph.nodes] == ["batch_norm"]
    assert np.array_equal(program.run([x])[1][0], np.maximum(ops.batch_norm(x, gamma, beta)[0], 0))


def test_moving_average_moves_variables_and_arrays_in_place(isa):
    moving = Variable(np.full(19, 2.0))
    ops.moving_average_update(moving, np.arange(19.0), momentum=0.75)
    assert np.allclose(moving.value, 1.5 + 0.25 * np.arange(19), atol=1e-6)
    array = np.ones(3, np.float32)
    ops.moving_average_update(array, np.zeros(3), momentum=1.0)
    assert np.array_equal(array, [1, 1, 1])
    ops.moving_average_update(array, np.full(3, 7.0), momentum=0.0)
    assert np.array_equal(array, [7, 7, 7])


def test_moving_average_of_overlapping_views_reads_what_was_there_before():
    for moving, value in ((slice(1, None), slice(0, -1)), (slice(0, -1), slice(1, None)), (slice(None),) * 2):
        z = np.arange(40, dtype=np.float32)
        expected = 0.5 * z[moving] + 0.5 * z[value]
        ops.moving_average_update(z[moving], z[value], momentum=0.5)
        np.testing.assert_array_equal(z[moving], expected)


def test_moving_average_refuses_what_it_cannot_change():
    for moving in (np.ones(3), [1.0, 2.0, 3.0], np.ones((3, 2), np.float32)[:, 0]):
        with pytest.raises(TypeError, match="moving must be a Variable or a writable C-contiguous float32 array"):
            ops.moving_average_update(moving, np.zeros(3))
    fixed = np.ones(3, np.float32)
    fixed.flags.writeable = False
    with pytest.raises(TypeError, match="writable"):
        ops.moving_average_update(fixed, np.zeros(3))
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\], got 1.5"):
        ops.moving_average_update(np.ones(3, np.float32), np.zeros(3), momentum=1.5)
    with pytest.raises(ValueError, match=r"value expects the shape of moving, \(3,\), got \(4,\)"):
        ops.moving_average_update(np.ones(3, np.float32), np.zeros(4))


@pytest.mark.parametrize(
    ("x", "gamma", "epsilon", "message"),
    [
        ((4,), None, 1e-3, r"batch_norm: x expects at least 2 dimensions \(..., C\), got shape \(4,\)"),
        ((0, 4), None, 1e-3, "dimension of size 0"),
        ((2, 4), (3,), 1e-3, r"batch_norm: gamma expects shape \(4,\) for \(..., C\)=\(2, 4\), got \(3,\)"),
        ((2, 4), (4,), -1e-3, "epsilon must be a number of at least 0, got -0.001"),
        ((2, 4), (4,), float("nan"), "epsilon must be a number of at least 0, got nan"),
    ],
)
def test_batch_norm_refuses_bad_input_with_the_values_in_the_message(x, gamma, epsilon, message):
    with pytest.raises(ValueError, match=message):
        ops.batch_norm(np.zeros(x), None if gamma is None else np.ones(gamma), epsilon=epsilon)


def test_batch_norm_inference_needs_its_moments():
    with pytest.raises(ValueError, match="batch_norm_inference: mean is missing"):
        ops.batch_norm_inference(np.zeros((2, 3)), None, None, None, np.ones(3))


def test_gradients_of_the_moments_are_refused():
    graph = Graph()
    x = graph.input(Spec((4, 3)))
    _, mean, _ = ops.batch_norm(x)
    with pytest.raises(ValueError, match="mean and variance have no gradient"):
        differentiate(graph, [(mean, graph.constant(np.ones(3, np.float32)))], [x])
