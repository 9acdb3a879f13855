"""The images that a command works on: what to train with, what to validate with, what to look at."""

from __future__ import annotations

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
_TRAINING_NAMES = ("train", "training")
_VALIDATION_NAMES = ("validation", "val", "valid")


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
        directory: has a folder for each class; or the two folders `train` and `validation` (or `val`), which have them.
        validation: a folder like the first, whose images are not trained with; else the one beside `train`; else
            a fifth of each class is kept for it, chosen by `seed`.
        augment: how the images are varied that are trained with, as for `image.transforms.get`.
        image_size: rows and columns that images are stretched to.
        batch_size: images of a step.
        seed: of the order and of the split.
        on_error: what to do about files that cannot be read, as for `ImageDataset`.

    Raises:
        FileNotFoundError, NotADirectoryError: no such folder.
        ValueError: no images, one class, other classes in the two folders.
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
    return TrainingData(_dataset(training, shuffle=True, augment=augment, **options), _dataset(validating, **options))


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
    """The folder to train with, and the one beside it to validate with, if there is one."""
    for name in _TRAINING_NAMES:
        held = [directory / other for other in _VALIDATION_NAMES if (directory / other).is_dir()]
        if (directory / name).is_dir() and held:
            return directory / name, held[0]
    return directory, None


def labelled_images(model: Model, directory: Path, *, batch_size: int, on_error: str) -> ImageDataset:
    """The images in the folders of a model's classes, in the size that it takes.

    Raises:
        ValueError: the folder has other classes than the model, or no images.
    """
    names = model.class_names
    return image_dataset_from_directory(
        directory,
        class_names=names,
        shuffle=False,
        batch_size=batch_size,
        on_error=on_error,
        verbose=False,
        **_as_the_model_wants(model),
    )


def images_named(model: Model, paths: Sequence[Path], *, batch_size: int) -> ImageDataset:
    """The images that are named, and those in folders that are named, in the size that a model takes."""
    files: list[str] = []
    for path in paths:
        files += list_unlabeled_images(path, op="predict").file_paths if path.is_dir() else [os.fspath(path)]
    return ImageDataset(files, batch_size=batch_size, on_error="skip", **_as_the_model_wants(model))


def class_scores(model: Model, output: np.ndarray) -> np.ndarray:
    """What a classifier gives as (N, classes), also if it gives one number, a sigmoid. ValueError if it is none."""
    if output.ndim != 2:
        raise ValueError(f"{model.name} does not classify images: its output is {output.shape}, expected (N, classes)")
    # one sigmoid: the score of class 1
    return np.concatenate([1 - output, output], axis=1) if output.shape[1] == 1 else output


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
