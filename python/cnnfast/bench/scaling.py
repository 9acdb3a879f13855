"""How much faster cnnfast gets with more threads: one against all, rounds in turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from cnnfast.bench.peers import PEERS, Peer
from cnnfast.bench.process import WorkerProcess
from cnnfast.bench.report import duration, times
from cnnfast.bench.runner import Settings
from cnnfast.bench.spec import Workload
from cnnfast.bench.statistics import Spread, ratio, spread
from cnnfast.bench.workloads import select

#: Rows that spend their time in convolutions.
ROWS = (
    "train/cats-dogs-32", "train/resnet18-cifar-64", "infer/vgg16-base-16", "infer/resnet50-8",
    "kernel/conv-cats-dogs-3/*", "kernel/conv-resnet50-1x1-14-256-1024/*",
)  # fmt: skip


@dataclass(frozen=True)
class Scaling:
    """One row on one thread and on all: seconds a step, one figure for each round."""

    workload: Workload
    threads: int
    one: list[float]
    all: list[float]

    @property
    def speedup(self) -> Spread:
        """How many times faster all threads are, round by round."""
        return ratio(self.one, self.all)

    def __str__(self) -> str:
        one, many = duration(spread(self.one).median), duration(spread(self.all).median)
        return f"{self.workload.name}: 1 thread {one}, {self.threads} threads {many}, {times(self.speedup)}"


def rows(patterns: list[str] | None) -> list[Workload]:
    """The rows that patterns select, or those of `ROWS`."""
    return select(*patterns or ROWS)


def scaling(
    workload: Workload, settings: Settings, start: Callable[[Peer, int], WorkerProcess] = WorkerProcess
) -> Scaling:
    """Measures a row on one thread and on `settings.threads`, each in a process of its own.

    Raises:
        WorkerError: cnnfast cannot do it.
        ValueError: there is only one thread.
    """
    if settings.threads < 2:
        raise ValueError(f"scaling: expected at least 2 threads to compare with 1, got {settings.threads}")
    counts = (1, settings.threads)
    seconds: dict[int, list[float]] = {n: [] for n in counts}
    with ExitStack() as stack:
        workers = {n: stack.enter_context(start(PEERS["cnnfast"], n)) for n in counts}
        steps = {}
        for n, worker in workers.items():
            worker.load(workload)
            steps[n] = worker.warm_up(settings.seconds)
        for _ in range(settings.rounds):
            for n, worker in workers.items():
                seconds[n].append(worker.round(steps[n])["seconds"])
    return Scaling(workload, settings.threads, seconds[1], seconds[settings.threads])
