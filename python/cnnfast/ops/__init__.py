"""Operations on arrays or symbolic values: on NumPy arrays they compute at once, on a model's values they add a node.

Layouts: activations (N, H, W, C), convolution kernels (R, S, C, K), dense weights (in, out). Arithmetic is float32.
"""

from cnnfast.ops.activation import relu, relu_backward
from cnnfast.ops.conv import conv2d, conv2d_backward
from cnnfast.ops.conv_depthwise import depthwise_conv2d, depthwise_conv2d_backward
from cnnfast.ops.conv_transpose import conv2d_transpose, conv2d_transpose_backward
from cnnfast.ops.dense import bias_backward, dense, dense_backward
from cnnfast.ops.loss import (
    binary_crossentropy,
    binary_crossentropy_with_logits,
    categorical_crossentropy,
    mean_squared_error,
    softmax_crossentropy,
    sparse_categorical_crossentropy,
    sparse_softmax_crossentropy,
)
from cnnfast.ops.norm import batch_norm, batch_norm_backward, batch_norm_inference, moving_average_update
from cnnfast.ops.pool import (
    average_pool2d,
    average_pool2d_backward,
    global_average_pool2d,
    global_max_pool2d,
    max_pool2d,
    max_pool2d_argmax,
    max_pool2d_backward,
)
from cnnfast.ops.shape import reshape
from cnnfast.ops.softmax import softmax, softmax_backward

__all__ = [
    "average_pool2d",
    "average_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "bias_backward",
    "binary_crossentropy",
    "binary_crossentropy_with_logits",
    "categorical_crossentropy",
    "conv2d",
    "conv2d_backward",
    "conv2d_transpose",
    "conv2d_transpose_backward",
    "dense",
    "dense_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "global_average_pool2d",
    "global_max_pool2d",
    "max_pool2d",
    "max_pool2d_argmax",
    "max_pool2d_backward",
    "mean_squared_error",
    "moving_average_update",
    "relu",
    "relu_backward",
    "reshape",
    "softmax_crossentropy",
    "sparse_categorical_crossentropy",
    "sparse_softmax_crossentropy",
]
