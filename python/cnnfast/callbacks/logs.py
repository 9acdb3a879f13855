"""Callbacks that keep or show results: `History`, `ProgbarLogger`, `CSVLogger`."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.callbacks.base import Callback, Logs
from cnnfast.training.progress import ProgressBar


class History(Callback):
    """The results of all epochs; `fit` adds one and returns it.

    Attributes:
        epoch: numbers of the epochs.
        history: lists of results by name, one entry for each epoch that had it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch, self.history = [], {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def get_state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "history": self.history}

    def set_state(self, state: dict[str, Any]) -> None:
        self.epoch = list(state["epoch"])
        self.history = {name: list(values) for name, values in state["history"].items()}


class ProgbarLogger(Callback):
    """Prints the progress of `fit`, `evaluate` and `predict`; added by them unless `verbose=0`.

    `verbose=1` draws a bar that moves, on a terminal; `verbose=2`, or an output that is no terminal, prints
    one plain line for each epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar: ProgressBar | None = None
        self._training = False
        self._done = 0
        self._steps: int | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._training = True
        self._steps = self.params.get("steps")

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._training = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._open(f"Epoch {epoch + 1}/{self.params.get('epochs', '?')}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._update(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._close(logs)
        self._steps = self._steps or self._done

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._steps = self.params.get("steps")
            self._open(None)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._training:
            self._update(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._training:
            self._close(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._steps = self.params.get("steps")
        self._open(None)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._update(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._close(None)

    def _open(self, title: str | None) -> None:
        self._done = 0
        self._bar = ProgressBar(self._steps, title, live=self.params.get("verbose") != 2)

    def _update(self, batch: int, logs: Logs | None) -> None:
        self._done = batch + 1
        if self._bar is not None:
            self._bar.update(self._done, logs or {})

    def _close(self, logs: Logs | None) -> None:
        if self._bar is not None:
            self._bar.finish(self._done, logs or {})
            self._bar = None


class CSVLogger(Callback):
    """Writes the results of each epoch as a line of a CSV file.

    The columns are `epoch` and the names of the first epoch's results, in alphabetical order; what an epoch
    lacks is written as NA. The file is whole and closed after each epoch.

    Args:
        filename: the file.
        separator: between columns.
        append: go on with an existing file instead of replacing it.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        super().__init__()
        self.filename = Path(os.path.expanduser(filename))
        self.separator = separator
        self.append = append
        self._keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        begins = self._keys is None
        if begins:
            self._keys = self._columns(logs)
        replaces = begins and not self.append
        has_header = not replaces and self.filename.exists() and self.filename.stat().st_size > 0
        with open(self.filename, "w" if replaces else "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
            if not has_header:
                writer.writerow(["epoch", *(self._keys or [])])
            writer.writerow([epoch, *(_cell(logs.get(key)) for key in self._keys or [])])

    def _columns(self, logs: Logs) -> list[str]:
        """Sorted names, with those of the validation even if it happens in later epochs only."""
        keys = sorted(logs)
        if self.model.fit_loop.validates and not any(key.startswith("val_") for key in keys):
            keys += [f"val_{key}" for key in keys if key != "learning_rate"]
        return keys

    def get_state(self) -> dict[str, Any]:
        if self._keys is None:
            return {}
        return {"keys": self._keys, "bytes": self.filename.stat().st_size}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on with the file as it was, without lines that were written after the state was taken."""
        if self.filename.exists() and self.filename.stat().st_size >= state["bytes"]:
            os.truncate(self.filename, state["bytes"])
            self._keys = list(state["keys"])


def _cell(value: Any) -> Any:
    if value is None:
        return "NA"
    return value if np.ndim(value) == 0 else np.array2string(np.asarray(value), separator=", ")
