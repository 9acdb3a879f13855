"""Class-activation maps: where in an image a convolutional layer sees what speaks for a class.

All are sums over a layer's maps A (P, Q, K), weighted. Here g is the gradient of the class's score by A, and a method
is what it makes of A and g: a number for each map, or for each of its positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnnfast.explain.cam_method import Weighted, by_gradient, cam_method, class_activation, principal
from cnnfast.explain.places import LayerLike, Place
from cnnfast.explain.probe import BATCH_SIZE, Probe, unasked
from cnnfast.explain.targets import TargetLike
from cnnfast.graph.values import Value
from cnnfast.models.model import Model
from cnnfast.ops.core import Op


def mean_gradients(_: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM's weights: the mean of each map's gradient over the positions."""
    return gradients.mean((1, 2), dtype=np.float64)


@by_gradient
def gradcam(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM: the maps of a layer, each weighted by how much the score rises with it.

    sum_k w_k A_k with w_k the mean of g_k over the positions. No gradient below the layer is computed.

    Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization" (2017),
    eq. 1 and 2.

    Example:
        >>> heat = gradcam(convnet, images, target=1)
        >>> heat.shape
        (4, 16, 16)
    """
    return mean_gradients(maps, gradients)


@by_gradient
def gradcam_plus_plus(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Grad-CAM++: as Grad-CAM, but positions where the score rises count, and the more the fewer they are.

    sum_k w_k A_k with w_k = sum(alpha relu(g)) and alpha = g^2 / (2 g^2 + sum(A) g^3 + 1e-6), the sums over positions.

    The powers of g stand for second and third derivatives. They do so for exp(score), whose common factor is left out,
    and a network that is linear between its kinks (ReLU, max-pooling); for others this form is an approximation.

    Source: Chattopadhay et al., "Grad-CAM++: generalized gradient-based visual explanations for deep convolutional
    networks" (2018), its closed form for an exponential output.

    Example:
        >>> gradcam_plus_plus(convnet, images, target=1).shape
        (4, 16, 16)
    """
    g = gradients.astype(np.float64)
    total = maps.sum((1, 2), dtype=np.float64, keepdims=True)
    positive = np.maximum(g, 0)
    # Where g <= 0 the weight is 0, whatever alpha; its denominator could vanish there.
    below = np.where(g > 0, 2 * g**2 + total * g**3 + 1e-6, 1.0)
    return (g**2 / below * positive).sum((1, 2))


@by_gradient
def hirescam(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """HiResCAM: each position weighted by its own gradient, so that the map shows what the score is made of.

    sum_k g_k A_k, position by position. With relu=False its sum is the score less the bias where a single dense layer
    comes after the layer, flattened or averaged; if averaged, it is the same as Grad-CAM.

    Source: Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
    networks" (2020).

    Example:
        >>> bool(np.allclose(hirescam(convnet, images, 1), gradcam(convnet, images, 1), atol=1e-5))
        True
    """
    return gradients


@by_gradient
def xgradcam(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """XGrad-CAM: maps weighted by the mean gradient where they are active.

    sum_k w_k A_k with w_k = sum(g_k A_k) / (sum(A_k) + 1e-7), the sums over positions: the weights with which the maps'
    sum comes closest to the score.

    Source: Fu et al., "Axiom-based Grad-CAM: towards accurate visualization and explanation of CNNs" (2020).

    Example:
        >>> xgradcam(convnet, images, target=1).shape
        (4, 16, 16)
    """
    above = np.einsum("npqk,npqk->nk", maps, gradients.astype(np.float64), optimize=True)
    return above / (maps.sum((1, 2), dtype=np.float64) + 1e-7)


@by_gradient
def layercam(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """LayerCAM: each position weighted by its own gradient where that is positive; for early layers too.

    sum_k relu(g_k) A_k, position by position.

    Source: Jiang et al., "LayerCAM: exploring hierarchical class activation maps for localization" (2021).

    Example:
        >>> layercam(convnet, images, target=1, layer="conv", upsample=False).shape
        (4, 14, 14)
    """
    return np.maximum(gradients, 0)


@by_gradient
def elementwise_cam(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Element-wise Grad-CAM: HiResCAM of what speaks for the class in each map, so that maps do not cancel.

    sum_k relu(g_k A_k), position by position.

    Source: Pillai and Pirsiavash, "Explainable models with consistent interpretations" (2021).

    Example:
        >>> elementwise_cam(convnet, images, target=1).shape
        (4, 16, 16)
    """
    return np.where(maps * gradients > 0, gradients, 0)


@cam_method
def cam(probe: Probe, target: TargetLike, places: list[Place], xs: list[np.ndarray]) -> Iterator[Weighted]:
    """CAM: the maps before global average pooling, weighted as the one dense layer behind it weighs their means.

    sum_k w_k A_k with w_k the dense layer's weight from map k to the class: P * Q times Grad-CAM. It is for networks
    that end in global average pooling and a single dense layer, and for the layer before these; others, and targets
    that are functions, give a ValueError. No gradient is computed.

    Source: Zhou et al., "Learning deep features for discriminative localization" (2016), eq. 2.

    Example:
        >>> raw = cam(convnet, images, target=1, normalize=False, upsample=False)
        >>> raw.shape
        (4, 14, 14)
    """
    if callable(probe.target(target)):
        raise ValueError("cam: a target that is a function is no weighted sum of the scores; take gradcam")
    graph, scores = probe.graph()
    pooled, kernel = _pooled_and_dense(scores)
    for place in places:
        if place.value(graph) is not pooled:
            fitting = [p.name for p in probe.places if p.value(graph) is pooled]
            raise ValueError(
                f"cam: the layer must be the one before global average pooling, {' or '.join(fitting) or 'the input'}, "
                f"got {place.name!r}; for others take gradcam"
            )
    for found in probe.run(target, values=places, xs=xs):
        assert found.weights is not None
        yield [(a, found.weights.astype(np.float64) @ kernel.T) for a in found.values]


def _pooled_and_dense(scores: Value) -> tuple[Value, np.ndarray]:
    """What a global average pooling takes means of, and the weights (K, classes) that make scores of these."""
    dense = scores.node
    if dense is not None and _name(scores) == "dense":
        mean, kernel = dense.inputs[:2]
        while mean is not None and mean.node is not None and _name(mean) == "reshape":
            mean = mean.node.inputs[0]
        pooled = mean.node.inputs[0] if mean is not None and mean.node is not None else None
        if mean is not None and _name(mean) == "global_average_pool2d" and pooled and kernel and kernel.variable:
            return pooled, kernel.variable.value
    raise ValueError(
        "cam: the model must end in GlobalAveragePooling2D and one Dense layer with no activation, softmax or "
        "sigmoid; for others take gradcam, which generalizes it"
    )


def _name(value: Value) -> str:
    """Of the op that computes a value."""
    return value.node.op.name if value.node is not None and isinstance(value.node.op, Op) else ""


def eigen_gradcam(
    model: Model,
    x: Any,
    target: TargetLike = None,
    layer: LayerLike | Sequence[LayerLike] = "auto",
    normalize: bool = True,
    upsample: bool = True,
    *,
    relu: bool = True,
    aug_smooth: bool = False,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Eigen-CAM of the maps times their gradients: the direction in which most of what matters for the class lies.

    The first principal component over the positions of g_k A_k, in the sign in which it rises with their sum.

    Args:
        model, x, target, layer, normalize, upsample, relu, aug_smooth, output, batch_size: as in `gradcam`.

    Returns, Raises, Warns: as `gradcam`.

    Source: Muhammad and Yeasin, "Eigen-CAM: class activation map using principal components" (2020), with the maps
    weighted as in `hirescam`.

    Example:
        >>> eigen_gradcam(convnet, images, target=1).shape
        (4, 16, 16)
    """
    probe = Probe(model, x, op="eigen_gradcam", output=output, batch_size=batch_size)

    def steps(probe: Probe, target: TargetLike, places: list[Place], xs: list[np.ndarray]) -> Iterator[Weighted]:
        for found in probe.run(target, values=places, gradients=True, xs=xs):
            yield list(zip(found.values, found.gradients, strict=True))

    return class_activation(probe, target, layer, steps, principal, normalize, upsample, relu, aug_smooth)


def eigencam(
    model: Model,
    x: Any,
    target: Any = None,
    layer: LayerLike | Sequence[LayerLike] = "auto",
    normalize: bool = True,
    upsample: bool = True,
    *,
    relu: bool = True,
    aug_smooth: bool = False,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Eigen-CAM: what a layer's maps have most in common, whatever the class.

    The first principal component over the positions of the maps A, in the sign in which it rises with their sum: bright
    where the layer is active. The paper does not say whether the maps' means are taken off first; here they are.

    Args:
        target: not looked at: there is no class in the formula. It is there so that all methods are called alike.
        model, x, layer, normalize, upsample, relu, aug_smooth, output, batch_size: as in `gradcam`.

    Returns, Raises, Warns: as `gradcam`.

    Source: Muhammad and Yeasin, "Eigen-CAM: class activation map using principal components" (2020), section III.

    Example:
        >>> eigencam(convnet, images).shape
        (4, 16, 16)
    """
    probe = Probe(model, x, op="eigencam", output=output, batch_size=batch_size)

    def steps(probe: Probe, _: TargetLike, places: list[Place], xs: list[np.ndarray]) -> Iterator[Weighted]:
        for found in probe.run(unasked, values=places, xs=xs):
            yield [(a, np.ones((len(a), a.shape[3]))) for a in found.values]

    return class_activation(probe, None, layer, steps, principal, normalize, upsample, relu, aug_smooth)


# doctest looks here for functions that another module has made.
__test__ = {m.__name__: m for m in (gradcam, gradcam_plus_plus, hirescam, xgradcam, layercam, elementwise_cam, cam)}
