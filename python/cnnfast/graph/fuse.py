"""Rewrites that let one kernel do the work of two, in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnfast.graph.constants import fold_batch_norms, fold_norm_gradients
from cnnfast.graph.fuse_depthwise import fuse_pointwise_depthwise
from cnnfast.graph.fuse_moments import fuse_moments
from cnnfast.graph.values import Graph, Node, Value, given
from cnnfast.ops import target
from cnnfast.ops.core import OPS, Op


def fuse(graph: Graph, keep: Sequence[Value]) -> None:
    """Removes what nobody uses, then fuses. `keep` are the values that must still be computed."""
    remove_unused(graph, keep)
    _absorb_padding(graph, keep)
    _absorb_padding_of_poolings(graph, keep)
    fold_batch_norms(graph, keep)
    fold_norm_gradients(graph, keep)
    _fuse_residuals(graph, keep)
    _fuse_epilogues(graph, keep)
    if target.current().fuses_pointwise_depthwise:
        fuse_pointwise_depthwise(graph, keep)
    _fuse_activation_and_norm_gradients(graph, keep)
    _mask_before_pooling_gradients(graph, keep)
    if target.current().fuses_poolings:
        _fuse_poolings(graph, keep)
        _fuse_pooling_gradients(graph, keep)
    _fuse_activation_and_bias_gradients(graph, keep)
    _fuse_activation_gradients(graph, keep)
    fuse_moments(graph)


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


# Convolutions by the input that may be read with more zeros around it, and those whose output may be cut.
_PADDED_INPUT = {"conv2d": 0, "depthwise_conv2d": 0, "conv2d_backward_weight": 1, "depthwise_conv2d_backward_weight": 1}
_CUT_OUTPUT = frozenset({"conv2d_backward_input", "depthwise_conv2d_backward_input"})


def _absorb_padding(graph: Graph, keep: Sequence[Value]) -> None:
    """Zeros around a convolution's input become its padding, and its gradient is not computed where they were."""
    uses = graph.uses(keep)
    for node in graph.nodes[:]:
        place = _PADDED_INPUT.get(node.op.name)
        if place is not None:
            pad = given(node, place).node
            if pad is not None and pad.op.name == "zero_pad2d":
                node.inputs[place] = pad.inputs[0]
                node.attributes = {**node.attributes, "padding": _sum(node.attributes["padding"], pad)}
        elif node.op.name == "crop2d":
            x = given(node, 0)
            maker = x.node
            if maker is not None and maker.op.name in _CUT_OUTPUT and uses[id(x)] == 1:
                size = list(node.outputs[0].spec.known_shape[1:3])
                maker.attributes = {
                    **maker.attributes,
                    "padding": _sum(maker.attributes["padding"], node),
                    "size": size,
                }
                maker.take_over(node)
                graph.nodes.remove(node)
    remove_unused(graph, keep)


def _sum(padding: Sequence[int], sides: Node) -> list[int]:
    return [a + b for a, b in zip(padding, sides.attributes["padding"], strict=True)]


_ACTIVATION_GRADIENTS = frozenset({"relu_backward", "relu6_backward"})


def _absorb_padding_of_poolings(graph: Graph, keep: Sequence[Value]) -> None:
    """Zeros around what an activation made become a max-pooling's padding, which never wins.

    Zeros win nothing there either: each window holds a value of the activation, and none of those is below 0. Where all
    are 0, and the first of them takes the gradient instead of a zero around them, the activation lets none through.
    """
    uses = graph.uses(keep)
    for node in graph.nodes[:]:
        pad = given(node, 0).node if node.op.name == "max_pool2d" else None
        if pad is None or pad.op.name != "zero_pad2d":
            continue
        x, argmax = given(pad, 0), node.outputs[1:]
        padding, window = _sum(node.attributes["padding"], pad), node.attributes["pool_size"]
        if x.node is None or x.node.op.name not in ("relu", "relu6"):
            continue
        if max(padding[:2]) >= window[0] or max(padding[2:]) >= window[1]:
            continue
        backs = [n for n in graph.nodes if any(v is a for v in n.inputs for a in argmax)]
        cuts = [_masked_cut(graph, uses, back, node) for back in backs]
        if None in cuts or sum(uses[id(a)] for a in argmax) != len(backs):
            continue
        node.inputs[0] = x
        node.attributes = {**node.attributes, "padding": padding}
        for back, cut in zip(backs, cuts, strict=True):
            assert cut is not None
            back.attributes = {**back.attributes, "padding": padding, "size": list(x.spec.known_shape[1:3])}
            back.take_over(cut)
            graph.nodes.remove(cut)
    remove_unused(graph, keep)


def _masked_cut(graph: Graph, uses: Mapping[int, int], back: Node, pool: Node) -> Node | None:
    """The node that cuts what the gradient of a pooling over zeros gives to the size of what they were put around, if
    all of that goes through the gradient of the activation that made it."""
    pad = given(pool, 0).node
    assert pad is not None
    cut = _only_reader(graph, uses, back.outputs[0]) if back.op.name == "max_pool2d_backward" else None
    if cut is None or any(back.attributes[k] != pool.attributes[k] for k in ("pool_size", "strides", "padding")):
        return None
    if cut.op.name != "crop2d" or cut.attributes["padding"] != pad.attributes["padding"]:
        return None
    mask = _only_reader(graph, uses, cut.outputs[0])
    is_masked = mask is not None and mask.op.name in _ACTIVATION_GRADIENTS and mask.inputs[1] is pad.inputs[0]
    return cut if is_masked else None


def _only_reader(graph: Graph, uses: Mapping[int, int], value: Value) -> Node | None:
    readers = [n for n in graph.nodes if any(v is value for v in n.inputs)]
    return readers[0] if len(readers) == uses[id(value)] == 1 else None


# Ops that add one more input to their result as they store it: which input that is.
_RESIDUAL = {"conv2d": 3, "conv2d_backward_input": 3, "batch_norm": 3}


def _fuse_residuals(graph: Graph, keep: Sequence[Value]) -> None:
    """A sum with a value made before is part of the op that makes the other operand, if nobody else reads that."""
    uses = graph.uses(keep)
    made = _positions(graph)
    dropped: set[int] = set()
    for node in graph.nodes:
        if node.op.name != "add":
            continue
        earlier, later = sorted((given(node, 0), given(node, 1)), key=made)
        maker = later.node
        place = None if maker is None else _RESIDUAL.get(maker.op.name)
        if maker is None or len(maker.inputs) != place or later.index != 0 or "epilogue" in maker.attributes:
            continue
        if uses[id(later)] != 1 or earlier.spec != later.spec:
            continue
        maker.inputs.append(earlier)
        maker.take_over(node)
        dropped.add(id(node))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


def _positions(graph: Graph) -> Callable[[Value], int]:
    """When each value is made: the position of its node."""
    position = {id(n): i for i, n in enumerate(graph.nodes)}
    return lambda v: -1 if v.node is None else position[id(v.node)]


def _fuse_epilogues(graph: Graph, keep: Sequence[Value]) -> None:
    """An activation right after a convolution, read by nobody else before it, becomes the convolution's epilogue."""
    uses = graph.uses(keep)
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
            maker.take_over(node)
            dropped.add(id(node))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


def _fuse_activation_and_norm_gradients(graph: Graph, keep: Sequence[Value]) -> None:
    """The gradient of batch normalization with an epilogue works out from x what the activation let through."""
    uses = graph.uses(keep)
    dropped: set[int] = set()
    for node in graph.nodes:
        masked = node.inputs[0].node if node.op.name == "batch_norm_backward" and node.inputs[0] is not None else None
        if masked is None or masked.op.name not in _ACTIVATION_GRADIENTS or uses[id(masked.outputs[0])] != 1:
            continue
        forward = given(masked, 1).node
        epilogue = masked.op.name.removesuffix("_backward")
        if forward is None or forward.op.name != "batch_norm" or forward.attributes.get("epilogue") != epilogue:
            continue
        # The same x and gamma, and the moments that were made of this x.
        if len(forward.inputs) != 3 or [*forward.inputs[:2], *forward.outputs[1:]] != node.inputs[1:]:
            continue
        node.inputs = [masked.inputs[0], *node.inputs[1:], forward.inputs[2]]
        node.attributes = {**node.attributes, "epilogue": epilogue}
        dropped.add(id(masked))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


_GATE = 5  # which input of a convolution's gradient is what an activation made whose gradient follows


def _fuse_activation_gradients(graph: Graph, keep: Sequence[Value]) -> None:
    """What a convolution sends back goes through the gradient of the activation before it as it is stored."""
    uses = graph.uses(keep)
    made = _positions(graph)
    dropped: set[int] = set()
    for node in graph.nodes:
        if node.op.name not in _ACTIVATION_GRADIENTS:
            continue
        dx, y = given(node, 0), given(node, 1)
        maker = dx.node
        if maker is None or maker.op.name != "conv2d_backward_input" or "epilogue" in maker.attributes:
            continue
        if uses[id(dx)] != 1 or made(y) > made(dx):
            continue
        maker.inputs += [None] * (_GATE - len(maker.inputs)) + [y]
        maker.attributes = {**maker.attributes, "epilogue": node.op.name.removesuffix("_backward")}
        maker.take_over(node)
        dropped.add(id(node))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


def _mask_before_pooling_gradients(graph: Graph, keep: Sequence[Value]) -> None:
    """What a max-pooling sends back goes through the activation before it where the largest values did.

    So the gradient is masked, and summed for the bias, while it still has the size of the pooling's output.
    """
    uses = graph.uses(keep)
    for i, node in enumerate(graph.nodes):
        if node.op.name not in _ACTIVATION_GRADIENTS:
            continue
        spread, y = given(node, 0), given(node, 1)
        back = spread.node
        if back is None or back.op.name != "max_pool2d_backward" or uses[id(spread)] != 1:
            continue
        pool = given(back, 1).node
        if pool is None or pool.op.name != "max_pool2d" or pool.inputs[0] is not y:
            continue
        dy, dz, pooled = given(back, 0), node.outputs[0], pool.outputs[0]
        masked = Value(dy.spec, graph, node)
        node.inputs, node.outputs = [dy, pooled], [masked]
        back.inputs[0], back.outputs = masked, [dz]
        dz.node = back
        at = graph.nodes.index(back)
        graph.nodes[at], graph.nodes[i] = node, back
        for reader in graph.nodes:
            if reader.op.name == "bias_backward" and reader.inputs[0] is dz:
                reader.inputs[0] = masked


def _fuse_poolings(graph: Graph, keep: Sequence[Value]) -> None:
    """A max-pooling of 2x2 pixels right after a convolution, if nobody else reads what that makes, is part of it.

    The convolution's result, four times as large as the pooling's, then never reaches the memory.
    """
    uses = graph.uses(keep)
    dropped: set[int] = set()
    for node in graph.nodes:
        if node.op.name != "max_pool2d":
            continue
        x, a = given(node, 0), node.attributes
        maker = x.node
        if maker is None or maker.op.name != "conv2d" or "pool" in maker.attributes:
            continue
        if len(maker.inputs) > 3 or uses[id(x)] != 1:
            continue
        if _pools_2x2(a):
            maker.attributes = {**maker.attributes, "pool": 1}
            maker.outputs = node.outputs
            for output in maker.outputs:
                output.node = maker
            dropped.add(id(node))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


def _pools_2x2(a: Mapping[str, Any]) -> bool:
    return list(a["pool_size"]) == list(a["strides"]) == [2, 2] and not any(a["padding"])


# The gradients of a convolution, and where they take the argmax of the max-pooling that sends their first input back.
_TAKES_ARGMAX = {"conv2d_backward_input": 4, "conv2d_backward_weight": 2}


def _fuse_pooling_gradients(graph: Graph, keep: Sequence[Value]) -> None:
    """What a max-pooling of 2x2 pixels sends back is worked out where a convolution's gradients read it.

    It has four times as many elements as the pooling's output, three of them zeros.
    """
    kept = {id(v) for v in keep}
    dropped: set[int] = set()
    for node in graph.nodes:
        if node.op.name != "max_pool2d_backward" or not _pools_2x2(node.attributes):
            continue
        if given(node, 1).dtype != "uint8":  # of an argmax that the user gives, it may be another
            continue
        spread = node.outputs[0]
        readers = [n for n in graph.nodes if any(v is spread for v in n.inputs)]
        if id(spread) in kept or not all(_takes_argmax(n, spread) for n in readers):
            continue
        for reader in readers:
            place = _TAKES_ARGMAX[reader.op.name]
            reader.inputs[0] = node.inputs[0]
            reader.inputs += [None] * (place - len(reader.inputs)) + [node.inputs[1]]
        dropped.add(id(node))
    graph.nodes = [n for n in graph.nodes if id(n) not in dropped]


def _takes_argmax(node: Node, dy: Value) -> bool:
    place = _TAKES_ARGMAX.get(node.op.name)
    return place is not None and len(node.inputs) <= place and all(v is not dy for v in node.inputs[1:])


def _fuse_activation_and_bias_gradients(graph: Graph, keep: Sequence[Value]) -> None:
    """dz = dy where the ReLU let through, and db = the sum of dz: one reading of dy instead of two."""
    fused_op = OPS["relu_backward_bias"]
    bias_nodes = {id(n.inputs[0]): n for n in graph.nodes if n.op.name == "bias_backward" and n.inputs[0] is not None}
    dropped: set[int] = set()
    nodes: list[Node] = []
    for node in graph.nodes:
        bias = bias_nodes.get(id(node.outputs[0])) if node.outputs else None
        if bias is None or node.op.name not in _ACTIVATION_GRADIENTS:
            nodes.append(node)
            continue
        dz, db = node.outputs[0], bias.outputs[0]
        fused = Node(fused_op, node.inputs, {"epilogue": node.op.name.removesuffix("_backward")}, [dz, db])
        dz.node = db.node = fused
        db.index = 1
        nodes.append(fused)
        dropped.add(id(bias))
    graph.nodes = [n for n in nodes if id(n) not in dropped]
