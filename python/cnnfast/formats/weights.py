"""The weights of a model: their names in files, and how they get there and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cnnfast.formats import safetensors_io
from cnnfast.formats.document import WEIGHTS, arrays_under, document_of, read_document, variant_entry
from cnnfast.formats.fit import Fit
from cnnfast.formats.fit_keras import fit_by_layer_names, fit_h5, fit_keras3
from cnnfast.formats.fit_torch import fit_torch, is_torch_like
from cnnfast.formats.foreign import open_file, path_of, read_foreign
from cnnfast.formats.keras_writing import KERAS_SUFFIX, write_keras_weights
from cnnfast.formats.strict_json import short
from cnnfast.graph.values import Spec, Variable
from cnnfast.layers.base import Layer, snake_case


def save_weights(model: Layer, path: Any) -> None:
    """Writes the weights of a model to a .safetensors file, or to a .weights.h5 file for Keras 3, atomically.

    Args:
        model: built; weights that it shares are written once.
        path: ends in .safetensors or .weights.h5.

    Raises:
        ValueError: another ending, a model that has no weights yet, or (for Keras) that no file of Keras can hold.
        ImportError: a .weights.h5 file without h5py.
        OSError: the file cannot be written; an old one is untouched.

    Example:
        >>> save_weights(model, "digits.safetensors")
    """
    named = named_weights(model)
    if path_of(path).endswith(KERAS_SUFFIX):
        write_keras_weights(model, path_of(path))
    else:
        safetensors_io.write(path, _as_in_files(named), document_of("weights", **variant_entry(model)))


def load_weights(model: Layer, path: Any, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Sets the weights of a model from a file of this package, of Keras, PyTorch or NumPy.

    Files of `save_weights`, `save_model` and `save_checkpoint` fit models made by the same code. Those of Keras
    (.h5, .weights.h5, .keras) fit layer by layer in Keras' order; a PyTorch state dict (.pth, .pt) in the order of
    its modules, with layouts turned, first dense layers after Flatten included; `layer/kernel` arrays (.npz,
    .safetensors) by name, or from .npz in their order if no name is known. See docs/files.md.

    Args:
        model: built.
        path: the file.
        by_name: only layers whose names are in the file take weights, the others keep theirs. Default False: all
            layers take theirs, and the file must have no others.
        skip_mismatch: layers whose weights have other shapes or another number are skipped, with a warning. Default
            False.

    Raises:
        ValueError: not such a file, or weights that are missing, unexpected or of another shape or type; each
            is named, and no weight has changed.
        ImportError: an HDF5 file without h5py.
        OSError: the file cannot be read.

    Example:
        >>> save_weights(model, "digits.safetensors")
        >>> load_weights(model, "digits.safetensors")
    """
    name = path_of(path)
    weights = named_weights(model)  # says first whether the model has any
    if _is_ours(name):
        _load_ours(model, name, weights, by_name, skip_mismatch)
        return
    foreign = read_foreign(name)
    fit = Fit(name, model, skip_mismatch)
    if foreign.kind == "keras_h5":
        fit_h5(fit, foreign, by_name)
    elif foreign.kind == "keras3":
        fit_keras3(fit, foreign, by_name)
    elif foreign.kind == "torch" or is_torch_like(list(foreign.arrays)):
        fit_torch(fit, foreign, by_name)
    else:
        fit_by_layer_names(fit, foreign, by_name)
    fit.finish()


def _is_ours(name: str) -> bool:
    if not name.endswith(safetensors_io.SUFFIX):
        return False
    with open_file(name) as f:
        return safetensors_io.is_ours(f)


def _load_ours(model: Layer, name: str, weights: dict[str, Variable], by_name: bool, skip_mismatch: bool) -> None:
    if by_name:
        raise ValueError(
            f"{name}: by_name needs a file with the names of layers; files of cnnfast follow the structure"
        )
    arrays, _ = read_document(name, ("weights", "model", "checkpoint"))
    if skip_mismatch:
        fit = Fit(name, model, True)
        for key, variable in weights.items():
            fit.weight(key, variable, arrays.get(WEIGHTS + key))
        fit.finish()
        return
    check_weights(name, arrays, weights)
    set_weights(arrays, weights)


def weight_arrays(model: Layer) -> dict[str, np.ndarray]:
    """The weights of a model as a file holds them."""
    return _as_in_files(named_weights(model))


def _as_in_files(named: Mapping[str, Variable]) -> dict[str, np.ndarray]:
    return {WEIGHTS + name: variable.value for name, variable in named.items()}


def named_weights(model: Layer) -> dict[str, Variable]:
    """All weights of a model under names that depend on its structure alone, in the order of `model.weights`.

    Layers are counted by class within what holds them (`conv2d/kernel`, `conv2d_1/kernel`,
    `sequential/dense/bias`): automatic names go on counting through a process, so that one model made twice
    bears different ones.

    Raises:
        ValueError: a layer has no weights yet.
    """
    for layer in model.all_layers():
        if not layer.built:
            raise ValueError(
                f"{model.name}: layer {layer.name} has no weights yet; give the model an input shape or call it once"
            )
    named: dict[str, Variable] = {}
    _collect(model, "", named, set())
    return named


def _collect(layer: Layer, prefix: str, named: dict[str, Variable], seen: set[int]) -> None:
    seen.add(id(layer))
    own = _numbered((w.name.rsplit("/", 1)[-1], w) for w in layer._weights)
    named.update((prefix + name, variable) for name, variable in own.items())
    inside = {id(part): part for part in layer.sublayers() if id(part) not in seen}.values()
    for name, part in _numbered((snake_case(type(part).__name__), part) for part in inside).items():
        if id(part) not in seen:  # one of its siblings may hold it too
            _collect(part, f"{prefix}{name}/", named, seen)


def _numbered(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Things by name; a name that is taken gets the first number that makes it free: dense, dense_1, ..."""
    numbered: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for name, thing in pairs:
        unique = name
        while unique in numbered:
            counts[name] = counts.get(name, 0) + 1
            unique = f"{name}_{counts[name]}"
        numbered[unique] = thing
    return numbered


def check_fit(what: str, arrays: Mapping[str, np.ndarray], wanted: Mapping[str, Spec]) -> None:
    """Checks that a file has the wanted arrays and no others.

    Raises:
        ValueError: arrays that are missing, unexpected or of another shape or type; they are named.
    """
    found = {name: Spec(array.shape, array.dtype.name) for name, array in arrays.items()}
    different = [
        f"{name} has shape {found[name].shape} and type {found[name].dtype}, expected {spec.shape} and {spec.dtype}"
        for name, spec in wanted.items()
        if name in found and found[name] != spec
    ]
    problems = [
        _listed("missing", [name for name in wanted if name not in found]),
        _listed("unexpected", [name for name in found if name not in wanted]),
        _listed("different", different),
    ]
    if any(problems):
        raise ValueError(f"{what} do not fit the model: {'; '.join(p for p in problems if p)}")


def check_weights(what: str, arrays: Mapping[str, np.ndarray], weights: Mapping[str, Variable]) -> None:
    """ValueError unless a file holds exactly these weights."""
    check_fit(f"{what}: weights", arrays_under(WEIGHTS, arrays), {n: w.spec for n, w in weights.items()})


def set_weights(arrays: Mapping[str, np.ndarray], weights: Mapping[str, Variable]) -> None:
    """Takes over what `check_weights` let pass."""
    for name, weight in weights.items():
        weight.assign(arrays[WEIGHTS + name])


def _listed(kind: str, names: list[str], limit: int = 8) -> str:
    if not names:
        return ""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{kind}: {', '.join(_printable(n) for n in names[:limit])}{more}"


def _printable(name: str) -> str:
    return name if name.isprintable() and len(name) <= 200 else short(name)
