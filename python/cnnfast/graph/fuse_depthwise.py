"""A 1x1 convolution and the depthwise one behind it become one op, where nobody needs what lies between them.

The gradients of trained layers need it: they read it too.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnnfast.graph.values import Graph, Node, Value, given
from cnnfast.ops.conv_pointwise_depthwise import POINTWISE_DEPTHWISE_CONV2D

MOST_RING_FLOATS = 128 * 1024  # half of a second-level cache of 1 MiB


def fuse_pointwise_depthwise(graph: Graph, keep: Sequence[Value]) -> None:
    """The largest tensors of a MobileNet are then computed a few rows at a time and never leave the cache."""
    uses = graph.uses(keep)
    dropped: set[int] = set()
    for node in graph.nodes:
        if node.op.name != "depthwise_conv2d":
            continue
        between, w = given(node, 0), given(node, 1)
        maker = between.node
        if maker is None or not _is_pointwise(maker) or uses[id(between)] != 1 or w.spec.known_shape[3] != 1:
            continue
        if _ring_floats(between, w, node) > MOST_RING_FLOATS:
            continue
        node.op = POINTWISE_DEPTHWISE_CONV2D
        node.inputs = [*maker.inputs, *node.inputs[1:]]
        if "epilogue" in maker.attributes:
            node.attributes = {**node.attributes, "pointwise_epilogue": maker.attributes["epilogue"]}
        dropped.add(id(maker))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


def _ring_floats(between: Value, w: Value, node: Node) -> int:
    """What a worker keeps of the rows between the two, for the widest panel of channels: it grows with dilation."""
    rows = (w.spec.known_shape[0] - 1) * node.attributes["dilation"][0] + 1
    columns = between.spec.known_shape[2] + sum(node.attributes["padding"][2:])
    return int(rows * columns * 32)


def _is_pointwise(node: Node) -> bool:
    """Whether it is a convolution whose output pixel reads the input pixel at its place, and adds nothing else."""
    a = node.attributes
    return (
        node.op.name == "conv2d"
        and given(node, 1).spec.known_shape[:2] == (1, 1)
        and list(a["strides"]) == [1, 1]
        and not any(a["padding"])
        and a["groups"] == 1
        and len(node.inputs) == 3
    )
