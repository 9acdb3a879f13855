"""The pixels of many image files: all of one shape, kept in memory up to a bound."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

import numpy as np

from cnnfast.image.decode import ImageError, channels_of, check_interpolation, read_image, size_of
from cnnfast.prefetch import prefetched


class ImageReader:
    """Reads images by their number in a list of files.

    Args:
        paths: the files.
        color_mode, size, interpolation, fit: as for `read_image`; the size must be given.
        cache_bytes: how much memory pixels may take that were read before. The first images of the list have a place
            there; where it ends, the others are decoded each time.

    Attributes:
        shape: (H, W, C) of every image.
        cache_bytes: what the pixels in memory take at most.
    """

    def __init__(
        self,
        op: str,
        paths: Sequence[str],
        color_mode: str,
        size: Sequence[int] | int,
        interpolation: str,
        fit: str,
        cache_bytes: int = 0,
    ):
        self.paths = list(paths)
        self.shape = (*size_of(op, "image_size", size), channels_of(op, color_mode))
        self._color_mode, self._fit = color_mode, fit
        self._interpolation = check_interpolation(op, interpolation)
        kept = min(len(self.paths), cache_bytes // math.prod(self.shape))
        self._kept = np.empty((kept, *self.shape), np.uint8)  # a page of memory is taken when it is written
        self._filled = np.zeros(kept, bool)
        self._rows = np.arange(len(self.paths))  # where in _kept an image belongs, beyond its end if nowhere
        self.cache_bytes = self._kept.nbytes

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, samples: Iterable[int]) -> np.ndarray:
        """uint8 (N, H, W, C): the images of these numbers, from several threads at once if need be.

        Raises:
            ImageError, OSError: one of the files cannot be read; the message names it.
        """
        numbers = [int(n) for n in samples]
        pixels = np.empty((len(numbers), *self.shape), np.uint8)
        for place, number in zip(pixels, numbers, strict=True):
            place[...] = self._image(number)
        return pixels

    def _image(self, number: int) -> np.ndarray:
        row = self._rows[number]
        if row >= len(self._kept):
            return self._decoded(number)
        if not self._filled[row]:
            self._kept[row] = self._decoded(number)
            self._filled[row] = True  # last, so that no other thread takes half an image
        return self._kept[row]

    def _decoded(self, number: int) -> np.ndarray:
        return read_image(self.paths[number], self._color_mode, self.shape[:2], self._interpolation, self._fit)

    def unreadable(self, workers: int) -> dict[int, str]:
        """What is wrong with the files that cannot be read, by number. Reads all, and so fills the cache."""
        problems = prefetched(self._problem, range(len(self.paths)), workers, 4 * workers)
        return {number: problem for number, problem in enumerate(problems) if problem is not None}

    def _problem(self, number: int) -> str | None:
        try:
            self._image(number)
        except ImageError as error:
            return error.problem
        except OSError as error:
            return error.strerror or str(error)
        return None

    def drop(self, numbers: Iterable[int]) -> None:
        """Takes files out of the list; those behind them move up."""
        gone = set(numbers)
        self.paths = [path for number, path in enumerate(self.paths) if number not in gone]
        self._rows = np.delete(self._rows, sorted(gone))


def default_workers() -> int:
    """Threads that decode: as many as the process may use, at most 4."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(4, available))
