"""Explanations over the images that they explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.checks import numbers
from cnnfast.explain.maps import upsampled
from cnnfast.plots._style import new_figure, plain
from cnnfast.plots.images import one_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_MAX_CELLS = 400
# Rec. 709
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def overlay(
    image: ArrayLike,
    heat: ArrayLike,
    alpha: float = 0.5,
    ax: Axes | None = None,
    cmap: str = "inferno",
    limits: tuple[float, float] | None = None,
    colour_bar: bool = True,
    title: str | None = None,
) -> Figure:
    """Draw a heat map over an image.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3); uint8 or floats, as for `image_grid`.
        heat: (H, W) as `explain.gradcam` gives it, or smaller; then it is upsampled bilinearly.
        alpha: how much of the map covers the image, 0 to 1.
        ax: axes to draw on; default a new figure.
        cmap: a matplotlib colour map; the default looks even to the eye, is as plain in shades of grey, and is dark
            where there is nothing.
        limits: the values of the first and the last colour; default 0 to 1 for maps that lie between, else from the
            least value or 0, whichever is less, to the largest.
        colour_bar: whether to draw one beside the image.
        title: heading.

    Returns:
        The figure.

    Raises:
        ValueError: no image, a map that is larger or not finite, `alpha` outside 0 to 1, limits that do not rise.

    Example:
        >>> from cnnfast import explain, plots
        >>> heat = explain.gradcam(convnet, images, target=1)
        >>> figure = plots.overlay(images[0], heat[0])
        >>> figure.savefig("gradcam.png")
    """
    op = "plots.overlay"
    pixels = one_image(op, image)
    values = _fitted(op, "heat", heat, pixels.shape[:2])
    if not 0 <= alpha <= 1:
        raise ValueError(f"{op}: alpha must lie in 0 to 1, came {alpha!r}")
    low, high = _limits(values) if limits is None else limits
    if not low < high:
        raise ValueError(f"{op}: limits must rise, came {limits!r}")
    if ax is None:
        ax = _new_axes(pixels.shape, colour_bar)
    drawn = _over(ax, pixels, values, alpha, cmap, (low, high), title)
    if colour_bar:
        _bar(ax.figure, drawn, [ax])
    return ax.figure  # type: ignore[return-value]


def attribution(
    image: ArrayLike | None,
    values: ArrayLike,
    percentile: float = 99.0,
    ax: Axes | None = None,
    cmap: str = "RdBu_r",
    limit: float | None = None,
    colour_bar: bool = True,
    title: str | None = None,
) -> Figure:
    """Draw what speaks for a class and against it: signed values, over a faint grey picture of the image.

    Channels are added up. The colours are symmetric around 0, which is white; a few extreme values do not make the rest
    pale, as the ends of the scale are those of a percentile.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3), uint8 or floats; or None to draw the values alone.
        values: (H, W, C) or (H, W), as `explain` gives attributions; or smaller than the image.
        percentile: of the absolute values, which becomes the end of the scale; 0 to 100.
        ax: axes to draw on; default a new figure.
        cmap: a matplotlib colour map with white in the middle.
        limit: the end of the scale itself, instead of a percentile.
        colour_bar: whether to draw one beside the image.
        title: heading.

    Returns:
        The figure.

    Raises:
        ValueError: no image, values that are larger than it or not finite, a percentile outside 0 to 100, a limit that
            is not above 0.

    Source of the percentile: Smilkov et al., "SmoothGrad: removing noise by adding noise" (2017), section 3.1.

    Example:
        >>> from cnnfast import plots
        >>> figure = plots.attribution(images[0], images[0] - 0.5)
        >>> bool(figure.axes[0].images[-1].norm.vmin == -figure.axes[0].images[-1].norm.vmax)
        True
    """
    op = "plots.attribution"
    added = _added(op, values)
    pixels = None if image is None else one_image(op, image)
    added = _fitted(op, "values", added, added.shape if pixels is None else pixels.shape[:2])
    if not 0 <= percentile <= 100:
        raise ValueError(f"{op}: percentile must lie in 0 to 100, came {percentile!r}")
    if limit is None:
        limit = _robust_limit(added, percentile)
    elif not limit > 0:
        raise ValueError(f"{op}: limit must be above 0, came {limit!r}")
    if ax is None:
        ax = _new_axes(added.shape, colour_bar)
    drawn = _signed(ax, pixels, added, limit, cmap, title)
    if colour_bar:
        _bar(ax.figure, drawn, [ax])
    return ax.figure  # type: ignore[return-value]


def explanations(
    images: ArrayLike,
    maps: Mapping[str, ArrayLike],
    titles: Sequence[str] | None = None,
    alpha: float = 0.5,
    cmap: str = "inferno",
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw what several methods say of several images: a row for each image, a column for each method.

    Each map has its own scale, from 0 to its largest value, as the values of different methods have nothing to do with
    each other. Channels are added up. Values of which some are negative are drawn like `attribution`, all others like
    `overlay`.

    Args:
        images: (N, H, W), (N, H, W, 1) or (N, H, W, 3), uint8 or floats.
        maps: from the names of methods to what they give of all images, (N, P, Q) or (N, H, W, C).
        titles: of the rows; default none.
        alpha, cmap: as for `overlay`.
        figure: figure or subfigure to draw on; default a new one.

    Returns:
        The figure.

    Raises:
        ValueError: no images or no maps, other numbers of them, more than 400 pictures.

    Example:
        >>> from cnnfast import explain, plots
        >>> heat = explain.gradcam(convnet, images, target=1)
        >>> figure = plots.explanations(images, {"Grad-CAM": heat, "the image itself": images}, titles=list("abcd"))
    """
    op = "plots.explanations"
    pictures = numbers(op, "images", images)
    if pictures.ndim not in (3, 4):
        raise ValueError(f"{op}: images must be (N, H, W), (N, H, W, 1) or (N, H, W, 3), came {pictures.shape}")
    if not isinstance(maps, Mapping) or not maps:
        raise ValueError(f"{op}: maps must be a mapping from names of methods to maps, came {maps!r}")
    count = len(pictures)
    columns = {name: _column(op, name, given, count) for name, given in maps.items()}
    if titles is not None and len(titles) != count:
        raise ValueError(f"{op}: {count} images need as many titles, came {len(titles)}")
    if count * (len(columns) + 1) > _MAX_CELLS:
        raise ValueError(
            f"{op}: {count} images by {len(columns)} methods and the image are more than {_MAX_CELLS} pictures"
        )
    cell = float(np.clip(11 / (len(columns) + 1), 1.1, 2.4))
    ratio = float(np.clip(pictures.shape[1] / pictures.shape[2], 0.2, 5))
    both = len({_is_signed(column) for column in columns.values()}) == 2
    sheet: Any = figure or new_figure(cell * (len(columns) + 1) + 0.8 * (1 + both), cell * ratio * count + 0.3)
    grid = sheet.subplots(count, len(columns) + 1, squeeze=False)
    bars: dict[bool, Any] = {}
    for n in range(count):
        pixels = one_image(op, pictures[n])
        _picture(grid[n, 0], pixels)
        if titles is not None:
            grid[n, 0].set_ylabel(plain(titles[n]), fontsize=8)
            grid[n, 0].axison = True
            grid[n, 0].spines[:].set_visible(False)
            grid[n, 0].set(xticks=[], yticks=[])
        for ax, (name, column) in zip(grid[n, 1:], columns.items(), strict=True):
            signed = _is_signed(column)
            values = _fitted(op, name, _added(op, column[n]), pixels.shape[:2])
            limit = _robust_limit(values, 99.0) if signed else float(values.max()) or 1.0
            values = values / limit
            if signed:
                bars[True] = _signed(ax, pixels, values, 1.0, "RdBu_r", None)
            else:
                bars[False] = _over(ax, pixels, values, alpha, cmap, (0.0, 1.0), None)
    for ax, name in zip(grid[0], ["image", *columns], strict=True):
        ax.set_title(plain(name), fontsize=9)
    for signed, drawn in sorted(bars.items()):
        height = cell * ratio * count
        bar = _bar(sheet, drawn, grid.ravel().tolist(), shrink=min(1.0, 2.5 / height), thickness=0.12 / height)
        bar.set_ticks([-1, 0, 1] if signed else [0, 1], labels=["against", "0", "for"] if signed else ["0", "largest"])
    return sheet


def _column(op: str, name: str, maps: ArrayLike, count: int) -> np.ndarray:
    values = numbers(op, f"the maps of {name!r}", maps)
    if values.ndim not in (3, 4) or len(values) != count:
        raise ValueError(f"{op}: {count} images need maps ({count}, P, Q) of {name!r}, came {values.shape}")
    return values


def _is_signed(column: np.ndarray) -> bool:
    return bool((column < 0).any())


def _added(op: str, values: ArrayLike) -> np.ndarray:
    array = numbers(op, "values", values)
    if array.ndim == 3:
        array = array.sum(2, dtype=np.float64)
    if array.ndim != 2:
        raise ValueError(f"{op}: values must be (H, W, C) or (H, W), came {array.shape}")
    return array


def _fitted(op: str, what: str, values: ArrayLike, size: tuple[int, ...]) -> np.ndarray:
    """A map (P, Q) in the size of the image."""
    array = numbers(op, what, values)
    if array.ndim != 2 or array.shape[0] > size[0] or array.shape[1] > size[1]:
        raise ValueError(f"{op}: {what} must be {size} as the image is, or a smaller map, came {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{op}: {what} has values that are not finite")
    return array if array.shape == size else upsampled(array[None], (size[0], size[1]))[0]


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = float(min(values.min(), 0)), float(values.max())
    return (low, 1.0) if low == 0 and high <= 1 else (low, high if high > low else low + 1)


def _robust_limit(values: np.ndarray, percentile: float) -> float:
    """The percentile of the absolute values, or the largest if that is 0, as most values may be."""
    sizes = np.abs(values)
    return float(np.percentile(sizes, percentile)) or float(sizes.max()) or 1.0


def _new_axes(shape: tuple[int, ...], colour_bar: bool) -> Axes:
    ratio = float(np.clip(shape[0] / shape[1], 0.2, 5))
    width = 4.0 if ratio <= 1 else 4.0 / ratio
    return new_figure(width + 0.8 * colour_bar, width * ratio + 0.3).add_subplot()


def _picture(ax: Axes, pixels: np.ndarray) -> None:
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1)
    ax.set_axis_off()


def _over(
    ax: Axes,
    pixels: np.ndarray,
    values: np.ndarray,
    alpha: float,
    cmap: str,
    limits: tuple[float, float],
    title: str | None,
) -> Any:
    _picture(ax, pixels)
    if title is not None:
        ax.set_title(title, fontsize="medium")
    return ax.imshow(values, cmap=cmap, vmin=limits[0], vmax=limits[1], alpha=alpha)


def _signed(ax: Axes, pixels: np.ndarray | None, values: np.ndarray, limit: float, cmap: str, title: str | None) -> Any:
    alpha = None
    if pixels is not None:
        grey = pixels if pixels.ndim == 2 else pixels @ _LUMINANCE
        _picture(ax, 0.55 + 0.45 * grey)
        # what says nothing lets the image through
        alpha = np.clip(np.abs(values) / limit, 0, 1) ** 0.5
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title, fontsize="medium")
    return ax.imshow(values, cmap=cmap, vmin=-limit, vmax=limit, alpha=alpha)


def _bar(figure: Any, drawn: Any, axes: list[Axes], shrink: float = 1.0, thickness: float = 0.05) -> Any:
    """A colour bar; its length and thickness as shares of the height of the axes."""
    fraction = 0.046 if len(axes) == 1 else 0.03  # of the width, which bounds the bar's length, too
    bar = figure.colorbar(drawn, ax=axes, fraction=fraction, pad=0.03, shrink=shrink, aspect=shrink / thickness)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8)
    return bar
