"""The compiler: gradients, fusion, memory plan, Programs."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from cnnfast.graph import Graph, Spec, Variable
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.fuse import fuse
from cnnfast.graph.program import Program
from cnnfast.graph.values import topological_nodes
from cnnfast.ops import engine
from cnnfast.ops.core import OPS
from tests.oracle import conv as oracle


def _network(rng):
    """conv - relu - flatten - dense, with its variables."""
    graph = Graph(training=True)
    variables = {
        "w": Variable(rng.standard_normal((3, 3, 2, 5)), "w"),
        "b": Variable(rng.standard_normal(5), "b"),
        "v": Variable(rng.standard_normal((3 * 4 * 5, 7)), "v"),
    }
    x = graph.input(Spec((2, 5, 6, 2)))
    z = ops.conv2d(x, graph.variable(variables["w"]), graph.variable(variables["b"]))
    y = ops.dense(ops.reshape(ops.relu(z), (-1,), keep_batch=True), graph.variable(variables["v"]))
    return graph, variables, x, z, y


def _names(graph):
    return [n.op.name for n in graph.nodes]


def test_gradients_through_a_network_agree_with_the_oracle(rng):
    graph, variables, x, _, y = _network(rng)
    dy = graph.input(y.spec)
    wrt = [graph.variable(v) for v in variables.values()] + [x]
    gradients = differentiate(graph, [(y, dy)], wrt)
    program = Program(graph, [x, dy], [y, *gradients])
    x_, dy_ = (rng.standard_normal(v.shape).astype(np.float32) for v in (x, dy))
    _, (out, dw, db, dv, dx) = program.run([x_, dy_])

    w, b, v = (variables[k].value.astype(float) for k in "wbv")
    z = oracle.conv2d(x_, w, b, (1, 1), (1, 1), (0, 0, 0, 0), 1)
    flat = np.maximum(z, 0).reshape(2, -1)
    dz = (dy_ @ v.T).reshape(z.shape) * (z > 0)
    exact_dx, exact_dw, exact_db = oracle.conv2d_backward(dz, x_, w, (1, 1), (1, 1), (0, 0, 0, 0), 1)
    for actual, exact in [
        (out, flat @ v), (dw, exact_dw), (db, exact_db), (dv, flat.T @ dy_), (dx, exact_dx),
    ]:  # fmt: skip
        assert np.max(np.abs(actual - exact)) < 1e-5 * np.max(np.abs(exact))


def test_nothing_is_computed_for_what_nobody_asked_to_differentiate_by(rng):
    graph, variables, _, _, y = _network(rng)
    differentiate(graph, [(y, graph.input(y.spec))], [graph.variable(variables["v"])])
    assert [n for n in _names(graph) if "backward" in n] == ["dense_backward_weight"]


def test_the_first_layers_input_gradient_is_never_computed(rng):
    graph, variables, _, _, y = _network(rng)
    differentiate(graph, [(y, graph.input(y.spec))], [graph.variable(v) for v in variables.values()])
    assert "conv2d_backward_input" not in _names(graph)


def test_a_value_used_twice_gets_the_sum_of_both_gradients(rng):
    graph = Graph()
    x = graph.input(Spec((3, 4)))
    y = ops.relu(x)
    z = ops.dense(y, graph.constant(np.eye(4, dtype=np.float32)))
    total = ops.add(y, z)
    dy = graph.input(total.spec)
    (dx,) = differentiate(graph, [(total, dy)], [x])
    _, (value,) = Program(graph, [x, dy], [dx]).run([np.ones((3, 4), np.float32), np.full((3, 4), 3.0, np.float32)])
    assert np.array_equal(value, np.full((3, 4), 6.0))


def test_a_relu_becomes_the_epilogue_of_its_convolution(rng):
    graph, _, _, _, y = _network(rng)
    fuse(graph, [y])
    assert _names(graph) == ["conv2d", "reshape", "dense"]
    assert graph.nodes[0].attributes["epilogue"] == "relu"


def test_a_relu_stays_when_its_input_is_asked_for(rng):
    graph, _, x, z, y = _network(rng)
    program_input = rng.standard_normal(x.shape).astype(np.float32)
    _, (pre, _) = Program(graph, [x], [z, y]).run([program_input])
    assert pre.min() < 0


def test_relu_and_bias_gradients_are_one_step(rng):
    graph, variables, _, _, y = _network(rng)
    gradients = differentiate(graph, [(y, graph.input(y.spec))], [graph.variable(v) for v in variables.values()])
    fuse(graph, [y, *gradients])
    assert "relu_backward_bias" in _names(graph)
    assert "bias_backward" not in _names(graph)


def test_unused_nodes_are_dropped(rng):
    graph, _, _, z, _ = _network(rng)
    fuse(graph, [z])
    assert _names(graph) == ["conv2d"]


def test_blocks_that_live_at_the_same_time_never_overlap(rng):
    for _ in range(50):
        n = int(rng.integers(1, 60))
        first = rng.integers(0, 40, n)
        last = first + rng.integers(0, 15, n)
        size = rng.integers(1, 5000, n)
        blocks = list(zip(size.tolist(), first.tolist(), last.tolist(), strict=True))
        total, offsets = engine.plan_memory(blocks)
        for i in range(n):
            assert offsets[i] % 64 == 0
            assert offsets[i] + size[i] <= total
            for j in range(i):
                if first[i] <= last[j] and first[j] <= last[i]:
                    assert offsets[i] + size[i] <= offsets[j] or offsets[j] + size[j] <= offsets[i]


def test_memory_of_dead_values_is_used_again():
    graph = Graph()
    x = y = graph.input(Spec((1, 32, 32, 8)))
    w = graph.constant(np.zeros((1, 1, 8, 8), np.float32))
    for _ in range(20):
        y = ops.conv2d(y, w)
    program = Program(graph, [x], [y])
    assert program.arena_bytes < 4 * x.spec.nbytes


def test_an_op_does_not_overwrite_an_input_that_is_still_needed(rng):
    graph = Graph()
    x = graph.input(Spec((4, 5)))
    a = ops.dense(x, graph.constant(np.eye(5, dtype=np.float32)))
    b = ops.relu(a)
    given = rng.standard_normal((4, 5)).astype(np.float32)
    _, (a_out, b_out, x_view) = Program(graph, [x], [a, b, ops.reshape(x, (20,))]).run([given])
    assert np.array_equal(a_out, given)
    assert np.array_equal(b_out, np.maximum(given, 0))
    assert np.array_equal(x_view, given.ravel())


def test_a_program_gives_the_same_bits_at_every_run(rng):
    graph, _, x, _, y = _network(rng)
    program = Program(graph, [x], [y])
    given = rng.standard_normal(x.shape).astype(np.float32)
    first = program.run([given])[1][0]
    assert all(np.array_equal(first, program.run([given])[1][0]) for _ in range(5))


@pytest.mark.parametrize(
    ("feeds", "error", "message"),
    [
        ([], ValueError, None),
        ([np.zeros((2, 5, 6, 2))], TypeError, "expected float32, got float64"),
        ([np.zeros((2, 5, 6, 3), np.float32)], ValueError, "expected 480 bytes, got 720"),
        ([np.zeros((2, 5, 2, 6), np.float32).transpose(0, 1, 3, 2)], ValueError, "not C-contiguous"),
    ],
)
def test_a_program_refuses_feeds_that_do_not_fit(rng, feeds, error, message):
    graph, _, x, _, y = _network(rng)
    with pytest.raises(error, match=message):
        Program(graph, [x], [y]).run(feeds)


def test_deep_graphs_do_not_exhaust_the_stack():
    from cnnfast.graph.values import Value

    value = Value(Spec((None, 4)))
    for _ in range(5000):
        value = ops.relu(value)
    assert len(topological_nodes([value])) == 5000


def test_every_op_says_what_it_may_overwrite_and_update():
    for op in OPS.values():
        assert op.inplace is None or op.inplace >= 0
        assert not (op.updates and op.gradient)
