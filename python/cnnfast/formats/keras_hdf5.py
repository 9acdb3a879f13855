"""Weights that Keras wrote: .h5 of Keras 1 and 2, .weights.h5 and .keras of Keras 3.

A .h5 file lists its layers in the attribute `layer_names` and each layer's weights in `weight_names`; a file with a
whole model has all that in the group `model_weights`. A .weights.h5 file follows the structure of the model instead:
`layers/conv2d_1/vars/0`, where the layer is named after its class and number and `vars` may bear the name that the
user knows. A .keras file is a zip file around the latter. The description of the model, JSON that could name any
code, is never read.
Source: keras/src/legacy/saving/legacy_h5_format.py and keras/src/saving/saving_lib.py of https://github.com/keras-team/keras.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from cnnfast.formats.contents import Contents, Refused, put
from cnnfast.formats.hdf5_access import Group, Hdf5File
from cnnfast.formats.strict_json import short
from cnnfast.formats.zip_archive import ZipArchive

_LAYERS = ("layers", "_layer_checkpoint_dependencies")  # the latter in files of TensorFlow 2.12 and 2.13
_NO_WEIGHTS = {"optimizer", "metrics", "compile_metrics", "loss_tracker", "seed_generator"}
VARIANT = "cnnfast_variant"  # the attribute in which this package says whose weights a file holds
_KERAS_ENTRY = "model.weights.h5"


def read_h5(file: BinaryIO, size: int, outer: int | None = None) -> Contents:
    """The weights in an HDF5 file of any Keras, perhaps unpacked from a file of `outer` bytes.

    Raises:
        ValueError: it has no such weights, or refuses to be read.
    """
    with Hdf5File(file, size, outer) as h5:
        root = h5.root
        if "model_weights" in root:
            root = root.group("model_weights")
        layers = root.texts("layer_names")
        if layers is not None:
            return _by_layer_names(root, layers)
        if not any(name in root for name in (*_LAYERS, "vars")) and not _has_vars(root):
            raise Refused("an HDF5 file, but not one with weights of Keras: it has neither layer_names nor layers/")
        contents = _by_structure(root)
        contents.variant = root.text(VARIANT)
        return contents


def read_keras(file: BinaryIO, size: int) -> Contents:
    """The weights in a .keras file. ValueError if there are none, or in another form than HDF5."""
    archive = ZipArchive(file, size)
    if _KERAS_ENTRY not in archive.names:
        raise Refused(f"a zip file, but not one that Keras saved: it has no {_KERAS_ENTRY}")
    weights = archive.read(_KERAS_ENTRY)
    return read_h5(io.BytesIO(weights), len(weights), size)


# Keras 1 and 2


def _by_layer_names(root: Group, layers: list[str]) -> Contents:
    contents = Contents("keras_h5", {})
    for layer in layers:
        group = root.group(layer)
        for weight in group.texts("weight_names") or []:
            name = _array_name(layer, weight)
            put(contents.arrays, name, group.array(weight))
            contents.structure[name] = layer
    return contents


def _array_name(layer: str, weight: str) -> str:
    """ "layer/weight" for the many ways in which a weight has been named within its layer's group.

    `kernel:0`, `conv1/kernel:0`, `model/conv1/kernel:0` and, of the layer `fire2/conv1`, `fire2/conv1_W:0` all belong
    to the layer itself; `block1_conv1/kernel:0` and `vgg16/block1_conv1/kernel:0` to a layer of the model `vgg16`.
    """
    weight = re.sub(r":\d+$", "", weight)
    owner, _, last = weight.rpartition("/")
    if not owner or owner == layer or owner.endswith(f"/{layer}") or layer.startswith(f"{owner}/"):
        return f"{layer}/{last}"
    return f"{layer}/{weight.removeprefix(f'{layer}/')}"


# Keras 3


def _by_structure(root: Group) -> Contents:
    arrays: dict[str, np.ndarray] = {}
    structure: dict[str, str] = {}
    for path, name, variables in _layers_with_variables(root, "", ""):
        for number in sorted(variables.names(), key=_number):
            array_name = f"{name}/{number}"
            if array_name in arrays:  # the names given by users are only hints; what the structure says is unique
                array_name = f"{path}/{number}"
            put(arrays, array_name, variables.array(number))
            structure[array_name] = f"{path}/{number}"
    return Contents("keras3", arrays, structure)


def _layers_with_variables(group: Group, path: str, name: str) -> Iterator[tuple[str, str, Group]]:
    """Each layer that has variables: its path in the structure, the same with the users' names, its variables."""
    if "vars" in group:
        yield path or "vars", name or "vars", group.group("vars")
    for key, inner in sorted(group.children(), key=lambda child: _natural(child[0])):
        if key == "vars" or key in _NO_WEIGHTS:
            continue
        if key in _LAYERS:
            yield from _layers_with_variables(inner, path, name)
            continue
        own = inner.group("vars").text("name") if "vars" in inner else None
        yield from _layers_with_variables(inner, _joined(path, key), _joined(name, own or key))


def _has_vars(root: Group) -> bool:
    """Whether it may be the file of a model whose class keeps its layers as attributes."""
    return any("vars" in inner for _, inner in root.children())


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _number(name: str) -> int:
    if not re.fullmatch(r"\d{1,6}", name):
        raise Refused(f"a variable of Keras 3 is named by its number, got {short(name)}")
    return int(name)


def _natural(name: str) -> tuple[str, int]:
    """A key that sorts conv2d, conv2d_1, ..., conv2d_10 as they are counted."""
    found = re.fullmatch(r"(.*)_(\d{1,9})", name)
    return (found[1], int(found[2])) if found else (name, 0)
