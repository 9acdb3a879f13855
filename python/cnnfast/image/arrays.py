"""Arrays become Pillow images and image files, and images become arrays, as in Keras."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """The pixels of a Pillow image, as Keras' `img_to_array` gives them.

    Args:
        img: a Pillow image, or an array (H, W) or (H, W, C).
        data_format: "channels_last" (None means it) or "channels_first".
        dtype: of the result; float32 if None.

    Returns:
        (H, W, C), or (C, H, W) with "channels_first".

    Raises:
        ValueError: another shape or data format.

    Example:
        >>> img_to_array(array_to_img(np.eye(2)[..., None]))[..., 0]
        array([[255.,   0.],
               [  0., 255.]], dtype=float32)
    """
    first = channels_first("img_to_array", data_format)
    x = np.asarray(img, dtype=np.float32 if dtype is None else dtype)
    if x.ndim not in (2, 3):
        raise ValueError(f"img_to_array: expected an image (H,W) or (H,W,C), got {x.shape}")
    x = x.reshape(*x.shape, 1) if x.ndim == 2 else x
    return x.transpose(2, 0, 1) if first else x


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Image.Image:
    """A Pillow image of an array, as Keras' `array_to_img` makes it.

    Args:
        x: (H, W, C), or (C, H, W) with "channels_first"; C = 1, 3 or 4.
        data_format: "channels_last" (None means it) or "channels_first".
        scale: stretch the values so that the smallest becomes 0 and the largest 255; otherwise they are cut off behind
            the point.
        dtype: to compute in; float32 if None.

    Raises:
        ValueError: another shape.

    Example:
        >>> array_to_img(np.zeros((2, 3, 3))).size
        (3, 2)
    """
    from PIL import Image

    first = channels_first("array_to_img", data_format)
    x = np.asarray(x, dtype=np.float32 if dtype is None else dtype)
    if x.ndim != 3:
        raise ValueError(f"array_to_img: expected an image (H,W,C), got {x.shape}")
    x = x.transpose(1, 2, 0) if first else x
    if x.shape[2] not in (1, 3, 4) or x.size == 0:
        raise ValueError(f"array_to_img: expected an image of 1, 3 or 4 channels, got (H,W,C)={x.shape}")
    if scale:
        x = x - x.min()
        if (largest := x.max()) != 0:
            x = x / largest
        x = x * 255
    if x.shape[2] > 1:
        return Image.fromarray(x.astype(np.uint8))
    gray = x[..., 0]
    return Image.fromarray(gray.astype(np.int32 if gray.max() > 255 else np.uint8))


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Writes an array to an image file.

    Args:
        path: the file, or a file object.
        x, data_format, scale: as for `array_to_img`.
        file_format: "png", "jpeg" and so on; by default what the name of the file ends in.
        kwargs: more for Pillow's `Image.save`, as `quality=95`.

    Raises:
        ValueError: an array that is no image, or an unknown format. OSError: the file cannot be written.

    JPEG has no transparency: the fourth channel is left out, with a warning.

    Example:
        >>> save_img("gray.jpg", np.linspace(0, 1, 64).reshape(8, 8, 1))
    """
    image = array_to_img(x, data_format, scale)
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = os.path.splitext(os.fspath(path))[1][1:]
    name = {"jpg": "jpeg"}.get((file_format or "").lower(), file_format)
    if image.mode == "RGBA" and name is not None and name.lower() == "jpeg":
        import warnings

        warnings.warn("save_img: JPEG has no transparency, the fourth channel is left out", stacklevel=2)
        image = image.convert("RGB")
    image.save(path, format=name or None, **kwargs)


def channels_first(op: str, data_format: str | None) -> bool:
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(f"{op}: data_format must be 'channels_last' or 'channels_first', got {data_format!r}")
    return data_format == "channels_first"
