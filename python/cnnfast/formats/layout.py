"""Weights from PyTorch's layouts to ours: (K,C,R,S) and (out,in) to (R,S,C,K) and (in,out).

A dense layer after Flatten needs its rows in another order as well: PyTorch flattens (C,H,W), this package (H,W,C).
All functions return new, C-contiguous arrays and change nothing.
Source of the layouts: https://docs.pytorch.org/docs/stable/nn.html, https://keras.io/api/layers/convolution_layers/.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def conv_kernel_from_torch(w: np.ndarray) -> np.ndarray:
    """The kernel of a convolution, plain or in groups: (K, C // groups, R, S) to (R, S, C // groups, K).

    Args:
        w: `weight` of torch's Conv2d.

    Raises:
        ValueError: another rank than 4.

    Example:
        >>> conv_kernel_from_torch(np.zeros((8, 3, 5, 7))).shape
        (5, 7, 3, 8)
    """
    return _permuted("conv_kernel_from_torch", w, (2, 3, 1, 0))


def transposed_kernel_from_torch(w: np.ndarray) -> np.ndarray:
    """The kernel of a transposed convolution: (C, K, R, S) to (R, S, K, C).

    Args:
        w: `weight` of torch's ConvTranspose2d with groups=1.

    Raises:
        ValueError: another rank than 4.

    Example:
        >>> transposed_kernel_from_torch(np.zeros((3, 8, 5, 7))).shape
        (5, 7, 8, 3)
    """
    return _permuted("transposed_kernel_from_torch", w, (2, 3, 1, 0))


def depthwise_kernel_from_torch(w: np.ndarray, depth_multiplier: int = 1) -> np.ndarray:
    """The kernel of a depthwise convolution: (C * depth_multiplier, 1, R, S) to (R, S, C, depth_multiplier).

    Output channel c * depth_multiplier + m comes from input channel c, in both libraries.

    Args:
        w: `weight` of torch's Conv2d with groups=C.
        depth_multiplier: output channels for each input channel. Default 1.

    Raises:
        ValueError: another rank than 4, a second dimension other than 1, channels that depth_multiplier does not
            divide.

    Example:
        >>> depthwise_kernel_from_torch(np.zeros((6, 1, 3, 3)), 2).shape
        (3, 3, 3, 2)
    """
    w = _of_rank("depthwise_kernel_from_torch", w, 4)
    if w.shape[1] != 1 or depth_multiplier < 1 or w.shape[0] % depth_multiplier:
        raise ValueError(
            f"depthwise_kernel_from_torch: w must be (C * depth_multiplier, 1, R, S) with "
            f"depth_multiplier={depth_multiplier}, got {w.shape}"
        )
    channels = w.shape[0] // depth_multiplier
    return _copied(w.reshape(channels, depth_multiplier, *w.shape[2:]).transpose(2, 3, 0, 1))


def dense_kernel_from_torch(w: np.ndarray) -> np.ndarray:
    """The kernel of a dense layer: (out, in) to (in, out).

    Args:
        w: `weight` of torch's Linear.

    Raises:
        ValueError: another rank than 2.

    Example:
        >>> dense_kernel_from_torch(np.zeros((10, 64))).shape
        (64, 10)
    """
    return _permuted("dense_kernel_from_torch", w, (1, 0))


def dense_kernel_after_flatten(w: np.ndarray, chw: Sequence[int]) -> np.ndarray:
    """The kernel of a dense layer that reads flattened images: (out, C * H * W) to (H * W * C, out).

    Args:
        w: `weight` of torch's Linear.
        chw: channels, rows and columns of the image that is flattened.

    Raises:
        ValueError: another rank than 2, or another number of inputs than C * H * W.

    Example:
        >>> w = np.array([[0, 1, 2, 3]])  # one output; 2 channels of 1x2 pixels
        >>> dense_kernel_after_flatten(w, (2, 1, 2)).ravel().tolist()
        [0, 2, 1, 3]
    """
    kernel = dense_kernel_from_torch(w)
    if math.prod(chw) != kernel.shape[0]:
        raise ValueError(
            f"dense_kernel_after_flatten: w must have C * H * W inputs for (C,H,W)={tuple(chw)}, got (out,in)={w.shape}"
        )
    return rows_after_flatten(kernel, chw)


def rows_after_flatten(a: np.ndarray, chw: Sequence[int]) -> np.ndarray:
    """An array whose first dimension runs over (C,H,W), with that dimension in the order (H,W,C).

    Args:
        a: (C * H * W, ...), such as the scale of a batch normalization after Flatten.
        chw: channels, rows and columns of the image that is flattened.

    Raises:
        ValueError: another first dimension.

    Example:
        >>> rows_after_flatten(np.arange(4), (2, 1, 2)).tolist()
        [0, 2, 1, 3]
    """
    c, h, w = chw
    if a.ndim < 1 or a.shape[0] != c * h * w:
        raise ValueError(f"rows_after_flatten: expected {c * h * w} rows for (C,H,W)={tuple(chw)}, got {a.shape}")
    rest = a.shape[1:]
    images = a.reshape(c, h, w, *rest)
    return _copied(images.transpose(1, 2, 0, *range(3, images.ndim)).reshape(-1, *rest))


def _permuted(what: str, w: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return _copied(_of_rank(what, w, len(axes)).transpose(axes))


def _of_rank(what: str, w: np.ndarray, rank: int) -> np.ndarray:
    w = np.asarray(w)
    if w.ndim != rank:
        raise ValueError(f"{what}: w must have {rank} dimensions, got shape {w.shape}")
    return w


def _copied(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="C")
