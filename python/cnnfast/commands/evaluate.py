"""`cnnfast evaluate`: what a model says to labelled images."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnnfast.commands import arguments

_EPILOG = """\
MODEL is a .safetensors file that holds a whole model, or the folder of a training. The folders in DIR must bear the
names of the model's classes.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cnnfast evaluate` to a parser."""
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model's file, or the folder of a training")
    parser.add_argument("directory", type=Path, metavar="DIR", help="images, in a folder for each class")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write evaluation.csv, confusion_matrix.png and mistakes.png there"
    )
    parser.add_argument("--batch-size", type=arguments.positive, default=32, metavar="N", help="(%(default)s)")
    parser.add_argument("--on-error", choices=("skip", "raise"), default="skip", help="what to do about unreadable "
                        "files: name and skip them, or stop (%(default)s)")  # fmt: skip
    parser.add_argument(
        "--threads", type=arguments.positive, metavar="N", help="threads to compute with (all that are allowed)"
    )


def main(args: argparse.Namespace) -> int:
    """Prints accuracy, recall and precision; writes files if asked to.

    Raises:
        ValueError: no model in the file, or images of other classes. OSError: a file or folder that is not there.
    """
    from cnnfast.commands import data, results
    from cnnfast.formats import load_model

    arguments.use_threads(args.threads)
    model = load_model(arguments.model_file(args.model))
    images = data.labelled_images(model, args.directory, batch_size=args.batch_size, on_error=args.on_error)
    arguments.name_skipped(images)
    full = results.evaluate(model, images)
    print(results.report(full))
    if args.out is not None:
        results.write_evaluation(full, images, args.out, "evaluation")
    return 0
