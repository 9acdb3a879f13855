"""Class-activation maps without gradients: weights from what happens to the score when something is hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnnfast.explain.cam_method import Weighted, cam_method
from cnnfast.explain.maps import scaled, upsampled
from cnnfast.explain.perturbation import applied
from cnnfast.explain.places import Place
from cnnfast.explain.probe import Found, Probe
from cnnfast.explain.targets import TargetLike


@cam_method
def scorecam(probe: Probe, target: TargetLike, places: list[Place], xs: list[np.ndarray]) -> Iterator[Weighted]:
    """Score-CAM: each map weighted by the score of the image seen through it.

    sum_k w_k A_k with w the softmax over k of the score of x times A_k, which is brought to the size of the image and
    then scaled to [0, 1]. The score of an empty image, which the paper takes off, is the same for all maps: the softmax
    does not see it. The model runs K times for each image, `batch_size` of them at once.

    Source: Wang et al., "Score-CAM: score-weighted visual explanations for convolutional neural networks" (2020).

    Example:
        >>> scorecam(convnet, images, target=1).shape
        (4, 16, 16)
    """
    for found in probe.run(target, values=places, xs=xs):
        batch = [x[found.rows] for x in xs]
        yield [(maps, _softmax(_seen_through(probe, target, found, batch, maps))) for maps in found.values]


@cam_method
def ablationcam(probe: Probe, target: TargetLike, places: list[Place], xs: list[np.ndarray]) -> Iterator[Weighted]:
    """Ablation-CAM: each map weighted by how much the score drops without it.

    sum_k w_k A_k with w_k = (y - y_k) / |y|, where y is the score and y_k the score when map k is 0 everywhere. The
    paper divides by y, which turns the map around where the score is negative. What comes after the layer runs K times
    for each image, `batch_size` of them at once.

    Source: Desai and Ramaswamy, "Ablation-CAM: visual explanations for deep convolutional network via gradient-free
    localization" (2020).

    Example:
        >>> ablationcam(convnet, images, target=1).shape
        (4, 16, 16)
    """
    for found in probe.run(target, values=places, xs=xs):
        batch = [x[found.rows] for x in xs]
        whole = np.array(
            [_of_target(probe.op, target, found, i, found.scores[i : i + 1])[0] for i in range(len(found.scores))]
        )
        size = np.where(whole == 0, 1, np.abs(whole))[:, None]
        yield [
            (maps, (whole[:, None] - _without(probe, target, found, batch, place, maps)) / size)
            for place, maps in zip(places, found.values, strict=True)
        ]


def _seen_through(
    probe: Probe, target: TargetLike, found: Found, batch: Sequence[np.ndarray], maps: np.ndarray
) -> np.ndarray:
    """(n, K): the score of each image times each of its maps (n, P, Q, K)."""
    scores = np.empty((len(maps), maps.shape[3]))
    for i, channels in enumerate(np.moveaxis(maps, 3, 1)):
        for chunk in _chunks(len(channels), probe.batch_size):
            masked = [
                x[i] * scaled(upsampled(channels[chunk], x.shape[1:3]))[..., None]
                if x.ndim == 4
                else x[[i] * len(channels[chunk])]
                for x in batch
            ]
            scores[i, chunk] = _of_target(probe.op, target, found, i, probe.scores(masked))
    return scores


def _without(
    probe: Probe, target: TargetLike, found: Found, batch: Sequence[np.ndarray], place: Place, maps: np.ndarray
) -> np.ndarray:
    """(n, K): the score of each image when one of its maps (n, P, Q, K) is 0."""
    scores = np.empty((len(maps), maps.shape[3]))
    for i, image in enumerate(maps):
        for chunk in _chunks(maps.shape[3], probe.batch_size):
            ablated = np.repeat(image[None], chunk.stop - chunk.start, axis=0)
            ablated[np.arange(len(ablated)), :, :, np.arange(chunk.start, chunk.stop)] = 0
            same = [x[[i] * len(ablated)] for x in batch]
            scores[i, chunk] = _of_target(probe.op, target, found, i, probe.scores_from(place, ablated, same))
    return scores


def _chunks(count: int, size: int) -> list[slice]:
    return [slice(begin, min(begin + size, count)) for begin in range(0, count, size)]


def _of_target(op: str, target: TargetLike, found: Found, sample: int, scores: np.ndarray) -> np.ndarray:
    """float64 (m,): what the target makes of the scores (m, ...) of variants of a sample of the batch."""
    if found.weights is not None:
        return (scores.astype(np.float64) * found.weights[sample]).reshape(len(scores), -1).sum(1)
    function: Any = target  # its ops compute on arrays what they describe of symbolic values
    return applied(op, function, scores).reshape(len(scores), -1).sum(1, dtype=np.float64)


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


# doctest looks here for functions that another module has made.
__test__ = {m.__name__: m for m in (scorecam, ablationcam)}
