"""Checkpoints: all that training needs to go on as if it had never been interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnfast import random
from cnnfast.formats import safetensors_io
from cnnfast.formats.document import EXTRA, arrays_under, document_of, read_document
from cnnfast.formats.optimizer_state import (
    check_numbers,
    check_slots,
    describe_numbers,
    set_numbers,
    set_slots,
    slot_arrays,
)
from cnnfast.formats.strict_json import member
from cnnfast.formats.weights import check_weights, named_weights, set_weights, weight_arrays
from cnnfast.models import Model


def save_checkpoint(
    path: Any,
    model: Model,
    *,
    epoch: int,
    extra: Mapping[str, Any] | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes the state of training to one .safetensors file, atomically.

    It holds the weights (moving statistics included), the slots, steps and learning rate of the optimizer,
    and the state of the process-wide random generator. After `load_checkpoint` training goes on bit for bit
    as it would have.

    Args:
        path: ends in .safetensors.
        model: built; compiled or not.
        epoch: how many epochs are done.
        extra: what the caller wants to keep, as JSON can hold it. Default: nothing.
        arrays: arrays that the caller wants to keep, by name. Default: none.

    Raises:
        ValueError: another ending, a negative epoch, weights that are not there yet, or an `extra` that JSON
            cannot hold.
        OSError: the file cannot be written; an old one is untouched.

    Example:
        >>> save_checkpoint("latest.safetensors", model, epoch=3)
        >>> load_checkpoint("latest.safetensors", model)
        (3, {}, {})
    """
    if isinstance(epoch, bool) or not hasattr(epoch, "__index__") or int(epoch) < 0:
        raise ValueError(f"save_checkpoint: epoch must be a whole number of at least 0, got {epoch!r}")
    state = {**weight_arrays(model), **{EXTRA + name: np.asarray(a) for name, a in (arrays or {}).items()}}
    numbers = None
    if model.optimizer is not None:
        state |= slot_arrays(model.optimizer, named_weights(model))
        numbers = describe_numbers(model.optimizer)
    document = document_of(
        "checkpoint", epoch=int(epoch), extra=dict(extra or {}), optimizer=numbers, random=random.get_state()
    )
    safetensors_io.write(path, state, document)


def load_checkpoint(path: Any, model: Model) -> tuple[int, dict[str, Any], dict[str, np.ndarray]]:
    """Puts a model, its optimizer and the random generator into the state that `save_checkpoint` wrote.

    Args:
        path: the file.
        model: of the same structure, built; compiled with the same kind of optimizer, if the file holds one's
            state.

    Returns:
        The number of epochs that were done, `extra`, and the arrays that were saved beside it.

    Raises:
        ValueError: a damaged file, or a state that does not fit the model. Nothing has changed then.
        OSError: the file cannot be read.
    """
    found, document = read_document(path, ("checkpoint",))
    epoch = member(f"{path}", document, "epoch", int)
    extra = member(f"{path}", document, "extra", dict)
    random_state = member(f"{path}", document, "random", dict)
    if epoch < 0:
        raise ValueError(f"{path}: epoch must be at least 0, got {epoch}")
    weights = named_weights(model)
    check_weights(f"{path}", found, weights)
    numbers = document.get("optimizer")
    if numbers is not None:
        if model.optimizer is None:
            raise ValueError(f"{path} holds the state of an optimizer: compile the model before loading it")
        check_numbers(f"{path}: the optimizer", numbers, model.optimizer)
        check_slots(f"{path}", found, model.optimizer, weights)
    _set_random_state(f"{path}", random_state)  # the last that can refuse; what follows was checked
    set_weights(found, weights)
    if numbers is not None:
        set_slots(found, model.optimizer, weights)
        set_numbers(model.optimizer, numbers)
    return epoch, extra, arrays_under(EXTRA, found)


def _set_random_state(name: str, state: dict[str, Any]) -> None:
    try:
        random.set_state(state)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
