"""Which of a layer's arrays in a file is which of its weights, where the file goes by other names than the layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnfast.layers.base import Layer

# What batch normalization's vectors, all of one shape, are called here and elsewhere (JAX's libraries, PyTorch, MXNet).
_SYNONYMS = {
    "gamma": {"gamma", "scale", "weight"},
    "beta": {"beta", "bias", "offset"},
    "moving_mean": {"moving_mean", "mean", "running_mean"},
    "moving_variance": {"moving_variance", "var", "variance", "running_var"},
}


def names_in_file(layer: Layer, arrays: Mapping[str, np.ndarray], ordered: bool = False) -> dict[str, str] | None:
    """The file's name of each weight of a layer.

    Args:
        layer: built.
        arrays: what the file has for it, by the file's names.
        ordered: whether the file keeps a layer's weights in the layer's own order, as Keras' HDF5 files do.

    Returns:
        {name here: name there}, without weights that are not there; None where neither names nor shapes nor the
        file's order say which is which: weights of one shape could be taken for each other.

    Example:
        >>> norm = layers.BatchNormalization()
        >>> norm.build((None, 2))
        >>> one = np.ones(2)
        >>> names_in_file(norm, {"bias": one, "mean": one, "scale": one, "var": one})["gamma"]
        'scale'
        >>> names_in_file(norm, {"a": one, "b": one, "c": one, "d": one}) is None
        True
    """
    own = [w.name.rsplit("/", 1)[-1] for w in layer._weights]
    if set(own) <= set(arrays):
        return {name: name for name in own}
    known = {name: found[0] for name in own if len(found := _candidates(name, arrays)) == 1}
    if len(known) == len(own):
        return known
    shapes = [w.shape for w in layer._weights]
    if ordered or len(set(shapes)) == len(shapes):
        return dict(zip(own, arrays, strict=False))
    return None


def _candidates(name: str, arrays: Mapping[str, np.ndarray]) -> Sequence[str]:
    return [there for there in arrays if there in _SYNONYMS.get(name, {name})]
