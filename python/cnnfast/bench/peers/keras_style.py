"""What cnnfast and Keras share: one script builds a model in either, for their names are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.bench.data import Data
from cnnfast.bench.shapes import Options
from cnnfast.bench.spec import INPUT, Layer, Workload, gradient_targets


def _activation(o: Options) -> str | None:
    return o["activation"] or None


def _pool(make: Any) -> Callable[[Any, Options, str], Any]:
    def build(layers: Any, o: Options, name: str) -> Any:
        return getattr(layers, make)(o["kernel"], strides=o["strides"], padding=_padding(o), name=name)

    return build


def _padding(o: Options) -> str:
    return "same" if o["padding"] == "same" else "valid"  # numbers become a ZeroPadding2D of their own


LAYERS: dict[str, Callable[[Any, Options, str], Any]] = {
    "conv2d": lambda layers, o, name: layers.Conv2D(
        o["filters"], o["kernel"], strides=o["strides"], padding=_padding(o), dilation_rate=o["dilation"],
        groups=o["groups"], activation=_activation(o), use_bias=o["bias"], name=name,
    ),
    "depthwise": lambda layers, o, name: layers.DepthwiseConv2D(
        o["kernel"], strides=o["strides"], padding=_padding(o), activation=_activation(o), use_bias=o["bias"],
        name=name,
    ),
    "dense": lambda layers, o, name: layers.Dense(
        o["units"], activation=_activation(o), use_bias=o["bias"], name=name
    ),
    "batch_norm": lambda layers, o, name: layers.BatchNormalization(
        momentum=o["momentum"], epsilon=o["epsilon"], name=name
    ),
    "max_pool": _pool("MaxPooling2D"),
    "average_pool": _pool("AveragePooling2D"),
    "global_average_pool": lambda layers, o, name: layers.GlobalAveragePooling2D(name=name),
    "flatten": lambda layers, o, name: layers.Flatten(name=name),
    "dropout": lambda layers, o, name: layers.Dropout(o["rate"], name=name),
    "relu": lambda layers, o, name: layers.ReLU(name=name),
    "relu6": lambda layers, o, name: layers.ReLU(max_value=6.0, name=name),
    "softmax": lambda layers, o, name: layers.Softmax(name=name),
    "add": lambda layers, o, name: layers.Add(name=name),
    "concatenate": lambda layers, o, name: layers.Concatenate(name=name),
}  # fmt: skip


def build_model(api: Any, workload: Workload, weights: dict[str, np.ndarray]) -> Any:
    """The workload's network as an `api.Model` with these weights; `api` is keras or cnnfast."""
    values = {INPUT: api.Input(shape=workload.input_shape)}
    for layer in workload.layers:
        values[layer.name] = _apply(api.layers, layer, [values[i] for i in layer.inputs])
    model = api.Model(values[INPUT], values[workload.layers[-1].name])
    for layer in workload.layers:
        mine = [w for name, w in weights.items() if name.rsplit("/", 1)[0] == layer.name]
        if mine:
            model.get_layer(layer.name).set_weights(mine)
        if not layer.trainable:
            model.get_layer(layer.name).trainable = False
    return model


def _apply(layers: Any, layer: Layer, inputs: list[Any]) -> Any:
    padding = layer.options.get("padding")
    if isinstance(padding, int):
        # Zeros: before a max-pooling that is right only after a ReLU, as in Keras' ResNet.
        inputs = [layers.ZeroPadding2D(padding, name=f"{layer.name}_padding")(inputs[0])]
    made = LAYERS[layer.kind](layers, layer.options, layer.name)
    return made(inputs if len(inputs) > 1 else inputs[0])


def make_optimizer(api: Any, workload: Workload) -> Any:
    """The optimizer, with an epsilon so small that where it is added, which differs, does not matter."""
    rate = workload.learning_rate
    if workload.optimizer == "sgd":
        return api.optimizers.SGD(learning_rate=rate)
    if workload.optimizer == "adam":
        return api.optimizers.Adam(learning_rate=rate, epsilon=1e-10)
    if workload.optimizer == "rmsprop":
        return api.optimizers.RMSprop(learning_rate=rate, rho=0.9, epsilon=1e-20)  # inside the root
    raise ValueError(f"bench: unknown optimizer {workload.optimizer!r}")


class TrainSession:
    """Training steps through `train_on_batch`.

    Args:
        api: keras or cnnfast.
        workload, data: what to do.
        place: turns a NumPy array into what the framework reads without a copy.
    """

    def __init__(
        self,
        api: Any,
        workload: Workload,
        data: Data,
        place: Callable[[np.ndarray], Any] = lambda a: a,
    ):
        self._layers, self._names = [layer.name for layer in workload.layers], list(data.weights)
        self._x, self._y = place(data.x), place(data.y)
        self._model = build_model(api, workload, data.weights)
        self._model.compile(optimizer=make_optimizer(api, workload), loss=workload.loss)

    def step(self) -> float:
        return float(np.ravel(self._model.train_on_batch(self._x, self._y))[0])

    def answer(self) -> dict[str, np.ndarray]:
        values = [w for name in self._layers for w in self._model.get_layer(name).get_weights()]
        return dict(zip(self._names, values, strict=True))


def kernel_answer(workload: Workload, arrays: Any) -> dict[str, np.ndarray]:
    """Names what a session computed: "d" with each target's name, then y if the mode has it."""
    names = [f"d{name}" for name in gradient_targets(workload)]
    names += ["y"] if workload.mode in ("infer", "forward", "both") else []
    return dict(zip(names, (np.asarray(a) for a in arrays), strict=True))
