"""Explanations of real networks fall on what a person would point at in real photos.

Needs the folder of photos and weights in CNNFAST_TEST_DATA, and for ResNet-50 the one that
`tools/fetch_test_weights.py` fills in CNNFAST_TEST_WEIGHTS.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cnnfast import applications, explain
from cnnfast.applications.imagenet_utils import preprocess_input

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

NETWORKS = {
    "ResNet50": ("CNNFAST_TEST_WEIGHTS", "resnet50_keras_v0.2.npz"),
    "SqueezeNet1_0": ("CNNFAST_TEST_DATA", "weights/squeezenet_v1.0_fp32.npz"),
}
DOG_AND_CAT, ELEPHANTS = "gradcam_both.jpg", "creative_commons_elephant.jpg"

# Boxes around the animals as shares of the photo: top, left, bottom, right.
DOG = (0.045, 0.313, 0.634, 0.759)
CAT = (0.527, 0.161, 0.991, 0.893)
HERD = (0.137, 0.168, 0.672, 1.0)

# photo, ImageNet's class, where it is
ANSWERS = [
    pytest.param(DOG_AND_CAT, 281, CAT, id="tabby cat"),
    pytest.param(DOG_AND_CAT, 243, DOG, id="bull mastiff"),
    pytest.param(ELEPHANTS, 386, HERD, id="African elephant"),
]


def folder(variable):
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    return Path(value)


@cache
def network(name):
    variable, file = NETWORKS[name]
    path = folder(variable) / file
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return getattr(applications, name)(weights=path)


@cache
def photo(name, size):
    """(1, size, size, 3) in 0..255, stretched to the square, so that shares of the photo stay what they are."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with image.open(folder("CNNFAST_TEST_DATA") / "photos" / name) as opened:
        return np.asarray(opened.convert("RGB").resize((size, size), image.Resampling.BILINEAR))[None]


def explained(name, picture, target):
    model = network(name)
    x = preprocess_input(photo(picture, model.input_shape[1]), mode=model.preprocessing).astype(np.float32)
    return explain.gradcam(model, x, target, normalize=False)[0]


def share(heat, box):
    """The part of a map's sum that lies in a box."""
    rows, columns = heat.shape
    top, left, bottom, right = box
    inside = heat[round(top * rows) : round(bottom * rows), round(left * columns) : round(right * columns)]
    return inside.sum() / heat.sum()


@pytest.mark.parametrize(("picture", "target", "box"), ANSWERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradcam_of_a_class_falls_on_the_animal(name, picture, target, box):
    assert share(explained(name, picture, target), box) > 0.6


@pytest.mark.parametrize("name", NETWORKS)
def test_each_animal_is_pointed_at_for_its_own_class_only(name):
    cat, dog = (explained(name, DOG_AND_CAT, target) for target in (281, 243))
    assert share(cat, CAT) > 0.2 + share(dog, CAT)
    assert share(dog, DOG) > 0.2 + share(cat, DOG)
