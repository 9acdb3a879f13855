"""From a file's arrays to a network's layers: by name, whoever wrote them, or with an error that says what is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cnnfast import layers
from cnnfast.applications._network import Network
from cnnfast.formats import layout, safetensors_io
from cnnfast.formats.document import read_document
from cnnfast.formats.foreign import ForeignWeights, read_foreign
from cnnfast.formats.strict_json import short
from cnnfast.formats.weight_names import names_in_file
from cnnfast.graph.values import Variable
from cnnfast.layers.base import Layer
from cnnfast.models import Model

# Which network has how many convolutions, with and without its top.
_CONVOLUTIONS = {
    13: "VGG16", 16: "VGG19", 20: "ResNet18", 36: "ResNet34", 53: "ResNet50", 104: "ResNet101", 27: "MobileNet",
    28: "MobileNet", 52: "MobileNetV2", 25: "SqueezeNet", 26: "SqueezeNet", 49: "EfficientNetLite0",
    120: "DenseNet121",
}  # fmt: skip

# PyTorch's names of what a layer holds, by ours.
_TORCH = {
    "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # fmt: skip
_OURS = "cnnfast"  # the kind of file that `Model.save_weights` and `Model.save` write
_UNUSED = "num_batches_tracked"  # a counter that batch normalization in PyTorch keeps beside its averages

LayerArrays = dict[str, np.ndarray]  # what a file has for one layer, by the file's names, in its order


def official(network: Network, variant: str, include_top: bool) -> ForeignWeights:
    """The official weights, from this computer or the network."""
    from cnnfast.applications._download import fetch

    known = network.variants[variant]
    found = known.with_top if include_top else known.without_top or known.with_top
    if found is None:
        raise ValueError(
            f"{network.title}: there are no official weights to download for variant={variant!r}; give weights= the "
            "path of a file"
        )
    return read(network, fetch(network.title, *found))


def read(network: Network, path: Any) -> ForeignWeights:
    """The arrays of a weights file."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"{network.title}: there is no weights file {os.fspath(path)!r}")
    name = os.fspath(path)
    if name.endswith(safetensors_io.SUFFIX):
        with open(name, "rb") as f:
            if safetensors_io.is_ours(f):
                _, document = read_document(name, ("weights", "model", "checkpoint"))
                said = document.get("variant")  # `Model.load_weights` will read the rest
                return ForeignWeights(name, _OURS, {}, variant=said if isinstance(said, str) else None)
    return read_foreign(path)


def variant_of(network: Network, file: ForeignWeights) -> str:
    """The variant that a file says or its names, shapes or values speak of.

    Raises:
        ValueError: they do not say it.
    """
    known = list(network.variants)
    if len(known) == 1:
        return known[0]
    found = _stated(network, file)
    if found is not None:
        return found
    if "torchvision" in known and (file.kind == "torch" or _speaks_torch(network, file.arrays)):
        return "torchvision"
    if "keras" in known and file.kind in ("keras_h5", "keras3") and file.variant is None:
        return "keras"  # where this package wrote the file, it may be any
    choices = " or ".join(f"variant={v!r}" for v in known)
    raise ValueError(
        f"{network.title}: {file.path} does not say whose weights it holds, and they want different input: "
        f"give {choices}{_other_network(network, file.arrays)}"
    )


def check_variant(network: Network, variant: str, file: ForeignWeights) -> None:
    """ValueError if a file says, or its values show, that it holds the weights of another variant."""
    found = _stated(network, file)
    if found is not None and found != variant:
        raise ValueError(
            f"{network.title}: the weights in {file.path} do not fit variant={variant!r} "
            f"(they look like variant={found!r})"
        )


def _stated(network: Network, file: ForeignWeights) -> str | None:
    """The variant that a file's attribute names, or that its values are known to be of."""
    return file.variant if file.variant in network.variants else network.recognize(file.arrays)


def _speaks_torch(network: Network, arrays: Mapping[str, np.ndarray]) -> bool:
    theirs = {name for names in network.names for name in names.values()}
    return any(name.rpartition(".")[0].removeprefix("module.") in theirs for name in arrays)


def load(network: Network, variant: str, model: Model, file: ForeignWeights, include_top: bool) -> None:
    """Sets all weights of `model` from a file.

    Args:
        network: its page.
        variant: of the model.
        model: whose weights are set.
        file: may hold the top though the model has none.
        include_top: whether the model has it.

    Raises:
        ValueError: weights that are missing, unexpected or of another shape, all named; nothing has changed.
    """
    if file.kind == _OURS:
        model.load_weights(file.path)
        return
    mine = {layer.name: layer for layer in model.layers if layer.weights}
    top = set(network.classifier)
    found, unexpected = _by_layer(network, set(mine) | top, file)
    ordered = file.kind in ("keras_h5", "keras3")
    missing, different, values = [], [], []
    for name, layer in mine.items():
        for weight, label, array in _matched(layer, found.pop(name, {}), unexpected, name, ordered):
            if array is None:
                missing.append(f"{weight.name}")
            elif array.shape != weight.shape:
                different.append(f"{label} has shape {array.shape}, expected {weight.shape}")
            else:
                values.append((weight, array))
    if missing or different or unexpected:
        reason = _reason(network, variant, model, file, include_top, missing, different)
        problems = [
            _listed("missing", missing), _listed("unexpected", unexpected), _listed("different", different),
        ]  # fmt: skip
        raise ValueError(
            f"{network.title}: the weights in {file.path} do not fit{reason}: {'; '.join(p for p in problems if p)}"
        )
    for weight, array in values:
        weight.assign(array)


def _by_layer(network: Network, known: set[str], file: ForeignWeights) -> tuple[dict[str, LayerArrays], list[str]]:
    """A file's arrays sorted by the network's layers, and the names of those that belong to none.

    Raises:
        ValueError: two arrays for one weight: the file holds more than one network.
    """
    theirs = {name: name for name in known}
    for names in network.names:
        theirs.update((there, layer) for layer, there in names.items() if layer in known)
    found: dict[str, LayerArrays] = {}
    sources: dict[tuple[str, str], str] = {}
    unexpected = []
    for key, array in file.arrays.items():
        for layer, weight in _splits(key):
            if layer in theirs:
                first = sources.setdefault((theirs[layer], weight), key)
                if first != key:
                    raise ValueError(
                        f"{network.title}: {file.path} has two arrays for {theirs[layer]}/{short(weight)}: "
                        f"{short(first)} and {short(key)}; leave one network in the file"
                    )
                found.setdefault(theirs[layer], {})[weight] = array
                break
        else:
            if not key.endswith(_UNUSED):
                unexpected.append(key)
    return found, unexpected


def _splits(key: str) -> Iterator[tuple[str, str]]:
    """The ways to read "a/b/c" or "a.b.c" as a layer and its weight, the longest layer first: layers' names may
    hold slashes, and nested models put theirs in front."""
    key = key.removeprefix("module.")  # of DataParallel
    if "/" not in key:
        layer, _, weight = key.rpartition(".")
        yield layer, weight
        return
    parts = key.split("/")
    for begin in range(len(parts) - 1):
        for end in range(len(parts) - 1, begin, -1):
            yield "/".join(parts[begin:end]), "/".join(parts[end:])


def _matched(
    layer: Layer, arrays: LayerArrays, unexpected: list[str], name: str, ordered: bool
) -> Iterator[tuple[Variable, str, np.ndarray | None]]:
    """(weight, what the file calls it, its array in our layout or None) for each weight of a layer.

    `ordered`: the file keeps them in the layer's own order, whatever they are called.
    """
    weights = {w.name.rsplit("/", 1)[1]: w for w in layer.weights}
    torch = "weight" in arrays or "running_mean" in arrays
    if torch:
        names = {ours: _TORCH[ours] for ours in weights}
    else:
        names = names_in_file(layer, arrays, ordered) or {}
    unexpected += [f"{name}/{n}" for n in arrays if n not in names.values() and n != _UNUSED]
    for ours, weight in weights.items():
        there = names.get(ours)
        array = arrays.get(there) if there is not None else None
        if array is not None and torch:
            array = _from_torch(layer, ours, array)
        yield weight, f"{name}/{there}", array


def _from_torch(layer: Layer, weight: str, array: np.ndarray) -> np.ndarray:
    """An array of PyTorch's in our layout; as it is where it has another rank, which its shape will tell."""
    if weight != "kernel":
        return array
    if isinstance(layer, layers.DepthwiseConv2D) and array.ndim == 4 and array.shape[1] == 1:
        fits = array.shape[0] % layer.depth_multiplier == 0
        return layout.depthwise_kernel_from_torch(array, layer.depth_multiplier) if fits else array
    if isinstance(layer, layers.Conv2D) and array.ndim == 4:
        return layout.conv_kernel_from_torch(array)
    if isinstance(layer, layers.Dense) and array.ndim == 2:
        before = layer.input.node.op
        if isinstance(before, layers.Flatten) and array.shape[1] == layer.kernel.shape[0]:
            _, h, w, c = before.input_shape
            return layout.dense_kernel_after_flatten(array, (c, h, w))
        return layout.dense_kernel_from_torch(array)
    return array


# Why something does not fit


def _reason(
    network: Network,
    variant: str,
    model: Model,
    file: ForeignWeights,
    include_top: bool,
    missing: list[str],
    different: list[str],
) -> str:
    other = _other_network(network, file.arrays)
    if other:
        return other
    top = [f"{name}/" for name in network.classifier]
    if missing and all(name.startswith(tuple(top)) for name in missing) and not different:
        return " (they are without top: use include_top=False)"
    if different and not missing and all(text.startswith(tuple(top)) for text in different):
        last = f"{network.classifier[-1]}/"
        if all(text.startswith(last) for text in different):
            return f" (they have another number of classes than classes={model.output_shape[-1]})"
        return " (the top is for images of another size: give another input_shape, or include_top=False)"
    said = _said_variant(network, file)
    if said is not None and said != variant:
        return f" variant={variant!r} (they look like variant={said!r})"
    return ""


def _said_variant(network: Network, file: ForeignWeights) -> str | None:
    try:
        return variant_of(network, file)
    except ValueError:
        return None


def _other_network(network: Network, arrays: Mapping[str, np.ndarray]) -> str:
    convolutions = sum(a.ndim == 4 for a in arrays.values())
    found = _CONVOLUTIONS.get(convolutions)
    if found is None or network.title.startswith(found):
        return ""
    return f" (these look like weights of {found}: {convolutions} convolutions)"


def _listed(kind: str, names: list[str], limit: int = 8) -> str:
    if not names:
        return ""
    printable = [n if n.isprintable() and len(n) <= 200 else ascii(n[:200]) for n in names[:limit]]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{kind}: {', '.join(printable)}{more}"
