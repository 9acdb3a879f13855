"""Layers with Keras' names, arguments, defaults and initializers. Images are (N, H, W, C)."""

from cnnfast.layers.activation import Activation
from cnnfast.layers.base import Layer
from cnnfast.layers.conv import Conv2D
from cnnfast.layers.core import Dense
from cnnfast.layers.files import LAYERS, deserialize, register, serialize
from cnnfast.layers.input import Input, InputLayer
from cnnfast.layers.reshaping import Flatten, Reshape

for _cls in (Activation, Conv2D, Dense, Flatten, InputLayer, Reshape):
    LAYERS.add(_cls)

__all__ = [
    "LAYERS",
    "Activation",
    "Conv2D",
    "Dense",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "Reshape",
    "deserialize",
    "register",
    "serialize",
]
