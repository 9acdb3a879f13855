"""What augmentation makes of an image."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cnnfast.checks import numbers
from cnnfast.plots._style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

_MAX_COUNT = 399


def augmentation_samples(
    source: Any,
    image: ArrayLike | None = None,
    count: int = 11,
    sample: int = 0,
    seed: int = 0,
    columns: int = 6,
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw an image and what augmentation makes of it, to see whether a person would still know what it is.

    Args:
        source: an `image.transforms` transform, the name of a preset ("standard") or an `ImageDataGenerator`, with an
            image; or an `ImageDataset` or `AugmentedDataset`, whose images are drawn as training sees them in its first
            epochs.
        image: (H, W, C), uint8 or floats; for a data set it is chosen by `sample`.
        count: how many versions.
        sample: number of the image in the data set.
        seed: of the randomness; a data set has its own.
        columns: images in a row.
        figure: figure or subfigure to draw on; default a new one.

    Returns:
        The figure.

    Raises:
        TypeError: a source that augments nothing. ValueError: an image missing or not there, numbers out of range.

    Example:
        >>> from cnnfast import plots
        >>> figure = plots.augmentation_samples("standard", images[0], count=5)
        >>> [axes.get_title() for axes in figure.axes]
        ['original', '1', '2', '3', '4', '5']
    """
    op = "plots.augmentation_samples"
    if not 1 <= count <= _MAX_COUNT:
        raise ValueError(f"{op}: count must lie in 1 to {_MAX_COUNT}, came {count}")
    if columns < 1:
        raise ValueError(f"{op}: columns must be at least 1, came {columns}")
    if hasattr(source, "for_inference"):
        if image is not None:
            raise ValueError(f"{op}: a data set has its own images; choose one by sample")
        pictures, white = _of_data(op, source, sample, count)
        names = [f"epoch {epoch + 1}" for epoch in range(count)]
    else:
        pictures, white = _of_image(op, source, image, seed, count)
        names = [str(i + 1) for i in range(count)]
    return _drawn([_pixels(op, picture, white) for picture in pictures], ["original", *names], columns, figure)


def _of_image(op: str, source: Any, image: Any, seed: int, count: int) -> tuple[list[np.ndarray], float]:
    from cnnfast.image import transforms
    from cnnfast.image.generator import ImageDataGenerator

    if image is None:
        raise ValueError(f"{op}: {type(source).__name__} needs an image (H, W, C)")
    original = numbers(op, "image", image)
    if original.ndim != 3:
        raise ValueError(f"{op}: image must be (H, W, C), came {original.shape}")
    white = 255.0 if original.dtype == np.uint8 or original.max() > 1 else 1.0
    if isinstance(source, ImageDataGenerator):
        versions = [source.random_transform(original, seed=seed + i) for i in range(count)]
        return [original, *versions], white
    change = transforms.get(source)
    if change is None:
        raise TypeError(f"{op}: expected a transform, a generator or a data set, came {source!r}")
    changed = [change(original, seed=seed, epoch=i, value_range=white).images for i in range(count)]
    return [original, *changed], white


def _of_data(op: str, data: Any, sample: int, count: int) -> tuple[list[np.ndarray], float]:
    """An image of a data set, and what training makes of it in each of the first epochs."""
    change = getattr(data, "transform", None) or getattr(data, "augment", None)
    if change is None:
        raise TypeError(f"{op}: the {type(data).__name__} does not augment its images")
    more = {"value_range": data.value_range} if hasattr(data, "value_range") else {}
    images, labels, samples, row = _batch_with(op, data, sample)
    versions = []
    for epoch in range(count):
        made = change(images, labels=labels, seed=data.seed, epoch=epoch, samples=samples, threads=1, **more)
        versions.append(np.asarray(made[0] if isinstance(made, tuple) else made)[row])
    return [images[row], *versions], float(more.get("value_range", 255.0))


def _batch_with(op: str, data: Any, sample: int) -> tuple[np.ndarray, Any, np.ndarray, int]:
    """The batch, not augmented, in which a sample is, and its row there: some transforms mix it with others."""
    plain = copy.copy(data)
    if hasattr(plain, "augment_inference"):
        plain.augment_inference = False
    plain = plain.for_inference()
    before = 0
    for index in range(len(plain)):
        batch = plain[index]
        parts = batch if isinstance(batch, tuple) else (batch, None)
        images = np.asarray(parts[0])
        known = plain.samples_of(index)
        samples = before + np.arange(len(images)) if known is None else known
        if sample in samples:
            return images, parts[1], samples, int(np.flatnonzero(samples == sample)[0])
        before += len(images)
    raise ValueError(f"{op}: there is no sample {sample}, the data set has {before}")


def _pixels(op: str, image: np.ndarray, white: float) -> np.ndarray:
    """An image for matplotlib, which may have come out in another size than others."""
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(f"{op}: images must be (H, W, 1) or (H, W, 3), came {image.shape}")
    pixels = np.clip(image.astype(np.float64) / white, 0, 1)
    return pixels[..., 0] if image.shape[2] == 1 else pixels


def _drawn(pictures: Sequence[np.ndarray], names: Sequence[str], columns: int, figure: Any) -> Figure:
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    cell = float(np.clip(10 / columns, 0.8, 2.0))
    ratio = float(np.clip(pictures[0].shape[0] / pictures[0].shape[1], 0.2, 5))
    sheet: Any = figure or new_figure(cell * columns + 0.2, (cell * ratio + 0.25) * rows + 0.1)
    grid = sheet.subplots(rows, columns, squeeze=False).ravel()
    for spare in grid[len(pictures) :]:
        spare.remove()
    for ax, picture, name in zip(grid, pictures, names, strict=False):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
        ax.set_title(name, fontsize=8, pad=2)
        ax.set_axis_off()
    return sheet
