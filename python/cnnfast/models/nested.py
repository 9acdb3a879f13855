"""Outputs that lie inside a nested model: what the layers of `conv_base` compute within the model around it.

`conv_base.get_layer("block5_conv3").output` belongs to conv_base's own inputs. To be an output of a model over other
inputs, conv_base is written out in their graph, layer by layer: with the same weights, and with what comes after it
depending on the value that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakSet

from cnnfast.graph.values import Node, Value, topological_nodes

if TYPE_CHECKING:
    from cnnfast.models.model import Model

#: All models there are: a value knows what made it, not which models it is an input of.
MODELS: WeakSet[Model] = WeakSet()


def written_out(inputs: Sequence[Value], outputs: Sequence[Value]) -> list[Value]:
    """The outputs as values that depend on `inputs`, with the models written out that some of them lie in.

    Args:
        inputs: of the new model.
        outputs: values over them, or over the inputs of a model that is applied to values over them, and so on.

    Raises:
        ValueError: a model that an output lies in is applied several times, so that there are several such values.
    """
    inside = [v for v in outputs if not _depends_on(v, inputs)]
    places = [place for v in inside if (place := _place(v, inputs)) is not None]
    if not places:
        return list(outputs)  # nothing to be done; what does not fit is refused where the model is made
    opened = {id(node) for place in places for node in place}
    ends = [v for v in outputs if v not in inside] + [v for place in places for v in place[-1].outputs]
    writer = _Writer(inputs, opened)
    writer.add(topological_nodes(ends))
    return [writer.values.get(id(v), v) for v in outputs]


def _place(value: Value, inputs: Sequence[Value]) -> list[Node] | None:
    """The applications of models that a value lies in, the innermost first; the last is over `inputs`."""
    found: list[list[Node]] = []
    for model in list(MODELS):
        if not any(value in node.outputs for node in model._definition):
            continue
        for node in model._nodes:
            if all(v is None or _depends_on(v, inputs) for v in node.inputs):
                found.append([node])
            elif (around := _place(node.outputs[0], inputs)) is not None:
                found.append([node, *around])
    if len(found) > 1:
        names = " and ".join(sorted({place[0].op.name for place in found}))
        raise ValueError(
            f"Model: the output of {value.name!r} lies inside {names}, applied {len(found)} times to the inputs: it is "
            "not clear which of its values is meant"
        )
    return found[0] if found else None


def _depends_on(value: Value, inputs: Sequence[Value]) -> bool:
    """Whether a value can be computed from inputs."""
    known = {id(v) for v in inputs}
    stack = [value]
    while stack:
        v = stack.pop()
        if id(v) in known or v.constant is not None:
            continue
        if v.node is None or not v.node.inputs:
            return False
        known.add(id(v))
        stack.extend(u for u in v.node.inputs if u is not None)
    return True


class _Writer:
    """Copies the nodes of a definition, some of its models written out.

    Args:
        inputs: stay as they are.
        opened: ids of the nodes whose models are written out.

    Attributes:
        values: by the ids of the values that were copied.
    """

    def __init__(self, inputs: Sequence[Value], opened: set[int]):
        self.values: dict[int, Value] = {id(v): v for v in inputs}
        self._opened = opened

    def add(self, nodes: Sequence[Node], training: bool | None = None) -> None:
        """Copies nodes, each after those it reads; `training` is what the model around them was given."""
        for node in nodes:
            if all(id(v) in self.values for v in node.outputs):
                continue
            if id(node) in self._opened:
                self._open(node, training)
            else:
                self._copy(node, training)

    def _copy(self, node: Node, training: bool | None) -> None:
        read = [None if v is None else self.values.get(id(v), v) for v in node.inputs]
        attributes = dict(node.attributes)
        if training is not None and attributes.get("training", False) is None:
            attributes["training"] = training
        copy = Node(node.op, read, attributes)
        copy.outputs = [Value(v.spec, node=copy, index=v.index, name=v.name) for v in node.outputs]
        self.values.update((id(v), new) for v, new in zip(node.outputs, copy.outputs, strict=True))

    def _open(self, node: Node, training: bool | None) -> None:
        model: Model = node.op  # type: ignore[assignment]
        fixed = node.attributes["training"]
        read = [self.values[id(v)] for v in node.inputs if v is not None]
        self.values.update((id(v), given) for v, given in zip(model._inputs, read, strict=True))
        self.add(model._definition, training if fixed is None else fixed)
        self.values.update((id(v), self.values[id(y)]) for v, y in zip(node.outputs, model._outputs, strict=True))
