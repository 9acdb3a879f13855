"""The data of a report: predictions, labels and images that stay together, and a hash of what was looked at."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast.metrics.confusion import confusion_matrix
from cnnfast.models.model import Model
from cnnfast.training.evaluation import Evaluation
from cnnfast.training.sources import is_arrays
from cnnfast.utils import PyDataset

_BATCH = 32


@dataclass(frozen=True)
class Classified:
    """Labelled images as a model classifies them, row by row.

    Attributes:
        full: predictions, labels, names of files.
        true, predicted: int64 (N,), classes.
        probabilities: float64 (N, K).
        how: how the probabilities come from the model's outputs, in words; empty if they are them.
        class_names: K names.
        data_hash: SHA-256 of the labels and the pixels, in the order of the rows.
        pixel_range: lowest and highest pixel value, (0, 255) for uint8.
        image_shape: of one image, as the model takes it.
        digests: of each image, in the order of the rows.
    """

    full: Evaluation
    true: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    how: str
    class_names: list[str]
    data_hash: str
    pixel_range: tuple[float, float]
    image_shape: tuple[int, ...]
    digests: list[bytes]

    @property
    def counts(self) -> np.ndarray:
        """int64 (K, K): how often the class of the row was taken for that of the column."""
        return confusion_matrix(self.true, self.predicted, len(self.class_names))

    @property
    def confidence(self) -> np.ndarray:
        """(N,): probability of the predicted class."""
        return self.probabilities[np.arange(len(self.predicted)), self.predicted]

    def filename(self, row: int) -> str | None:
        """The name of a row's file, with what is no text in it written as escapes."""
        if self.full.filenames is None:
            return None
        return self.full.filenames[row].encode("utf-8", "backslashreplace").decode("utf-8")


class _Arrays(PyDataset):
    """Arrays as batches whose samples have numbers."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        super().__init__()
        self._x, self._y = x, y

    def __len__(self) -> int:
        return math.ceil(len(self._x) / _BATCH)

    def __getitem__(self, index: int) -> Any:
        rows = slice(index * _BATCH, (index + 1) * _BATCH)
        return self._x[rows], self._y[rows]

    def samples_of(self, index: int) -> np.ndarray:
        return np.arange(index * _BATCH, min((index + 1) * _BATCH, len(self._x)))


class Watched(PyDataset):
    """A data set that notes, while it is read, which images it gave.

    Whoever evaluates a model on it and then asks for an image again gets the very image that was evaluated: images are
    known by the SHA-256 of their pixels, not by the order of a second reading.

    Args:
        data: arrays (x, y), or a `PyDataset` of labelled images.

    Raises:
        TypeError: something else. ValueError: no images, or more of them than labels.
    """

    def __init__(self, data: Any):
        super().__init__()
        self._inner = as_dataset(data).for_inference()
        self.class_names = getattr(self._inner, "class_names", None)
        self.class_indices = getattr(self._inner, "class_indices", None)
        self.class_mode = getattr(self._inner, "class_mode", "")
        names = getattr(self._inner, "filenames", None)
        self.filenames: Sequence[str] | None = getattr(self._inner, "file_paths", None) if names is None else names
        self.workers, self.max_queue_size = self._inner.workers, self._inner.max_queue_size
        self._seen: dict[int, tuple[list[bytes], np.ndarray | None]] = {}
        self._ranges: dict[int, tuple[float, float]] = {}
        self._shapes: set[tuple[int, ...]] = set()

    def __len__(self) -> int:
        return len(self._inner)

    @property
    def makes_ahead(self) -> bool:
        return self._inner.makes_ahead

    def on_epoch_begin(self) -> None:
        self._inner = self._inner.next_pass()

    def on_epoch_end(self) -> None:
        self._inner.on_epoch_end()

    def samples_of(self, index: int) -> np.ndarray | None:
        return self._inner.samples_of(index)

    def __getitem__(self, index: int) -> Any:
        batch = self._inner[index]
        images = _images_of(batch)
        self._seen[index] = [_digest(image) for image in images], self._inner.samples_of(index)
        whole = images.dtype == np.uint8
        self._ranges[index] = (0.0, 255.0) if whole else (float(images.min()), float(images.max()))
        self._shapes.add(images.shape[1:])
        return batch

    @property
    def digests(self) -> list[bytes]:
        """Of the images that were given, in the order in which `Model.evaluate_full` has its rows."""
        parts = [self._seen[index] for index in sorted(self._seen)]
        flat = [digest for digests, _ in parts for digest in digests]
        numbers = [samples for _, samples in parts if samples is not None]
        if len(numbers) < len(parts):
            return flat
        return [flat[i] for i in np.argsort(np.concatenate(numbers), kind="stable")]

    @property
    def pixel_range(self) -> tuple[float, float]:
        """The lowest and the highest pixel value that was given."""
        lows, highs = zip(*self._ranges.values(), strict=True)
        return min(lows), max(highs)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of one image."""
        return next(iter(self._shapes))

    def again(self, rows: Sequence[int], digests: Sequence[bytes], size: int) -> Iterator[tuple[list[int], np.ndarray]]:
        """The images of some rows once more, up to `size` at a time: rows and (n, H, W, C).

        Raises:
            ValueError: the data set gives other images than before.
        """
        wanted: dict[bytes, list[int]] = defaultdict(list)
        for row in rows:
            wanted[digests[row]].append(row)
        held_rows: list[int] = []
        held: list[np.ndarray] = []
        for index in range(len(self._inner)):
            if not wanted:
                break
            known = self._seen.get(index)
            if self._inner.samples_of(index) is not None and known and not any(d in wanted for d in known[0]):
                continue  # spares reading files whose images are not wanted
            for image in _images_of(self._inner[index]):
                for row in wanted.pop(_digest(image), ()):
                    held_rows.append(row)
                    held.append(image)
                    if len(held) == size:
                        yield held_rows, np.stack(held)
                        held_rows, held = [], []
        if wanted:
            raise ValueError(
                f"report: {sum(map(len, wanted.values()))} images were not there when the data were read again; a "
                "report needs data that give the same images each time, without random changes"
            )
        if held:
            yield held_rows, np.stack(held)


def as_dataset(data: Any) -> PyDataset:
    """Data as a `PyDataset`.

    Raises:
        TypeError: neither arrays nor a `PyDataset`. ValueError: arrays that are not as many images as labels.
    """
    if isinstance(data, PyDataset):
        return data
    if not (is_arrays(data) and isinstance(data, (tuple, list)) and len(data) == 2):
        raise TypeError(
            f"report: data must be arrays (x, y), an ImageDataset or a PyDataset, got {type(data).__name__}"
        )
    x, y = np.asarray(data[0]), np.asarray(data[1])
    if x.ndim < 1 or len(x) == 0 or y.ndim < 1 or len(x) != len(y):
        raise ValueError(f"report: expected as many labels as images and at least one, got shapes {x.shape}, {y.shape}")
    return _Arrays(x, y)


def classify(model: Model, watched: Watched) -> Classified:
    """What a model says to labelled images.

    Raises:
        ValueError: a model with several inputs or outputs, or whose outputs are no classes; data without labels that
            are classes.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"report: {model.name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; a report is about "
            "one class for each image, from one input and one output"
        )
    full = model.evaluate_full(watched, verbose=0)
    if full.labels is None:
        raise ValueError("report: the data have no labels; give arrays (x, y) or batches (x, y)")
    probabilities, how = _probabilities(model.name, np.asarray(full.predictions, np.float64))
    true = _true_classes(full, probabilities.shape[1])
    predicted = full.predicted_classes
    digests = watched.digests
    digest = hashlib.sha256(np.ascontiguousarray(true, "<i8").tobytes())
    for image in digests:
        digest.update(image)
    return Classified(
        full, true, predicted, probabilities, how, _names(full.class_names, probabilities.shape[1]), digest.hexdigest(),
        watched.pixel_range, watched.image_shape, digests,
    )  # fmt: skip


def _names(names: list[str] | None, count: int) -> list[str]:
    known = list(names or [])[:count]
    return known + [str(i) for i in range(len(known), count)]


def _probabilities(name: str, outputs: np.ndarray) -> tuple[np.ndarray, str]:
    """(N, K) from a model's outputs, and how. ValueError for outputs that are no classes."""
    if outputs.ndim > 2:
        raise ValueError(f"report: {name} gives {outputs.shape}, expected scores of classes (N, K)")
    outputs = outputs.reshape(len(outputs), -1)
    if not np.isfinite(outputs).all():
        raise ValueError(f"report: {name} gives outputs that are not finite")
    shares = outputs.min() >= 0 and outputs.max() <= 1 + 1e-6
    if outputs.shape[1] == 1:
        if not shares:
            raise ValueError(
                f"report: {name} gives one number from {outputs.min():.4g} to {outputs.max():.4g} for each image, "
                "which is no probability: a report is about classes (end the model with a sigmoid or a softmax)"
            )
        return np.concatenate([1 - outputs, outputs], axis=1), ""
    if shares and np.allclose(outputs.sum(1), 1, atol=1e-3):
        return outputs, ""
    if shares:
        return outputs, "The outputs do not add up to 1; each is taken as the probability of its class."
    powers = np.exp(outputs - outputs.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True), "The model gives scores; the probabilities are their softmax."


def _true_classes(full: Evaluation, count: int) -> np.ndarray:
    labels = np.asarray(full.labels)
    if (
        labels.ndim == 2
        and labels.shape[1] > 1
        and not (labels.min() >= 0 and np.allclose(labels.sum(1), 1, atol=1e-3))
    ):
        raise ValueError(f"report: labels {labels.shape} are neither classes nor one-hot rows of one class each")
    true = full.true_classes
    if true.max() >= count:
        raise ValueError(f"report: label {true.max()} is out of range, the model has the classes 0 to {count - 1}")
    return true


def _images_of(batch: Any) -> np.ndarray:
    images = np.asarray(batch[0] if isinstance(batch, (tuple, list)) else batch)
    if images.ndim not in (3, 4):
        raise ValueError(f"report: expected images (N,H,W,C) or (N,H,W), the data have {images.shape}")
    return images


def _digest(image: np.ndarray) -> bytes:
    """SHA-256 of an image: its type, its shape and its pixels."""
    digest = hashlib.sha256(f"{image.dtype.newbyteorder('<').str}{image.shape}".encode())
    digest.update(np.ascontiguousarray(image, image.dtype.newbyteorder("<")).data)
    return digest.digest()
