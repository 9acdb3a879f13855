"""Which images lie in a folder, and what class each of them is of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast.image.decode import EXTENSIONS


@dataclass(frozen=True)
class ImageFiles:
    """Names of image files and their classes.

    Attributes:
        directory: the folder that the names start from.
        filenames: as "cats/cat.0.jpg".
        labels: int32 (N,), the number of the class of each, or None.
        class_names: name of class 0, of class 1 and so on; empty without labels.
    """

    directory: str
    filenames: list[str]
    labels: np.ndarray | None
    class_names: list[str]

    @property
    def file_paths(self) -> list[str]:
        """The names with the folder before them."""
        return [os.path.join(self.directory, name) for name in self.filenames]


def list_images(
    directory: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    follow_links: bool = False,
    *,
    op: str = "list_images",
) -> ImageFiles:
    """The images in the folders of their classes, in Keras' order: class by class, folders and files sorted by name.

    Args:
        directory: has a folder for each class, whose images may lie in further folders.
        classes: names of the folders to take, in the order of their numbers; by default all, sorted, but those whose
            name begins with a dot.
        follow_links: whether to go into links to folders below those of the classes.
        op: for messages.

    Returns:
        Names, labels and class names. Files that do not end as images do are left out.

    Raises:
        NotADirectoryError, FileNotFoundError: there is no such folder.
        ValueError: no folder of a class, a class without a folder, or no images.

    Example:
        >>> import os
        >>> from cnnfast.image.decode import save_img
        >>> for name in "cats", "dogs":
        ...     os.makedirs(f"pets/{name}")
        ...     save_img(f"pets/{name}/0.png", np.zeros((2, 2, 3)))
        >>> files = list_images("pets")
        >>> files.filenames == [os.path.join("cats", "0.png"), os.path.join("dogs", "0.png")]
        True
        >>> files.labels, files.class_names
        (array([0, 1], dtype=int32), ['cats', 'dogs'])
    """
    root = check_directory(op, directory)
    class_names = _class_folders(op, root, classes)
    per_class = [
        [os.path.join(name, file) for file in _files_below(os.path.join(root, name), follow_links)]
        for name in class_names
    ]
    labels = np.repeat(np.arange(len(class_names), dtype=np.int32), [len(files) for files in per_class])
    filenames = [file for files in per_class for file in files]
    if not filenames:
        raise ValueError(f"{op}: no images in the folders {class_names} of {root}; {_endings()}")
    return ImageFiles(root, filenames, labels, class_names)


def list_unlabeled_images(
    directory: str | os.PathLike[str], follow_links: bool = False, *, op: str = "list_images"
) -> ImageFiles:
    """All images in and below a folder, without classes; arguments and errors as for `list_images`."""
    root = check_directory(op, directory)
    filenames = list(_files_below(root, follow_links))
    if not filenames:
        raise ValueError(f"{op}: no images in {root}; {_endings()}")
    return ImageFiles(root, filenames, None, [])


def check_directory(op: str, directory: Any) -> str:
    """The folder as a string. FileNotFoundError or NotADirectoryError, in the name of `op`, if there is none."""
    root = os.fspath(directory)
    if not os.path.exists(root):
        raise FileNotFoundError(f"{op}: there is no folder {root}")
    if not os.path.isdir(root):
        raise NotADirectoryError(f"{op}: {root} is a file, expected a folder")
    return root


def _class_folders(op: str, root: str, classes: Sequence[str] | None) -> list[str]:
    with os.scandir(root) as entries:
        found = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if classes is None:
        if not found:
            raise ValueError(f"{op}: {root} has no folders, expected one for each class")
        return found
    names = [str(name) for name in classes]
    if len(set(names)) < len(names) or not names:
        raise ValueError(f"{op}: class names must differ and not be missing, got {names}")
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{op}: {root} has no folder for class {missing[0]!r}, it has {found}")
    return names


def _files_below(folder: str, follow_links: bool) -> Iterator[str]:
    """Image files in and below a folder, named from there."""
    for root, _, files in sorted(os.walk(folder, followlinks=follow_links), key=lambda entry: entry[0]):
        for name in sorted(files):
            if name.lower().endswith(EXTENSIONS):
                yield os.path.relpath(os.path.join(root, name), folder)


def _endings() -> str:
    return f"names of images end in {', '.join(EXTENSIONS)}"
