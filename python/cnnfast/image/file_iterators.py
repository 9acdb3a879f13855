"""Iterators over image files, listed by folders or by a table."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnfast.image import frames
from cnnfast.image.decode import channels_of, check_interpolation, load_img, size_of
from cnnfast.image.folders import list_images
from cnnfast.image.generator import ImageDataGenerator
from cnnfast.image.iterators import ImageIterator, checked_generator, validation_bounds
from cnnfast.ops import engine
from cnnfast.prefetch import prefetched

CLASS_MODES = ("categorical", "binary", "sparse")  # whose targets are classes


class FileIterator(ImageIterator):
    """Batches of images that are decoded when they are asked for.

    Args:
        file_paths: the files.
        op: for messages.
        target_size: (rows, columns) that images are resampled to.
        color_mode, interpolation, keep_aspect_ratio: as for `load_img`.
        class_mode: what the targets are; see `DirectoryIterator`.
        more: as for `ImageIterator`.

    Attributes:
        filenames, filepaths: the files, without and with the folder that they lie in.
        samples: number of files.
        class_indices: number of each class by name; of class modes with classes only.
        classes: the classes of all files, as numbers.
        image_shape: shape of one image in a batch.
    """

    class_indices: dict[str, int]
    num_classes: int
    classes: Any
    filenames: list[str]
    _targets: Any = None
    _sample_weight: np.ndarray | None = None

    def __init__(
        self,
        op: str,
        file_paths: list[str],
        image_data_generator: ImageDataGenerator,
        *,
        target_size: Sequence[int],
        color_mode: str,
        interpolation: str,
        keep_aspect_ratio: bool,
        class_mode: str | None,
        **more: Any,
    ):
        self.target_size = size_of(op, "target_size", target_size)
        self.color_mode, self.class_mode = color_mode, class_mode
        self.interpolation, self.keep_aspect_ratio = check_interpolation(op, interpolation), bool(keep_aspect_ratio)
        channels = channels_of(op, color_mode)
        first = image_data_generator.data_format == "channels_first"
        self.image_shape = (channels, *self.target_size) if first else (*self.target_size, channels)
        self.samples = len(file_paths)
        self._filepaths = file_paths
        super().__init__(self.samples, image_data_generator, **more)

    @property
    def filepaths(self) -> list[str]:
        """The files with the folder before them."""
        return self._filepaths

    @property
    def file_paths(self) -> list[str]:
        """The same by the name that `ImageDataset` has for it."""
        return self._filepaths

    @property
    def class_names(self) -> list[str] | None:
        """Name of class 0, of class 1 and so on; None without classes."""
        return list(self.class_indices) if self.class_mode in CLASS_MODES else None

    @property
    def labels(self) -> Any:
        """The targets of all files: numbers of classes, or what the table has."""
        return self.classes if self._targets is None else self._targets

    @property
    def sample_weight(self) -> np.ndarray | None:
        """The weights of all files, or None."""
        return self._sample_weight

    def _load(self, samples: np.ndarray, threads: int | None) -> np.ndarray:
        threads = threads or min(engine.num_threads(), len(samples))
        numbers = samples.tolist()
        if threads > 1:
            images = list(prefetched(self._pixels, numbers, threads, len(numbers)))
        else:
            images = [self._pixels(number) for number in numbers]
        batch = np.stack(images)
        batch = batch if batch.dtype == np.uint8 else batch.astype(np.float32)
        return batch[..., None] if batch.ndim == 3 else batch

    def _pixels(self, number: int) -> np.ndarray:
        path = self._filepaths[number]
        return np.asarray(load_img(path, self.color_mode, self.target_size, self.interpolation, self.keep_aspect_ratio))

    def _with_targets(self, x: np.ndarray, samples: np.ndarray) -> Any:
        if self.class_mode is None:
            return x
        y = self._targets_of(x, samples)
        return (x, y) if self._sample_weight is None else (x, y, self._sample_weight[samples])

    def _targets_of(self, x: np.ndarray, samples: np.ndarray) -> Any:
        if self.class_mode == "input":
            return x.copy()
        if self.class_mode == "multi_output":
            return [target[samples] for target in self._targets]
        if self.class_mode == "raw":
            return self._targets[samples]
        classes = [self.classes[sample] for sample in samples]
        if self.class_mode in ("binary", "sparse"):
            return np.array(classes, self.dtype)
        y = np.zeros((len(x), len(self.class_indices)), self.dtype)
        for row, found in zip(y, classes, strict=True):
            row[found] = 1
        return y


class DirectoryIterator(FileIterator):
    """Batches of the images in a folder that has a folder for each class; `ImageDataGenerator.flow_from_directory`
    returns it.

    Prints how many there are.

    Args:
        directory: has a folder for each class, whose images may lie in further folders.
        image_data_generator: transforms and standardises.
        target_size: (rows, columns) that images are resampled to.
        color_mode: "rgb", "rgba" or "grayscale".
        classes: names of the folders to take, in the order of their numbers; by default all, sorted.
        class_mode: "categorical": one-hot rows (N, classes); "binary" or "sparse": numbers (N,); "input": the images
            themselves; None: images alone. Targets are of the generator's dtype.
        batch_size, shuffle, seed: as for `Iterator`.
        follow_links: whether to go into links to folders below those of the classes.
        subset: "validation": the first files of each class, the generator's `validation_split` of them; "training":
            the others.
        interpolation: as for `load_img`: "nearest", "bilinear", "bicubic", "hamming", "box", "lanczos".
        keep_aspect_ratio: cut out the middle first, so that nothing is stretched.
        data_format, dtype, save_to_dir, save_prefix, save_format, augment, workers, max_queue_size: as for
            `ImageIterator` and `Iterator`.

    Raises:
        OSError: there is no such folder. ValueError: no images, a class without a folder, or other arguments that do
            not fit. `ImageError`, when a batch is made: a file that is no image, by name.
    """

    allowed_class_modes = (*CLASS_MODES, "input", None)

    def __init__(
        self,
        directory: str | os.PathLike[str],
        image_data_generator: ImageDataGenerator | None,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
        *,
        augment: bool | None = None,
        workers: int | None = None,
        max_queue_size: int = 10,
    ):
        op = "flow_from_directory"
        generator = checked_generator(image_data_generator, data_format, dtype)
        _check_class_mode(op, class_mode, self.allowed_class_modes)
        files = list_images(directory, classes or None, follow_links, op=op)
        assert files.labels is not None
        self.directory = files.directory
        self.class_indices = {name: number for number, name in enumerate(files.class_names)}
        self.num_classes = len(files.class_names)
        kept = [
            sample
            for number in range(self.num_classes)
            for sample in _subset(generator, np.flatnonzero(files.labels == number), subset)
        ]
        self.filenames = [files.filenames[sample] for sample in kept]
        self.classes = files.labels[kept]
        print(f"Found {len(kept)} images belonging to {self.num_classes} classes.")
        _check_number_of_classes(op, class_mode, files.class_names, files.directory)
        paths = [os.path.join(self.directory, name) for name in self.filenames]
        _check_not_empty(op, paths, subset, generator)
        super().__init__(
            op,
            paths,
            generator,
            target_size=target_size,
            color_mode=color_mode,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            class_mode=class_mode,
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


class DataFrameIterator(FileIterator):
    """Batches of the images that a table names; `ImageDataGenerator.flow_from_dataframe` returns it.

    Prints how many there are.

    Args:
        dataframe: a pandas DataFrame, or anything whose columns are ``dataframe[name]``, such as a dict of lists.
        directory: the folder that file names start from; None: the current one.
        image_data_generator: transforms and standardises.
        x_col: the column of file names.
        y_col: the column of targets, or a list of them for the class modes "raw" and "multi_output".
        weight_col: the column of sample weights, which become the third part of batches.
        classes: the classes, in the order of their numbers; rows of other classes are left out. By default all,
            sorted.
        class_mode: as for `DirectoryIterator`; "categorical" takes a list of classes for an image too. "raw": the
            numbers of `y_col`; "multi_output": a list of arrays, one for each column of `y_col`.
        subset: "validation": the first rows, the generator's `validation_split` of them; "training": the others.
        validate_filenames: leave out files that do not exist or whose name does not end as those of images do, with a
            warning.
        target_size, color_mode, batch_size, shuffle, seed, interpolation, keep_aspect_ratio: as for
            `DirectoryIterator`.
        data_format, dtype, save_to_dir, save_prefix, save_format, augment, workers, max_queue_size: as for
            `ImageIterator` and `Iterator`.

    Raises:
        ValueError: no such column, no images left, or other arguments that do not fit. TypeError: a column of another
            type. `ImageError`, when a batch is made: a file that is no image, by name.
    """

    allowed_class_modes = (*CLASS_MODES, "input", "multi_output", "raw", None)

    def __init__(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        image_data_generator: ImageDataGenerator | None = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
        validate_filenames: bool = True,
        *,
        augment: bool | None = None,
        workers: int | None = None,
        max_queue_size: int = 10,
    ):
        op = "flow_from_dataframe"
        generator = checked_generator(image_data_generator, data_format, dtype)
        _check_class_mode(op, class_mode, self.allowed_class_modes)
        self.directory = "" if directory is None else os.fspath(directory)
        names = frames.file_names(op, dataframe, x_col)
        rows = list(range(len(names)))
        if validate_filenames:
            rows = frames.existing_files(op, x_col, [os.path.join(self.directory, name) for name in names])
        if class_mode in CLASS_MODES:
            labels = frames.class_labels(op, dataframe, y_col, class_mode)
            labels, rows, found = frames.rows_of_classes(labels, rows, classes)
            self.class_indices = {name: number for number, name in enumerate(found)}
            self.num_classes = len(found)
            _check_number_of_classes(op, class_mode, found, f"column {y_col!r}")
        elif classes:
            warnings.warn(f"{op}: classes are not used with class_mode={class_mode!r}", stacklevel=3)
        rows = list(_subset(generator, rows, subset))
        self.filenames = [names[row] for row in rows]
        belonging = ""
        if class_mode in CLASS_MODES:
            self.classes = [frames.class_numbers(self.class_indices, labels[row]) for row in rows]
            belonging = f" belonging to {self.num_classes} classes"
        else:
            self._targets = frames.targets(op, dataframe, y_col, class_mode, rows)
        if weight_col is not None:
            self._sample_weight = frames.weights(op, dataframe, weight_col)[rows]
        kind = "validated" if validate_filenames else "non-validated"
        print(f"Found {len(rows)} {kind} image filenames{belonging}.")
        paths = [os.path.join(self.directory, name) for name in self.filenames]
        _check_not_empty(op, paths, subset, generator)
        super().__init__(
            op,
            paths,
            generator,
            target_size=target_size,
            color_mode=color_mode,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            class_mode=class_mode,
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


def _subset(generator: ImageDataGenerator, rows: Any, subset: str | None) -> Any:
    """The rows of a subset."""
    begin, end = validation_bounds(generator, len(rows), subset)
    return rows[begin:end]


def _check_class_mode(op: str, class_mode: Any, allowed: Sequence[Any]) -> None:
    if class_mode not in allowed:
        raise ValueError(f"{op}: class_mode must be one of {', '.join(map(repr, allowed))}, got {class_mode!r}")


def _check_number_of_classes(op: str, class_mode: str | None, names: Sequence[str], where: str) -> None:
    if class_mode == "binary" and len(names) > 2:
        raise ValueError(f"{op}: class_mode 'binary' needs two classes, {where} has {len(names)}: {list(names)}")
    if class_mode in CLASS_MODES and len(names) == 1:
        warnings.warn(f"{op}: there is only one class, {names[0]!r}, in {where}", stacklevel=4)


def _check_not_empty(op: str, paths: list[str], subset: str | None, generator: ImageDataGenerator) -> None:
    if not paths:
        split = "" if subset is None else f" in subset {subset!r} with validation_split={generator.validation_split}"
        raise ValueError(f"{op}: there are no images{split}")
