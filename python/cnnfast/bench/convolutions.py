"""The convolutions of well-known networks: each distinct shape once, for rows of its forward pass, dx and dw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from cnnfast.bench import networks
from cnnfast.bench.shapes import Options, Shape, output_shape, pair, weight_shapes
from cnnfast.bench.spec import Net, Workload

#: A row's batch is halved until it needs no more than this: on two cores it then takes less than about 0.15 s,
#: and less than about 300 MB with its gradients and a copy in another layout.
MOST_OPERATIONS, MOST_BYTES = 8e9, 100e6


@dataclass(frozen=True)
class Convolution:
    """One shape: a layer of kind "conv2d" or "depthwise" and its options, over one sample (H, W, C)."""

    kind: str
    input_shape: Shape
    options: Options

    def name(self) -> str:
        """Window, H (and W if it is another), C, K and stride: "3x3-56-64-64", "5x20-161x700-1-32-s2"."""
        (h, w, c), o = self.input_shape, self.options
        parts = ["x".join(map(str, pair(o["kernel"]))), str(h) if h == w else f"{h}x{w}", str(c)]
        parts += [str(o["filters"])] if "filters" in o else []
        return "-".join([*parts, f"s{o['strides']}"] if o["strides"] != 1 else parts)

    def fitting_batch(self, batch: int) -> int:
        y = output_shape(self.kind, [self.input_shape], self.options)
        kernel = weight_shapes(self.kind, self.input_shape, self.options)["kernel"]
        operations = 2 * prod(y[:2]) * prod(kernel)
        numbers = prod(self.input_shape) + prod(y)
        while batch > 1 and (batch * operations > MOST_OPERATIONS or 4 * batch * numbers > MOST_BYTES):
            batch //= 2
        return batch


def distinct(layers: networks.Layers, input_shape: Shape) -> list[Convolution]:
    """The convolutions of a network, without activations, each shape once."""
    shapes = Workload("shapes", "infer", input_shape, 1, layers).shapes()
    found = [
        Convolution(layer.kind, shapes[layer.inputs[0]], {**layer.options, "activation": ""})
        for layer in layers
        if layer.kind in ("conv2d", "depthwise")
    ]
    return list({(c.kind, c.name()): c for c in found}.values())


# W, H, C, K, S, R, padding, strides: the training and the inference server set of DeepBench (Baidu Research, 2016).
_DEEPBENCH = [
    # speech
    (700, 161, 1, 32, 20, 5, 0, 2), (341, 79, 32, 32, 10, 5, 0, 2),
    # text lines
    (480, 48, 1, 16, 3, 3, 1, 1), (240, 24, 16, 32, 3, 3, 1, 1), (120, 12, 32, 64, 3, 3, 1, 1),
    (60, 6, 64, 128, 3, 3, 1, 1),
    # faces
    (108, 108, 3, 64, 3, 3, 1, 2), (54, 54, 64, 64, 3, 3, 1, 1), (27, 27, 128, 128, 3, 3, 1, 1),
    (14, 14, 128, 256, 3, 3, 1, 1), (7, 7, 256, 512, 3, 3, 1, 1),
    # photographs
    (224, 224, 3, 64, 3, 3, 1, 1), (112, 112, 64, 128, 3, 3, 1, 1), (56, 56, 128, 256, 3, 3, 1, 1),
    (28, 28, 256, 512, 3, 3, 1, 1), (14, 14, 512, 512, 3, 3, 1, 1), (7, 7, 512, 512, 3, 3, 1, 1),
    (224, 224, 3, 64, 7, 7, 3, 2), (28, 28, 192, 32, 5, 5, 2, 1), (28, 28, 192, 64, 1, 1, 0, 1),
    (14, 14, 512, 48, 5, 5, 2, 1), (14, 14, 512, 192, 1, 1, 0, 1), (7, 7, 832, 256, 1, 1, 0, 1),
    (7, 7, 832, 128, 5, 5, 2, 1), (56, 56, 64, 64, 3, 3, 1, 1), (56, 56, 64, 256, 1, 1, 0, 2),
    (28, 28, 128, 128, 3, 3, 1, 1), (28, 28, 128, 512, 1, 1, 0, 2), (14, 14, 256, 256, 1, 1, 0, 1),
    (14, 14, 256, 256, 3, 3, 1, 1), (14, 14, 256, 1024, 1, 1, 0, 2), (7, 7, 512, 512, 1, 1, 0, 1),
    (7, 7, 2048, 512, 1, 1, 3, 2), (112, 112, 64, 64, 1, 1, 0, 1), (56, 56, 64, 256, 1, 1, 0, 1),
    (56, 56, 256, 64, 1, 1, 0, 1), (56, 56, 256, 128, 1, 1, 0, 2), (28, 28, 128, 512, 1, 1, 0, 1),
    (28, 28, 512, 128, 1, 1, 0, 1), (28, 28, 512, 256, 1, 1, 0, 2), (28, 28, 512, 1024, 1, 1, 0, 2),
    (14, 14, 256, 1024, 1, 1, 0, 1), (14, 14, 1024, 256, 1, 1, 0, 1), (14, 14, 1024, 512, 1, 1, 0, 2),
    (14, 14, 1024, 2048, 1, 1, 0, 2), (7, 7, 512, 2048, 1, 1, 0, 1), (7, 7, 2048, 512, 1, 1, 0, 1),
    # speakers
    (700, 161, 1, 64, 5, 5, 1, 2), (350, 80, 64, 64, 3, 3, 1, 1), (350, 80, 64, 128, 5, 5, 1, 2),
    (175, 40, 128, 128, 3, 3, 1, 1), (175, 40, 128, 256, 5, 5, 1, 2), (84, 20, 256, 256, 3, 3, 1, 1),
    (84, 20, 256, 512, 5, 5, 1, 2), (42, 10, 512, 512, 3, 3, 1, 1),
]  # fmt: skip


def _deepbench() -> list[Convolution]:
    found = []
    for w, h, c, k, s, r, padding, strides in _DEEPBENCH:
        net = Net()
        net.add("conv2d", filters=k, kernel=(r, s), strides=strides, padding=padding, bias=False)
        found += distinct(net.built(), (h, w, c))
    return found


# family -> its convolutions; batch of the forward pass and of the gradients
_FAMILIES: dict[str, tuple[Callable[[], list[Convolution]], int, int]] = {
    "resnet50": (lambda: distinct(networks.resnet50(), (224, 224, 3)), 8, 8),
    "vgg16-224": (lambda: distinct(networks.vgg16_features(), (224, 224, 3)), 8, 8),
    "vgg16-150": (lambda: distinct(networks.vgg16_features(), (150, 150, 3)), 8, 8),
    "mobilenetv2": (lambda: distinct(networks.mobilenet_v2(), (224, 224, 3)), 8, 8),
    "googlenet": (lambda: distinct(networks.googlenet(), (224, 224, 3)), 8, 8),
    "deepbench": (_deepbench, 2, 8),
}


def families() -> Iterable[str]:
    """Names of the families, as they are in the names of their rows."""
    return _FAMILIES


def rows(make: Callable[..., Workload]) -> Iterator[Workload]:
    """The rows of all families.

    Args:
        make: makes a row of a name, a mode, a kind of layer, (N, H, W, C) and options.
    """
    for family, (convolutions, forward_batch, gradient_batch) in _FAMILIES.items():
        for c in convolutions():
            name = f"{'conv' if c.kind == 'conv2d' else c.kind}-{family}-{c.name()}"
            options: dict[str, Any] = c.options
            for mode in ("forward", "dx", "dw") if c.input_shape[2] > 3 else ("forward", "dw"):
                batch = c.fitting_batch(forward_batch if mode == "forward" else gradient_batch)
                yield make(name, mode, c.kind, (batch, *c.input_shape), **options)
