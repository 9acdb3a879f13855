"""What a model was compiled with, as JSON: optimizer, losses, metrics by the names of their classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnfast import losses, metrics, optimizers
from cnnfast.formats.optimizer_state import check_iterations, check_slots, set_slots, slot_arrays
from cnnfast.formats.strict_json import member, of_kind, only_keys, short
from cnnfast.formats.weights import named_weights
from cnnfast.models import Model

_KEYS = {"optimizer", "iterations", "without_decay", "loss", "loss_weights", "metrics", "weighted_metrics"}


def describe_compilation(model: Model, include_optimizer: bool) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """How a model was compiled, and the slots of its optimizer by their names in files.

    Args:
        model: compiled or not; if not, there is nothing to describe.
        include_optimizer: whether the optimizer's slots and steps belong to it.

    Warns:
        UserWarning: a loss, metric or schedule is a function of the program's own, which no file can hold;
            the model is then saved as if it were not compiled.
    """
    if not model.compiled:
        return None, {}
    weights = named_weights(model)
    try:
        description = {
            "optimizer": optimizers.serialize(model.optimizer),
            "iterations": model.optimizer.iterations if include_optimizer else 0,
            "without_decay": [name for name, w in weights.items() if not model.optimizer.decays(w)],
            **{key: _mapped(_DESCRIBE[key], value) for key, value in model.compile_arguments().items()},
        }
    except ValueError as error:
        warnings.warn(
            f"{model.name}: saved without what it was compiled with, compile it again after loading: {error}",
            stacklevel=4,
        )
        return None, {}
    return description, slot_arrays(model.optimizer, weights) if include_optimizer else {}


def compile_as_described(name: str, model: Model, description: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Compiles a model as the file `name` says, perhaps a hostile one, and puts the optimizer's state back.

    Raises:
        ValueError: an unknown class, arguments that do not fit it, or slots that do not fit the weights.
    """
    if description is None:
        return
    what = f"{name}: the training configuration"
    only_keys(what, of_kind(what, description, dict), _KEYS)
    iterations = check_iterations(what, description)
    weights = named_weights(model)
    without_decay = member(what, description, "without_decay", list)
    if unknown := [n for n in without_decay if not isinstance(n, str) or n not in weights]:
        raise ValueError(f"{what} names weights that the model does not have: {short(unknown)}")
    try:
        optimizer = optimizers.get(member(what, description, "optimizer", dict))
        model.compile(optimizer, **{key: _mapped(read, description.get(key)) for key, read in _READ.items()})
    except Exception as error:  # whatever a class makes of hostile arguments, to the reader it is a bad file
        message = str(error) or type(error).__name__
        raise ValueError(f"{what}: {message} (with compile=False the model can be loaded without it)") from error
    optimizer.exclude_from_weight_decay([weights[n] for n in without_decay])
    check_slots(name, arrays, optimizer, weights)
    set_slots(arrays, optimizer, weights)
    optimizer.iterations = iterations


def _mapped(function: Callable[[Any], Any], given: Any) -> Any:
    """Applies a function to what stands in lists, in dicts by output, or alone."""
    if isinstance(given, (list, tuple)):
        return [_mapped(function, g) for g in given]
    if isinstance(given, Mapping) and not {"class_name", "config"} <= given.keys():
        return {str(name): _mapped(function, g) for name, g in given.items()}
    return None if given is None else function(given)


def _describe_metric(metric: Any) -> Any:
    if isinstance(metric, str):
        return metric
    if not isinstance(metric, metrics.Metric):
        raise ValueError(f"metric {metric!r} is a function")
    return metrics.serialize(metric)


def _read_loss(description: Any) -> losses.Loss:
    return losses.get(of_kind("a loss", description, dict))


def _read_metric(description: Any) -> Any:
    """A metric; "accuracy" stays a name until the shapes of the targets are known."""
    if isinstance(description, str):
        metrics.get(description)  # refuses what is unknown now instead of at the first batch
        return description
    return metrics.get(of_kind("a metric", description, dict))


def _number(value: Any) -> float:
    return of_kind("a loss weight", value, float)


_DESCRIBE: dict[str, Callable[[Any], Any]] = {
    "loss": losses.serialize,
    "loss_weights": float,
    "metrics": _describe_metric,
    "weighted_metrics": _describe_metric,
}
_READ: dict[str, Callable[[Any], Any]] = {
    "loss": _read_loss,
    "loss_weights": _number,
    "metrics": _read_metric,
    "weighted_metrics": _read_metric,
}
