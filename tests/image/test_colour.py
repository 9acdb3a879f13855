"""Colours: Pillow's results bit for bit, and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnnfast.image import pixels
from cnnfast.image import transforms as T
from tests.image.pictures import photos

THRESHOLDS = [0, 1, 128, 200.5, 255, 256]
FACTORS = [0.0, 0.1, 0.37, 0.9, 1.0, 1.3, 1.9, 2.5]


def pictures():
    rng = np.random.default_rng(5)
    yield photos(rng, 1, 41, 57)[0]
    yield rng.integers(0, 256, (33, 20, 3), dtype=np.uint8)
    yield rng.normal(90, 20, (40, 30, 3)).clip(0, 255).astype(np.uint8)
    yield rng.integers(100, 104, (20, 21, 3), dtype=np.uint8)
    yield np.full((9, 8, 3), 7, np.uint8)
    yield rng.integers(0, 2, (30, 10, 3), dtype=np.uint8) * np.uint8(255)
    yield rng.integers(0, 256, (2, 5, 3), dtype=np.uint8)
    yield rng.integers(0, 256, (25, 31, 1), dtype=np.uint8)


def as_pillow(picture):
    return Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)


def as_array(image):
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("Brightness", pixels.brightness),
        ("Contrast", pixels.contrast),
        ("Color", pixels.saturation),
        ("Sharpness", pixels.sharpness),
    ],
)
def test_enhancements_are_pillows(name, function):
    for picture in pictures():
        for factor in FACTORS:
            expected = as_array(getattr(ImageEnhance, name)(as_pillow(picture)).enhance(factor))
            np.testing.assert_array_equal(function(picture, factor), expected)


@pytest.mark.parametrize(
    ("ours", "pillows"),
    [
        (pixels.autocontrast, ImageOps.autocontrast),
        (pixels.equalize, ImageOps.equalize),
        (pixels.invert, ImageOps.invert),
        *((lambda x, b=b: pixels.posterize(x, b), lambda i, b=b: ImageOps.posterize(i, b)) for b in range(1, 9)),
        *(
            (lambda x, t=t: pixels.solarize(x, t), lambda i, t=t: ImageOps.solarize(i, t))
            for t in (0, 1, 128, 200.5, 255, 256)
        ),
    ],
)
def test_operations_are_pillows(ours, pillows):
    for picture in pictures():
        np.testing.assert_array_equal(ours(picture), as_array(pillows(as_pillow(picture))))


@pytest.mark.parametrize(
    ("transform", "pillows"),
    [
        (T.Invert(p=1), ImageOps.invert),
        (T.AutoContrast(p=1), ImageOps.autocontrast),
        (T.Equalize(p=1), ImageOps.equalize),
        (T.Posterize(2, p=1), lambda image: ImageOps.posterize(image, 2)),
        (T.Solarize(77, p=1), lambda image: ImageOps.solarize(image, 77)),
        (T.Sharpness((1.7, 1.7)), lambda image: ImageEnhance.Sharpness(image).enhance(1.7)),
        (T.Grayscale(), lambda image: image.convert("L").convert("RGB")),
    ],
    ids=repr,
)
def test_transforms_do_what_pillow_does(transform, pillows, rng):
    images = photos(rng, 3)
    expected = np.stack([as_array(pillows(as_pillow(image))) for image in images])
    np.testing.assert_array_equal(transform(images).images, expected)


def oracle(image, brightness, contrast, saturation, hue):
    """Four steps in float64, nothing cut off in between."""
    weights = np.array([0.299, 0.587, 0.114])
    x = image.astype(np.float64)
    grey = x @ weights
    x = grey[..., None] + saturation * (x - grey[..., None])
    mean = (x @ weights).mean()
    x = mean + contrast * (x - mean)
    x *= brightness
    to_yiq = np.array([weights, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    y, i, q = np.moveaxis(x @ to_yiq.T, -1, 0)
    turn = np.exp(2j * np.pi * hue) * (i + 1j * q)
    return np.clip(np.stack([y, turn.real, turn.imag], -1) @ np.linalg.inv(to_yiq).T, 0, 255)


@pytest.mark.parametrize(
    "factors", [(1.2, 1, 1, 0), (1, 0.5, 1, 0), (1, 1, 1.6, 0), (1, 1, 1, 0.2), (0.8, 1.3, 0.4, -0.3)]
)
def test_jitter_is_its_four_linear_steps(factors, rng):
    images = photos(rng, 3)
    brightness, contrast, saturation, hue = factors
    jitter = T.ColorJitter(*((f, f) for f in (brightness, contrast, saturation)), (hue, hue))
    expected = np.stack([oracle(image, *factors) for image in images])
    np.testing.assert_allclose(jitter(images.astype(np.float32)).images, expected, atol=2e-2)  # Pillow's 16-bit weights
    # rounded to the nearest, and two levels may meet at a half
    np.testing.assert_allclose(jitter(images).images, expected, atol=0.5 + 2e-2)


def test_jitter_of_brightness_or_saturation_alone_is_pillows_but_for_rounding(rng):
    image = photos(rng, 1)[0]
    for name, jitter in (("Brightness", T.ColorJitter((1.4, 1.4))), ("Color", T.ColorJitter(saturation=(0.3, 0.3)))):
        factor = 1.4 if name == "Brightness" else 0.3
        expected = np.asarray(getattr(ImageEnhance, name)(Image.fromarray(image)).enhance(factor)).astype(int)
        assert np.abs(jitter(image).images - expected).max() <= 1


def test_hue_keeps_grey_pixels_and_the_grey_of_pixels(rng):
    turn = T.ColorJitter(hue=(0.3, 0.3))
    grey = np.repeat(photos(rng, 1, channels=1), 3, 3)
    np.testing.assert_array_equal(turn(grey).images, grey)
    pale = (100 + photos(rng, 1) // 8).astype(np.float32)  # far from the limits
    np.testing.assert_allclose(turn(pale).images @ [0.299, 0.587, 0.114], pale @ [0.299, 0.587, 0.114], atol=0.05)
    assert np.abs(turn(pale).images - pale).max() > 5
    full = T.ColorJitter(hue=(0.5, 0.5))
    np.testing.assert_allclose(full(full(pale).images).images, pale, atol=0.01)


def test_jitter_of_a_grey_picture_has_no_colour_to_change(rng):
    images = photos(rng, 2, channels=1)
    np.testing.assert_array_equal(T.ColorJitter(saturation=0.9, hue=0.5)(images, seed=1).images, images)
    rgb = T.ColorJitter(0.3, 0.3, 0.9)(np.repeat(images, 3, 3), seed=1).images
    np.testing.assert_allclose(T.ColorJitter(0.3, 0.3, 0.9)(images, seed=1).images, rgb[..., :1], atol=1)


def test_factors_are_drawn_from_their_range():
    images = np.full((3000, 1, 1, 1), 100, np.float32)
    out = T.ColorJitter(brightness=0.5)(images, seed=1).images.ravel()
    assert 50 <= out.min() < 51 and 149 < out.max() <= 150
    assert abs(out.mean() - 100) < 4 * 100 / np.sqrt(12 * 3000)
    out = T.ColorJitter(brightness=1.5)(images, seed=1).images.ravel()
    assert out.min() < 1 and out.max() > 245  # factors from 0, not from -0.5


def test_sometimes_is_as_often_as_said():
    changed = T.Invert(0.2)(np.zeros((3000, 1, 1, 1), np.uint8), seed=4).images.mean() / 255
    assert abs(changed - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 3000)
