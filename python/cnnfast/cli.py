"""The command `cnnfast`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cnnfast._version import __version__


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    from cnnfast.bench import cli as bench
    from cnnfast.commands import evaluate, explain, predict, report, train

    parser = argparse.ArgumentParser(
        prog="cnnfast",
        description="Convolutional networks on the computer you have: build, train, run and explain them.",
    )
    parser.add_argument("--version", action="version", version=f"cnnfast {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train a small network on handwritten digits and write what came out")
    demo.add_argument(
        "--out", type=Path, default=Path("cnnfast-demo"), metavar="DIR", help="where to write (%(default)s)"
    )
    demo.add_argument(
        "--epochs", type=bench.positive, default=8, metavar="N", help="passes over the digits (%(default)s)"
    )
    demo.add_argument("--seed", type=int, default=1, metavar="N", help="start of all randomness (%(default)s)")
    demo.add_argument(
        "--threads", type=bench.positive, metavar="N", help="threads to compute with (all that are allowed)"
    )
    demo.set_defaults(run=_demo)

    descriptions = {
        train: "train a classifier on a folder of photos: from scratch, or on a pre-trained network",
        evaluate: "say how well a model classifies a folder of photos",
        predict: "say what a model takes photos for",
        explain: "show what in photos makes a model say what it says",
        report: "write one HTML page that shows how a model classifies a folder of photos, and why",
    }
    for module, text in descriptions.items():
        name = module.__name__.rpartition(".")[2]
        command = commands.add_parser(name, help=text)
        module.add_arguments(command)
        command.set_defaults(run=module.main)

    info = commands.add_parser("info", help="show the CPU, the instruction set in use, threads and versions")
    info.set_defaults(run=_info)

    benchmark = commands.add_parser("bench", help="measure the speed of this installation, alone or against others")
    bench.add_arguments(benchmark)
    benchmark.set_defaults(run=bench.main)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status. Errors a user can mend are one line, not a traceback."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"cnnfast {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"cnnfast {args.command}: stopped", file=sys.stderr)
        return 130


def _demo(args: argparse.Namespace) -> int:
    from cnnfast import demo, set_threads

    if args.threads is not None:
        set_threads(args.threads)
    demo.run(args.out, epochs=args.epochs, seed=args.seed)
    return 0


def _info(_: argparse.Namespace) -> int:
    from cnnfast.info import info_text

    print(info_text())
    return 0
