"""`AugmentedDataset`: images that training sees changed at random, anew each epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cnnfast import checks, random
from cnnfast.image.arguments import number
from cnnfast.image.door import check_images
from cnnfast.image.reader import default_workers
from cnnfast.image.streams import order_rng
from cnnfast.image.transform import Transform
from cnnfast.prefetch import prefetched
from cnnfast.training.batches import unpack
from cnnfast.training.sources import whole_number
from cnnfast.utils import PyDataset

_BATCH = 2**32  # apart from each other, where a data set does not number its samples


class _Pass(NamedTuple):
    """One way through the samples: which it is, and their numbers in order; none for a wrapped data set."""

    epoch: int
    order: np.ndarray | None


class AugmentedDataset(PyDataset):
    """Batches of images, changed at random by worker threads while the model computes.

    `fit` trains on changed images. `predict`, `evaluate` and validation see the images as they are, in their
    order, with labels in the same form.

    What happens to a sample depends on `seed`, the number of the epoch and the sample's number alone, not on workers or
    the order of batches, so training that was interrupted goes on bit for bit with `callbacks.BackupAndRestore`.

    Args:
        x: images (N, H, W, C), uint8 or floats, or any `PyDataset` of batches of them. If such a data set does not
            number its samples, they are numbered by their place in the epoch.
        y: labels (N,) or (N, K), or None; not with a data set.
        transform: a transform, the name of a preset, or a description; "standard" by default. One that mixes images
            needs labels, and makes them float32 (N, K).
        batch_size: images of a batch; the last batch may have fewer; not with a data set. 32 by default.
        shuffle: whether training takes samples in a new order each epoch; not with a data set. True by default.
        seed: of order and changes; if None, one is drawn from cnnfast's generator when it is needed.
        sample_weight: weights (N,), which become the third part of batches; not with a data set. Mixed images keep
            the weight of their first part.
        value_range: white in float images: 255 or 1, say.
        augment_inference: whether `predict`, `evaluate` and validation see changed images, too.
        workers: threads; by default those of the data set, for arrays as many as the process may use, at most 4.
            With 0 batches are made when they are asked for.
        max_queue_size: batches that may lie ready.

    Raises:
        TypeError, ValueError: arguments that do not fit each other or the transform.

    Example:
        >>> import numpy as np
        >>> from cnnfast.image.transforms import AugmentedDataset
        >>> photos, classes = np.zeros((5, 8, 8, 3), np.uint8), np.array([0, 1, 1, 0, 1])
        >>> data = AugmentedDataset(photos, classes, "light", batch_size=2, seed=1)
        >>> [(images.shape[0], labels.shape) for images, labels in data]
        [(2, (2,)), (2, (2,)), (1, (1,))]
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        transform: Any = "standard",
        *,
        batch_size: int | None = None,
        shuffle: bool | None = None,
        seed: int | None = None,
        sample_weight: Any = None,
        value_range: float = 255.0,
        augment_inference: bool = False,
        workers: int | None = None,
        max_queue_size: int = 8,
    ):
        from cnnfast.image import transforms

        op = type(self).__name__
        found = transforms.get(transform)
        if found is None:
            raise TypeError(f"{op}: a transform is needed, came None")
        self.transform: Transform = found
        self.value_range = number(op, "value_range", value_range, 1e-6)
        self.augment_inference = bool(augment_inference)
        self._changes = True
        self._seed = None if seed is None else random.check_seed(op, seed)
        self._passes = self._inferred = 0  # epochs that have begun, and passes for inference with changes
        self._data: PyDataset | None = x if isinstance(x, PyDataset) else None
        if self._data is not None:
            given = {"y": y, "batch_size": batch_size, "shuffle": shuffle, "sample_weight": sample_weight}
            for what, value in given.items():
                if value is not None:
                    raise ValueError(f"{op}: {what} is up to the data set {type(x).__name__}, got {what} as well")
            threads = x.workers if workers is None else whole_number(op, "workers", workers, least=0)
            self._ahead = x.makes_ahead if workers is None else threads > 0
        else:
            self._take_arrays(op, x, y, sample_weight)
            threads = default_workers() if workers is None else whole_number(op, "workers", workers, least=0)
            self._ahead = threads > 0
        super().__init__(max(threads, 1), max_queue_size=whole_number(op, "max_queue_size", max_queue_size))
        self.batch_size = (
            None if self._data is not None else whole_number(op, "batch_size", 32 if batch_size is None else batch_size)
        )
        self.shuffle = self._data is None and shuffle is not False
        self._pass = self._new_pass()

    def _take_arrays(self, op: str, x: Any, y: Any, sample_weight: Any) -> None:
        self._images = check_images(op, np.asarray(x))
        count = len(self._images)
        self._labels = None if y is None else checks.numbers(op, "y", y)
        self._weights = None if sample_weight is None else checks.numbers(op, "sample_weight", sample_weight)
        for what, array in (("y", self._labels), ("sample_weight", self._weights)):
            if array is not None and (array.ndim == 0 or len(array) != count):
                raise ValueError(f"{op}: {what} must come for each of {count} images, came shape {array.shape}")
        # what cannot work should not be found by a worker in the middle of an epoch
        if self._labels is not None:
            self.transform.plain_labels(self._labels)
        few = slice(0, min(count, 2))
        self.transform(
            self._images[few],
            labels=None if self._labels is None else self._labels[few],
            value_range=self.value_range,
            threads=1,
        )

    def __len__(self) -> int:
        if self._data is not None:
            return len(self._data)
        return math.ceil(len(self._images) / (self.batch_size or 1))

    @property
    def makes_ahead(self) -> bool:
        """Whether threads make batches while the model computes."""
        return self._ahead

    @property
    def seed(self) -> int:
        """Of order and changes; drawn from cnnfast's generator when it is first needed."""
        if self._seed is None:
            self._seed = random.next_seed()
        return self._seed

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of the current epoch. IndexError if there is none."""
        now = self._pass
        images, labels, weights, samples = self._batch(now, index)
        if self._changes:
            done = self.transform(
                images,
                seed=self.seed,
                epoch=now.epoch,
                samples=samples,
                labels=labels,
                value_range=self.value_range,
                threads=1,
            )
            images, labels = done.images, done.labels
        elif labels is not None:
            labels = self.transform.plain_labels(labels)
        if weights is not None:
            return images, labels, weights
        return images if labels is None else (images, labels)

    def _batch(self, now: _Pass, index: int) -> tuple[Any, Any, Any, np.ndarray]:
        """Images, labels, weights and numbers of samples, as they are."""
        count = len(self)
        place = index + count if index < 0 else index
        if not 0 <= place < count:
            raise IndexError(f"{type(self).__name__}: there is no batch {index}, there are {count}")
        if self._data is not None:
            images, labels, weights = unpack(type(self).__name__, self._data[place])
            samples = self._data.samples_of(place)
            return images, labels, weights, place * _BATCH + np.arange(len(images)) if samples is None else samples
        assert now.order is not None and self.batch_size is not None
        samples = now.order[place * self.batch_size : (place + 1) * self.batch_size]
        labels, weights = (None if array is None else array[samples] for array in (self._labels, self._weights))
        return self._images[samples], labels, weights, samples

    def __iter__(self) -> Iterator[Any]:
        """One epoch: the batches as `fit` sees them, made ahead in the background."""
        now = self.next_pass()
        if self.makes_ahead:
            yield from prefetched(now.__getitem__, range(len(self)), self.workers, self.max_queue_size)
        else:
            yield from map(now.__getitem__, range(len(self)))
        self.on_epoch_end()

    def next_pass(self, after: AugmentedDataset | None = None) -> AugmentedDataset:
        """Begins the next epoch and gives a copy that stays in it, whatever else is read meanwhile, as far as a wrapped
        data set does so, too.
        """
        if after is not None:
            self._passes = after._passes
        data = None
        if self._data is not None:
            data = self._data.next_pass(None if after is None else after._data)
        self._begin_pass()
        now = copy.copy(self)
        now._data = data
        return now

    def on_epoch_begin(self) -> None:
        """Goes on to the next epoch: another order if `shuffle`, other changes."""
        if self._data is not None:
            self._data.on_epoch_begin()
        self._begin_pass()

    def _begin_pass(self) -> None:
        if self._changes:
            _ = self.seed  # drawn here and not in a thread, so that it comes at the same place among other draws
        self._passes += 1
        self._pass = self._new_pass()

    def on_epoch_end(self) -> None:
        if self._data is not None:
            self._data.on_epoch_end()

    def _new_pass(self) -> _Pass:
        epoch = max(self._passes - 1, 0)
        if self._data is not None:
            return _Pass(epoch, None)
        count = len(self._images)
        if not (self.shuffle and self._passes):
            return _Pass(epoch, np.arange(count))
        return _Pass(epoch, order_rng(self.seed, epoch).permutation(count))

    @property
    def keeps_order(self) -> bool:
        """Whether `fit` leaves the order of batches alone: that of arrays, and as the wrapped data set says."""
        return self._data is None or self._data.keeps_order

    @property
    def class_names(self) -> list[str] | None:
        """Those of the wrapped data set, None if it has none."""
        return getattr(self._data, "class_names", None)

    @property
    def filenames(self) -> Any:
        """Those of the wrapped data set, None if it has none."""
        return getattr(self._data, "filenames", None)

    def samples_of(self, index: int) -> np.ndarray | None:
        """The numbers of the samples in batch `index` of the current epoch, from 0."""
        if self._data is not None:
            return self._data.samples_of(index)
        assert self._pass.order is not None and self.batch_size is not None
        return self._pass.order[index * self.batch_size : (index + 1) * self.batch_size].copy()

    def for_inference(self) -> AugmentedDataset:
        """The same samples in their order, as they are, or changed if `augment_inference` says so; then each time in
        another way, the first time as in epoch 0, so that predictions can be averaged.
        """
        plain = object.__new__(type(self))
        vars(plain).update(vars(self), shuffle=False, _changes=self.augment_inference)
        plain._data = None if self._data is None else self._data.for_inference()
        if self.augment_inference:
            plain._passes = self._inferred
            self._inferred += 1
        plain._pass = plain._new_pass()
        return plain

    def get_state(self) -> dict[str, Any]:
        inner = {} if self._data is None else self._data.get_state()
        return {"seed": self._seed, "passes": self._passes, "data": inner}

    def set_state(self, state: dict[str, Any]) -> None:
        seed, passes = state["seed"], state["passes"]
        self._seed = None if seed is None else random.check_seed("AugmentedDataset.set_state", seed)
        self._passes = whole_number("AugmentedDataset.set_state", "passes", passes, least=0)
        if self._data is not None:
            self._data.set_state(state["data"])
        self._pass = self._new_pass()
