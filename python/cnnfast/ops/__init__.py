"""Operations on arrays or symbolic values: on NumPy arrays they compute at once, on a model's values they add a node.

Layouts: activations (N, H, W, C), convolution kernels (R, S, C, K), dense weights (in, out). Arithmetic is float32.
"""

from cnnfast.ops.activation import (
    elu,
    elu_backward,
    gelu,
    gelu_backward,
    leaky_relu,
    leaky_relu_backward,
    relu,
    relu6,
    relu6_backward,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    silu,
    silu_backward,
    softplus,
    softplus_backward,
    tanh,
    tanh_backward,
)
from cnnfast.ops.conv import conv2d, conv2d_backward
from cnnfast.ops.conv_depthwise import depthwise_conv2d, depthwise_conv2d_backward
from cnnfast.ops.conv_transpose import conv2d_transpose, conv2d_transpose_backward
from cnnfast.ops.dense import bias_backward, dense, dense_backward
from cnnfast.ops.dropout import dropout, dropout_backward
from cnnfast.ops.elementwise import add, cast, multiply, scale, subtract
from cnnfast.ops.layout import concatenate, crop2d, slice_axis, zero_pad2d
from cnnfast.ops.loss import (
    binary_crossentropy,
    binary_crossentropy_with_logits,
    categorical_crossentropy,
    mean_squared_error,
    softmax_crossentropy,
    sparse_categorical_crossentropy,
    sparse_softmax_crossentropy,
)
from cnnfast.ops.norm import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_inference_backward,
    moving_average_update,
)
from cnnfast.ops.pool import (
    average_pool2d,
    average_pool2d_backward,
    global_average_pool2d,
    global_average_pool2d_backward,
    global_max_pool2d,
    global_max_pool2d_argmax,
    global_max_pool2d_backward,
    max_pool2d,
    max_pool2d_argmax,
    max_pool2d_backward,
)
from cnnfast.ops.reduce import mean, sum, sum_abs, sum_squares
from cnnfast.ops.resize import upsample2d, upsample2d_backward
from cnnfast.ops.shape import reshape
from cnnfast.ops.softmax import softmax, softmax_backward

__all__ = [
    "add",
    "average_pool2d",
    "average_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "bias_backward",
    "binary_crossentropy",
    "binary_crossentropy_with_logits",
    "cast",
    "categorical_crossentropy",
    "concatenate",
    "conv2d",
    "conv2d_backward",
    "conv2d_transpose",
    "conv2d_transpose_backward",
    "crop2d",
    "dense",
    "dense_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "dropout",
    "dropout_backward",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "global_average_pool2d",
    "global_average_pool2d_backward",
    "global_max_pool2d",
    "global_max_pool2d_argmax",
    "global_max_pool2d_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "max_pool2d",
    "max_pool2d_argmax",
    "max_pool2d_backward",
    "mean",
    "mean_squared_error",
    "moving_average_update",
    "multiply",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "reshape",
    "scale",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "slice_axis",
    "softmax",
    "softmax_backward",
    "softmax_crossentropy",
    "softplus",
    "softplus_backward",
    "sparse_categorical_crossentropy",
    "sparse_softmax_crossentropy",
    "subtract",
    "sum",
    "sum_abs",
    "sum_squares",
    "tanh",
    "tanh_backward",
    "upsample2d",
    "upsample2d_backward",
    "zero_pad2d",
]
