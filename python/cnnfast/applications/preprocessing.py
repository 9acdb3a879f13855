"""What pre-trained networks want of their input: `preprocess_input` for arrays, `Preprocess` as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnfast.layers.preprocessing import MODES, Preprocess, mode_of

__all__ = ["MODES", "Preprocess", "preprocess_input"]


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> np.ndarray:
    """Images as a pre-trained network wants them.

    Args:
        x: (H, W, 3) or (N, H, W, 3), RGB in 0..255, integers or floats.
        data_format: "channels_last", the only one.
        mode: "caffe" (default), "tf", "torch", "lite" or "squeezenet"; see `cnnfast.layers.preprocessing`.

    Returns:
        A new array of the same shape: float32, or the type of x if it is one of floats. (Keras overwrites x
        where it can.)

    Raises:
        ValueError: an unknown mode, another shape, channels first.

    Example:
        >>> preprocess_input(np.array([[[255, 0, 0]]]), mode="tf").tolist()
        [[[1.0, -1.0, -1.0]]]
    """
    how = mode_of("preprocess_input", mode)
    if data_format not in (None, "channels_last"):
        raise ValueError(f"preprocess_input: data_format must be 'channels_last', got {data_format!r}")
    x = np.asarray(x)
    if x.ndim not in (3, 4) or x.shape[-1] != 3:
        raise ValueError(f"preprocess_input: expected RGB images (H,W,3) or (N,H,W,3), got shape {x.shape}")
    y = np.array(x, x.dtype if np.issubdtype(x.dtype, np.floating) else np.float32)
    if how.bgr:
        y = y[..., ::-1].copy()
    # One operation after the other in the type of y, as Keras does it: so the results are the same, bit for bit.
    if how.divide != 1.0:
        y /= how.divide
    for c in range(3):
        y[..., c] -= how.subtract[c]
        if how.deviation[c] != 1.0:
            y[..., c] /= how.deviation[c]
    return y
