"""`cnnfast train`: a classifier for a folder of photos."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from cnnfast.commands import arguments
from cnnfast.commands.run_folder import RunFolder, Settings

_EPILOG = """\
DIR has a folder for each class, or the folders train and validation, which have them; without a validation folder a
fifth of each class is kept for it. RUN gets model.safetensors (the best epoch, by validation accuracy), run.json,
history-*.csv, curves-*.png, confusion_matrix.png, mistakes.png and validation.csv. After Ctrl-C or a crash the same
command, or "cnnfast train --out RUN" alone, goes on with the epoch that was interrupted.

  cnnfast train photos --out run                                             a small network from scratch
  cnnfast train photos --augment --out run                                   the same, with augmented photos
  cnnfast train photos --base vgg16 --weights vgg16.npz --out run            a head on a pre-trained base
  cnnfast train photos --base vgg16 --weights vgg16.npz --augment --fine-tune block5 --out run
"""
_SCRATCH_EPOCHS, _AUGMENTED_EPOCHS, _HEAD_EPOCHS, _FINE_TUNE_EPOCHS = 20, 80, 20, 3
_SCRATCH_RATE, _HEAD_RATE, _FINE_TUNE_RATE = 2e-3, 1e-3, 2e-5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cnnfast train` to a parser."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    count, rate = arguments.positive, arguments.positive_number
    parser.add_argument("directory", nargs="?", type=Path, metavar="DIR", help="the photos, in a folder for each class")
    parser.add_argument("--out", required=True, type=Path, metavar="RUN", help="folder for what comes out")
    parser.add_argument("--validation", type=Path, metavar="DIR", help="photos to validate with, in the same classes")
    parser.add_argument("--base", metavar="NAME", help="pre-trained network to build on, as vgg16 or mobilenet_v2")
    parser.add_argument("--weights", metavar="FILE", help="its weights (the official ones, downloaded once)")
    parser.add_argument("--variant", metavar="NAME", help="keras or torchvision, where the file does not tell")
    parser.add_argument(
        "--augment", nargs="?", const="standard", metavar="NAME", help="vary the photos each epoch: light, standard, "
        "strong, randaugment or trivial (standard, if no name follows)"
    )  # fmt: skip
    parser.add_argument(
        "--fine-tune", metavar="LAYER", help="then train the base too, from the layer whose name begins so"
    )
    parser.add_argument("--image-size", type=count, default=150, metavar="N", help="rows and columns (%(default)s)")
    parser.add_argument("--batch-size", type=count, default=32, metavar="N", help="photos of a step (%(default)s)")
    parser.add_argument(
        "--epochs", type=count, metavar="N",
        help=f"at most ({_SCRATCH_EPOCHS}, augmented {_AUGMENTED_EPOCHS}; with a base {_HEAD_EPOCHS})",
    )  # fmt: skip
    parser.add_argument(
        "--fine-tune-epochs", type=count, default=_FINE_TUNE_EPOCHS, metavar="N", help="at most (%(default)s)"
    )
    parser.add_argument(
        "--learning-rate", type=rate, metavar="X", help=f"at first ({_SCRATCH_RATE}; with a base {_HEAD_RATE})"
    )
    parser.add_argument(
        "--fine-tune-learning-rate", type=rate, default=_FINE_TUNE_RATE, metavar="X", help="at first (%(default)s)"
    )
    parser.add_argument(
        "--patience", type=count, metavar="N", help="stop after so many epochs that were not the best (a third of all)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="start of all randomness (%(default)s)")
    parser.add_argument("--on-error", choices=("skip", "raise"), default="skip", help="what to do about unreadable "
                        "files: name and skip them, or stop (%(default)s)")  # fmt: skip
    parser.add_argument("--threads", type=count, metavar="N", help="threads to compute with (all that are allowed)")


def main(args: argparse.Namespace) -> int:
    """Trains, or goes on with a training.

    Raises:
        ValueError, OSError: see `RunFolder`, `find_training_data`, `applications` and `load_weights`.
    """
    arguments.use_threads(args.threads)
    run = RunFolder(args.out, None if args.directory is None else _settings(args))
    settings = run.settings
    from cnnfast.commands import results, stages
    from cnnfast.commands.data import find_training_data

    data = find_training_data(
        Path(settings.directory),
        None if settings.validation is None else Path(settings.validation),
        augment=settings.augment,
        image_size=settings.image_size,
        batch_size=settings.batch_size,
        seed=settings.seed,
        on_error=settings.on_error,
    )
    for dataset, use in ((data.training, "train with"), (data.validation, "validate with")):
        print(f"{dataset.samples} images to {use}, classes: {', '.join(data.class_names)}")
        arguments.name_skipped(dataset)
    try:
        for stage in stages.stages_of(settings):
            if run.has(stage):
                print(f"{stage}: finished before")
            else:
                stages.run_stage(stage, run, data)
    except KeyboardInterrupt:
        print(f"cnnfast train: stopped; cnnfast train --out {run.path} goes on from here", file=sys.stderr)
        return 130
    results.write(run, data.validation)
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    for name in "weights", "variant", "fine_tune":
        if args.base is None and getattr(args, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} needs --base")
    usual = _HEAD_EPOCHS if args.base else _AUGMENTED_EPOCHS if args.augment else _SCRATCH_EPOCHS
    epochs = args.epochs or usual
    return Settings(
        directory=os.path.abspath(args.directory),
        validation=None if args.validation is None else os.path.abspath(args.validation),
        base=args.base,
        weights=_weights(args),
        variant=args.variant,
        augment=args.augment,
        fine_tune=args.fine_tune,
        image_size=args.image_size,
        batch_size=args.batch_size,
        epochs=epochs,
        fine_tune_epochs=args.fine_tune_epochs,
        learning_rate=args.learning_rate or (_HEAD_RATE if args.base else _SCRATCH_RATE),
        fine_tune_learning_rate=args.fine_tune_learning_rate,
        patience=args.patience or max(3, epochs // 3),
        seed=args.seed,
        on_error=args.on_error,
    )


def _weights(args: argparse.Namespace) -> str | None:
    if args.base is None:
        return None
    return "imagenet" if args.weights in (None, "imagenet") else os.path.abspath(args.weights)
