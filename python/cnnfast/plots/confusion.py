"""The confusion matrix as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast import metrics
from cnnfast.metrics.confusion import check_normalize, normalized
from cnnfast.plots._style import GREY, class_labels, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_SIDE = 40.0  # inches of the matrix; the pixels of a figure are limited
_SMALLEST_TEXT = 3.5  # points
_SHARES = {
    "true": "share of the true class",
    "pred": "share of the predicted class",
    "all": "share of all samples",
}


def confusion_matrix(
    data: ArrayLike | tuple[ArrayLike, ArrayLike],
    class_names: Sequence[str] | None = None,
    normalize: str | None = None,
    ax: Axes | None = None,
    cmap: str = "Blues",
    title: str | None = None,
) -> Figure:
    """Draw which classes were taken for which: predicted on x, true on y, darker is more.

    Args:
        data: a square matrix, true classes in rows, as `cnnfast.metrics.confusion_matrix` gives it, or
            ``(y_true, y_pred)`` in any form that function takes.
        class_names: names of the classes; default their numbers.
        normalize: None prints counts; "true" the share of each true class, "pred" of each predicted class,
            "all" of all samples, in percent.
        ax: axes to draw on; default a new figure whose size fits the number of classes.
        cmap: a matplotlib colour map that runs from light to dark.
        title: heading; default the accuracy and the number of samples.

    Returns:
        The figure.

    Raises:
        ValueError: no square matrix of finite numbers from 0, wrong number of names, unknown `normalize`.

    Example:
        >>> from cnnfast import plots
        >>> figure = plots.confusion_matrix([[48, 2], [5, 45]], class_names=["cat", "dog"])
        >>> figure.savefig("confusion.png")
    """
    op = "plots.confusion_matrix"
    check_normalize(op, normalize)
    counts = _matrix(op, data, class_names)
    labels = class_labels(op, class_names, len(counts))
    shown = normalized(counts, normalize)
    if ax is None:
        side = _cell_inches(len(counts)) * len(counts)
        margin = 0.075 * max(map(len, labels))
        ax = new_figure(max(3.2, side + margin + 1.9), max(2.8, side + margin + 1.3)).add_subplot()
    image = ax.imshow(shown, cmap=cmap, vmin=0, vmax=1 if normalize else max(shown.max(), 1))
    _print_cells(ax, image, shown, percent=normalize is not None)
    _label_axes(ax, labels)
    ax.set_title(_heading(counts) if title is None else title, fontsize="medium", pad=8)
    colour_bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    colour_bar.set_label(_SHARES[normalize] if normalize else "samples")
    if normalize:
        colour_bar.ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    colour_bar.outline.set_visible(False)
    return ax.figure  # type: ignore[return-value]


def _matrix(op: str, data: Any, class_names: Sequence[str] | None) -> np.ndarray:
    if isinstance(data, tuple) and len(data) == 2:
        return metrics.confusion_matrix(*data, num_classes=None if class_names is None else len(class_names))
    matrix = np.asarray(data)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"{op}: expected (y_true, y_pred) or a square matrix, came {matrix.shape}")
    if matrix.dtype.kind not in "iuf" or not (np.isfinite(matrix).all() and (matrix >= 0).all()):
        raise ValueError(f"{op}: the matrix must hold finite numbers from 0, came {matrix.dtype} {matrix.shape}")
    return matrix


def _cell_inches(num_classes: int) -> float:
    return float(min(np.clip(6.5 / num_classes, 0.36, 0.8), _MAX_SIDE / num_classes))


def _cell_points(ax: Axes, num_classes: int) -> float:
    """Side of a cell, in points."""
    extent = ax.get_window_extent()
    return float(min(extent.width, extent.height) / ax.figure.dpi * 72 / num_classes)


def _heading(counts: np.ndarray) -> str:
    total = counts.sum()
    accuracy = np.trace(counts) / total if total else 0.0
    number = f"{int(total):,} samples" if total == int(total) and total > 1 else ""
    return ", ".join(filter(None, [f"accuracy {accuracy:.1%}", number]))


def _print_cells(ax: Axes, image: Any, shown: np.ndarray, percent: bool) -> None:
    """Numbers in black or white, whichever stands out more; zeros faint, so that errors catch the eye.

    Where numbers would be too small to read, the colours speak alone.
    """
    texts = [[_cell_text(value, percent) for value in row] for row in shown]
    longest = max(len(text) for row in texts for text in row)
    cell = _cell_points(ax, len(shown))
    size = min(0.42 * cell, 1.25 * cell / longest, 12)
    if size < _SMALLEST_TEXT:
        return
    for (row, column), value in np.ndenumerate(shown):
        colour = GREY if value == 0 else _readable_on(image.cmap(image.norm(value)))
        text = ax.text(column, row, texts[row][column], ha="center", va="center", color=colour, fontsize=size)
        text.set_in_layout(False)  # it lies within the axes; measuring thousands of texts takes seconds


def _cell_text(value: float, percent: bool) -> str:
    if percent:
        return "0" if value == 0 else f"{100 * value:.0f}" if value >= 0.0095 else "<1"
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"


def _readable_on(colour: tuple[float, ...]) -> str:
    """Black or white by the relative luminance of WCAG 2.1; above 0.179 black has the better contrast."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return "black" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 else "white"


def _label_axes(ax: Axes, labels: list[str]) -> None:
    size = float(np.clip(240 / len(labels), 8, 10))
    step = int(np.ceil(size / _cell_points(ax, len(labels))))  # every class has a label while there is room
    ticks = range(0, len(labels), step)
    texts = [plain(label) for label in labels[::step]]
    ax.set_xticks(ticks, texts)
    ax.set_yticks(ticks, texts)
    ax.tick_params(length=0, labelsize=size)
    if max(map(len, labels)) > 3:
        for label in ax.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    ax.spines[:].set_visible(False)
    if step == 1:
        ax.set_xticks(np.arange(0.5, len(labels) - 1), minor=True)
        ax.set_yticks(np.arange(0.5, len(labels) - 1), minor=True)
        ax.grid(which="minor", color="white", linewidth=1)
    ax.tick_params(which="minor", length=0)
