"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast.plots._style import BLUE, GREY, ORANGE, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# quantities of which less is better; of all others more is
_DOWN = ("loss", "error", "entropy", "false_", "mse", "mae", "rmse", "bce", "divergence")


def curves(history: Any, metrics: Sequence[str] | None = None, ax: Axes | Sequence[Axes] | None = None) -> Figure:
    """Draw the loss and the metrics of a training by epoch, training against validation.

    The best epoch, by the validation value or else by the training value, is marked and named in each panel.

    Args:
        history: what `fit` returned, or a mapping from names to one number per epoch (``val_...`` too).
        metrics: which to draw, for example ``["loss", "accuracy"]``; default all but the learning rate.
        ax: one axes per metric; default a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: no epochs, unknown names, numbers of different lengths, wrong number of axes.

    Example:
        >>> from cnnfast import plots
        >>> figure = plots.curves({"loss": [0.9, 0.4, 0.3], "val_loss": [0.8, 0.5, 0.6]})
        >>> [panel.get_ylabel() for panel in figure.axes]
        ['loss']
    """
    values, epochs = _numbers(history)
    names = _names(values, metrics)
    panels = _panels(ax, len(names))
    for panel, name in zip(panels, names, strict=True):
        _draw(panel, name, values[name], values.get(f"val_{name}"), epochs)
    return panels[0].figure  # type: ignore[return-value]


def _numbers(history: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The series of a history and the epochs' numbers, counted from 1."""
    series = getattr(history, "history", history)
    if not isinstance(series, Mapping):
        raise TypeError(f"plots.curves: expected a History or a mapping, came {type(history).__name__}")
    values = {name: np.asarray(numbers, float) for name, numbers in series.items() if np.ndim(numbers) == 1}
    lengths = {len(numbers) for numbers in values.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"plots.curves: expected series of one length of at least 1, came {sorted(lengths)}")
    length = lengths.pop()
    epochs = getattr(history, "epoch", None)
    if epochs is None or len(epochs) != length:
        epochs = range(length)
    return values, np.asarray(epochs) + 1


def _names(values: Mapping[str, np.ndarray], wanted: Sequence[str] | None) -> list[str]:
    known = [name for name in values if not name.startswith("val_")]
    if wanted is None:
        wanted = [name for name in known if name not in ("lr", "learning_rate")] or known
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise ValueError(f"plots.curves: no series {unknown or 'to draw'}; there are {known}")
    return list(wanted)


def _panels(ax: Any, count: int) -> list[Axes]:
    if ax is None:
        columns = min(count, 2)
        rows = -(-count // columns)
        grid = new_figure(4.8 * columns, 3.3 * rows).subplots(rows, columns, squeeze=False).ravel()
        for spare in grid[count:]:
            spare.remove()
        return list(grid[:count])
    panels = list(np.ravel(ax))
    if len(panels) != count:
        raise ValueError(f"plots.curves: {count} metrics need as many axes, came {len(panels)}")
    return panels


def _draw(panel: Axes, name: str, training: np.ndarray, validation: np.ndarray | None, epochs: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    style: dict[str, Any] = {"linewidth": 1.8}
    if len(epochs) <= 30:
        style |= {"marker": "o", "markersize": 3.5 if len(epochs) > 1 else 7}
    panel.plot(epochs, training, color=BLUE, label="training", **style)
    if validation is not None:
        panel.plot(epochs, validation, color=ORANGE, label="validation", **style)
    _mark_best(panel, name, training if validation is None else validation, epochs)
    panel.set_xlabel("epoch")
    panel.set_ylabel(plain(name.replace("_", " ")))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if len(epochs) == 1:
        panel.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    panel.margins(y=0.12)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize="small")


def _mark_best(panel: Axes, name: str, values: np.ndarray, epochs: np.ndarray) -> None:
    """A ring around the best epoch; the first of equals, and no number that is not finite."""
    finite = np.isfinite(values)
    if len(epochs) < 2 or not finite.any():
        return
    down = any(part in name.lower() for part in _DOWN)
    best = int(np.argmin(np.where(finite, values if down else -values, np.inf)))
    panel.axvline(epochs[best], color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    panel.plot(
        epochs[best],
        values[best],
        linestyle="none",
        marker="o",
        markersize=10,
        markerfacecolor="none",
        markeredgecolor="black",
        label=f"best: {values[best]:.4g} in epoch {epochs[best]}",
    )
