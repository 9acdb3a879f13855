"""Work that depends on fixed weights alone is done once, not at each run.

Fixed are the weights that no step of the graph changes: all of them in inference, those of frozen layers in training.
What a base that is not trained computes is then, within a training step, the same as in inference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import chain

import numpy as np

from cnnfast.graph.plan import memory_of, op_of
from cnnfast.graph.values import Graph, Node, Value, given, topological_nodes
from cnnfast.ops import engine, target
from cnnfast.ops.core import OPS, Op, apply
from cnnfast.ops.shape import reshape

_FOLDING = frozenset({"conv2d", "depthwise_conv2d", "dense"})


def fold_batch_norms(graph: Graph, keep: Sequence[Value]) -> None:
    """Moves the scale and shift of a batch normalization in inference into the weights before it.

    gamma (w * x + b - mean) / sigma + beta = (gamma / sigma w) * x + (gamma (b - mean) / sigma + beta)
    (Jacob et al., "Quantization and training of neural networks", 2018, section 3.2).
    """
    fixed = FixedWeights(graph)
    uses = graph.uses(keep)
    dropped: set[int] = set()
    for node in graph.nodes[:]:
        if node.op.name != "batch_norm_inference":
            continue
        x, gamma, beta, mean, variance = node.inputs
        assert x is not None and mean is not None and variance is not None
        maker = x.node
        if maker is None or maker.op.name not in _FOLDING or uses[id(x)] != 1 or "epilogue" in maker.attributes:
            continue
        operands = [*maker.inputs[1:], gamma, beta, mean, variance]
        if not all(v is None or v in fixed for v in operands):
            continue
        w, b = given(maker, 1), maker.inputs[2]
        channels = mean.spec.known_shape
        row = graph.constant(_zeros((1, *channels))) if b is None else reshape(b, (1, *channels))
        shifted = apply(OPS["batch_norm_inference"], [row, gamma, beta, mean, variance], node.attributes)
        maker.inputs[1:3] = [_scaled(w, gamma, variance, node), reshape(shifted, channels)]
        maker.take_over(node)
        dropped.add(id(node))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


_FOLDING_GRADIENTS = frozenset({"conv2d_backward_input", "depthwise_conv2d_backward_input"})


def fold_norm_gradients(graph: Graph, keep: Sequence[Value]) -> None:
    """Moves what a batch normalization in inference multiplies a gradient with into the weights behind it."""
    fixed = FixedWeights(graph)
    uses = graph.uses(keep)
    dropped: set[int] = set()
    for node in graph.nodes[:]:
        if node.op.name not in _FOLDING_GRADIENTS:
            continue
        norm, w = given(node, 0).node, given(node, 1)
        if norm is None or norm.op.name != "batch_norm_inference_backward_input" or uses[id(norm.outputs[0])] != 1:
            continue
        dy, gamma, variance = norm.inputs
        if not all(v is None or v in fixed for v in (w, gamma, variance)):
            continue
        node.inputs[:2] = [dy, _scaled(w, gamma, given(norm, 2), norm)]
        dropped.add(id(norm))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


def _scaled(w: Value, gamma: Value | None, variance: Value, norm: Node) -> Value:
    """Weights times what a batch normalization in inference multiplies each of their last channels with."""
    flat = reshape(w, (-1, *variance.spec.known_shape))
    scaled = apply(OPS["batch_norm_inference_backward_input"], [flat, gamma, variance], norm.attributes)
    return reshape(scaled, w.spec.known_shape)


def pack_weights(graph: Graph) -> None:
    """Gives ops their weights as their kernels want them, where these do not change from run to run."""
    fixed = FixedWeights(graph)
    constant = _constant_values(graph, fixed)
    for node in graph.nodes[:]:
        if not isinstance(node.op, Op) or not node.op.packs:
            continue
        if node.op.name == "conv2d_backward_input" and len(node.inputs) > 4 and node.inputs[4] is not None:
            continue  # what reads the gradient that a pooling sends back packs its weights itself
        w = given(node, 1)
        if not (w in fixed or id(w) in constant):
            continue
        step = step_of(node)
        if step.packed_floats == 0:
            continue  # the kernel takes them as they come
        operands, layout = [w], [int(n) for n in np.frombuffer(step.packed_layout or b"", np.int64)]
        if layout and layout[-1]:  # on a device: the bias is packed behind the weights
            operands.append(given(node, 2))
        if not all(v in fixed or id(v) in constant for v in operands):
            continue
        x = given(node, 0)
        attributes = {k: v for k, v in node.attributes.items() if k != "epilogue"}
        attributes |= {"op": node.op.name, "input_shape": list(x.spec.known_shape), "floats": step.packed_floats}
        if layout:
            attributes["layout"] = layout
        node.inputs[1] = apply(OPS["pack_weights"], operands, attributes)
        node.attributes = {**node.attributes, "kernel_shape": list(w.spec.known_shape)}


def constants_first(graph: Graph, keep: Sequence[Value]) -> list[list[Node]]:
    """Sorts the nodes that depend on fixed weights alone to the front, in groups that can run one after the other.

    A group ends with a node that others read: one that depends on more than weights, or several, or the caller
    (`keep`). Before it stand the nodes that are needed for it alone.
    """
    constant = _constant_values(graph, FixedWeights(graph))
    nodes = topological_nodes([v for n in graph.nodes for v in n.outputs if id(v) in constant])
    ids = set(map(id, nodes))
    others = [n for n in graph.nodes if id(n) not in ids]
    ends = _read_by_others(nodes, [*keep, *(v for n in others for v in n.inputs)])
    grouped: set[int] = set()
    groups: list[list[Node]] = []
    for end in nodes:
        if id(end) in ends:
            groups.append([n for n in topological_nodes(end.outputs) if id(n) not in grouped])
            grouped.update(map(id, groups[-1]))
    aliases = [n for n in nodes if id(n) not in grouped]
    graph.nodes = [*chain(*groups), *aliases, *others]
    return groups


def step_of(node: Node) -> engine.Step:
    """The engine's step for a node."""
    inputs = [None if v is None else known(v) for v in node.inputs]
    outputs = [known(v) for v in node.outputs]
    attributes = target.step_attributes(node.attributes)
    return engine.Step(node.op.name, inputs, outputs, attributes, target.current().backend)


def known(v: Value) -> tuple[str, list[int]]:
    """A value's type and shape, as the engine takes them."""
    return v.dtype, list(v.spec.known_shape)


def _read_by_others(nodes: Sequence[Node], elsewhere: Sequence[Value | None]) -> set[int]:
    """The ids of what makes values that are read elsewhere, or by several of `nodes`. Readers see through aliases."""
    inside = [v for n in nodes if not op_of(n).alias for v in n.inputs]
    readers = Counter(id(memory_of(v).node) for v in inside if v is not None)
    found = {id(memory_of(v).node) for v in elsewhere if v is not None}
    return found | {i for i, count in readers.items() if count > 1}


@cache
def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    """The same array each time: Programs share what is computed from the same arrays."""
    zeros = np.zeros(shape, np.float32)
    zeros.flags.writeable = False
    return zeros


class FixedWeights:
    """The values of a graph that are the same at each run unless someone changes a weight: `value in fixed`.

    Those of variables that no step of the graph updates, and of arrays that nobody can change.
    """

    def __init__(self, graph: Graph):
        updated = [v for n in graph.nodes if isinstance(n.op, Op) for i in n.op.updates if (v := n.inputs[i])]
        self._updated = {id(v.variable) for v in updated}

    def __contains__(self, v: Value) -> bool:
        if v.variable is not None:
            return id(v.variable) not in self._updated
        return v.constant is not None and is_frozen(v.constant)


def is_frozen(array: np.ndarray) -> bool:
    """Whether nobody can change it: a layer's array may be changed between runs, a view shows what others change."""
    return array.base is None and not array.flags.writeable


def _constant_values(graph: Graph, fixed: FixedWeights) -> set[int]:
    """Values computed from fixed weights alone. New nodes may stand after those that read them."""
    found: set[int] = set()
    before = -1
    while before != len(found):
        before = len(found)
        for node in graph.nodes:
            if isinstance(node.op, Op) and not node.op.random:
                inputs = [v for v in node.inputs if v is not None]
                if all(v in fixed or id(v) in found for v in inputs):
                    found.update(id(v) for v in node.outputs)
    return found
