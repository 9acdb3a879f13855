"""A batch on its way through a chain of transforms.

Geometry is put off: each move is composed into one matrix per image, and the pixels are warped once, when somebody
wants to see them. Masks, boxes and keypoints take the same matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnnfast.image.warp import warp

FILL_MODES = ("reflect", "nearest", "constant", "wrap")
RIM = "rim"


@dataclass(frozen=True)
class Fill:
    """How a warp reads between pixels and beyond the edge.

    `order` is the spline order, `mode` one of `FILL_MODES`, `cval` the value of "constant" on the scale 0 to 255,
    `mask_cval` the one for masks. Mode `RIM` is for moves that read nothing beyond the edge but the outer half of
    pixels on it.
    """

    order: int
    mode: str
    cval: float = 0.0
    mask_cval: float = 0.0

    def joined(self, other: Fill | None) -> Fill | None:
        """What serves both in one warp; None if nothing does."""
        if other is None or self == other:
            return self
        wide = [fill for fill in (self, other) if fill.mode != RIM]
        # "constant" and "wrap" would put a line around what was resized
        if self.order == other.order and len(wide) == 1 and wide[0].mode in ("reflect", "nearest"):
            return wide[0]
        return None


class Work:
    """A batch, the generators of its samples, and the moves that are still to be made.

    Args:
        images: (N, H, W, C) uint8 or float32; never written to.
        rngs: a generator for each image.
        scale: what 255 means in float images.
        masks: (N, H, W, C) uint8 or float32, or None.
        boxes: for each image (n, 4) as x_min, y_min, x_max, y_max in pixels from the image's corner, or None.
        keypoints: for each image (n, 2) as x, y, or None.
        labels: whatever belongs to the images.
        threads: for warps; None for all.

    Attributes:
        size: rows and columns that the images will have once all moves are made.
    """

    def __init__(
        self,
        images: np.ndarray,
        rngs: Sequence[np.random.Generator],
        *,
        scale: float = 255.0,
        masks: np.ndarray | None = None,
        boxes: Sequence[np.ndarray] | None = None,
        keypoints: Sequence[np.ndarray] | None = None,
        labels: np.ndarray | None = None,
        threads: int | None = None,
    ):
        self._images, self._owns = images, False
        self._masks = masks
        self._rngs = rngs
        self._threads = threads
        self.scale = scale
        self.labels = labels
        # a box is moved by its corners, and made a box again when all is done
        self.corners = None if boxes is None else [_corners(box) for box in boxes]
        self.keypoints = None if keypoints is None else [np.array(points, np.float64) for points in keypoints]
        self.size: tuple[int, int] = (images.shape[1], images.shape[2])
        self._maps = np.tile(np.eye(3), (len(images), 1, 1))
        self._moved = np.zeros(len(images), bool)
        self._fill: Fill | None = None
        self._cropped = False  # whether moves that are still to be made have cut something off

    def __len__(self) -> int:
        return len(self._images)

    @property
    def channels(self) -> int:
        return self._images.shape[3]

    @property
    def is_float(self) -> bool:
        return self._images.dtype != np.uint8

    @property
    def has_masks(self) -> bool:
        return self._masks is not None

    def draw(self, which: np.ndarray, count: int) -> np.ndarray:
        """`count` uniform numbers in [0, 1) for each image of `which`: (len(which), count)."""
        drawn = np.empty((len(which), count))
        for row, i in zip(drawn, which, strict=True):
            self._rngs[i].random(out=row)
        return drawn

    def rng(self, i: int) -> np.random.Generator:
        """The generator of image `i`."""
        return self._rngs[i]

    def move(
        self,
        which: np.ndarray,
        maps: np.ndarray,
        *,
        size: tuple[int, int] | None = None,
        fill: Fill | None = None,
        crops: bool = False,
        pads: bool = False,
    ) -> None:
        """Puts a move of the images `which` behind those that are still to be made.

        Args:
            which: numbers of the images; all of them if `size` is another one.
            maps: (len(which), 3, 3): where in the image as it is the pixel (row, column, 1) of the new one lies.
            size: rows and columns of the new images, if they change.
            fill: None for a move that meets pixels exactly and never looks beyond the edge.
            crops: whether it is there to cut something off. That is still there for a move behind it that looks beyond
                the edge, if its fill would only guess it, "reflect" or "nearest"; not for "constant" and "wrap".
            pads: whether it is there to put `fill` around the image, whatever was cut off before.
        """
        size = size or self.size
        if size != self.size and len(which) != len(self):
            raise ValueError(
                f"transforms: what changes the size of images, here {self.size} to {size}, must apply to all of a batch"
            )
        if fill is not None:
            if self._cropped and (pads or fill.mode in ("constant", "wrap")):
                self._settle(np.arange(len(self)))
            joined = fill.joined(self._fill)
            if joined is None:
                self._settle(np.arange(len(self)))
            self._fill = joined or fill
        self._maps[which] = self._maps[which] @ maps
        self._moved[which] = True
        self._cropped |= crops
        self.size = size

    def images(self) -> np.ndarray:
        """All images, with all moves made; not to be written to."""
        self._settle(np.arange(len(self)))
        return self._images

    def masks(self) -> np.ndarray | None:
        """All masks, with all moves made; not to be written to."""
        self._settle(np.arange(len(self)))
        return self._masks

    def writable(self, which: np.ndarray) -> np.ndarray:
        """All images, to be written to; moves of `which` are made."""
        self._settle(which)
        if not self._owns:
            self._images, self._owns = self._images.copy(), True
        return self._images

    def replace(self, images: np.ndarray, masks: np.ndarray | None) -> None:
        """Takes new images and masks, all of them, in place of those that `images` and `masks` gave."""
        self._images, self._owns, self._masks = images, True, masks

    def _settle(self, which: np.ndarray) -> None:
        """Makes the moves of the images `which`; of all if the size changes."""
        if self.size != self._images.shape[1:3]:
            rows = np.arange(len(self))
        else:
            rows = which[self._moved[which]]
        if len(rows) == 0:
            return
        fill = self._fill or Fill(0, RIM)
        maps = self._maps[rows].round(12)  # what should meet pixels exactly, does
        cval = fill.cval * self.scale / 255.0 if self.is_float else fill.cval
        self._images = self._warped(self._images, rows, maps, fill.order, fill.mode, cval)
        self._owns = True
        if self._masks is not None:
            self._masks = self._warped(self._masks, rows, maps, 0, fill.mode, fill.mask_cval)
        self._move_points(rows, maps)
        self._maps[rows] = np.eye(3)
        self._moved[rows] = False
        if not self._moved.any():
            self._fill, self._cropped = None, False

    def _warped(
        self, pixels: np.ndarray, rows: np.ndarray, maps: np.ndarray, order: int, mode: str, cval: float
    ) -> np.ndarray:
        whole = len(rows) == len(pixels)
        done = warp(
            pixels if whole else pixels[rows],
            np.ascontiguousarray(maps[:, :2]),
            size=self.size,
            order=order,
            fill_mode="nearest" if mode == RIM else mode,
            cval=cval,
            threads=self._threads,
        )
        if whole:
            return done
        pixels = pixels if self._owns and pixels is self._images else pixels.copy()
        pixels[rows] = done
        return pixels

    def _move_points(self, rows: np.ndarray, maps: np.ndarray) -> None:
        if self.corners is None and self.keypoints is None:
            return
        forward = np.linalg.inv(maps)
        for points in (self.corners, self.keypoints):
            if points is not None:
                for i, matrix in zip(rows, forward, strict=True):
                    points[i] = _moved_points(points[i], matrix)


def _corners(box: np.ndarray) -> np.ndarray:
    """(n, 4, 2): the corners (x, y) of boxes (n, 4)."""
    x0, y0, x1, y1 = np.moveaxis(np.asarray(box, np.float64), -1, 0)
    return np.stack([np.stack(point, -1) for point in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))], 1)


def _moved_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (..., 2) as x, y from the image's corner, after a move (3, 3) of pixels (row, column, 1).

    The centre of the first pixel is row 0, column 0 for matrices, x = y = 0.5 for points.
    """
    row_column = points[..., ::-1] - 0.5
    moved = row_column @ matrix[:2, :2].T + matrix[:2, 2]
    return np.asarray(moved[..., ::-1] + 0.5)


def boxes_in_frame(corners: np.ndarray, size: tuple[int, int], min_visible: float) -> tuple[np.ndarray, np.ndarray]:
    """The boxes around moved corners (n, 4, 2), cut off at the edges of the frame.

    Returns:
        Boxes (m, 4), and which of the n have stayed: those with some area of which at least `min_visible` lies
        within the frame.
    """
    around = np.concatenate([corners.min(1), corners.max(1)], 1)
    limit = np.array([size[1], size[0], size[1], size[0]], np.float64)
    inside = np.clip(around, 0.0, limit)
    areas = [(box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in (around, inside)]
    kept = (areas[1] > 0) & (areas[1] >= min_visible * areas[0])
    return inside[kept], kept
