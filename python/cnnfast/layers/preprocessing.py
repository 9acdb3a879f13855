"""What pre-trained networks want of their input, as a layer.

All take images as they are on a screen, RGB in 0..255. Five conventions are in use; their names follow Keras':

    caffe       BGR, minus the mean of ImageNet (103.939, 116.779, 123.68), not scaled
    tf          x / 127.5 - 1, in [-1, 1]
    torch       x / 255, minus (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225)
    lite        (x - 127) / 128
    squeezenet  BGR, minus (104, 117, 123), not scaled

Sources: https://keras.io/api/applications/ (caffe, tf, torch);
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (lite: MEAN_RGB, STDDEV_RGB);
https://github.com/forresti/SqueezeNet (squeezenet: the mean values of train_val.prototxt).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast import ops
from cnnfast.layers.arguments import images
from cnnfast.layers.base import Layer


@dataclass(frozen=True)
class Mode:
    """(x / divide - subtract) / deviation, in this order, with the channels turned around first if `bgr`."""

    bgr: bool = False
    divide: float = 1.0
    subtract: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)


MODES = {
    "caffe": Mode(bgr=True, subtract=(103.939, 116.779, 123.68)),
    "tf": Mode(divide=127.5, subtract=(1.0, 1.0, 1.0)),
    "torch": Mode(divide=255.0, subtract=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
    "lite": Mode(subtract=(127.0, 127.0, 127.0), deviation=(128.0, 128.0, 128.0)),
    "squeezenet": Mode(bgr=True, subtract=(104.0, 117.0, 123.0)),
}


class Preprocess(Layer):
    """What `applications.preprocess_input` does, as a layer: to stand between `Input` and a pre-trained base.

    Input (N, H, W, 3), RGB in 0..255, float32 or (in a model with such an `Input`) uint8; output the same shape
    in float32.

    Args:
        mode: "caffe", "tf", "torch", "lite" or "squeezenet"; a model from `applications` knows its own as
            `model.preprocessing`.

    Raises:
        ValueError: an unknown mode; an input that is not images of three channels.

    Example:
        >>> Preprocess("lite")(np.array([[[[255, 127, 63]]]], np.uint8)).ravel().tolist()
        [1.0, 0.0, -0.5]
    """

    def __init__(self, mode: str, **kwargs: Any):
        super().__init__(**kwargs)
        how = mode_of("Preprocess", mode)
        self.mode = mode
        # Per output channel one factor and one offset; a 1x1 convolution applies them, and turns channels around.
        factors = 1.0 / (how.divide * np.array(how.deviation))
        self._kernel = np.diag(factors).astype(np.float32)[None, None]
        if how.bgr:
            self._kernel = np.ascontiguousarray(self._kernel[:, :, ::-1])
        self._offset = (-np.array(how.subtract) / how.deviation).astype(np.float32)

    def build(self, input_shape: Any) -> None:
        if images(self, input_shape)[3] != 3:
            raise ValueError(f"{self.name}: Preprocess expects RGB images (N,H,W,3), got shape {tuple(input_shape)}")

    def call(self, x: Any) -> Any:
        return ops.conv2d(x, self._kernel, self._offset)


def mode_of(what: str, mode: Any) -> Mode:
    """The convention of that name. ValueError if there is none."""
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"{what}: mode must be one of {', '.join(MODES)}, got {mode!r}")
    return MODES[mode]
