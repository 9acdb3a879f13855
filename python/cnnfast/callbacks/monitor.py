"""What callbacks that watch a result have in common: which direction is better, and by how much."""

from __future__ import annotations

import math
import warnings
from typing import Any

from cnnfast.callbacks.base import Callback, Logs


class MonitorCallback(Callback):
    """Base of callbacks that watch one of the results.

    Args:
        monitor: its name in the logs, as `val_loss`.
        mode: "min", "max", or "auto": losses fall, and a metric knows its direction.
        min_delta: a smaller change is no improvement.

    Raises:
        ValueError: an unknown mode; and from `fit`, if "auto" cannot tell the direction.
    """

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)

    def watched(self, logs: Logs | None) -> float | None:
        """The watched result; None, with a warning, if it is not there."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            names = ", ".join(logs or {})
            warnings.warn(f"{type(self).__name__}: there is no {self.monitor!r} in the logs: {names}", stacklevel=3)
            return None
        return float(value)

    def improves(self, value: float, best: float | None) -> bool:
        """Whether `value` is better than `best` by more than `min_delta`; NaN never, any number than None."""
        if math.isnan(value):
            return False
        if best is None or math.isnan(best):
            return True
        return value + self.min_delta < best if self._falls() else value - self.min_delta > best

    def _falls(self) -> bool:
        if self.mode == "auto":
            name = self.monitor.removeprefix("val_")
            direction = self.model.fit_loop.direction(name)
            if direction is None:
                raise ValueError(
                    f"{type(self).__name__}: it is not known whether {self.monitor!r} should fall or rise; "
                    "give mode='min' or mode='max'"
                )
            self.mode = "min" if direction == "down" else "max"
        return self.mode == "min"

    def _say(self, verbose: int, epoch: int, text: str) -> None:
        """Prints a line about an epoch, on a line of its own below the progress bar."""
        if verbose:
            print(f"\nEpoch {epoch + 1}: {text}")


def get_learning_rate(model: Any) -> float:
    """The learning rate that the optimizer uses now."""
    return float(model.optimizer.learning_rate)


def set_learning_rate(model: Any, rate: float) -> None:
    """Sets it. TypeError if the optimizer follows a schedule, which would be lost."""
    if model.optimizer.schedule is not None:
        raise TypeError(
            f"callbacks: the learning rate follows {model.optimizer.schedule!r} and cannot be set; "
            "give the optimizer a number"
        )
    model.optimizer.learning_rate = rate
