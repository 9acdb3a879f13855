"""What the channels of layers see in an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.checks import numbers
from cnnfast.plots._style import new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_WIDTH, _LARGEST_CELL, _HEADING, _HIGHEST = 9.0, 1.1, 0.3, 300.0  # inches


def activation_mosaic(
    activations: Mapping[str, ArrayLike] | ArrayLike,
    sample: int = 0,
    channels: int | None = 64,
    columns: int = 16,
    cmap: str = "viridis",
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw the maps of layers for one image, a mosaic of the channels for each layer.

    Each channel is brought to the same mean and contrast, so that all can be seen; one that is 0 everywhere stays dark
    and is counted in the title. Brightness thus says where in a channel there is much, not in which channel.

    Args:
        activations: from the names of layers to their maps (N, P, Q, K), as `explain.activation_maps` gives them; or
            the maps of one layer.
        sample: which of the N images.
        channels: how many of each layer are drawn at most, the first ones; None draws all.
        columns: channels in a row.
        cmap: a matplotlib colour map.
        figure: figure or subfigure to draw on; default a new one.

    Returns:
        The figure.

    Raises:
        ValueError: no maps, an image that is not there, numbers below 1.

    Source: Chollet, "Deep Learning with Python" (2nd edition, 2021), section 9.4.1: what is less than two standard
    deviations from the mean, shown from dark to bright.

    Example:
        >>> from cnnfast import plots
        >>> figure = plots.activation_mosaic({"conv": np.random.default_rng(1).normal(size=(1, 14, 14, 4))})
        >>> figure.axes[0].get_title("left")
        'conv: 4 channels of 14 x 14'
    """
    op = "plots.activation_mosaic"
    given = activations if isinstance(activations, Mapping) else {"": activations}
    if not given:
        raise ValueError(f"{op}: there are no activations to draw")
    for what, value in (("channels", channels), ("columns", columns)):
        if value is not None and value < 1:
            raise ValueError(f"{op}: {what} must be at least 1, came {value}")
    mosaics, titles = [], []
    for name, values in given.items():
        maps = _maps(op, name, values, sample)
        drawn = maps[..., :channels]
        mosaics.append(_mosaic(_deprocessed(drawn), columns))
        titles.append(_title(name, maps, drawn.shape[2]))
    sizes = [_inches(mosaic, drawn) for mosaic, drawn in mosaics]
    width = max(4.0, *(w for w, _ in sizes)) + 0.2
    height = sum(h + _HEADING for _, h in sizes) + 0.1
    scale = min(1.0, _HIGHEST / height)
    sheet: Any = figure
    if sheet is None:
        sheet = new_figure(scale * width, scale * height)
        sheet.set_layout_engine("none")
    top = 0.0
    for (mosaic, _), (w, h), title in zip(mosaics, sizes, titles, strict=True):
        # by hand: a layout engine would make all as small as the smallest
        top += h + _HEADING
        ax = sheet.add_axes((0.1 / width, 1 - top / height, w / width, h / height), anchor="NW")
        ax.imshow(mosaic, cmap=cmap, vmin=0, vmax=255)
        ax.set_title(plain(title), fontsize=9, pad=3, loc="left")
        ax.set_axis_off()
    return sheet


def _maps(op: str, name: str, values: ArrayLike, sample: int) -> np.ndarray:
    """(P, Q, K) of one image."""
    maps = numbers(op, f"the activations of {name!r}", values)
    if maps.ndim != 4:
        raise ValueError(f"{op}: expected maps (N, P, Q, K) of {name!r}, came {maps.shape}")
    if not -len(maps) <= sample < len(maps):
        raise ValueError(f"{op}: there is no sample {sample}, {name!r} has maps of {len(maps)}")
    if not np.isfinite(maps[sample]).all():
        raise ValueError(f"{op}: the activations of {name!r} are not finite")
    return maps[sample].astype(np.float64)


def _deprocessed(maps: np.ndarray) -> np.ndarray:
    """Maps (P, Q, K) from 0 to 255: the mean of each channel at 128, its standard deviation 64; 0 if it is all 0."""
    mean, deviation = maps.mean((0, 1)), maps.std((0, 1))
    # of a constant channel, rounding would become the picture
    spread = np.where(deviation > 1e-7 * np.abs(mean), deviation, np.inf)
    return np.where(maps.any((0, 1)), np.clip((maps - mean) / spread * 64 + 128, 0, 255), 0)


def _mosaic(maps: np.ndarray, columns: int) -> tuple[np.ndarray, int]:
    """Channels side by side, one empty pixel or a twentieth of a channel between them; and how many in a row."""
    p, q, count = maps.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    gap = max(1, round(min(p, q) / 20))
    sheet = np.full((rows * (p + gap) - gap, columns * (q + gap) - gap), np.nan)
    for k in range(count):
        row, column = divmod(k, columns)
        sheet[row * (p + gap) :, column * (q + gap) :][:p, :q] = maps[..., k]
    return sheet, columns


def _inches(mosaic: np.ndarray, drawn: int) -> tuple[float, float]:
    width = min(_WIDTH, _LARGEST_CELL * drawn)
    return width, width * mosaic.shape[0] / mosaic.shape[1]


def _title(name: str, maps: np.ndarray, drawn: int) -> str:
    p, q, count = maps.shape
    silent = count - int(maps.any((0, 1)).sum())
    parts = [
        f"{count} channel{'s' * (count != 1)} of {p} x {q}",
        f"the first {drawn} drawn" if drawn < count else "",
        f"{silent} all 0" if silent else "",
    ]
    return (f"{name}: " if name else "") + ", ".join(filter(None, parts))
