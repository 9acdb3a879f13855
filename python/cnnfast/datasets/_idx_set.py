"""What MNIST and Fashion-MNIST share: four idx files of the same names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnnfast.datasets.idx import read_idx

Split = tuple[np.ndarray, np.ndarray]

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def find_idx_files(folder: Path) -> list[Path] | None:
    """The four files in `folder`, each with or without ``.gz``; None unless all are there."""
    found = [path for name in FILES for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    by_name = {path.name.removesuffix(".gz"): path for path in reversed(found)}
    return [by_name[name] for name in FILES] if len(by_name) == len(FILES) else None


def read_idx_files(paths: list[Path], sha256: Mapping[str, str]) -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)``; `sha256`: name in FILES -> digest of its content."""
    x_train, y_train, x_test, y_test = (
        read_idx(path, sha256=sha256[name]) for path, name in zip(paths, FILES, strict=True)
    )
    return (x_train, y_train), (x_test, y_test)
