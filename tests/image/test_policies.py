"""RandAugment and TrivialAugment draw from their published lists."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnnfast.image import pixels, policies
from cnnfast.image import transforms as T
from tests.image.pictures import photos

NAMES = {
    "Identity", "AutoContrast", "Equalize", "Rotate", "Solarize", "Color", "Posterize", "Contrast", "Brightness",
    "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY",
}  # fmt: skip


@pytest.mark.parametrize("table", [policies.RAND_AUGMENT, policies.TRIVIAL_AUGMENT_WIDE])
def test_the_lists_are_the_papers(table):
    assert set(table) == NAMES
    signed = {name for name, operation in table.items() if operation.signed}
    assert signed == NAMES - {"Identity", "AutoContrast", "Equalize", "Solarize", "Posterize"}


def highest(table):
    return {name: (table[name].low, table[name].high) for name in NAMES if table[name].high or table[name].low}


def test_ranges_of_magnitudes_are_the_papers():
    enhancements = ("Color", "Contrast", "Brightness", "Sharpness")
    rand = highest(policies.RAND_AUGMENT)
    assert {name: rand[name] for name in ("Rotate", "ShearX", "ShearY", "Posterize", "Solarize")} == {
        "Rotate": (0, 30), "ShearX": (0, 0.3), "ShearY": (0, 0.3), "Posterize": (0, 4), "Solarize": (255, 0),
    }  # fmt: skip
    assert all(rand[name] == (0, 0.9) for name in enhancements)
    move = policies.RAND_AUGMENT["TranslateX"].move(150 / 331, (10, 331))
    assert move.tolist() == [[1, 0, 0], [0, 1, -150], [0, 0, 1]]
    wide = highest(policies.TRIVIAL_AUGMENT_WIDE)
    assert {name: wide[name] for name in set(wide) - set(enhancements)} == {
        "Rotate": (0, 135), "ShearX": (0, 0.99), "ShearY": (0, 0.99), "Posterize": (0, 6), "Solarize": (255, 0),
        "TranslateX": (0, 32), "TranslateY": (0, 32),
    }  # fmt: skip
    assert all(wide[name] == (0, 0.99) for name in enhancements)


def candidates(image, magnitude_of, table):
    """What each operation makes of an image, with both signs; moves as transforms of one image."""
    found = {}
    for name, operation in table.items():
        for negative in (False, True) if operation.signed else (False,):
            magnitude = magnitude_of(operation, negative)
            if operation.change is not None:
                found[name, negative] = operation.change(magnitude)(image)
            elif operation.move is not None:
                matrix = operation.move(magnitude, image.shape[:2])
                found[name, negative] = policies.Work(image[None], [None]), matrix
            else:
                found[name, negative] = image
    for key, value in found.items():
        if isinstance(value, tuple):
            work, matrix = value
            fill = policies.filling("test", 1, "constant", 128.0, 0.0)
            work.move(np.array([0]), matrix[None], fill=fill)
            found[key] = work.images()[0]
    return found


def test_each_operation_is_drawn_equally_often_and_with_both_signs(rng):
    image = photos(rng, 1)[0]
    image = image // 2 + 30  # nothing that AutoContrast would leave alone
    count = 2800
    out = T.RandAugment(num_ops=1, magnitude=20)(np.repeat(image[None], count, 0), seed=1).images
    made = candidates(image, lambda operation, negative: operation.magnitude(20 / 30, negative), policies.RAND_AUGMENT)
    assert len({picture.tobytes() for picture in made.values()}) == len(made)  # they can be told apart
    by_picture = {picture.tobytes(): key for key, picture in made.items()}
    drawn = [by_picture[picture.tobytes()] for picture in out]  # a KeyError would be an operation of no list
    for name, negative in made:
        share = (1 if not policies.RAND_AUGMENT[name].signed else 0.5) / 14
        frequency = drawn.count((name, negative)) / count
        assert abs(frequency - share) < 4 * np.sqrt(share * (1 - share) / count)


def test_trivial_augment_draws_all_bins(rng):
    """Of Brightness, the only operation that scales a picture of one value."""
    operations = {"Brightness": policies.TRIVIAL_AUGMENT_WIDE["Brightness"]}

    class Brightness(T.TrivialAugment):
        pass

    Brightness.operations = operations
    out = Brightness(num_magnitude_bins=5)(np.full((1000, 1, 1, 1), 100, np.float32), seed=3).images.ravel()
    expected = sorted({100 * (1 + sign * 0.99 * bin / 4) for sign in (-1, 1) for bin in range(5)})
    np.testing.assert_allclose(np.unique(out.round(2)), expected, atol=0.01)
    assert abs((out < 99).mean() - 0.4) < 4 * np.sqrt(0.24 / 1000)


def pillow_affine(*numbers):
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, numbers, fillcolor=(9, 9, 9))


@pytest.mark.parametrize(
    ("name", "level", "pillows"),
    [
        ("Color", 1.0, lambda image: ImageEnhance.Color(image).enhance(1.9)),
        ("Posterize", 0.5, lambda image: ImageOps.posterize(image, 6)),
        ("Solarize", 0.2, lambda image: ImageOps.solarize(image, 204)),
        ("Sharpness", 1.0, lambda image: ImageEnhance.Sharpness(image).enhance(1.9)),
        ("Equalize", 0.7, ImageOps.equalize),
        (
            "ShearX",
            1.0,
            pillow_affine(1, 0.3, 0, 0, 1, 0),
        ),
        (
            "ShearY",
            1.0,
            pillow_affine(1, 0, 0, 0.3, 1, 0),
        ),
        (
            "TranslateX",
            1.0,
            pillow_affine(1, 0, -14, 0, 1, 0),
        ),
        (
            "TranslateY",
            1.0,
            pillow_affine(1, 0, 0, 0, 1, -10),
        ),
        ("Rotate", 1.0, lambda image: image.rotate(30, fillcolor=(9, 9, 9))),
    ],
)
def test_operations_do_what_the_published_code_does_with_pillow(name, level, pillows, rng):
    image = photos(rng, 1)[0]  # 24 x 32: 45 % are 10 and 14 pixels
    operation = policies.RAND_AUGMENT[name]
    magnitude = operation.magnitude(level, False)
    expected = np.asarray(pillows(Image.fromarray(image)))
    if operation.change is not None:
        np.testing.assert_array_equal(operation.change(magnitude)(image), expected)
        return
    work = policies.Work(image[None], [None])
    work.move(
        np.array([0]), operation.move(magnitude, (24, 32))[None], fill=policies.filling(name, 0, "constant", 9.0, 0.0)
    )
    same = (work.images()[0] == expected).all(-1)
    # nearest neighbours, apart from ties and a pixel's width at the edge, where SciPy's rule and Pillow's differ
    assert same.mean() > 0.93
    assert same[4:-4, 4:-4].mean() > 0.98 or name in ("ShearX", "ShearY", "Rotate")


def test_number_of_operations_and_magnitude_zero(rng):
    images = photos(rng, 40)
    still = T.RandAugment(num_ops=2, magnitude=0)(images, seed=1).images
    # at bin 0 nothing but AutoContrast, Equalize and Solarize (of 255 alone) changes an image
    changed = (still != images).any((1, 2, 3)).mean()
    assert 0.1 < changed < 0.6
    assert pixels.posterize(images[0], 8).tobytes() == images[0].tobytes()
