"""Runs workloads: first all peers' answers are compared, then they are timed in turn, one at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cnnfast.bench.agreement import Answer, Check, checks, disagreement
from cnnfast.bench.peers import PEERS, Peer
from cnnfast.bench.process import WorkerError, WorkerProcess
from cnnfast.bench.spec import Workload
from cnnfast.bench.statistics import Spread, ratio, spread

T = TypeVar("T")
Start = Callable[[Peer, int], WorkerProcess]


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        threads: for every peer.
        rounds: how often each peer's turn comes.
        seconds: what a turn lasts at least.
    """

    threads: int
    rounds: int = 9
    seconds: float = 0.2


@dataclass
class Measurement:
    """What came of one peer and one workload.

    Attributes:
        seconds: per step, one figure for each round.
        steps: in a round.
        page_faults: per step, one figure for each round.
        peak_bytes: most memory resident in the process; loaded_bytes of it before the workload came.
        error: why there are no figures, or "".
        disagreement: how its answers differ from the reference's, or "".
    """

    peer: str
    seconds: list[float] = field(default_factory=list)
    steps: int = 0
    page_faults: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    loaded_bytes: int = 0
    error: str = ""
    disagreement: str = ""

    @property
    def spread(self) -> Spread:
        return spread(self.seconds)


@dataclass
class Result:
    """One row of the suite, measured.

    Attributes:
        workload: the row.
        measurements: by peer, cnnfast first.
        reference: the peer that the others' answers were compared with; "" if there was nobody to compare.
    """

    workload: Workload
    measurements: dict[str, Measurement]
    reference: str = ""

    def ratio(self, peer: str) -> Spread | None:
        """How many times longer than cnnfast a peer takes; None unless both have figures and agree."""
        mine, theirs = self.measurements.get("cnnfast"), self.measurements[peer]
        if mine is None or not self._comparable(mine) or not self._comparable(theirs):
            return None
        return ratio(theirs.seconds, mine.seconds)

    def fastest_peer(self) -> str | None:
        """The peer, other than cnnfast, with the smallest median among those that agree."""
        found = [m for m in self.measurements.values() if m.peer != "cnnfast" and self._comparable(m)]
        return min(found, key=lambda m: m.spread.median).peer if found else None

    def fastest_ratio(self) -> Spread | None:
        """How many times longer than cnnfast the fastest peer takes; None where nothing can be compared."""
        fastest = self.fastest_peer()
        return None if fastest is None else self.ratio(fastest)

    @staticmethod
    def _comparable(m: Measurement) -> bool:
        return bool(m.seconds) and not m.disagreement and not m.error


class Runner:
    """Measures workloads on cnnfast and peers.

    Args:
        peers: others than cnnfast.
        settings: how much is measured.
        start: starts a peer's process.
        log: gets a line for what is happening.

    Use it as a context: it ends the processes that it keeps.
    """

    def __init__(
        self,
        peers: Sequence[Peer],
        settings: Settings,
        *,
        start: Start = WorkerProcess,
        log: Callable[[str], None] = lambda _: None,
    ):
        self._peers = [PEERS["cnnfast"], *peers]
        self._settings = settings
        self._start = start
        self._log = log
        self._workers: dict[str, WorkerProcess] = {}
        self.versions: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_all()

    def run(self, workload: Workload) -> Result:
        """Compares, then times. A peer that fails is in the result with its error.

        A training or an inference row gets fresh processes for its times: their peak memory is then the row's
        alone. All kernel rows share one process for each peer, which starts once.
        """
        taking_part = [p for p in self._peers if workload.mode in p.modes]
        result = Result(workload, {p.name: Measurement(p.name) for p in taking_part})
        if len(taking_part) > 1:
            self._compare(workload, taking_part, result)
        self._time(workload, taking_part, result)
        if workload.group != "kernel":
            self._close_all()
        return result

    # Answers

    def _compare(self, workload: Workload, peers: Sequence[Peer], result: Result) -> None:
        todo = list(checks(workload))
        expected: list[Answer] = []
        for peer in peers:
            m = result.measurements[peer.name]
            answers = []
            for check in todo:
                self._log(f"{workload.name}: {check.what} of {peer.name}")
                answer = self._attempt(peer, m, lambda w, check=check: _answer(w, check))  # type: ignore[misc]
                answers += [] if answer is None else [answer]
            if workload.group != "kernel":
                self._close(peer.name)
            if m.error:
                continue
            if not expected:
                expected, result.reference = answers, peer.name
                continue
            m.disagreement = disagreement(todo, expected, answers)

    # Times

    def _time(self, workload: Workload, peers: Sequence[Peer], result: Result) -> None:
        self._warm_up_all(workload, peers, result, loaded=workload.group == "kernel" and len(peers) > 1)
        self._rounds(workload, peers, result)
        for peer in peers:
            m = result.measurements[peer.name]
            memory = self._attempt(peer, m, lambda w: w.memory())
            if memory is not None:
                m.peak_bytes, m.loaded_bytes = memory["bytes"], memory["loaded_bytes"]

    def _warm_up_all(self, workload: Workload, peers: Sequence[Peer], result: Result, *, loaded: bool) -> None:
        """Finds each peer's number of steps; `loaded`: the comparison has left the workload there."""
        for peer in peers:
            m = result.measurements[peer.name]
            self._log(f"{workload.name}: warming up {peer.name}")
            steps = self._attempt(peer, m, lambda w: self._warm_up(w, workload, loaded))
            m.steps = steps or 0

    def _rounds(self, workload: Workload, peers: Sequence[Peer], result: Result) -> None:
        for i in range(self._settings.rounds):
            for peer in peers:
                m = result.measurements[peer.name]
                self._log(f"{workload.name}: round {i + 1} of {self._settings.rounds}, {peer.name}")
                found = self._attempt(peer, m, lambda w, steps=m.steps: w.round(steps))  # type: ignore[misc]
                if found is not None:
                    m.seconds.append(found["seconds"])
                    m.page_faults.append(found["page_faults"])
                    if not math.isfinite(found["loss"]):
                        m.error = f"{peer.name}: the loss became {found['loss']} in round {i + 1}"

    def _warm_up(self, worker: WorkerProcess, workload: Workload, loaded: bool) -> int:
        if not loaded:
            worker.load(workload)
        return worker.warm_up(self._settings.seconds)

    # Processes

    def _attempt(self, peer: Peer, m: Measurement, task: Callable[[WorkerProcess], T]) -> T | None:
        """What the task returns, or None: its failure is written down and ends the peer's part in the row."""
        if m.error:
            return None
        try:
            return task(self._worker(peer))
        except WorkerError as error:
            m.error = str(error)
            self._close(peer.name)
            return None

    def _worker(self, peer: Peer) -> WorkerProcess:
        if peer.name not in self._workers:
            worker = self._start(peer, self._settings.threads)
            self._workers[peer.name] = worker
            self.versions[peer.name] = worker.versions
        return self._workers[peer.name]

    def _close(self, name: str) -> None:
        worker = self._workers.pop(name, None)
        if worker is not None:
            worker.close()

    def _close_all(self) -> None:
        for name in list(self._workers):
            self._close(name)


def _answer(worker: WorkerProcess, check: Check) -> Answer:
    worker.load(check.workload)
    return Answer(*worker.answer(check.steps))
