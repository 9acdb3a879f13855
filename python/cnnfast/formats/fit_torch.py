"""State dicts of PyTorch for the layers of a model of the same architecture: layouts turned, names translated.

Modules are taken in the order of the state dict for layers in the order in which they run, or by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cnnfast.formats import layout
from cnnfast.formats.contents import Refused
from cnnfast.formats.fit import Fit, grouped, listed
from cnnfast.formats.flattened import Rows, flattened_rows
from cnnfast.formats.foreign import ForeignWeights
from cnnfast.layers import BatchNormalization, Conv2D, Conv2DTranspose, Dense, DepthwiseConv2D, SeparableConv2D
from cnnfast.layers.base import Layer
from cnnfast.models import Model

Module = Mapping[str, np.ndarray]
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def is_torch_like(names: Sequence[str]) -> bool:
    """Whether arrays bear the names that PyTorch gives weights.

    Example:
        >>> is_torch_like(["conv1.weight"]), is_torch_like(["conv1/kernel"])
        (True, False)
    """
    last = {re.split(r"[./]", name)[-1] for name in names}
    return bool(last & {"weight", "running_mean", "running_var"}) and not last & {"kernel", "gamma", "beta"}


def fit_torch(fit: Fit, weights: ForeignWeights, by_name: bool) -> None:
    """Offers the model's layers the modules of a state dict.

    Args:
        fit: gathers what fits.
        weights: of torch's names and layouts.
        by_name: layers called as the module (`features.0`; a slash may stand for a dot) take its weights, others
            keep theirs. Default is by order, unless modules and layers have the same names.
    """
    modules = grouped({name.replace("/", "."): array for name, array in weights.arrays.items()}, ".")
    ours = {path.replace("/", "."): layer for path, layer in _running_order(fit.model)}
    rows = _rows(fit)
    if by_name:
        parts = [(path, layer, [path]) for path, layer in ours.items() if path in modules]
    else:
        parts = _by_order(fit, weights, ours, _ordered(fit, weights.kind, list(modules), list(ours)))
    for path, layer, names in parts:
        try:
            arrays = _converted(layer, [modules[name] for name in names], rows.get(id(layer)))
        except Refused as error:
            fit.problem(f"layer {path} cannot take {listed(names)}: {error}")
        else:
            fit.layer(path, layer, arrays, " and ".join(names))


def _running_order(model: Layer, path: str = "", seen: frozenset[int] = frozenset()) -> Iterator[tuple[str, Layer]]:
    """The layers with weights inside a model, in the order in which they run, with their paths."""
    done: set[int] = set(seen)
    for layer in getattr(model, "layers", None) or model.sublayers():
        if id(layer) in done:
            continue
        done.add(id(layer))
        inner = f"{path}/{layer.name}" if path else layer.name
        if layer._weights:
            yield inner, layer
        yield from _running_order(layer, inner, frozenset(done))


def _ordered(fit: Fit, kind: str, modules: list[str], ours: list[str]) -> list[str]:
    """The modules in the order of the layers that are to take them: by name where all have the layers' names.

    Else in the order in which they were made. A state dict keeps it. A safetensors file is sorted by name, which says
    the order only where modules are numbered.
    """
    if set(ours) == set(modules):
        return ours
    _refuse_contradiction(fit, modules, ours)
    if kind != "safetensors":
        return modules
    if not all(re.fullmatch(r"\d+(\.\d+)*", name) for name in modules):
        raise fit.refuse(
            f"a safetensors file keeps no order, and its modules ({listed(modules)}) are not called as the layers "
            f"({listed(ours)}); give the layers their names"
        )
    return sorted(modules, key=lambda name: [int(step) for step in name.split(".")])


def _refuse_contradiction(fit: Fit, modules: list[str], ours: list[str]) -> None:
    """Names that file and model share must not contradict the order, or a layer would take another one's weights."""
    if len(modules) != len(ours):
        return
    for module, layer in zip(modules, ours, strict=True):
        if module != layer and (module in ours or layer in modules):
            raise fit.refuse(
                f"in order, layer {layer} would take the module {module}, but names that both have say otherwise: "
                f"{listed([name for name in ours if name in modules])}; by_name=True takes these alone"
            )


def _by_order(
    fit: Fit, weights: ForeignWeights, ours: Mapping[str, Layer], modules: list[str]
) -> list[tuple[str, Layer, list[str]]]:
    """Each layer with the modules that make it up: two for a separable convolution, one for any other."""
    counts = [2 if isinstance(layer, SeparableConv2D) else 1 for layer in ours.values()]
    if sum(counts) != len(modules):
        raise fit.refuse(
            f"the model's layers with weights ({listed(list(ours))}) need {sum(counts)} modules, the file has "
            f"{len(modules)} ({listed(modules)})"
        )
    ends = np.cumsum(counts)
    return [
        (path, layer, modules[end - count : end])
        for (path, layer), count, end in zip(ours.items(), counts, ends, strict=True)
    ]


def _rows(fit: Fit) -> dict[int, Rows]:
    """Which layers read flattened images; this must be known of the whole model."""
    for layer in fit.model.all_layers():
        described = isinstance(layer, Model) and type(layer).call is Model.call
        if not described and any(True for _ in layer.sublayers()):
            raise fit.refuse(f"{layer.name} has a call of its own, which does not say where images are flattened")
    if not isinstance(fit.model, Model):
        return {}
    try:
        return flattened_rows(fit.model)
    except Refused as error:
        raise fit.refuse(str(error)) from None


def _converted(layer: Layer, modules: Sequence[Module], rows: Rows | None) -> list[np.ndarray]:
    """The weights of a layer, in its own layout and order."""
    module = modules[0]
    if isinstance(layer, SeparableConv2D):
        return _separable(layer, modules)
    if isinstance(layer, BatchNormalization):
        names = [w.name.rsplit("/", 1)[-1] for w in layer._weights]
        arrays = _taken(module, {_NORM[name]: 1 for name in names})
        return [_sorted_rows(a, rows) for a in arrays]
    wanted = {"weight": 2 if isinstance(layer, Dense) else 4}
    if getattr(layer, "bias", None) is not None:
        wanted["bias"] = 1
    if isinstance(layer, Dense):
        w, *bias = _taken(module, wanted)
        kernel = _sorted_rows(layout.dense_kernel_from_torch(w), rows)
    elif isinstance(layer, DepthwiseConv2D):
        w, *bias = _taken(module, wanted)
        kernel = layout.depthwise_kernel_from_torch(w, layer.depth_multiplier)
    elif isinstance(layer, Conv2DTranspose):
        w, *bias = _taken(module, wanted)
        kernel = layout.transposed_kernel_from_torch(w)
    elif isinstance(layer, Conv2D):
        w, *bias = _taken(module, wanted)
        kernel = layout.conv_kernel_from_torch(w)
    else:
        raise Refused(f"{type(layer).__name__} has no counterpart in PyTorch")
    return [kernel, *bias]


def _sorted_rows(a: np.ndarray, rows: Rows | None) -> np.ndarray:
    """The rows of features in this package's order; if there are other than expected, their number will be refused."""
    return a if rows is None or len(a) != len(rows) else a[rows]


def _separable(layer: SeparableConv2D, modules: Sequence[Module]) -> list[np.ndarray]:
    if len(modules) != 2:
        raise Refused("a separable convolution is two modules in PyTorch, which are found by order only")
    depthwise = _taken(modules[0], {"weight": 4})
    pointwise, *bias = _taken(modules[1], {"weight": 4, "bias": 1} if layer.use_bias else {"weight": 4})
    return [
        layout.depthwise_kernel_from_torch(depthwise[0], layer.depth_multiplier),
        layout.conv_kernel_from_torch(pointwise),
        *bias,
    ]


def _taken(module: Module, wanted: Mapping[str, int]) -> list[np.ndarray]:
    """The arrays of a module by name, which must be these and have these ranks."""
    ranks = {name: array.ndim for name, array in module.items()}
    if ranks != dict(wanted):
        raise Refused(f"expected {_shown(wanted)}, got {_shown(ranks)}")
    return [module[name] for name in wanted]


def _shown(ranks: Mapping[str, int]) -> str:
    return ", ".join(f"{name} of rank {rank}" for name, rank in ranks.items()) or "nothing"
