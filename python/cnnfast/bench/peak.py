"""What this machine can do at most: `python -m cnnfast.bench.peak THREADS` measures it and prints it as JSON."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

#: Each figure is the best of so many rounds, which are short: what disturbs a round only ever makes it slower.
ROUNDS = 25


@dataclass(frozen=True)
class Peak:
    """The best that was measured, on some threads.

    Attributes:
        isa: the instruction set of the multiply-adds.
        threads: how many computed.
        operations: floating-point operations a second (a multiply-add is two), in registers.
        read: bytes a second from arrays far larger than the caches, added up.
        write: the same, filled; what the processor reads before it writes is not counted.
        triad: the same, y = a + b/2: two arrays read and one written.
    """

    isa: str
    threads: int
    operations: float
    read: float
    write: float
    triad: float

    @property
    def bandwidth(self) -> float:
        """The best of the three: no floor may be above what can be reached."""
        return max(self.read, self.write, self.triad)

    def best(self, other: Peak) -> Peak:
        """The better of each figure of two measurements."""
        figures = {n: max(getattr(self, n), getattr(other, n)) for n in ("operations", "read", "write", "triad")}
        return replace(self, **figures)

    def __str__(self) -> str:
        return (
            f"{self.operations / 1e9:.0f} GFLOP/s ({self.isa}); memory: "
            f"read {self.read / 1e9:.1f}, write {self.write / 1e9:.1f}, triad {self.triad / 1e9:.1f} GB/s"
        )


def measure(isa: str, threads: int, floats: int = 0) -> Peak:
    """Measures with the engine of this process, and leaves it with that instruction set and number of threads.

    Args:
        isa: "auto", or one of `cnnfast info`.
        threads: to compute with.
        floats: size of each array; as a rule four times the last-level cache.
    """
    from cnnfast.ops import engine

    engine.set_isa(isa)
    engine.set_num_threads(threads)
    a = np.ones(floats or last_level_cache(), np.float32)  # bytes of the cache, so four times as many bytes
    b, y = np.ones_like(a), np.ones_like(a)
    rounds = 1 << 18  # a few milliseconds
    operations = engine.peak_multiply_add(rounds)
    return Peak(
        engine.isa(),
        threads,
        operations / _fastest(lambda: engine.peak_multiply_add(rounds)),
        a.nbytes / _fastest(lambda: engine.peak_read(a)),
        a.nbytes / _fastest(lambda: engine.peak_write(y)),
        3 * a.nbytes / _fastest(lambda: engine.peak_triad(a, b, y)),
    )


def measure_afresh(threads: int) -> Peak:
    """Measures in a process of its own, on as many CPUs as threads."""
    from cnnfast.bench.process import ask_python

    return Peak(**ask_python("-m", "cnnfast.bench.peak", str(threads), threads=threads))


def _fastest(run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def last_level_cache() -> int:
    """Bytes of the largest cache of the first CPU; 32 MiB where the system does not say, and no more than 128 MiB."""
    sizes = [32 << 20]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        if found := re.fullmatch(r"(\d+)([KM])", file.read_text().strip()):
            sizes.append(int(found[1]) << {"K": 10, "M": 20}[found[2]])
    return min(max(sizes), 128 << 20)


def main(isa: str, threads: int) -> None:
    from cnnfast.bench.peers import limit_cpus

    limit_cpus(threads)
    print(json.dumps(asdict(measure(isa, threads))))


if __name__ == "__main__":
    main("auto", int(sys.argv[1]))
