"""Weights for Keras 3: a .weights.h5 file that it reads into a model of the same architecture."""

from __future__ import annotations

from cnnfast.formats.atomic import atomic_write
from cnnfast.formats.hdf5_access import import_h5py
from cnnfast.formats.keras_hdf5 import VARIANT
from cnnfast.formats.keras_order import structural_leaves
from cnnfast.layers.base import Layer
from cnnfast.models import Model

KERAS_SUFFIX = ".weights.h5"
NO_VARIANT = "none"  # in a file of ours with weights of no variant


def write_keras_weights(model: Layer, path: str) -> None:
    """Writes the weights of a model as Keras 3 does, atomically.

    Each layer is called after its class and number within its model and has its weights by number,
    `layers/conv2d_1/vars/0`; the name that the user gave it stands beside them. An attribute of the file
    says the variant of a network of `applications`.

    Args:
        model: built; made of layers and models, as Keras' files are.
        path: ends in .weights.h5.

    Raises:
        ValueError: a layer made of layers in a way of its own.
        ImportError: h5py is not installed.
        OSError: the file cannot be written; an old one is untouched.
    """
    for layer in model.all_layers():
        if type(layer).call is not Model.call and any(True for _ in layer.sublayers()):
            raise ValueError(f"{path}: {layer.name} has a call of its own; Keras' files hold plain models only")
    h5py = import_h5py()
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as f:
        f.attrs[VARIANT] = getattr(model, "variant", None) or NO_VARIANT
        for place, layer in structural_leaves(model):
            variables = f.create_group(f"layers/{place.replace('/', '/layers/')}/vars")
            variables.attrs["name"] = layer.name
            for i, weight in enumerate(layer._weights):
                variables[str(i)] = weight.value
