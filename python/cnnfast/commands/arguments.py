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


def seed(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def not_empty(text: str) -> str:
    """A text that says something, for argparse."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a name, got nothing")
    return text


def use_threads(threads: int | None) -> None:
    """Computes with so many threads, if a number is given."""
    from cnnfast import set_threads

    if threads is not None:
        set_threads(threads)


def name_skipped(dataset: ImageDataset) -> None:
    """Names, on standard error, the files that could not be read."""
    for path, problem in dataset.skipped.items():
        print(f"left out: {printable(path)}: {problem}", file=sys.stderr)


def printable(path: str) -> str:
    """A file's name as a terminal may see it: without control characters, and in what UTF-8 can write."""
    return path if path.isprintable() else ascii(path)


def model_file(path: Path) -> Path:
    """The model that a path means: a file, or that in the folder of a training.

    Raises:
        FileNotFoundError: neither, or a training that has not finished a stage yet.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.exists():
        hint = f"; cnnfast train --out {path} goes on with its training" if (path / "run.json").exists() else ""
        raise FileNotFoundError(f"there is no model {file}{hint}")
    return file
