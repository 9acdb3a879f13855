"""What was measured as Markdown: a table for each group of rows, the machine above, the summary below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnfast.bench.floor import work
from cnnfast.bench.peak import Peak
from cnnfast.bench.report import duration, heading, percent, three_digits
from cnnfast.bench.runner import Result, Settings
from cnnfast.bench.summary import GROUP_TITLES, summary_text

_COLUMNS = (
    "workload", "GFLOP", "MB", "floor", "cnnfast", "GFLOP/s", "of floor", "peak MiB, ours / theirs", "fastest peer",
    "its time", "ratio (quartiles)",
)  # fmt: skip


def markdown(results: Sequence[Result], settings: Settings, about: dict[str, Any], peak: Peak) -> str:
    """A document of its own sections, to be read or put under a heading.

    Args:
        results: the rows.
        settings, about: how and where they were measured.
        peak: what the floors are computed from.
    """
    parts = [f"{heading(about, settings)}.", f"Peak: {peak}.", _versions(about)]
    for group, title in GROUP_TITLES.items():
        rows = [r for r in results if r.workload.group == group and "cnnfast" in r.measurements]
        if rows:
            parts += [f"## {title.capitalize()}", "\n".join(_table(rows, peak))]
    parts += [summary_text(results).replace("\n", "  \n")]
    return "\n\n".join(filter(None, parts)) + "\n"


def _versions(about: dict[str, Any]) -> str:
    """The peers' packages, each named once."""
    found = {name: v for peer in about.get("peers", {}).values() for name, v in peer.items()}
    text = ", ".join(f"{name} {v}" for name, v in found.items() if name not in ("cnnfast", "isa", "threading"))
    return f"Peers: {text}." if text else ""


def _table(rows: Sequence[Result], peak: Peak) -> list[str]:
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    for r in rows:
        todo, mine = work(r.workload), r.measurements["cnnfast"]
        cells = [r.workload.name, three_digits(todo.operations / 1e9), three_digits(todo.bytes / 1e6)]
        cells += [duration(todo.floor(peak))]
        if mine.error:
            lines.append(_line([*cells, f"failed: {mine.error}"]))
            continue
        median = mine.spread.median
        cells += [duration(median), three_digits(todo.operations / median / 1e9), percent(todo.floor(peak) / median)]
        lines.append(_line([*cells, *_peer_cells(r)]))
    return lines


def _peer_cells(r: Result) -> list[str]:
    fastest, ratio, mine = r.fastest_peer(), r.fastest_ratio(), r.measurements["cnnfast"]
    if fastest is None or ratio is None:
        return [f"{mine.peak_bytes / 2**20:.0f}"]
    theirs = r.measurements[fastest]
    return [
        f"{mine.peak_bytes / 2**20:.0f} / {theirs.peak_bytes / 2**20:.0f}", fastest, duration(theirs.spread.median),
        f"{ratio.median:.2f} ({ratio.low:.2f} - {ratio.high:.2f})",
    ]  # fmt: skip


def _line(cells: Sequence[str]) -> str:
    cells = [*cells, *[""] * (len(_COLUMNS) - len(cells))]
    return f"| {' | '.join(c.replace('|', '/') for c in cells)} |"
