"""What all transforms promise: keyed randomness, parts that stay together, configs, errors at the door."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from cnnfast.image import transforms as T
from tests.image.pictures import photos

EACH = [
    T.RandomFlip("horizontal_and_vertical"),
    T.RandomAffine(rotation=30, shift=0.1, shear=(10, 5), zoom=0.2, stretch=0.1),
    T.RandomRotation((10, 40), fill_mode="constant", cval=50),
    T.Pad((1, 2, 3, 4)),
    T.CenterCrop((11, 13)),
    T.RandomCrop(20, padding=2),
    T.RandomCrop(padding=(2, 4)),
    T.Resize((17, 40)),
    T.RandomResizedCrop((16, 20)),
    T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    T.Grayscale(0.5),
    T.Invert(),
    T.AutoContrast(),
    T.Equalize(),
    T.Posterize(3),
    T.Solarize(100),
    T.Sharpness(0.9),
    T.Cutout(0.3, count=2, fill="noise"),
    T.RandomErasing(0.9, fill="mean"),
    T.RandAugment(3, 15),
    T.TrivialAugment(),
    T.RandomApply([T.RandomRotation(90), T.ColorJitter(0.5)], 0.5),
    T.OneOf([T.RandomRotation(90), T.ColorJitter(0.5), T.Cutout()], weights=[1, 2, 1]),
    *(T.get(name) for name in T.PRESETS),
]
MIXING = [T.MixUp(3), T.CutMix(3), T.OneOf([T.MixUp(3), T.CutMix(3)])]


@pytest.mark.parametrize("transform", EACH, ids=repr)
def test_sample_gets_the_same_pixels_in_any_batch(transform, rng):
    images = photos(rng, 6)
    whole = transform(images, seed=3, epoch=2, samples=np.arange(10, 16)).images
    order = rng.permutation(6)
    shuffled = transform(images[order], seed=3, epoch=2, samples=10 + order).images
    np.testing.assert_array_equal(shuffled, whole[order])
    for part in (slice(0, 1), slice(1, 6)):
        split = transform(images[part], seed=3, epoch=2, samples=np.arange(10, 16)[part]).images
        np.testing.assert_array_equal(split, whole[part])
    alone = transform(images[4], seed=3, epoch=2, samples=14).images
    np.testing.assert_array_equal(alone, whole[4])


@pytest.mark.parametrize("transform", EACH, ids=repr)
def test_threads_do_not_change_pixels(transform, rng):
    images = photos(rng, 4)
    expected = transform(images, seed=8).images
    found = [None] * 4

    def work(number):
        found[number] = transform(images[number : number + 1], seed=8, samples=[number], threads=1).images[0]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    np.testing.assert_array_equal(np.stack(found), expected)


@pytest.mark.parametrize("transform", [T.get("strong"), T.RandAugment(2, 20), T.MixUp(4)], ids=repr)
def test_seed_epoch_and_sample_each_change_pixels(transform, rng):
    images, labels = photos(rng, 4), np.arange(4)
    first, *others = (
        transform(images, labels=labels, **{"seed": 1, "epoch": 0, **key}).images
        for key in ({}, {"seed": 2}, {"epoch": 1}, {"samples": [4, 5, 6, 7]})
    )
    assert all((first != other).any() for other in others)


@pytest.mark.parametrize("transform", [*EACH, *MIXING], ids=repr)
def test_input_is_left_alone(transform, rng):
    images, labels = photos(rng, 3), np.array([0, 1, 2])
    before = images.copy()
    masks = None if transform in MIXING else images[..., 0]
    out = transform(images, labels=labels, masks=masks, seed=1)
    out.images[:] = 7
    if masks is not None:
        out.masks[:] = 7
    np.testing.assert_array_equal(images, before)
    assert labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("transform", EACH, ids=repr)
@pytest.mark.parametrize("white", [255.0, 1.0])
def test_floats_follow_bytes(transform, rng, white):
    """As far as rounding goes: a value that is rounded first may fall on the other side of a step by one level."""
    images = photos(rng, 4)
    of_bytes = transform(images, seed=4).images
    floats = (images * np.float32(white / 255)).astype(np.float32)
    out = transform(floats, seed=4, value_range=white)
    assert out.images.dtype == np.float32
    assert out.images.min() >= 0 and out.images.max() <= white
    difference = np.abs(out.images * (255 / white) - of_bytes)
    assert np.quantile(difference, 0.95) < 4  # each op rounds once, and some double what was rounded before
    assert np.median(difference) < 1


@pytest.mark.parametrize("transform", [*EACH, *MIXING], ids=repr)
def test_config_goes_through_json(transform, rng):
    again = T.deserialize(json.loads(json.dumps(T.serialize(transform))))
    assert again == transform and repr(again) == repr(transform)
    images, labels = photos(rng, 3), np.array([0, 1, 2])
    np.testing.assert_array_equal(
        again(images, labels=labels, seed=5).images, transform(images, labels=labels, seed=5).images
    )


def test_description_cannot_name_what_is_not_a_registered_transform():
    for description in (
        {"class_name": "os.system", "config": {}},
        {"class_name": "Compose", "config": {"transforms": [{"class_name": "Popen", "config": {}}]}},
        {"class_name": "RandomFlip", "config": {"shell": True}},
        {"class_name": "Compose", "config": {"transforms": "flip"}},
        {"class_name": "Compose", "config": {}},
    ):
        with pytest.raises(ValueError):
            T.get(description)


def test_own_transform_can_be_registered(monkeypatch):
    monkeypatch.setattr(T.TRANSFORMS, "_classes", dict(T.TRANSFORMS._classes))

    @T.register
    class Darken(T.Transform):
        """Half as bright."""

        def apply(self, work, which):
            work.writable(which)[which] //= 2

    transform = T.get(json.loads(json.dumps(T.serialize(T.Compose([Darken(), T.RandomFlip(p=0)])))))
    assert transform(np.full((1, 2, 2, 1), 9, np.uint8)).images.tolist() == np.full((1, 2, 2, 1), 4).tolist()


def test_presets_are_known_by_name():
    assert list(T.PRESETS) == ["light", "standard", "strong", "randaugment", "trivial"]
    assert T.get(None) is None
    with pytest.raises(ValueError, match="unknown preset 'heavy'; known: light, standard"):
        T.get("heavy")
    with pytest.raises(TypeError, match=r"transforms.get: expected a transform.*came 3"):
        T.get(3)


def test_random_apply_and_one_of_keep_their_probabilities():
    images = np.zeros((2000, 1, 1, 1), np.uint8)
    applied = T.RandomApply(T.Invert(p=1), 0.3)(images, seed=1).images.mean() / 255
    assert abs(applied - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 2000)
    chosen = T.OneOf([T.Invert(p=1), T.Invert(p=0), T.Pad(0)], weights=[1, 3, 0])(images, seed=1).images.mean() / 255
    assert abs(chosen - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 2000)


def test_all_parts_come_back_as_they_came(rng):
    images = photos(rng, 2)
    masks = np.zeros((2, 24, 32), bool)
    out = T.get("standard")(
        images, masks=masks, boxes=[[[1, 2, 5, 6]], []], labels=[["cat"], []], keypoints=[[], [[3, 4]]]
    )
    assert out.masks.dtype == bool and out.masks.shape == masks.shape
    assert [box.shape for box in out.boxes] == [(1, 4), (0, 4)] and out.labels[0].tolist() == ["cat"]
    assert [points.shape for points in out.keypoints] == [(0, 2), (1, 2)]
    one = T.RandomFlip()(images[0], masks=masks[0], boxes=[[1, 2, 5, 6]], labels=["cat"])
    assert one.images.shape == images[0].shape and one.masks.shape == masks[0].shape
    assert one.boxes.shape == (1, 4) and one.labels.tolist() == ["cat"] and one.keypoints is None
    for dtype in (np.int32, np.int64, np.uint16, np.float64):
        out = T.RandomFlip(p=1)(images, masks=np.arange(2 * 24 * 32).reshape(2, 24, 32, 1).astype(dtype)).masks
        assert out.dtype == dtype and out.shape == (2, 24, 32, 1) and out[0, 0, 0, 0] == 31


def test_masks_take_what_lies_beyond_the_edge_as_far_as_they_can_hold_it():
    images, masks = np.zeros((1, 1, 2, 1), np.uint8), np.full((1, 1, 2), 65535, np.uint16)
    for mask_cval, expected in (-1.0, 0), (70000.0, 65535), (300.0, 300):
        out = T.Pad((0, 1), mask_cval=mask_cval)(images, masks=masks).masks
        assert out.dtype == np.uint16 and out.tolist() == [[[expected, 65535, 65535, expected]]]


IMAGES = np.zeros((2, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": IMAGES.astype(np.int32)}, TypeError, "images must be uint8 or floats, came int32"),
        ({"images": IMAGES[0, 0]}, ValueError, r"one image \(H, W, C\), came shape \(8, 3\)"),
        ({"images": IMAGES[:0]}, ValueError, "images are empty"),
        ({"seed": -1}, ValueError, "seed must lie in 0"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number"),
        ({"epoch": -1}, ValueError, "epoch must be a whole number from 0, came -1"),
        ({"samples": [1]}, ValueError, "samples must be 2 whole numbers"),
        ({"samples": [1.0, 2.0]}, ValueError, "samples must be 2 whole numbers"),
        ({"samples": [1, -2]}, ValueError, "samples must be 2 whole numbers"),
        ({"masks": np.zeros((2, 8, 7))}, ValueError, r"masks must be .*came \(2, 8, 7\)"),
        ({"masks": np.zeros((2, 8, 8), complex)}, TypeError, "masks must be numbers"),
        ({"masks": np.full((2, 8, 8), 2**25)}, ValueError, "masks must lie within"),
        ({"boxes": [[[1, 2, 3, 4]]]}, ValueError, "boxes must come for each of 2 images, came 1"),
        ({"boxes": [[[1, 2, 3]], []]}, ValueError, r"boxes of image 0 must be finite numbers \(n, 4\)"),
        ({"boxes": [[], [[1, 2, 3, np.nan]]]}, ValueError, "boxes of image 1 must be finite"),
        ({"boxes": [[[5, 2, 3, 4]], []]}, ValueError, "x_min, y_min, x_max, y_max"),
        (
            {"boxes": [[[1, 2, 3, 4]], []], "labels": [[1, 2], []]},
            ValueError,
            r"\[1, 0\] for each image, came \[2, 0\]",
        ),
        ({"labels": [1]}, ValueError, "labels must come for each of 2 images"),
        ({"min_visible": 2}, ValueError, "min_visible must be finite and in 0 to 1"),
        ({"value_range": 0}, ValueError, "value_range"),
        ({"images": np.full((1, 2, 2, 3), 300.0)}, ValueError, "float images must lie in 0 to value_range=255"),
        ({"images": np.full((1, 2, 2, 3), np.nan)}, ValueError, "float images must lie in 0"),
        ({"images": np.full((1, 2, 2, 4), 3, np.uint8)}, ValueError, "1 or 3 channels, came 4"),
    ],
)
def test_unusable_input_is_refused_at_the_door(arguments, error, message):
    with pytest.raises(error, match=f"ColorJitter: .*{message}|ColorJitter: {message}"):
        T.ColorJitter(0.1)(**{"images": IMAGES, **arguments})


def test_floats_that_look_like_the_other_range_are_warned_of():
    with pytest.warns(UserWarning, match="for 0 to 1 give value_range=1"):
        T.ColorJitter(0.1)(np.full((1, 2, 2, 3), 0.5))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: T.RandomFlip("diagonal"), ValueError, "RandomFlip: mode must be one of horizontal"),
        (lambda: T.RandomFlip(p=1.5), ValueError, "RandomFlip: p must be finite and in 0 to 1, came 1.5"),
        (lambda: T.RandomAffine(rotation=(3, 1)), ValueError, r"RandomAffine: rotation must be \(low, high\)"),
        (lambda: T.RandomAffine(zoom=-0.1), ValueError, "RandomAffine: zoom must be finite and at least 0"),
        (lambda: T.RandomAffine(fill_mode="mirror"), ValueError, "fill_mode must be one of reflect, nearest"),
        (lambda: T.RandomAffine(order=7), ValueError, "order must be a spline order from 0 to 5, came 7"),
        (lambda: T.RandomAffine(shift="wide"), TypeError, "shift must be a number, came 'wide'"),
        (lambda: T.RandomAffine(shear=90), ValueError, "shear must be finite and in 0 to 89"),
        (lambda: T.RandomRotation(np.inf), ValueError, "degrees must be finite"),
        (lambda: T.Pad(-1), ValueError, "Pad: padding must be at least 0"),
        (lambda: T.Pad(1.5), TypeError, "Pad: padding must be a whole number"),
        (lambda: T.Resize(0), ValueError, "Resize: size must be at least 1"),
        (lambda: T.Resize((1, 2, 3)), TypeError, "Resize: size must be whole numbers"),
        (lambda: T.RandomResizedCrop(scale=(0.5, 2)), ValueError, "scale must be finite and in"),
        (
            lambda: T.CenterCrop(9)(IMAGES),
            ValueError,
            r"CenterCrop: size \(9, 9\) does not fit into images of \(8, 8\)",
        ),
        (lambda: T.RandomCrop(13, padding=2)(IMAGES), ValueError, r"does not fit into images of \(12, 12\)"),
        (lambda: T.ColorJitter(hue=0.6), ValueError, "hue must be finite and in -0.5 to 0.5"),
        (lambda: T.ColorJitter(brightness=(-1, 1)), ValueError, "brightness must be finite and at least 0"),
        (lambda: T.Posterize(0), ValueError, "bits must be finite and in 1 to 8"),
        (lambda: T.Cutout(fill="grey"), ValueError, "fill must be 0 to 255, 'mean' or 'noise'"),
        (lambda: T.Cutout(0), ValueError, "size must be above 0"),
        (lambda: T.MixUp(2.5), ValueError, "num_classes must be a whole number"),
        (lambda: T.RandAugment(magnitude=31), ValueError, "magnitude must be finite and in 0 to 30"),
        (lambda: T.Compose([]), ValueError, "Compose: expected at least one transform"),
        (lambda: T.Compose(["light"]), TypeError, "Compose: expected transforms, came 'light'"),
        (lambda: T.OneOf([T.Invert()], weights=[1, 2]), ValueError, "OneOf: expected 1 weights, came 2"),
        (lambda: T.OneOf([T.Invert()], weights=[0]), ValueError, "not all 0"),
        (lambda: T.RandomApply(T.Resize(4), 0.5)(np.repeat(IMAGES, 9, 0)), ValueError, "must apply to all of a batch"),
    ],
)
def test_unusable_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
