"""What a classifier's scores are worth at every threshold, one class against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from cnnfast import metrics
from cnnfast.checks import numbers
from cnnfast.metrics.confusion import class_numbers
from cnnfast.plots._style import BLUE, GREEN, GREY, ORANGE, RED, class_labels, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours that can be seen as a line on white
_COLOURS = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9", "black")
_WORST = 3  # classes that stand out where there are too many to tell apart


class _Line(NamedTuple):
    name: str
    x: np.ndarray
    y: np.ndarray
    area: float


def roc_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    class_names: Sequence[str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw true against false positives at every threshold, with the area under each curve.

    Of several classes each is told from all others. Of more than seven, the three with the smallest areas stand out.

    Args:
        y_true: classes (N,) or (N, 1), or one-hot (N, C).
        y_score: scores or probabilities (N, C); or (N,) or (N, 1) of class 1. Of two columns the second counts.
        class_names: names of the classes; default their numbers.
        ax: axes to draw on; default a new figure.
        title: heading; default the area, of several classes the mean.

    Returns:
        The figure.

    Raises:
        ValueError: arrays that do not fit; no class with samples both in and outside of it.

    Example:
        >>> from cnnfast import plots
        >>> figure = plots.roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        >>> figure.axes[0].get_title()
        'AUC 0.750'
    """
    op = "plots.roc_curve"
    lines = []
    for name, true, score in _one_against_the_rest(op, y_true, y_score, class_names):
        curve = metrics.roc_curve(true, score)
        lines.append(_Line(name, curve.fpr, curve.tpr, curve.auc))
    ax = _square_axes(ax)
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    _draw(ax, lines, "AUC", "default", title)
    ax.set(xlabel="false positives", ylabel="true positives")
    return ax.figure  # type: ignore[return-value]


def precision_recall_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    class_names: Sequence[str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw precision against recall at every threshold, with the average precision (AP).

    Of several classes each is told from all others. Of more than seven, the three with the least AP stand out. For a
    single curve the dashed line is the precision of guessing.

    Args:
        y_true, y_score, class_names, ax: as for `roc_curve`.
        title: heading; default the AP, of several classes the mean.

    Returns:
        The figure.

    Raises:
        ValueError: as `roc_curve`.

    Example:
        >>> from cnnfast import plots
        >>> figure = plots.precision_recall_curve([0, 1, 1, 0], [0.1, 0.9, 0.3, 0.5])
        >>> figure.axes[0].get_title()
        'AP 0.833'
    """
    op = "plots.precision_recall_curve"
    tasks = _one_against_the_rest(op, y_true, y_score, class_names)
    lines = []
    for name, true, score in tasks:
        curve = metrics.precision_recall_curve(true, score)
        first = curve.precision[:1]
        lines.append(
            _Line(name, np.append(0.0, curve.recall), np.append(first, curve.precision), curve.average_precision)
        )
    ax = _square_axes(ax)
    if len(tasks) == 1:
        ax.axhline(float(tasks[0][1].mean()), color=GREY, linestyle="--", linewidth=1)
    _draw(ax, lines, "AP", "steps-pre", title)
    ax.set(xlabel="recall", ylabel="precision")
    return ax.figure  # type: ignore[return-value]


def _one_against_the_rest(
    op: str, y_true: ArrayLike, y_score: ArrayLike, class_names: Sequence[str] | None
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """For each class that has samples in and outside of it: its name, whether a sample is in it, and the scores."""
    scores = numbers(op, "y_score", y_score)
    scores = scores[:, None] if scores.ndim == 1 else scores
    true = class_numbers(op, "y_true", y_true)
    if scores.ndim != 2 or len(scores) != len(true):
        raise ValueError(f"{op}: {len(true)} samples need y_score (N,) or (N, C), came {np.shape(y_score)}")
    count = max(scores.shape[1], 2)
    names = class_labels(op, class_names, count)
    if true.max() >= count:
        raise ValueError(f"{op}: y_true must be classes from 0 to {count - 1}, has {true.max()}")
    classes = [1] if count == 2 else range(count)
    tasks = [(names[k], true == k, scores[:, -1 if count == 2 else k]) for k in classes]
    left = [task for task in tasks if 0 < task[1].sum() < len(true)]
    if not left:
        raise ValueError(f"{op}: all {len(true)} samples are of class {names[true[0]]}; a curve needs others, too")
    return left


def _square_axes(ax: Axes | None) -> Axes:
    ax = ax or new_figure(4.6, 4.6).add_subplot()
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _draw(ax: Axes, lines: Sequence[_Line], measure: str, drawstyle: str, title: str | None) -> None:
    many = len(lines) > len(_COLOURS)
    shown = sorted(lines, key=lambda line: line.area)[:_WORST] if many else list(lines)
    if many:
        for line in lines:
            ax.plot(line.x, line.y, color=GREY, alpha=0.35, linewidth=0.7, drawstyle=drawstyle, label="_")
    for line, colour in zip(shown, _COLOURS, strict=False):
        label = f"{plain(line.name)}: {measure} {line.area:.3f}"
        ax.plot(line.x, line.y, color=colour, linewidth=1.8, drawstyle=drawstyle, label=label)
    if len(lines) > 1:
        corner = "lower right" if measure == "AUC" else "lower left"
        heading = "the worst" if many else None
        ax.legend(framealpha=0.8, edgecolor="none", fontsize="small", title=heading, loc=corner)
    if title is None:
        mean = float(np.mean([line.area for line in lines]))
        title = f"{measure} {mean:.3f}" if len(lines) == 1 else f"mean {measure} of {len(lines)} classes {mean:.3f}"
    ax.set_title(title, fontsize="medium")
