"""`cnnfast predict`: what a model takes images for."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnfast.commands import arguments
from cnnfast.formats.atomic import atomic_write

_EPILOG = """\
MODEL is a .safetensors file that holds a whole model, or the folder of a training. Files that cannot be read are named
and left out; the exit status is then 1.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cnnfast predict` to a parser."""
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model's file, or the folder of a training")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files, or folders of them")
    parser.add_argument("--top", type=arguments.positive, default=3, metavar="N", help="classes to name (%(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write all scores there")
    parser.add_argument("--batch-size", type=arguments.positive, default=32, metavar="N", help="(%(default)s)")
    parser.add_argument(
        "--threads", type=arguments.positive, metavar="N", help="threads to compute with (all that are allowed)"
    )


def main(args: argparse.Namespace) -> int:
    """Prints a line for each image; 1 if any could not be read.

    Raises:
        ValueError: no model in the file, a model that does not classify images. OSError: a file that is not there.
    """
    from cnnfast.commands import data
    from cnnfast.formats import load_model

    arguments.use_threads(args.threads)
    model = load_model(arguments.model_file(args.model))
    images = data.images_named(model, args.images, batch_size=args.batch_size)
    arguments.name_skipped(images)
    scores = data.class_scores(model, np.asarray(model.predict(images, verbose=0)))
    names = model.class_names or [str(i) for i in range(scores.shape[1])]
    if args.csv is not None:
        _write_csv(args.csv, images.file_paths, names, scores)
    width = max(map(len, images.file_paths))
    for path, row in zip(images.file_paths, scores, strict=True):
        best = np.argsort(-row, kind="stable")[: args.top]
        print(f"{path:<{width}}  " + "  ".join(f"{names[i]} {row[i]:.4f}" for i in best))
    return 1 if images.skipped else 0


def _write_csv(path: Path, files: Sequence[str], names: Sequence[str], scores: np.ndarray) -> None:
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "class", *names])
        writer.writerows([name, names[row.argmax()], *row.tolist()] for name, row in zip(files, scores, strict=True))
