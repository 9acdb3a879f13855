"""Images by Keras' names (`keras.preprocessing.image`); they are loaded when they are first used.

Example:
    >>> from cnnfast.preprocessing.image import ImageDataGenerator
    >>> ImageDataGenerator(rotation_range=40).rotation_range
    40
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnfast.image.decode import array_to_img, img_to_array, load_img, save_img
    from cnnfast.image.file_iterators import DataFrameIterator, DirectoryIterator
    from cnnfast.image.generator import ImageDataGenerator
    from cnnfast.image.iterators import Iterator, NumpyArrayIterator
    from cnnfast.image.loading import image_dataset_from_directory
    from cnnfast.image.resize import smart_resize
    from cnnfast.image.single import (
        apply_affine_transform,
        apply_brightness_shift,
        apply_channel_shift,
        random_brightness,
        random_channel_shift,
        random_rotation,
        random_shear,
        random_shift,
        random_zoom,
    )

__all__ = [
    "DataFrameIterator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "Iterator",
    "NumpyArrayIterator",
    "apply_affine_transform",
    "apply_brightness_shift",
    "apply_channel_shift",
    "array_to_img",
    "image_dataset_from_directory",
    "img_to_array",
    "load_img",
    "random_brightness",
    "random_channel_shift",
    "random_rotation",
    "random_shear",
    "random_shift",
    "random_zoom",
    "save_img",
    "smart_resize",
]

_ROOMS = {
    "DataFrameIterator": "file_iterators",
    "DirectoryIterator": "file_iterators",
    "ImageDataGenerator": "generator",
    "Iterator": "iterators",
    "NumpyArrayIterator": "iterators",
    "array_to_img": "decode",
    "image_dataset_from_directory": "loading",
    "img_to_array": "decode",
    "load_img": "decode",
    "save_img": "decode",
    "smart_resize": "resize",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'cnnfast.preprocessing.image' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cnnfast.image.{_ROOMS.get(name, 'single')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
