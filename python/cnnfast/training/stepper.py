"""One step at a time: the engine computes, the results are gathered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from cnnfast.graph.values import Spec
from cnnfast.losses import Loss
from cnnfast.training.batches import Batch
from cnnfast.training.compiled import Compiled, RunningResults
from cnnfast.training.sources import DEFAULT_BATCH_SIZE

#: samples whose shapes, and targets by metrics, are checked at once
_CHECKED_AT_ONCE = 256

StepResult = tuple[float, list[float], list[np.ndarray]]


class StepEngine(Protocol):
    """What computes the steps of a model.

    `xs`, `ys` and `weights` have one entry for each input or output; a target is None where there is no loss,
    a weight is None where nothing is weighed. Each call is one step, whatever the size of its batch.
    """

    policy: str | None  # how precisely steps are computed; None: as is set for all models

    def set_loss(self, losses: Sequence[Loss | None], weights: Sequence[float], optimizer: Any) -> None:
        """Losses and their weights per output, and the optimizer; told before steps and when they change."""

    def output_shapes(self, xs: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
        """The outputs' shapes for such inputs; builds the model if it is not built yet."""

    def train(self, xs: Sequence[np.ndarray], ys: Sequence[Any], weights: Sequence[Any]) -> StepResult:
        """Total loss (penalties included), losses per output and predictions, all before the update that it
        makes.

        Raises `NonFiniteLoss`, with nothing updated, if the total loss is NaN or infinite.
        """

    def test(self, xs: Sequence[np.ndarray], ys: Sequence[Any], weights: Sequence[Any]) -> StepResult:
        """The same in inference mode, without an update."""

    def predict(self, xs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs in inference mode."""


class Stepper:
    """Runs steps of a compiled model and keeps their results.

    Args:
        engine: computes the steps.
        optimizer: makes the updates.
        compiled: losses and metrics.
        output_names: gives the names of the model's outputs, none while they are not known.
    """

    def __init__(
        self,
        engine: StepEngine,
        optimizer: Any,
        compiled: Compiled,
        output_names: Callable[[], Sequence[str]],
    ):
        self.optimizer = optimizer
        self.compiled = compiled
        self._engine = engine
        self._output_names = output_names
        self._running: RunningResults | None = None
        self._predictions_checked = False
        if output_names():
            self._connect(output_names())

    def connect(self, batch: Batch) -> RunningResults:
        """Finds out, from inputs like those of `batch`, what the outputs are, if it is not known yet."""
        if self._running is None:
            count = len(self._engine.output_shapes(batch.xs))
            return self._connect(self._output_names() or [f"output_{i + 1}" for i in range(count)])
        return self._running

    def _connect(self, names: Sequence[str]) -> RunningResults:
        self._running = self.compiled.connect(names)
        self.take_engine()
        return self._running

    def take_engine(self) -> None:
        """Tells the engine the losses and the optimizer of this stepper."""
        if self._running is not None:
            self._engine.set_loss(self.compiled.losses, self.compiled.loss_weights, self.optimizer)

    def trial(self, optimizer: Any) -> Stepper:
        """Another stepper of the same engine, for the same losses with another optimizer and no metrics.

        It has the engine until this one calls `take_engine`.
        """
        return Stepper(self._engine, optimizer, self.compiled.without_metrics(), self._output_names)

    def train(self, batch: Batch, checked: bool = False) -> float:
        """A step of training; its loss. `NonFiniteLoss` if that is not a number.

        Before anything is updated the targets are checked, unless they are `checked` already.
        """
        if not checked:
            self.check("train_on_batch", batch)
        return self._run("train_on_batch", self._engine.train, batch)[0]

    def test(self, batch: Batch) -> list[np.ndarray]:
        """A step of evaluation; its predictions."""
        return self._run("test_on_batch", self._engine.test, batch)[2]

    def _run(self, op: str, compute: Callable[..., StepResult], batch: Batch) -> StepResult:
        running = self.connect(batch)
        ys, weights = self._targets(op, batch)
        result = compute(batch.xs, ys, weights)
        running.add_batch(result, ys, weights, batch.size)
        return result

    def check(self, op: str, batch: Batch) -> None:
        """Refuses targets and weights that a loss or a metric would refuse later.

        Whether a metric takes the model's predictions is found out once, from some of the first batch.
        """
        running = self.connect(batch)
        ys, weights = self._targets(op, batch)
        some = batch.part(slice(0, _CHECKED_AT_ONCE))
        shapes = self._engine.output_shapes(some.xs)
        for loss, y, weight, shape in zip(self.compiled.losses, ys, weights, shapes, strict=False):
            if loss is None or y is None or shape[0] != some.size:
                continue
            spec = Spec((batch.size, *shape[1:]))
            loss.targets(y, spec)
            if weight is not None:
                loss.weights(weight, spec)
        if batch.ys is None:
            return
        for start in range(0, batch.size, _CHECKED_AT_ONCE):
            part = batch.part(slice(start, start + _CHECKED_AT_ONCE))
            made_up = [np.broadcast_to(np.float32(0.5), (part.size, *shape[1:])) for shape in shapes]
            running.check(part.ys or [], made_up, part.weights)
        if running.refuse_predictions and not self._predictions_checked:
            some = batch.part(slice(0, DEFAULT_BATCH_SIZE))
            running.check(some.ys or [], self._engine.predict(some.xs), some.weights)
            self._predictions_checked = True

    def _targets(self, op: str, batch: Batch) -> tuple[Sequence[Any], Sequence[Any]]:
        if batch.ys is not None:
            return batch.ys, batch.weights
        if self.compiled.needs_targets:
            raise ValueError(f"{op}: the losses and metrics need targets, the data have x but no y")
        nothing = [None] * len(self.compiled.losses)
        return nothing, nothing

    def note_loss(self, loss: float, batch: Batch) -> None:
        """Adds the loss of a step that did not come about."""
        self.connect(batch).add_loss(loss, [loss] * len(self.compiled.losses), batch.size)

    @property
    def names(self) -> list[str]:
        """The names of the loss, the losses of the outputs if several, and the metrics as compiled."""
        return [] if self._running is None else self._running.names

    def results(self) -> dict[str, Any]:
        """The results since the last reset by name; empty if there was no step yet."""
        return {} if self._running is None else self._running.results()

    def reset(self) -> None:
        """Forgets the results."""
        if self._running is not None:
            self._running.reset()

    def direction(self, name: str) -> str | None:
        """ "up" or "down": in which direction a result is better; None if it is not known."""
        return None if self._running is None else self._running.direction(name)

    def get_state(self) -> Any:
        """The results since the last reset, in a form that `set_state` takes back."""
        return None if self._running is None else self._running.get_state()

    def set_state(self, state: Any) -> None:
        if self._running is not None and state is not None:
            self._running.set_state(state)
