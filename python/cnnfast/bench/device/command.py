"""`cnnfast bench --device cuda`: measures, and shows and writes each row as it comes."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Sequence

from cnnfast.bench import report as host_report
from cnnfast.bench.device import report, rows
from cnnfast.bench.device.kernels import KernelResult, KernelRow
from cnnfast.bench.device.report import Where
from cnnfast.bench.device.runner import DeviceRunner
from cnnfast.bench.peers import Peer, resolve
from cnnfast.bench.process import WorkerError, WorkerProcess
from cnnfast.bench.runner import Result, Settings, Start
from cnnfast.bench.spec import Workload
from cnnfast.bench.target import Target

#: Seconds that a peer may take for one thing: to compile a network and do its first step is the longest.
LIMIT_SECONDS = 150.0


def main(args: argparse.Namespace, settings: Settings, target: Target, log: Callable[[str], None]) -> int:
    """Runs the rows that the options name; 1 if any peer failed or disagreed, else 0.

    Raises:
        ValueError: an unknown peer or row, a peer that computes on the CPU only, a device that is not there.
        ModuleNotFoundError: a peer that is not installed.
    """
    chosen = rows.select(*args.only or ())
    peers = resolve(args.peers, target.device)
    start = functools.partial(WorkerProcess, target=target, limit=args.limit or LIMIT_SECONDS)
    return measure(args, chosen, peers, settings, target, start, log)


def measure(
    args: argparse.Namespace,
    chosen: Sequence[Workload | KernelRow],
    peers: Sequence[Peer],
    settings: Settings,
    target: Target,
    start: Start,
    log: Callable[[str], None],
) -> int:
    """Measures rows with processes that `start` starts."""
    begin, results, kernels, late = time.monotonic(), list[Result](), list[KernelResult](), list[str]()
    host = host_report.machine()
    with DeviceRunner(peers, settings, start=start, log=log, policy=target.policy) as runner:
        try:
            where = Where(runner.describe(), host, settings, args.budget)
        except WorkerError as error:
            raise ValueError(f"bench: --device {target.device}: {error}") from error
        table = _Table(where, max(len(row.name) for row in chosen))
        for row in chosen:
            if args.budget and time.monotonic() - begin > args.budget:
                late.append(row.name)
                continue
            if isinstance(row, KernelRow):
                kernels.append(runner.kernel(row))
            else:
                results.append(runner.run(row))
            log("")
            table.show(kernels if isinstance(row, KernelRow) else results)
            host["peers"] = runner.versions
            _write(args, results, kernels, where)
    if late:
        print(f"not measured within {args.budget:g} s: {', '.join(late)}")
    print(report.summary_text(results))
    failed = [m.error or m.disagreement for r in results for m in r.measurements.values()]
    return int(any([*failed, *(k.error for k in kernels), *late]))


class _Table:
    """Prints the last of the rows so far, and a head before the first of a kind."""

    def __init__(self, where: Where, width: int):
        self._where, self._width = where, width
        found = host_report.warnings(where.host, where.settings)
        print(report.heading(where), *(f"note: {w}" for w in found), report.peak_line(where), sep="\n", flush=True)

    def show(self, found: Sequence[Result] | Sequence[KernelResult]) -> None:
        last = found[-1]
        if isinstance(last, KernelResult):
            head = report.kernel_header(self._width)
            copy = report.copy_bandwidth([k for k in found if isinstance(k, KernelResult)])
            line = report.kernel_row(last, self._width, copy)
        else:
            head, line = report.header(self._width), report.rows(last, self._width, self._where)
        print(*([f"\n{head}"] if len(found) == 1 else []), line, sep="\n", flush=True)


def _write(args: argparse.Namespace, results: list[Result], kernels: list[KernelResult], where: Where) -> None:
    """Writes the files asked for, after each row: a run that is ended early leaves what it has."""
    if args.json:
        host_report.write_json(args.json, report.to_json(results, kernels, where))
    if args.markdown:
        args.markdown.write_text(report.markdown(results, kernels, where))
