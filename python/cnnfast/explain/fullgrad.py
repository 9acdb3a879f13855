"""FullGrad: the score as a sum over the input and everything that the layers add of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast.explain.cam_method import image_size, smoothed
from cnnfast.explain.maps import scaled, upsampled
from cnnfast.explain.places import Spot, needed_for
from cnnfast.explain.probe import Probe
from cnnfast.explain.targets import TargetLike
from cnnfast.graph.values import Graph, Node, Value, given
from cnnfast.models.model import Model
from cnnfast.ops.core import OPS, Op

#: Gradients of all layers are held at once, so fewer images than elsewhere.
BATCH_SIZE = 8

_WITH_BIAS = ("conv2d", "depthwise_conv2d", "conv2d_backward_input", "dense")  # the third: transposed convolution
_CURVED = ("sigmoid", "tanh", "gelu", "gelu_tanh", "silu", "elu", "softplus", "softmax", "relu6")


def fullgrad(
    model: Model,
    x: Any,
    target: TargetLike = None,
    normalize: bool = True,
    *,
    aug_smooth: bool = False,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """FullGrad: where the input and the biases of all layers act on the score.

    psi(x dscore/dx) + sum over layers and channels of psi(b dscore/db), where the latter has a value at each position
    because b is added at each, and psi takes the absolute values of one channel, scales them to [0, 1] and brings them
    to the size of the image. Unlike other maps it depends on no choice of a layer, and it has no sign.

    Biases are those of convolutions, what batch normalization adds (beta - gamma mean / sqrt(variance + epsilon)),
    what `Rescaling` and the like add, and what a curved activation f adds to its tangent: f(z) - f'(z) z. Biases of
    dense layers have no place in the image. With them, everything before psi sums to the score. (pytorch-grad-cam knows
    the biases of Conv2d and of BatchNorm2d with weights alone: its map is this one where a network has no others.)

    Args:
        model: any model.
        x: images (N, H, W, C) as the model takes them.
        target: see `gradcam`.
        normalize: scale each map to [0, 1]; False gives the sum itself, at most one for each channel.
        aug_smooth: see `gradcam`.
        output: which output of a model with several, by number or name.
        batch_size: images run at once; the gradients of all layers are held for so many.

    Returns:
        float32 (N, H, W).

    Raises:
        ValueError: a class that is not there, images of a wrong size.
        TypeError: no model, no numbers.

    Source: Srinivas and Fleuret, "Full-gradient representation for neural network visualization" (2019), section 5.

    Example:
        >>> fullgrad(convnet, images, target=1).shape
        (4, 16, 16)
    """
    probe = Probe(model, x, op="fullgrad", output=output, batch_size=batch_size)
    size = image_size(probe)

    def heat(xs: list[np.ndarray], target: TargetLike) -> np.ndarray:
        raw = np.concatenate([_psi(terms, size) for terms in full_gradients(probe, target, xs)])
        return scaled(raw) if normalize else raw.astype(np.float32)

    return smoothed(probe, target, heat, relu=False) if aug_smooth else heat(probe.xs, target)


def _psi(terms: Iterator[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    total: Any = 0.0
    for term in terms:
        if term.ndim == 4:
            n, p, q, k = term.shape
            channels = scaled(np.moveaxis(np.abs(term), 3, 1).reshape(n * k, p, q)).reshape(n, k, p, q)
            # Bringing to another size is linear: once for the sum does for all channels.
            total = total + upsampled(channels.sum(1, dtype=np.float64), size)
    return total


def full_gradients(probe: Probe, target: TargetLike, xs: list[np.ndarray]) -> Iterator[Iterator[np.ndarray]]:
    """For each batch the terms that sum to the target's score: of the inputs, then of each node that adds something.

    Each is (n, ...), in the shape of the input or the node's output.

    Source: Srinivas and Fleuret (2019), proposition 1.
    """
    sources = sources_in(*probe.graph())
    spots = [spot for source in sources for spot in source.spots]
    for found in probe.run(target, values=spots, gradients=True, inputs=True, xs=xs):

        def terms(found: Any = found) -> Iterator[np.ndarray]:
            for x, gradient in zip(xs, found.inputs, strict=True):
                yield x[found.rows] * gradient
            pairs = iter(zip(found.values, found.gradients, strict=True))
            for source in sources:
                yield source.term([next(pairs) for _ in source.spots])

        yield terms()


@dataclass(frozen=True)
class Source:
    """A node that adds something to what it is given.

    Attributes:
        spots: its output, and its input where the rest depends on both.
        bias: what it adds, to be broadcast to the output; None where that depends on the sample.
        curve: the node, if it is none of a straight line.
    """

    spots: tuple[Spot, ...]
    bias: np.ndarray | None = None
    curve: Node | None = None

    def term(self, found: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """What the node adds times the gradient by its output, from values and gradients at `spots`."""
        y, dy = found[0]
        if self.bias is not None:
            return self.bias * dy
        if self.curve is None:  # a product of two: y is less the tangent at it, y + y, by y
            return -y * dy
        # The gradient through this node alone: others may read its input too.
        x = found[1][0]
        op = OPS[self.curve.op.name]
        here: Any = Node(op, [x], self.curve.attributes, [y])  # type: ignore[list-item]
        assert op.gradient is not None
        (dx,) = op.gradient(here, [dy], [True])
        return y * dy - x * dx


def sources_in(graph: Graph, scores: Value) -> list[Source]:
    """The nodes between the inputs and the scores that add something of their own.

    All other ops are linear or scale with their input (ReLU, pooling). ValueError for a bias that is computed.
    """
    needed = needed_for(graph, scores)
    moving: set[int] = set()  # values that depend on an input
    sources = []
    for i, node in enumerate(graph.nodes):
        flows = [v for v in node.inputs if v is not None and (id(v) in moving or _is_feed(v))]
        if not flows:
            continue
        moving.update(id(v) for v in node.outputs)
        if isinstance(node.op, Op) and any(id(v) in needed for v in node.outputs):
            source = _source(i, node, node.op.name, flows)
            sources += [] if source is None else [source]
    return sources


def _source(number: int, node: Node, op: str, flows: list[Value]) -> Source | None:
    y = Spot(number, op)
    if op in _WITH_BIAS and len(node.inputs) > 2 and node.inputs[2] is not None:
        return Source((y,), _numbers(op, given(node, 2)))
    if op == "batch_norm_inference":
        return Source((y,), _shift(node))
    if op in ("scale", "cast") and node.attributes["offset"]:
        return Source((y,), np.float32(node.attributes["offset"]))
    if op in ("add", "subtract") and len(flows) == 1 and len(node.inputs) == 2:
        second = given(node, 0) is flows[0]
        other = _numbers(op, given(node, int(second)))
        return Source((y,), -other if op == "subtract" and second else other)
    if op in _CURVED:
        return Source((y, Spot(number, op, input=0)), curve=node)
    return Source((y,)) if op == "multiply" and len(flows) == 2 else None


def _shift(node: Node) -> np.ndarray:
    """What batch normalization adds to its scaled input."""
    _, gamma, beta, mean, variance = (None if v is None else v for v in node.inputs)
    op = "batch_norm_inference"
    assert mean is not None and variance is not None
    deviation = np.sqrt(_numbers(op, variance).astype(np.float64) + node.attributes["epsilon"])
    scale = (1 if gamma is None else _numbers(op, gamma)) / deviation
    return ((0 if beta is None else _numbers(op, beta)) - scale * _numbers(op, mean)).astype(np.float32)


def _numbers(op: str, value: Value) -> np.ndarray:
    if value.variable is not None:
        return value.variable.value
    if value.constant is None:
        raise ValueError(f"fullgrad: {op} adds something that is computed from weights, which is not supported")
    return value.constant


def _is_feed(value: Value) -> bool:
    return value.node is None and value.variable is None and value.constant is None
