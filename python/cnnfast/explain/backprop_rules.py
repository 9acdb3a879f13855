"""Gradients with other rules for ReLUs: guided backprop and deconvnet, which draw what speaks for a class.

The rules are given when the graph is differentiated, before any activation is fused into the layer in front of it: no
layer is replaced, and a ReLU counts wherever it stands, in a nested model, as a layer's activation, used twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.explain.cam import mean_gradients
from cnnfast.explain.cam_method import class_activation, gradient_steps, summed
from cnnfast.explain.gradient import Channels, check_channels, input_gradients, shown
from cnnfast.explain.places import LayerLike
from cnnfast.explain.probe import BATCH_SIZE, Probe, Rules
from cnnfast.explain.targets import TargetLike
from cnnfast.graph.values import Node, given
from cnnfast.models.model import Model
from cnnfast.ops.activation import relu, relu6_backward, relu_backward
from cnnfast.ops.core import OPS


def guided_backprop(
    model: Model,
    x: Any,
    target: TargetLike = None,
    *,
    channels: Channels = "keep",
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Any:
    """Guided backprop: the gradient by the input, of which each ReLU passes only what is positive, where it is open.

    It draws sharp edges, but much of them are the image's own and hardly depend on the class: look at it beside
    another method. The rule holds for ReLU and ReLU6, as layers or as activations; all other activations pass their
    gradients, those made of a ReLU among them.

    Args:
        model, x, target, output, batch_size: see `saliency`.
        channels: "keep", or "max" or "sum" for one map of all channels.

    Returns:
        float32 (N, H, W, C), signed; (N, H, W) where `channels` is not "keep"; a list of them if x is one.

    Raises:
        ValueError, TypeError: as `saliency`.

    Source: Springenberg et al., "Striving for simplicity: the all convolutional net" (2015), section 3.4.

    Example:
        >>> guided_backprop(convnet, images, target=1).shape
        (4, 16, 16, 3)
    """
    probe = Probe(model, x, op="guided_backprop", output=output, batch_size=batch_size)
    check_channels(probe, channels)
    return shown(probe, input_gradients(probe, target, _GUIDED), channels)


def deconvnet(
    model: Model,
    x: Any,
    target: TargetLike = None,
    *,
    channels: Channels = "keep",
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Any:
    """Deconvnet: the gradient by the input, of which each ReLU passes what is positive, whether it is open or not.

    Max-poolings pass what comes back to where their maximum was. The rule holds for the ReLUs that `guided_backprop`
    speaks of.

    Args:
        model, x, target, output, batch_size: see `saliency`.
        channels: "keep", or "max" or "sum" for one map of all channels.

    Returns:
        float32 (N, H, W, C), signed; (N, H, W) where `channels` is not "keep"; a list of them if x is one.

    Raises:
        ValueError, TypeError: as `saliency`.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014), section 2.1.

    Example:
        >>> deconvnet(convnet, images, target=1).shape
        (4, 16, 16, 3)
    """
    probe = Probe(model, x, op="deconvnet", output=output, batch_size=batch_size)
    check_channels(probe, channels)
    return shown(probe, input_gradients(probe, target, _DECONVNET), channels)


def guided_gradcam(
    model: Model,
    x: Any,
    target: TargetLike = None,
    layer: LayerLike = "auto",
    *,
    channels: Channels = "keep",
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Guided Grad-CAM: guided backprop, kept where Grad-CAM sees the class.

    The product of `guided_backprop` and of the Grad-CAM of a layer, its positive part, brought to the size of the image
    bilinearly. Captum's `GuidedGradCam` repeats the nearest value unless it is told `interpolate_mode="bilinear"`.

    Args:
        model, target, output, batch_size: see `saliency`.
        x: images (N, H, W, C) as the model takes them, of a model with one input.
        layer: see `gradcam`; "auto" is the last convolutional feature map.
        channels: "keep", or "max" or "sum" for one map of all channels.

    Returns:
        float32 (N, H, W, C), signed; (N, H, W) where `channels` is not "keep".

    Raises:
        ValueError: a model with several inputs, a layer that is not there or has no maps, and as `saliency`.
        TypeError: no model, no numbers.

    Warns:
        ExplanationWarning: nothing in an image's Grad-CAM speaks for the class; all of its result is 0.

    Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization" (2017),
    section 3.2.

    Example:
        >>> guided_gradcam(convnet, images, target=1, layer="conv").shape
        (4, 16, 16, 3)
    """
    probe = Probe(model, x, op="guided_gradcam", output=output, batch_size=batch_size)
    if probe.several or probe.xs[0].ndim != 4:
        raise ValueError(f"guided_gradcam: expected images (N,H,W,C), the inputs are {[a.shape for a in probe.xs]}")
    check_channels(probe, channels)
    steps = gradient_steps(mean_gradients)
    heat = class_activation(probe, target, layer, steps, summed, False, True, True, False)
    (guided,) = input_gradients(probe, target, _GUIDED)
    return shown(probe, [guided * heat[..., None]], channels)


# Rules


def _stands_alone(node: Node) -> bool:
    """Whether a ReLU is an activation of its own, and no step of another one.

    `hard_sigmoid`, `hard_silu` and ReLUs with a limit other than 6 are made of a ReLU of a shifted value, which is no
    layer's output.
    """
    x = given(node, 0)
    if x.node is None or x.node.op is not OPS["scale"] or x.graph is None:
        return True
    return any(v is x for a in x.graph.applied for v in a.outputs)


def _passing(
    backward: Callable[[Any, Any], Any] | None, name: str
) -> Callable[[Node, list[Any], list[bool]], list[Any]]:
    """A rule that passes what is positive: where `backward` lets it through, or everywhere without one."""

    def rule(node: Node, grads: list[Any], needs: list[bool]) -> list[Any]:
        if not _stands_alone(node):
            gradient = OPS[name].gradient
            assert gradient is not None
            return gradient(node, grads, needs)
        positive = relu(grads[0])
        return [positive if backward is None else backward(positive, node.outputs[0])]

    return rule


_GUIDED: Rules = {"relu": _passing(relu_backward, "relu"), "relu6": _passing(relu6_backward, "relu6")}
_DECONVNET: Rules = {"relu": _passing(None, "relu"), "relu6": _passing(None, "relu6")}
