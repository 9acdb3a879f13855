"""A figure of the measured ratios, or without peers of the times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnfast.bench.peers import PEERS
from cnnfast.bench.report import duration
from cnnfast.bench.runner import Result
from cnnfast.bench.statistics import Spread

# Okabe and Ito's colours, which all kinds of colour vision tell apart; a peer has the same one in every plot.
_COLOURS = ("#000000", "#0072B2", "#56B4E9", "#E69F00", "#F0E442", "#009E73", "#CC79A7")
COLOURS = dict(zip(PEERS, _COLOURS, strict=True))
_BAR = 0.22  # inches


def save_plot(results: Sequence[Result], path: Path, caption: str = "") -> None:
    """Writes a figure (PNG, SVG or PDF, by the file's ending).

    Args:
        results: one group of bars for each workload that has anything to show; without peers, one point.
        path: file to write.
        caption: a line below: the machine, the threads.

    Raises:
        ValueError: nothing to show.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    compared = any(r.ratio(p) is not None for r in results for p in r.measurements if p != "cnnfast")
    groups = [(r.workload.name, bars) for r in results if (bars := _bars(r, compared))]
    if not groups:
        raise ValueError("bench: nothing to plot: no workload has a figure that could be compared")
    lines = sum(len(bars) + 1 for _, bars in groups)
    figure = Figure(figsize=(9, lines * _BAR + 1.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _draw(axes, groups, compared)
    figure.supxlabel(caption, fontsize=8, color="#444444")
    figure.savefig(path, dpi=150)


def _bars(result: Result, compared: bool) -> list[tuple[str, Spread]]:
    if not compared:
        m = result.measurements["cnnfast"]
        return [("cnnfast", m.spread)] if m.seconds and not m.error else []
    names = [n for n in result.measurements if n != "cnnfast"]
    return [(n, found) for n in names if (found := result.ratio(n)) is not None]


def _draw(axes: Any, groups: Sequence[tuple[str, list[tuple[str, Spread]]]], compared: bool) -> None:
    axes.set_xscale("log")
    y, ticks, seen = 0.0, [], set()
    for name, bars in groups:
        ticks.append((y + (len(bars) - 1) / 2, name))
        for peer, s in bars:
            label = None if peer in seen else PEERS[peer].title
            (_draw_ratio if compared else _draw_time)(axes, y, s, COLOURS[peer], label)
            seen.add(peer)
            y += 1
        y += 1
    axes.set_yticks([t for t, _ in ticks], [n for _, n in ticks])
    axes.set_ylim(y - 0.5, -1)
    axes.spines[["top", "right"]].set_visible(False)
    shown = [s for _, bars in groups for _, s in bars]
    axes.set_xlim(min([1.0] * compared + [s.low for s in shown]) / 1.2, max(s.high for s in shown) * 1.35)
    for axis in ("set_major_formatter", "set_minor_formatter"):
        getattr(axes.xaxis, axis)(_tick_ratio if compared else _tick_time)
    axes.tick_params(axis="x", which="both", labelsize=8)
    if compared:
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xlabel("time, as a multiple of cnnfast's (right of 1: cnnfast is faster; grey: quartiles)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=8)
    else:
        axes.set_xlabel("time per step (grey: quartiles)")


def _draw_ratio(axes: Any, y: float, s: Spread, colour: str, label: str | None) -> None:
    """A bar from 1, equal speed: on a logarithmic axis twice as fast is as long as half as fast."""
    axes.barh(y, s.median - 1, left=1, height=0.85, color=colour, edgecolor="black", linewidth=0.4, label=label)
    axes.plot([s.low, s.high], [y, y], color="#777777", linewidth=1.4)
    _annotate(axes, f"{s.median:.2f}x", max(s.high, s.median, 1.0), y)


def _draw_time(axes: Any, y: float, s: Spread, colour: str, label: str | None) -> None:
    axes.plot([s.low, s.high], [y, y], color="#777777", linewidth=3)
    axes.plot([s.median], [y], "o", color=colour, markersize=5, label=label)
    _annotate(axes, duration(s.median), s.high, y)


def _annotate(axes: Any, text: str, x: float, y: float) -> None:
    axes.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=7)


def _tick_ratio(value: float, _: int) -> str:
    """Labels at 1, 2, 5 and their decades: all others would touch."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""


def _tick_time(value: float, _: int) -> str:
    return duration(value) if f"{value:e}"[0] in "125" else ""
