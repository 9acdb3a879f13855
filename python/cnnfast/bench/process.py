"""The runner's end of a worker process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

from cnnfast.bench.peers import Peer, thread_environment
from cnnfast.bench.spec import Workload
from cnnfast.bench.target import CPU, Target

#: A command that takes longer has hung.
TIMEOUT_SECONDS = 600.0


class WorkerError(RuntimeError):
    """A peer could not do what it was asked to."""


class WorkerProcess:
    """Starts a peer's process and asks it for one thing at a time.

    Args:
        peer: which.
        threads: how many it may compute with.
        command: the program to run instead of the peer's worker.
        target: where it computes.
        limit: seconds after which a command has hung, and the process is ended.

    Raises:
        WorkerError: it did not start; the message ends with what it printed last.
    """

    def __init__(
        self,
        peer: Peer,
        threads: int,
        command: list[str] | None = None,
        *,
        target: Target = CPU,
        limit: float = TIMEOUT_SECONDS,
    ):
        self.name, self._limit, self._too_long = peer.name, limit, False
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  (closed by close)
        self._process = subprocess.Popen(
            command or [sys.executable, "-m", "cnnfast.bench.worker", peer.name, str(threads), *target.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=_environment(threads, {**target.environment, **peer.environment}),
        )
        self.versions: dict[str, str] = self._read()["versions"]

    def load(self, workload: Workload) -> None:
        self._ask(command="load", workload=workload.to_json())

    def answer(self, steps: int) -> tuple[list[float], dict[str, np.ndarray]]:
        """Does some steps; returns their losses and the arrays that must agree."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "answer.npz")
            losses = self._ask(command="answer", steps=steps, file=str(file))["losses"]
            with np.load(file, allow_pickle=False) as arrays:
                return losses, dict(arrays)

    def warm_up(self, seconds: float) -> int:
        """Steps that fill so many seconds, after some untimed ones."""
        return int(self._ask(command="warm_up", seconds=seconds)["steps"])

    def round(self, steps: int) -> dict[str, float]:
        return self._ask(command="round", steps=steps)

    def memory(self) -> dict[str, int]:
        return self._ask(command="memory")

    def losses(self, steps: int) -> list[float]:
        """Does some steps; returns their losses."""
        return self._ask(command="losses", steps=steps)["losses"]

    def unload(self) -> None:
        """Lets go of the workload, and of what it has taken on its device."""
        self._ask(command="unload")

    def kernel(self, row: str, runs: int) -> dict[str, Any]:
        """Measures a row of `device.kernels`; what its `measure` returns."""
        return self._ask(command="kernel", row=row, runs=runs)

    def close(self) -> None:
        """Ends the process, also one that hangs."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has died; reading says of what
            print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        watchdog = threading.Timer(self._limit, self._give_up)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            status = self._process.wait()
            if self._too_long:
                raise WorkerError(f"{self.name}: gave no answer within {self._limit:g} s")
            raise WorkerError(f"{self.name}: the process ended with status {status}: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.name}: {answer['error']}")
        return answer

    def _give_up(self) -> None:
        self._too_long = True
        self._process.kill()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return lines[-1] if lines else "it printed nothing"


def ask_python(*arguments: str, threads: int) -> dict[str, Any]:
    """The JSON object that `python` with these arguments prints last, in a fresh process.

    Raises:
        WorkerError: it failed; the message ends with what it printed last.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env=_environment(threads, {}),
    )
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        words = [line for line in done.stderr.splitlines() if line.strip()] or ["it printed nothing"]
        raise WorkerError(f"a fresh process ended with status {done.returncode}: {words[-1].strip()}")
    return json.loads(lines[-1])


def _environment(threads: int, more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": _search_path(), **thread_environment(threads), **more}


def _search_path() -> str:
    """The parent's module search path: the child must find the same cnnfast, installed or not."""
    return os.pathsep.join(p for p in sys.path if p)
