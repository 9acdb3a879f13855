"""Class-activation maps: where in an image a convolutional layer sees what speaks for a class.

All are weighted sums of a layer's maps A (P, Q, K). They differ in the weights, most of which come from the gradient of
the class's score by A.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnfast.explain.maps import finished
from cnnfast.explain.places import LayerLike
from cnnfast.explain.probe import BATCH_SIZE, Probe
from cnnfast.explain.targets import TargetLike
from cnnfast.models.model import Model

#: From a layer's maps and the gradients by them, both (n, P, Q, K), to one map (n, P, Q).
Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]


def gradcam(
    model: Model,
    x: Any,
    target: TargetLike = None,
    layer: LayerLike | Sequence[LayerLike] = "auto",
    normalize: bool = True,
    upsample: bool = True,
    *,
    relu: bool = True,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Grad-CAM: the maps of a layer, each weighted by how much the score rises with it.

    sum_k w_k A_k with w_k the mean over positions of dscore/dA_k. The score is the class's before a final softmax or
    sigmoid, which is seen through. No gradient below the layer is computed.

    Args:
        model: any model; layers may be nested or shared, activations fused.
        x: images (N, H, W, C) as the model takes them.
        target: class to explain, number or name; a list of one per image; a `Target` (`region`, `weighted`); a function
            of the symbolic scores. Default: the class with the highest score.
        layer: name ("block5_conv3", "vgg16/block5_conv3"), layer, (either, which application); "auto" is the last
            convolutional feature map. Several in a list are scaled to [0, 1] and averaged.
        normalize: scale each map to [0, 1]; False gives the values themselves.
        upsample: bilinear, to the size of the image; False gives the layer's.
        relu: keep only what speaks for the class; False also shows, negative, what speaks against it.
        output: which output of a model with several, by number or name.
        batch_size: images run at once.

    Returns:
        float32 (N, H, W), or (N, P, Q) without `upsample`.

    Raises:
        ValueError: a layer that is not there or has no maps, a class that is not there, images of a wrong size.
        TypeError: no model, no numbers.

    Warns:
        ExplanationWarning: nothing in an image's map speaks for the class.

    Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization" (2017),
    eq. 1 and 2.

    Example:
        >>> heat = gradcam(convnet, images, target=1)
        >>> heat.shape
        (4, 16, 16)
    """

    def combine(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        return np.einsum("npqk,nk->npq", maps, gradients.mean((1, 2), dtype=np.float64), optimize=True)

    probe = Probe(model, x, op="gradcam", output=output, batch_size=batch_size)
    raw = combined(probe, target, layer, combine)
    return finished("gradcam", raw, image_size(probe), normalize=normalize, upsample=upsample, relu=relu)


def combined(
    probe: Probe, target: TargetLike, layer: LayerLike | Sequence[LayerLike], combine: Combine
) -> list[np.ndarray]:
    """The raw maps (N, P, Q) of each layer by a rule that needs gradients."""
    several: list[Any] = layer if isinstance(layer, list) else [layer]
    places = [probe.maps(one) for one in several]
    batches = [
        [combine(a, g) for a, g in zip(found.values, found.gradients, strict=True)]
        for found in probe.run(target, values=places, gradients=True)
    ]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def image_size(probe: Probe) -> tuple[int, int]:
    """Rows and columns of the images: of the first input that has any. ValueError if none does."""
    for x in probe.xs:
        if x.ndim == 4:
            return x.shape[1], x.shape[2]
    raise ValueError(f"{probe.op}: no input is images (N,H,W,C), the shapes are {[x.shape for x in probe.xs]}")
