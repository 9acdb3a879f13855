"""Gradients of a score by the input: which values, changed a little, would change it most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from cnnfast.explain.probe import BATCH_SIZE, Probe, Rules
from cnnfast.explain.targets import TargetLike
from cnnfast.models.model import Model

Channels = Literal["keep", "max", "sum"]

_REDUCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "keep": lambda a: a,
    "max": lambda a: a.max(-1),
    "sum": lambda a: a.sum(-1, dtype=np.float64),
}


def saliency(
    model: Model,
    x: Any,
    target: TargetLike = None,
    *,
    absolute: bool = True,
    channels: Channels = "keep",
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Any:
    """The gradient of the score by each value of the input, or how steep it is.

    The score is the class's before a final softmax or sigmoid, which is seen through.

    Args:
        model: any model; layers may be nested or shared, activations fused.
        x: images (N, H, W, C) as the model takes them, uint8 or float; a list for a model with several inputs.
        target: class to explain, number or name; a list of one per image; a `Target` (`region`, `weighted`); a function
            of the symbolic scores. Default: the class with the highest score.
        absolute: the gradient's absolute value, Captum's default; False leaves the sign.
        channels: "keep" gives every channel its own value; "max" (what the paper draws) and "sum" make one map of them.
            Inputs beside the images keep their shape.
        output: which output of a model with several, by number or name.
        batch_size: images run at once.

    Returns:
        float32 (N, H, W, C), in score per unit of x; (N, H, W) where `channels` is not "keep"; a list of them if x is
        one.

    Raises:
        ValueError: a class or an output that is not there, images of a wrong size, `channels` of another name or for
            a model that takes no images, an input that the score does not depend on.
        TypeError: no model, no numbers.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks: visualising image classification
    models and saliency maps" (2014), section 3.1.

    Example:
        >>> saliency(convnet, images, target=1).shape
        (4, 16, 16, 3)
        >>> saliency(convnet, images, target=1, channels="max").shape
        (4, 16, 16)
    """
    probe = Probe(model, x, op="saliency", output=output, batch_size=batch_size)
    found = input_gradients(probe, target)
    return shown(probe, [np.abs(g) for g in found] if absolute else found, channels)


def gradient_x_input(
    model: Model,
    x: Any,
    target: TargetLike = None,
    *,
    channels: Channels = "keep",
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> Any:
    """Gradient times input: what each value of the input contributes to the score, if that were linear.

    The contributions to a model that is linear sum to its score without the bias. An input of 0 contributes nothing.

    Args:
        model, x, target, output, batch_size: see `saliency`.
        channels: "keep", or "sum" for what a pixel contributes in all; "max" is its largest contribution.

    Returns:
        float32 (N, H, W, C), signed, in units of the score; (N, H, W) where `channels` is not "keep"; a list of them
        if x is one.

    Raises:
        ValueError, TypeError: as `saliency`.

    Source: Shrikumar et al., "Not just a black box: learning important features through propagating activation
    differences" (2016), section 2.

    Example:
        >>> gradient_x_input(convnet, images, target=1, channels="sum").shape
        (4, 16, 16)
    """
    probe = Probe(model, x, op="gradient_x_input", output=output, batch_size=batch_size)
    found = input_gradients(probe, target)
    return shown(probe, [g * a for g, a in zip(found, probe.xs, strict=True)], channels)


def input_gradients(probe: Probe, target: TargetLike, rules: Rules | None = None) -> list[np.ndarray]:
    """Gradients of the target by each input of the model, for all samples."""
    batches = [found.inputs for found in probe.run(target, inputs=True, rules=rules)]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def shown(probe: Probe, arrays: list[np.ndarray], channels: str) -> Any:
    """What the user gets: float32, the channels as asked for, a list only if x was one."""
    check_channels(probe, channels)
    results = [np.asarray(_REDUCTIONS[channels](a) if a.ndim == 4 else a, np.float32) for a in arrays]
    return results if probe.several else results[0]


def check_channels(probe: Probe, channels: str) -> None:
    """ValueError unless `channels` is known and there are images whose channels it can reduce."""
    if channels not in _REDUCTIONS:
        raise ValueError(f"{probe.op}: channels must be one of {', '.join(map(repr, _REDUCTIONS))}, got {channels!r}")
    if channels != "keep" and all(a.ndim != 4 for a in probe.xs):
        raise ValueError(
            f"{probe.op}: channels={channels!r} needs images (N,H,W,C), the inputs are {[a.shape for a in probe.xs]}"
        )
