"""`ImageDataset` augments with transforms."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast.image import ImageDataset
from cnnfast.image import transforms as T
from cnnfast.image.decode import save_img
from tests.image.pictures import photos


@pytest.fixture
def folder(tmp_path, rng):
    images = photos(rng, 6, 20, 20)
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for path, image in zip(paths, images, strict=True):
        save_img(path, image, scale=False)
    return images, {"file_paths": paths, "labels": [0, 1] * 3, "image_size": (20, 20), "batch_size": 4, "seed": 3}


def test_files_are_augmented_as_arrays_are(folder):
    images, arguments = folder
    dataset = ImageDataset(**arguments, augment="standard", workers=2)
    for epoch in range(2):
        found = np.concatenate([batch for batch, _ in dataset])
        np.testing.assert_array_equal(found, T.get("standard")(images, seed=3, epoch=epoch).images)
    plain = np.concatenate([dataset.for_inference()[i][0] for i in range(2)])
    np.testing.assert_array_equal(plain, images)


def test_files_can_be_mixed(folder):
    _, arguments = folder
    dataset = ImageDataset(**arguments, augment=T.MixUp(alpha=1.0), label_mode="categorical")
    labels = np.concatenate([labels for _, labels in dataset])
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
    assert (labels.max(1) < 1).any()
