"""Images: reading files and folders, transforming and augmenting what is in them."""

from cnnfast.image.dataset import ImageDataset
from cnnfast.image.decode import (
    ImageError,
    array_to_img,
    img_to_array,
    load_img,
    read_image,
    save_img,
    set_max_pixels,
)
from cnnfast.image.folders import ImageFiles, list_images
from cnnfast.image.loading import image_dataset_from_csv, image_dataset_from_directory
from cnnfast.image.resize import smart_resize

__all__ = [
    "ImageDataset",
    "ImageError",
    "ImageFiles",
    "array_to_img",
    "image_dataset_from_csv",
    "image_dataset_from_directory",
    "img_to_array",
    "list_images",
    "load_img",
    "read_image",
    "save_img",
    "set_max_pixels",
    "smart_resize",
]
