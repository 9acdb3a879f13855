"""`cnnfast report`: one HTML file about how a model classifies labelled images."""

from __future__ import annotations

import argparse
from pathlib import Path

from cnnfast.commands import arguments

_EPILOG = """\
MODEL is a .safetensors file that holds a whole model, or the folder of a training, whose curves and seed are then shown
too. The folders in DIR must bear the names of the model's classes. The page works offline and asks for nothing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cnnfast report` to a parser."""
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model's file, or the folder of a training")
    parser.add_argument("directory", type=Path, metavar="DIR", help="images, in a folder for each class")
    parser.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="(%(default)s)")
    parser.add_argument("--title", metavar="TEXT", help="heading of the page")
    parser.add_argument("--history", type=Path, metavar="FILE", help="a CSV file with the numbers of each epoch")
    parser.add_argument("--max-images", type=arguments.positive, default=1000, metavar="N", help="images in the page, "
                        "mistakes first (%(default)s)")  # fmt: skip
    parser.add_argument("--batch-size", type=arguments.positive, default=32, metavar="N", help="(%(default)s)")
    parser.add_argument("--on-error", choices=("skip", "raise"), default="skip", help="what to do about unreadable "
                        "files: name and skip them, or stop (%(default)s)")  # fmt: skip
    parser.add_argument(
        "--threads", type=arguments.positive, metavar="N", help="threads to compute with (all that are allowed)"
    )


def main(args: argparse.Namespace) -> int:
    """Writes the report and says where.

    Raises:
        ValueError: no model in the file, or images of other classes. OSError: a file or folder that is not there.
        ImportError: Jinja2 is missing.
    """
    from cnnfast.commands import data
    from cnnfast.formats import load_model

    arguments.use_threads(args.threads)
    model = load_model(arguments.model_file(args.model))
    images = data.labelled_images(model, args.directory, batch_size=args.batch_size, on_error=args.on_error)
    arguments.name_skipped(images)
    history, seed = _training(args.model)
    model.report(
        images, args.out, history=args.history or history, title=args.title, max_images=args.max_images, seed=seed
    )
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, {images.samples} images; open it in a browser")
    return 0


def _training(path: Path) -> tuple[dict[str, list[float]] | None, int | None]:
    """The numbers of all epochs of the training in a folder, one stage after the other, and its seed."""
    from cnnfast.commands.run_folder import RunFolder
    from cnnfast.report.figures import read_history

    if not (path / "run.json").is_file():
        return None, None
    run = RunFolder(path, None)
    stages = [read_history(path / f"history-{result.stage}.csv") for result in run.results]
    if not stages:
        return None, run.settings.seed
    shared = [name for name in stages[0] if all(name in stage for stage in stages)]
    return {name: [value for stage in stages for value in stage[name]] for name in shared}, run.settings.seed
