"""`ImageDataGenerator`: what its arguments mean, in each compat mode, without Keras."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import random
from cnnfast.image.generator import ImageDataGenerator
from cnnfast.image.parameters import COMPAT
from cnnfast.image.standardize import whitening_matrix
from cnnfast.image.streams import ORDER, order_rng, sample_rng, uniforms
from tests.image.files import smooth

FIXED = ImageDataGenerator()


def dot(rows, columns, row, column):
    """An image that is black but for one pixel."""
    image = np.zeros((rows, columns, 1), np.float32)
    image[row, column] = 255
    return image


def place(image):
    """Row and column of the only pixel that is not black; None if there is none."""
    found = np.argwhere(image[..., 0] > 127)
    return tuple(int(n) for n in found[0]) if len(found) == 1 else None


def mode(compat, **arguments):
    arguments.setdefault("fill_mode", "constant")
    return ImageDataGenerator(compat=compat, interpolation_order=0, **arguments)


# Streams


def test_streams_of_many_samples_are_those_of_each():
    for seed in (0, 1, 2**64 - 1, 2**127 + 3):
        for epoch in (0, 2**40):
            samples = [0, 3, 10**12, ORDER]
            expected = [sample_rng(seed, epoch, sample).random(7) for sample in samples]
            np.testing.assert_array_equal(uniforms(seed, epoch, samples, 7), expected)


def test_no_two_streams_are_the_same():
    first = [sample_rng(1, e, s).random() for e in range(3) for s in (0, 1, 2**53, 2**53 + 1)]
    first += [order_rng(1, e).random() for e in range(3)] + [sample_rng(2, 0, 0).random()]
    assert len(set(first)) == len(first)


# Movement


def test_fixed_turns_around_the_centre_of_images_that_are_not_square():
    x = dot(4, 8, 1, 3)
    assert place(mode("fixed").apply_transform(x, {"theta": 180})) == (2, 4)


def test_keras3_turns_them_around_another_point():
    """The centre's coordinates are swapped: (5.5, 0.5) - (row, column) is where the pixel goes."""
    x = dot(4, 8, 1, 3)
    assert place(mode("keras3").apply_transform(x, {"theta": 180})) is None


def test_keras2_turns_around_a_point_one_pixel_off():
    """The centre is h/2 + 0.5: the pixel (1, 3) comes from (2 * 2.5 - 1, 2 * 4.5 - 3)."""
    assert place(mode("keras2").apply_transform(dot(4, 8, 2, 4), {"theta": 180})) == (3, 5)


@pytest.mark.parametrize("compat,counter_clockwise", [("fixed", True), ("keras3", True), ("keras2", False)])
def test_the_direction_of_positive_angles(compat, counter_clockwise):
    x = np.zeros((21, 21, 1), np.float32)
    x[9:12, 17:20] = 255  # to the right of the centre
    rows = np.nonzero(mode(compat).apply_transform(x, {"theta": 30}))[0]
    assert (rows.mean() < 8) if counter_clockwise else (rows.mean() > 12)


@pytest.mark.parametrize("compat", COMPAT)
@pytest.mark.parametrize("what", ["height", "width"])
def test_shifts_move_as_they_are_called_but_in_keras3(compat, what):
    generator = mode(compat, **{f"{what}_shift_range": [3]})
    row, column = place(generator.random_transform(dot(9, 9, 4, 4), seed=1))
    vertical = (what == "height") != (compat == "keras3")
    assert (abs(row - 4), abs(column - 4)) == ((3, 0) if vertical else (0, 3))


def test_shifts_are_fractions_below_one_and_pixels_from_there():
    shape, seeds = (10, 40, 1), range(200)

    def drawn(**arguments):
        generator = ImageDataGenerator(**arguments)
        found = [generator.get_random_transform(shape, seed) for seed in seeds]
        return np.array([one["tx"] for one in found]), np.array([one["ty"] for one in found])

    tx, ty = drawn(width_shift_range=0.5, height_shift_range=0.5)
    assert 19 < np.abs(tx).max() <= 20 and 4.5 < np.abs(ty).max() <= 5
    tx, ty = drawn(width_shift_range=2.0, height_shift_range=3)
    assert 1.9 < np.abs(tx).max() <= 2 and set(ty) == {-2, -1, 0, 1, 2}
    tx, ty = drawn(width_shift_range=[1, 4], height_shift_range=(0.1, 0.2))
    assert set(tx) == {-4, -1, 1, 4} and set(ty) == {-2, -1, 1, 2}


def test_a_zoom_above_one_makes_things_smaller_along_its_own_axis():
    x = np.zeros((20, 20, 1), np.float32)
    x[5:15, 5:15] = 255
    small = mode("fixed").apply_transform(x, {"zx": 2.0})
    assert (small[10] > 0).sum() == 5 and (small[:, 10] > 0).sum() == 10


def test_shear_leans_without_changing_widths():
    x = np.zeros((21, 21, 1), np.float32)
    x[:, 8:13] = 255
    leaning = mode("fixed").apply_transform(x, {"shear": 30})
    starts = [int(np.flatnonzero(row)[0]) for row in leaning[3:18, :, 0] if row.any()]
    assert starts == sorted(starts) or starts == sorted(starts, reverse=True)
    assert abs(starts[-1] - starts[0]) == pytest.approx(14 * np.sin(np.pi / 6), abs=1)


def test_fixed_and_keras3_agree_on_square_images_without_shifts():
    x = smooth(20, 20).astype(np.float32)
    one = {"theta": 33.0, "shear": 12.0, "zx": 0.8, "zy": 1.3, "flip_horizontal": True}
    ours, keras = (ImageDataGenerator(compat=compat).apply_transform(x, one) for compat in ("fixed", "keras3"))
    np.testing.assert_allclose(ours, keras, atol=256 * 16 * 2.0**-24)


def test_flips_mirror_after_the_movement():
    x = smooth(9, 12).astype(np.float32)
    for order in (0, 1, 3):
        generator = ImageDataGenerator(interpolation_order=order)
        moved = generator.apply_transform(x, {"theta": 25, "tx": 1.5})
        for flips in ({"flip_horizontal": True}, {"flip_vertical": True}):
            axis = 1 if "flip_horizontal" in flips else 0
            both = generator.apply_transform(x, {"theta": 25, "tx": 1.5, **flips})
            np.testing.assert_allclose(both, np.flip(moved, axis), atol=1e-3)
            np.testing.assert_array_equal(generator.apply_transform(x, flips), np.flip(x, axis))


def test_an_image_that_nothing_happens_to_stays_as_it_is():
    x = smooth(9, 12).astype(np.float32)
    for order in range(6):
        result = ImageDataGenerator(interpolation_order=order).apply_transform(x, {"theta": 0})
        np.testing.assert_array_equal(result, x)
        assert result is not x


# Intensity


def test_channel_shift_stays_in_the_range_of_the_image():
    x = smooth().astype(np.float32)
    result = FIXED.apply_transform(x, {"channel_shift_intensity": 30.0})
    np.testing.assert_array_equal(result, np.clip(x + np.float32(30), x.min(), x.max()))


def test_brightness_multiplies():
    x = smooth().astype(np.float32)
    np.testing.assert_allclose(FIXED.apply_transform(x, {"brightness": 0.7}), x * 0.7, rtol=1e-6)
    assert FIXED.apply_transform(x, {"brightness": 9.0}).max() == 255


def test_brightness_leaves_transparency():
    x = smooth(channels=4)
    for compat in ("fixed", "keras3"):
        result = ImageDataGenerator(compat=compat).apply_transform(x, {"brightness": 0.5})
        np.testing.assert_array_equal(result[..., 3], x[..., 3])
        assert np.abs(result[..., :3] - x[..., :3] / 2).max() <= 0.5


def test_keras2_stretches_the_values_first_and_keras3_does_not():
    x = np.array([[[10.0], [110.0]]], np.float32)
    assert ImageDataGenerator(compat="keras2").apply_transform(x, {"brightness": 1.0}).ravel().tolist() == [0, 255]
    assert ImageDataGenerator(compat="keras3").apply_transform(x, {"brightness": 0.5}).ravel().tolist() == [5, 55]


# Draws


@pytest.mark.parametrize("compat", COMPAT)
def test_a_seed_gives_the_same_transform_again(compat):
    generator = mode(compat, rotation_range=30, zoom_range=0.3, channel_shift_range=5.0)
    first, again = (generator.get_random_transform((8, 8, 3), seed=4) for _ in range(2))
    assert first == again != generator.get_random_transform((8, 8, 3), seed=5)


def test_without_a_seed_parameters_come_from_cnnfasts_generator():
    generator = ImageDataGenerator(rotation_range=30)
    random.set_seed(3)
    first = generator.get_random_transform((8, 8, 3))
    random.set_seed(3)
    assert generator.get_random_transform((8, 8, 3)) == first != generator.get_random_transform((8, 8, 3))


def test_a_parameter_does_not_depend_on_which_others_are_in_use():
    one = ImageDataGenerator(zoom_range=0.2).get_random_transform((8, 8, 3), seed=1)
    all_of_them = ImageDataGenerator(rotation_range=9, shear_range=3, zoom_range=0.2, brightness_range=(1, 2))
    assert one["zx"] == all_of_them.get_random_transform((8, 8, 3), seed=1)["zx"]


def test_parameters_fill_their_ranges_evenly():
    generator = ImageDataGenerator(rotation_range=10, zoom_range=(0.5, 0.75), horizontal_flip=True)
    found = [generator.get_random_transform((8, 8, 1), seed) for seed in range(2000)]
    theta, zx = (np.array([one[name] for one in found]) for name in ("theta", "zx"))
    # the standard error of a mean of 2000 uniform numbers over a width w is w / sqrt(12 * 2000); five of them
    assert abs(theta.mean()) < 5 * 20 / np.sqrt(24000) and abs(zx.mean() - 0.625) < 5 * 0.25 / np.sqrt(24000)
    assert theta.min() >= -10 and theta.max() <= 10 and zx.min() >= 0.5 and zx.max() <= 0.75
    flips = sum(one["flip_horizontal"] for one in found)
    assert abs(flips - 1000) < 5 * np.sqrt(500) and not any(one["flip_vertical"] for one in found)


# Standardisation


def test_standardisation_comes_in_keras_order():
    x = smooth(4, 5).astype(np.float64)
    generator = ImageDataGenerator(
        samplewise_center=True, samplewise_std_normalization=True, featurewise_center=True,
        featurewise_std_normalization=True, rescale=0.5, preprocessing_function=lambda image: image + 7,
    )  # fmt: skip
    generator.mean, generator.std = np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0])
    expected = (x + 7) * 0.5
    expected = (expected - expected.mean()) / (expected.std() + 1e-6)
    expected = (expected - generator.mean) / (generator.std + 1e-6)
    np.testing.assert_allclose(generator.standardize(x.copy()), expected, rtol=1e-12)


def test_standardize_changes_floats_in_place():
    x = np.full((2, 2, 3), 51.0, np.float32)
    assert ImageDataGenerator(rescale=1 / 255).standardize(x) is x
    whole = np.full((2, 2, 3), 51, np.uint8)
    assert ImageDataGenerator(rescale=1 / 255).standardize(whole).dtype == np.float32 and whole.max() == 51


def test_fixed_standardises_each_image_of_a_batch():
    x = np.stack([smooth(seed=1), smooth(seed=2) // 2]).astype(np.float64)
    generator = ImageDataGenerator(samplewise_center=True)
    means = generator.standardize(x.copy()).mean((1, 2, 3))
    np.testing.assert_allclose(means, 0, atol=1e-10)


def test_fit_finds_mean_and_standard_deviation_of_channels():
    x = np.random.default_rng(1).normal(100, 20, (50, 6, 7, 3)).astype(np.float32)
    generator = ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True, rescale=0.1)
    generator.fit(x)
    exact = x.astype(np.float64) * 0.1
    np.testing.assert_allclose(generator.mean.ravel(), exact.mean((0, 1, 2)), rtol=4e-7)
    np.testing.assert_allclose(generator.std.ravel(), exact.std((0, 1, 2)), rtol=1e-6)
    batch = next(generator.flow(x, batch_size=50, shuffle=False, augment=False))
    np.testing.assert_allclose(batch.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(batch.std((0, 1, 2)), 1, atol=1e-5)


def test_fit_can_augment():
    x = np.stack([dot(9, 9, 0, 4)] * 20)
    generator = ImageDataGenerator(featurewise_center=True, rotation_range=180, fill_mode="constant")
    generator.fit(x)
    plain = generator.mean.copy()
    generator.fit(x, augment=True, rounds=3, seed=1)
    first = generator.mean.copy()
    generator.fit(x, augment=True, rounds=3, seed=1)
    assert first == generator.mean != plain


def test_whitening_makes_pixels_uncorrelated():
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12))).astype(np.float32).reshape(400, 2, 2, 3)
    with pytest.warns(UserWarning, match="sets featurewise_center"):
        generator = ImageDataGenerator(zca_whitening=True)
    generator.fit(x)
    white = next(generator.flow(x, batch_size=400, shuffle=False)).reshape(400, 12).astype(np.float64)
    np.testing.assert_allclose(white.T @ white / 400, np.eye(12), atol=2e-3)
    centred = (x - x.mean((0, 1, 2))).reshape(400, 12).astype(np.float64)
    np.testing.assert_allclose(generator.zca_whitening_matrix, whitening_matrix(centred, 1e-6), rtol=1e-3, atol=1e-5)


def test_statistics_that_are_missing_are_told_of():
    for name in ("featurewise_center", "featurewise_std_normalization", "zca_whitening"):
        arguments = {"featurewise_center": True, name: True}
        with pytest.warns(UserWarning) as found:
            ImageDataGenerator(**arguments).standardize(np.ones((2, 2, 3)))
        assert any(f"{name} has no effect before the generator is fitted" in str(w.message) for w in found)


# Types, formats, errors


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16, np.float32, np.float64])
def test_apply_transform_keeps_the_type(dtype):
    x = smooth().astype(dtype)
    result = FIXED.apply_transform(x, {"theta": 10})
    assert result.dtype == dtype and result.shape == x.shape
    exact = FIXED.apply_transform(x.astype(np.float32), {"theta": 10})
    assert np.abs(result - exact.astype(np.float64)).max() <= (0.51 if result.dtype.kind in "iu" else 0.07)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int16, np.int64])
def test_splines_that_overshoot_stay_within_what_whole_numbers_hold(dtype):
    limits = np.iinfo(dtype)
    x = np.zeros((12, 12, 1), dtype)
    x[:, 6:] = limits.max
    result = ImageDataGenerator(interpolation_order=3).apply_transform(x, {"theta": 45})
    exact = ImageDataGenerator(interpolation_order=3).apply_transform(x.astype(np.float64), {"theta": 45})
    assert exact.min() < 0 and exact.max() > limits.max
    np.testing.assert_allclose(result, exact.clip(limits.min, limits.max), rtol=1e-6, atol=0.5)


@pytest.mark.parametrize("compat", ["keras2", "keras3"])
def test_bytes_are_cut_off_behind_the_point_as_keras_does(compat):
    x = np.array([0, 100, 255], np.uint8).reshape(1, 1, 3, 1)
    flow = ImageDataGenerator(channel_shift_range=27.0, dtype="uint8", compat=compat).flow(x, seed=0)
    found = next(flow).ravel()
    np.random.seed(0)  # noqa: NPY002
    np.random.permutation(1)  # noqa: NPY002
    parameters = flow.image_data_generator.get_random_transform((1, 3, 1))
    exact = (x.ravel() + parameters["channel_shift_intensity"]).clip(0, 255)
    assert exact[1] % 1 > 0.5
    assert found.tolist() == exact.astype(np.uint8).tolist()


def test_channels_first_is_the_same_transposed():
    x = np.stack([smooth(seed=s) for s in range(4)])
    arguments = {"rotation_range": 30, "brightness_range": (0.5, 1.5), "rescale": 1 / 255, "featurewise_center": True}
    batches = []
    for data_format, images in ("channels_last", x), ("channels_first", x.transpose(0, 3, 1, 2)):
        generator = ImageDataGenerator(data_format=data_format, **arguments)
        generator.fit(images)
        batches.append(next(generator.flow(images, seed=1)))
    np.testing.assert_allclose(batches[0], batches[1].transpose(0, 2, 3, 1), atol=1e-6)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"fill_mode": "mirror"}, "fill_mode must be one of"),
        ({"compat": "keras4"}, "compat must be one of 'fixed', 'keras2', 'keras3'"),
        ({"data_format": "first"}, "data_format must be one of"),
        ({"zoom_range": [1, 2, 3]}, "zoom_range must be two numbers"),
        ({"zoom_range": 1.5}, "zoom_range must not give negative factors"),
        ({"brightness_range": [1]}, "brightness_range must be two numbers"),
        ({"validation_split": 1.0}, "validation_split must lie between 0 and 1"),
        ({"interpolation_order": 6}, "interpolation_order must lie in 0 to 5"),
        ({"rotation_range": float("nan")}, "rotation_range must be finite"),
        ({"cval": 1e39}, "cval must be finite in single precision"),
        ({"rescale": -1e39}, "rescale must be finite in single precision"),
        ({"height_shift_range": -1}, "height_shift_range as a whole number of pixels must be at least 0"),
        ({"dtype": "int32"}, "dtype must be one of"),
        ({"dtype": "uint8", "rescale": 0.1}, "dtype uint8 cannot hold"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"ImageDataGenerator: {message}"):
        ImageDataGenerator(**arguments)


@pytest.mark.parametrize("arguments", [{"rotation_range": "40"}, {"preprocessing_function": 3}, {"cval": None}])
def test_arguments_of_other_types_are_refused(arguments):
    with pytest.raises(TypeError, match="ImageDataGenerator"):
        ImageDataGenerator(**arguments)


def test_images_and_parameters_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"expected an image \(H,W,C\), got \(4, 4\)"):
        FIXED.apply_transform(np.zeros((4, 4)), {})
    with pytest.raises(ValueError, match="unknown parameter 'angle'"):
        FIXED.apply_transform(np.zeros((4, 4, 1)), {"angle": 3})
    with pytest.raises(ValueError, match=r"fit: expected images \(N,H,W,C\), got \(4, 4, 1\)"):
        FIXED.fit(np.zeros((4, 4, 1)))
    with pytest.raises(ValueError, match="preprocessing_function must return an image of the shape it gets"):
        next(ImageDataGenerator(preprocessing_function=lambda x: x[:2]).flow(np.zeros((2, 4, 4, 1))))


def test_what_cannot_be_meant_is_warned_of():
    with pytest.warns(UserWarning, match="shear_range=0.2 is in degrees"):
        ImageDataGenerator(shear_range=0.2)
    bright = ImageDataGenerator(brightness_range=(0.5, 1.5))
    with pytest.warns(UserWarning, match="brightness_range is for images of values from 0 to 255"):
        bright.flow(np.full((2, 4, 4, 1), 0.5))
