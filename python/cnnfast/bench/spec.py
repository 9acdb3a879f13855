"""What a workload is: a network as plain data, and what to do with it. No framework is needed here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from cnnfast.bench.shapes import Shape, output_shape, weight_shapes

INPUT = "input"

#: Modes whose rows explain a network's class scores.
EXPLANATIONS = ("gradcam", "saliency")


@dataclass(frozen=True)
class Layer:
    """One layer: its name, what it computes and the layers it reads.

    Attributes:
        name: unique in its network.
        kind: a key of the tables in `shapes` and of every peer's converter.
        inputs: names of layers; "input" is the network's input.
        options: all numbers the kind needs, none left to a framework's default.
        trainable: whether training changes its weights.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    trainable: bool = True


@dataclass(frozen=True)
class Workload:
    """A row of the suite.

    Attributes:
        name: as `cnnfast bench --only` takes it, for example "train/mnist-64".
        mode: "train" (one optimizer step), "infer" (one prediction), or for kernels "forward", "dx" or "dw"
            alone, "both" (forward, then all gradients); "augment" (one batch of images, changed at random);
            "gradcam" or "saliency" (one batch of images, explained).
        input_shape: one sample (H, W, C) or (C,).
        batch: N.
        layers: in an order in which each comes after those it reads; the last is the output.
        loss: "sparse_categorical_crossentropy" or "binary_crossentropy", for "train".
        optimizer: "sgd", "adam" or "rmsprop", for "train".
        learning_rate: of the optimizer; small, because every step sees the same batch.
        description: one line for people.
        goal: how many times as fast as the fastest peer cnnfast should be.
        seed: of data and weights.
    """

    name: str
    mode: str
    input_shape: Shape
    batch: int
    layers: tuple[Layer, ...]
    loss: str = ""
    optimizer: str = ""
    learning_rate: float = 1e-5
    description: str = ""
    goal: float = 1.0
    seed: int = 1

    @property
    def group(self) -> str:
        """What the geometric means are taken over: "train", "infer", "augment", "explain" or "kernel"."""
        if self.mode in EXPLANATIONS:
            return "explain"
        return self.mode if self.mode in ("train", "infer", "augment") else "kernel"

    def shapes(self) -> dict[str, Shape]:
        """The shape of one sample of every layer's output, by name."""
        shapes = {INPUT: self.input_shape}
        for layer in self.layers:
            shapes[layer.name] = output_shape(layer.kind, [shapes[i] for i in layer.inputs], layer.options)
        return shapes

    def weight_shapes(self) -> dict[str, Shape]:
        """The shape of every weight, as "layer/weight", kernels (R,S,C,K) and dense weights (in, out)."""
        shapes = self.shapes()
        return {
            f"{layer.name}/{weight}": shape
            for layer in self.layers
            for weight, shape in weight_shapes(layer.kind, shapes[layer.inputs[0]], layer.options).items()
        }

    def without_dropout(self) -> Workload:
        """The same with nothing dropped: frameworks draw different masks, so answers could not agree."""
        layers = tuple(
            dataclasses.replace(layer, options={"rate": 0.0}) if layer.kind == "dropout" else layer
            for layer in self.layers
        )
        return dataclasses.replace(self, layers=layers)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Workload:
        """The inverse of `to_json`, also after a trip through JSON text."""
        layers = tuple(Layer(**{**layer, "inputs": tuple(layer["inputs"])}) for layer in data["layers"])
        return cls(**{**data, "layers": layers, "input_shape": tuple(data["input_shape"])})


class Net:
    """Collects the layers of a network; each `add` returns the new layer's name, for branches to read.

    Example:
        >>> net = Net()
        >>> x = net.add("relu")
        >>> y = net.add("conv2d", filters=8, kernel=3, padding="same")
        >>> net.add("add", x, y)
        'add_3'
    """

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def add(self, kind: str, *inputs: str, trainable: bool = True, **options: Any) -> str:
        """Adds a layer that reads `inputs`, or else the layer added last."""
        last = self.layers[-1].name if self.layers else INPUT
        name = f"{kind}_{len(self.layers) + 1}"
        complete = {**DEFAULTS.get(kind, {}), **options}
        self.layers.append(Layer(name, kind, inputs or (last,), complete, trainable))
        return name

    def built(self) -> tuple[Layer, ...]:
        return tuple(self.layers)


_CONVOLUTION = {"strides": 1, "padding": "valid", "bias": True, "activation": ""}
DEFAULTS: dict[str, dict[str, Any]] = {
    "conv2d": {**_CONVOLUTION, "groups": 1, "dilation": 1},
    "depthwise": _CONVOLUTION,
    "max_pool": {"padding": "valid"},
    "average_pool": {"padding": "valid"},
    "dense": {"bias": True, "activation": ""},
    "batch_norm": {"momentum": 0.9, "epsilon": 1e-5},
}


def gradient_targets(workload: Workload) -> list[str]:
    """What a kernel workload differentiates by: "x" and weights of its one layer; nothing for predictions."""
    learned = [
        name.rsplit("/", 1)[1] for name in workload.weight_shapes() if not name.rsplit("/", 1)[1].startswith("moving")
    ]
    return {"dx": ["x"], "dw": learned[:1], "both": ["x", *learned]}.get(workload.mode, [])
