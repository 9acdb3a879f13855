"""What an optimizer has gathered while training, as files hold it: slots of weights, and a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnfast.formats.document import SLOTS, arrays_under
from cnnfast.formats.strict_json import member, only_keys, short
from cnnfast.formats.weights import check_fit
from cnnfast.graph.values import Variable
from cnnfast.optimizers import OPTIMIZERS, Optimizer

_MAX_ITERATIONS = 2**53  # up to here a float counts exactly


def slot_arrays(optimizer: Optimizer, weights: Mapping[str, Variable]) -> dict[str, np.ndarray]:
    """The slots of all weights that were trained, as a file holds them."""
    return {
        f"{SLOTS}{name}/{slot}": value.value
        for name, weight in weights.items()
        for slot, value in optimizer.slots_of(weight).items()
    }


def check_slots(
    what: str, arrays: Mapping[str, np.ndarray], optimizer: Optimizer, weights: Mapping[str, Variable]
) -> None:
    """ValueError unless a file holds exactly an optimizer's slots, for those weights that were trained."""
    found = arrays_under(SLOTS, arrays)
    wanted = {
        f"{name}/{slot}": spec
        for name, weight in _trained(arrays, weights).items()
        for slot, spec in optimizer.slot_specs(weight).items()
    }
    check_fit(f"{what}: the optimizer's slots", found, wanted)


def set_slots(arrays: Mapping[str, np.ndarray], optimizer: Optimizer, weights: Mapping[str, Variable]) -> None:
    """Takes over what `check_slots` let pass."""
    trained = _trained(arrays, weights)
    optimizer.build(list(trained.values()))
    for name, weight in trained.items():
        for slot, variable in optimizer.slots_of(weight).items():
            variable.assign(arrays[f"{SLOTS}{name}/{slot}"])


def _trained(arrays: Mapping[str, np.ndarray], weights: Mapping[str, Variable]) -> dict[str, Variable]:
    """The weights for which a file has slots."""
    names = {name.rsplit("/", 1)[0] for name in arrays_under(SLOTS, arrays)}
    return {name: weight for name, weight in weights.items() if name in names}


def describe_numbers(optimizer: Optimizer) -> dict[str, Any]:
    """The kind of optimizer, its steps so far and its learning rate (None if that follows a schedule)."""
    return {
        "class_name": OPTIMIZERS.name_of(type(optimizer)) or type(optimizer).__name__,
        "iterations": optimizer.iterations,
        "learning_rate": optimizer.learning_rate if optimizer.schedule is None else None,
    }


def check_numbers(what: str, numbers: Any, optimizer: Optimizer) -> None:
    """ValueError unless `numbers`, perhaps hostile, describe an optimizer like this one."""
    mine = describe_numbers(optimizer)
    only_keys(what, numbers, set(mine))
    kind = member(what, numbers, "class_name", str)
    if kind != mine["class_name"]:
        raise ValueError(f"{what} is of {short(kind)}, the model is compiled with {mine['class_name']!r}")
    check_iterations(what, numbers)
    if (numbers.get("learning_rate") is None) != (mine["learning_rate"] is None):
        raise ValueError(f"{what} and the optimizer of the model do not agree on whether there is a schedule")
    if mine["learning_rate"] is not None and member(what, numbers, "learning_rate", float) < 0:
        raise ValueError(f"{what}: learning_rate must be at least 0, got {numbers['learning_rate']}")


def check_iterations(what: str, numbers: Any) -> int:
    """The number of steps in a description. ValueError if it is none."""
    iterations = member(what, numbers, "iterations", int)
    if not 0 <= iterations <= _MAX_ITERATIONS:
        raise ValueError(f"{what}: iterations must lie in [0, 2**53], got {iterations}")
    return iterations


def set_numbers(optimizer: Optimizer, numbers: Mapping[str, Any]) -> None:
    """Takes over numbers that `check_numbers` let pass."""
    optimizer.iterations = numbers["iterations"]
    if numbers["learning_rate"] is not None:
        optimizer.learning_rate = numbers["learning_rate"]
