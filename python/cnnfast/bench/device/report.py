"""What was measured on a GPU: tables for people, as text and as Markdown, and JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from cnnfast.bench.device import floor
from cnnfast.bench.device.floor import Chip
from cnnfast.bench.device.kernels import COPY, KernelResult
from cnnfast.bench.report import duration, percent, three_digits, times
from cnnfast.bench.runner import Measurement, Result, Settings
from cnnfast.bench.statistics import Spread
from cnnfast.bench.summary import GROUP_TITLES, summaries

# title and width; the first and the last column are as wide as they must be
_COLUMNS = (
    ("workload", 0), ("peer", 13), ("median", 8), ("quartiles", 19), ("images/s", 8), ("TFLOP/s", 7), ("of floor", 8),
    ("host copies", 11), ("times as long as cnnfast", 0),
)  # fmt: skip
_KERNEL_COLUMNS = (
    ("kernel", 0), ("types", 9), ("median", 8), ("quartiles", 19), ("MB", 7), ("GB/s", 7), ("of copy", 0),
)  # fmt: skip


@dataclass(frozen=True)
class Where:
    """What figures depend on besides the code.

    Attributes:
        device: what cnnfast's process says of itself: "description", "memory_bytes", "policy".
        host: `report.machine` of the machine.
        settings: how much is measured.
        budget: seconds after which no row is begun, or None.
    """

    device: dict[str, str]
    host: dict[str, Any]
    settings: Settings
    budget: float | None = None

    @property
    def policy(self) -> str:
        return self.device["policy"]

    @property
    def chip(self) -> Chip | None:
        return floor.chip_of(self.device["description"])


def heading(where: Where) -> str:
    """One line on the device, the policy and how it was measured."""
    device, host, settings = where.device, where.host, where.settings
    return (
        f"cnnfast {host['cnnfast']} on {device['description']} ({int(device['memory_bytes']) / 2**30:.0f} GiB, "
        f"{device['device']}), {device['policy']}; host {host['cpu']}, {settings.threads} threads; "
        f"medians of {settings.rounds} rounds of at least {settings.seconds:g} s"
    )


def peak_line(where: Where) -> str:
    """What the floors are computed from."""
    chip = where.chip
    if chip is None:
        return "no floors: what this device can do at most is not in the table of bench/device/floor.py"
    return (
        f"floors: {chip.operations[where.policy] / 1e12:g} TFLOP/s and {chip.bandwidth / 1e9:g} GB/s, as its maker "
        f"states; cache {chip.cache / 1e6:g} MB"
    )


def header(name_width: int) -> str:
    """The table's first line, for rows whose names take up to `name_width` characters."""
    return _row(tuple(title for title, _ in _COLUMNS), _COLUMNS, name_width)


def kernel_header(name_width: int) -> str:
    return _row(tuple(title for title, _ in _KERNEL_COLUMNS), _KERNEL_COLUMNS, name_width)


def _row(cells: tuple[str, ...], columns: Sequence[tuple[str, int]], name_width: int) -> str:
    widths = [name_width, *(width for _, width in columns[1:])]
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)).rstrip()


def rows(result: Result, name_width: int, where: Where) -> str:
    """The table's lines for a network: one for each peer."""
    lines: list[str] = []
    for m in result.measurements.values():
        name = "" if lines else result.workload.name
        cells = (f"failed: {m.error}",) if m.error else (*_figures(result, m, where), _verdict(result, m))
        lines.append(_row((name, m.peer, *cells), _COLUMNS, name_width))
    return "\n".join(lines)


def _figures(result: Result, m: Measurement, where: Where) -> tuple[str, ...]:
    row, s = result.workload, m.spread
    least = _floor(result, where)
    return (
        duration(s.median), f"{duration(s.low)} - {duration(s.high)}", three_digits(row.batch / s.median),
        three_digits(floor.work(row).operations / s.median / 1e12), percent(least / s.median) if least else "-",
        f"{three_digits(floor.host_copies(row) / 1e6)} MB",
    )  # fmt: skip


def _floor(result: Result, where: Where) -> float | None:
    return None if where.chip is None else floor.floor(result.workload, where.policy, where.chip)


def _verdict(result: Result, m: Measurement) -> str:
    """The ratio, or why there is none."""
    if m.disagreement:
        return f"differs from {result.reference}: {m.disagreement}"
    found = result.ratio(m.peer)
    if m.peer == "cnnfast" or found is None:
        return ""
    return f"{times(found)}{' (fastest peer)' if m.peer == result.fastest_peer() else ''}"


def copy_bandwidth(kernels: Sequence[KernelResult]) -> float | None:
    """Bytes a second of the copy among what was measured; None if it was not, or failed."""
    return next((k.bandwidth for k in kernels if k.row.name == COPY), None)


def kernel_row(k: KernelResult, name_width: int, copy: float | None) -> str:
    """A kernel's line, as a part of the copy's bandwidth if there is one."""
    return _row(_kernel_cells(k, copy), _KERNEL_COLUMNS, name_width)


def _kernel_cells(k: KernelResult, copy: float | None) -> tuple[str, ...]:
    if k.error or k.bandwidth is None:
        return (k.row.name, f"failed: {k.error}")
    s = k.spread
    part = percent(k.bandwidth / copy) if copy else "-"
    return (
        k.row.name, k.types, duration(s.median), f"{duration(s.low)} - {duration(s.high)}", three_digits(k.bytes / 1e6),
        three_digits(k.bandwidth / 1e9), part,
    )  # fmt: skip


def summary_text(results: Sequence[Result]) -> str:
    """How cnnfast does against the fastest peer of each row, a line for each group; what failed or disagreed."""
    lines = []
    for s in summaries(results):
        rows = "1 row" if s.rows == 1 else f"{s.rows} rows"
        lines.append(
            f"{GROUP_TITLES[s.group]}: {s.mean:.2f} times as fast as the fastest peer (geometric mean of {rows}); "
            f"lowest: {s.lowest_ratio:.2f}, {s.lowest}"
        )
    bad = [r.workload.name for r in results if any(m.error or m.disagreement for m in r.measurements.values())]
    return "\n".join([*lines, *(f"  failed or disagreed: {name}" for name in bad)])


# JSON


def to_json(results: Sequence[Result], kernels: Sequence[KernelResult], where: Where) -> dict[str, Any]:
    """All figures of all rounds, with the device, the policy, the machine and the versions."""
    chip = where.chip
    return {
        "format": 2,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": where.device,
        "policy": where.policy,
        "stated": chip and {**vars(chip), "operations": chip.operations[where.policy]},
        "machine": where.host,
        "settings": {**vars(where.settings), "budget": where.budget},
        "results": [_result_json(r, where) for r in results],
        "copy_bytes_per_second": copy_bandwidth(kernels),
        "kernels": [_kernel_json(k) for k in kernels],
    }


def _result_json(r: Result, where: Where) -> dict[str, Any]:
    row, chip = r.workload, where.chip
    todo = None if chip is None else floor.device_work(row, where.policy, chip.cache)
    return {
        "workload": row.name,
        "description": row.description,
        "group": row.group,
        "operations": floor.work(row).operations,
        "bytes": todo and todo.bytes,
        "host_copies": floor.host_copies(row),
        "floor_seconds": _floor(r, where),
        "reference": r.reference,
        "fastest_peer": r.fastest_peer(),
        "peers": {
            name: {**vars(m), **_spread_json("seconds", m.spread if m.seconds else None),
                   **_spread_json("ratio", r.ratio(name))}
            for name, m in r.measurements.items()
        },
    }  # fmt: skip


def _kernel_json(k: KernelResult) -> dict[str, Any]:
    return {
        "kernel": k.row.name, "shape": list(k.row.shape), "policy": k.row.policy, "types": k.types, "bytes": k.bytes,
        "seconds": k.seconds, "error": k.error, **_spread_json("seconds", k.spread if k.seconds else None),
        "bytes_per_second": k.bandwidth,
    }  # fmt: skip


def _spread_json(name: str, s: Spread | None) -> dict[str, Any]:
    return {f"{name}_median": s and s.median, f"{name}_quartiles": s and [s.low, s.high]}


# Markdown

_TITLES = (
    "row", "floor", "cnnfast", "of floor", "images/s", "host copies", "fastest peer", "its time",
    "times as fast (quartiles)",
)  # fmt: skip


def markdown(results: Sequence[Result], kernels: Sequence[KernelResult], where: Where) -> str:
    """The tables, the device above, the summary below; each network with its fastest peer."""
    versions = {n: v for peer in where.host.get("peers", {}).values() for n, v in peer.items() if n in _NAMED}
    parts = [f"{heading(where)}.", f"{peak_line(where)}.", ", ".join(f"{n} {v}" for n, v in versions.items())]
    for group in ("train", "infer"):
        found = [r for r in results if r.workload.group == group]
        if found:
            table = [_TITLES, ["---"] * len(_TITLES), *(_cells(r, where) for r in found)]
            parts += [f"## {GROUP_TITLES[group].capitalize()}", _table(table, len(_TITLES))]
    if kernels:
        copy, titles = copy_bandwidth(kernels), [title for title, _ in _KERNEL_COLUMNS]
        table = [titles, ["---"] * len(titles), *(_kernel_cells(k, copy) for k in kernels)]
        parts += ["## Kernels that wait for memory", _table(table, len(titles))]
    parts += [summary_text(results).replace("\n", "  \n")]
    return "\n\n".join(filter(None, parts)) + "\n"


_NAMED = ("torch", "cuda", "cudnn")


def _cells(r: Result, where: Where) -> list[str]:
    least, mine = _floor(r, where), r.measurements["cnnfast"]
    cells = [r.workload.name, duration(least) if least else "-"]
    if mine.error or not mine.seconds:
        return [*cells, f"failed: {mine.error}"]
    median = mine.spread.median
    cells += [duration(median), percent(least / median) if least else "-", three_digits(r.workload.batch / median)]
    cells += [f"{three_digits(floor.host_copies(r.workload) / 1e6)} MB"]
    fastest, ratio = r.fastest_peer(), r.fastest_ratio()
    if fastest is None or ratio is None:
        return cells
    theirs = r.measurements[fastest].spread.median
    return [*cells, fastest, duration(theirs), f"{ratio.median:.2f} ({ratio.low:.2f} - {ratio.high:.2f})"]


def _table(lines: Sequence[Sequence[str]], width: int) -> str:
    filled = ([*cells, *[""] * (width - len(cells))] for cells in lines)
    return "\n".join(f"| {' | '.join(c.replace('|', '/') for c in cells)} |" for cells in filled)
