"""Places in a model that can be looked at: the outputs of its layers, in the order in which they run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from cnnfast.graph.values import Graph, Value, given
from cnnfast.layers import conv, pooling
from cnnfast.models.model import Model

if TYPE_CHECKING:
    from cnnfast.layers.base import Layer

#: A layer by its name ("block5_conv3", or "vgg16/block5_conv3" where two models have one), the layer itself, or one of
#: these and which of its applications is meant, counted from 0: ("shared", 0).
LayerLike: TypeAlias = "str | Layer | tuple[Any, int]"

_CONVOLUTIONS = (conv.Conv2D, conv.Conv2DTranspose, conv.DepthwiseConv2D, conv.SeparableConv2D)
_POOLINGS = (pooling.AveragePooling2D, pooling.GlobalAveragePooling2D, pooling.GlobalMaxPooling2D, pooling.MaxPooling2D)


@dataclass(frozen=True)
class Place:
    """One application of a layer, whose output can be looked at.

    Attributes:
        index: its number in the order of running.
        path: names of the models around it and its own.
        application: how many times the layer was applied before.
        layer: the layer.
        shape: of its first output, with the batch.
        on_the_way: whether the score depends on it.
        before_output: whether the output does that the score is taken from, also through a final softmax.
        is_leaf: no layers inside it were applied.
    """

    index: int
    path: tuple[str, ...]
    application: int
    layer: Layer
    shape: tuple[int, ...]
    on_the_way: bool
    before_output: bool
    is_leaf: bool

    @property
    def name(self) -> str:
        """The layer's name, with those of the models around it if there are any."""
        return "/".join(self.path)

    @property
    def is_spatial(self) -> bool:
        """Whether the output is maps (N, P, Q, K) of more than one position."""
        return len(self.shape) == 4 and self.shape[1] * self.shape[2] > 1

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others of the same model."""
        return ("place", self.index)

    def value(self, graph: Graph) -> Value:
        """The output in a graph of the model."""
        return graph.applied[self.index].outputs[0]


@dataclass(frozen=True)
class Spot:
    """A value within the layers: the output of a node of the graph, or one of its inputs.

    Attributes:
        node: its number in the order of running.
        op: the node's.
        input: which input; None for the output.
    """

    node: int
    op: str
    input: int | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return self.op

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others of the same model."""
        return ("spot", self.node, self.input)

    def value(self, graph: Graph) -> Value:
        """The value in a graph of the model."""
        node = graph.nodes[self.node]
        return node.outputs[0] if self.input is None else given(node, self.input)


def places_in(graph: Graph, model: Model, score: Value, output: Value) -> list[Place]:
    """All places of a traced model.

    Args:
        graph: in which `model` was applied.
        model: itself no place.
        score: what the explanation is of.
        output: what the score was taken from.
    """
    needed, needed_too = needed_for(graph, score), needed_for(graph, output)
    counts: dict[int, int] = {}
    inside = {a.path[:i] for a in graph.applied for i in range(1, len(a.path))}
    places = []
    for index, a in enumerate(graph.applied):
        if a.layer is model:
            continue
        application = counts.get(id(a.layer), 0)
        counts[id(a.layer)] = application + 1
        way, before = (any(id(v) in of for v in a.outputs) for of in (needed, needed_too))
        shape = a.outputs[0].spec.known_shape
        places.append(Place(index, a.path[1:], application, a.layer, shape, way, before, a.path not in inside))
    return places


def are_several(layers: Any) -> TypeGuard[Sequence[Any]]:
    """Whether it is a sequence of layers, and not a layer or the pair of one and an application."""
    pair = isinstance(layers, tuple) and len(layers) == 2 and hasattr(layers[1], "__index__")
    return isinstance(layers, (list, tuple)) and not pair


def find(op: str, places: Sequence[Place], layer: LayerLike) -> Place:
    """The place that `layer` names; of a layer that is applied several times the last application, if none is named.

    Args:
        op: for messages.
        places: of the model.
        layer: see `LayerLike`; not "auto".

    Raises:
        TypeError: no name, layer or pair.
        ValueError: there is none, or there are several layers of that name.
    """
    wanted, application = layer if isinstance(layer, tuple) and len(layer) == 2 else (layer, None)
    if isinstance(wanted, str):
        parts = tuple(wanted.split("/"))
        whole = [p for p in places if p.path == parts]  # or a layer could not be told from one inside a model
        found = whole or [p for p in places if p.path[-len(parts) :] == parts or p.path[-1] == wanted]
    elif hasattr(wanted, "call") and hasattr(wanted, "name"):
        found = [p for p in places if p.layer is wanted]
        wanted = wanted.name
        if not found and any(p.path[-1] == wanted for p in places):
            raise ValueError(f"{op}: the layer {wanted!r} is one of another model; give its name")
    else:
        raise TypeError(
            f"{op}: layer must be a name, a layer or a pair of one and an application, got {type(wanted).__name__}"
        )
    if not found:
        raise ValueError(f"{op}: no layer is named {wanted!r}{_suggestion(wanted, places)}")
    if len({id(p.layer) for p in found}) > 1:
        names = sorted({p.name for p in found})
        raise ValueError(f"{op}: several layers are named {wanted!r}; say which: {', '.join(names)}")
    if application is None:
        return found[-1]
    chosen = [p for p in found if p.application == application]
    if not chosen:
        raise ValueError(f"{op}: {wanted!r} is applied {len(found)} times, there is no application {application!r}")
    return chosen[0]


def spatial(op: str, place: Place, places: Sequence[Place]) -> Place:
    """`place`, if its output is maps that the score depends on. ValueError otherwise, which names those that are."""
    maps = [p for p in places if p.is_spatial and p.on_the_way and p.is_leaf]
    if not place.is_spatial:
        reason = f"has the output {place.shape}, expected maps (N,P,Q,K) of more than one position"
    elif not place.on_the_way:
        reason = "has no influence on the output that is to be explained"
    else:
        return place
    raise ValueError(f"{op}: layer {place.name!r} {reason}; those with maps are {_listed(maps)}")


def last_maps(op: str, graph: Graph, places: Sequence[Place]) -> Place:
    """The last convolutional feature map: of the last convolution with more than one position, or what activations,
    normalizations and sums make of it before a pooling or a flattening.

    VGG's is block5_conv3 and not the pooling behind it, ResNet's the last sum after its ReLU.

    Raises:
        ValueError: there is no convolution with maps.
    """
    leaves = [p for p in places if p.is_leaf and p.on_the_way]
    convolutions = [p for p in leaves if isinstance(p.layer, _CONVOLUTIONS) and p.is_spatial]
    if not convolutions:
        raise ValueError(
            f"{op}: no convolution has maps (N,P,Q,K) of more than one position; the layers are {_listed(leaves)}"
        )
    chosen = convolutions[-1]
    for later in leaves:
        if later.index <= chosen.index or isinstance(later.layer, (*_CONVOLUTIONS, *_POOLINGS)):
            continue
        made = graph.applied[chosen.index].outputs[0]
        follows = any(v is made for v in graph.applied[later.index].inputs)
        if follows and later.shape[:3] == chosen.shape[:3] and len(later.shape) == 4:
            chosen = later
    return chosen


def needed_for(graph: Graph, score: Value) -> set[int]:
    """Ids of the values that `score` depends on, itself included."""
    needed = {id(score)}
    for node in reversed(graph.nodes):
        if any(id(v) in needed for v in node.outputs):
            needed.update(id(v) for v in node.inputs if v is not None)
    return needed


def _suggestion(wanted: str, places: Sequence[Place]) -> str:
    names = list(dict.fromkeys(p.name for p in places))
    close = difflib.get_close_matches(wanted, [*names, *(n.rpartition("/")[2] for n in names)], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint}; the layers are {_listed(places)}"


def _listed(places: Sequence[Place]) -> str:
    return ", ".join(dict.fromkeys(p.name for p in places)) or "none"
