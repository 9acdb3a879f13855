"""The order in which Keras keeps the layers of a model, and the names that Keras 3 gives them in files.

Keras sorts by depth, the longest way from a layer to an output, and layers of one depth by when a walk from the outputs
back to the inputs meets them first. Where a model has branches this is not the order in which layers run here.
Source: `map_graph` in keras/src/ops/function.py of https://github.com/keras-team/keras.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from cnnfast.graph.values import Node, Value
from cnnfast.layers.base import Layer, snake_case
from cnnfast.models import Model, Sequential


def keras_layers(model: Layer) -> list[Layer]:
    """The layers directly inside a model or layer, in Keras' order.

    Example:
        >>> [layer.name for layer in keras_layers(Sequential([layers.Dense(2, name="a"), layers.Dense(2, name="b")]))]
        ['a', 'b']
    """
    if not isinstance(model, Model):
        return list(model.sublayers())
    if isinstance(model, Sequential) or not model._definition:
        return model.layers
    met, finished = _walk(model)
    depths: dict[int, int] = {}  # of what a node applies: a layer applied twice has one depth, the larger
    own: dict[int, int] = {}  # of nodes
    made_by = _makers(model)
    for node in reversed(finished):
        applied = _applied(node)
        depth = depths[applied] = max(own.get(id(node), 0), depths.get(applied, 0))
        for maker in _before(node, made_by):
            own[id(maker)] = max(depth + 1, own.get(id(maker), 0))
    return sorted(
        (layer for layer in model.layers if id(layer) in met), key=lambda layer: (-depths[id(layer)], met[id(layer)])
    )


def leaves(model: Layer) -> Iterator[tuple[str, Layer]]:
    """The layers with weights of their own inside a model, however deep, in Keras' order; each once, with its path.

    Example:
        >>> inner = Sequential([Input((2,)), layers.Dense(2, name="b")], name="a")
        >>> [path for path, _ in leaves(Sequential([inner, layers.Dense(1, name="c")]))]
        ['a/b', 'c']
    """
    return _leaves(model, lambda layers: [layer.name for layer in layers], "", set())


def structural_leaves(model: Layer) -> Iterator[tuple[str, Layer]]:
    """The same layers under the names that Keras 3 gives them in files: after their class, counted within their model.

    Example:
        >>> [path for path, _ in structural_leaves(Sequential([Input((2,)), layers.Dense(2), layers.Dense(1)]))]
        ['dense', 'dense_1']
    """
    return _leaves(model, _class_names, "", set())


def _leaves(
    model: Layer, names_of: Callable[[list[Layer]], list[str]], path: str, seen: set[int]
) -> Iterator[tuple[str, Layer]]:
    layers = keras_layers(model)
    for name, layer in zip(names_of(layers), layers, strict=True):
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        if layer._weights:
            yield path + name, layer
        yield from _leaves(layer, names_of, f"{path}{name}/", seen)


def _class_names(layers: list[Layer]) -> list[str]:
    """dense, dense_1, ...; Keras' own name of the class of a plain `Model` is Functional."""
    counts: Counter[str] = Counter()
    names = []
    for layer in layers:
        name = "functional" if type(layer) is Model else snake_case(type(layer).__name__)
        names.append(f"{name}_{counts[name]}" if counts[name] else name)
        counts[name] += 1
    return names


def _walk(model: Model) -> tuple[dict[int, int], list[Node]]:
    """When each layer or op is first met on the way back from the outputs, and the nodes in the order they run."""
    made_by = _makers(model)
    met: dict[int, int] = {}
    finished: list[Node] = []
    seen: set[int] = set()
    outputs = [made_by[id(v)] for v in model.outputs if id(v) in made_by]
    stack = [(node, False) for node in reversed(outputs)]
    while stack:
        node, done = stack.pop()
        if done:
            finished.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            met.setdefault(_applied(node), len(met))
            stack.append((node, True))
            stack.extend((maker, False) for maker in reversed(_before(node, made_by)))
    return met, finished


def _makers(model: Model) -> dict[int, Node]:
    return {id(v): node for node in model._definition for v in node.outputs}


def _before(node: Node, made_by: dict[int, Node]) -> list[Node]:
    values: list[Value] = [v for v in node.inputs if v is not None]
    return [made_by[id(v)] for v in values if id(v) in made_by]


def _applied(node: Node) -> int:
    """A layer is the same wherever it is applied; each op is one of its own."""
    return id(node.op) if isinstance(node.op, Layer) else id(node)
