"""Gradients in two ways: by the gradient rules of the ops, and by central differences in float64."""

from __future__ import annotations

import numpy as np

from cnnfast.graph import Graph, Spec
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program


def rule_gradients(function, arrays, dy, seed=0):
    """What the compiler makes of `function`, made of ops: its output and the gradients of all arrays."""
    graph = Graph(training=True)
    inputs = [graph.input(Spec(np.shape(a))) for a in arrays]
    y = function(*inputs)
    seed_value = graph.input(y.spec)
    gradients = differentiate(graph, [(y, seed_value)], inputs)
    program = Program(graph, [*inputs, seed_value], [y, *gradients])
    feeds = [np.ascontiguousarray(a, dtype=np.float32) for a in [*arrays, dy]]
    _, (out, *results) = program.run(feeds, seed=seed)
    return out, results


def central_differences(function, arrays, dy, step=1e-6):
    """d(sum of dy * function) by each element of each array; `function` computes in float64."""
    arrays = [np.array(a, dtype=np.float64) for a in arrays]
    results = [np.empty_like(a) for a in arrays]
    for a, result in zip(arrays, results, strict=True):
        for i in np.ndindex(a.shape):
            before = a[i]
            a[i] = before + step
            above = np.sum(dy * function(*arrays))
            a[i] = before - step
            result[i] = (above - np.sum(dy * function(*arrays))) / (2 * step)
            a[i] = before
    return results


def assert_gradients_agree(function, oracle, arrays, rng, rtol=2e-6):
    """Both functions and their gradients at `arrays`; `rtol` bounds the relative float32 error."""
    arrays = [np.asarray(a, dtype=np.float32) for a in arrays]
    exact = oracle(*[a.astype(np.float64) for a in arrays])
    dy = rng.standard_normal(exact.shape).astype(np.float32)
    y, gradients = rule_gradients(function, arrays, dy)
    np.testing.assert_allclose(y, exact, rtol=rtol, atol=rtol * np.max(np.abs(exact)))
    for actual, a in zip(gradients, central_differences(oracle, arrays, dy), strict=True):
        # Central differences: rounding of the sum over 1e-6, and the third derivative times 1e-12.
        np.testing.assert_allclose(actual, a, rtol=rtol, atol=rtol * np.max(np.abs(a)) + 1e-7)
