"""What a model says to each sample, beside what the sample is: `Model.evaluate_full`."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnfast.callbacks.base import CallbackList
from cnnfast.metrics.confusion import class_numbers, confusion_matrix
from cnnfast.training.batches import Batch
from cnnfast.training.feed import Feed
from cnnfast.training.stepper import StepEngine, Stepper

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Mistake(NamedTuple):
    """A sample that was taken for another class.

    Attributes:
        sample: its number.
        filename: its file, or None.
        true, predicted: names of classes, or their numbers if they have no names.
        score: what the model gave the predicted class.
    """

    sample: int
    filename: str | None
    true: Any
    predicted: Any
    score: float


@dataclass(frozen=True)
class Evaluation:
    """Predictions, labels and file names, row by row of the same samples.

    Rows are in the order of the data set (of its `file_paths` or `filenames`), however it was shuffled; samples of
    data that know no order of their own are in the order in which they came.

    Attributes:
        predictions: (N, ...), or a list of them for a model with several outputs.
        labels: the targets as the data gave them, likewise, or None.
        filenames: names of the files, or None if the data have none.
        sample_weight: (N,), a list for several outputs, or None.
        samples: (N,), the number of each row's sample in the data set.
        results: loss and metrics by name, over all rows; empty for a model that is not compiled or data without labels.
        class_names: name of class 0, of class 1 and so on, or None.

    Example:
        >>> full = model.evaluate_full(x, y, verbose=0)
        >>> full.predictions.shape, full.labels.shape
        ((20, 2), (20,))
        >>> int(full.confusion_matrix().sum())
        20
    """

    predictions: Any
    labels: Any
    filenames: list[str] | None
    sample_weight: Any
    samples: np.ndarray
    results: dict[str, Any]
    class_names: list[str] | None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def true_classes(self) -> np.ndarray:
        """int64 (N,): the class of each sample. ValueError without labels, or if they are no classes."""
        return class_numbers("evaluate_full", "labels", self._single("labels", self.labels))

    @property
    def predicted_classes(self) -> np.ndarray:
        """int64 (N,): the class with the highest score; of a single output whether it is above one half."""
        return class_numbers("evaluate_full", "y_pred", self._single("predictions", self.predictions))

    def confusion_matrix(self, normalize: str | None = None) -> np.ndarray:
        """How often the class of the row was taken for that of the column; see `metrics.confusion_matrix`."""
        size = None if self.class_names is None else max(len(self.class_names), self._highest() + 1)
        return confusion_matrix(self.true_classes, self.predicted_classes, size, normalize)

    def plot_confusion_matrix(self, **options: Any) -> Figure:
        """The confusion matrix as a figure; options as for `plots.confusion_matrix`."""
        from cnnfast import plots

        return plots.confusion_matrix(self.confusion_matrix(), **{"class_names": self.class_names, **options})

    def mistakes(self) -> list[Mistake]:
        """The samples that were taken for another class, those first of which the model was surest."""
        true, predicted, scores = self.true_classes, self.predicted_classes, self._scores()
        rows = np.flatnonzero(true != predicted)
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        return [
            Mistake(
                int(self.samples[row]),
                None if self.filenames is None else self.filenames[row],
                self._named(true[row]),
                self._named(predicted[row]),
                float(scores[row]),
            )
            for row in rows
        ]

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Writes a table, one line for each sample: sample or file name, true and predicted class, the outputs.

        UTF-8; of file names that are none the bytes as they are. A file that is there is replaced when all is written.

        Raises:
            ValueError: a model with several outputs, or whose output has more axes than (N, C).
        """
        from cnnfast.formats.atomic import atomic_write

        scores = np.asarray(self._single("predictions", self.predictions))
        if scores.ndim > 2:
            raise ValueError(f"save_csv: expected predictions (N,) or (N, C), got {scores.shape}")
        scores = scores.reshape(len(self), -1)
        known = self.class_names is not None and len(self.class_names) == scores.shape[1]
        outputs = self.class_names if known else [f"output_{i}" for i in range(scores.shape[1])]
        true = ["" for _ in scores] if self.labels is None else [self._named(n) for n in self.true_classes]
        names: Sequence[Any] = self.samples.tolist() if self.filenames is None else self.filenames
        rows = zip(names, true, map(self._named, self.predicted_classes), scores.tolist(), strict=True)
        with (
            atomic_write(path) as temporary,
            open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["sample" if self.filenames is None else "filename", "true", "predicted", *(outputs or [])])
            writer.writerows([name, label, guess, *values] for name, label, guess, values in rows)

    def _single(self, what: str, value: Any) -> np.ndarray:
        if value is None:
            raise ValueError(f"evaluate_full: there are no {what}")
        if isinstance(value, list):
            raise ValueError(f"evaluate_full: {what} of {len(value)} outputs; look at them one by one")
        return value

    def _scores(self) -> np.ndarray:
        """(N,): what the model gave the class that it predicted."""
        predictions = self._single("predictions", self.predictions).reshape(len(self), -1)
        if predictions.shape[1] == 1:
            return np.where(self.predicted_classes == 1, predictions[:, 0], 1.0 - predictions[:, 0])
        return predictions.max(axis=1)

    def _highest(self) -> int:
        return int(max(self.true_classes.max(), self.predicted_classes.max()))

    def _named(self, number: Any) -> Any:
        names = self.class_names
        return names[number] if names is not None and number < len(names) else int(number)


@dataclass(frozen=True)
class _Parts:
    """Batches without their inputs, the outputs for each, and the results."""

    batches: list[Batch]
    outputs: list[list[np.ndarray]]
    results: dict[str, Any]

    def joined(self, filenames: Sequence[str] | None, class_names: list[str] | None) -> Evaluation:
        """All as one, in the order of the samples' numbers where they have some."""
        numbered = [batch.samples for batch in self.batches if batch.samples is not None]
        known = len(numbered) == len(self.batches)
        samples = np.concatenate(numbered) if known else np.arange(sum(batch.size for batch in self.batches))
        order = np.argsort(samples, kind="stable")
        ys = [batch.ys for batch in self.batches]
        return Evaluation(
            predictions=_together(self.outputs, order),
            labels=_together(ys, order),
            filenames=None if filenames is None or not known else [filenames[i] for i in samples[order]],
            sample_weight=_together([batch.weights for batch in self.batches], order),
            samples=samples[order],
            results=self.results,
            class_names=class_names,
        )


def run_evaluation(engine: StepEngine, stepper: Stepper | None, feed: Feed, callbacks: CallbackList) -> _Parts:
    """Outputs for all batches; and results, if there are targets and a stepper."""
    parts = _Parts([], [], {})
    callbacks.on_test_begin()
    if stepper is not None:
        stepper.reset()
    for step, batch in feed.epoch():
        callbacks.on_test_batch_begin(step)
        if stepper is not None and batch.ys is not None:
            parts.outputs.append(stepper.test(batch))
            parts.results.update(stepper.results())
        else:
            parts.outputs.append(engine.predict(batch.xs))
        parts.batches.append(replace(batch, xs=[np.empty((batch.size, 0))]))
        callbacks.on_test_batch_end(step, parts.results)
    callbacks.on_test_end(parts.results)
    if not parts.batches:
        raise ValueError("evaluate_full: there was no batch to evaluate")
    return parts


def filenames_of(data: Any) -> Sequence[str] | None:
    """The names of the files that samples are in, by their numbers; None if they are in none."""
    names = getattr(data, "filenames", None)
    return getattr(data, "file_paths", None) if names is None else names


def _together(parts: Sequence[Sequence[np.ndarray | None] | None], order: np.ndarray) -> Any:
    """What batches have for each input or output, joined and put in order; None if a part is missing."""
    if any(part is None or any(array is None for array in part) for part in parts):
        return None
    arrays = [np.concatenate(column)[order] for column in zip(*parts, strict=True)]
    return arrays if len(arrays) > 1 else arrays[0]
