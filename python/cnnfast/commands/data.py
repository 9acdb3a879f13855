"""The images that a command works on: what to train with, what to validate with, what to look at."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.image.dataset import ImageDataset
from cnnfast.image.folders import ImageFiles, list_images, list_unlabeled_images
from cnnfast.image.loading import image_dataset_from_directory
from cnnfast.models import Model

VALIDATION_SPLIT = 0.2
_TRAINING_NAMES = {"train", "training", "trainingset", "trainset"}
_VALIDATION_NAMES = {"validation", "val", "valid", "validationset", "valset"}
_TEST_NAMES = {"test", "testing", "testset"}


@dataclass(frozen=True)
class TrainingData:
    """What to train with and what to validate with; both have the same classes.

    Attributes:
        training, validation: images as files have them, 0 to 255; validation in the order of its files.
    """

    training: ImageDataset
    validation: ImageDataset

    @property
    def class_names(self) -> list[str]:
        """Names of class 0, of class 1 and so on."""
        return list(self.training.class_names or ())

    def digest(self) -> str:
        """Tells this choice of files and classes from any other."""
        parts = [self.class_names, self.training.filenames, self.validation.filenames]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def find_training_data(
    directory: Path,
    validation: Path | None,
    *,
    augment: str | None,
    image_size: int,
    batch_size: int,
    seed: int,
    on_error: str,
) -> TrainingData:
    """The images in a folder, and those to validate with.

    Args:
        directory: has a folder for each class; or the two folders `train` and `validation` (or `val`), which have them;
            a folder `test` beside them is left alone.
        validation: a folder like the first, whose images are not trained with; else the one beside `train`; else
            a fifth of each class is kept for it, chosen by `seed`.
        augment: how the images are varied that are trained with, as for `image.transforms.get`.
        image_size: rows and columns that images are stretched to.
        batch_size: images of a step.
        seed: of the order and of the split.
        on_error: what to do about files that cannot be read, as for `ImageDataset`.

    Raises:
        FileNotFoundError, NotADirectoryError: no such folder.
        ValueError: no images, one class, other classes in the two folders, a class without images in one of them, or
            an image in both.
    """
    root, beside = _parts(directory)
    held = validation or beside
    files = list_images(root, op="train")
    if len(files.class_names) < 2:
        raise ValueError(f"{root} has one class, {files.class_names[0]!r}; there must be two at least")
    if held is None:
        kept = held_back(files, VALIDATION_SPLIT, seed)
        training, validating = _part(files, ~kept), _part(files, kept)
    else:
        training, validating = files, list_images(held, op="train")
        if validating.class_names != training.class_names:
            raise ValueError(f"{root} has the classes {training.class_names}, {held} has {validating.class_names}")
    options: dict[str, Any] = {
        "image_size": image_size,
        "batch_size": batch_size,
        "seed": seed,
        "on_error": on_error,
        "cache": True,
    }
    _check_apart(training, validating)
    data = TrainingData(_dataset(training, shuffle=True, augment=augment, **options), _dataset(validating, **options))
    _check_every_class(data.training, "train")
    _check_every_class(data.validation, "validate")
    return data


def _check_apart(training: ImageFiles, validating: ImageFiles) -> None:
    """ValueError if an image is in both parts, under whatever name."""
    held = {os.path.realpath(path) for path in validating.file_paths}
    if shared := [path for path in training.file_paths if os.path.realpath(path) in held]:
        raise ValueError(f"{len(shared)} images are in the folders to train and to validate with, as {shared[0]}")


def _check_every_class(dataset: ImageDataset, use: str) -> None:
    """ValueError if a class has no image that can be read."""
    names = dataset.class_names or []
    counts = np.bincount(np.asarray(dataset.labels), minlength=len(names))
    if missing := [name for name, count in zip(names, counts, strict=True) if not count]:
        raise ValueError(f"{dataset.directory}: class {missing[0]!r} has no image to {use} with")


def held_back(files: ImageFiles, fraction: float, seed: int) -> np.ndarray:
    """bool (N,): which images are kept for validation, the same share of every class, at least one.

    Raises:
        ValueError: a class with fewer than two images.
    """
    assert files.labels is not None
    kept = np.zeros(len(files.filenames), dtype=bool)
    generator = np.random.default_rng(seed)
    for number, name in enumerate(files.class_names):
        members = np.flatnonzero(files.labels == number)
        if len(members) < 2:
            raise ValueError(f"{files.directory}: class {name!r} has {len(members)} images, expected two at least")
        kept[generator.permutation(members)[: max(1, round(fraction * len(members)))]] = True
    return kept


def _part(files: ImageFiles, chosen: np.ndarray) -> ImageFiles:
    assert files.labels is not None
    names = [name for name, take in zip(files.filenames, chosen, strict=True) if take]
    return replace(files, filenames=names, labels=files.labels[chosen])


def _dataset(files: ImageFiles, **options: Any) -> ImageDataset:
    return ImageDataset(
        files.file_paths, files.labels, class_names=files.class_names, directory=files.directory, **options
    )


def _parts(directory: Path) -> tuple[Path, Path | None]:
    """The folder to train with, and the one beside it to validate with, if there is one.

    Raises:
        ValueError: folders that are named as parts of a data set, but not which one to validate with.
    """
    folders = [path for path in sorted(directory.iterdir()) if path.is_dir()] if directory.is_dir() else []
    kinds = {path: "".join(c for c in path.name.lower() if c.isalnum()) for path in folders}
    training = [path for path, kind in kinds.items() if kind in _TRAINING_NAMES]
    held = [path for path, kind in kinds.items() if kind in _VALIDATION_NAMES]
    if len(training) == len(held) == 1:
        return training[0], held[0]
    parts = _TRAINING_NAMES | _VALIDATION_NAMES | _TEST_NAMES
    if training and set(kinds.values()) <= parts:
        names = ", ".join(path.name for path in folders)
        raise ValueError(
            f"{directory} has the folders {names}, which are no classes: name {training[0]} as the folder to train "
            "with, and with --validation one to validate with, if there is one"
        )
    return directory, None


def labelled_images(model: Model, directory: Path, *, batch_size: int, on_error: str) -> ImageDataset:
    """The images in the folders of a model's classes, in the size that it takes.

    Raises:
        ValueError: the folder has other classes than the model, or no images.
    """
    names = model.class_names
    found = list_images(directory, op="evaluate").class_names
    if names is not None and set(found) != set(names):
        raise ValueError(f"{directory} has the classes {found}, the model knows {names}")
    if len(found) != number_of_classes(model):
        raise ValueError(
            f"{directory} has {len(found)} classes, {found}, the model tells {number_of_classes(model)} apart"
        )
    return image_dataset_from_directory(
        directory,
        class_names=names,
        shuffle=False,
        batch_size=batch_size,
        on_error=on_error,
        verbose=False,
        **_as_the_model_wants(model),
    )


def number_of_classes(model: Model) -> int:
    """How many classes a model tells apart.

    Raises:
        ValueError: it does not classify, or its class names are more or fewer.
    """
    shape = model.outputs[0].shape if len(model.outputs) == 1 else ()
    if len(shape) != 2 or shape[1] is None:
        raise ValueError(
            f"{model.name} does not classify images: its outputs have the shapes "
            f"{[v.shape for v in model.outputs]}, expected one (N, classes)"
        )
    count = max(2, shape[1])  # one sigmoid tells two classes apart
    if model.class_names is not None and len(model.class_names) != count:
        raise ValueError(f"{model.name} tells {count} classes apart and has {len(model.class_names)} class names")
    return count


def images_named(model: Model, paths: Sequence[Path], *, batch_size: int) -> ImageDataset:
    """The images that are named, and those in folders that are named, in the size that a model takes."""
    files: list[str] = []
    for path in paths:
        files += list_unlabeled_images(path, op="predict").file_paths if path.is_dir() else [os.fspath(path)]
    return ImageDataset(files, batch_size=batch_size, on_error="skip", **_as_the_model_wants(model))


def _as_the_model_wants(model: Model) -> dict[str, Any]:
    """Size and color mode of the images that a model takes. ValueError if it takes something else."""
    shape = model.inputs[0].shape if len(model.inputs) == 1 else ()
    modes = {1: "grayscale", 3: "rgb", 4: "rgba"}
    if len(shape) != 4 or None in shape[1:] or shape[3] not in modes:
        raise ValueError(
            f"{model.name} does not take images of one size: its inputs have the shapes "
            f"{[v.shape for v in model.inputs]}, expected one (N,H,W,C) with 1, 3 or 4 channels"
        )
    return {"image_size": shape[1:3], "color_mode": modes[shape[3]]}
