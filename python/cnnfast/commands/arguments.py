"""What the commands have in common: kinds of arguments, threads, files that were left out."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cnnfast.bench.cli import positive as positive

if TYPE_CHECKING:
    from cnnfast.image.dataset import ImageDataset


def positive_number(text: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def use_threads(threads: int | None) -> None:
    """Computes with so many threads, if a number is given."""
    from cnnfast import set_threads

    if threads is not None:
        set_threads(threads)


def name_skipped(dataset: ImageDataset) -> None:
    """Names, on standard error, the files that could not be read."""
    for path, problem in dataset.skipped.items():
        print(f"left out: {path}: {problem}", file=sys.stderr)


def model_file(path: Path) -> Path:
    """The model that a path means: a file, or that in the folder of a training. FileNotFoundError if there is none."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    return path / "model.safetensors" if path.is_dir() else path
