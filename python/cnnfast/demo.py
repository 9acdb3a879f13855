"""`cnnfast demo`: from handwritten digits to a trained network, its curves and a report about it, in seconds."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast import datasets, layers, metrics, optimizers, schedules, utils
from cnnfast.callbacks import Callback
from cnnfast.formats.atomic import atomic_write
from cnnfast.models import Sequential
from cnnfast.ops import engine

BATCH_SIZE = 64


class EpochTimer(Callback):
    """Seconds each epoch spent in training, without the validation after it."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.perf_counter()
        self.seconds.append(0.0)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.seconds[-1] = time.perf_counter() - self._start


def build_model() -> Sequential:
    """The convnet of every first lesson: three convolutions, two poolings, two dense layers."""
    return Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


def run(out: Path, *, epochs: int = 8, seed: int = 1) -> dict[str, Any]:
    """Trains on the embedded digits and writes the results.

    Args:
        out: folder for digits.safetensors, history.csv, metrics.json, curves.png, confusion_matrix.png and report.html.
        epochs: passes over the 5,000 training digits.
        seed: of the weights, the shuffling and the dropout.

    Returns:
        What metrics.json holds: test_accuracy (on the digits that served as validation data too), train_seconds
        (training steps only), images_per_second, threads, isa.
    """
    out.mkdir(parents=True, exist_ok=True)
    utils.set_random_seed(seed)
    (x_train, y_train), (x_test, y_test) = datasets.digits()
    x_train, x_test = x_train[..., None], x_test[..., None]

    model = build_model()
    model.summary()
    steps = epochs * -(-len(x_train) // BATCH_SIZE)
    optimizer = optimizers.Adam(schedules.CosineDecay(2e-3, steps))
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    timer = EpochTimer()
    history = model.fit(
        x_train,
        y_train,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=(x_test, y_test),
        callbacks=[timer],
    )
    predicted = model.predict(x_test, verbose=0).argmax(axis=1)
    seconds = sum(timer.seconds)
    results = {
        "test_accuracy": float(np.mean(predicted == y_test)),
        "train_seconds": round(seconds, 3),
        "images_per_second": round(len(x_train) * epochs / seconds, 1),
        "threads": engine.num_threads(),
        "isa": engine.isa(),
    }
    model.save(out / "digits.safetensors")
    _write_history(out / "history.csv", history.history)
    with atomic_write(out / "metrics.json") as temporary:
        Path(temporary).write_text(json.dumps(results, indent=2) + "\n")
    _plot(out, history, metrics.confusion_matrix(y_test, predicted, num_classes=10))
    print(
        f"Test accuracy {results['test_accuracy']:.4f}, {seconds / epochs:.2f} s per epoch "
        f"({results['images_per_second']:.0f} images/s on {results['threads']} threads, {results['isa']}).\n"
        f"Written to {out}: digits.safetensors, history.csv, metrics.json, curves.png, confusion_matrix.png"
    )
    _report(model, (x_test, y_test), out / "report.html", history, seed)
    return results


def _report(model: Sequential, data: tuple[np.ndarray, np.ndarray], path: Path, history: Any, seed: int) -> None:
    try:
        model.report(data, path, history, title="Handwritten digits", seed=seed)
    except ImportError as error:  # without the page the rest of the demo is still worth having
        print(error)
    else:
        print(f"Open {path} in a browser to see what the network sees.")


def _write_history(path: Path, history: dict[str, list[float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        writer.writerows([i + 1, *values] for i, values in enumerate(zip(*history.values(), strict=True)))


def _plot(out: Path, history: Any, counts: np.ndarray) -> None:
    from cnnfast import plots

    plots.curves(history).figure.savefig(out / "curves.png", dpi=150)
    names = [str(digit) for digit in range(10)]
    plots.confusion_matrix(counts, class_names=names).figure.savefig(out / "confusion_matrix.png", dpi=150)
