"""Models as JSON, and back.

A description is a flat table of layers, the model itself last:

    {"version": 1, "layers": [{"class_name": "Conv2D", "config": {...}}, ..., {"class_name": "Model",
    "config": {...}}]}

Models name their layers by their numbers in the table, and may name only earlier ones. Hence a layer that is
shared, even between a model and one nested in it, is written once; and there is nothing to nest endlessly and
no way to form a circle. Within a model, values are numbered in the same manner: first the inputs, then the
outputs of each node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnfast import layers
from cnnfast.configurable import construct
from cnnfast.formats.limits import VERSION, check_description
from cnnfast.formats.op_nodes import apply_node, describe_node
from cnnfast.formats.strict_json import dump, parse
from cnnfast.graph.values import Node, Value
from cnnfast.layers.base import Layer
from cnnfast.models import Model, Sequential

CustomObjects = Mapping[str, type[Layer]]


def model_config(model: Model) -> dict[str, Any]:
    """The architecture of a model, as JSON can hold it.

    Raises:
        ValueError: the model has a `call` of its own (code cannot be in a file), or holds a layer or an op
            that cannot be written.

    Example:
        >>> config = model_config(Sequential([Input((4,)), layers.Dense(2)]))
        >>> [entry["class_name"] for entry in config["layers"]]
        ['Dense', 'Sequential']
    """
    if not _is_described(model):
        raise ValueError(
            f"{model.name}: {type(model).__name__} has a call of its own, which no file can hold; "
            "keep its weights with save_weights and make the model by its code"
        )
    table = _Table()
    table.number(model)
    what = f"{model.name}: the architecture"
    description = parse(dump({"version": VERSION, "layers": table.entries}, what), what)
    check_description(what, description)  # what could not be read back is not written
    return description


def model_from_config(config: Any, custom_objects: CustomObjects | None = None) -> Model:
    """The model that `model_config` described, with new weights.

    Args:
        config: the description, perhaps from a hostile file. Only registered layers are made, from arguments
            that their constructors check, and the model's size is bounded before any layer is made.
        custom_objects: layers of one's own by class name, besides those registered with `layers.register`.

    Raises:
        ValueError: what does not fit, and where.

    Example:
        >>> model = Sequential([Input((4,)), layers.Dense(2, name="top")])
        >>> model_from_config(model_config(model)).layers
        [<Dense name=top>]
    """
    what = "the architecture"
    made: list[Layer] = []
    for i, entry in enumerate(check_description(what, config)):
        try:
            made.append(_make(entry["class_name"], entry["config"], made, custom_objects or {}))
        except Exception as error:  # whatever a layer makes of a hostile config, to the reader it is a bad file
            message = str(error) or type(error).__name__
            raise ValueError(f"{what}: layer {i} ({entry['class_name']}): {message}") from error
    model = made[-1]
    assert isinstance(model, Model)
    return model


# Writing


def _is_described(layer: Layer) -> bool:
    """A model that its layers and their connections say all about."""
    return isinstance(layer, Model) and type(layer).call is Model.call


class _Table:
    """The layers of a model and of those nested in it, each once and after what it is made of."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._numbers: dict[int, int] = {}

    def number(self, layer: Layer) -> int:
        """The layer's place in the table, where it is put if it is not there yet."""
        if id(layer) not in self._numbers:
            described = isinstance(layer, Model) and _is_described(layer)
            entry = self._model(layer) if described else layers.serialize(layer)
            self._numbers[id(layer)] = len(self.entries)
            self.entries.append(entry)
        return self._numbers[id(layer)]

    def _model(self, model: Any) -> dict[str, Any]:
        config = {"name": model.name, "trainable": model.trainable}
        if isinstance(model, Sequential):
            config["input"] = _describe_input(model.inputs[0]) if model.inputs else None
            config["layers"] = [self.number(layer) for layer in model.layers]
            return {"class_name": "Sequential", "config": config}
        return {"class_name": "Model", "config": config | self._graph(model)}

    def _graph(self, model: Model) -> dict[str, Any]:
        numbers = {id(v): i for i, v in enumerate(model.inputs)}
        nodes = []
        for node in model._definition:
            nodes.append(self._node(node, lambda v: numbers[id(v)], model.name))
            for value in node.outputs:
                numbers[id(value)] = len(numbers)
        return {
            "inputs": [_describe_input(v) for v in model.inputs],
            "nodes": nodes,
            "outputs": [numbers[id(v)] for v in model.outputs],
            "several": list(model._several),
        }

    def _node(self, node: Node, reference: Callable[[Value], int], where: str) -> dict[str, Any]:
        if not isinstance(node.op, Layer):
            return describe_node(node, reference, where)
        inputs = [reference(v) for v in node.inputs if v is not None]
        return {"layer": self.number(node.op), "inputs": inputs, "attributes": dict(node.attributes)}


def _describe_input(value: Value) -> dict[str, Any]:
    return {"name": value.name or None, "shape": list(value.shape), "dtype": value.dtype}


# Reading, after `check_description`


def _make(class_name: str, config: dict[str, Any], made: Sequence[Layer], custom: CustomObjects) -> Layer:
    """The layer or model of an entry of the table; `made` are those before it."""
    if class_name == "Model":
        return _make_model(config, made)
    if class_name == "Sequential":
        return _make_sequential(config, made)
    if class_name in custom:
        return construct("layer", class_name, custom[class_name].from_config, config)
    return layers.deserialize({"class_name": class_name, "config": config})


def _make_sequential(config: dict[str, Any], made: Sequence[Layer]) -> Model:
    model = Sequential(name=config.get("name"))
    if config.get("input") is not None:
        model.add(_make_input(config["input"]))
    for n in config["layers"]:
        model.add(made[n])
    return _with_trainable(model, config)


def _make_model(config: dict[str, Any], made: Sequence[Layer]) -> Model:
    inputs = [_make_input(entry) for entry in config["inputs"]]
    values = list(inputs)

    def value(number: int) -> Value:
        if not 0 <= number < len(values):
            raise ValueError(f"the number of a value must lie in [0, {len(values) - 1}], got {number}")
        return values[number]

    for i, node in enumerate(config["nodes"]):
        if "layer" in node:
            values += _apply_layer(made[node["layer"]], node, value)
        else:
            values += apply_node(f"node {i}", node, value)
    outputs = [value(n) for n in config["outputs"]]
    several = config["several"]
    model = Model(
        inputs if several[0] else _only(inputs),
        outputs if several[1] else _only(outputs),
        name=config.get("name"),
    )
    return _with_trainable(model, config)


def _make_input(entry: dict[str, Any]) -> Value:
    return layers.Input(batch_shape=entry["shape"], dtype=entry["dtype"], name=entry.get("name"))


def _apply_layer(layer: Layer, node: dict[str, Any], value: Callable[[int], Value]) -> list[Value]:
    arguments = [value(n) for n in node["inputs"]]
    attributes = node["attributes"]
    outputs = layer(arguments if attributes["several"] else _only(arguments), training=attributes.get("training"))
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _only(values: list[Value]) -> Value:
    if len(values) != 1:
        raise ValueError(f"expected one value, got {len(values)}")
    return values[0]


def _with_trainable(model: Model, config: dict[str, Any]) -> Model:
    """Sets the model's own flag only: the setter would pass it on to the layers, which have theirs."""
    model._trainable = config.get("trainable", True)
    return model
