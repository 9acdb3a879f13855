"""`cnnfast bench`: its options, and what they do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnfast.bench.target import DEVICES, POLICIES

if TYPE_CHECKING:
    from cnnfast.bench.peak import Peak
    from cnnfast.bench.peers import Peer
    from cnnfast.bench.runner import Result, Settings
    from cnnfast.bench.spec import Workload
    from cnnfast.bench.target import Target

_EPILOG = """\
Without --peers, cnnfast is measured alone. Each peer runs in a process of its own, on the same CPUs with
the same number of threads. Answers are compared before anything is timed; then the peers take turns, and
ratios are those of turns that followed each other. Peers: torch (both memory layouts), torch-channels-last,
keras (on TensorFlow), keras-jax, onnxruntime, openvino, all; on a GPU torch-eager, torch-compile, or torch for
both. Explanations of PyTorch's networks are those of
pytorch-grad-cam and Captum (pip install grad-cam captum).
"""
_QUICK_ROUNDS, _QUICK_SECONDS = 3, 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cnnfast bench` to a parser."""
    parser.epilog = _EPILOG
    parser.add_argument("--peers", default="", metavar="NAMES", help="frameworks to compare with, separated by commas")
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="workloads whose name contains or matches it (repeatable; else all but networks' convolutions)",
    )
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where everything computes (%(default)s)")
    parser.add_argument(
        "--policy", choices=POLICIES, help="types on a GPU: of convolutions and what is between them (mixed_bfloat16)"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a first look, no evidence")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads of every peer (all that are allowed)")
    parser.add_argument("--rounds", type=positive, metavar="N", help="how often each peer's turn comes (9)")
    parser.add_argument("--seconds", type=positive_seconds, metavar="X", help="what a turn lasts at least (0.2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures with machine and versions")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables with each row's floor")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a figure of the ratios (.png, .svg or .pdf)")
    parser.add_argument(
        "--limit",
        type=positive_seconds,
        metavar="X",
        help="on a GPU: give up on a peer that takes longer to compile (150)",
    )
    parser.add_argument(
        "--budget", type=positive_seconds, metavar="X", help="on a GPU: begin no row after so many seconds"
    )
    parser.add_argument("--scaling", action="store_true", help="instead: cnnfast on 1 thread against all")
    parser.add_argument("--startup", action="store_true", help="instead: import, building a Program, first steps")
    parser.add_argument("--list", action="store_true", help="name the workloads and stop")


def main(args: argparse.Namespace) -> int:
    """Runs the suite; 1 if any peer failed or disagreed, else 0.

    Raises:
        ValueError: an unknown peer or workload, options that do not go together, an output folder that is not there.
        ModuleNotFoundError: a peer that is not installed.
    """
    from cnnfast.bench import target
    from cnnfast.bench.peers import resolve
    from cnnfast.bench.workloads import select

    where = target.resolve(args.device, args.policy)
    if args.list:
        return _list(args)
    if where.device != "cpu":
        return _on_device(args, where)
    if given := [f"--{n}" for n in ("limit", "budget") if getattr(args, n)]:
        raise ValueError(f"bench: {given[0]} is for runs on a GPU (--device cuda)")
    if args.scaling or args.startup:
        return _cnnfast_alone(args)
    rows = select(*args.only or ())
    _check_folders(args)
    return _measure(args, rows, resolve(args.peers))


def _list(args: argparse.Namespace) -> int:
    """Names the rows of the device."""
    from cnnfast.bench import workloads
    from cnnfast.bench.device import rows as device_rows

    if args.device == "cpu":
        rows = list(workloads.workloads().values()) if args.only is None else workloads.select(*args.only)
        lines = {row.name: row.description for row in rows}
    else:
        lines = {row.name: row.description for row in device_rows.select(*args.only or ())}
    width = max(map(len, lines))
    print("\n".join(f"{name:<{width}}  {description}" for name, description in lines.items()))
    return 0


def _on_device(args: argparse.Namespace, where: Target) -> int:
    from cnnfast.bench.device import command

    if given := [f"--{n}" for n in ("scaling", "startup", "plot") if getattr(args, n)]:
        raise ValueError(f"bench: {given[0]} is for runs on the CPU")
    _check_folders(args)
    log = _progress if sys.stderr.isatty() else (lambda _: None)
    return command.main(args, _settings(args), where, log)


def _check_folders(args: argparse.Namespace) -> None:
    for path in (args.json, args.markdown, args.plot):
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"bench: cannot write {path}: there is no folder {path.parent}")


def _measure(args: argparse.Namespace, workloads: list[Workload], peers: list[Peer]) -> int:
    from cnnfast.bench import peak, report
    from cnnfast.bench.runner import Runner
    from cnnfast.bench.summary import summary_text

    settings = _settings(args)
    about = report.machine()
    best = peak.measure_afresh(settings.threads)
    width = max(len(w.name) for w in workloads)
    print(report.heading(about, settings), *(f"note: {w}" for w in report.warnings(about, settings)), sep="\n")
    print(f"peak: {best}\n\n{report.header(width)}", flush=True)
    log = _progress if sys.stderr.isatty() else (lambda _: None)
    results = []
    with Runner(peers, settings, log=log) as runner:
        for workload in workloads:
            results.append(runner.run(workload))
            log("")
            print(report.rows(results[-1], width, best), flush=True)
        about["peers"] = runner.versions
    best = best.best(peak.measure_afresh(settings.threads))  # the machine may have been busy the first time
    print(f"peak: {best}", summary_text(results), sep="\n")
    _write(args, results, settings, about, best)
    return int(any(m.error or m.disagreement for r in results for m in r.measurements.values()))


def _cnnfast_alone(args: argparse.Namespace) -> int:
    """The figures that need no peer: scaling and start-up."""
    from cnnfast.bench import report, scaling, startup

    if given := [f"--{n}" for n in ("peers", "json", "markdown", "plot") if getattr(args, n)]:
        raise ValueError(f"bench: --scaling and --startup measure cnnfast alone and print; they take no {given[0]}")
    settings, about = _settings(args), report.machine()
    print(report.heading(about, settings), *(f"note: {w}" for w in report.warnings(about, settings)), sep="\n")
    if args.scaling:
        for row in scaling.rows(args.only):
            print(scaling.scaling(row, settings), flush=True)
    if args.startup:
        print(startup.text(startup.start_up(settings)))
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    from cnnfast import get_threads
    from cnnfast.bench.runner import Settings

    rounds = args.rounds or (_QUICK_ROUNDS if args.quick else Settings.rounds)
    seconds = args.seconds or (_QUICK_SECONDS if args.quick else Settings.seconds)
    return Settings(args.threads or get_threads(), rounds, seconds)


def _write(
    args: argparse.Namespace, results: list[Result], settings: Settings, about: dict[str, Any], best: Peak
) -> None:
    from cnnfast.bench import report

    if args.json:
        report.write_json(args.json, report.to_json(results, settings, about, best))
    if args.markdown:
        from cnnfast.bench.markdown import markdown

        args.markdown.write_text(markdown(results, settings, about, best))
    if args.plot:
        from cnnfast.bench.plot import save_plot

        save_plot(results, args.plot, report.heading(about, settings))


def _progress(line: str) -> None:
    """Shows what is happening on one line of the terminal, over the line before."""
    print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def positive(text: str) -> int:
    """An option's value as a whole number of at least 1, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return number


def positive_seconds(text: str) -> float:
    """An option's value as a finite number of seconds above 0, for argparse."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return seconds
