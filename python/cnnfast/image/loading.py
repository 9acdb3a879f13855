"""Data sets of images from folders of classes and from tables of file names, split as Keras splits them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast import random
from cnnfast.image.dataset import ImageDataset
from cnnfast.image.folders import list_images, list_unlabeled_images
from cnnfast.image.tables import read_table

_SUBSETS = ("training", "validation", "both", None)


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int = 32,
    image_size: Sequence[int] | int = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    verbose: bool = True,
    **options: Any,
) -> Any:
    """Batches of the images in a folder that has a folder for each class, with Keras' arguments.

    With the same seed the files, their order and the split are those of Keras. Two things differ: images are uint8
    unless ``dtype="float32"`` is given, and they are anti-aliased where they are made smaller. Training takes the files
    in a new order each epoch; `predict`, `evaluate` and validation take them in the order of `file_paths`.

    Args:
        directory: the folder.
        labels: "inferred" from the folders; None; or a whole number for each image in and below `directory`, in Keras'
            order: folder by folder, sorted by path (`directory` itself first), in each the files sorted by name.
        label_mode: "int", "categorical", "binary" or None; see `ImageDataset`.
        class_names: the folders of the classes in the order of their numbers; by default all, sorted.
        color_mode, batch_size, image_size, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio, data_format: see
            `ImageDataset`.
        shuffle: whether files are put into another order: once here if there is a seed, and each epoch in training.
        seed: of the order; needed to shuffle and split.
        validation_split: the share of the files in (0, 1), the last ones after shuffling, kept for validation.
        subset: which part of a split: "training", "validation" or "both".
        follow_links: whether to go into links to folders.
        verbose: whether to print how many files were found.
        options: more for `ImageDataset`: `on_error`, `cache`, `augment` (for the training part alone), `dtype`,
            `workers`, `max_queue_size`.

    Returns:
        An `ImageDataset`, or those for training and validation with subset "both".

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
        TypeError, ValueError: no images, a single class, a class without images (unless `class_names` names it),
            arguments that do not fit.

    Example:
        >>> from cnnfast.image.decode import save_img
        >>> for name in "cats", "dogs":
        ...     os.makedirs(f"pets/{name}")
        ...     for i in range(5):
        ...         save_img(f"pets/{name}/{i}.png", np.full((4, 4, 3), i))
        >>> train, val = image_dataset_from_directory(
        ...     "pets", label_mode="binary", image_size=(2, 2), validation_split=0.2, subset="both", seed=1)
        Found 10 files belonging to 2 classes.
        Using 8 files for training.
        Using 2 files for validation.
        >>> train.class_names, val.samples
        (['cats', 'dogs'], 2)
    """
    op = "image_dataset_from_directory"
    if labels is None or label_mode is None:
        labels = label_mode = None
    if isinstance(labels, str) and labels != "inferred":
        raise ValueError(f"{op}: labels must be 'inferred', None or a list of whole numbers, got {labels!r}")
    if class_names is not None and not isinstance(labels, str):
        raise ValueError(f"{op}: class_names needs labels='inferred', got labels={labels!r}")
    if isinstance(labels, str):
        files = list_images(directory, class_names, follow_links, op=op)
        _check_classes(op, files.directory, files.class_names, files.labels, named=class_names is not None)
        numbers, names = files.labels, files.class_names
    else:
        files = list_unlabeled_images(directory, follow_links, op=op)
        numbers, names = None if labels is None else np.asarray(labels), None
    if numbers is not None and len(numbers) != len(files.filenames):
        raise ValueError(
            f"{op}: {len(numbers)} labels were given for {len(files.filenames)} files in {files.directory}"
        )
    if names is None and numbers is not None:
        names = _numbered(op, numbers)
    _say(verbose, _found(len(files.filenames), names))
    listed = _Listed(op, files.file_paths, numbers, None, _Split(shuffle, seed, validation_split, subset), verbose)
    return listed.datasets(
        class_names=names,
        label_mode=label_mode,
        color_mode=color_mode,
        batch_size=batch_size,
        image_size=image_size,
        interpolation=interpolation,
        crop_to_aspect_ratio=crop_to_aspect_ratio,
        pad_to_aspect_ratio=pad_to_aspect_ratio,
        data_format=data_format,
        directory=files.directory,
        **options,
    )


def image_dataset_from_csv(
    csv: str | os.PathLike[str],
    directory: str | os.PathLike[str] | None = None,
    x_col: str = "filename",
    y_col: str | Sequence[str] | None = "class",
    weight_col: str | None = None,
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int = 32,
    image_size: Sequence[int] | int = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    delimiter: str = ",",
    verbose: bool = True,
    **options: Any,
) -> Any:
    """Batches of the images that a CSV file lists.

    Args:
        csv: the file, UTF-8, whose first line names the columns.
        directory: where the names of images start from; by default the folder of the CSV file.
        x_col: the column with the names.
        y_col: the column with the class names; with label_mode "raw" one or several columns with numbers. None: images
            alone.
        weight_col: a column with sample weights, if any.
        label_mode: "int", "categorical", "binary", "raw" or None; see `ImageDataset`.
        class_names: the classes in the order of their numbers; by default those of the column, sorted.
        batch_size, image_size: see `ImageDataset`.
        shuffle, seed, validation_split, subset, verbose: as for `image_dataset_from_directory`.
        delimiter: what stands between columns.
        options: more for `ImageDataset`: `color_mode`, `interpolation`, `on_error`, `cache`, `augment` and so on.

    Returns:
        An `ImageDataset`, or those for training and validation with subset "both".

    Raises:
        FileNotFoundError: there is no such CSV file, or (unless `on_error` says otherwise) no image of a listed name.
        ValueError: a missing column, an empty or wrong entry (the line is named), a single class, unknown classes.

    Example:
        >>> from cnnfast.image.decode import save_img
        >>> save_img("a.png", np.zeros((2, 2, 3)))
        >>> with open("images.csv", "w") as file:
        ...     _ = file.write("filename,class,age\\na.png,cat,3\\na.png,dog,5\\n")
        >>> images = image_dataset_from_csv("images.csv")
        Found 2 files belonging to 2 classes.
        >>> images.labels, images.class_names
        (array([0, 1], dtype=int32), ['cat', 'dog'])
        >>> image_dataset_from_csv("images.csv", y_col="age", label_mode="raw", verbose=False).labels
        array([3., 5.], dtype=float32)
    """
    op = "image_dataset_from_csv"
    if y_col is None or label_mode is None:
        y_col = label_mode = None
    table = read_table(op, csv, delimiter)
    folder = os.path.dirname(os.fspath(csv)) if directory is None else os.fspath(directory)
    paths = [os.path.join(folder, name) for name in table.texts(x_col)]
    if options.get("on_error", "raise") == "raise":
        table.check_files(x_col, paths)
    weights = None if weight_col is None else table.numbers(weight_col)
    names = None if class_names is None else [str(name) for name in class_names]
    labels: np.ndarray | None = None
    if y_col is not None and label_mode == "raw":
        columns = [table.numbers(column) for column in ([y_col] if isinstance(y_col, str) else y_col)]
        labels = columns[0] if isinstance(y_col, str) else np.stack(columns, axis=1)
    elif y_col is not None:
        if not isinstance(y_col, str):
            raise ValueError(f"{op}: label_mode {label_mode!r} needs one y_col, got {list(y_col)}")
        labels, names = table.classes(y_col, names)
        _check_classes(op, os.fspath(csv), names, labels, named=class_names is not None)
    _say(verbose, _found(len(paths), names if labels is not None and label_mode != "raw" else None))
    listed = _Listed(op, paths, labels, weights, _Split(shuffle, seed, validation_split, subset), verbose)
    return listed.datasets(
        class_names=names,
        label_mode=label_mode,
        batch_size=batch_size,
        image_size=image_size,
        directory=folder,
        **options,
    )


def _check_classes(op: str, where: str, names: list[str], labels: np.ndarray | None, named: bool) -> None:
    """Refuses what no classifier can learn from; classes that were asked for by name may be missing."""
    if len(names) < 2:
        raise ValueError(
            f"{op}: {where} has one class, {names}; to tell classes apart takes two. For images without classes "
            "pass labels=None or y_col=None"
        )
    empty = sorted(set(range(len(names))) - set(np.unique(labels).tolist())) if labels is not None else []
    if empty and not named:
        folder = os.path.join(where, names[empty[0]])
        raise ValueError(f"{op}: {folder} has no images; if that is meant, name the classes with class_names")


def _numbered(op: str, labels: np.ndarray) -> list[str]:
    """Names for classes that have numbers alone."""
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or labels.min() < 0:
        raise ValueError(f"{op}: labels must be whole numbers from 0, got {labels.dtype} {labels.shape}")
    return [str(n) for n in range(int(labels.max()) + 1)]


@dataclass(frozen=True)
class _Split:
    """In which order the samples are, and which of them are wanted."""

    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None

    def parts(self, op: str, count: int) -> list[np.ndarray]:
        """The numbers of all samples, or of those for training and those for validation, in Keras' order."""
        subset, split = self.subset, self.validation_split
        if subset not in _SUBSETS:
            raise ValueError(f"{op}: subset must be 'training', 'validation', 'both' or None, got {subset!r}")
        if (split is None) != (subset is None):
            raise ValueError(
                f"{op}: validation_split and subset need each other, got validation_split={split}, subset={subset!r}"
            )
        numbers = np.arange(count)
        if self.shuffle and self.seed is not None:
            seed = random.check_seed(op, self.seed, 2**32)
            np.random.RandomState(seed).shuffle(numbers)  # the generator that Keras takes
        if split is None:
            return [numbers]
        if not 0.0 < split < 1.0:
            raise ValueError(f"{op}: validation_split must lie between 0 and 1, got {split}")
        if self.shuffle and self.seed is None:
            raise ValueError(f"{op}: to shuffle and split needs a seed, or the parts of two calls would overlap")
        held = int(split * count)
        if held in (0, count):
            raise ValueError(f"{op}: validation_split={split} of {count} files leaves {held} for validation")
        return [numbers[:-held], numbers[-held:]]


@dataclass(frozen=True)
class _Listed:
    """Files with their labels and weights, and how they are to be split."""

    op: str
    paths: list[str]
    labels: np.ndarray | None
    weights: np.ndarray | None
    split: _Split
    verbose: bool

    def datasets(self, **options: Any) -> Any:
        """The data set of the part that was asked for, or both parts. Validation is never augmented."""
        shuffle, subset = self.split.shuffle, self.split.subset
        parts = self.split.parts(self.op, len(self.paths))
        if subset is None:
            return self._dataset(parts[0], shuffle, options)
        for name, numbers in zip(("training", "validation"), parts, strict=True):
            _say(self.verbose and subset in (name, "both"), f"Using {len(numbers)} files for {name}.")
        held = options | {"augment": None}
        if subset == "both":
            return self._dataset(parts[0], shuffle, options), self._dataset(parts[1], False, held)
        return self._dataset(*((parts[1], shuffle, held) if subset == "validation" else (parts[0], shuffle, options)))

    def _dataset(self, numbers: np.ndarray, shuffle: bool, options: dict[str, Any]) -> ImageDataset:
        data = ImageDataset(
            [self.paths[i] for i in numbers],
            None if self.labels is None else self.labels[numbers],
            shuffle=shuffle,
            seed=self.split.seed,
            sample_weight=None if self.weights is None else self.weights[numbers],
            **options,
        )
        if data.skipped:
            _say(self.verbose, f"Left out {len(data.skipped)} files that cannot be read; `skipped` names them.")
        return data


def _found(count: int, class_names: Sequence[str] | None) -> str:
    classes = "" if class_names is None else f" belonging to {len(class_names)} classes"
    return f"Found {count} files{classes}."


def _say(verbose: bool, text: str) -> None:
    if verbose:
        print(text)
