"""`compile`, `fit`, `evaluate`, `predict`: what a model offers, with Keras' arguments and meaning."""

from __future__ import annotations

from collections.abc import Container, Mapping
from contextlib import closing
from typing import Any

import numpy as np

from cnnfast import optimizers
from cnnfast.callbacks import CallbackList, History
from cnnfast.ops import target
from cnnfast.training.batches import Names, list_of_arrays, make_batch, unpack
from cnnfast.training.class_names import checked_class_names, joined_class_names
from cnnfast.training.compiled import Compiled
from cnnfast.training.evaluation import Evaluation, filenames_of, run_evaluation
from cnnfast.training.feed import Feed
from cnnfast.training.loops import FitLoop, Validation, run_predict, run_test
from cnnfast.training.old_names import OldNames
from cnnfast.training.sources import Source, make_source, split_validation, whole_number
from cnnfast.training.stepper import StepEngine, Stepper


class Trainer(OldNames):
    """Gives a model its training methods.

    The model provides `_engine`, a `StepEngine`, and the properties `input_names` and `output_names`, empty
    until they are known.

    Attributes:
        optimizer: what `compile` was given, as an object.
        compiled: whether `compile` was called.
        stop_training: set it to True in a callback to end `fit`.
        history: the `History` of the last `fit`.
        fit_loop: the running `fit`, for callbacks; else None.
    """

    optimizer: Any = None
    compiled: bool = False
    stop_training: bool = False
    history: History | None = None
    fit_loop: FitLoop | None = None
    _stepper: Stepper | None = None
    _class_names: list[str] | None = None
    _engine: StepEngine

    @property
    def input_names(self) -> list[str]:
        raise NotImplementedError

    @property
    def output_names(self) -> list[str]:
        raise NotImplementedError

    @property
    def class_names(self) -> list[str] | None:
        """Name of class 0, of class 1 and so on; None if they are not known.

        `fit` takes them from data that have them, `save` keeps them, and data with other classes are refused. Set
        them to give or forget them.
        """
        return None if self._class_names is None else list(self._class_names)

    @class_names.setter
    def class_names(self, names: Any) -> None:
        self._class_names = checked_class_names("class_names", names)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        *,
        policy: str | None = None,
    ) -> None:
        """Says how to train.

        Args:
            optimizer: name or object.
            loss: name, `Loss` or function (y_true, y_pred) -> (loss, gradient) on arrays; for several outputs
                a list or a dict by output name, with None for outputs that are not trained.
            loss_weights: factors of the losses in the total, as a list or dict; 1 by default.
            metrics: list of names, `Metric` objects or functions (y_true, y_pred) -> values; for several
                outputs a list or dict of such lists.
            weighted_metrics: the same, with sample weights.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: taken for Keras' sake, without
                effect: a step is always one compiled call.
            policy: how precisely a GPU computes with this model, as `config.set_policy` says for all models (which is
                what None leaves it to): "float32", "tensorfloat32" or "mixed_bfloat16". Not kept in files.

        Raises:
            ValueError: an unknown name, or entries that do not fit the outputs; the model stays as it was.

        Example:
            >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        """
        optimizer = optimizers.get(optimizer)
        policy = None if policy is None else target.checked_policy("compile: policy", policy)
        compiled = Compiled(loss, loss_weights, metrics, weighted_metrics)
        self._stepper = Stepper(self._engine, optimizer, compiled, lambda: self.output_names)
        self.optimizer, self.compiled, self._engine.policy = optimizer, True, policy

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Container[int] = 1,
    ) -> History:
        """Trains the model.

        Args:
            x: inputs: an array (N, ...), a list or dict of arrays; or a `PyDataset`, or any iterable, of
                batches (x, y) or (x, y, sample_weight).
            y: targets, likewise; not with batches.
            batch_size: samples of a step, 32 by default; not with batches. The last batch may be smaller.
            epochs: number of the last epoch; with `initial_epoch` not the number of epochs that run.
            verbose: 0 silent, 1 or "auto" a progress bar, 2 a line for each epoch.
            callbacks: `Callback` objects.
            validation_split: fraction in (0, 1) of the samples, the last ones, kept for validation; for
                arrays.
            validation_data: (x, y), (x, y, sample_weight) or batches to validate with.
            shuffle: new order of samples ("batch": of batches) each epoch, from the process-wide generator;
                for a PyDataset new order of batches, unless it has an order of its own (`keeps_order`).
            class_weight: weights by class, 1 for classes that are missing, for a model with one output.
            sample_weight: weights of the samples in the loss and in the weighted metrics, per output if
                several.
            initial_epoch: number of the first epoch, from 0.
            steps_per_epoch: batches of an epoch; by default all there are.
            validation_steps: batches of a validation; by default all there are.
            validation_batch_size: samples of a validation step, `batch_size` by default.
            validation_freq: validate every so many epochs, or after the epochs (from 1) of a list.

        Returns:
            The history: `history.history["loss"]` and so on, one entry for each epoch.

        Raises:
            NonFiniteLoss: a ValueError: the loss became NaN or infinite (see `callbacks.TerminateOnNaN`).
            TypeError, ValueError: data that do not fit; nothing was trained.

        Example:
            >>> history = model.fit(x, y, batch_size=64, epochs=5, validation_split=0.1, verbose=0)
            >>> sorted(history.history)
            ['accuracy', 'loss', 'val_accuracy', 'val_loss']
        """
        stepper = self._compiled_stepper("fit")
        epochs = whole_number("fit", "epochs", epochs, least=0)
        initial_epoch = whole_number("fit", "initial_epoch", initial_epoch, least=0)
        data = (x, y, sample_weight)
        if validation_split and validation_data is None:
            data, validation_data = split_validation("fit", data, validation_split, self._names())
        class_names = joined_class_names("fit", self._class_names, data[0])
        source = make_source(
            "fit",
            *data,
            names=self._names(),
            batch_size=batch_size,
            shuffle=shuffle,
            class_weight=class_weight,
            training=True,
        )
        checks = [] if source.whole is None else [("fit", source.whole)]
        validation = None
        if validation_data is not None:
            size = batch_size if validation_batch_size is None else validation_batch_size
            held = unpack("validation_data", validation_data)
            class_names = joined_class_names("validation_data", class_names, held[0])
            held_source = self._source("validation_data", held, size)
            if held_source.whole is not None:
                checks.append(("validation_data", held_source.whole))
            validation = Validation(Feed("validation_data", held_source, validation_steps), validation_freq)
        feed = Feed("fit", source, steps_per_epoch)
        if source.sample is not None:
            stepper.connect(source.sample)
        for op, whole in checks:
            stepper.check(op, whole)
        found = self._callback_list(callbacks, verbose, add_history=True, epochs=epochs, steps=feed.steps)
        self.fit_loop = FitLoop(self, stepper, feed, validation, found, epochs, initial_epoch)
        self.class_names = class_names
        try:
            self.fit_loop.run()
        finally:
            self.fit_loop = None
            feed.close()
            if validation is not None:
                validation.feed.close()
        assert self.history is not None
        return self.history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics in inference mode.

        Args:
            x, y, batch_size, verbose, sample_weight, callbacks: as in `fit`.
            steps: batches to use; by default all there are.
            return_dict: results by name instead of a list.

        Returns:
            The results in the order of `metrics_names`; the loss alone if there is nothing else.

        Raises:
            TypeError, ValueError: data that do not fit.

        Example:
            >>> loss, accuracy = model.evaluate(x, y, verbose=0)
        """
        stepper = self._compiled_stepper("evaluate")
        joined_class_names("evaluate", self._class_names, x)
        source = self._source("evaluate", (x, y, sample_weight), batch_size)
        feed = Feed("evaluate", source, steps)
        if source.whole is not None:
            stepper.check("evaluate", source.whole)
        found = self._callback_list(callbacks, verbose, steps=feed.steps)
        with closing(feed):
            results = run_test(stepper, feed, found)
        if not results:
            raise ValueError("evaluate: there was no batch to evaluate")
        return _as_returned(stepper, results, return_dict)

    def evaluate_full(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Evaluation:
        """Predictions, labels and file names together, row by row of the same samples, however they are shuffled.

        Args:
            x, y, batch_size, verbose, sample_weight, steps, callbacks: as for `evaluate`; data without targets, and a
                model that is not compiled, do as well, and then there is no loss.

        Returns:
            An `Evaluation`: arrays in the order of the data set, loss and metrics, the confusion matrix, the mistakes.

        Raises:
            TypeError, ValueError: data that do not fit, or whose classes have other names than the model's.

        Example:
            >>> full = model.evaluate_full(x, y, verbose=0)
            >>> bool((full.predicted_classes == full.predictions.argmax(axis=1)).all())
            True
        """
        op = "evaluate_full"
        class_names = joined_class_names(op, self._class_names, x)
        source = self._source(op, (x, y, sample_weight), batch_size)
        feed = Feed(op, source, steps)
        if source.whole is not None and source.whole.ys is not None and self._stepper is not None:
            self._stepper.check(op, source.whole)
        found = self._callback_list(callbacks, verbose, steps=feed.steps)
        with closing(feed):
            parts = run_evaluation(self._engine, self._stepper, feed, found)
        return parts.joined(filenames_of(x), class_names)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The model's outputs in inference mode.

        Args:
            x: inputs, as in `fit`; targets in batches are ignored.
            batch_size, verbose, callbacks: as in `fit`.
            steps: batches to use; by default all there are.

        Returns:
            An array (N, ...), or a list of them for a model with several outputs.

        Raises:
            TypeError, ValueError: data that do not fit.
        """
        feed = Feed("predict", self._source("predict", (x, None, None), batch_size), steps)
        found = self._callback_list(callbacks, verbose, steps=feed.steps)
        with closing(feed):
            return _one_or_list(run_predict(self._engine, feed, found))

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of training on one batch.

        Returns:
            The results of this batch, as `evaluate` gives them.

        Raises:
            NonFiniteLoss: a ValueError: the loss is NaN or infinite; nothing was updated.
            TypeError, ValueError: data that do not fit.
        """
        stepper = self._compiled_stepper("train_on_batch")
        stepper.reset()
        stepper.train(make_batch("train_on_batch", (x, y, sample_weight), self._names(), class_weight))
        return _as_returned(stepper, stepper.results(), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch in inference mode; results as from `train_on_batch`."""
        stepper = self._compiled_stepper("test_on_batch")
        stepper.reset()
        stepper.test(make_batch("test_on_batch", (x, y, sample_weight), self._names()))
        return _as_returned(stepper, stepper.results(), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch in inference mode, as `predict` gives them."""
        return _one_or_list(self._engine.predict(list_of_arrays("predict_on_batch", "x", x, self.input_names)))

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` gives: loss, losses of the outputs if several, metrics as compiled."""
        return [] if self._stepper is None else self._stepper.names

    def reset_metrics(self) -> None:
        """Forgets the batches that loss and metrics have seen."""
        if self._stepper is not None:
            self._stepper.reset()

    def compile_arguments(self) -> dict[str, Any]:
        """What `compile` was given besides the optimizer: loss (names as objects), loss_weights, metrics and
        weighted_metrics. ValueError if the model is not compiled.
        """
        return self._compiled_stepper("compile_arguments").compiled.arguments

    def _compiled_stepper(self, op: str) -> Stepper:
        if self._stepper is None:
            raise ValueError(f"{op}: compile the model first")
        return self._stepper

    def _names(self) -> Names:
        return Names(self.input_names, self.output_names, self._output_size)

    def _output_size(self, xs: list[np.ndarray]) -> int:
        return self._engine.output_shapes([x[:1] for x in xs])[0][-1]

    def _source(self, op: str, data: tuple[Any, Any, Any], batch_size: int | None) -> Source:
        return make_source(op, *data, names=self._names(), batch_size=batch_size)

    def _callback_list(
        self, callbacks: Any, verbose: int | str, add_history: bool = False, **params: Any
    ) -> CallbackList:
        if verbose not in (0, 1, 2, "auto"):
            raise ValueError(f"verbose must be 0, 1, 2 or 'auto', got {verbose!r}")
        level = 1 if verbose == "auto" else int(verbose)
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks, add_history=add_history, add_progbar=level > 0, model=self, verbose=level, **params
        )


def _as_returned(stepper: Stepper, results: dict[str, Any], return_dict: bool) -> Any:
    if return_dict:
        return results
    return _one_or_list([results[name] for name in stepper.names])


def _one_or_list(values: list[Any]) -> Any:
    return values if len(values) > 1 else values[0]
