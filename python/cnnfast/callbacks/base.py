"""`Callback`: what may be called while a model trains; `CallbackList` calls them in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Logs = dict[str, Any]


class Callback:
    """Base of all callbacks: every hook does nothing until a subclass says otherwise.

    `logs` holds results by name; what a callback adds to the logs of `on_epoch_end` reaches the callbacks
    after it and the history. Numbers of epochs and batches begin at 0.

    Attributes:
        model: the model that trains; set `model.stop_training = True` to stop.
        params: `verbose`, `epochs` and `steps` (batches of an epoch, None if unknown).
        comes_last: called after all callbacks without it, whatever the order in the list.
        accepts_non_finite_loss: handles a NaN or infinite loss in `on_train_batch_end`; without such a
            callback `fit` raises `NonFiniteLoss`.

    Example:
        >>> class Names(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(epoch, sorted(logs))
    """

    comes_last = False
    accepts_non_finite_loss = False

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Told before the first hook."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Told before the first hook."""
        self.params = params

    def get_state(self) -> dict[str, Any]:
        """What the callback must remember when training is interrupted (see `BackupAndRestore`).

        Numbers, strings, None and arrays, in dicts with names and lists.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes back what `get_state` gave; called after `on_train_begin`. The state may come from a file."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """`fit` begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """`fit` ends; `logs` are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch begins."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """An epoch, and its validation, are over; validation results are called `val_...`."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A training step begins."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A training step is over; `logs` are means over the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """`evaluate`, or the validation of an epoch, begins."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """`evaluate`, or the validation of an epoch, ends."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of an evaluation begins."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of an evaluation is over; `logs` are means so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """`predict` begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """`predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of a prediction begins."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """A batch of a prediction is over; `logs["outputs"]` are its predictions."""


class LambdaCallback(Callback):
    """A callback made of functions, each called with the arguments of its hook.

    Args:
        on_epoch_begin, on_epoch_end: functions of (epoch, logs).
        on_train_begin, on_train_end: functions of (logs).
        on_train_batch_begin, on_train_batch_end: functions of (batch, logs).
        kwargs: functions for the other hooks, by name.

    Example:
        >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any] | None,
    ):
        super().__init__()
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in hooks.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise TypeError(f"LambdaCallback: there is no hook {name!r}")
            if function is not None:
                setattr(self, name, function)


class CallbackList:
    """Calls the hooks of callbacks in the order of the list, those that come last at the end.

    Args:
        callbacks: callbacks, one or a list.
        add_history: adds a `History` if there is none; it is then the model's `history`.
        add_progbar: adds a `ProgbarLogger` if there is none.
        model: what the callbacks belong to.
        params: told to the callbacks.
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ):
        from cnnfast.callbacks.logs import History, ProgbarLogger

        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
        for callback in given:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks: expected Callback objects, got {callback!r}")
        for wanted, kind in ((add_progbar, ProgbarLogger), (add_history, History)):
            if wanted and not any(isinstance(callback, kind) for callback in given):
                given.append(kind())
        self.callbacks = sorted(given, key=lambda callback: callback.comes_last)
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)
            if isinstance(callback, History) and model is not None:
                model.history = callback

    @property
    def accepts_non_finite_loss(self) -> bool:
        return any(callback.accepts_non_finite_loss for callback in self.callbacks)

    def get_state(self) -> list[dict[str, Any]]:
        """The states of all callbacks that have one, with the names of their classes."""
        states = [(type(callback).__name__, callback.get_state()) for callback in self.callbacks]
        return [{"callback": name, "state": state} for name, state in states if state]

    def set_state(self, states: Iterable[dict[str, Any]]) -> None:
        """Gives each state back to the callback of the same class, in order; others are left alone."""
        waiting = list(states)
        for callback in self.callbacks:
            found = next((s for s in waiting if s["callback"] == type(callback).__name__), None)
            if found is not None:
                waiting.remove(found)
                callback.set_state(found["state"])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_end", batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_end", batch, logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_end", batch, logs)

    def _call(self, hook: str, *args: Any) -> None:
        logs = {} if args[-1] is None else args[-1]
        for callback in self.callbacks:
            getattr(callback, hook)(*args[:-1], logs)
