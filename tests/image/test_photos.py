"""Real photos, where the folder with them is known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnfast.image import image_dataset_from_directory, read_image

needs_photos = pytest.mark.skipif("CNNFAST_TEST_DATA" not in os.environ, reason="CNNFAST_TEST_DATA is not set")


def photos():
    return Path(os.environ["CNNFAST_TEST_DATA"])


@needs_photos
def test_the_course_s_photos_are_found_and_read():
    train = image_dataset_from_directory(
        photos() / "cats_and_dogs_small" / "train",
        image_size=(150, 150),
        label_mode="binary",
        seed=1,
        verbose=False,
        on_error="warn",  # a warning is an error here
    )
    assert train.samples == 2000 and train.class_names == ["cats", "dogs"]
    assert np.bincount(train.labels).tolist() == [1000, 1000] and not train.skipped
    x, y = train[0]
    assert x.shape == (32, 150, 150, 3) and y.shape == (32, 1) and x.std() > 40


@needs_photos
def test_every_photo_becomes_an_array_of_each_kind():
    for path in sorted((photos() / "photos").glob("*.jpg")):
        for fit in "stretch", "crop", "pad":
            for mode, channels in ("grayscale", 1), ("rgb", 3), ("rgba", 4):
                assert read_image(path, mode, (64, 48), fit=fit).shape == (64, 48, channels)


def test_pillow_is_not_loaded_before_it_is_needed():
    code = "import sys, cnnfast, cnnfast.utils, cnnfast.models, cnnfast.image; sys.exit('PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
