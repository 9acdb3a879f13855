"""Layers with Keras' names, arguments, defaults and initializers. Images are (N, H, W, C)."""

from cnnfast.layers.activation import ELU, Activation, LeakyReLU, ReLU, Softmax
from cnnfast.layers.base import Layer
from cnnfast.layers.conv import Conv2D, Conv2DTranspose, DepthwiseConv2D, SeparableConv2D
from cnnfast.layers.core import Dense, Identity
from cnnfast.layers.files import LAYERS, deserialize, register, serialize
from cnnfast.layers.input import Input, InputLayer
from cnnfast.layers.merge import (
    Add,
    Average,
    Concatenate,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    multiply,
    subtract,
)
from cnnfast.layers.normalization import BatchNormalization
from cnnfast.layers.pooling import (
    AveragePooling2D,
    AvgPool2D,
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
    MaxPool2D,
    MaxPooling2D,
)
from cnnfast.layers.preprocessing import Preprocess
from cnnfast.layers.regularization import Dropout, SpatialDropout2D
from cnnfast.layers.reshaping import Cropping2D, Flatten, Rescaling, Reshape, UpSampling2D, ZeroPadding2D

__all__ = [
    "ELU",
    "LAYERS",
    "Activation",
    "Add",
    "Average",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Conv2DTranspose",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Multiply",
    "Preprocess",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "Softmax",
    "SpatialDropout2D",
    "Subtract",
    "UpSampling2D",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "multiply",
    "register",
    "serialize",
    "subtract",
]

# What is public here is what a file may name.
for _name in __all__:
    _public = globals()[_name]
    if isinstance(_public, type) and issubclass(_public, Layer) and _public is not Layer:
        LAYERS.add(_public)
