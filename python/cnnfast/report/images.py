"""Pictures for the page: thumbnails, heat over them, mosaics of channels; as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cnnfast.explain.maps import scaled, upsampled

#: Images whose longer side is at most this are enlarged in whole steps and keep their hard edges.
SMALL = 48
#: Thumbnails are kept no larger than this while the page is made.
LARGEST = 128


@dataclass(frozen=True)
class Level:
    """How much room pictures may take.

    Attributes:
        side: of thumbnails, in pixels.
        quality: of WebP, 1 to 100.
        cell: largest side of one channel in a mosaic, in pixels.
        share: of the images that are shown at all.
    """

    side: int
    quality: int
    cell: int
    share: float = 1.0


#: From the finest to the coarsest; the first that keeps the page within its size is taken.
LEVELS = (
    Level(128, 75, 32),
    Level(112, 62, 28),
    Level(96, 50, 24),
    Level(80, 42, 20),
    Level(64, 35, 16),
    *(Level(64, 35, 12, 0.5**i) for i in range(1, 9)),
    Level(48, 20, 8, 0.0),
)


def displayed(images: np.ndarray, pixel_range: tuple[float, float]) -> np.ndarray:
    """Images (N, H, W) or (N, H, W, C) as uint8 (N, H, W, 3).

    Numbers within [0, 1] or [0, 255] are shown so; others are stretched, all images alike. One channel is grey, two and
    more than four are averaged, of four the last (alpha) is left out.

    Args:
        images: what the model takes.
        pixel_range: lowest and highest value of all images.
    """
    low, high = pixel_range
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    grey = images[..., None] if images.ndim == 3 else images
    if grey.shape[3] not in (1, 3, 4):
        grey = grey.mean(3, keepdims=True)
    colours = np.broadcast_to(grey[..., :3], (*grey.shape[:3], 3)).astype(np.float64)
    return np.clip(np.rint(255 * (colours - low) / ((high - low) or 1)), 0, 255).astype(np.uint8)


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """An image (H, W, 3) with its longer side no longer than `side`."""
    from PIL import Image

    longest = max(image.shape[:2])
    if longest <= side:
        return image
    size = tuple(max(1, round(n * side / longest)) for n in image.shape[1::-1])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX, reducing_gap=3.0))


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """A small image, each pixel made as many times larger as fits into `side`; others as they are."""
    longest = max(image.shape[:2])
    times = side // longest if longest <= SMALL else 1
    return image.repeat(times, 0).repeat(times, 1) if times > 1 else image


def with_heat(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image (H, W, 3), grey, under a heat map (P, Q) of values from 0 to 1: dark is little, yellow much."""
    hot = np.clip(upsampled(heat[None].astype(np.float32), image.shape[:2])[0], 0, 1)
    grey = image.astype(np.float64).mean(2, keepdims=True)
    return np.rint(0.45 * grey + 0.55 * _colours("inferno")[np.rint(255 * hot).astype(int)]).astype(np.uint8)


def strip(panels: list[np.ndarray]) -> np.ndarray:
    """Pictures of one height beside each other, with a white line between."""
    line = np.full((panels[0].shape[0], 2, 3), 255, np.uint8)
    parts = [panels[0]]
    for panel in panels[1:]:
        parts += [line, panel]
    return np.concatenate(parts, axis=1)


def mosaic(maps: np.ndarray, cell: int, limit: int) -> np.ndarray:
    """The channels of maps (P, Q, K) in rows, each stretched from its lowest (dark) to its highest value (yellow).

    Args:
        maps: values of a layer for one image.
        cell: largest side of a channel, in pixels; larger maps are shrunk, very small ones enlarged.
        limit: channels shown.
    """
    channels = scaled(np.ascontiguousarray(maps[..., :limit].transpose(2, 0, 1), np.float32))
    colours = _colours("viridis")
    cells = []
    for channel in channels:
        picture = shrunk(colours[np.rint(255 * channel).astype(int)].astype(np.uint8), cell)
        times = max(1, min(cell, 32) // max(picture.shape[:2]))
        cells.append(np.pad(picture.repeat(times, 0).repeat(times, 1), ((1, 1), (1, 1), (0, 0)), constant_values=128))
    columns = min(len(cells), 8 if len(cells) <= 64 else 16)
    blank = np.full_like(cells[0], 128)
    cells += [blank] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows)


def cells_of_vector(values: np.ndarray, cell: int = 10, columns: int = 32, limit: int = 1024) -> np.ndarray:
    """The numbers (K,) of a dense layer as squares in rows: dark is the lowest, yellow the highest."""
    shown = scaled(values[None, None, :limit].astype(np.float32))[0, 0]
    colours = _colours("viridis")[np.rint(255 * shown).astype(int)].astype(np.uint8)
    grid = np.full((-(-len(shown) // columns) * columns, 3), 128, np.uint8)
    grid[: len(shown)] = colours
    grid = grid.reshape(-1, columns, 3)[:, : min(columns, len(shown))]
    big = grid.repeat(cell, 0).repeat(cell, 1)
    big[cell - 1 :: cell], big[:, cell - 1 :: cell] = 128, 128
    return big


def data_uri(image: np.ndarray, quality: int, lossless: bool = False) -> str:
    """An image (H, W, 3) as a WebP data URI; as PNG or JPEG where Pillow cannot write WebP."""
    from PIL import Image, features

    picture, out = Image.fromarray(image), io.BytesIO()
    if features.check("webp"):
        kind = "webp"
        picture.save(out, "WEBP", quality=quality, lossless=lossless, method=2)
    elif lossless:
        kind = "png"
        picture.save(out, "PNG", optimize=True)
    else:
        kind = "jpeg"
        picture.save(out, "JPEG", quality=quality)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode('ascii')}"


@lru_cache(maxsize=4)
def _colours(name: str) -> np.ndarray:
    """float64 (256, 3) from 0 to 255 of a colour map that reads the same to every kind of eye."""
    from matplotlib import colormaps

    return np.asarray(colormaps[name](np.arange(256))[:, :3] * 255)
