"""One list of layers with arguments and input shapes, for what must hold of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec
from cnnfast.layers import Layer

IMAGE = (3, 7, 6, 4)

# class name, arguments, shapes of the inputs (more than one: the layer takes a list)
CASES: list[tuple[str, dict[str, Any], tuple[tuple[int, ...], ...]]] = [
    ("Conv2D", {"filters": 5, "kernel_size": 3}, (IMAGE,)),
    (
        "Conv2D",
        {"filters": 5, "kernel_size": (2, 3), "strides": 2, "padding": "same", "activation": "relu"},
        (IMAGE,),
    ),
    ("Conv2D", {"filters": 6, "kernel_size": 2, "dilation_rate": 2, "use_bias": False}, (IMAGE,)),
    ("DepthwiseConv2D", {"kernel_size": 3, "padding": "same"}, (IMAGE,)),
    (
        "DepthwiseConv2D",
        {"kernel_size": 3, "strides": 2, "depth_multiplier": 2, "activation": "relu"},
        (IMAGE,),
    ),
    ("SeparableConv2D", {"filters": 5, "kernel_size": 3, "depth_multiplier": 2}, (IMAGE,)),
    ("Conv2DTranspose", {"filters": 5, "kernel_size": 3, "strides": 2}, (IMAGE,)),
    ("Conv2DTranspose", {"filters": 5, "kernel_size": 4, "strides": 2, "padding": "same"}, (IMAGE,)),
    (
        "Conv2DTranspose",
        {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1},
        (IMAGE,),
    ),
    ("MaxPooling2D", {}, (IMAGE,)),
    ("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (IMAGE,)),
    ("MaxPool2D", {"pool_size": (2, 3), "strides": 1}, (IMAGE,)),
    ("AveragePooling2D", {"pool_size": 2}, (IMAGE,)),
    ("AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (IMAGE,)),
    ("GlobalAveragePooling2D", {}, (IMAGE,)),
    ("GlobalAveragePooling2D", {"keepdims": True}, (IMAGE,)),
    ("GlobalMaxPooling2D", {}, (IMAGE,)),
    ("GlobalMaxPooling2D", {"keepdims": True}, (IMAGE,)),
    ("Dense", {"units": 5}, ((3, 4),)),
    ("Dense", {"units": 5, "activation": "tanh", "use_bias": False}, ((3, 2, 6, 4),)),
    ("Flatten", {}, (IMAGE,)),
    ("Flatten", {}, ((3, 4),)),
    ("Reshape", {"target_shape": (4, -1)}, ((3, 2, 6),)),
    ("Dropout", {"rate": 0.5, "seed": 3}, (IMAGE,)),
    ("Dropout", {"rate": 0.5, "noise_shape": (None, 1, 1, 4)}, (IMAGE,)),
    ("SpatialDropout2D", {"rate": 0.3}, (IMAGE,)),
    ("BatchNormalization", {}, (IMAGE,)),
    ("BatchNormalization", {"momentum": 0.9, "epsilon": 1e-5, "center": False}, ((3, 4),)),
    ("BatchNormalization", {"scale": False, "axis": 3}, (IMAGE,)),
    ("Activation", {"activation": "relu"}, (IMAGE,)),
    ("Activation", {"activation": "softmax"}, (IMAGE,)),
    ("ReLU", {}, (IMAGE,)),
    ("ReLU", {"max_value": 6.0}, (IMAGE,)),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.1}, (IMAGE,)),
    ("LeakyReLU", {}, (IMAGE,)),
    ("ELU", {"alpha": 0.7}, (IMAGE,)),
    ("Softmax", {}, (IMAGE,)),
    ("Add", {}, (IMAGE, IMAGE, IMAGE)),
    ("Subtract", {}, (IMAGE, IMAGE)),
    ("Multiply", {}, (IMAGE, IMAGE)),
    ("Average", {}, (IMAGE, IMAGE, IMAGE)),
    ("Concatenate", {}, (IMAGE, (3, 7, 6, 2))),
    ("Concatenate", {"axis": 1}, ((3, 2, 4), (3, 5, 4), (3, 1, 4))),
    ("ZeroPadding2D", {"padding": ((1, 0), (2, 3))}, (IMAGE,)),
    ("ZeroPadding2D", {}, (IMAGE,)),
    ("Cropping2D", {"cropping": ((1, 0), (2, 3))}, (IMAGE,)),
    ("UpSampling2D", {}, (IMAGE,)),
    ("UpSampling2D", {"size": (3, 2), "interpolation": "bilinear"}, (IMAGE,)),
    ("Preprocess", {"mode": "caffe"}, ((3, 7, 6, 3),)),
    ("Preprocess", {"mode": "torch"}, ((3, 7, 6, 3),)),
    ("Rescaling", {"scale": 1 / 255, "offset": -0.5}, (IMAGE,)),
    ("Rescaling", {"scale": [1.0, 2.0, 3.0, 4.0], "offset": [0.0, 1.0, 2.0, 3.0]}, (IMAGE,)),
    ("Identity", {}, (IMAGE,)),
]


def case_id(case: Any) -> str:
    name, arguments, _ = case
    return f"{name}({', '.join(f'{k}={v}' for k, v in arguments.items())})"


def gradients(layer: Layer, x: Any, dy: np.ndarray, training: bool = False) -> list[np.ndarray]:
    """Gradients of sum(y * dy) by the inputs and by the trainable weights, from a compiled Program."""
    xs = x if isinstance(x, list) else [x]
    graph = Graph(training=training)
    feeds = [graph.input(Spec(v.shape)) for v in (*xs, dy)]
    y = layer(feeds[:-1] if isinstance(x, list) else feeds[0])
    wanted = [*feeds[:-1], *(graph.variable(w) for w in layer.trainable_weights)]
    found = differentiate(graph, [(y, feeds[-1])], wanted)
    assert all(g is not None for g in found)
    return Program(graph, feeds, [g for g in found if g is not None]).run([*xs, dy])[1]
