"""The measured ratios, or without peers the times, as horizontal bars."""

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
        results: one group of bars for each workload that has anything to show.
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
    y, ticks, labelled = 0.0, [], set()
    for name, bars in groups:
        ticks.append((y + (len(bars) - 1) / 2, name))
        for peer, s in bars:
            axes.barh(
                y, s.median, height=0.85, color=COLOURS[peer], edgecolor="black", linewidth=0.4,
                label=None if peer in labelled else PEERS[peer].title,
            )  # fmt: skip
            axes.plot([s.low, s.high], [y, y], color="#888888", linewidth=1.2)
            text = f"{s.median:.2f}x" if compared else duration(s.median)
            axes.annotate(text, (max(s.median, s.high), y), (4, 0), textcoords="offset points", va="center", fontsize=7)
            labelled.add(peer)
            y += 1
        y += 1
    axes.set_yticks([t for t, _ in ticks], [n for _, n in ticks])
    axes.set_ylim(y - 0.5, -1)
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    if compared:
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xlabel("time, as a multiple of cnnfast's (right of 1: cnnfast is faster; grey: quartiles)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=8)
    else:
        axes.set_xlabel("seconds per step (grey: quartiles)")
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
