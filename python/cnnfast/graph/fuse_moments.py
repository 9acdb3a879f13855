"""Batch normalization gets the moments of its input from the convolution that makes it."""

from __future__ import annotations

from cnnfast.graph.constants import step_of
from cnnfast.graph.values import Graph, Spec, Value, given

_MAKERS = frozenset({"conv2d", "depthwise_conv2d"})
_MOMENTS = 4  # which input of batch normalization they are


def fuse_moments(graph: Graph) -> None:
    """The moments are taken while the results are in registers: nobody reads them from memory for their sake.

    They come in blocks, which depend on how the convolution's kernel cuts its work.
    """
    for node in graph.nodes:
        if node.op.name != "batch_norm":
            continue
        x = given(node, 0)
        maker = x.node
        if maker is None or maker.op.name not in _MAKERS or len(maker.outputs) != 1:
            continue
        blocks = step_of(maker).moment_blocks
        if blocks:
            maker.outputs.append(Value(Spec((blocks, 4, x.spec.known_shape[-1])), graph, maker, 1))
            missing = [None] * (_MOMENTS - len(node.inputs))
            node.inputs = [*node.inputs, *missing, maker.outputs[1]]
