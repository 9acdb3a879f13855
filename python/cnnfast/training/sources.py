"""Where batches come from: arrays in memory, data sets that make a batch at a time, generators.

A source gives its batches in passes. What is random in a pass (the order) is drawn when the pass begins, so a
pass can be entered again in the middle: put the random generator into the state it had, begin the pass, skip
    what was done.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from cnnfast import random
from cnnfast.prefetch import prefetched
from cnnfast.training.batches import Batch, Names, make_batch
from cnnfast.utils import PyDataset

DEFAULT_BATCH_SIZE = 32


class Source(ABC):
    """Batches in passes.

    Attributes:
        num_batches: batches of a pass, None if only its end will tell.
        repeatable: whether there is more than one pass.
        sample: a small batch to look at, None if one could not be had without side effects.
        whole: all samples as one batch, None if they are not in memory.
    """

    num_batches: int | None = None
    repeatable = True
    sample: Batch | None = None
    whole: Batch | None = None

    @abstractmethod
    def begin(self, skip: int = 0) -> Iterator[Batch]:
        """Begins a pass, drawing what is random in it now, and leaves out its first `skip` batches."""

    def get_state(self) -> dict[str, Any]:
        """What changes from pass to pass, besides the random generator, as JSON can hold it."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:  # noqa: B027 - most have none
        """Goes back to where `get_state` was called, between passes."""


class ArraySource(Source):
    """Arrays in memory, cut into batches; the last one may be smaller.

    Args:
        data: all samples as one batch.
        batch_size: samples of a batch.
        shuffle: True: samples in a new order each pass; "batch": batches in a new order; False: as they are.
    """

    def __init__(self, op: str, data: Batch, batch_size: int | None = None, shuffle: bool | str = False):
        self._data = data
        self._batch_size = whole_number(op, "batch_size", DEFAULT_BATCH_SIZE if batch_size is None else batch_size)
        if not isinstance(shuffle, bool) and shuffle != "batch":
            raise ValueError(f"{op}: shuffle must be True, False or 'batch', got {shuffle!r}")
        self._shuffle = shuffle
        self.num_batches = math.ceil(data.size / self._batch_size)
        self.sample = data.part(slice(0, 1))
        self.whole = data

    def begin(self, skip: int = 0) -> Iterator[Batch]:
        size, count = self._batch_size, self._data.size
        parts: list[Any] = [slice(i, min(i + size, count)) for i in range(0, count, size)]
        if self._shuffle == "batch":
            parts = [parts[i] for i in random.get_generator().permutation(len(parts))]
        elif self._shuffle:
            order = random.get_generator().permutation(count)
            parts = [order[part] for part in parts]
        return map(self._data.part, parts[skip:])


class DatasetSource(Source):
    """A `PyDataset`: batches by number, made ahead by its worker threads if it has some.

    Args:
        shuffle: batches in a new order each pass, unless the data set has an order of its own.
        training: whether the batches train a model; otherwise what the data set offers `for_inference` is read.
    """

    def __init__(
        self,
        op: str,
        dataset: PyDataset,
        names: Names,
        class_weight: Mapping[int, float] | None,
        shuffle: bool,
        training: bool,
    ):
        self._op, self._names, self._class_weight = op, names, class_weight
        self._dataset = dataset if training else dataset.for_inference()
        self._current: PyDataset | None = None  # the data set in the pass that was begun last
        self._shuffle = shuffle and not dataset.keeps_order
        self.num_batches = len(dataset)
        if self.num_batches < 1:
            raise ValueError(f"{op}: there are no batches: len({type(dataset).__name__}) is {self.num_batches}")

    def begin(self, skip: int = 0) -> Iterator[Batch]:
        count = len(self._dataset)
        order = random.get_generator().permutation(count) if self._shuffle else np.arange(count)
        self._current = self._dataset.next_pass(self._current)
        return self._batches(self._current, [int(i) for i in order[skip:]])

    def _batches(self, dataset: PyDataset, order: Sequence[int]) -> Iterator[Batch]:
        with closing(self._fetch(dataset, order)) as fetched:
            for data, index in zip(fetched, order, strict=True):
                batch = make_batch(self._op, data, self._names, self._class_weight)
                yield replace(batch, samples=dataset.samples_of(index))
        self._dataset.on_epoch_end()

    @staticmethod
    def _fetch(dataset: PyDataset, order: Sequence[int]) -> Generator[Any, None, None]:
        if dataset.makes_ahead:
            yield from prefetched(dataset.__getitem__, order, dataset.workers, dataset.max_queue_size)
        else:
            yield from map(dataset.__getitem__, order)

    def get_state(self) -> dict[str, Any]:
        return (self._current or self._dataset).get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        self._current = None
        self._dataset.set_state(state)


class IterableSource(Source):
    """Anything that yields batches: a generator, which has one pass, or what can be iterated anew."""

    def __init__(self, op: str, data: Iterable[Any], names: Names, class_weight: Mapping[int, float] | None):
        self._op, self._data, self._names, self._class_weight = op, data, names, class_weight
        self.repeatable = iter(data) is not data
        self.num_batches = len(data) if self.repeatable and isinstance(data, Sized) else None

    def begin(self, skip: int = 0) -> Iterator[Batch]:
        data = islice(iter(self._data), skip, None)
        return (make_batch(self._op, d, self._names, self._class_weight) for d in data)


def make_source(
    op: str,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    names: Names,
    batch_size: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[int, float] | None = None,
    training: bool = False,
) -> Source:
    """The source for what a user passed as x, y and sample_weight, for `training` or for inference.

    Raises:
        TypeError, ValueError: the data cannot be used; see `make_batch`.
    """
    if is_arrays(x):
        batch = make_batch(op, (x, y, sample_weight), names, class_weight)
        return ArraySource(op, batch, batch_size, shuffle)
    kind = type(x).__name__
    if not isinstance(x, (PyDataset, Iterable)):
        raise TypeError(f"{op}: x must be arrays, a PyDataset or an iterable of batches, got {kind}")
    for what, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(f"{op}: {what} must come with the batches of x ({kind}), got {what} as well")
    if isinstance(x, PyDataset):
        return DatasetSource(op, x, names, class_weight, bool(shuffle), training)
    return IterableSource(op, x, names, class_weight)


def is_arrays(x: Any) -> bool:
    """Whether x is data in memory: an array, or a list or dict of them."""
    return isinstance(x, (list, tuple, Mapping)) or hasattr(x, "__array__")


def split_validation(op: str, data: tuple[Any, Any, Any], fraction: float, names: Names) -> tuple[Any, Any]:
    """Cuts the last `fraction` of the samples off, before anything is shuffled: (x, y, sample_weight) of both
    parts.

    Raises:
        TypeError: the data are no arrays. ValueError: the fraction leaves nothing on one of the sides.
    """
    if not is_arrays(data[0]):
        raise TypeError(f"{op}: validation_split needs arrays, x is a {type(data[0]).__name__}; use validation_data")
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"{op}: validation_split must lie between 0 and 1, got {fraction}")
    whole = make_batch(op, data, names)
    kept = math.floor(whole.size * (1.0 - fraction))
    if kept == 0 or kept == whole.size:
        raise ValueError(
            f"{op}: validation_split={fraction} of {whole.size} samples leaves {kept} to train on and "
            f"{whole.size - kept} to validate on"
        )
    return whole.part(slice(0, kept)).structure(), whole.part(slice(kept, None)).structure()


def whole_number(op: str, what: str, value: Any, least: int = 1) -> int:
    """`value` as an int. TypeError if it is no whole number, ValueError if it is less than `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {what} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{op}: {what} must be at least {least}, got {number}")
    return number
