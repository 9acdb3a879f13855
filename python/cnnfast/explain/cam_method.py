"""What all class-activation maps have in common: layers' maps, weighted, summed over the channels and finished.

A method is a way to the weights alone. `cam_method` and `by_gradient` make of it a function that is called as all are.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from cnnfast.explain.maps import ExplanationWarning, finished, warn_of_empty
from cnnfast.explain.places import LayerLike, Place, are_several
from cnnfast.explain.probe import BATCH_SIZE, Probe
from cnnfast.explain.targets import TargetLike, predicted_classes
from cnnfast.models.model import Model

#: A batch's maps A (n, P, Q, K) of each layer and what weighs them, (n, K) or (n, P, Q, K).
Weighted: TypeAlias = list[tuple[np.ndarray, np.ndarray]]

#: A way to the weights: from a Probe, a target, layers and inputs to what each batch's maps weigh.
Steps: TypeAlias = Callable[[Probe, TargetLike, list[Place], list[np.ndarray]], Iterator[Weighted]]

#: From a layer's maps and the gradients of the score by them, both (n, P, Q, K), to the weights.
Rule: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: From inputs and a target to finished maps (N, H, W).
Heat: TypeAlias = Callable[[list[np.ndarray], TargetLike], np.ndarray]

_BRIGHTNESS = (0.9, 1.0, 1.1)

_ARGUMENTS = """
Args:
    model: any model; layers may be nested or shared, activations fused.
    x: images (N, H, W, C) as the model takes them.
    target: class to explain, number or name; a list of one per image; a `Target` (`region`, `weighted`); a function
        of the symbolic scores. Default: the class with the highest score. The score is the class's before a final
        softmax or sigmoid, which is seen through.
    layer: name ("block5_conv3", "vgg16/block5_conv3"), layer, (either, which application); "auto" is the last
        convolutional feature map. Several in a list are scaled to [0, 1] and averaged.
    normalize: scale each map to [0, 1]; False gives the values themselves.
    upsample: bilinear, to the size of the image; False gives the layer's.
    relu: keep only what speaks for the class; False also shows, negative, what speaks against it.
    aug_smooth: the mean of six maps, of the images and their mirror images at 0.9, 1 and 1.1 of their brightness, all
        for the classes of the images themselves; for models with scores (N, K).
    eigen_smooth: the first principal component of the weighted maps in place of their sum; smoother, and no longer
        what the formula says.
    output: which output of a model with several, by number or name.
    batch_size: images run at once.

Returns:
    float32 (N, H, W), or (N, P, Q) without `upsample`.

Raises:
    ValueError: a layer that is not there or has no maps, a class that is not there, images of a wrong size.
    TypeError: no model, no numbers.

Warns:
    ExplanationWarning: nothing in an image's map speaks for the class.
"""


class Method(Protocol):
    """How every class-activation map is called."""

    __name__: str

    def __call__(
        self,
        model: Model,
        x: Any,
        target: TargetLike = None,
        layer: LayerLike | Sequence[LayerLike] = "auto",
        normalize: bool = True,
        upsample: bool = True,
        *,
        relu: bool = True,
        aug_smooth: bool = False,
        eigen_smooth: bool = False,
        output: int | str = 0,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray: ...


def cam_method(steps: Steps) -> Method:
    """The public function of a method, with its name and docstring, in which what all share is filled in."""

    def method(
        model: Model,
        x: Any,
        target: TargetLike = None,
        layer: LayerLike | Sequence[LayerLike] = "auto",
        normalize: bool = True,
        upsample: bool = True,
        *,
        relu: bool = True,
        aug_smooth: bool = False,
        eigen_smooth: bool = False,
        output: int | str = 0,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray:
        probe = Probe(model, x, op=steps.__name__, output=output, batch_size=batch_size)
        reduce = principal if eigen_smooth else summed
        return class_activation(probe, target, layer, steps, reduce, normalize, upsample, relu, aug_smooth)

    return _named(method, steps)


def by_gradient(rule: Rule) -> Method:
    """`cam_method` of a rule for weights from maps and the gradients by them."""
    return cam_method(_named(gradient_steps(rule), rule))


def gradient_steps(rule: Rule) -> Steps:
    """The steps of a rule for weights from maps and the gradients by them."""

    def steps(probe: Probe, target: TargetLike, places: list[Place], xs: list[np.ndarray]) -> Iterator[Weighted]:
        for found in probe.run(target, values=places, gradients=True, xs=xs):
            yield [(a, rule(a, g)) for a, g in zip(found.values, found.gradients, strict=True)]

    return steps


def _named(function: Any, like: Callable[..., Any]) -> Any:
    """`function` with the name and docstring of another; unlike `functools.wraps`, its signature stays its own."""
    function.__name__ = function.__qualname__ = like.__name__
    function.__module__ = like.__module__
    if like.__doc__ is not None:  # python -OO
        about, source, rest = inspect.cleandoc(like.__doc__).partition("\nSource:")
        shared = "" if "\nArgs:" in about else _ARGUMENTS
        function.__doc__ = f"{about}{shared}{source}{rest}\n"
    return function


def class_activation(
    probe: Probe,
    target: TargetLike,
    layer: LayerLike | Sequence[LayerLike],
    steps: Steps,
    reduce: Callable[[np.ndarray, np.ndarray], np.ndarray],
    normalize: bool,
    upsample: bool,
    relu: bool,
    aug_smooth: bool,
) -> np.ndarray:
    """The maps of one or several layers, as the user asked for them.

    Args:
        probe: of the model and the images.
        steps: the way to the weights.
        reduce: `summed` or `principal`.
        target, layer, normalize, upsample, relu, aug_smooth: see `gradcam`.
    """
    several: list[Any] = list(layer) if are_several(layer) else [layer]
    if not several:
        raise ValueError(f"{probe.op}: layer is an empty list, expected at least one layer")
    size = image_size(probe)
    places = [probe.maps(one) for one in several]

    def heat(xs: list[np.ndarray], target: TargetLike) -> np.ndarray:
        batches = [[reduce(a, w) for a, w in batch] for batch in steps(probe, target, places, xs)]
        raw = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
        return finished(probe.op, raw, size, normalize=normalize, upsample=upsample, relu=relu)

    return smoothed(probe, target, heat, relu) if aug_smooth else heat(probe.xs, target)


def smoothed(probe: Probe, target: TargetLike, heat: Heat, relu: bool) -> np.ndarray:
    """The mean of the maps of brighter, darker and mirrored images, each turned back.

    The classes are those of the images themselves: a mirror image that the network takes for something else must not
    be explained as that.

    Raises:
        ValueError: scores that have positions, which a target would have to follow through the mirror.
    """
    scores = probe.scores()
    if scores.ndim != 2:
        raise ValueError(f"{probe.op}: aug_smooth needs a model with scores (N,K), this one gives {scores.shape}")
    chosen = predicted_classes(scores) if target is None else target
    total: Any = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExplanationWarning)  # one of the six may be empty
        for factor in _BRIGHTNESS:
            brighter = [a * np.float32(factor) if a.ndim == 4 else a for a in probe.xs]
            mirrored = [np.ascontiguousarray(a[:, :, ::-1]) if a.ndim == 4 else a for a in brighter]
            total = total + heat(brighter, chosen).astype(np.float64) + heat(mirrored, chosen)[:, :, ::-1]
    if relu:
        warn_of_empty(probe.op, total, stacklevel=5)
    return (total / (2 * len(_BRIGHTNESS))).astype(np.float32)


def image_size(probe: Probe) -> tuple[int, int]:
    """Rows and columns of the images: of the first input that has any. ValueError if none does."""
    for x in probe.xs:
        if x.ndim == 4:
            return x.shape[1], x.shape[2]
    raise ValueError(f"{probe.op}: no input is images (N,H,W,C), the shapes are {[x.shape for x in probe.xs]}")


def summed(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sum_k w_k A_k (n, P, Q) of maps (n, P, Q, K) and weights (n, K) or (n, P, Q, K)."""
    letters = "nk" if weights.ndim == 2 else "npqk"
    return np.einsum(f"npqk,{letters}->npq", maps, weights.astype(np.float64, copy=False), optimize=True)


def principal(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The first principal component over the positions of each image's weighted maps, float64 (n, P, Q).

    The sign of a component is arbitrary; here it is the one in which it rises with the sum of the weighted maps.
    """
    terms = maps * (weights[:, None, None] if weights.ndim == 2 else weights).astype(np.float64, copy=False)
    n, p, q, k = terms.shape
    components = np.empty((n, p, q))
    for component, rows in zip(components, terms.reshape(n, p * q, k), strict=True):
        centred = rows - rows.mean(0)
        # The smaller of the two Gram matrices has the same spectrum; eigh gives the largest eigenvalue last.
        if k <= p * q:
            line = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
        else:
            values, vectors = np.linalg.eigh(centred @ centred.T)
            line = vectors[:, -1] * np.sqrt(max(values[-1], 0.0))
        component[:] = (line if line @ centred.sum(1) >= 0 else -line).reshape(p, q)
    return components
