"""Layers with Keras' names, arguments, defaults and initializers. Images are (N, H, W, C)."""

from cnnfast.layers.activation import Activation
from cnnfast.layers.base import Layer
from cnnfast.layers.conv import Conv2D, Conv2DTranspose, DepthwiseConv2D, SeparableConv2D
from cnnfast.layers.core import Dense
from cnnfast.layers.files import LAYERS, deserialize, register, serialize
from cnnfast.layers.input import Input, InputLayer
from cnnfast.layers.reshaping import Flatten, Reshape

for _cls in (Activation, Conv2D, Conv2DTranspose, Dense, DepthwiseConv2D, SeparableConv2D, Flatten, InputLayer, Reshape):
    LAYERS.add(_cls)

__all__ = [
    "LAYERS",
    "Activation",
    "Conv2D",
    "Conv2DTranspose",
    "Dense",
    "DepthwiseConv2D",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "Reshape",
    "SeparableConv2D",
    "deserialize",
    "register",
    "serialize",
]
