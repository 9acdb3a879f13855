"""The stages of a training: each fits a model, keeps its best epoch, and goes on where an interruption left it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast import callbacks, optimizers, schedules, utils
from cnnfast.commands import networks
from cnnfast.commands.data import TrainingData
from cnnfast.commands.run_folder import RunFolder, Settings, StageResult
from cnnfast.features import FeatureExtractor
from cnnfast.models import Model

SCRATCH, HEAD, FINE_TUNE = "scratch", "head", "fine-tune"
_WATCHED = "val_accuracy"


class _Clock(callbacks.Callback):
    """Seconds spent in epochs, their validation included; an interruption does not make it forget.

    Args:
        before: seconds that were spent before the first epoch.
    """

    def __init__(self, before: float) -> None:
        super().__init__()
        self.seconds = before
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.seconds += time.perf_counter() - self._start

    def get_state(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def set_state(self, state: dict[str, Any]) -> None:
        self.seconds = float(state["seconds"])


def stages_of(settings: Settings) -> list[str]:
    """The stages that a training has, in their order."""
    if settings.base is None:
        return [SCRATCH]
    return [HEAD, FINE_TUNE] if settings.fine_tune else [HEAD]


def run_stage(stage: str, run: RunFolder, data: TrainingData) -> None:
    """Runs a stage to its end, from its beginning or from where it was interrupted; says what came out."""
    utils.set_random_seed(run.settings.seed)
    result = _STAGES[stage](run, data)
    print(
        f"{stage}: best of {result.epochs} epochs was epoch {result.best_epoch} with a validation accuracy of "
        f"{result.val_accuracy:.4f} ({result.seconds:.0f} s)"
    )


def _scratch(run: RunFolder, data: TrainingData) -> StageResult:
    model = networks.small_convnet(run.settings.image_size, len(data.class_names))
    return _fit(SCRATCH, run, model, data.training, data.validation, model)


def _head(run: RunFolder, data: TrainingData) -> StageResult:
    """A head on the frozen base: on features that are computed once, unless each epoch has images of its own."""
    settings = run.settings
    base = networks.preprocessed_base(str(settings.base), settings.weights, settings.variant, settings.image_size)
    base.trainable = False
    head = networks.head_for(base.output_shape[-1], len(data.class_names))
    model = networks.joined(base, head)
    model.class_names = data.class_names
    if settings.augment and not settings.fine_tune:
        return _fit(HEAD, run, model, data.training, data.validation, model)
    print(f"{HEAD}: computing the features of {data.training.samples + data.validation.samples} images")
    start = time.perf_counter()
    extractor = FeatureExtractor(base, pooling="avg")
    folder = run.folder_of(HEAD)
    training = extractor.extract(data.training, path=folder / "features")
    validation = extractor.extract(data.validation, path=folder / "features")
    held = (validation.features, validation.labels)
    spent = time.perf_counter() - start
    return _fit(HEAD, run, head, (training.features, training.labels), held, model, spent)


def _fine_tune(run: RunFolder, data: TrainingData) -> StageResult:
    """The last layers of the base together with the head, from the best model so far."""
    model = run.load()
    networks.unfreeze_from(networks.base_of(model), str(run.settings.fine_tune))
    return _fit(FINE_TUNE, run, model, data.training, data.validation, model)


_STAGES: dict[str, Callable[[RunFolder, TrainingData], StageResult]] = {
    SCRATCH: _scratch,
    HEAD: _head,
    FINE_TUNE: _fine_tune,
}


def _fit(
    stage: str, run: RunFolder, fitted: Model, training: Any, validation: Any, whole: Model, spent: float = 0.0
) -> StageResult:
    """Fits what a stage trains, which is `whole` or a part of it, and keeps `whole` as it was in the best epoch.

    `spent` are the seconds that were spent before the first epoch.
    """
    settings = run.settings
    tuning = stage == FINE_TUNE
    epochs = settings.fine_tune_epochs if tuning else settings.epochs
    rate = settings.fine_tune_learning_rate if tuning else settings.learning_rate
    x, y = training if isinstance(training, tuple) else (training, None)
    batches = len(x) if y is None else math.ceil(len(x) / settings.batch_size)
    fitted.compile(
        optimizers.Adam(schedules.CosineDecay(rate, epochs * batches)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    folder = run.folder_of(stage)
    best, clock = folder / "best.safetensors", _Clock(spent)
    history = fitted.fit(
        x,
        y,
        batch_size=settings.batch_size if y is not None else None,
        epochs=epochs,
        validation_data=validation,
        callbacks=[
            clock,
            callbacks.ModelCheckpoint(best, _WATCHED, save_best_only=True, save_weights_only=True),
            callbacks.EarlyStopping(_WATCHED, patience=settings.patience),
            callbacks.BackupAndRestore(folder / "backup", double_checkpoint=True, delete_checkpoint=False),
        ],
    ).history
    fitted.load_weights(best)
    kept = int(np.argmax(history[_WATCHED]))
    result = StageResult(
        stage=stage,
        epochs=len(history[_WATCHED]),
        best_epoch=kept + 1,
        val_accuracy=history[_WATCHED][kept],
        val_loss=history["val_loss"][kept],
        last_val_accuracy=history[_WATCHED][-1],
        seconds=round(clock.seconds, 1),
    )
    run.finish(whole, result, history)
    run.clean_up(stage)
    return result
