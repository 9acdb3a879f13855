"""The sanity check of explanations: one that stays the same when the network forgets what it learned shows the image,
not the network."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cnnfast import random
from cnnfast.explain.maps import scaled
from cnnfast.explain.measuring import Method, flat_maps, images_of, quietly, settled
from cnnfast.explain.places import needed_for
from cnnfast.explain.probe import Probe
from cnnfast.explain.targets import TargetLike
from cnnfast.layers.base import Layer
from cnnfast.models.model import Model

_WINDOW, _WINDOW_SIGMA = 11, 1.5  # of structural similarity
_C1, _C2 = 0.01**2, 0.03**2  # for values that span 1


class Randomised(NamedTuple):
    """How similar explanations are to those of the trained model, layer by layer from the top.

    Attributes:
        layers: names (L,): the layer whose weights became random at each step.
        spearman: float64 (L, N), rank correlation of the maps, -1 to 1.
        ssim: float64 (L, N), structural similarity of the maps scaled to [0, 1], -1 to 1.
    """

    layers: list[str]
    spearman: np.ndarray
    ssim: np.ndarray


def model_randomisation(
    method: Method,
    model: Model,
    x: Any,
    target: TargetLike = None,
    *,
    mode: str = "cascading",
    seed: int = 0,
    output: int | str = 0,
) -> Randomised:
    """The model parameter randomisation test: explanations of the model while its layers forget, from the top down.

    The similarity of a method that explains the model falls; one whose similarity stays high does not look at the
    weights. All happens on a copy of the model. Weights become what their layer's initializers make; without these
    (in layers of one's own) their values are shuffled.

    Args:
        method: `method(model, x, target)` that gives maps (N, H, W), or (N, H, W, C), of which the absolute values
            are summed over channels.
        model: any model with images as its only input.
        x: images (N, H, W, C) as the model takes them.
        target: for the method; None is the class that the trained model predicts.
        mode: "cascading": each step makes one more layer random; "independent": that layer alone.
        seed: decides the random weights, which are the same in both modes.
        output: which output of the model predicts the class.

    Returns:
        `Randomised`: similarities (L, N) for each of L layers with weights. A map without any contrast is similar to
        none: 0.

    Raises:
        ValueError: an unknown mode, a model without weights, maps that are none.

    Source: Adebayo et al., "Sanity checks for saliency maps" (2018), section 3.

    Example:
        >>> result = model_randomisation(cnnfast.explain.gradcam, convnet, images, target=1)
        >>> result.layers[-1], result.spearman.shape
        ('conv', (2, 4))
    """
    op = "model_randomisation"
    if mode not in ("cascading", "independent"):
        raise ValueError(f"{op}: mode must be 'cascading' or 'independent', got {mode!r}")
    random.check_seed(op, seed, 2**64)
    images = images_of(Probe(model, x, op=op, output=output))
    fixed = settled(op, model, x, target, output)
    trained = flat_maps(op, method(model, x, fixed))
    forgetful = copy.deepcopy(model)
    steps = list(_from_the_top(Probe(forgetful, images, op=op, output=output)))
    if not steps:
        raise ValueError(f"{op}: no layer of {model.name} has weights")
    names, spearman, ssim = [], [], []
    for step, (name, layer) in enumerate(steps):
        learned = [v.numpy() for v in layer._weights]
        for variable, value in zip(layer._weights, _forgotten(layer, seed, step), strict=True):
            variable.assign(value)
        found = flat_maps(op, quietly(method, forgetful, x, fixed))
        names.append(name)
        spearman.append(rank_correlation(trained, found))
        ssim.append(structural_similarity(trained, found))
        if mode == "independent":
            for variable, value in zip(layer._weights, learned, strict=True):
                variable.assign(value)
    return Randomised(names, np.stack(spearman), np.stack(ssim))


def _from_the_top(probe: Probe) -> Iterator[tuple[str, Layer]]:
    """Names and layers that have weights of their own, the last one that the score depends on first; shared ones once,
    where they are applied last."""
    graph, score = probe.graph()
    needed = needed_for(graph, score)
    used = {id(v) for v in graph.variables if id(graph.variable(v)) in needed}
    seen = set()
    for place in reversed(probe.places):
        if id(place.layer) not in seen and any(id(v) in used for v in place.layer._weights):
            seen.add(id(place.layer))
            yield place.name, place.layer


def _forgotten(layer: Layer, seed: int, step: int) -> list[np.ndarray]:
    """Random weights for a layer, as its initializers draw them."""
    rng = np.random.default_rng([seed, step])
    state = random.get_state()
    try:
        random.set_seed(int(rng.integers(2**63)))
        return [_drawn(layer, v.name.rpartition("/")[2], v.numpy(), rng) for v in layer._weights]
    finally:
        random.set_state(state)


def _drawn(layer: Layer, name: str, value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    for known in (name, name.removesuffix("_kernel"), name.replace("kernel", "depthwise")):
        initializer = getattr(layer, f"{known}_initializer", None)
        if callable(initializer):
            return initializer(value.shape)
    return rng.permutation(value.reshape(-1)).reshape(value.shape)


def rank_correlation(a: Any, b: Any) -> np.ndarray:
    """Spearman's rank correlation of two maps of each image.

    Args:
        a, b: (N, H, W), or (N, H, W, C), of which the absolute values are summed.

    Returns:
        float64 (N,), -1 to 1; equal values share their mean rank, and a map of one value correlates with none: 0.

    Raises:
        ValueError: maps of different shapes.

    Example:
        >>> ramp = np.arange(6.0).reshape(1, 2, 3)
        >>> rank_correlation(ramp, ramp**3).tolist(), rank_correlation(ramp, -ramp).tolist()
        ([1.0], [-1.0])
    """
    one = flat_maps("rank_correlation", a)
    two = flat_maps("rank_correlation", b, one.shape)
    result = np.zeros(len(one))
    for i, (u, v) in enumerate(zip(one, two, strict=True)):
        p, q = (ranks(m.reshape(-1)) for m in (u, v))
        p, q = p - p.mean(), q - q.mean()
        power = (p @ p) * (q @ q)
        result[i] = p @ q / np.sqrt(power) if power > 0 else 0
    return result


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, the smallest first; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse.reshape(-1)]


def structural_similarity(a: Any, b: Any) -> np.ndarray:
    """Structural similarity (SSIM) of two maps of each image, both scaled to [0, 1].

    Gaussian windows of 11x11 pixels, sigma 1.5, wholly inside the map; of the largest odd size that fits in smaller
    maps.

    Args:
        a, b: (N, H, W), or (N, H, W, C), of which the absolute values are summed.

    Returns:
        float64 (N,), -1 to 1; a map without contrast is similar to none: 0.

    Raises:
        ValueError: maps of different shapes.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004), eq. 13,
    with K1 = 0.01 and K2 = 0.03.

    Example:
        >>> ramp = np.arange(256.0).reshape(1, 16, 16)
        >>> structural_similarity(ramp, 3 * ramp).tolist()
        [1.0]
    """
    maps = flat_maps("structural_similarity", a)
    p = scaled(maps).astype(np.float64)
    q = scaled(flat_maps("structural_similarity", b, maps.shape)).astype(np.float64)
    weights = [_windows(size, maps.shape[1:]) for size in maps.shape[1:]]
    p_mean, q_mean = _blend(p, weights), _blend(q, weights)
    p_var = _blend(p * p, weights) - p_mean**2
    q_var = _blend(q * q, weights) - q_mean**2
    both = _blend(p * q, weights) - p_mean * q_mean
    same = (2 * p_mean * q_mean + _C1) * (2 * both + _C2)
    local = same / ((p_mean**2 + q_mean**2 + _C1) * (p_var + q_var + _C2))
    return np.where(p.any((1, 2)) & q.any((1, 2)), local.mean((1, 2)), 0)


def _windows(size: int, shape: tuple[int, ...]) -> np.ndarray:
    """(windows, size): the weights of a Gaussian at each position where it lies inside."""
    length = min(_WINDOW, (min(shape) - 1) // 2 * 2 + 1)
    kernel = np.exp(-0.5 * ((np.arange(length) - length // 2) / _WINDOW_SIGMA) ** 2)
    weights = np.zeros((size - length + 1, size))
    for i, row in enumerate(weights):
        row[i : i + length] = kernel / kernel.sum()
    return weights


def _blend(maps: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    rows, columns = weights
    return np.matmul(np.matmul(rows, maps), columns.T)
