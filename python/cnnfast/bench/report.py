"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cnnfast.bench.floor import work
from cnnfast.bench.peak import Peak
from cnnfast.bench.runner import Measurement, Result, Settings
from cnnfast.bench.statistics import Spread
from cnnfast.bench.summary import summaries

# title and width; the first and the last column are as wide as they must be
_COLUMNS = (
    ("workload", 0), ("peer", 19), ("median", 8), ("quartiles", 19), ("GFLOP/s", 7), ("of floor", 8),
    ("peak memory", 11), ("faults/step", 11), ("times as long as cnnfast", 0),
)  # fmt: skip


def header(name_width: int) -> str:
    """The table's first line, for workloads whose names take up to `name_width` characters."""
    return _row(tuple(title for title, _ in _COLUMNS), name_width)


def rows(result: Result, name_width: int, peak: Peak) -> str:
    """The table's lines for a workload: one for each peer."""
    return "\n".join(_row(line, name_width) for line in _lines(result, peak))


def _row(cells: tuple[str, ...], name_width: int) -> str:
    widths = [name_width, *(width for _, width in _COLUMNS[1:])]
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()


def _lines(result: Result, peak: Peak) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    todo = work(result.workload)
    for m in result.measurements.values():
        name = "" if lines else result.workload.name
        if m.error:
            lines.append((name, m.peer, f"failed: {m.error}"))
            continue
        s = m.spread
        faults = sum(m.page_faults) / len(m.page_faults)
        lines.append(
            (name, m.peer, duration(s.median), f"{duration(s.low)} - {duration(s.high)}",
             three_digits(todo.operations / s.median / 1e9), percent(todo.floor(peak) / s.median),
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
    return f"{times(found)}{' (fastest peer)' if m.peer == result.fastest_peer() else ''}"


def times(s: Spread) -> str:
    """A ratio with its quartiles: "2.00x (1.90 - 2.10)"."""
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


def three_digits(value: float) -> str:
    """Example:
    >>> three_digits(1234.5), three_digits(0.01234)
    ('1234', '0.0123')
    """
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"


def percent(part: float) -> str:
    """Example:
    >>> percent(0.4567), percent(0.00123)
    ('46 %', '0.12 %')
    """
    return f"{100 * part:.0f} %" if part >= 0.0995 else f"{100 * part:.2g} %"


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


def to_json(results: Sequence[Result], settings: Settings, about: dict[str, Any], peak: Peak) -> dict[str, Any]:
    """All figures of all rounds, with the machine, its peaks and the versions."""
    return {
        "format": 2,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": about,
        "peak": vars(peak),
        "settings": vars(settings),
        "summary": [vars(s) for s in summaries(results)],
        "results": [_result_json(r, peak) for r in results],
    }


def _result_json(result: Result, peak: Peak) -> dict[str, Any]:
    todo = work(result.workload)
    return {
        "workload": result.workload.name,
        "description": result.workload.description,
        "group": result.workload.group,
        "goal": result.workload.goal,
        "operations": todo.operations,
        "bytes": todo.bytes,
        "floor_seconds": todo.floor(peak),
        "reference": result.reference,
        "fastest_peer": result.fastest_peer(),
        "peers": {
            name: {**vars(m), **_spread_json("seconds", m.spread if m.seconds else None),
                   **_spread_json("ratio", result.ratio(name)),
                   "operations_per_second": todo.operations / m.spread.median if m.seconds else None,
                   "part_of_floor": todo.floor(peak) / m.spread.median if m.seconds else None}
            for name, m in result.measurements.items()
        },
    }  # fmt: skip


def _spread_json(name: str, s: Spread | None) -> dict[str, Any]:
    return {f"{name}_median": s and s.median, f"{name}_quartiles": s and [s.low, s.high]}


def write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")
