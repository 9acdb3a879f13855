"""Weights that Keras wrote, or that bear its names, for the layers of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from cnnfast.formats.fit import Fit, grouped, listed
from cnnfast.formats.foreign import ForeignWeights
from cnnfast.formats.keras_order import keras_layers, leaves, structural_leaves
from cnnfast.formats.strict_json import short
from cnnfast.formats.weight_names import names_in_file
from cnnfast.layers.base import Layer, snake_case

Arrays = Mapping[str, np.ndarray]


def fit_h5(fit: Fit, weights: ForeignWeights, by_name: bool) -> None:
    """Layers that Keras lists in order: the first of the file for the first of the model, or by name."""
    theirs: dict[str, dict[str, np.ndarray]] = {}
    for name, array in weights.arrays.items():
        holder = weights.structure[name]
        theirs.setdefault(holder, {})[name.removeprefix(f"{holder}/")] = array
    ours = [layer for layer in keras_layers(fit.model) if layer.weights]
    if by_name:
        pairs = [(layer, layer.name) for layer in ours if layer.name in theirs]
    elif len(ours) != len(theirs):
        raise fit.refuse(
            f"the model has {len(ours)} layers with weights ({listed([layer.name for layer in ours])}), the file has "
            f"{len(theirs)} ({listed(list(theirs))}); by_name=True takes those of the same name"
        )
    else:
        pairs = list(zip(ours, list(theirs), strict=True))
    for layer, name in pairs:
        _fit_layer(fit, layer, name, theirs[name])


def _fit_layer(fit: Fit, layer: Layer, name: str, arrays: Arrays) -> None:
    """A layer of the outermost model, which may be a model itself: Keras keeps its weights in one list."""
    inner = list(leaves(layer))
    if not inner:
        fit.layer(layer.name, layer, list(arrays.values()), name)
        return
    if layer._weights:
        inner.insert(0, ("", layer))
    parts = grouped(arrays, "/")
    if len(parts) != len(inner):
        fit.problem(
            f"{layer.name} has {len(inner)} layers with weights, {name} in the file has {len(parts)}: "
            f"{listed(list(parts))}"
        )
        return
    part_of = {path: part for path, _ in inner for part in parts if _same(path, part)}
    if len(set(part_of.values())) < len(inner):
        part_of = _in_part_by_name(inner, list(parts), part_of)
    for path, leaf in inner:
        part = part_of[path]
        fit.layer(f"{layer.name}/{path}", leaf, list(parts[part].values()), f"{name}/{part}")


def _in_part_by_name(inner: list[tuple[str, Layer]], parts: list[str], named: Mapping[str, str]) -> dict[str, str]:
    """The part of each layer where not all names agree: by the names that users gave, the rest in order.

    Automatic names (`conv2d_1`) are no evidence, as they count all layers that a program has made.
    """
    part_of = {path: named[path] for path, layer in inner if path in named and not _is_automatic(layer)}
    if len(set(part_of.values())) < len(part_of):
        part_of = {}
    left = [part for part in parts if part not in part_of.values()]
    # Keras lists what is trained before what is not; a layer counts as trained if any of its weights is.
    rest = sorted((not layer._own_weights(True), i) for i, (path, layer) in enumerate(inner) if path not in part_of)
    return part_of | {inner[i][0]: part for (_, i), part in zip(rest, left, strict=True)}


def _is_automatic(layer: Layer) -> bool:
    return re.fullmatch(rf"{snake_case(type(layer).__name__)}(_\d+)?", layer.name) is not None


def _same(ours: str, theirs: str) -> bool:
    """Whether two paths within a model mean the same layer: Keras may leave out the models between."""
    return f"/{ours}".endswith(f"/{theirs}") or f"/{theirs}".endswith(f"/{ours}")


def fit_keras3(fit: Fit, weights: ForeignWeights, by_name: bool) -> None:
    """Layers that Keras 3 names after their class and number within their model, and often as the user did."""
    named = grouped(weights.arrays, "/")
    structured = grouped({weights.structure[name]: array for name, array in weights.arrays.items()}, "/")
    ours = dict(leaves(fit.model))
    by_class = dict(structural_leaves(fit.model))
    if by_name or (by_class.keys() != structured.keys() and ours.keys() == named.keys()):
        _fit_named(fit, ours, named, by_name, ordered=True)  # also where a Sequential here is a functional model there
    else:
        _fit_named(fit, by_class, structured, ordered=True)


def fit_by_layer_names(fit: Fit, weights: ForeignWeights, by_name: bool) -> None:
    """`layer/kernel`, `layer/bias`: by name if the names are those of the model, else in the order of the file."""
    theirs = grouped({name.replace(".", "/"): array for name, array in weights.arrays.items()}, "/")
    ours = {path.replace(".", "/"): layer for path, layer in leaves(fit.model)}
    if by_name or ours.keys() & theirs.keys() or weights.kind != "npz":  # safetensors keeps no order
        _fit_named(fit, ours, theirs, by_name)
    elif len(ours) != len(theirs):
        raise fit.refuse(
            f"the model has {len(ours)} layers with weights ({listed(list(ours))}), the file has {len(theirs)} "
            f"({listed(list(theirs))})"
        )
    else:
        for (path, layer), name in zip(ours.items(), theirs, strict=True):
            _fit_by_names(fit, path, layer, theirs[name], name, ordered=False)


def _fit_named(
    fit: Fit, ours: Mapping[str, Layer], theirs: Mapping[str, Arrays], some: bool = False, ordered: bool = False
) -> None:
    """Layers and arrays of the same names. What only one side has is a problem, unless `some` are enough.

    `ordered`: the file keeps each layer's arrays in the layer's own order.
    """
    for path, layer in ours.items():
        if path in theirs:
            _fit_by_names(fit, path, layer, theirs[path], path, ordered)
    if some:
        return
    if missing := [path for path in ours if path not in theirs]:
        fit.problem(f"missing in the file: {listed(missing)}")
    if unexpected := [path for path in theirs if path not in ours]:
        fit.problem(f"not in the model: {listed(unexpected)}")


def _fit_by_names(fit: Fit, path: str, layer: Layer, arrays: Arrays, source: str, ordered: bool) -> None:
    """Offers a layer its arrays in the order of its weights."""
    names = names_in_file(layer, arrays, ordered)
    if len(arrays) == len(layer._weights) and names is None:
        own = [w.name.rsplit("/", 1)[-1] for w in layer._weights]
        fit.problem(
            f"which is which of the weights {own} of layer {short(path)}? {short(source)} has {listed(list(arrays))}"
        )
        return
    in_order = [arrays[there] for there in names.values()] if names and len(names) == len(arrays) else arrays.values()
    fit.layer(path, layer, list(in_order), source)
