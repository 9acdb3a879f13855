"""A figure of the measured ratios, or without peers of the times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from cnnfast.bench.peers import PEERS
from cnnfast.bench.report import duration
from cnnfast.bench.runner import Result
from cnnfast.bench.spec import EXPLANATIONS
from cnnfast.bench.statistics import Spread

# Okabe and Ito's colours, which all kinds of colour vision tell apart, with their dark orange for the pale yellow; a
# peer has the same one in every plot.
_PALETTE = (
    "#000000", "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#F0E442", "#999999",
    "#0072B2", "#E69F00",  # of peers on a GPU, which no plot shows beside those on the CPU
)  # fmt: skip
COLOURS = dict(zip(PEERS, _PALETTE, strict=True))
# What a point's shape says: a whole network, or which pass of a kernel.
_MARKERS = {
    **dict.fromkeys(("train", "infer", "augment", *EXPLANATIONS), "o"),
    "forward": ">", "dx": "<", "dw": "s", "both": "D",
}  # fmt: skip
_LINE = 0.17  # inches
_PER_COLUMN = 70  # lines
_GREY = "#888888"


@dataclass
class _Line:
    """One line of the figure: a name, and points as (peer, mode, figures)."""

    name: str
    points: list[tuple[str, str, Spread]] = field(default_factory=list)


def save_plot(results: Sequence[Result], path: Path, caption: str = "") -> None:
    """Writes a figure (PNG, SVG or PDF, by the file's ending).

    A network has a line with a point for each peer; a kernel has a line with a point for each of its passes, which
    shows the fastest peer.

    Args:
        results: what was measured.
        path: file to write.
        caption: a line below: the machine, the threads.

    Raises:
        ValueError: nothing to show.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    compared = any(r.fastest_ratio() is not None for r in results)
    lines = _lines(results, compared)
    if not lines:
        raise ValueError("bench: nothing to plot: no workload has a figure that could be compared")
    columns = ceil(len(lines) / _PER_COLUMN)
    height = ceil(len(lines) / columns)
    figure = Figure(figsize=(1 + 7 * columns, max(height * _LINE, 1.0) + 1.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, sharex=True, squeeze=False)[0]
    for i, part in enumerate(axes):
        _draw(part, lines[i * height : (i + 1) * height], height, compared)
    _limit(axes[0], [s for line in lines for *_, s in line.points], compared)
    _legend(figure, lines, compared)
    figure.supxlabel(f"{_AXIS[compared]}\n{caption}", fontsize=9, color="#333333")
    figure.savefig(path, dpi=120)


_AXIS = {
    True: "how many times as long as cnnfast: right of 1 cnnfast is faster; grey: quartiles; at the right: the least",
    False: "time per step; grey: quartiles; at the right: the least",
}


def _lines(results: Sequence[Result], compared: bool) -> list[_Line]:
    """The lines that have something to show, in the order of the results; a kernel's passes share one."""
    found: dict[str, _Line] = {}
    for r in results:
        name, mode = r.workload.name, r.workload.mode
        if r.workload.group == "kernel":
            name = name.removeprefix("kernel/").removesuffix(f"/{mode}")
        line = found.setdefault(name, _Line(name))
        line.points += [(peer, mode, s) for peer, s in _spreads(r, compared)]
    return [line for line in found.values() if line.points]


def _spreads(result: Result, compared: bool) -> list[tuple[str, Spread]]:
    if not compared:
        mine = result.measurements["cnnfast"]
        return [("cnnfast", mine.spread)] if mine.seconds and not mine.error else []
    names = [n for n in result.measurements if n != "cnnfast"]
    if result.workload.group == "kernel":
        names = [n for n in names if n == result.fastest_peer()]
    return [(n, found) for n in names if (found := result.ratio(n)) is not None]


def _draw(axes: Any, lines: Sequence[_Line], height: int, compared: bool) -> None:
    axes.set_xscale("log")
    for y, line in enumerate(lines):
        if y % 2:
            axes.axhspan(y - 0.5, y + 0.5, color="#F2F2F2", linewidth=0, zorder=0)
        for peer, mode, s in line.points:
            axes.plot([s.low, s.high], [y, y], color=_GREY, linewidth=1.5, zorder=2)
            axes.plot([s.median], [y], _MARKERS[mode], color=COLOURS[peer], markersize=5, zorder=3)
        lowest = min((s for *_, s in line.points), key=lambda s: s.median)
        text = f"{lowest.median:.2f}" if compared else duration(lowest.median)
        bad = compared and lowest.median < 1
        axes.annotate(
            text, (1.0, y), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=7, weight="bold" if bad else "normal",
        )  # fmt: skip
    axes.set_yticks(range(len(lines)), [line.name for line in lines], fontsize=7)
    axes.set_ylim(height - 0.5, -0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", which="both", labelsize=8)
    axes.grid(axis="x", which="major", color="#DDDDDD", linewidth=0.6, zorder=1)
    if compared:
        axes.axvline(1, color="black", linewidth=1.2, zorder=2)


def _limit(axes: Any, shown: Sequence[Spread], compared: bool) -> None:
    """Limits with room around all points, and around 1; labels at 1, 2, 5 and their decades: others would touch."""
    axes.set_xlim(
        min([1.0] * compared + [s.low for s in shown]) / 1.2, max([1.0] * compared + [s.high for s in shown]) * 1.2
    )
    for name in ("set_major_formatter", "set_minor_formatter"):
        getattr(axes.xaxis, name)(lambda value, _: _tick(value, compared))


def _tick(value: float, compared: bool) -> str:
    if f"{value:e}"[0] not in "125":
        return ""
    return f"{value:g}" if compared else duration(value)


def _legend(figure: Any, lines: Sequence[_Line], compared: bool) -> None:
    """Peers by colour, then passes by shape; none for what is there alone."""
    from matplotlib.lines import Line2D

    points = [p for line in lines for p in line.points]
    peers = [n for n in COLOURS if compared and any(n == peer for peer, *_ in points)]
    modes = [m for m in ("forward", "dx", "dw", "both") if any(m == mode for _, mode, _ in points)]
    handles = [Line2D([], [], linestyle="", marker="o", color=COLOURS[n], label=PEERS[n].title) for n in peers]
    handles += [Line2D([], [], linestyle="", marker=_MARKERS[m], color=_GREY, label=m) for m in modes]
    columns = len(handles) if len(lines) > _PER_COLUMN else 5
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, frameon=False, fontsize=8)
