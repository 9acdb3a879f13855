"""Layers with Keras' names, arguments, defaults and initializers. Images are (N, H, W, C)."""

from cnnfast.layers.activation import Activation, LeakyReLU, ReLU, Softmax
from cnnfast.layers.base import Layer
from cnnfast.layers.conv import Conv2D, Conv2DTranspose, DepthwiseConv2D, SeparableConv2D
from cnnfast.layers.core import Dense, Identity
from cnnfast.layers.files import LAYERS, deserialize, register, serialize
from cnnfast.layers.input import Input, InputLayer
from cnnfast.layers.merge import Add, Average, Concatenate, Multiply, Subtract
from cnnfast.layers.normalization import BatchNormalization
from cnnfast.layers.pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D
from cnnfast.layers.regularization import Dropout, SpatialDropout2D
from cnnfast.layers.rescaling import Rescaling
from cnnfast.layers.reshaping import Cropping2D, Flatten, Reshape, UpSampling2D, ZeroPadding2D

# Keras' other names.
MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D

for _cls in (
    Activation,
    Add,
    Average,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Cropping2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    SpatialDropout2D,
    Flatten,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Identity,
    InputLayer,
    LeakyReLU,
    MaxPooling2D,
    Multiply,
    ReLU,
    Rescaling,
    Reshape,
    SeparableConv2D,
    Softmax,
    Subtract,
    UpSampling2D,
    ZeroPadding2D,
):
    LAYERS.add(_cls)

__all__ = [
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
    "GlobalMaxPooling2D",
    "Identity",
    "Input",
    "InputLayer",
    "LAYERS",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Multiply",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "Softmax",
    "SpatialDropout2D",
    "Subtract",
    "UpSampling2D",
    "ZeroPadding2D",
    "deserialize",
    "register",
    "serialize",
]
