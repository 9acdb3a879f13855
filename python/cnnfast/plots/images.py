"""Pictures with their labels and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.checks import classes, numbers
from cnnfast.plots._style import BLUE, RED, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_MAX_IMAGES = 400  # more cannot be told apart on one page


def image_grid(
    images: ArrayLike,
    labels: ArrayLike | None = None,
    predictions: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    columns: int | None = None,
    figure: Figure | SubFigure | None = None,
    title: str | None = None,
) -> Figure:
    """Draw images side by side, each with its label and, in blue if right and red if wrong, its prediction.

    Args:
        images: (N, H, W), (N, H, W, 1) or (N, H, W, 3), at most 400. Uint8, or numbers in [0, 1]; if there
            are others, all are scaled alike to span black to white. Grey images are drawn white on black.
        labels: classes (N,) or (N, 1), or one-hot (N, C).
        predictions: classes (N,), or probabilities (N, C), whose largest is printed in percent.
        class_names: names of the classes; default their numbers.
        columns: images per row; default about as many as rows, but at least 5.
        figure: figure or subfigure to draw on; default a new one.
        title: heading.

    Returns:
        The figure.

    Raises:
        ValueError: no images, too many, or numbers of labels or predictions that do not match.

    Example:
        >>> from cnnfast import datasets, plots
        >>> (x_train, y_train), _ = datasets.digits()
        >>> figure = plots.image_grid(x_train[:12], y_train[:12], columns=6)
        >>> len(figure.axes)
        12
    """
    op = "plots.image_grid"
    pixels = _pixels(op, images)
    true = None if labels is None else _classes(op, "labels", labels, len(pixels))
    chosen = None if predictions is None else _classes(op, "predictions", predictions, len(pixels))
    sure = _confidence(predictions)
    if columns is not None and columns < 1:
        raise ValueError(f"{op}: columns must be at least 1, came {columns}")
    columns = min(columns or _default_columns(len(pixels)), len(pixels))
    rows = -(-len(pixels) // columns)
    cell = float(np.clip(9 / columns, 0.8, 1.6))
    caption = 0.16 * ((true is not None) + (chosen is not None))
    height = (cell + caption) * rows + 0.2 + 0.3 * bool(title)
    sheet: Any = figure or new_figure(cell * columns + 0.2, height)
    for index, axes in enumerate(sheet.subplots(rows, columns, squeeze=False).ravel()):
        axes.set_axis_off()
        if index < len(pixels):
            axes.imshow(pixels[index], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            _caption(axes, index, true, chosen, sure, class_names)
        else:
            axes.remove()
    if title:
        sheet.suptitle(title, fontsize="medium")
    return sheet


def misclassified(
    images: ArrayLike,
    labels: ArrayLike,
    predictions: ArrayLike,
    class_names: Sequence[str] | None = None,
    count: int = 25,
    columns: int | None = None,
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw the images that were classified wrongly, those of which the model was most confident first.

    Args:
        images, labels, class_names, columns, figure: as for `image_grid`, but any number of images.
        predictions: probabilities (N, C); or classes (N,), then the order is that of the images.
        count: how many to draw at most.

    Returns:
        The figure; with a line of text if nothing is wrong.

    Example:
        >>> import numpy as np
        >>> from cnnfast import plots
        >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> figure = plots.misclassified(np.zeros((3, 8, 8)), [1, 1, 1], probabilities)
        >>> [axes.get_title() for axes in figure.axes]
        ['1\\nas 0, 90 %', '1\\nas 0, 60 %']
    """
    op = "plots.misclassified"
    if not 1 <= count <= _MAX_IMAGES:
        raise ValueError(f"{op}: count must lie in 1 to {_MAX_IMAGES}, came {count}")
    pictures = numbers(op, "images", images)
    true = _classes(op, "labels", labels, len(pictures))
    chosen = _classes(op, "predictions", predictions, len(pictures))
    sure = _confidence(predictions)
    wrong = np.flatnonzero(true != chosen)
    if len(wrong) == 0:
        sheet: Any = figure or new_figure(4, 1)
        sheet.text(0.5, 0.5, f"none of {len(pictures)} images is misclassified", ha="center", va="center")
        return sheet
    if sure is not None:
        wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    drawn = wrong[:count]
    order = "" if sure is None else ", the most confident first"
    title = f"{len(wrong)} of {len(pictures)} wrong" + order
    chosen_of = np.asarray(predictions)
    return image_grid(pictures[drawn], true[drawn], chosen_of[drawn], class_names, columns, figure, title)


def _pixels(op: str, images: ArrayLike) -> np.ndarray:
    """Images as floats in [0, 1], (N, H, W) or (N, H, W, 3)."""
    array = numbers(op, "images", images)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] != 3):
        raise ValueError(f"{op}: images must be (N, H, W), (N, H, W, 1) or (N, H, W, 3), came {array.shape}")
    if len(array) > _MAX_IMAGES:
        raise ValueError(f"{op}: at most {_MAX_IMAGES} images fit one figure, came {len(array)}")
    if array.dtype == np.uint8:
        return array / 255.0
    pixels = np.nan_to_num(array.astype(np.float64), posinf=np.nan, neginf=np.nan)
    low, high = min(pixels.min(), 0.0), max(pixels.max(), 1.0)
    return (pixels - low) / (high - low)


def one_image(op: str, image: ArrayLike) -> np.ndarray:
    """An image as floats in [0, 1], (H, W) or (H, W, 3); those that `image_grid` takes, one at a time."""
    array = numbers(op, "image", image)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        raise ValueError(f"{op}: image must be (H, W), (H, W, 1) or (H, W, 3), came {array.shape}")
    return _pixels(op, array[None])[0]


def _classes(op: str, what: str, values: ArrayLike, count: int) -> np.ndarray:
    array = numbers(op, what, values)
    if array.ndim == 2:
        array = array.argmax(1) if array.shape[1] > 1 else array[:, 0]
    if array.shape != (count,):
        raise ValueError(f"{op}: {count} images need {what} ({count},) or ({count}, C), came {np.shape(values)}")
    return classes(op, what, array)


def _confidence(predictions: ArrayLike | None) -> np.ndarray | None:
    array = np.asarray(predictions)
    return array.max(1) if array.ndim == 2 and array.shape[1] > 1 else None


def _default_columns(count: int) -> int:
    return max(5, int(np.ceil(np.sqrt(count))))


def _caption(
    axes: Axes,
    index: int,
    true: np.ndarray | None,
    chosen: np.ndarray | None,
    sure: np.ndarray | None,
    class_names: Sequence[str] | None,
) -> None:
    def name(label: int) -> str:
        return str(label) if class_names is None or label >= len(class_names) else str(class_names[label])

    lines = [] if true is None else [name(true[index])]
    if chosen is not None:
        share = "" if sure is None else f", {100 * sure[index]:.0f} %"
        lines.append(f"as {name(chosen[index])}{share}")
    right = true is None or chosen is None or true[index] == chosen[index]
    colour = "black" if true is None or chosen is None else BLUE if right else RED
    axes.set_title(plain("\n".join(lines)), fontsize=8, color=colour, pad=2)
