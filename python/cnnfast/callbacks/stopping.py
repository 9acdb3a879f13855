"""Callbacks that end training: `EarlyStopping`, `TerminateOnNaN`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnfast.callbacks.base import Callback, Logs
from cnnfast.callbacks.monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Stops training when a result has not improved for a while (Prechelt 1998, "Early Stopping - But
    When?").

    Args:
        monitor: the result to watch.
        min_delta: a smaller change is no improvement.
        patience: epochs without improvement after which training stops.
        verbose: 1 prints when it stops.
        mode: "auto", "min" or "max": which direction is better.
        baseline: improvements to results that are no better than this do not renew the patience.
        restore_best_weights: at the end the model gets back the weights of its best epoch.
        start_from_epoch: earlier epochs are ignored.

    Example:
        >>> stop = EarlyStopping(patience=3, restore_best_weights=True)
    """

    _STATE = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._forget()

    def _forget(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        current = self.watched(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep(epoch)
        self.wait += 1
        if self.improves(current, self.best):
            self.best = current
            self._keep(epoch)
            if self.baseline is None or self.improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0:
            self._say(self.verbose, self.stopped_epoch, "early stopping")
        if self.best_weights is not None:
            self._say(self.verbose, self.best_epoch, "was the best; the model has its weights")
            self.model.set_weights(self.best_weights)

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._STATE}

    def set_state(self, state: dict[str, Any]) -> None:
        for name in self._STATE:
            setattr(self, name, state[name])


class TerminateOnNaN(Callback):
    """Stops training when the loss of a batch is NaN or infinite; the weights are those before that batch.

    Args:
        raise_error: let `fit` raise `NonFiniteLoss` instead, as it does without this callback.
    """

    def __init__(self, raise_error: bool = False):
        super().__init__()
        self.accepts_non_finite_loss = not raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"\nBatch {batch + 1}: the loss is {loss}, training stops")
            self.model.stop_training = True
