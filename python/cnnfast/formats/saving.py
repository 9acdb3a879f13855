"""A whole model in one file: architecture, weights, and what it was compiled with."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.formats import safetensors_io
from cnnfast.formats.architecture import CustomObjects, model_config, model_from_config
from cnnfast.formats.compilation import compile_as_described, describe_compilation
from cnnfast.formats.document import WEIGHTS, arrays_under, document_of, network_entries, read_document
from cnnfast.formats.strict_json import member
from cnnfast.formats.weights import check_weights, named_weights, set_weights, weight_arrays
from cnnfast.layers.base import initial_values_from
from cnnfast.layers.preprocessing import mode_of
from cnnfast.models import Model
from cnnfast.training.class_names import checked_class_names


def save_model(model: Model, path: Any, *, include_optimizer: bool = True) -> None:
    """Writes a model to one .safetensors file, atomically: weights as arrays, the rest as JSON beside them (its layers,
    what it was compiled with, the names of its classes).

    Args:
        model: made of layers and ops alone; a class with a `call` of its own cannot be saved whole.
        path: ends in .safetensors.
        include_optimizer: whether the optimizer's state is written too, so that training can go on where it
            was.

    Raises:
        ValueError: another ending, weights that are not there yet, or a layer, op or argument that cannot be
            written.
        OSError: the file cannot be written; an old one is untouched.

    Example:
        >>> save_model(model, "digits.safetensors")
        >>> again = load_model("digits.safetensors")
        >>> np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
        True
    """
    name = safetensors_io.checked_path(path)
    training, state = describe_compilation(model, include_optimizer)
    names = {} if model.class_names is None else {"class_names": model.class_names}
    document = document_of(
        "model", architecture=model_config(model), training=training, **names, **network_entries(model)
    )
    safetensors_io.write(name, weight_arrays(model) | state, document)


def load_model(filepath: Any, custom_objects: CustomObjects | None = None, compile: bool = True) -> Model:
    """The model in a file that `save_model` wrote; compiled if it was.

    Nothing in the file is executed: names can only mean the package's own layers, losses, metrics and
    optimizers and those registered by the program. No more memory is taken for weights than the file holds.

    Args:
        filepath: ends in .safetensors.
        custom_objects: layers of one's own by class name, besides those registered with `layers.register`.
        compile: whether to compile the model as it was when it was saved.

    Raises:
        ValueError: another ending, a damaged file, an unknown layer, arguments or weights that do not fit.
        OSError: the file cannot be read.

    Example:
        >>> model.save("digits.safetensors")
        >>> model = load_model("digits.safetensors")
    """
    name = safetensors_io.checked_path(filepath)
    arrays, document = read_document(name, ("model",))
    architecture = member(name, document, "architecture", dict)
    class_names = _class_names(name, document)
    variant, preprocessing = _variant(name, document), _preprocessing(name, document)
    budget = _Budget(sum(a.nbytes for a in arrays_under(WEIGHTS, arrays).values()))
    try:
        with initial_values_from(budget):
            model = model_from_config(architecture, custom_objects)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    weights = named_weights(model)
    check_weights(name, arrays, weights)
    set_weights(arrays, weights)
    model.class_names, model.variant, model.preprocessing = class_names, variant, preprocessing
    if compile:
        compile_as_described(name, model, document.get("training"), arrays)
    return model


def _class_names(name: str, document: dict[str, Any]) -> list[str] | None:
    if "class_names" not in document:
        return None
    names = member(name, document, "class_names", list)
    try:
        return checked_class_names(f"{name}: 'class_names'", names)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _variant(name: str, document: dict[str, Any]) -> str | None:
    if "variant" not in document:
        return None
    variant = member(name, document, "variant", str)
    if not re.fullmatch(r"[\w.-]{1,40}", variant, re.ASCII):
        raise ValueError(f"{name}: 'variant' must be a name of up to 40 letters, digits, dots or dashes")
    return variant


def _preprocessing(name: str, document: dict[str, Any]) -> str | None:
    if "preprocessing" not in document:
        return None
    mode = member(name, document, "preprocessing", str)
    mode_of(f"{name}: 'preprocessing'", mode)
    return mode


class _Budget:
    """Makes the weights of a model that is being read, as many as the file has bytes for.

    An architecture of a few bytes can ask for any number of weights; this refuses before they are allocated.
    """

    def __init__(self, left: int):
        self._left = left

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        needed = math.prod(shape) * np.dtype(np.float32).itemsize
        if needed > self._left:
            raise ValueError(f"weights of shape {tuple(shape)} need {needed} bytes, the file has {self._left} left")
        self._left -= needed
        return np.zeros(tuple(shape), np.float32)
