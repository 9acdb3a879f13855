"""Image files, folders and splits against Keras."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast.image import (
    array_to_img,
    image_dataset_from_directory,
    img_to_array,
    load_img,
    read_image,
    save_img,
    smart_resize,
)
from tests.image.files import folder, in_every_mode, plain, smooth, write

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
keras = pytest.importorskip("keras")


@pytest.mark.parametrize("mode", in_every_mode())
@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
def test_load_img_gives_the_same_pixels(tmp_path, mode, color_mode):
    image, options = in_every_mode()[mode]
    path = write(tmp_path / mode, image, **options)
    cases = [{}] + [
        {"target_size": size, "interpolation": interpolation, "keep_aspect_ratio": keep}
        for size in [(10, 10), (41, 20)]
        for interpolation in ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
        for keep in (False, True)
        if not (keep and image.mode.startswith("I;16"))
    ]
    for case in cases:
        ours, theirs = (f(path, color_mode=color_mode, **case) for f in (load_img, keras.utils.load_img))
        assert ours.mode == theirs.mode and ours.size == theirs.size
        np.testing.assert_array_equal(img_to_array(ours), keras.utils.img_to_array(theirs))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_arrays_and_images_are_converted_alike(tmp_path, channels, scale, data_format):
    x = np.random.default_rng(1).normal(100, 40, (7, 5, channels)).clip(0, 255)
    x = x if data_format == "channels_last" else x.transpose(2, 0, 1)
    ours, theirs = (f(x, data_format=data_format, scale=scale) for f in (array_to_img, keras.utils.array_to_img))
    assert ours.mode == theirs.mode
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    np.testing.assert_array_equal(img_to_array(ours, data_format), keras.utils.img_to_array(theirs, data_format))
    for save, name in (save_img, "a.png"), (keras.utils.save_img, "b.png"):
        save(tmp_path / name, x, data_format=data_format, scale=scale)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_gray_images_of_more_than_8_bits_are_converted_alike():
    x = np.arange(6.0).reshape(2, 3, 1) * 100
    ours, theirs = (f(x, scale=False) for f in (array_to_img, keras.utils.array_to_img))
    assert ours.mode == theirs.mode == "I"
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("shape", [(20, 30, 3), (30, 21, 1), (2, 9, 40, 3)])
@pytest.mark.parametrize("size", [(10, 10), (41, 20), (7, 33)])
def test_smart_resize_agrees(interpolation, shape, size):
    x = np.random.default_rng(2).uniform(0, 255, shape).astype(np.float32)
    ours = smart_resize(x, size, interpolation)
    theirs = keras.preprocessing.image.smart_resize(x, size, interpolation=interpolation)
    assert ours.shape == theirs.shape
    # sums of 25 float32 products below 255 * 1.3; TensorFlow takes its cubic weights from a table with steps of 1/1024,
    # where they change by up to 1.5 per pixel: 255 * 1.5 / 2048 for each axis
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=0.4 if interpolation == "bicubic" else 1e-3)


@pytest.fixture
def pets(tmp_path):
    root = folder(tmp_path / "pets", {"cats": 7, "dogs": 6, "Birds": 4, ".hidden": 2})
    for i, name in enumerate(["sub/a.png", "sub/deep/b.PNG", "Sub2/c.png"]):
        plain(root / "dogs" / name, 100 + i)
    (root / "cats" / "notes.txt").write_text("no image")
    (root / "readme.txt").write_text("no folder")
    return root


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("split", [{}, {"validation_split": 0.3, "subset": "training"},
                                   {"validation_split": 0.3, "subset": "validation"}])  # fmt: skip
def test_folders_are_listed_shuffled_and_split_alike(pets, shuffle, split):
    arguments = dict(split, shuffle=shuffle, seed=7, image_size=(8, 8), batch_size=4, verbose=False)
    ours = image_dataset_from_directory(pets, **arguments)
    theirs = keras.utils.image_dataset_from_directory(str(pets), **arguments)
    assert ours.file_paths == theirs.file_paths
    assert ours.class_names == theirs.class_names


def test_both_parts_and_chosen_classes_are_alike(pets):
    arguments = {"seed": 3, "validation_split": 0.2, "subset": "both", "class_names": ["dogs", "cats"]}
    for ours, theirs in zip(
        image_dataset_from_directory(pets, verbose=False, **arguments),
        keras.utils.image_dataset_from_directory(str(pets), verbose=False, **arguments),
        strict=True,
    ):
        assert ours.file_paths == theirs.file_paths
        assert ours.class_names == theirs.class_names == ["dogs", "cats"]


@pytest.mark.parametrize("label_mode", ["int", "categorical"])
@pytest.mark.parametrize("color_mode", ["rgb", "grayscale", "rgba"])
def test_batches_hold_the_same_images_and_labels(pets, label_mode, color_mode):
    arguments = {"shuffle": False, "image_size": (8, 8), "batch_size": 5, "verbose": False}
    arguments |= {"label_mode": label_mode, "color_mode": color_mode}
    ours = image_dataset_from_directory(pets, dtype="float32", **arguments)
    theirs = keras.utils.image_dataset_from_directory(str(pets), **arguments)
    for (x, y), (x_keras, y_keras) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, x_keras.numpy())
        np.testing.assert_array_equal(y, y_keras.numpy())
        assert y.dtype == y_keras.numpy().dtype


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_enlarged_images_differ_from_keras_by_rounding_alone(tmp_path, fit):
    for name in "a", "b":
        write(tmp_path / name / "0.png", smooth(20, 30))
    keep = {"stretch": {}, "crop": {"crop_to_aspect_ratio": True}, "pad": {"pad_to_aspect_ratio": True}}[fit]
    theirs = keras.utils.image_dataset_from_directory(
        str(tmp_path), image_size=(60, 60), shuffle=False, verbose=False, **keep
    )
    x = next(iter(theirs))[0].numpy()[0]
    ours = read_image(tmp_path / "a" / "0.png", size=(60, 60), fit=fit)
    inside = slice(2, -2) if fit == "crop" else slice(None)  # Pillow's crop sees the pixels beyond its edge
    assert abs(ours - x)[:, inside].max() < 1.01
