"""Softmax and its gradient against the float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from tests.gradcheck import numeric_gradient
from tests.oracle import loss as oracle

SHAPES = [(1,), (7,), (1, 1), (3, 2), (33, 10), (5, 17), (2, 3, 4, 8), (9, 1000), (3, 5000)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("offset", [0.0, -1000.0, 1000.0])
def test_softmax_agrees_with_the_oracle_on_every_isa(rng, isa, shape, offset):
    x = (offset + 5 * rng.standard_normal(shape)).astype(np.float32)
    exact = oracle.softmax(x)
    y = ops.softmax(x)
    # exp of a difference of size d has a relative error of about d units, here at most 50; then the sum's.
    assert np.max(np.abs(y / exact - 1)) < (64 + np.sqrt(shape[-1])) * 2.0**-24
    dy = rng.standard_normal(shape).astype(np.float32)
    dx = ops.softmax_backward(dy, y)
    assert np.max(np.abs(dx - oracle.softmax_backward(dy, x))) < 1e-5 * np.abs(dy).max()


def test_softmax_gradient_agrees_with_central_differences(rng):
    x, dy = rng.standard_normal((2, 3, 5)).astype(np.float32), rng.standard_normal((2, 3, 5))
    exact = numeric_gradient(lambda v: float((oracle.softmax(v) * dy).sum()), x)
    assert np.allclose(ops.softmax_backward(dy, ops.softmax(x)), exact, atol=1e-6)


def test_softmax_of_huge_and_infinite_logits_stays_a_distribution(isa):
    y = ops.softmax(np.array([[3e38, -3e38, 0], [-np.inf, 0, 0], [-3e38, -3e38, -3e38]]))
    assert np.allclose(y, [[1, 0, 0], [0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])


@pytest.mark.parametrize("where", [0, 7, 8, 16])
def test_softmax_shows_nan_in_its_row_and_only_there(isa, where):
    x = np.zeros((2, 17), np.float32)
    x[0, where] = np.nan
    y = ops.softmax(x)
    assert np.isnan(y[0]).all()
    assert np.allclose(y[1], 1 / 17)


def test_softmax_gives_the_same_bits_for_any_number_of_threads(rng, same_bits):
    x = rng.standard_normal((999, 37)).astype(np.float32)
    (y,) = same_bits(lambda: ops.softmax(x))
    same_bits(lambda: ops.softmax_backward(x, y))


def test_softmax_gradient_refuses_shapes_that_differ():
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        ops.softmax_backward(np.zeros((2, 3)), np.zeros((2, 4)))
