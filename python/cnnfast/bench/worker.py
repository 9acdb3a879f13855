"""The process of one peer: `python -m cnnfast.bench.worker PEER THREADS [DEVICE POLICY]`.

It reads one JSON object per line from its standard input and answers each with one on its standard output:

    {"command": "load", "workload": {...}}              {}
    {"command": "answer", "steps": 2, "file": "x.npz"}  {"losses": [...]}, and arrays in the file
    {"command": "warm_up", "seconds": 0.2}              {"steps": how many fill so many seconds}
    {"command": "round", "steps": 15}                   {"seconds": a step, "page_faults": a step, "loss": x}
    {"command": "memory"}                               {"bytes": peak resident, "loaded_bytes": at start}
    {"command": "losses", "steps": 1}                   {"losses": [...]}
    {"command": "unload"}                               {}
    {"command": "kernel", "row": "...", "runs": 7}      as `device.kernels.measure`

An answer has the key "error" instead if the command failed. The first line, unasked, gives the versions.
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

import numpy as np

from cnnfast.bench.data import make_data
from cnnfast.bench.peers import PEERS, Peer, Session, limit_cpus
from cnnfast.bench.spec import Workload

#: Steps before anything is timed: compilers run in the first, caches and arenas fill in the second.
WARM_UP_STEPS = 2

#: Before a round: threads of the peer before may spin on for milliseconds, waiting for work that does not come, on a
#: core that is needed now.
SETTLING_SECONDS = 0.02


class Worker:
    """Holds the loaded workload and answers commands.

    Args:
        prepare: turns a workload and its data into a Session.
        release: gives back what a Session that is gone has left, or None.
    """

    def __init__(self, prepare: Callable[..., Session], release: Callable[[], None] | None = None):
        self._prepare, self._release = prepare, release
        self._session: Session | None = None
        self._loaded_bytes = peak_resident_bytes()

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one command."""
        commands: dict[str, Callable[..., dict[str, Any]]] = {
            "load": self._load,
            "answer": self._answer,
            "warm_up": self._warm_up,
            "round": self._round,
            "memory": self._memory,
            "losses": self._losses,
            "unload": self._unload,
            "kernel": self._kernel,
        }
        arguments = dict(request)
        name = arguments.pop("command", None)
        if name not in commands:
            raise ValueError(f"worker: unknown command {name!r}")
        return commands[name](**arguments)

    @property
    def _ready(self) -> Session:
        if self._session is None:
            raise ValueError("worker: no workload is loaded")
        return self._session

    def _load(self, workload: dict[str, Any]) -> dict[str, Any]:
        self._session = None  # the memory of the one before
        row = Workload.from_json(workload)
        self._session = self._prepare(row, make_data(row))
        return {}

    def _answer(self, steps: int, file: str) -> dict[str, Any]:
        losses = [self._ready.step() for _ in range(steps)]
        arrays: dict[str, Any] = {**self._ready.answer()}
        np.savez(file, **arrays)
        return {"losses": losses}

    def _warm_up(self, seconds: float) -> dict[str, Any]:
        for _ in range(getattr(self._ready, "warm_up_steps", None) or WARM_UP_STEPS):
            self._ready.step()
        begin, steps = time.perf_counter(), 0
        while steps == 0 or time.perf_counter() - begin < seconds / 2:
            self._ready.step()
            steps += 1
        per_step = (time.perf_counter() - begin) / steps
        return {"steps": max(1, math.ceil(seconds / per_step))}

    def _round(self, steps: int) -> dict[str, Any]:
        step = self._ready.step
        time.sleep(SETTLING_SECONDS)
        loss = step() if steps > 1 else 0.0  # untimed: the other peers have had the caches meanwhile
        faults = page_faults()
        begin = time.perf_counter()
        for _ in range(steps):
            loss = step()
        seconds = time.perf_counter() - begin
        return {"seconds": seconds / steps, "page_faults": (page_faults() - faults) / steps, "loss": loss}

    def _memory(self) -> dict[str, Any]:
        return {"bytes": peak_resident_bytes(), "loaded_bytes": self._loaded_bytes}

    def _losses(self, steps: int) -> dict[str, Any]:
        return {"losses": [self._ready.step() for _ in range(steps)]}

    def _unload(self) -> dict[str, Any]:
        self._session = None
        gc.collect()
        if self._release is not None:
            self._release()
        return {}

    def _kernel(self, row: str, runs: int) -> dict[str, Any]:
        from cnnfast.bench.device import kernels

        return kernels.measure(next(r for r in kernels.rows() if r.name == row), runs)


def peak_resident_bytes() -> int:
    """The most memory that this process has had resident, 0 where the system does not say."""
    try:
        with open("/proc/self/status") as status:  # getrusage's figure may be the parent's, from before exec
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return _usage("ru_maxrss") * (1 if sys.platform == "darwin" else 1024)


def page_faults() -> int:
    """Page faults of this process so far, 0 where the system does not say."""
    return _usage("ru_minflt") + _usage("ru_majflt")


def _usage(name: str) -> int:
    try:
        import resource
    except ImportError:
        return 0
    return int(getattr(resource.getrusage(resource.RUSAGE_SELF), name))


def serve(worker: Worker, requests: TextIO, answers: TextIO) -> None:
    """Answers line by line until the requests end. A failed command does not end the process."""
    for line in requests:
        try:
            answer = worker.handle(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def start(peer: Peer, threads: int, device: str, policy: str) -> tuple[Any, dict[str, str]]:
    """A peer's module, made ready for this process, and its versions."""
    module = importlib.import_module(f"cnnfast.bench.peers.{peer.module}")
    where = {} if device == "cpu" else {"device": device, "policy": policy}
    return module, module.start(threads, **peer.options, **where)


def main(name: str, threads: int, device: str = "cpu", policy: str = "float32") -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    limit_cpus(threads)
    module, versions = start(PEERS[name], threads, device, policy)
    print(json.dumps({"versions": versions}), file=answers, flush=True)
    serve(Worker(module.prepare, getattr(module, "release", None)), sys.stdin, answers)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
