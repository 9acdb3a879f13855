"""Callbacks that write files: `ModelCheckpoint`, `BackupAndRestore`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cnnfast.callbacks.base import Callback, Logs
from cnnfast.callbacks.monitor import MonitorCallback
from cnnfast.training.sources import whole_number


class _SaveFrequency:
    """When to save: after each epoch, or whenever so many batches were seen since the last time."""

    def __init__(self, op: str, save_freq: str | int):
        if isinstance(save_freq, str) and save_freq != "epoch":
            raise ValueError(f"{op}: save_freq must be 'epoch' or a number of batches, got {save_freq!r}")
        self.batches = None if isinstance(save_freq, str) else whole_number(op, "save_freq", save_freq)
        self.seen = 0

    @property
    def each_epoch(self) -> bool:
        return self.batches is None

    def after_batch(self) -> bool:
        """Counts a batch; whether to save now."""
        if self.batches is None:
            return False
        self.seen = (self.seen + 1) % self.batches
        return self.seen == 0


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, while it trains.

    Args:
        filepath: ends in .safetensors and may name results and the epoch (from 1) as `str.format` does, and
            the batch if `save_freq` is a number.
        monitor: the result that `save_best_only` watches.
        verbose: 1 prints each saving.
        save_best_only: save only when the result is the best so far.
        save_weights_only: `model.save_weights` instead of `model.save`.
        mode: "auto", "min" or "max": which direction is better.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: the result to beat at first.

    Raises:
        ValueError: another ending; from `fit`, a result in `filepath` that is not in the logs.

    Example:
        >>> best = ModelCheckpoint("digits-{epoch:02d}-{val_loss:.2f}.safetensors", save_best_only=True)
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ):
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        if not self.filepath.endswith(".safetensors"):
            raise ValueError(f"ModelCheckpoint: filepath must end in .safetensors, got {self.filepath!r}")
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.best = initial_value_threshold
        self._frequency = _SaveFrequency("ModelCheckpoint", save_freq)
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._frequency.after_batch():
            self._save_if_due(logs or {}, batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._frequency.each_epoch:
            self._save_if_due(logs or {})

    def _save_if_due(self, logs: Logs, **numbers: int) -> None:
        if self.save_best_only:
            current = self.watched(logs)
            if current is None or not self.improves(current, self.best):
                return
            self.best = current
        path = self._path(logs, numbers)
        path.parent.mkdir(parents=True, exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        self._say(self.verbose, self._epoch, f"saved {path}")

    def _path(self, logs: Logs, numbers: dict[str, int]) -> Path:
        try:
            return Path(self.filepath.format(epoch=self._epoch + 1, **numbers, **logs))
        except (KeyError, IndexError, ValueError, TypeError) as error:
            known = sorted([*numbers, *logs, "epoch"])
            raise ValueError(
                f"ModelCheckpoint: {self.filepath!r} cannot be filled in with {known}: {error!r}"
            ) from error

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "seen": self._frequency.seen}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self._frequency.seen = state["best"], int(state["seen"])


class BackupAndRestore(Callback):
    """Keeps a checkpoint, so that the same call of `fit` after an interruption goes on where training was.

    The checkpoint holds weights, the optimizer's state, the random state, the place in the data, and the
    states of the other callbacks (`Callback.get_state`). The resumed training then gives, bit for bit, what
    it would have given without the interruption, if the data do: arrays, and data sets whose batches depend
        on their number alone. A
    generator starts from its beginning.

    Args:
        backup_dir: a folder of this training alone.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: keep the checkpoint before the last one too, should the disk damage the last.
        delete_checkpoint: delete the checkpoints when training has ended.

    Raises:
        ValueError: from `fit`, if no checkpoint in the folder can be read, or it is of another model.

    Example:
        >>> history = model.fit(x, y, epochs=10, verbose=0, callbacks=[BackupAndRestore("backup")])
    """

    comes_last = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        super().__init__()
        if not os.fspath(backup_dir):
            raise ValueError("BackupAndRestore: backup_dir must not be empty")
        self.backup_dir = Path(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._frequency = _SaveFrequency("BackupAndRestore", save_freq)
        self._latest = self.backup_dir / "latest.safetensors"
        self._previous = self.backup_dir / "previous.safetensors"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        found = [path for path in (self._latest, self._previous) if path.exists()]
        for path in found:
            try:
                self.model.fit_loop.restore(path)
                return
            except ValueError:
                if path is found[-1]:
                    raise

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._frequency.after_batch():
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._frequency.each_epoch:
            self._save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            self._latest.unlink(missing_ok=True)
            self._previous.unlink(missing_ok=True)

    def _save(self) -> None:
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        if self.double_checkpoint and self._latest.exists():
            os.replace(self._latest, self._previous)
        self.model.fit_loop.save(self._latest)

    def get_state(self) -> dict[str, Any]:
        return {"seen": self._frequency.seen}

    def set_state(self, state: dict[str, Any]) -> None:
        self._frequency.seen = int(state["seen"])
