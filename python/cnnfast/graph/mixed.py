"""Mixed precision: what flows between layers is bfloat16, weights, statistics, losses and updates stay float32.

Products of bfloat16 numbers are summed in float32, so a network trains as in float32 with half the bytes to move
(Micikevicius et al., "Mixed Precision Training", 2018; bfloat16 has float32's range, so losses need no scaling:
Kalamkar et al., "A Study of BFLOAT16 for Deep Learning Training", 2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cnnfast.graph.plan import op_of
from cnnfast.graph.values import Graph, Node, Spec, Value, given
from cnnfast.ops.core import OPS


@dataclass(frozen=True)
class _Rule:
    """Which inputs of an op are bfloat16, and whether its first output is.

    Attributes:
        inputs: their positions; None: all.
        output: whether the first output is bfloat16 where the inputs are.
        leads: whether they become bfloat16; else they stay what they are, all bfloat16 if one is.
    """

    inputs: tuple[int, ...] | None
    output: bool = True
    leads: bool = False

    def positions(self, node: Node) -> Iterable[int]:
        return range(len(node.inputs)) if self.inputs is None else [i for i in self.inputs if i < len(node.inputs)]


_RULES = {
    "conv2d": _Rule((0, 3), leads=True),
    "conv2d_backward_input": _Rule((0, 3, 5), leads=True),
    "conv2d_backward_weight": _Rule((0, 1), output=False, leads=True),
    "depthwise_conv2d": _Rule((0,), leads=True),
    "depthwise_conv2d_backward_input": _Rule((0,), leads=True),
    "depthwise_conv2d_backward_weight": _Rule((0, 1), output=False, leads=True),
    "dense": _Rule((0,), leads=True),
    "dense_backward_input": _Rule((0,), leads=True),
    "dense_backward_weight": _Rule((0, 1), output=False, leads=True),
    "bias_backward": _Rule((0,), output=False),
    "batch_norm": _Rule((0, 3)),
    "batch_norm_backward": _Rule((0, 1)),
    "batch_norm_inference": _Rule((0,)),
    "batch_norm_inference_backward_input": _Rule((0,)),
    "batch_norm_backward_scale": _Rule((0, 1), output=False),
    "relu_backward_bias": _Rule((0, 1)),
    "max_pool2d_backward": _Rule((0,)),
    "global_max_pool2d_backward": _Rule((0,)),
    "cast": _Rule((0,)),
}  # fmt: skip
_RULES |= {
    name: _Rule(None)
    for name in (
        "add", "subtract", "multiply", "scale", "broadcast_to", "dropout", "reshape", "concatenate", "slice",
        "slice_backward", "zero_pad2d", "crop2d", "upsample_nearest", "upsample_nearest_backward", "upsample_bilinear",
        "upsample_bilinear_backward", "max_pool2d", "average_pool2d", "average_pool2d_backward", "global_max_pool2d",
        "global_average_pool2d", "global_average_pool2d_backward",
        *(f"{a}{b}" for a in ("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "elu",
                              "softplus") for b in ("", "_backward")),
    )
}  # fmt: skip


def use_bfloat16(graph: Graph, keep: Sequence[Value]) -> list[Value]:
    """Rewrites a graph, in which all numbers are float32; returns the values to fetch instead of `keep`."""
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for v in node.inputs:
            readers.setdefault(id(v), []).append(node)
    casts, kept = _Casts(graph), {id(v) for v in keep}
    nodes, graph.nodes = graph.nodes, []
    for node in nodes:
        rule = _RULES.get(node.op.name)
        halved = rule is not None and _applies(rule, node)
        places = set(rule.positions(node)) if halved and rule is not None else set()
        for i, v in enumerate(node.inputs):
            if v is not None and v.dtype in ("float32", "bfloat16"):
                node.inputs[i] = casts.to("bfloat16" if i in places else "float32", v)
        if halved and rule is not None and rule.output and not _read_as_float32(node, readers):
            y = node.outputs[0]
            y.spec = Spec(y.spec.shape, "bfloat16")
        graph.nodes.append(node)
        for v in node.outputs:
            if id(v) in kept and v.dtype == "bfloat16":
                casts.to("float32", v)  # at once: the first half of a run may end here
    fetched = [casts.to("float32", v) if v.dtype == "bfloat16" else v for v in keep]
    _drop_unread_casts(graph, fetched)
    return fetched


def _applies(rule: _Rule, node: Node) -> bool:
    inputs = [v for i in rule.positions(node) if (v := node.inputs[i]) is not None]
    return rule.leads or any(v.dtype == "bfloat16" for v in inputs)


def _read_as_float32(node: Node, readers: dict[int, list[Node]]) -> bool:
    """Whether all that read what a dense layer makes want float32: the numbers that a loss sees are not rounded."""
    found = readers.get(id(node.outputs[0]), [])
    return node.op.name == "dense" and not any(n.op.name in _RULES for n in found)


class _Casts:
    """Values in the other type, made where they are first wanted."""

    def __init__(self, graph: Graph):
        self._graph = graph
        self._made: dict[tuple[int, str], Value] = {}

    def to(self, dtype: str, v: Value) -> Value:
        if v.dtype == dtype:
            return v
        key = id(v), dtype
        if key not in self._made:
            self._made[key] = self._cast(dtype, v)
        return self._made[key]

    def _cast(self, dtype: str, v: Value) -> Value:
        source, attributes = v, {"scale": 1.0, "offset": 0.0}
        if v.node is not None and op_of(v.node).name == "cast":  # of images: from uint8 to the other type at once
            source, attributes = given(v.node, 0), v.node.attributes
        node = Node(OPS["cast"], [source], dict(attributes))
        node.outputs = [Value(Spec(v.spec.shape, dtype), self._graph, node)]
        self._graph.nodes.append(node)
        return node.outputs[0]


def _drop_unread_casts(graph: Graph, keep: Sequence[Value]) -> None:
    """Those of images, where all readers want the other type. Makers of weights may stand behind their readers here."""
    uses = graph.uses(keep)
    graph.nodes = [n for n in graph.nodes if n.op.name != "cast" or uses[id(n.outputs[0])]]
