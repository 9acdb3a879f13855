"""What layers make of an image: their maps, pictures of these, and channels that are never active."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast.explain.places import LayerLike, Place, are_several
from cnnfast.explain.probe import BATCH_SIZE, Probe, unasked
from cnnfast.graph.values import Value
from cnnfast.models.model import Model
from cnnfast.training.batches import Names
from cnnfast.training.sources import make_source, whole_number

_SILENT_BELOW_0 = ("relu", "relu6")


@dataclass(frozen=True, eq=False)
class DeadChannels:
    """Channels of a layer that are never above 0.

    Attributes:
        count: how many.
        total: of all the layer has.
        indices: int64 (count,), which.
    """

    count: int
    total: int
    indices: np.ndarray


def activation_maps(
    model: Model,
    x: Any,
    layers: LayerLike | Sequence[LayerLike] | None = None,
    *,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> dict[str, np.ndarray]:
    """The outputs of layers, all from one run over the images.

    Args:
        model: any model; layers may be nested or shared, activations fused.
        x: images (N, H, W, C) as the model takes them, or a list of arrays for a model with several inputs.
        layers: one or several: names ("block1_conv1", "vgg16/block1_conv1"), layers, (either, which application).
            Default: every layer that the output depends on, nested models by the layers inside them.
        output: which output of a model with several, by number or name.
        batch_size: images run at once.

    Returns:
        Float32 (N, P, Q, K) or (N, K) by the layer's name, in the order in which they run. Where a layer is applied
        several times, the later ones are named "name:1", "name:2".

    Raises:
        ValueError: a layer that is not there, images of a wrong size.
        TypeError: no model, no numbers.

    Source: Chollet, "Deep learning with Python" (2nd edition, 2021), section 9.4.1.

    Example:
        >>> maps = activation_maps(convnet, images)
        >>> [a.shape for a in maps.values()]
        [(4, 14, 14, 4), (4, 4), (4, 2)]
    """
    probe = Probe(model, x, op="activation_maps", output=output, batch_size=batch_size)
    places = _asked_for(probe, layers) or [p for p in probe.places if p.before_output and p.is_leaf]
    batches = [found.values for found in probe.run(unasked, values=places)]
    return {_key(p): np.concatenate(parts) for p, parts in zip(places, zip(*batches, strict=True), strict=True)}


def mosaic(maps: Any, columns: int | None = None, padding: int = 1, scaling: str = "standard") -> np.ndarray:
    """One sample's channels side by side, as the course draws them.

    Args:
        maps: (P, Q, K), the channels of one sample.
        columns: channels in a row; default about as many as rows.
        padding: black pixels between channels.
        scaling: "standard": each channel minus its mean, divided by its standard deviation, times 64 plus 128, cut to
            0 to 255; "minmax": each channel stretched to 0 to 255. A channel that is the same everywhere is black.

    Returns:
        uint8 (rows * (P + padding) - padding, columns * (Q + padding) - padding).

    Raises:
        ValueError: another shape, values that are not finite, another scaling, numbers that are too small.

    Source: Chollet, "Deep learning with Python" (2nd edition, 2021), section 9.4.1.

    Example:
        >>> mosaic(activation_maps(convnet, images)["conv"][0]).shape
        (29, 29)
    """
    a = np.asarray(maps, np.float64)
    if a.ndim != 3 or not a.size:
        raise ValueError(f"mosaic: expected the maps of one sample (P,Q,K), got shape {a.shape}")
    if not np.isfinite(a).all():
        raise ValueError("mosaic: the maps have values that are not finite")
    whole_number("mosaic", "padding", padding, 0)
    p, q, k = a.shape
    wide = min(k, int(np.ceil(np.sqrt(k))) if columns is None else whole_number("mosaic", "columns", columns))
    tall = -(-k // wide)
    tiles = np.zeros((tall * wide, p + padding, q + padding), np.uint8)
    tiles[:k, :p, :q] = _as_grey(a, scaling).transpose(2, 0, 1)
    sheet = tiles.reshape(tall, wide, p + padding, q + padding).transpose(0, 2, 1, 3)
    sheet = sheet.reshape(tall * (p + padding), wide * (q + padding))
    return np.ascontiguousarray(sheet[: len(sheet) - padding, : sheet.shape[1] - padding])


def _as_grey(a: np.ndarray, scaling: str) -> np.ndarray:
    """Each channel (P, Q) of float64 (P, Q, K) in 0 to 255."""
    low, high = a.min((0, 1)), a.max((0, 1))
    flat = high == low  # exactly, and not by the deviation, which rounding can keep from 0
    if scaling == "standard":
        deviation = np.where(flat, 1, a.std((0, 1)))
        grey = (a - a.mean((0, 1))) / deviation * 64 + 128
    elif scaling == "minmax":
        grey = (a - low) / np.where(flat, 1, high - low) * 255
    else:
        raise ValueError(f"mosaic: scaling must be 'standard' or 'minmax', got {scaling!r}")
    return np.where(flat, 0, np.clip(grey, 0, 255)).astype(np.uint8)


def dead_channels(
    model: Model,
    data: Any,
    layers: LayerLike | Sequence[LayerLike] | None = None,
    *,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> dict[str, DeadChannels]:
    """Channels that are never above 0 over all data, at no position: nothing behind them can learn from them.

    Args:
        model: any model.
        data: images (N, H, W, C), a list of arrays for a model with several inputs, a `PyDataset` or any iterable of
            batches; labels are not looked at. Only one batch is in memory at a time.
        layers: as for `activation_maps`. Default: all whose output comes from a ReLU (or ReLU6) and which the model's
            output depends on.
        output: which output of a model with several, by number or name.
        batch_size: images run at once, for arrays.

    Returns:
        By the layer's name (see `activation_maps`) how many channels are dead, of how many, and which.

    Raises:
        ValueError: no data, a layer that is not there, a model without ReLUs, images of a wrong size.
        TypeError: no model, no numbers.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models" (2013), section 2.

    Example:
        >>> dead = dead_channels(convnet, images)["conv"]
        >>> dead.count, dead.total, dead.indices.tolist()
        (0, 4, [])
    """
    places: list[Place] = []
    alive: list[np.ndarray] = []
    for xs in _batches(model, data, batch_size):
        probe = Probe(model, xs, op="dead_channels", output=output, batch_size=len(xs[0]))
        if not places:
            places = _asked_for(probe, layers) or _rectified(probe)
            alive = [np.zeros(p.shape[-1], bool) for p in places]
        for found in probe.run(unasked, values=places):
            for known, value in zip(alive, found.values, strict=True):
                known |= (value > 0).any(tuple(range(value.ndim - 1)))
    if not places:
        raise ValueError("dead_channels: there was no batch of data")
    return {
        _key(p): DeadChannels(int((~known).sum()), len(known), np.flatnonzero(~known))
        for p, known in zip(places, alive, strict=True)
    }


def _batches(model: Model, data: Any, batch_size: int) -> Iterator[list[np.ndarray]]:
    if not isinstance(model, Model):
        raise TypeError(f"dead_channels: model must be a cnnfast model, got {type(model).__name__}")
    whole_number("dead_channels", "batch_size", batch_size)
    names = Names(model.input_names, ["labels"])
    for batch in make_source("dead_channels", data, names=names, batch_size=batch_size).begin():
        yield batch.xs


def _rectified(probe: Probe) -> list[Place]:
    """Layers whose output a ReLU made, without those behind that hand it on as it is (`Dropout`)."""
    values = probe.outputs()
    first: dict[int, Place] = {}
    for p in probe.places:
        if p.before_output and p.is_leaf and _is_rectified(values[p.index]):
            first.setdefault(id(values[p.index]), p)
    found = list(first.values())
    if not found:
        raise ValueError(f"dead_channels: {probe.model.name} has no layer with a ReLU; name the layers")
    return found


def _is_rectified(value: Value) -> bool:
    return value.node is not None and value.node.op.name in _SILENT_BELOW_0


def _asked_for(probe: Probe, layers: LayerLike | Sequence[LayerLike] | None) -> list[Place]:
    """The places of the layers named, in the order of running; none if none are."""
    if layers is None:
        return []
    several: list[Any] = list(layers) if are_several(layers) else [layers]
    if not several:
        raise ValueError(f"{probe.op}: layers must name at least one layer, got {layers!r}")
    return sorted({p.index: p for p in map(probe.place, several)}.values(), key=lambda p: p.index)


def _key(place: Place) -> str:
    return place.name if place.application == 0 else f"{place.name}:{place.application}"
