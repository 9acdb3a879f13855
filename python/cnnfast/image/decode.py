"""Image files become pixels: JPEG, PNG, BMP, WebP and GIF (its first frame), and nothing else.

Files are hostile until they are decoded. Pillow decodes them, restricted to the plugins of these five formats; the
number of pixels is checked before any is decoded; whatever a damaged file makes a plugin raise becomes an `ImageError`.
The orientation that a camera noted in the EXIF data is left alone, as in Keras.
"""

from __future__ import annotations

import io
import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast.image.arrays import array_to_img, img_to_array, save_img

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "EXTENSIONS",
    "ImageError",
    "array_to_img",
    "img_to_array",
    "load_img",
    "read_image",
    "save_img",
    "set_max_pixels",
]

#: names of files that may be images end so, in small letters
EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
#: pixels of the largest image that is decoded unless `set_max_pixels` says otherwise; Pillow would warn at 89 million
DEFAULT_MAX_PIXELS = 2**26

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF")
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}
_COLOR_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
_INTERPOLATIONS = {
    "nearest": "NEAREST",
    "bilinear": "BILINEAR",
    "bicubic": "BICUBIC",
    "hamming": "HAMMING",
    "box": "BOX",
    "area": "BOX",
    "lanczos": "LANCZOS",
    "lanczos3": "LANCZOS",
}
_FITS = ("stretch", "crop", "pad")
_GAP = 2  # an image is at least so many times as large as wanted when it is resampled

Box = tuple[float, float, float, float]  # left, upper, right and lower edge, in pixels

_max_pixels = DEFAULT_MAX_PIXELS


class ImageError(ValueError):
    """A file that is no image, or a damaged or far too large one.

    Attributes:
        path: the file.
        problem: what is wrong with it.
    """

    def __init__(self, path: Any, problem: str):
        super().__init__(path, problem)
        self.path, self.problem = path, problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def set_max_pixels(pixels: int) -> None:
    """How many pixels the largest image may have from now on.

    A file of a few kilobytes can describe an image of gigabytes (a decompression bomb); what is larger than this
    is refused with an `ImageError` before it is decoded. Pillow's own limit (`PIL.Image.MAX_IMAGE_PIXELS`) holds too.

    Args:
        pixels: at least 1; 2**26 (8192 x 8192) at start.

    Raises:
        ValueError: less than 1. TypeError: no whole number.

    Example:
        >>> set_max_pixels(4096 * 4096)
        >>> set_max_pixels(DEFAULT_MAX_PIXELS)
    """
    global _max_pixels
    if isinstance(pixels, bool) or not isinstance(pixels, (int, np.integer)):
        raise TypeError(f"set_max_pixels: expected a whole number, got {pixels!r}")
    if pixels < 1:
        raise ValueError(f"set_max_pixels: expected at least 1, got {pixels}")
    _max_pixels = int(pixels)


def channels_of(op: str, color_mode: str) -> int:
    """Channels of images in a color mode: 1, 3 or 4. ValueError, in the name of `op`, for another mode."""
    if color_mode not in _CHANNELS:
        raise ValueError(f"{op}: color_mode must be 'grayscale', 'rgb' or 'rgba', got {color_mode!r}")
    return _CHANNELS[color_mode]


def size_of(op: str, what: str, size: Any) -> tuple[int, int]:
    """(rows, columns), both at least 1, from such a pair or one number for both.

    Raises:
        TypeError: no whole numbers. ValueError: not two of them, or less than 1.
    """
    pair = (size, size) if isinstance(size, (int, np.integer)) else tuple(size) if np.iterable(size) else (size,)
    if any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) for n in pair):
        raise TypeError(f"{op}: {what} must be whole numbers (rows, columns), got {size!r}")
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"{op}: {what} must be (rows, columns), both at least 1, got {size!r}")
    return int(pair[0]), int(pair[1])


def check_interpolation(op: str, interpolation: str) -> str:
    """The interpolation in small letters. ValueError, in the name of `op`, if there is none of that name."""
    name = interpolation.lower() if isinstance(interpolation, str) else interpolation
    if name not in _INTERPOLATIONS:
        raise ValueError(f"{op}: interpolation must be one of {', '.join(_INTERPOLATIONS)}, got {interpolation!r}")
    return name


def load_img(
    path: str | bytes | os.PathLike[str] | io.BytesIO,
    color_mode: str = "rgb",
    target_size: Sequence[int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Image.Image:
    """An image file as a Pillow image, pixel for pixel what Keras' `load_img` gives.

    Args:
        path: the file, or an `io.BytesIO` with its content.
        color_mode: "rgb", "rgba" or "grayscale". Transparency is dropped, not blended; gray images of 16 bits keep
            their bits in "grayscale".
        target_size: (rows, columns) of the result; that of the file if None.
        interpolation: "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos".
        keep_aspect_ratio: cut out the largest part in the middle with the aspect ratio of `target_size` first, so
            that nothing is stretched.

    Returns:
        The image, decoded.

    Raises:
        ImageError: the file is no image, is damaged, or has too many pixels (see `set_max_pixels`).
        OSError: it cannot be read, as FileNotFoundError.
        TypeError, ValueError: other arguments.

    Example:
        >>> save_img("dot.png", np.zeros((4, 6, 3)))
        >>> load_img("dot.png", target_size=(2, 2)).size
        (2, 2)
    """
    channels_of("load_img", color_mode)
    check_interpolation("load_img", interpolation)
    columns_rows = None if target_size is None else size_of("load_img", "target_size", target_size)[::-1]
    with _opened(path) as image:
        if not (color_mode == "grayscale" and image.mode in ("L", "I;16", "I")):
            image = _converted(image, _COLOR_MODES[color_mode])
        image.load()
        if columns_rows is not None and image.size != columns_rows:
            box = _middle(image.size, columns_rows) if keep_aspect_ratio else None
            image = image.resize(columns_rows, _resampling(interpolation), box=box)
    return image


def read_image(
    path: str | bytes | os.PathLike[str] | io.BytesIO,
    color_mode: str = "rgb",
    size: Sequence[int] | None = None,
    interpolation: str = "bilinear",
    fit: str = "stretch",
) -> np.ndarray:
    """An image file as an array, as quickly as may be.

    Where the image is much larger than wanted, JPEG files are decoded at half, a quarter or an eighth of their
    size, and other images are averaged over blocks first, so that at least twice the wanted size is left to resample.
    That is up to twice as fast and hard to tell from the slow way. Not with "nearest".

    Args:
        path: the file, or an `io.BytesIO` with its content.
        color_mode: "rgb", "rgba" or "grayscale". Transparency is dropped, not blended; of 16 bits the upper 8 stay.
        size: (rows, columns) of the result; that of the file if None.
        interpolation: "nearest", "bilinear", "bicubic", "hamming", "box" (or "area"), or "lanczos" (or "lanczos3").
            All but "nearest" are anti-aliased when they make images smaller.
        fit: "stretch" to `size`; "crop" the largest part in the middle with the aspect ratio of `size`; or "pad": the
            whole image in the middle, black around it.

    Returns:
        uint8 (H, W, C), C = 1, 3 or 4.

    Raises:
        ImageError, OSError, TypeError, ValueError: as `load_img`.

    Example:
        >>> save_img("dot.png", np.zeros((4, 6, 3)))
        >>> read_image("dot.png", "grayscale", size=(2, 3)).shape
        (2, 3, 1)
    """
    channels = channels_of("read_image", color_mode)
    interpolation = check_interpolation("read_image", interpolation)
    if fit not in _FITS:
        raise ValueError(f"read_image: fit must be 'stretch', 'crop' or 'pad', got {fit!r}")
    columns_rows = None if size is None else size_of("read_image", "size", size)[::-1]
    with _opened(path) as image:
        target = image.size if columns_rows is None else columns_rows
        box, inner = _placed(image.size, target, fit)
        if interpolation != "nearest":
            box = _reduced(image, box, inner)
        image = _converted(_eight_bits(image), _COLOR_MODES[color_mode])
        image.load()
        if image.size != target:
            gap = None if interpolation == "nearest" else float(_GAP)
            image = image.resize(inner, _resampling(interpolation), box=box, reducing_gap=gap)
        if inner != target:
            image = _on_black(image, target)
        pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], channels)


@contextmanager
def _opened(path: Any) -> Iterator[Image.Image]:
    """The image in a file, recognised and not too large but not yet decoded; errors of decoding become `ImageError`."""
    from PIL import Image, UnidentifiedImageError, WebPImagePlugin  # noqa: F401 - so that Pillow need not load all

    with _file(path) as (file, name):
        image = None
        try:
            image = Image.open(file, formats=_FORMATS)
            _check_size(name, image.size)
            yield image
        except (ImageError, MemoryError):
            raise
        except UnidentifiedImageError as error:
            raise ImageError(name, _not_recognised(file)) from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageError(name, f"has too many pixels: {error}") from error
        except Exception as error:  # plugins raise whatever a damaged file leads them to
            kind = f"{_signature(file)} image".lstrip() if image is None else f"{image.format} image"
            raise ImageError(name, f"damaged {kind}: {error or type(error).__name__}") from error


@contextmanager
def _file(path: Any) -> Iterator[tuple[Any, str]]:
    """An open file and its name for messages."""
    if isinstance(path, io.BytesIO):
        path.seek(0)
        yield path, "image in memory"
        return
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"load_img: path must be a path or an io.BytesIO, got {type(path).__name__}")
    name = os.fsdecode(path)
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
        raise ImageError(name, "is no regular file")
    with open(path, "rb") as file:
        yield file, name


def _check_size(name: str, size: tuple[int, int]) -> None:
    columns, rows = size
    if columns < 1 or rows < 1:
        raise ImageError(name, f"has no pixels: {rows} rows, {columns} columns")
    if columns * rows > _max_pixels:
        raise ImageError(
            name, f"has {rows} x {columns} pixels, more than the limit of {_max_pixels} (see image.set_max_pixels)"
        )


def _not_recognised(file: Any) -> str:
    file.seek(0)
    begin = file.read(12)
    if not begin:
        return "the file is empty"
    if kind := _signature(file):
        return f"damaged {kind} image: it has the first bytes of one, and nothing that can be read behind them"
    return f"no image in one of the formats JPEG, PNG, BMP, WebP, GIF: it begins with {begin!r}"


def _signature(file: Any) -> str:
    """The format whose first bytes a file has, or nothing."""
    file.seek(0)
    begin = file.read(12)
    found = [kind for signature, kind in _SIGNATURES.items() if begin.startswith(signature)]
    return "" if not found or (found == ["WebP"] and begin[8:] != b"WEBP") else found[0]


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours; without the way round Pillow warns of transparent palettes
    return image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Gray images of 16 bits without their lower 8."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    return image


def _resampling(interpolation: str) -> Any:
    from PIL import Image

    return Image.Resampling[_INTERPOLATIONS[interpolation.lower()]]


def _middle(size: tuple[int, int], target: tuple[int, int]) -> Box:
    """The largest part in the middle with the aspect ratio of `target`."""
    columns, rows = size
    width = max(1, min(columns, rows * target[0] // target[1]))
    height = max(1, min(rows, columns * target[1] // target[0]))
    left, upper = (columns - width) // 2, (rows - height) // 2
    return left, upper, left + width, upper + height


def _placed(size: tuple[int, int], target: tuple[int, int], fit: str) -> tuple[Box, tuple[int, int]]:
    """Which part of an image is resampled, and to which size."""
    whole = (0, 0, *size)
    if fit == "crop":
        return _middle(size, target), target
    if fit == "stretch":
        return whole, target
    ratio = max(size[0] / target[0], size[1] / target[1])
    return whole, (max(1, int(size[0] / ratio)), max(1, int(size[1] / ratio)))


def _reduced(image: Image.Image, box: Box, inner: tuple[int, int]) -> Box:
    """Has a JPEG file decoded at half, a quarter or an eighth of its size if that does for `box` to become `inner`.

    Returns where `box` lies then. It may end within a pixel: the last row and column are of smaller blocks.
    """
    columns, rows = image.size
    least = [
        math.ceil(_GAP * wanted * size / (end - begin))
        for wanted, size, begin, end in zip(inner, (columns, rows), box[:2], box[2:], strict=True)
    ]
    drafted = image.draft(image.mode, (least[0], least[1]))
    if drafted is None:
        return box
    scale = columns / drafted[1][2]
    return box[0] / scale, box[1] / scale, box[2] / scale, box[3] / scale


def _on_black(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    """The image in the middle of a larger one."""
    from PIL import Image

    whole = Image.new(image.mode, target)
    whole.paste(image, ((target[0] - image.width) // 2, (target[1] - image.height) // 2))
    return whole
