"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cnnfast.bench.runner import Measurement, Result, Settings
from cnnfast.bench.statistics import Spread, geometric_mean

# title and width; the first and the last column are as wide as they must be
_COLUMNS = (
    ("workload", 0), ("peer", 19), ("median", 8), ("quartiles", 19), ("peak memory", 11), ("faults/step", 11),
    ("times as long as cnnfast", 0),
)  # fmt: skip
GROUP_TITLES = {"train": "training", "infer": "inference", "kernel": "kernels"}


def header(name_width: int) -> str:
    """The table's first line, for workloads whose names take up to `name_width` characters."""
    return _row(tuple(title for title, _ in _COLUMNS), name_width)


def rows(result: Result, name_width: int) -> str:
    """The table's lines for a workload: one for each peer."""
    return "\n".join(_row(line, name_width) for line in _lines(result))


def _row(cells: tuple[str, ...], name_width: int) -> str:
    widths = [name_width, *(width for _, width in _COLUMNS[1:])]
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()


def _lines(result: Result) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for m in result.measurements.values():
        name = "" if lines else result.workload.name
        if m.error:
            lines.append((name, m.peer, f"failed: {m.error}"))
            continue
        s = m.spread
        faults = sum(m.page_faults) / len(m.page_faults)
        lines.append(
            (name, m.peer, duration(s.median), f"{duration(s.low)} - {duration(s.high)}",
             f"{m.peak_bytes / 2**20:.0f} MiB", f"{faults:.1f}", _verdict(result, m))
        )  # fmt: skip
    return lines


def _verdict(result: Result, m: Measurement) -> str:
    """The ratio, or why there is none."""
    if m.disagreement:
        return f"differs from {result.reference}: {m.disagreement}"
    found = result.ratio(m.peer)
    if m.peer == "cnnfast" or found is None:
        return ""
    return f"{_times(found)}{' (fastest peer)' if m.peer == result.fastest_peer() else ''}"


def _times(s: Spread) -> str:
    return f"{s.median:.2f}x ({s.low:.2f} - {s.high:.2f})"


def duration(seconds: float) -> str:
    """Three digits and a unit: "83.1 us", "12.4 ms", "1.92 s".

    Example:
        >>> duration(0.0124)
        '12.4 ms'
    """
    for unit, factor in (("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:.0f} s"


def summary(results: Sequence[Result]) -> str:
    """How many times as fast as the fastest peer cnnfast is: geometric means over the rows of each group."""
    lines = []
    for group, title in GROUP_TITLES.items():
        found = [r for r in map(fastest_ratio, (r for r in results if r.workload.group == group)) if r is not None]
        if found:
            mean = geometric_mean(r.median for r in found)
            rows = "1 row" if len(found) == 1 else f"{len(found)} rows"
            lines.append(f"{title}: {mean:.2f} times as fast as the fastest peer (geometric mean of {rows})")
    return "\n".join(lines)


def fastest_ratio(result: Result) -> Spread | None:
    """How many times longer than cnnfast the fastest peer takes; None where nothing can be compared."""
    fastest = result.fastest_peer()
    return None if fastest is None else result.ratio(fastest)


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code. Ask before measuring: it holds what else is running."""
    from cnnfast.info import system_info

    return {**system_info(), "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0}


def heading(about: dict[str, Any], settings: Settings) -> str:
    """One line on the machine and how it was measured."""
    threads = "1 thread" if settings.threads == 1 else f"{settings.threads} threads"
    return (
        f"cnnfast {about['cnnfast']} on {about['cpu']} ({about['isa']}), {threads}, "
        f"medians of {settings.rounds} rounds of at least {settings.seconds:g} s"
    )


def warnings(about: dict[str, Any], settings: Settings) -> list[str]:
    """What makes the figures doubtful."""
    found = []
    if about["load_average"] > 0.5:
        found.append(
            f"other programs are using the CPU (load average {about['load_average']:.1f}): "
            "threads that wait for each other are slowed most, and ratios will be off"
        )
    if settings.threads > about["threads_allowed"]:
        found.append(f"{settings.threads} threads share {about['threads_allowed']} CPUs")
    return found


def to_json(results: Sequence[Result], settings: Settings, about: dict[str, Any]) -> dict[str, Any]:
    """All figures of all rounds, with the machine and the versions."""
    return {
        "format": 1,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": about,
        "settings": vars(settings),
        "results": [_result_json(r) for r in results],
    }


def _result_json(result: Result) -> dict[str, Any]:
    return {
        "workload": result.workload.name,
        "description": result.workload.description,
        "group": result.workload.group,
        "reference": result.reference,
        "fastest_peer": result.fastest_peer(),
        "peers": {
            name: {**vars(m), **_spread_json("seconds", m.spread if m.seconds else None),
                   **_spread_json("ratio", result.ratio(name))}
            for name, m in result.measurements.items()
        },
    }  # fmt: skip


def _spread_json(name: str, s: Spread | None) -> dict[str, Any]:
    return {f"{name}_median": s and s.median, f"{name}_quartiles": s and [s.low, s.high]}


def write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")
