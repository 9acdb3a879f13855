"""How cnnfast does against the fastest peer of each row: the mean, the lowest row, and what misses its goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnfast.bench.runner import Result
from cnnfast.bench.statistics import geometric_mean

GROUP_TITLES = {
    "train": "training", "infer": "inference", "augment": "augmentation", "explain": "explanations",
    "kernel": "kernels",
}  # fmt: skip
#: What the geometric mean over a group's rows should be.
MEAN_GOALS = {"train": 2.5, "infer": 1.6, "augment": 2.0, "explain": 2.8, "kernel": 1.5}


@dataclass(frozen=True)
class Summary:
    """One group of rows.

    Attributes:
        group: "train", "infer", "augment", "explain" or "kernel".
        rows: how many could be compared.
        mean: the geometric mean of their ratios: how many times as long as cnnfast the row's fastest peer takes.
        goal: of the mean.
        lowest: name of the row with the smallest ratio, and lowest_ratio that ratio.
        misses: rows below their goals, from the farthest: (name, ratio, goal).
        failures: rows in which cnnfast or a peer failed or disagreed.
    """

    group: str
    rows: int
    mean: float
    goal: float
    lowest: str
    lowest_ratio: float
    misses: list[tuple[str, float, float]]
    failures: list[str]


def summaries(results: Sequence[Result]) -> list[Summary]:
    """One Summary for each group that has rows with a peer to compare with."""
    found = []
    for group in GROUP_TITLES:
        mine = [r for r in results if r.workload.group == group]
        rows = [(r.workload.name, s.median, r.workload.goal) for r in mine if (s := r.fastest_ratio()) is not None]
        if not rows:
            continue
        mean = geometric_mean(ratio for _, ratio, _ in rows)
        lowest, lowest_ratio, _ = min(rows, key=lambda row: row[1])
        misses = sorted((row for row in rows if row[1] < row[2]), key=lambda row: row[1] / row[2])
        failures = [r.workload.name for r in mine if any(m.error or m.disagreement for m in r.measurements.values())]
        found.append(Summary(group, len(rows), mean, MEAN_GOALS[group], lowest, lowest_ratio, misses, failures))
    return found


def summary_text(results: Sequence[Result]) -> str:
    """The summaries as lines to read."""
    lines = []
    for s in summaries(results):
        rows = "1 row" if s.rows == 1 else f"{s.rows} rows"
        lines.append(
            f"{GROUP_TITLES[s.group]}: {s.mean:.2f} times as fast as the fastest peer (geometric mean of {rows}; "
            f"goal {s.goal:g}); lowest: {s.lowest_ratio:.2f}, {s.lowest}"
        )
        lines += [f"  below its goal of {goal:g}: {ratio:.2f}, {name}" for name, ratio, goal in s.misses]
        lines += [f"  failed or disagreed: {name}" for name in s.failures]
    return "\n".join(lines)
