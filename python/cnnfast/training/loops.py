"""The loops inside `fit`, `evaluate` and `predict`: steps, results, and callbacks in Keras' order."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast.callbacks.base import CallbackList
from cnnfast.training.batches import Batch
from cnnfast.training.errors import NonFiniteLoss
from cnnfast.training.feed import Feed
from cnnfast.training.state import pack, unpack
from cnnfast.training.stepper import StepEngine, Stepper

if TYPE_CHECKING:
    from cnnfast.training.trainer import Trainer


class Validation:
    """When to validate, and with which batches.

    Args:
        feed: the batches.
        freq: every so many epochs, or after the epochs (from 1) in a collection.

    Attributes:
        begun: whether there was a validation.
    """

    def __init__(self, feed: Feed, freq: int | Container[int]):
        if not isinstance(freq, Container):
            try:
                freq = operator.index(freq)
            except TypeError:
                raise TypeError(f"fit: validation_freq must be a whole number or a list, got {freq!r}") from None
            if freq < 1:
                raise ValueError(f"fit: validation_freq must be at least 1, got {freq}")
        self.feed = feed
        self.begun = False
        self._freq = freq

    def is_due(self, epoch: int) -> bool:
        """Whether to validate after epoch number `epoch` (from 0)."""
        if isinstance(self._freq, int):
            return (epoch + 1) % self._freq == 0
        return epoch + 1 in self._freq


class FitLoop:
    """The epochs of one `fit`, and where in them it is.

    Attributes:
        epoch: the epoch that runs, or the next one.
        validates: whether there are validation data.
    """

    def __init__(
        self,
        model: Trainer,
        stepper: Stepper,
        feed: Feed,
        validation: Validation | None,
        callbacks: CallbackList,
        epochs: int,
        initial_epoch: int,
    ):
        self._model: Any = model  # a Trainer that is a Model
        self._stepper, self._feed, self._validation = stepper, feed, validation
        self._callbacks = callbacks
        self._epochs = epochs
        self.epoch = initial_epoch
        self.validates = validation is not None
        self._begun = False

    def run(self) -> None:
        """All epochs that are left, until something sets the model's `stop_training`."""
        self._model.stop_training = False
        self._callbacks.on_train_begin()
        logs: dict[str, Any] = {}
        while self.epoch < self._epochs and not self._model.stop_training:
            found = self._run_epoch()
            logs = found or logs
            if not found or (self._feed.exhausted and self.epoch < self._epochs):
                warnings.warn(
                    f"fit: the input ran out of data after epoch {self.epoch} of {self._epochs}; training stops",
                    stacklevel=3,
                )
                break
        self._callbacks.on_train_end(logs)

    def _run_epoch(self) -> dict[str, Any]:
        """The logs of the epoch; nothing, also for callbacks, if there is no batch left for it."""
        epoch, feed, callbacks = self.epoch, self._feed, self._callbacks
        callbacks.on_epoch_begin(epoch)
        if feed.step == 0:  # otherwise an interrupted epoch goes on
            self._stepper.reset()
        for step, batch in feed.epoch():
            self._begun = True
            callbacks.on_train_batch_begin(step)
            callbacks.on_train_batch_end(step, self._train(epoch, step, batch))
            if self._model.stop_training:
                break
        if feed.step == 0:
            if not self._begun:
                raise ValueError("fit: there was no batch to train on")
            return {}
        feed.end_epoch()
        logs = self._stepper.results()
        if self._validation is not None and self._validation.is_due(epoch):
            logs.update(self._validate(self._validation))
        self.epoch += 1
        callbacks.on_epoch_end(epoch, logs)
        return logs

    def _validate(self, validation: Validation) -> dict[str, Any]:
        """The results of a validation as logs name them; none, with a warning, once its data have come to an end."""
        found = run_test(self._stepper, validation.feed, self._callbacks)
        if not found:
            if not validation.begun:
                raise ValueError("validation_data: there was no batch to evaluate")
            warnings.warn("fit: validation_data ran out of data; there are no val_ results any more", stacklevel=5)
        validation.begun = True
        return {f"val_{name}": value for name, value in found.items()}

    def _train(self, epoch: int, step: int, batch: Batch) -> dict[str, Any]:
        try:
            self._stepper.train(batch, checked=self._feed.in_memory)
        except NonFiniteLoss as error:
            if not self._callbacks.accepts_non_finite_loss:
                raise NonFiniteLoss(error.loss, epoch, step, error.what) from None
            self._stepper.note_loss(error.loss, batch)
        return self._stepper.results()

    def direction(self, name: str) -> str | None:
        """ "up" or "down": in which direction a result is better; None if it is not known."""
        return self._stepper.direction(name)

    # Interruption

    def save(self, path: Path) -> None:
        """Writes a checkpoint from which `restore` goes on."""
        from cnnfast.formats.checkpoint import save_checkpoint

        arrays: dict[str, np.ndarray] = {}
        state = {
            "feed": self._feed.get_state(),
            "results": self._stepper.get_state() if self._feed.step else None,
            "callbacks": self._callbacks.get_state(),
        }
        save_checkpoint(path, self._model, epoch=self.epoch, extra=pack(state, arrays), arrays=arrays)

    def restore(self, path: Path) -> None:
        """Goes on from a checkpoint.

        Raises:
            ValueError: it cannot be read, or is of another model.
        """
        from cnnfast.formats.checkpoint import load_checkpoint

        epoch, extra, arrays = load_checkpoint(path, self._model)
        try:
            state = unpack(extra, arrays)
            self._feed.set_state(state["feed"])
            self._stepper.set_state(state["results"])
            self._callbacks.set_state(state["callbacks"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a checkpoint of fit: {error!r}") from error
        self.epoch = epoch


def run_test(stepper: Stepper, feed: Feed, callbacks: CallbackList) -> dict[str, Any]:
    """The results over the batches of one epoch of `feed`, in inference mode; none if it has no batch."""
    callbacks.on_test_begin()
    stepper.reset()
    feed.restart()
    for step, batch in feed.epoch():
        callbacks.on_test_batch_begin(step)
        stepper.test(batch)
        callbacks.on_test_batch_end(step, stepper.results())
    logs = stepper.results() if feed.step else {}
    feed.end_epoch()
    callbacks.on_test_end(logs)
    return logs


def run_predict(engine: StepEngine, feed: Feed, callbacks: CallbackList) -> list[np.ndarray]:
    """The outputs for all batches of `feed`, one array for each output."""
    parts: list[list[np.ndarray]] = []
    callbacks.on_predict_begin()
    for step, batch in feed.epoch():
        callbacks.on_predict_batch_begin(step)
        outputs = engine.predict(batch.xs)
        parts.append(outputs)
        callbacks.on_predict_batch_end(step, {"outputs": outputs if len(outputs) > 1 else outputs[0]})
    callbacks.on_predict_end()
    if not parts:
        raise ValueError("predict: there was no batch to predict")
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
