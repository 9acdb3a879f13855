"""What mixed precision makes of a graph: which values become bfloat16, and that everything else stays float32."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import layers, ops
from cnnfast.graph import mixed
from cnnfast.graph.fuse import remove_unused
from cnnfast.graph.values import Graph, Spec, Variable
from cnnfast.ops.core import OPS


def _types(graph):
    """(op, types of the inputs it has, types of its outputs)"""
    return [
        (n.op.name, [v.dtype for v in n.inputs if v is not None], [v.dtype for v in n.outputs]) for n in graph.nodes
    ]


def _convolved(graph, x):
    w = graph.variable(Variable(np.zeros((3, 3, x.spec.shape[-1], 4))))
    return ops.conv2d(x, w, strides=1, padding="same")


def test_convolutions_read_and_write_bfloat16_with_weights_in_float32():
    graph = Graph()
    y = _convolved(graph, graph.input(Spec((2, 6, 6, 3))))
    (fetched,) = mixed.use_bfloat16(graph, [y])
    assert _types(graph) == [
        ("cast", ["float32"], ["bfloat16"]),
        ("conv2d", ["bfloat16", "float32"], ["bfloat16"]),
        ("cast", ["bfloat16"], ["float32"]),
    ]
    assert fetched is graph.nodes[-1].outputs[0]


def test_images_are_cast_once_from_uint8():
    graph = Graph()
    x = ops.cast(graph.input(Spec((2, 6, 6, 3), "uint8")), scale=1 / 255)
    mixed.use_bfloat16(graph, [ops.relu(_convolved(graph, x))])
    assert _types(graph)[0] == ("cast", ["uint8"], ["bfloat16"])
    assert graph.nodes[0].attributes["scale"] == pytest.approx(1 / 255)
    assert [n.op.name for n in graph.nodes] == ["cast", "conv2d", "relu", "cast"]


def test_what_depends_on_no_convolution_stays_float32():
    graph = Graph()
    y = ops.relu(graph.input(Spec((2, 5))))
    assert mixed.use_bfloat16(graph, [y]) == [y]
    assert _types(graph) == [("relu", ["float32"], ["float32"])]


def test_what_a_loss_reads_is_float32():
    graph = Graph()
    x = graph.input(Spec((2, 5)))
    logits = ops.dense(x, graph.variable(Variable(np.zeros((5, 3)))))
    y = ops.softmax(logits)
    assert mixed.use_bfloat16(graph, [y]) == [y]
    assert _types(graph) == [
        ("cast", ["float32"], ["bfloat16"]),
        ("dense", ["bfloat16", "float32"], ["float32"]),
        ("softmax", ["float32"], ["float32"]),
    ]


def test_a_value_is_cast_once_for_all_that_read_it():
    graph = Graph()
    x = graph.input(Spec((2, 6, 6, 3)))
    mixed.use_bfloat16(graph, [_convolved(graph, x), _convolved(graph, x)])
    assert sum(n.op.name == "cast" and n.inputs[0] is x for n in graph.nodes) == 1


def test_sums_and_aliases_follow_what_they_read():
    graph = Graph()
    x = graph.input(Spec((2, 6, 6, 4)))
    y = _convolved(graph, x)
    flat = ops.reshape(ops.add(y, x), (2, -1))
    mixed.use_bfloat16(graph, [flat])
    types = {op: (ins, outs) for op, ins, outs in _types(graph)}
    assert types["add"] == (["bfloat16", "bfloat16"], ["bfloat16"])
    assert types["reshape"] == (["bfloat16"], ["bfloat16"])


def test_every_op_with_a_rule_exists():
    assert set(mixed._RULES) <= set(OPS)


def test_layers_of_all_kinds_are_known():
    """An op without a rule reads and writes float32: right, but slow. Those are known here."""
    assert layers.LAYERS
    plain = {name for name in OPS if name not in mixed._RULES}
    known = ("crossentropy", "softmax", "update", "sum", "error", "huber", "cosh", "hinge", "poisson", "divergence")
    odd = {n for n in plain if not any(k in n for k in known)}
    assert odd == {"clip_scale", "pack_weights", "pointwise_depthwise_conv2d"}


def test_nothing_unused_is_left():
    graph = Graph()
    y = _convolved(graph, graph.input(Spec((2, 6, 6, 3))))
    fetched = mixed.use_bfloat16(graph, [y])
    before = list(graph.nodes)
    remove_unused(graph, fetched)
    assert graph.nodes == before
