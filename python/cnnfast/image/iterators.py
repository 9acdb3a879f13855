"""Keras' image iterators: endless batches in passes over the samples, and data sets for `fit` at the same time."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator as AnyIterator
from typing import Any, TypeVar

import numpy as np

from cnnfast import random
from cnnfast.image.decode import array_to_img
from cnnfast.image.generator import ImageDataGenerator
from cnnfast.image.parameters import KERAS
from cnnfast.image.reader import default_workers
from cnnfast.image.streams import order_rng, sample_rng
from cnnfast.prefetch import in_background
from cnnfast.training.sources import whole_number
from cnnfast.utils import PyDataset

Copied = TypeVar("Copied", bound="Iterator")

#: what changes from batch to batch
_STATE = ("epoch", "batch_index", "total_batches_seen", "_begun", "_ended")

#: held while anything draws from NumPy's global generator, as compat "keras2" and "keras3" do
_NUMPY_RANDOM = threading.RLock()


class Iterator(PyDataset):
    """Batches of `n` samples: by number, as ``it[i]`` and in `fit`, or one after the other without end, ``next(it)``.

    A subclass has `_get_batches_of_transformed_samples`, which makes a batch of the numbers of its samples.

    With compat "fixed", order and augmentation of an epoch depend on the seed and the number of the epoch only, so
    training that was interrupted goes on bit for bit with `callbacks.BackupAndRestore`. With "keras3" and "keras2",
    `np.random` is seeded with ``seed + total_batches_seen`` before each batch and draws the rest, as in Keras.

    Args:
        n: number of samples.
        batch_size: samples of a batch; the last one may have fewer.
        shuffle: a new order each epoch.
        seed: of order and augmentation. None: drawn from cnnfast's generator; with "keras3" and "keras2" `np.random`
            goes on where it is.
        compat: as for `ImageDataGenerator`.
        workers: threads that make batches while the model trains. Default: as many as the process may use, at most 4,
            and 1 with "keras3" and "keras2", where batches must be made in order.
        max_queue_size: batches that may lie ready.

    Attributes:
        epoch: number of the current pass, from 0.
        index_array: the numbers of the samples in the order of the current pass; None before it begins.
        batch_index: the next batch of ``next``.
        total_batches_seen: batches that were made; with "fixed" apart from those in `fit`.

    A loop of one's own over ``it[i]`` calls `on_epoch_end` after each pass, as with Keras' iterators.
    """

    def __init__(
        self,
        n: int,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int | None = None,
        *,
        compat: str = "fixed",
        workers: int | None = None,
        max_queue_size: int = 10,
    ):
        op = type(self).__name__
        self._compat = compat
        usual = 1 if compat in KERAS else default_workers()
        super().__init__(usual if workers is None else workers, max_queue_size=max_queue_size)
        self.n = whole_number(op, "number of samples", n)
        self.batch_size = whole_number(op, "batch_size", batch_size)
        self.shuffle = bool(shuffle)
        limit = 2**32 if compat in KERAS else 2**128
        self.seed = None if seed is None else random.check_seed(op, seed, limit)
        self.batch_index = 0
        self.total_batches_seen = 0
        self.epoch = 0
        self.index_array: np.ndarray | None = None
        self.lock = threading.RLock()
        self._key = None if compat in KERAS else self.seed
        self._begun = False  # whether the current epoch has
        self._ended = False  # whether it has, and the next batch by number belongs to the next one

    # Epochs

    @property
    def _as_keras(self) -> bool:
        return self._compat in KERAS

    @property
    def makes_ahead(self) -> bool:
        """Whether threads make batches while the model computes: always, one is enough for that."""
        return True

    def next_pass(self, after: Iterator | None = None) -> Iterator:
        """Begins the next epoch and gives a copy that stays in it, whatever else is read meanwhile.

        With compat "keras3" and "keras2" this iterator itself, as in Keras.
        """
        if self._as_keras:
            self.on_epoch_begin()
            return self
        with self.lock:
            if after is not None:
                self.epoch, self.index_array, self._begun = after.epoch, None, True
            self.on_epoch_begin()
            return self._copy()

    def _copy(self: Copied) -> Copied:
        other = copy.copy(self)
        other.lock = threading.RLock()
        return other

    def on_epoch_begin(self) -> None:
        """Goes on to the next epoch, if the current one has begun."""
        if self._as_keras:
            return
        with self.lock:
            if self._begun:
                self.epoch += 1
                self.index_array = None
            self._begun, self._ended = True, False
            self._stream_key()  # drawn here and not in a thread, so that it comes at the same place among other draws

    def on_epoch_end(self) -> None:
        """What follows is the next epoch. Keras orders the samples anew here; otherwise `index_array` tells the order
        until the next epoch begins, with `on_epoch_begin` or the next batch.
        """
        if self._as_keras:
            with _NUMPY_RANDOM:
                self._set_index_array()
            return
        with self.lock:
            self._begun = self._ended = True

    def reset(self) -> None:
        """``next`` begins an epoch."""
        with self.lock:
            self.batch_index = 0

    def get_state(self) -> dict[str, Any]:
        with self.lock:
            order = None if self.index_array is None or not self._as_keras else self.index_array.tolist()
            return {"seed": self._key, "order": order, **{name: getattr(self, name) for name in _STATE}}

    def set_state(self, state: dict[str, Any]) -> None:
        with self.lock:
            for name in _STATE:
                setattr(self, name, state[name])
            self._key = state["seed"]
            self.index_array = None if state["order"] is None else np.array(state["order"])

    def _stream_key(self) -> int | None:
        """The seed of order and augmentation; drawn from cnnfast's generator when it is first needed.

        None: `np.random` is used instead.
        """
        with self.lock:
            if self._key is None and not self._as_keras:
                self._key = random.next_seed()
            return self._key

    def _set_index_array(self) -> None:
        if not self.shuffle:
            self.index_array = np.arange(self.n)
        elif (key := self._stream_key()) is None:
            self.index_array = np.random.permutation(self.n)  # noqa: NPY002
        else:
            self.index_array = order_rng(key, self.epoch).permutation(self.n)

    # Batches

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of the current epoch. IndexError if there is none."""
        number = self._number(index)
        if self._as_keras:
            with _NUMPY_RANDOM:
                self._seed_numpy()
                return self._batch(self._samples(number), self.epoch)
        with self.lock:
            if self._ended:
                self.on_epoch_begin()
            self.total_batches_seen += 1
            samples, epoch = self._samples(number), self.epoch
        return self._batch(samples, epoch)

    def __iter__(self) -> AnyIterator[Any]:
        """This iterator; it has no end, as in Keras."""
        return self

    def __next__(self) -> Any:
        """The next batch; after the last one of an epoch the first of the next."""
        if self._as_keras:
            with _NUMPY_RANDOM:
                self._seed_numpy()
                if self.batch_index == 0:
                    self._set_index_array()
                return self._batch(self._next_samples(), self.epoch)
        with self.lock:
            if self.batch_index == 0:
                self.on_epoch_begin()
            self.total_batches_seen += 1
            samples, epoch = self._next_samples(), self.epoch
        return self._batch(samples, epoch)

    next = __next__

    def samples_of(self, index: int) -> np.ndarray:
        """The numbers of the samples in batch `index` of the current epoch, from 0, as in `filenames`."""
        with self.lock:
            return self._samples(self._number(index)).copy()

    def _seed_numpy(self) -> None:
        if self.seed is not None:
            np.random.seed((self.seed + self.total_batches_seen) % 2**32)  # noqa: NPY002
        self.total_batches_seen += 1

    def _next_samples(self) -> np.ndarray:
        number = self.batch_index
        self.batch_index = (number + 1) % len(self)
        return self._samples(number)

    def _samples(self, number: int) -> np.ndarray:
        if self.index_array is None:
            self._set_index_array()
        assert self.index_array is not None
        return self.index_array[number * self.batch_size : (number + 1) * self.batch_size]

    def _number(self, index: int) -> int:
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"{type(self).__name__}: there is no batch {index}, there are {len(self)}")
        return number

    def _batch(self, samples: np.ndarray, epoch: int) -> Any:
        """The batch of some samples in an epoch; called from several threads at once."""
        return self._get_batches_of_transformed_samples(samples)

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        """The batch of some samples; what a subclass of Keras' iterator has."""
        raise NotImplementedError(
            f"{type(self).__name__} needs _get_batches_of_transformed_samples, which makes the batch of some samples"
        )


class ImageIterator(Iterator):
    """What iterators over images have in common: the generator that transforms them, and where to save them.

    Args:
        image_data_generator: transforms and standardises; None: a generator that does neither.
        data_format, dtype: those of the generator, or None.
        save_to_dir, save_prefix, save_format: a folder into which every image of every batch is written, to look at,
            and how the files' names begin and end.
        subset: "training" or "validation", None: all.
        augment: None: transform training batches; not what ``subset="validation"``, `evaluate`, `predict` and
            validation read. True: always; False: never. With compat "keras3" and "keras2" None means True.
        more: as for `Iterator`.
    """

    def __init__(
        self,
        n: int,
        image_data_generator: ImageDataGenerator,
        *,
        save_to_dir: str | os.PathLike[str] | None,
        save_prefix: str,
        save_format: str,
        subset: str | None,
        augment: bool | None,
        **more: Any,
    ):
        super().__init__(n, compat=image_data_generator.compat, **more)
        self.image_data_generator = image_data_generator
        self.data_format = image_data_generator.data_format
        self.dtype = image_data_generator.dtype
        self.save_to_dir = None if save_to_dir is None else os.fspath(save_to_dir)
        self.save_prefix, self.save_format = save_prefix, save_format
        self.subset = subset
        self._inferred = 0  # how often the samples were read for inference, augmented
        if augment is None and (self._as_keras or subset != "validation"):
            self._augment, self._augment_inference = True, False
        else:
            self._augment = self._augment_inference = bool(augment)
        if self.save_to_dir is not None and not os.path.isdir(self.save_to_dir):
            raise FileNotFoundError(f"{type(self).__name__}: save_to_dir: there is no folder {self.save_to_dir}")

    def for_inference(self) -> Iterator:
        """The same samples in the order of their numbers, not augmented unless that was asked for; then each time in
        another way, the first time as in epoch 0, so that predictions can be averaged.

        With compat "keras3" and "keras2" this iterator itself, as in Keras.
        """
        if self._as_keras:
            return self
        plain = self._copy()
        plain.shuffle, plain.index_array, plain._augment = False, None, self._augment_inference
        if plain._augment:
            plain.epoch, plain._begun = self._inferred, False
            self._inferred += 1
        return plain

    def _batch(self, samples: np.ndarray, epoch: int) -> Any:
        threads = 1 if in_background() else None
        images = self._load(samples, threads)
        x = self.image_data_generator._make(images, samples, self._stream_key(), epoch, self._augment, threads)
        if self.save_to_dir is not None:
            self._save(x, samples, epoch)
        return self._with_targets(x, samples)

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        return self._batch(index_array, self.epoch)

    def _save(self, x: np.ndarray, samples: np.ndarray, epoch: int) -> None:
        for image, sample in zip(x, samples.tolist(), strict=True):
            if (key := self._stream_key()) is None:
                unique = np.random.randint(self._names)  # noqa: NPY002
            else:
                unique = int(sample_rng(key, epoch, sample).integers(10**7))
            name = f"{self.save_prefix}_{sample}_{unique}.{self.save_format}"
            assert self.save_to_dir is not None
            array_to_img(image, self.data_format).save(os.path.join(self.save_to_dir, name))

    #: how many different names files of one sample have in Keras, which draws one
    _names = 10**7

    def _load(self, samples: np.ndarray, threads: int | None) -> np.ndarray:
        """Images (N, H, W, C), uint8 or float32."""
        raise NotImplementedError

    def _with_targets(self, x: np.ndarray, samples: np.ndarray) -> Any:
        """x alone, or with targets and weights."""
        raise NotImplementedError


class NumpyArrayIterator(ImageIterator):
    """Batches of images in memory; what `ImageDataGenerator.flow` returns.

    Args:
        x: images (N, H, W, C), or (N, C, H, W) if the generator says so; uint8 is kept as it is and takes a quarter
            of the memory. Or (images, more): a tuple with one more array or a list of them, which batches have too.
        y: targets (N, ...), or None.
        image_data_generator: transforms and standardises.
        batch_size, shuffle, seed: as for `Iterator`.
        sample_weight: (N,), which become the third part of batches; needs y.
        subset: "validation": the first samples, the generator's `validation_split` of them; "training": the others.
        ignore_class_split: whether the subsets may have different classes.
        data_format, dtype, save_to_dir, save_prefix, save_format, augment, workers, max_queue_size: as for
            `ImageIterator` and `Iterator`.

    Raises:
        TypeError, ValueError: arguments that do not fit.

    Example:
        >>> flow = NumpyArrayIterator(np.zeros((5, 4, 4, 1), np.uint8), [0, 1, 2, 3, 4], ImageDataGenerator(), 2)
        >>> [labels.tolist() for _, labels in (flow[i] for i in range(len(flow)))]
        [[0, 1], [2, 3], [4]]
    """

    _names = 10**4

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: ImageDataGenerator | None,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: Any = None,
        *,
        augment: bool | None = None,
        workers: int | None = None,
        max_queue_size: int = 10,
    ):
        generator = checked_generator(image_data_generator, data_format, dtype)
        images, self.x_misc = _images_and_more(x)
        self.y = None if y is None else np.asarray(y)
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)
        if self.sample_weight is not None and self.y is None:
            raise ValueError("flow: sample_weight needs y, which is None")
        arrays = {"y": self.y, "sample_weight": self.sample_weight}
        for what, array in [*arrays.items(), *(("the other array of x", other) for other in self.x_misc)]:
            if array is not None and np.shape(array)[:1] != images.shape[:1]:
                raise ValueError(f"flow: x has {len(images)} images, {what} has shape {np.shape(array)}")
        if images.ndim != 4 or 0 in images.shape:
            raise ValueError(f"flow: x must be images (N,H,W,C), got {images.shape}")
        if images.dtype.kind not in "fiub":
            raise TypeError(f"flow: x must hold real numbers, got {images.dtype}")
        part = _part_of(generator, len(images), subset)
        if self.y is not None and subset is not None and not ignore_class_split:
            _check_classes(self.y, int(len(images) * generator.validation_split))
        kept = np.dtype(np.uint8 if generator.dtype == "uint8" or images.dtype == np.uint8 else np.float32)
        self.x = np.ascontiguousarray(images[part], dtype=kept)
        self.x_misc = [other[part] for other in self.x_misc]
        self.y = None if self.y is None else self.y[part]
        self.sample_weight = None if self.sample_weight is None else self.sample_weight[part]
        generator._warn_of_channels("flow", self.x.shape)
        if generator.brightness_range is not None:
            generator._warn_of_small_values("flow", self.x)
        super().__init__(
            len(self.x),
            generator,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            augment=augment,
            workers=workers,
            max_queue_size=max_queue_size,
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image in a batch."""
        return self.x.shape[1:]

    @property
    def labels(self) -> np.ndarray | None:
        """The targets of all samples."""
        return self.y

    def _load(self, samples: np.ndarray, threads: int | None) -> np.ndarray:
        images = self.x[samples]
        first = self.data_format == "channels_first"
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if first else images

    def _with_targets(self, x: np.ndarray, samples: np.ndarray) -> Any:
        inputs = [x, *(other[samples] for other in self.x_misc)] if self.x_misc else x
        if self.y is None:
            return inputs
        if self.sample_weight is None:
            return inputs, self.y[samples]
        return inputs, self.y[samples], self.sample_weight[samples]


def checked_generator(generator: Any, data_format: str | None, dtype: Any) -> ImageDataGenerator:
    """The generator of an iterator, whose data format and type must be those of the iterator if it has some."""
    if generator is None:
        return ImageDataGenerator(data_format=data_format, dtype=dtype)
    if not isinstance(generator, ImageDataGenerator):
        raise TypeError(f"image_data_generator must be an ImageDataGenerator, got {type(generator).__name__}")
    if data_format not in (None, generator.data_format):
        raise ValueError(f"data_format: the generator has {generator.data_format!r}, got {data_format!r}")
    if dtype is not None and np.dtype(dtype).name != generator.dtype:
        raise ValueError(f"dtype: the generator has {generator.dtype}, got {dtype!r}")
    return generator


def validation_bounds(generator: ImageDataGenerator, count: int, subset: str | None) -> tuple[int, int]:
    """Begin and end of the samples of a subset: validation has the first ones."""
    if subset is None:
        return 0, count
    if subset not in ("training", "validation"):
        raise ValueError(f"subset must be 'training' or 'validation', got {subset!r}")
    split = int(count * generator.validation_split)
    return (0, split) if subset == "validation" else (split, count)


def _part_of(generator: ImageDataGenerator, count: int, subset: str | None) -> slice:
    begin, end = validation_bounds(generator, count, subset)
    if begin == end:
        raise ValueError(
            f"flow: subset {subset!r} of {count} images is empty with validation_split={generator.validation_split}"
        )
    return slice(begin, end)


def _images_and_more(x: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    if not isinstance(x, (list, tuple)):
        return np.asarray(x), []
    if len(x) != 2:
        raise ValueError(f"flow: x must be images or (images, more arrays), got a {type(x).__name__} of {len(x)}")
    more = x[1] if isinstance(x[1], list) else [x[1]]
    return np.asarray(x[0]), [np.asarray(other) for other in more]


def _check_classes(y: np.ndarray, split: int) -> None:
    validation, training = np.unique(y[:split]), np.unique(y[split:])
    if not np.array_equal(validation, training):
        raise ValueError(
            f"flow: the first {split} samples, for validation, have {len(validation)} different labels, the others "
            f"{len(training)}; shuffle the arrays if they are sorted, or pass ignore_class_split=True"
        )
