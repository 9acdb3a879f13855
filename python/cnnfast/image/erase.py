"""Transforms that cover a part of images. Masks, boxes and keypoints stay as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cnnfast.image.arguments import number, pair, probability
from cnnfast.image.transform import TRANSFORMS, Transform
from cnnfast.image.work import Work

_FILLS = ("mean", "noise")


class _Erase(Transform):
    """Covers rectangles with a value."""

    def __init__(self, p: float, fill: float | str):
        op = type(self).__name__
        self.p = probability(op, "p", p)
        if not isinstance(fill, str):
            fill = number(op, "fill", fill, 0.0, 255.0)
        elif fill not in _FILLS:
            raise ValueError(f"{op}: fill must be 0 to 255, 'mean' or 'noise', came {fill!r}")
        self.fill = fill

    def _cover(self, work: Work, i: int, top: int, bottom: int, left: int, right: int) -> None:
        """Covers the rows and columns of image `i`, as far as they lie inside of it."""
        image = work.writable(np.array([i]))[i]
        part = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if part.size == 0:
            return
        if self.fill == "mean":
            value = image.mean(axis=(0, 1), dtype=np.float64)
            part[:] = value if work.is_float else np.rint(value)
        elif self.fill == "noise":
            noise = work.rng(i).integers(0, 256, part.shape, dtype=np.uint8)
            part[:] = noise * np.float32(work.scale / 255.0) if work.is_float else noise
        else:
            assert not isinstance(self.fill, str)
            part[:] = self.fill * work.scale / 255.0 if work.is_float else round(self.fill)


@TRANSFORMS.add
class Cutout(_Erase):
    """Covers squares that are centred anywhere in the image, so that they may stick out (DeVries and Taylor 2017).

    Args:
        size: side of a square: pixels from 1 on, below 1 a share of the image's shorter side; default 0.25.
        count: number of squares.
        fill: value on the scale 0 to 255, "mean" for the image's mean colour, or "noise"; default 0.
        p: probability, 1 by default.
    """

    def __init__(self, size: float = 0.25, count: int = 1, fill: float | str = 0.0, p: float = 1.0):
        super().__init__(p, fill)
        if number("Cutout", "size", size, 0.0) == 0.0:
            raise ValueError(f"Cutout: size must be above 0, came {size!r}")
        if count != int(number("Cutout", "count", count, 1)):
            raise ValueError(f"Cutout: count must be a whole number, came {count!r}")
        self.size = size
        self.count = int(count)

    def apply(self, work: Work, which: np.ndarray) -> None:
        rows, columns = work.size
        side = max(1, round(self.size if self.size >= 1 else self.size * min(rows, columns)))
        for i, u in zip(which, work.draw(which, 1 + 2 * self.count), strict=True):
            if u[0] >= self.p:
                continue
            for v, h in zip(u[1::2], u[2::2], strict=True):
                top, left = math.floor(v * rows) - side // 2, math.floor(h * columns) - side // 2
                self._cover(work, i, top, top + side, left, left + side)


@TRANSFORMS.add
class RandomErasing(_Erase):
    """Covers a rectangle of random area and proportions that lies in the image (Zhong et al. 2017, algorithm 1).

    Args:
        p: probability, 0.5 by default.
        scale: share of the image's area, (low, high); default (0.02, 0.33).
        ratio: height over width, (low, high), drawn on a logarithmic scale; default (0.3, 3.3).
        fill: value on the scale 0 to 255, "mean" or "noise"; default 0.
    """

    _TRIES = 10

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        fill: float | str = 0.0,
    ):
        super().__init__(p, fill)
        self._scale = pair("RandomErasing", "scale", scale, 0.0, 1.0)
        self._ratio = pair("RandomErasing", "ratio", ratio, 1e-3, 1e3)
        self.scale, self.ratio = scale, ratio

    def apply(self, work: Work, which: np.ndarray) -> None:
        rows, columns = work.size
        low, high = (math.log(ratio) for ratio in self._ratio)
        for i, u in zip(which, work.draw(which, 3 + 2 * self._TRIES), strict=True):
            if u[0] >= self.p:
                continue
            for share, proportion in zip(u[3::2], u[4::2], strict=True):
                area = rows * columns * (self._scale[0] + (self._scale[1] - self._scale[0]) * share)
                ratio = math.exp(low + (high - low) * proportion)
                height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
                if 0 < height < rows and 0 < width < columns:
                    top, left = math.floor(u[1] * (rows - height + 1)), math.floor(u[2] * (columns - width + 1))
                    self._cover(work, i, top, top + height, left, left + width)
                    break
