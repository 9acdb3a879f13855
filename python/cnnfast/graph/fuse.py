"""Rewrites that let one kernel do the work of two, in one pass over memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cnnfast.graph.values import Graph, Node, Value
from cnnfast.ops.core import OPS, Op


def fuse(graph: Graph, keep: Sequence[Value]) -> None:
    """Removes what nobody uses, then fuses. `keep` are the values that must still be computed."""
    remove_unused(graph, keep)
    _fuse_epilogues(graph, keep)
    _fuse_activation_and_bias_gradients(graph, keep)


def remove_unused(graph: Graph, keep: Sequence[Value]) -> None:
    """Drops nodes whose outputs nobody reads and that update nothing."""
    used = {id(v) for v in keep}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        updates = isinstance(node.op, Op) and node.op.updates
        if updates or any(id(v) in used for v in node.outputs):
            used.update(id(v) for v in node.inputs if v is not None)
            while isinstance(node.op, Op) and node.op.droppable and id(node.outputs[-1]) not in used:
                node.outputs.pop()
            kept.append(node)
    graph.nodes = kept[::-1]


def _uses(graph: Graph, keep: Sequence[Value]) -> Counter[int]:
    counts = Counter(id(v) for node in graph.nodes for v in node.inputs if v is not None)
    counts.update(id(v) for v in keep)
    return counts


def _fuse_epilogues(graph: Graph, keep: Sequence[Value]) -> None:
    """An activation right after a convolution, read by nobody else before it, becomes the convolution's epilogue."""
    uses = _uses(graph, keep)
    dropped: set[int] = set()
    for node in graph.nodes:
        if node.op.name not in ("relu", "relu6"):
            continue
        x = node.inputs[0]
        maker = x.node if x is not None else None
        if x is None or maker is None or not isinstance(maker.op, Op) or uses[id(x)] != 1 or x.index != 0:
            continue
        if node.op.name in maker.op.epilogues and "epilogue" not in maker.attributes:
            maker.attributes["epilogue"] = node.op.name
            y = node.outputs[0]
            y.node, y.index = maker, 0
            maker.outputs[0] = y
            dropped.add(id(node))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


def _fuse_activation_and_bias_gradients(graph: Graph, keep: Sequence[Value]) -> None:
    """dz = dy where the ReLU let through, and db = the sum of dz: one reading of dy instead of two."""
    fused_op = OPS["relu_backward_bias"]
    bias_nodes = {id(n.inputs[0]): n for n in graph.nodes if n.op.name == "bias_backward" and n.inputs[0] is not None}
    dropped: set[int] = set()
    nodes: list[Node] = []
    for node in graph.nodes:
        bias = bias_nodes.get(id(node.outputs[0])) if node.outputs else None
        if bias is None or node.op.name not in ("relu_backward", "relu6_backward"):
            nodes.append(node)
            continue
        dz, db = node.outputs[0], bias.outputs[0]
        fused = Node(fused_op, node.inputs, {"epilogue": node.op.name.removesuffix("_backward")}, [dz, db])
        dz.node = db.node = fused
        db.index = 1
        nodes.append(fused)
        dropped.add(id(bias))
    graph.nodes = [n for n in nodes if id(n) not in dropped]
