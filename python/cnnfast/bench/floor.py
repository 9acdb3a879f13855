"""The floor of a workload: how fast this machine could do it at all, from what has to be computed and moved.

    floor seconds = max(operations / peak operations a second, least bytes / peak bytes a second)

Operations are those of the definition, as if every output were computed by itself: a convolution counts two for each of
its N*P*Q*K*R*S*C multiply-adds, also those that meet padding; so do its dx and its dw. Other algorithms need fewer:
Winograd's multiplies 0.16 to 0.56 times as often, so such a convolution may run at more than 100 % of its floor.

Least bytes are those of the arrays that enter or leave the workload, each once: what lies between its layers could
stay in the caches. Where that is more than they hold, as in the training of large networks, the floor is out of reach.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from cnnfast.bench.explanations import last_maps
from cnnfast.bench.peak import Peak
from cnnfast.bench.shapes import Options, Shape, pair
from cnnfast.bench.spec import EXPLANATIONS, Layer, Workload, gradient_targets

_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Work:
    """What a step of a workload has to do.

    Attributes:
        operations: floating-point operations of the definition.
        bytes: of the arrays that enter or leave, each once.
    """

    operations: int
    bytes: int

    def floor(self, peak: Peak) -> float:
        """Seconds below which the machine cannot do it by the definition."""
        return max(self.operations / peak.operations, self.bytes / peak.bandwidth)


def work(workload: Workload) -> Work:
    """What one step of a workload has to do.

    Example:
        >>> from cnnfast.bench.workloads import select
        >>> work(select("kernel/dense-576-64/forward")[0])
        Work(operations=4718592, bytes=311552)
    """
    return Work(_operations(workload), _bytes(workload))


# Operations: a layer's forward pass on one sample, of the shapes of its first input and its output and its options.

_FORWARD: dict[str, Callable[[Shape, Shape, Options], int]] = {
    "conv2d": lambda x, y, o: 2 * prod(y) * prod(pair(o["kernel"])) * x[2] // o["groups"],
    "depthwise": lambda x, y, o: 2 * prod(y) * prod(pair(o["kernel"])),
    "dense": lambda x, y, o: 2 * x[0] * o["units"],
    "max_pool": lambda x, y, o: prod(y) * prod(pair(o["kernel"])),
    "average_pool": lambda x, y, o: prod(y) * prod(pair(o["kernel"])),
    "global_average_pool": lambda x, y, o: prod(x),
    "batch_norm": lambda x, y, o: 2 * prod(x),  # one multiply-add: moments are not counted
    "softmax": lambda x, y, o: 5 * prod(x),  # maximum, difference, exponential, sum, quotient
    "relu": lambda x, y, o: prod(x),
    "relu6": lambda x, y, o: 2 * prod(x),
    "add": lambda x, y, o: prod(x),
    "dropout": lambda x, y, o: 0,  # nothing in prediction; in training a product that any neighbour can take over
    "flatten": lambda x, y, o: 0,
    "concatenate": lambda x, y, o: 0,
    "augmentation": lambda x, y, o: 9 * prod(y),  # four pixels weighted and summed, scale and offset
}


def _operations(workload: Workload) -> int:
    shapes = workload.shapes()
    forward = {
        layer.name: workload.batch * _FORWARD[layer.kind](shapes[layer.inputs[0]], shapes[layer.name], layer.options)
        for layer in workload.layers
    }
    if workload.mode in ("infer", "forward", "augment"):
        return sum(forward.values())
    if workload.mode in EXPLANATIONS:
        return sum(forward.values()) + sum(forward[name] for name in _differentiated(workload))
    if workload.mode != "train":
        (layer,) = workload.layers
        return forward[layer.name] * {"dx": 1, "dw": 1, "both": 1 + _gradients(layer, True)}[workload.mode]
    total, reached = 0, set[str]()  # names of values that depend on a trainable weight
    for layer in workload.layers:
        below = not reached.isdisjoint(layer.inputs)
        if below or (layer.trainable and _has_weights(layer)):
            reached.add(layer.name)
        total += forward[layer.name] * (1 + _gradients(layer, below))
    return total


def _differentiated(workload: Workload) -> list[str]:
    """The layers an explanation needs the dx of: all for a gradient of the input, those above the maps for Grad-CAM."""
    names = [layer.name for layer in workload.layers]
    return names if workload.mode == "saliency" else names[names.index(last_maps(workload).name) + 1 :]


def _gradients(layer: Layer, dx: bool) -> int:
    """How many gradients cost as much as the forward pass: dx if it is wanted; of convolutions and dense layers dw."""
    return dx + (layer.trainable and layer.kind in ("conv2d", "depthwise", "dense"))


def _has_weights(layer: Layer) -> bool:
    return layer.kind in ("conv2d", "depthwise", "dense", "batch_norm")


# Bytes

#: Numbers that an optimizer keeps for each weight; they are read and written, as the weight is.
_SLOTS = {"sgd": 0, "rmsprop": 1, "adam": 2}


def _bytes(workload: Workload) -> int:
    x, y = prod(workload.input_shape), prod(workload.shapes()[workload.layers[-1].name])
    sizes = {name: prod(shape) for name, shape in workload.weight_shapes().items()}
    weights = sum(sizes.values())
    if workload.mode == "train":
        frozen = {layer.name for layer in workload.layers if not layer.trainable}
        changed = {n: size for n, size in sizes.items() if n.rsplit("/", 1)[0] not in frozen}
        learned = sum(size for n, size in changed.items() if not n.rsplit("/", 1)[1].startswith("moving"))
        targets = 1 if workload.loss == "sparse_categorical_crossentropy" else y
        numbers = workload.batch * (x + targets) + weights + sum(changed.values())
        return _FLOAT * (numbers + 2 * _SLOTS[workload.optimizer] * learned)
    if workload.mode == "augment":
        return workload.batch * (x + _FLOAT * y)  # uint8 to float32
    if workload.mode in EXPLANATIONS:
        found = x if workload.mode == "saliency" else prod(workload.input_shape[:2])
        return _FLOAT * (workload.batch * (x + found) + weights)
    layer = workload.layers[0].name
    targets_of = gradient_targets(workload)
    found = sum(workload.batch * x if t == "x" else sizes[f"{layer}/{t}"] for t in targets_of)
    read = {
        "infer": workload.batch * x + weights,
        "forward": workload.batch * x + weights,
        "dx": workload.batch * y + sum(size for n, size in sizes.items() if n.endswith("/kernel")),
        "dw": workload.batch * (x + y),
        "both": workload.batch * (x + y) + weights,
    }[workload.mode]
    written = workload.batch * y if workload.mode in ("infer", "forward", "both") else 0
    return _FLOAT * (read + written + found)
