"""From raw class-activation maps to what is shown: the positive part, in the size of the image, scaled to [0, 1]."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np


class ExplanationWarning(UserWarning):
    """Something about an explanation that a person who looks at it must know."""


def upsampled(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Maps (N, P, Q) in another size, bilinear between the centres of their cells; cells are not averaged.

    Args:
        maps: float (N, P, Q).
        size: rows and columns.
    """
    rows, columns = (upsampling(old, new) for old, new in zip(maps.shape[1:], size, strict=True))
    return np.matmul(np.matmul(rows, maps.astype(np.float64)), columns.T).astype(np.float32)


def upsampling(old: int, new: int) -> np.ndarray:
    """(new, old): what each old position counts for each new one, centres at (i + 0.5) / size."""
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    low = np.minimum(np.floor(place).astype(int), max(old - 2, 0))
    weights = np.zeros((new, old))
    weights[np.arange(new), low] = 1 - (place - low)
    if old > 1:
        weights[np.arange(new), low + 1] += place - low
    return weights


def scaled(maps: np.ndarray) -> np.ndarray:
    """Each map (P, Q) moved and stretched to [0, 1]; one whose values are all the same becomes 0."""
    low = maps.min((1, 2), keepdims=True)
    span = maps.max((1, 2), keepdims=True) - low
    # Without a threshold, rounding of a constant map would be stretched to black and white.
    flat = span <= 1e-7 * np.abs(low)
    return np.where(flat, 0, (maps - low) / np.where(flat, 1, span)).astype(np.float32)


def finished(
    op: str, layers: Sequence[np.ndarray], size: tuple[int, int], *, normalize: bool, upsample: bool, relu: bool = True
) -> np.ndarray:
    """What the user gets of the raw maps of one or several layers.

    Args:
        op: for messages.
        layers: raw maps (N, P, Q) of each layer. Several are brought to the size of the image, scaled and averaged.
        size: rows and columns of the image.
        normalize: scale each map to [0, 1].
        upsample: bring the maps to the size of the image.
        relu: keep what speaks for the target only.

    Returns:
        float32 (N, H, W), or (N, P, Q) of a single layer that is not brought to the image's size.

    Warns:
        ExplanationWarning: nothing in a map speaks for the target.

    Raises:
        ValueError: several layers of different sizes that are not to be brought to one.
    """
    several = len(layers) > 1
    if several and not upsample and len({raw.shape for raw in layers}) > 1:
        raise ValueError(f"{op}: maps of different sizes, {[raw.shape[1:] for raw in layers]}, need upsample=True")
    maps = []
    for raw in layers:
        if relu:
            warn_of_empty(op, raw)
        kept = np.maximum(raw, 0) if relu else raw
        kept = scaled(kept) if several else kept.astype(np.float32)
        maps.append(upsampled(kept, size) if upsample else kept)
    result = np.stack(maps).mean(0, dtype=np.float64).astype(np.float32) if several else maps[0]
    return scaled(result) if normalize else result  # last: the centre of the highest cell may lie between pixels


def warn_of_empty(op: str, raw: np.ndarray, stacklevel: int = 6) -> None:
    """Says of which samples the maps (N, P, Q) are empty; `stacklevel` as for `warnings.warn`."""
    empty = np.flatnonzero(~(raw > 0).any((1, 2)))
    if len(empty):
        which = ", ".join(map(str, empty[:10])) + (", ..." if len(empty) > 10 else "")
        warnings.warn(
            f"{op}: nothing in the maps of {len(empty)} of {len(raw)} samples ({which}) speaks for the target; their "
            "maps are 0. Look at another layer or class, or at relu=False for what speaks against it.",
            ExplanationWarning,
            stacklevel=stacklevel,  # the line that called the method
        )
