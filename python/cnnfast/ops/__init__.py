"""Operations on arrays or symbolic values: on NumPy arrays they compute at once, on a model's values they add a node.

Layouts: activations (N, H, W, C), convolution kernels (R, S, C, K), dense weights (in, out). Arithmetic is float32.
"""

from cnnfast.ops.activation import relu, relu_backward
from cnnfast.ops.conv import conv2d, conv2d_backward
from cnnfast.ops.conv_depthwise import depthwise_conv2d, depthwise_conv2d_backward
from cnnfast.ops.conv_transpose import conv2d_transpose, conv2d_transpose_backward
from cnnfast.ops.dense import bias_backward, dense, dense_backward
from cnnfast.ops.shape import reshape

__all__ = [
    "bias_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_transpose",
    "conv2d_transpose_backward",
    "dense",
    "dense_backward",
    "depthwise_conv2d",
    "depthwise_conv2d_backward",
    "relu",
    "relu_backward",
    "reshape",
]
