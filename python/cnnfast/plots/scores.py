"""How good a classifier is for each class, and whether its confidence can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast import metrics
from cnnfast.plots._style import BLUE, GREEN, GREY, ORANGE, RED, class_labels, new_figure, plain
from cnnfast.plots.confusion import _matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UPRIGHT = 6  # classes, above which the bars lie
_PRINTED = 15  # classes, up to which the numbers are printed
_HIGHEST = 300.0  # inches
_KINDS = {"precision": BLUE, "recall": ORANGE, "f1": GREEN}
_SORTS = ("name", *_KINDS, "support")


def per_class(
    data: ArrayLike | tuple[ArrayLike, ArrayLike],
    class_names: Sequence[str] | None = None,
    sort: str | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw precision, recall and F1 of each class as bars; with the number of its samples after its name.

    Precision is the share of right ones among the predictions of a class, recall the share of its samples that are
    found, F1 their harmonic mean. What is not defined, as the precision of a class that is never predicted, has no bar
    but a dash.

    Args:
        data: a square matrix, true classes in rows, or ``(y_true, y_pred)``, as for `confusion_matrix`.
        class_names: names of the classes; default their numbers.
        sort: "name"; or "precision", "recall", "f1" or "support", the lowest first, which is where to look. Default the
            order of the classes.
        ax: axes to draw on; default a new figure. The bars stand for few classes and lie for many.
        title: heading; default the mean F1 over the classes.

    Returns:
        The figure.

    Raises:
        ValueError: as `confusion_matrix`; an unknown `sort`.

    Example:
        >>> from cnnfast import plots
        >>> figure = plots.per_class([[48, 2], [5, 45]], class_names=["cat", "dog"], sort="recall")
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['dog (50)', 'cat (50)']
    """
    op = "plots.per_class"
    if sort is not None and sort not in _SORTS:
        raise ValueError(f"{op}: sort must be None or one of {', '.join(_SORTS)}, came {sort!r}")
    matrix = _matrix(op, data, class_names)
    names = class_labels(op, class_names, len(matrix))
    scores = metrics.class_scores(matrix)
    order = np.arange(len(names))
    if sort == "name":
        order = np.array(sorted(order, key=names.__getitem__))
    elif sort is not None:
        order = np.argsort(getattr(scores, sort), kind="stable")
    labels = [f"{names[i]} ({scores.support[i]:g})" for i in order]
    lying = len(names) > _UPRIGHT
    if ax is None:
        long = 0.45 * len(names) + 1 if lying else max(4.5, 1.2 * len(names) + 1)
        across = 5 + 0.075 * max(map(len, labels)) if lying else 3.6
        ax = new_figure(*((across, min(long, _HIGHEST)) if lying else (long, across))).add_subplot()
    for i, (kind, colour) in enumerate(_KINDS.items()):
        values = getattr(scores, kind)[order]
        places = np.arange(len(names)) + (i - 1) * 0.27
        draw = ax.barh if lying else ax.bar
        draw(places, np.nan_to_num(values), 0.25, color=colour, label={"f1": "F1"}.get(kind, kind))
        _print_values(ax, places, values, lying, every=len(names) <= _PRINTED)
    _label_bars(ax, labels, lying)
    ax.legend(frameon=False, fontsize="small", ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    mean = float(np.nanmean(scores.f1)) if np.isfinite(scores.f1).any() else float("nan")
    ax.set_title(f"mean F1 {mean:.3f}" if title is None else title, fontsize="medium", pad=26)
    return ax.figure  # type: ignore[return-value]


def _print_values(ax: Axes, places: np.ndarray, values: np.ndarray, lying: bool, every: bool) -> None:
    """The numbers at the ends of the bars, if there is room; always the dashes of what is not defined."""
    for place, value in zip(places, values, strict=True):
        if not np.isfinite(value):
            text, end = "-", 0.0
        elif every:
            text, end = f"{value:.2f}", float(value)
        else:
            continue
        x, y = (end + 0.01, place) if lying else (place, end + 0.01)
        ax.text(x, y, text, fontsize=6.5, ha="left" if lying else "center", va="center" if lying else "bottom")


def _label_bars(ax: Axes, labels: Sequence[str], lying: bool) -> None:
    ticks = range(len(labels))
    axis, value_axis = (ax.yaxis, ax.xaxis) if lying else (ax.xaxis, ax.yaxis)
    axis.set_ticks(ticks, [plain(label) for label in labels], fontsize=9)
    axis.set_tick_params(length=0)
    value_axis.set_ticks(np.linspace(0, 1, 6))
    value_axis.grid(alpha=0.25)
    ax.set_axisbelow(True)
    (ax.set_xlim if lying else ax.set_ylim)(0, 1.08)
    edges = -0.6, len(labels) - 0.4
    if lying:
        ax.set_ylim(edges[1], edges[0])  # the first on top
    else:
        ax.set_xlim(*edges)
        if max(map(len, labels)) > 12:
            for label in ax.get_xticklabels():
                label.set(rotation=30, ha="right", rotation_mode="anchor")
    ax.spines[["top", "right"]].set_visible(False)


def reliability_diagram(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    bins: int = 15,
    ax: Sequence[Axes] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw how often a model is right against how sure it is, and beneath how often it is how sure.

    On the diagonal it can be believed; bars below it are too sure of themselves, and the gap is hatched.

    Args:
        y_true, y_pred, bins: classes and probabilities, as for `metrics.calibration_curve`.
        ax: two axes, for the diagram and for the histogram; default a new figure.
        title: heading; default the expected and the maximum calibration error.

    Returns:
        The figure.

    Raises:
        ValueError: as `metrics.calibration_curve`; another number of axes.

    Source: Guo et al., "On calibration of modern neural networks" (2017), figure 1.

    Example:
        >>> from cnnfast import plots
        >>> figure = plots.reliability_diagram([1, 1, 0, 1], [0.9, 0.8, 0.9, 0.8], bins=5)
        >>> figure.axes[0].get_title()
        'ECE 30.0 %, largest gap 40.0 %'
    """
    curve = metrics.calibration_curve(y_true, y_pred, bins)
    single = np.ndim(y_pred) == 1 or np.shape(y_pred)[1] == 1
    top, bottom = _two_axes(ax)
    some = curve.counts > 0
    middles, width = (curve.edges[:-1] + curve.edges[1:])[some] / 2, 1 / bins
    accuracy, confidence, count = curve.accuracy[some], curve.confidence[some], curve.counts[some]
    style: dict[str, Any] = {"width": width, "edgecolor": "white", "linewidth": 0.6}
    top.bar(middles, accuracy, color=BLUE, label="share of ones" if single else "accuracy", **style)
    top.bar(
        middles,
        confidence - accuracy,
        bottom=accuracy,
        label="gap to the confidence",
        **style | {"color": "none", "edgecolor": RED, "hatch": "////"},
    )
    top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    top.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of ones" if single else "accuracy")
    errors = f"ECE {100 * curve.ece:.1f} %, largest gap {100 * curve.mce:.1f} %"
    top.set_title(errors if title is None else title, fontsize="medium")
    top.legend(framealpha=0.8, edgecolor="none", fontsize="small", loc="upper left")
    total = int(count.sum())
    bottom.bar(middles, count / total, color=GREY, **style)
    means = float(np.sum(count * confidence) / total), float(np.sum(count * accuracy) / total)
    bottom.axvline(means[0], color="black", linestyle=":", label=f"mean confidence {means[0]:.1%}")
    bottom.axvline(means[1], color=BLUE, label=f"{'share of ones' if single else 'accuracy'} {means[1]:.1%}")
    bottom.set(xlim=(0, 1), xlabel="probability of class 1" if single else "confidence", ylabel="share of samples")
    bottom.legend(framealpha=0.8, edgecolor="none", fontsize="small", loc="upper left")
    for panel in (top, bottom):
        panel.spines[["top", "right"]].set_visible(False)
    return top.figure  # type: ignore[return-value]


def _two_axes(ax: Any) -> list[Axes]:
    if ax is None:
        return list(new_figure(4.6, 5.6).subplots(2, 1, height_ratios=(2.4, 1)))
    panels = list(np.ravel(ax))
    if len(panels) != 2:
        raise ValueError(f"plots.reliability_diagram: needs two axes, came {len(panels)}")
    return panels
