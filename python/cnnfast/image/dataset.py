"""`ImageDataset`: batches of images from files, decoded in the background."""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnfast import checks, random
from cnnfast.image.decode import ImageError
from cnnfast.image.reader import ImageReader, default_workers
from cnnfast.image.streams import order_rng
from cnnfast.prefetch import prefetched
from cnnfast.training.sources import whole_number
from cnnfast.utils import PyDataset

LABEL_MODES = ("int", "categorical", "binary", "raw", None)
#: bytes of decoded images that `cache=True` keeps at most
CACHE_BYTES = 2**31

_ON_ERROR = ("raise", "skip", "warn")
_FITS = {(False, False): "stretch", (True, False): "crop", (False, True): "pad"}


class _Pass(NamedTuple):
    """One way through the files: which it is, and the numbers of the samples in their order."""

    epoch: int
    order: np.ndarray


class ImageDataset(PyDataset):
    """Batches of images that are read from files while the model computes.

    Images are uint8 (N, H, W, C), a quarter of the memory of floats; the model makes floats of them inside its
    compiled step. Put a `Rescaling(1 / 255)` layer first, or ask for `dtype="float32"` (values stay 0 to 255).

    In training, `fit` takes the files in a new order each epoch if `shuffle` says so, and augments them. `predict`,
    `evaluate` and validation take them in the order of `file_paths` as they are, so that predictions and
    `file_paths` belong together; `samples_of` tells what is in a batch in any case.

    Order and augmentation depend on `seed` and the number of the epoch alone, so training that was interrupted goes on
    bit for bit with `callbacks.BackupAndRestore`.

    Args:
        file_paths: the files.
        labels: whole numbers (N,) of classes; with label_mode "raw" numbers (N,) or (N, K); None for images alone.
        class_names: name of class 0, of class 1 and so on; by default the numbers.
        label_mode: "int": labels int32 (N,); "categorical": one-hot float32 (N, classes); "binary": 0 or 1 as
            float32 (N, 1); "raw": float32, as given; None: images alone.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: images of a batch; the last batch may have fewer.
        image_size: (rows, columns) of all images.
        shuffle: whether training takes the files in a new order each epoch.
        seed: of order and augmentation; if None, one is drawn from cnnfast's generator when it is needed.
        interpolation: as for `read_image`.
        crop_to_aspect_ratio: instead of stretching, cut out the largest part in the middle that fits.
        pad_to_aspect_ratio: instead of stretching, put the whole image on black.
        data_format: "channels_last" (None means it), or "channels_first" for batches (N, C, H, W).
        dtype: "uint8" or "float32".
        sample_weight: weights (N,), which become the third part of batches; needs labels.
        directory: the folder that `filenames` start from.
        on_error: "raise": a file that cannot be read stops the iteration with an error that names it. "skip" and
            "warn": all files are read once at the start, and those that cannot be are left out and listed in
            `skipped`; "warn" also names them in a warning.
        cache: keep decoded images in memory, up to a number of bytes; True means 2 GiB. What does not fit is decoded
            again each epoch.
        augment: for training alone: what `image.transforms.get` takes, as "standard"; or a function called as
            ``augment(images, labels=, seed=, epoch=, samples=, threads=1)`` that gives images, or images and labels.
        workers: threads that decode, by default as many as the process may use, at most 4; with 0 images are decoded
            when they are asked for.
        max_queue_size: batches that may lie ready.

    Attributes:
        file_paths, filenames: of the samples, with and without `directory`.
        labels: as given, or None.
        class_names: list of names, or None without classes.
        samples: number of images.
        skipped: what is wrong with the files that were left out, by path.

    Raises:
        ImageError: no file can be read. TypeError, ValueError: arguments that do not fit.

    Example:
        >>> from cnnfast.image.decode import save_img
        >>> for i in range(3):
        ...     save_img(f"{i}.png", np.full((4, 4, 3), i), scale=False)
        >>> dataset = ImageDataset(["0.png", "1.png", "2.png"], [0, 1, 1], image_size=(2, 2), batch_size=2)
        >>> [(images.shape, labels.tolist()) for images, labels in dataset]
        [((2, 2, 2, 3), [0, 1]), ((1, 2, 2, 3), [1])]
    """

    def __init__(
        self,
        file_paths: Sequence[str | os.PathLike[str]],
        labels: Any = None,
        *,
        class_names: Sequence[str] | None = None,
        label_mode: str | None = "int",
        color_mode: str = "rgb",
        batch_size: int = 32,
        image_size: Sequence[int] | int = (256, 256),
        shuffle: bool = False,
        seed: int | None = None,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        data_format: str | None = None,
        dtype: str = "uint8",
        sample_weight: Any = None,
        directory: str | os.PathLike[str] | None = None,
        on_error: str = "raise",
        cache: bool | int = False,
        augment: Callable[..., Any] | str | dict[str, Any] | None = None,
        workers: int | None = None,
        max_queue_size: int = 8,
    ):
        op = type(self).__name__
        threads = default_workers() if workers is None else whole_number(op, "workers", workers, least=0)
        super().__init__(max(threads, 1), max_queue_size=whole_number(op, "max_queue_size", max_queue_size))
        self._ahead = threads > 0
        self.batch_size = whole_number(op, "batch_size", batch_size)
        self.shuffle = bool(shuffle)
        self.augment = _transform(augment)
        #: gives labels the form that augmented ones have, as mixing images makes them shares of classes
        self._plain_labels = getattr(self.augment, "plain_labels", None)
        self._dtype = _one_of(op, "dtype", np.dtype(dtype).name, ("uint8", "float32"))
        self._channels_first = (
            _one_of(op, "data_format", data_format, (None, "channels_last", "channels_first")) == "channels_first"
        )
        _one_of(op, "on_error", on_error, _ON_ERROR)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(f"{op}: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other, both are True")
        fit = _FITS[bool(crop_to_aspect_ratio), bool(pad_to_aspect_ratio)]
        self._seed = None if seed is None else random.check_seed(op, seed)
        self._passes = 0
        paths = [os.fspath(path) for path in file_paths]
        if not paths:
            raise ValueError(f"{op}: there are no files")
        self._reader = ImageReader(op, paths, color_mode, image_size, interpolation, fit, _cache_bytes(op, cache))
        self.label_mode = label_mode
        self.labels, self.class_names = _checked_labels(op, labels, class_names, label_mode, len(paths))
        self.sample_weight = _checked_weights(op, sample_weight, len(paths))
        if self.sample_weight is not None and self.labels is None:
            raise ValueError(f"{op}: sample_weight needs labels, there are none")
        self.directory = None if directory is None else os.fspath(directory)
        self.skipped: dict[str, str] = {}
        if on_error != "raise":
            self._leave_out_unreadable(op, on_error == "warn")
        self._pass = self._new_pass()

    def _leave_out_unreadable(self, op: str, warn: bool) -> None:
        problems = self._reader.unreadable(self.workers)
        self.skipped = {self._reader.paths[number]: problem for number, problem in problems.items()}
        listed = [f"{path}: {problem}" for path, problem in self.skipped.items()]
        if len(problems) == len(self._reader):
            raise ImageError(self._reader.paths[0], f"{problems[0]} (none of {len(problems)} files can be read)")
        self._reader.drop(problems)
        total = len(self._reader) + len(problems)
        kept = [number for number in range(total) if number not in problems]
        self.labels = None if self.labels is None else self.labels[kept]
        self.sample_weight = None if self.sample_weight is None else self.sample_weight[kept]
        if warn and listed:
            more = f"\n  and {len(listed) - 10} more (see `skipped`)" if len(listed) > 10 else ""
            text = "\n  ".join(listed[:10])
            warnings.warn(
                f"{op}: {len(listed)} of {total} files cannot be read and are left out:\n  {text}{more}", stacklevel=3
            )

    @property
    def samples(self) -> int:
        """Number of images."""
        return len(self._reader)

    @property
    def file_paths(self) -> list[str]:
        """The files, in the order of the samples' numbers."""
        return list(self._reader.paths)

    @property
    def filenames(self) -> list[str]:
        """The files, named from `directory`."""
        if self.directory is None:
            return self.file_paths
        return [os.path.relpath(path, self.directory) for path in self._reader.paths]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image."""
        return self._reader.shape

    @property
    def makes_ahead(self) -> bool:
        """Whether threads decode batches while the model computes."""
        return self._ahead

    @property
    def keeps_order(self) -> bool:
        """True: `shuffle` alone decides about the order, not that of `fit`."""
        return True

    def __len__(self) -> int:
        return math.ceil(self.samples / self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of the current epoch. IndexError if there is none."""
        now = self._pass
        samples = self._samples(now, index)
        images: Any = self._reader.read(samples)
        labels = None if self.labels is None else self._targets(samples)
        if self.augment is not None:
            images, labels = self._augmented(images, labels, now.epoch, samples)
        elif labels is not None and self._plain_labels is not None:
            labels = self._plain_labels(labels)
        if self._channels_first:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        images = images.astype(self._dtype, copy=False)
        if self.sample_weight is not None:
            return images, labels, self.sample_weight[samples]
        return images if labels is None else (images, labels)

    def _samples(self, now: _Pass, index: int) -> np.ndarray:
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"{type(self).__name__}: there is no batch {index}, there are {len(self)}")
        return now.order[number * self.batch_size : (number + 1) * self.batch_size]

    def _targets(self, samples: np.ndarray) -> np.ndarray:
        assert self.labels is not None
        labels = self.labels[samples]
        if self.label_mode == "categorical":
            rows = np.zeros((len(labels), len(self.class_names or ())), np.float32)
            rows[np.arange(len(labels)), labels] = 1.0
            return rows
        return labels.astype(np.float32)[:, None] if self.label_mode == "binary" else labels

    def _augmented(self, images: np.ndarray, labels: Any, epoch: int, samples: np.ndarray) -> tuple[Any, Any]:
        assert self.augment is not None
        result = self.augment(images, labels=labels, seed=self.seed, epoch=epoch, samples=samples, threads=1)
        if hasattr(result, "images"):
            images, labels = result.images, result.labels
        else:
            images, labels = result if isinstance(result, tuple) else (result, labels)
        if len(images) != len(samples):
            raise ValueError(f"{type(self).__name__}: augment was given {len(samples)} images and gave {len(images)}")
        return images, labels

    def __iter__(self) -> Iterator[Any]:
        """One epoch: the batches as `fit` sees them, made ahead in the background."""
        now = self.next_pass()
        if self.makes_ahead:
            yield from prefetched(now.__getitem__, range(len(self)), self.workers, self.max_queue_size)
        else:
            yield from map(now.__getitem__, range(len(self)))
        self.on_epoch_end()

    # Epochs

    @property
    def seed(self) -> int:
        """Of order and augmentation; drawn from cnnfast's generator when it is first needed."""
        if self._seed is None:
            self._seed = random.next_seed()
        return self._seed

    def next_pass(self, after: ImageDataset | None = None) -> ImageDataset:
        """Begins the next epoch and gives a copy that stays in it, whatever else is read meanwhile; files and cache
        are shared.
        """
        if after is not None:
            self._passes = after._passes
        self.on_epoch_begin()
        return copy.copy(self)

    def on_epoch_begin(self) -> None:
        """Goes on to the next epoch: another order if `shuffle`, other augmentations."""
        if self.shuffle or self.augment is not None:
            _ = self.seed  # drawn here and not in a thread, so that it comes at the same place among other draws
        self._passes += 1
        self._pass = self._new_pass()

    def _new_pass(self) -> _Pass:
        epoch = max(self._passes - 1, 0)
        if not (self.shuffle and self._passes):
            return _Pass(epoch, np.arange(self.samples))
        return _Pass(epoch, order_rng(self.seed, epoch).permutation(self.samples))

    def samples_of(self, index: int) -> np.ndarray:
        """The numbers of the samples in batch `index` of the current epoch, from 0, as in `file_paths`."""
        return self._samples(self._pass, index).copy()

    def get_state(self) -> dict[str, Any]:
        return {"seed": self._seed, "passes": self._passes}

    def set_state(self, state: dict[str, Any]) -> None:
        seed, passes = state["seed"], state["passes"]
        self._seed = None if seed is None else random.check_seed("ImageDataset.set_state", seed)
        self._passes = whole_number("ImageDataset.set_state", "passes", passes, least=0)
        self._pass = self._new_pass()

    def images(self, samples: Sequence[int]) -> np.ndarray:
        """The images of some samples, uint8 (N, H, W, C), as they are before augmentation."""
        return self._reader.read(np.asarray(samples, dtype=np.int64))

    def for_inference(self) -> ImageDataset:
        """The same files in the order of `file_paths`, not augmented; a cache is shared."""
        plain = object.__new__(type(self))
        vars(plain).update(vars(self), shuffle=False, augment=None)
        plain._pass = plain._new_pass()
        return plain


def _one_of(op: str, what: str, value: Any, choices: Sequence[Any]) -> Any:
    if value not in choices:
        raise ValueError(f"{op}: {what} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def _transform(augment: Any) -> Callable[..., Any] | None:
    if augment is None or callable(augment):
        return augment
    from cnnfast.image import transforms

    return transforms.get(augment)


def _cache_bytes(op: str, cache: Any) -> int:
    if isinstance(cache, (bool, np.bool_)):
        return CACHE_BYTES if cache else 0
    return whole_number(op, "cache", cache, least=0)


def _checked_weights(op: str, weights: Any, count: int) -> np.ndarray | None:
    if weights is None:
        return None
    array = checks.numbers(op, "sample_weight", weights).astype(np.float32)
    if array.shape != (count,):
        raise ValueError(f"{op}: sample_weight must be ({count},), one for each file, got {array.shape}")
    return array


def _checked_labels(
    op: str, labels: Any, class_names: Sequence[str] | None, label_mode: str | None, count: int
) -> tuple[np.ndarray | None, list[str] | None]:
    """Labels and class names as a data set keeps them; None where there are none."""
    _one_of(op, "label_mode", label_mode, LABEL_MODES)
    names = None if class_names is None else [str(name) for name in class_names]
    if names is not None and len(set(names)) < len(names):
        raise ValueError(f"{op}: class names must differ, got {names}")
    if labels is None or label_mode is None:
        return None, names
    array = checks.numbers(op, "labels", labels)
    if len(array) != count:
        raise ValueError(f"{op}: there are {count} files and {len(array)} labels")
    if label_mode == "raw":
        return array.astype(np.float32), None
    if array.ndim != 1:
        raise ValueError(f"{op}: labels must be ({count},), one for each file, got {array.shape}")
    numbers = checks.classes(op, "labels", array, None if names is None else len(names)).astype(np.int32)
    if names is None:
        names = [str(n) for n in range(int(numbers.max()) + 1)]
    if label_mode == "binary" and len(names) != 2:
        raise ValueError(f"{op}: label_mode 'binary' needs two classes, got {len(names)}: {names}")
    return numbers, names
