"""Image files become pixels, or an error that names the file."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cnnfast.image import decode
from cnnfast.image.decode import (
    ImageError,
    array_to_img,
    img_to_array,
    load_img,
    read_image,
    save_img,
    set_max_pixels,
)
from tests.image.files import FORMATS, content, in_every_mode, smooth, write


@pytest.fixture
def limit():
    yield set_max_pixels
    set_max_pixels(decode.DEFAULT_MAX_PIXELS)


@pytest.mark.parametrize("ending", ["png", "bmp", "jpg", "jpeg", "webp", "gif"])
def test_every_format_is_read(tmp_path, ending):
    exact = ending in ("png", "bmp")
    path = write(tmp_path / f"a.{ending}", smooth())
    np.testing.assert_allclose(read_image(path), smooth(), atol=0 if exact else 24)


@pytest.mark.parametrize("mode", in_every_mode())
def test_every_mode_becomes_eight_bits_of_the_wanted_channels(tmp_path, mode):
    image, options = in_every_mode()[mode]
    path = write(tmp_path / mode, image, **options)
    for color_mode, channels in ("grayscale", 1), ("rgb", 3), ("rgba", 4):
        pixels = read_image(path, color_mode)
        assert pixels.shape == (20, 30, channels) and pixels.dtype == np.uint8
        if "I16" not in mode:  # Keras cuts 16 bits off at 255
            np.testing.assert_array_equal(pixels, img_to_array(load_img(path, color_mode)))


def test_of_16_bits_the_upper_8_stay(tmp_path):
    path = write(tmp_path / "a.png", np.array([[0, 255, 256], [257, 40000, 65535]], np.uint16))
    assert read_image(path, "grayscale")[..., 0].tolist() == [[0, 0, 1], [1, 156, 255]]
    assert read_image(path, "rgb")[1, 1].tolist() == [156, 156, 156]
    assert np.asarray(load_img(path, "grayscale")).max() == 65535


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    for ending in "gif", "webp":
        frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:])
        red, green, blue = read_image(tmp_path / f"a.{ending}")[0, 0]
        assert red > 240 and green < 10 and blue < 10


def test_fits_stretch_crop_and_pad(tmp_path):
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 2:6] = 200  # the middle square
    path = write(tmp_path / "a.png", pixels)
    crop = read_image(path, size=(4, 4), fit="crop")
    pad = read_image(path, size=(8, 8), interpolation="nearest", fit="pad")
    stretch = read_image(path, size=(4, 4), interpolation="nearest")
    assert crop.min() == 200
    assert pad[:2].max() == 0 == pad[-2:].max()
    np.testing.assert_array_equal(pad[2:6], pixels)
    np.testing.assert_array_equal(stretch[0, :, 0], [0, 200, 200, 0])


def test_pad_and_crop_are_not_thrown_by_extreme_shapes(tmp_path):
    path = write(tmp_path / "a.png", np.full((1, 500, 3), 9, np.uint8))
    assert read_image(path, size=(30, 20), fit="pad").max() == 9
    assert read_image(path, size=(30, 20), fit="crop").min() == 9
    assert load_img(path, target_size=(30, 20), keep_aspect_ratio=True).size == (20, 30)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_the_quick_way_to_small_images_differs_little_from_the_slow_one(tmp_path, ending, fit):
    path = write(tmp_path / f"a.{ending}", smooth(431, 613))
    slow = Image.open(path).convert("RGB")
    if fit == "crop":
        slow = slow.crop((91, 0, 522, 431))
    size = (28, 40) if fit == "pad" else (40, 40)
    slow = np.asarray(slow.resize(size[::-1], Image.Resampling.BILINEAR), float)
    quick = read_image(path, size=(40, 40), fit=fit).astype(float)
    if fit == "pad":
        quick = quick[6:34]
    assert abs(quick - slow).mean() < 1.5 and abs(quick - slow).max() < 10


def test_nearest_picks_pixels_of_the_file(tmp_path):
    path = write(tmp_path / "a.jpg", np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8))
    whole = load_img(path).resize((50, 50), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(read_image(path, size=(50, 50), interpolation="nearest"), np.asarray(whole))


def test_the_orientation_of_cameras_is_left_alone(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    path = write(tmp_path / "a.jpg", smooth(), exif=exif)
    assert read_image(path).shape == (20, 30, 3)


def test_memory_and_bytes_of_a_path_are_read_too(tmp_path):
    path = write(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(io.BytesIO(path.read_bytes())), smooth())
    np.testing.assert_array_equal(read_image(os.fsencode(path)), smooth())
    with pytest.raises(TypeError, match="path must be a path"):
        load_img(3)


# Files that are none


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the file is empty"),
        (content("PNG")[:20], "damaged PNG image"),
        (content("JPEG")[:4], "damaged JPEG image"),
        (content("BMP")[:10], "damaged BMP image"),
        (content("GIF")[:8], "damaged GIF image"),
        (content("WEBP")[:14], "damaged WebP image"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "no image in one of the formats"),
        (b"hello, world, no image", "no image in one of the formats .* begins with b'hello, world'"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no image in one of the formats"),
        (b"P6 2 2 255\n" + bytes(12), "no image in one of the formats"),  # PPM, which is not on the list
        (content("TIFF"), "no image in one of the formats"),
        (content("JPEG")[:-20], "damaged JPEG image: .*truncated"),
        (content("PNG")[:-100], "damaged PNG image"),
        (content("GIF")[:-100], "damaged GIF image"),
        (content("BMP")[:-100], "damaged BMP image: .*truncated"),
        (content("WEBP")[:-20], "damaged"),
        (content("JPEG")[:12], "no image in one of the formats|damaged"),
    ],
)
@pytest.mark.parametrize("read", [load_img, read_image])
def test_what_is_no_image_is_refused_with_its_name_and_what_is_wrong(tmp_path, data, problem, read):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=problem) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.path == str(path) and isinstance(caught.value, ValueError)


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="no regular file"):
        read_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="no regular file"):
        read_image(tmp_path / "pipe.png")


def bomb(columns, rows):
    """A PNG of some hundred bytes that promises an image of that size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**4)))


@pytest.mark.parametrize("size", [(9000, 9000), (12000, 9000), (60000, 60000)])  # Pillow: silent, warns, refuses
def test_decompression_bombs_are_refused_before_they_are_decoded(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(*size))
    with pytest.raises(ImageError, match=r"bomb\.png.*pixels"):
        read_image(path)


def test_the_limit_of_pixels_can_be_set(tmp_path, limit):
    path = write(tmp_path / "a.png")
    limit(599)
    with pytest.raises(ImageError, match=r"20 x 30 pixels, more than the limit of 599 \(see image.set_max_pixels\)"):
        read_image(path)
    limit(600)
    assert read_image(path).shape == (20, 30, 3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        limit(0)
    with pytest.raises(TypeError, match="whole number"):
        limit(1e9)
    assert read_image(path).shape == (20, 30, 3)


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_files_give_an_image_or_an_error_that_names_them(tmp_path, format):
    data, path = content(format), tmp_path / "cut"
    for length in np.unique(np.linspace(0, len(data) - 1, 60).astype(int)):
        path.write_bytes(data[:length])
        read_or_refuse(path)


@pytest.mark.parametrize("format", FORMATS)
def test_flipped_bits_give_an_image_or_an_error_that_names_them(tmp_path, format, limit):
    limit(10**6)
    generator, path = np.random.default_rng(5), tmp_path / "flipped"
    for data in content(format), content(format, Image.fromarray(smooth()).convert("L")):
        for trial in range(150):
            damaged = bytearray(data)
            reach = 60 if trial % 2 else len(data)  # headers are where it hurts
            for place in generator.integers(0, reach, 1 + trial % 3):
                damaged[place] ^= 1 << generator.integers(8)
            path.write_bytes(damaged)
            read_or_refuse(path)


def read_or_refuse(path):
    for read in (lambda: read_image(path, size=(8, 8)), lambda: np.asarray(load_img(path))):
        try:
            pixels = read()
        except ImageError as error:
            assert str(path) in str(error)
        else:
            assert pixels.dtype == np.uint8 and pixels.shape[-1] == 3


# Arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"color_mode": "bgr"}, ValueError, "color_mode must be"),
        ({"size": (3,)}, ValueError, r"\(rows, columns\)"),
        ({"size": (0, 3)}, ValueError, "at least 1"),
        ({"size": (2.0, 3)}, TypeError, "whole numbers"),
        ({"interpolation": "cubic"}, ValueError, "interpolation must be one of"),
        ({"fit": "squeeze"}, ValueError, "fit must be"),
    ],
)
def test_wrong_arguments_are_refused_before_the_file_is_opened(arguments, error, message):
    with pytest.raises(error, match=message):
        read_image("missing.png", **arguments)


def test_arrays_become_images_and_come_back(tmp_path):
    for channels in 1, 3, 4:
        x = smooth(channels=channels)
        np.testing.assert_array_equal(img_to_array(array_to_img(x, scale=False)), x)
        first = x.transpose(2, 0, 1)
        image = array_to_img(first, "channels_first", scale=False)
        np.testing.assert_array_equal(img_to_array(image, "channels_first"), first)
        save_img(tmp_path / "a.png", x, scale=False)
        mode = {1: "grayscale", 3: "rgb", 4: "rgba"}[channels]
        np.testing.assert_array_equal(read_image(tmp_path / "a.png", mode), x)


def test_jpeg_drops_the_fourth_channel_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="no transparency"):
        save_img(tmp_path / "a.jpg", smooth(channels=4))
    assert read_image(tmp_path / "a.jpg").shape == (20, 30, 3)


@pytest.mark.parametrize("x", [np.zeros((2, 2)), np.zeros((2, 2, 2)), np.zeros((0, 2, 3)), np.zeros((1, 2, 2, 3))])
def test_arrays_that_are_no_images_are_refused(x):
    with pytest.raises(ValueError, match="array_to_img: expected an image"):
        array_to_img(x)
