"""Pictures for tests of transforms."""

from __future__ import annotations

import numpy as np


def photos(rng, count=6, height=24, width=32, channels=3):
    """Smooth uint8 pictures (count, height, width, channels)."""
    rows, columns = np.mgrid[:height, :width]
    phases = rng.uniform(0, 6, (4, count, 1, 1, channels))
    down = np.sin(rows[..., None] / (3 + phases[0]) + phases[1])
    across = np.cos(columns[..., None] / (3 + phases[2]) + phases[3])
    return np.rint(127.5 + 60 * (down + across)).clip(0, 255).astype(np.uint8)


def with_box(height, width, box):
    """A black picture (height, width, 1) with a white box (x_min, y_min, x_max, y_max)."""
    picture = np.zeros((height, width, 1), np.uint8)
    picture[box[1] : box[3], box[0] : box[2]] = 255
    return picture


def extent(mask):
    """The box around what is not 0 in a mask (H, W)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
