"""What augmentation makes of an image, as training sees it."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import plots
from cnnfast.image import transforms
from cnnfast.image.generator import ImageDataGenerator
from cnnfast.image.transforms import AugmentedDataset

RNG = np.random.default_rng(2)
PHOTOS = RNG.integers(0, 256, (6, 12, 10, 3), dtype=np.uint8)


def drawn(figure) -> list[np.ndarray]:
    return [ax.images[0].get_array() for ax in figure.axes]


def test_the_original_comes_first_and_then_what_the_transform_gives():
    figure = plots.augmentation_samples("standard", PHOTOS[0], count=3, seed=4)
    change = transforms.get("standard")
    expected = [PHOTOS[0], *(change(PHOTOS[0], seed=4, epoch=i).images for i in range(3))]
    for shown, image in zip(drawn(figure), expected, strict=True):
        np.testing.assert_array_equal(shown, image / 255)
    assert [ax.get_title() for ax in figure.axes] == ["original", "1", "2", "3"]


def test_a_generator_and_float_images_from_0_to_1_will_do():
    generator = ImageDataGenerator(rotation_range=30, horizontal_flip=True)
    image = PHOTOS[1] / np.float32(255)
    shown = drawn(plots.augmentation_samples(generator, image, count=2, seed=7))
    for i in range(2):
        np.testing.assert_allclose(shown[i + 1], np.clip(generator.random_transform(image, seed=7 + i), 0, 1))


def test_versions_of_another_size_are_drawn_as_they_are():
    shown = drawn(plots.augmentation_samples(transforms.RandomCrop((5, 4)), PHOTOS[0], count=2))
    assert [image.shape for image in shown] == [(12, 10, 3), (5, 4, 3), (5, 4, 3)]


def test_grey_images_are_drawn_in_grey():
    shown = drawn(plots.augmentation_samples(transforms.RandomFlip(), PHOTOS[0, ..., :1], count=1))
    np.testing.assert_array_equal(shown[0], PHOTOS[0, ..., 0] / 255)


@pytest.mark.parametrize("augment_inference", [False, True])
def test_of_a_data_set_it_is_what_training_sees_in_its_first_epochs(augment_inference):
    data = AugmentedDataset(
        PHOTOS, np.arange(6), "standard", batch_size=4, seed=5, workers=0, augment_inference=augment_inference
    )
    figure = plots.augmentation_samples(data, sample=5, count=3)
    shown = drawn(figure)
    np.testing.assert_array_equal(shown[0], PHOTOS[5] / 255)
    assert [ax.get_title() for ax in figure.axes] == ["original", "epoch 1", "epoch 2", "epoch 3"]
    for epoch in range(3):
        seen = {int(k): x for images, labels in data for k, x in zip(labels, images, strict=True)}
        np.testing.assert_array_equal(shown[epoch + 1], seen[5] / 255)


def test_mixing_takes_the_labels_along():
    mixed = transforms.MixUp(num_classes=6)
    data = AugmentedDataset(PHOTOS, np.arange(6), mixed, batch_size=3, seed=5, workers=0, shuffle=False)
    shown = drawn(plots.augmentation_samples(data, sample=4, count=2))
    np.testing.assert_array_equal(shown[0], PHOTOS[4] / 255)
    for epoch in range(2):
        np.testing.assert_array_equal(shown[epoch + 1], list(data)[1][0][1] / 255)


class Plain:
    def for_inference(self):
        return self


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: plots.augmentation_samples("standard"), ValueError, r"str needs an image \(H, W, C\)"),
        (lambda: plots.augmentation_samples("standard", PHOTOS), ValueError, r"must be \(H, W, C\), came \(6, 12"),
        (lambda: plots.augmentation_samples("standard", PHOTOS[0], count=0), ValueError, "count must lie in 1 to 399"),
        (lambda: plots.augmentation_samples("standard", PHOTOS[0], columns=0), ValueError, "columns must be at least"),
        (lambda: plots.augmentation_samples(None, PHOTOS[0]), TypeError, "expected a transform, a generator or a data"),
        (lambda: plots.augmentation_samples(Plain()), TypeError, "the Plain does not augment"),
        (
            lambda: plots.augmentation_samples(AugmentedDataset(PHOTOS, workers=0), sample=6),
            ValueError,
            "no sample 6, the data set has 6",
        ),
        (
            lambda: plots.augmentation_samples(AugmentedDataset(PHOTOS, workers=0), PHOTOS[0]),
            ValueError,
            "a data set has its own images",
        ),
    ],
)
def test_bad_sources_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
