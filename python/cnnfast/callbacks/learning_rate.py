"""Callbacks that change the learning rate: `LearningRateScheduler`, `ReduceLROnPlateau`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from cnnfast.callbacks.base import Callback, Logs
from cnnfast.callbacks.monitor import MonitorCallback, get_learning_rate, set_learning_rate


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch; it is in the logs as `learning_rate`.

    Args:
        schedule: function of the epoch, or of the epoch and the current learning rate, that gives the new
            one.
        verbose: 1 prints each change.

    Raises:
        ValueError: from `fit`, if the function gives no finite number.

    Example:
        >>> halve = LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _positional_arguments(schedule) != 1

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        rate = self.schedule(epoch, get_learning_rate(self.model)) if self._takes_rate else self.schedule(epoch)
        if isinstance(rate, (str, bool)) or not hasattr(rate, "__float__") or not math.isfinite(rate):
            raise ValueError(
                f"LearningRateScheduler: the schedule must give a finite number, epoch {epoch} gave {rate!r}"
            )
        set_learning_rate(self.model, float(rate))
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: learning rate {float(rate):.6g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = get_learning_rate(self.model)


def _positional_arguments(function: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 2
    required = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(required)


class ReduceLROnPlateau(MonitorCallback):
    """Lowers the learning rate when a result has stopped improving; it is in the logs as `learning_rate`.

    Args:
        monitor: the result to watch.
        factor: new rate over old rate, in (0, 1).
        patience: epochs without improvement after which the rate is lowered.
        verbose: 1 prints each change.
        mode: "auto", "min" or "max": which direction is better.
        min_delta: a smaller change is no improvement.
        cooldown: epochs after a change that do not count.
        min_lr: the rate never falls below this.
    """

    _STATE = ("wait", "cooldown_counter", "best")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, mode, min_delta)
        if not 0.0 < factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor must lie between 0 and 1, got {factor}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._forget()

    def _forget(self) -> None:
        self.wait = 0
        self.cooldown_counter = 0
        self.best: float | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = get_learning_rate(self.model)
        current = self.watched(logs)
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(current, self.best):
            self.best = current
            self.wait = 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        old = get_learning_rate(self.model)
        if old <= self.min_lr:
            return
        new = max(old * self.factor, self.min_lr)
        set_learning_rate(self.model, new)
        self._say(self.verbose, epoch, f"learning rate lowered to {new:.6g}")
        self.cooldown_counter = self.cooldown
        self.wait = 0

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._STATE}

    def set_state(self, state: dict[str, Any]) -> None:
        for name in self._STATE:
            setattr(self, name, state[name])
