"""What `compile` was told, sorted by output: losses, their weights, metrics and their running values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnfast import losses, metrics
from cnnfast.losses import Loss
from cnnfast.metrics import Mean, Metric


class Compiled:
    """Losses and metrics of a compiled model.

    The arguments are those of `compile`. Names of losses are looked up at once; what depends on the outputs
    waits for `connect`, and the form of "accuracy" for the first batch.
    """

    def __init__(self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any):
        self._loss = _map(losses_get, loss)
        self._loss_weights = loss_weights
        self._metrics = (metrics, weighted_metrics)
        self.losses: list[Loss | None] = []
        self.loss_weights: list[float] = []
        self.needs_targets = False

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `compile`, losses as objects."""
        plain, weighted = self._metrics
        return {
            "loss": self._loss,
            "loss_weights": self._loss_weights,
            "metrics": plain,
            "weighted_metrics": weighted,
        }

    def without_metrics(self) -> Compiled:
        """The same losses, not connected yet."""
        return Compiled(self._loss, self._loss_weights, None, None)

    def connect(self, names: Sequence[str]) -> RunningResults:
        """Takes note of the outputs' names; what follows the results under them.

        Raises:
            ValueError: a name that no output has, or a list of the wrong length.
        """
        single = not isinstance(self._loss, (list, tuple, Mapping))
        self.losses = [self._loss] * len(names) if single else per_output("loss", self._loss, names)
        weights = per_output("loss_weights", self._loss_weights, names)
        self.loss_weights = [1.0 if w is None else float(w) for w in weights]
        plain, weighted = (
            [_as_list(m) for m in per_output(what, given, names, lists=True)]
            for what, given in zip(("metrics", "weighted_metrics"), self._metrics, strict=True)
        )
        self.needs_targets = any([*self.losses, *plain, *weighted])
        return RunningResults(names, self.losses, plain, weighted)


#: metrics whose form depends on the shapes of targets and predictions
_FORMS = ("accuracy", "acc")


class RunningResults:
    """The means of the losses and the metrics since the last reset, under the names they have in logs.

    Args:
        names: of the outputs.
        losses: per output, None where it has none.
        plain, weighted: metrics per output, without and with sample weights.
    """

    def __init__(
        self,
        names: Sequence[str],
        losses: Sequence[Loss | None],
        plain: Sequence[Sequence[Any]],
        weighted: Sequence[Sequence[Any]],
    ):
        several = len(names) > 1
        self._prefixes = [f"{name}_" if several else "" for name in names]
        self._loss_names = [None if loss is None else loss.name for loss in losses]
        self._wanted = [
            [*((m, False) for m in p), *((m, True) for m in w)] for p, w in zip(plain, weighted, strict=True)
        ]
        self._total = Mean(name="loss")
        self._parts: dict[int, Mean] = {}
        if sum(loss is not None for loss in losses) > 1:
            self._parts = {i: Mean(name=f"{name}_loss") for i, name in enumerate(names) if losses[i] is not None}
        self._metrics: list[tuple[str, int, bool, Metric]] | None = self._found(None, None)
        self._shapes: tuple[Sequence[Any], Sequence[Any]] | None = None
        if any(m.lower() in _FORMS for wanted in self._wanted for m, _ in wanted if isinstance(m, str)):
            self._metrics = None

    @property
    def metrics(self) -> list[Metric]:
        """The metrics in the order of `compile`; empty before "accuracy" has found its form."""
        return [metric for _, _, _, metric in self._metrics or []]

    @property
    def names(self) -> list[str]:
        """The names of the loss, the losses of the outputs, and the metrics in the order of `compile`."""
        return ["loss", *(m.name for m in self._parts.values()), *(name for name, *_ in self._metrics or [])]

    def direction(self, name: str) -> str | None:
        """ "up" or "down": in which direction the result of that name is better; None if unknown."""
        if name == "loss" or name.endswith("_loss"):
            return "down"
        return next((metric.direction for n, _, _, metric in self._metrics or [] if n == name), None)

    def reset(self) -> None:
        """Forgets all batches."""
        for metric in self._all():
            metric.reset_state()

    def add_loss(self, loss: float, parts: Sequence[float], size: int) -> None:
        """Adds the losses alone of a batch of `size` samples."""
        self._total.update_state(loss, size)
        for i, mean in self._parts.items():
            mean.update_state(parts[i], size)

    def add_batch(
        self,
        result: tuple[float, Sequence[float], Sequence[np.ndarray]],
        ys: Sequence[np.ndarray],
        weights: Sequence[np.ndarray | None],
        size: int,
    ) -> None:
        """Adds a batch of `size` samples: its losses, and its predictions to the metrics."""
        loss, losses, predictions = result
        if self._metrics is None:
            self._shapes = [y.shape for y in ys], [p.shape for p in predictions]
            self._metrics = self._found(*self._shapes)
        self.add_loss(loss, losses, size)
        for _, i, weighted, metric in self._metrics or []:
            metric.update_state(ys[i], predictions[i], weights[i] if weighted else None)

    @property
    def refuse_predictions(self) -> bool:
        """Whether a metric may refuse predictions for their values."""
        return any(metric.refuses_predictions for *_, metric in self._metrics or self._found(None, None))

    def check(self, ys: Sequence[Any], predictions: Sequence[np.ndarray], weights: Sequence[Any]) -> None:
        """Raises what a metric would raise for this batch; changes nothing."""
        found = self._metrics
        if found is None:  # not kept: targets that are refused must not decide the form of "accuracy"
            found = self._found([y.shape for y in ys], [p.shape for p in predictions])
        for _, i, weighted, metric in found:
            metric.check(ys[i], predictions[i], weights[i] if weighted else None)

    def results(self) -> dict[str, Any]:
        """The results of the batches since the last reset by name, in alphabetical order as in logs."""
        found = {"loss": self._total.result(), **{m.name: m.result() for m in self._parts.values()}}
        found.update((name, metric.result()) for name, _, _, metric in self._metrics or [])
        return {name: _plain(found[name]) for name in sorted(found)}

    def get_state(self) -> dict[str, Any]:
        """The numbers and arrays inside the means and metrics."""
        sums = [{k: v for k, v in vars(metric).items() if isinstance(v, (float, np.ndarray))} for metric in self._all()]
        return {"shapes": self._shapes, "sums": sums}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Puts back what `get_state` gave."""
        if state["shapes"] is not None:
            targets, predictions = state["shapes"]
            self._shapes = [tuple(s) for s in targets], [tuple(s) for s in predictions]
            self._metrics = self._found(*self._shapes)
        for metric, sums in zip(self._all(), state["sums"], strict=True):
            for key, value in sums.items():
                old = vars(metric).get(key)
                if isinstance(old, np.ndarray):
                    setattr(metric, key, np.array(value, old.dtype))
                elif isinstance(old, float):
                    setattr(metric, key, float(value))

    def _all(self) -> list[Metric]:
        return [self._total, *self._parts.values(), *self.metrics]

    def _found(
        self, y_shapes: Sequence[Any] | None, shapes: Sequence[Any] | None
    ) -> list[tuple[str, int, bool, Metric]]:
        """Name, number of the output, whether weighted, and metric, for targets and predictions of these shapes."""
        found: list[tuple[str, int, bool, Metric]] = []
        for i, wanted in enumerate(self._wanted):
            for identifier, weighted in wanted:
                y_shape, shape = (y_shapes[i] if y_shapes else None), (shapes[i] if shapes else None)
                metric = metrics.get(identifier, y_shape, shape, self._loss_names[i])
                name = self._prefixes[i] + metric.name
                if weighted and any(name == other for other, *_ in found):
                    name = f"{self._prefixes[i]}weighted_{metric.name}"  # as Keras calls the second of the two
                found.append((name, i, weighted, metric))
        names = [name for name, *_ in found]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"compile: metrics must have different names, {names.count(name)} are called {name!r}")
        return found


def losses_get(identifier: Any) -> Loss | None:
    """The loss that a name, an object or a function means; None stays None."""
    return None if identifier is None else losses.get(identifier)


def per_output(what: str, given: Any, names: Sequence[str], lists: bool = False) -> list[Any]:
    """One entry of an argument of `compile` for each output.

    Args:
        what: the argument's name, for messages.
        given: None, a dict by output, a list by output, or the entry of the only output.
        names: of the outputs.
        lists: whether the entry of an output may itself be a list.

    Raises:
        ValueError: an unknown name, or not as many entries as outputs.
    """
    if given is None or (lists and isinstance(given, (list, tuple)) and not given):
        return [None] * len(names)
    if isinstance(given, Mapping) and not {"class_name", "config"} <= given.keys():
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise ValueError(f"compile: {what} has no output named {unknown[0]!r}; the outputs are {list(names)}")
        return [given.get(name) for name in names]
    nested = isinstance(given, (list, tuple)) and all(isinstance(g, (list, tuple)) for g in given)
    if len(names) == 1 and (not isinstance(given, (list, tuple)) or (lists and not nested)):
        return [given]
    if not isinstance(given, (list, tuple)) or len(given) != len(names):
        count = len(given) if isinstance(given, (list, tuple)) else 1
        raise ValueError(f"compile: {what} expects {len(names)} entries, one for each of {list(names)}, got {count}")
    return list(given)


def _map(function: Any, given: Any) -> Any:
    """Applies a function to the entries of a list or dict by output, or to the only one."""
    if isinstance(given, (list, tuple)):
        return [function(g) for g in given]
    if isinstance(given, Mapping) and not {"class_name", "config"} <= given.keys():
        return {name: function(g) for name, g in given.items()}
    return function(given)


def _as_list(entry: Any) -> list[Any]:
    if entry is None:
        return []
    return list(entry) if isinstance(entry, (list, tuple)) else [entry]


def _plain(result: Any) -> Any:
    """A float where the result is one number, an array where it has more."""
    return float(result) if np.ndim(result) == 0 else np.asarray(result)
