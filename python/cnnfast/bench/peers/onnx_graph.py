"""A workload's network as an ONNX model, for the runtimes that read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from cnnfast.bench.data import Data
from cnnfast.bench.peers.channels_first import WeightLayout
from cnnfast.bench.shapes import Options, Shape, padding_of, pair
from cnnfast.bench.spec import Layer, Workload

OPSET = 17


def _window(x: Shape, o: Options) -> dict[str, Any]:
    (top, bottom), (left, right) = padding_of(x[:2], o)
    return {
        "kernel_shape": pair(o["kernel"]),
        "strides": pair(o["strides"]),
        "pads": [top, left, bottom, right],
    }


def _conv(x: Shape, o: Options) -> dict[str, Any]:
    return {**_window(x, o), "group": o["groups"], "dilations": pair(o["dilation"])}


# kind -> (operator, attributes from the shape of one input sample and the options)
_OPERATORS: dict[str, tuple[str, Callable[[Shape, Options], dict[str, Any]]]] = {
    "conv2d": ("Conv", _conv),
    "depthwise": ("Conv", lambda x, o: {**_window(x, o), "group": x[2]}),
    "dense": ("Gemm", lambda x, o: {"transB": 1}),
    "batch_norm": ("BatchNormalization", lambda x, o: {"epsilon": o["epsilon"]}),
    "max_pool": ("MaxPool", _window),
    "average_pool": ("AveragePool", _window),
    "global_average_pool": ("GlobalAveragePool", lambda x, o: {}),
    "flatten": ("Flatten", lambda x, o: {}),
    "relu": ("Relu", lambda x, o: {}),
    "softmax": ("Softmax", lambda x, o: {"axis": 1}),
    "add": ("Add", lambda x, o: {}),
    "concatenate": ("Concat", lambda x, o: {"axis": 1}),
}
_ACTIVATIONS = {"relu": ("Relu", {}), "sigmoid": ("Sigmoid", {}), "softmax": ("Softmax", {"axis": 1})}


class _Builder:
    def __init__(self, workload: Workload, data: Data):
        self._shapes = workload.shapes()
        self._layout = WeightLayout(workload)
        self._weights = data.weights
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def add(self, layer: Layer) -> None:
        after = self._activation(layer)
        target = f"{layer.name}_linear" if after else layer.name
        self._main(layer, target)
        if after:
            operator, attributes = after
            self.nodes.append(helper.make_node(operator, [target], [layer.name], **attributes))

    def _main(self, layer: Layer, target: str) -> None:
        inputs = [*layer.inputs, *self._operands(layer)]
        if layer.kind == "dropout":
            self.nodes.append(helper.make_node("Identity", inputs, [target]))
        elif layer.kind == "relu6":
            self._constant("zero", np.float32(0))
            self._constant("six", np.float32(6))
            self.nodes.append(helper.make_node("Clip", [*inputs, "zero", "six"], [target]))
        else:
            operator, attributes = _OPERATORS[layer.kind]
            found = attributes(self._shapes[layer.inputs[0]], layer.options)
            self.nodes.append(helper.make_node(operator, inputs, [target], **found))

    def _operands(self, layer: Layer) -> list[str]:
        names = [n for n in self._weights if n.rsplit("/", 1)[0] == layer.name]
        for name in names:
            self._constant(name, self._layout.convert(name, self._weights[name]))
        return names

    def _constant(self, name: str, value: Any) -> None:
        if all(i.name != name for i in self.initializers):
            self.initializers.append(numpy_helper.from_array(np.asarray(value), name))

    @staticmethod
    def _activation(layer: Layer) -> tuple[str, dict[str, Any]] | None:
        if layer.kind == "global_average_pool":
            return "Flatten", {}  # ONNX keeps the two axes of size 1
        name = layer.options.get("activation")
        return _ACTIVATIONS[name] if name else None


def onnx_model(workload: Workload, data: Data) -> bytes:
    """The serialized model: input "input" (N, C, H, W) or (N, C), output named after the last layer."""
    builder = _Builder(workload, data)
    for layer in workload.layers:
        builder.add(layer)
    output = workload.layers[-1].name
    graph = helper.make_graph(
        builder.nodes,
        "workload",
        [_value("input", workload.batch, workload.input_shape)],
        [_value(output, workload.batch, workload.shapes()[output])],
        builder.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    checker.check_model(model)
    return model.SerializeToString()


def _value(name: str, batch: int, shape: Shape) -> Any:
    first = (batch, shape[2], shape[0], shape[1]) if len(shape) == 3 else (batch, *shape)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, first)
