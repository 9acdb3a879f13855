"""Images for tests, made on the spot: one of each kind that Pillow writes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF")


def smooth(rows=20, columns=30, channels=3, seed=0):
    """uint8 (rows, columns, channels): slow waves, which survive compression and resampling."""
    r, c = np.mgrid[:rows, :columns]
    phases = np.random.default_rng(seed).uniform(0, 6, channels)
    waves = [np.sin(r / 9 + p) + np.cos(c / 11 - p) for p in phases]
    return (127.5 + 60 * np.stack(waves, axis=-1)).astype(np.uint8)


def content(format="PNG", image=None, **options):
    """The bytes of a file."""
    file = io.BytesIO()
    (Image.fromarray(smooth()) if image is None else image).save(file, format, **options)
    return file.getvalue()


def write(path, image=None, **options):
    """A file of an image or an array; the format is that of its ending."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    (Image.fromarray(smooth()) if image is None else image).save(path, **options)
    return path


def plain(path, value, size=(8, 8)):
    """A PNG file of one value, by which it is recognised."""
    return write(path, np.full((*size, 3), value, np.uint8))


def folder(root, counts, size=(8, 8), start=0):
    """A folder for each class with so many images, each of a value of its own, counted from `start`."""
    value = start
    for name, count in counts.items():
        (Path(root) / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            plain(Path(root) / name / f"{i}.png", value, size)
            value += 1
    return Path(root)


def in_every_mode():
    """Name and image: each mode that a file of the five formats can have, with transparency where it can be."""
    rgb = Image.fromarray(smooth())
    alpha = Image.fromarray(smooth(channels=4))
    gray16 = Image.fromarray(smooth(channels=1)[..., 0].astype(np.uint16) * 257)
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE)
    return {
        "1.png": (rgb.convert("1"), {}),
        "L.png": (rgb.convert("L"), {}),
        "LA.png": (alpha.convert("LA"), {}),
        "P.png": (palette, {}),
        "P-transparent.png": (palette, {"transparency": bytes(range(256))}),
        "P-one.png": (palette, {"transparency": 3}),
        "RGB-one.png": (rgb, {"transparency": (1, 2, 3)}),
        "RGBA.png": (alpha, {}),
        "I16.png": (gray16, {}),
        "RGB.jpg": (rgb, {"quality": 95}),
        "L.jpg": (rgb.convert("L"), {}),
        "CMYK.jpg": (rgb.convert("CMYK"), {}),
        "RGB.bmp": (rgb, {}),
        "P.bmp": (palette, {}),
        "P.gif": (palette, {}),
        "RGBA.webp": (alpha, {"lossless": True}),
        "RGB.webp": (rgb, {}),
    }
