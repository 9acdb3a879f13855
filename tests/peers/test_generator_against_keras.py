"""`ImageDataGenerator` with compat="keras3" against today's Keras, number by number."""

# ruff: noqa: NPY002 - Keras draws from NumPy's global generator

from __future__ import annotations

import numpy as np
import pytest

from cnnfast.image import keras_affine
from cnnfast.image.generator import ImageDataGenerator
from cnnfast.image.parameters import Transforms, collect
from cnnfast.preprocessing import image as facade
from tests.image.files import folder, smooth, write
from tests.tolerance import UNIT_ROUNDOFF

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("keras")
pytest.importorskip("scipy")
theirs = pytest.importorskip("keras.src.legacy.preprocessing.image")

# order 1 is computed here in float32: weights, three roundings of each of two mixtures, rounding of the result; the
# others are rounded once, there and here, and splines may leave the range of pixels by as much again
ROUNDINGS = {0: 0, 1: 9, 3: 2 * 2}
TOLERANCE = {order: 256 * UNIT_ROUNDOFF * count for order, count in ROUNDINGS.items()}

COURSE = {
    "rotation_range": 40,
    "width_shift_range": 0.2,
    "height_shift_range": 0.2,
    "shear_range": 20,
    "zoom_range": 0.2,
    "horizontal_flip": True,
}
SETTINGS = {
    "course": COURSE,
    "rotation": {"rotation_range": 180},
    "shifts in pixels": {"width_shift_range": 3, "height_shift_range": 7},
    "shifts by float pixels": {"width_shift_range": 3.5, "height_shift_range": 1.0},
    "shifts from sequences": {"width_shift_range": [1, 4, 6], "height_shift_range": [0.1, 0.25]},
    "zoom": {"zoom_range": [0.5, 0.9], "vertical_flip": True},
    "flips alone": {"horizontal_flip": True, "vertical_flip": True},
    "nothing": {},
    "colours": {"channel_shift_range": 60.0, "brightness_range": (0.3, 1.8), "rotation_range": 10},
    "all": {**COURSE, "channel_shift_range": 30, "brightness_range": [0.5, 2], "vertical_flip": True},
}  # fmt: skip


def images(count=6, rows=19, columns=26, channels=3, dtype=np.uint8):
    return np.stack([smooth(rows, columns, channels, seed) for seed in range(count)]).astype(dtype)


def both(**arguments):
    return ImageDataGenerator(compat="keras3", **arguments), theirs.ImageDataGenerator(**arguments)


def within(found, expected, order, brightness=False):
    """Whole numbers of brightness may come out on either side of a cut where the affine transform was rounded."""
    assert found.dtype == expected.dtype and found.shape == expected.shape
    wrong = np.abs(found.astype(np.float64) - expected) > TOLERANCE[order]
    assert wrong.mean() <= (1e-3 if brightness else 0), np.abs(found - expected).max()


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("fill_mode", ["nearest", "constant", "reflect", "wrap"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_batches_are_the_same(setting, fill_mode, order):
    arguments = {**SETTINGS[setting], "fill_mode": fill_mode, "cval": 17.0, "interpolation_order": order}
    x, y = images(), np.arange(6)
    for seed in (0, 12345):
        ours, keras = (g.flow(x, y, batch_size=4, seed=seed) for g in both(**arguments))
        for _ in range(4):  # two epochs
            (found, labels), (expected, expected_labels) = next(ours), next(keras)
            np.testing.assert_array_equal(labels, expected_labels)
            within(found, expected, order, "brightness_range" in arguments)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_batches_are_the_same_for_other_images(channels, dtype):
    x = images(channels=channels, dtype=dtype)
    ours, keras = (g.flow(x, seed=3) for g in both(**COURSE, rescale=1 / 255))
    found, expected = next(ours), next(keras)
    within(255 * found, 255 * expected, 1)


def test_without_a_seed_both_go_on_with_numpys_generator():
    results = []
    for generator in both(**SETTINGS["all"]):
        np.random.seed(11)
        flow = generator.flow(images(), np.arange(6), batch_size=4)
        results.append([next(flow) for _ in range(5)] + [np.random.random(3)])
    for (found, labels), (expected, expected_labels) in zip(*(r[:-1] for r in results), strict=True):
        np.testing.assert_array_equal(labels, expected_labels)
        within(found, expected, 1, brightness=True)
    np.testing.assert_array_equal(results[0][-1], results[1][-1])


def test_batches_by_number_are_the_same_over_epochs():
    ours, keras = (g.flow(images(), np.arange(6), batch_size=4, seed=5) for g in both(**COURSE))
    for _ in range(3):
        for i in range(2):
            (found, labels), (expected, expected_labels) = ours[i], keras[i]
            np.testing.assert_array_equal(labels, expected_labels)
            within(found, expected, 1)
        ours.on_epoch_end()
        keras.on_epoch_end()
    assert ours.total_batches_seen == keras.total_batches_seen


def test_parameters_are_the_same():
    rng = np.random.default_rng(7)
    for trial in range(50):
        arguments = SETTINGS[list(SETTINGS)[trial % len(SETTINGS)]]
        seed, shape = int(rng.integers(2**32)), (*rng.integers(1, 50, 2), 3)
        ours, keras = both(**arguments)
        assert ours.get_random_transform(shape, seed) == keras.get_random_transform(shape, seed)


def test_matrices_have_the_same_bits(monkeypatch):
    """So that coordinates fall on the same side of edges and of middles between pixels."""
    rng = np.random.default_rng(8)
    for _ in range(200):
        rows, columns = (int(n) for n in rng.integers(1, 300, 2))
        one = dict(zip(("theta", "tx", "ty", "shear", "zx", "zy"), rng.normal(1, 30, 6), strict=True))
        for name in rng.choice(list(one), 2):
            del one[name]
        seen = []

        def spy(x, matrix, offset, seen=seen, **_):
            seen.append(np.column_stack([matrix, offset]))
            return x

        from scipy import ndimage

        with monkeypatch.context() as patch:
            patch.setattr(
                ndimage.interpolation if hasattr(ndimage, "interpolation") else ndimage, "affine_transform", spy
            )
            theirs.ImageDataGenerator().apply_transform(np.zeros((rows, columns, 1)), one)
        found = keras_affine.affine_matrices(collect([one]), rows, columns, "keras3")[0]
        np.testing.assert_array_equal(found, seen[0])


@pytest.mark.parametrize("shape", [(9, 9, 3), (4, 8, 1), (8, 5, 3), (1, 7, 1), (7, 1, 3)])
@pytest.mark.parametrize("order", [0, 1, 3])
def test_apply_transform_is_the_same_for_round_parameters(shape, order):
    """Right angles and whole shifts, where coordinates lie on edges of the image up to roundings."""
    x = np.random.default_rng(9).integers(0, 256, shape).astype(np.float32)
    for fill_mode in ("nearest", "constant", "reflect", "wrap"):
        ours, keras = both(fill_mode=fill_mode, cval=-5.0, interpolation_order=order)
        for one in (
            {"theta": 90}, {"theta": 180}, {"theta": -90, "flip_horizontal": True}, {"tx": 2}, {"ty": -1},
            {"tx": 0.5, "flip_vertical": True}, {"shear": 45}, {"zx": 2.0, "zy": 0.5}, {"zx": 0.5},
            {"flip_horizontal": True}, {"theta": 180, "tx": 1, "ty": 1, "channel_shift_intensity": 10.0},
        ):  # fmt: skip
            within(ours.apply_transform(x, one), keras.apply_transform(x, one), order)


@pytest.mark.parametrize(
    "arguments",
    [
        {"samplewise_center": True, "samplewise_std_normalization": True, "rescale": 0.5},
        {"featurewise_center": True, "featurewise_std_normalization": True, "rescale": 1 / 255},
        {"featurewise_center": True, "preprocessing_function": lambda x: x[::-1] * 2},
        {"samplewise_std_normalization": True, "featurewise_std_normalization": True},
    ],
)
def test_standardised_batches_are_the_same(arguments):
    x = images(dtype=np.float32)
    results = []
    for generator in both(**arguments, rotation_range=20):
        generator.fit(x, augment=True, rounds=2, seed=4)
        results.append((generator.mean, generator.std, next(generator.flow(x, seed=1))))
    for found, expected in zip(*results, strict=True):
        if expected is not None:
            # sums of 6 * 2 * 19 * 26 floats, pairwise or in rows; results of a size up to 255
            np.testing.assert_allclose(
                found, expected, rtol=1e-5, atol=255 * 64 * UNIT_ROUNDOFF * np.abs(expected).max()
            )


def test_a_preprocessing_function_may_draw_from_numpys_generator():
    def noisy(x):
        return x + np.random.normal(size=x.shape)

    ours, keras = (g.flow(images(), batch_size=4, seed=2) for g in both(**COURSE, preprocessing_function=noisy))
    for _ in range(3):
        within(next(ours), next(keras), 1)


def test_whitening_is_the_same():
    x = np.random.default_rng(3).normal(size=(60, 4, 4, 1)).astype(np.float32)
    results = []
    for generator in both(zca_whitening=True, featurewise_center=True, zca_epsilon=1e-3):
        generator.fit(x)
        results.append((generator.zca_whitening_matrix, next(generator.flow(x, seed=1))))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("class_mode", ["categorical", "binary", "sparse", "input", None])
@pytest.mark.parametrize("subset", [None, "training", "validation"])
def test_folders_give_the_same_batches(tmp_path, class_mode, subset, capsys):
    for name, count in (("cats", 7), ("dogs", 5)):
        for i in range(count):
            write(tmp_path / name / f"{i}.png", smooth(17 + i, 23, seed=i))
    flows = []
    for generator in both(**COURSE, validation_split=0.3, rescale=1 / 255):
        flows.append(
            generator.flow_from_directory(
                str(tmp_path),
                target_size=(15, 20),
                class_mode=class_mode,
                batch_size=4,
                seed=6,
                subset=subset,
                interpolation="bilinear",
                keep_aspect_ratio=True,
            )
        )
    ours, keras = flows
    out = capsys.readouterr().out.splitlines()
    assert out[0] == out[1]
    assert ours.filenames == keras.filenames and ours.filepaths == keras.filepaths
    assert ours.class_indices == keras.class_indices and ours.samples == keras.samples and len(ours) == len(keras)
    np.testing.assert_array_equal(ours.classes, keras.classes)
    for _ in range(4):
        found, expected = next(ours), next(keras)
        if class_mode is None:
            found, expected = (found,), (expected,)
        within(255 * found[0], 255 * expected[0], 1)
        if class_mode == "input":
            np.testing.assert_array_equal(found[1], found[0])
        elif class_mode is not None:
            assert found[1].dtype == expected[1].dtype
            np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("class_mode", ["categorical", "raw", "multi_output", "sparse"])
def test_tables_give_the_same_batches(tmp_path, class_mode):
    pandas = pytest.importorskip("pandas")
    folder(tmp_path, {"a": 8})
    table = pandas.DataFrame({
        "file": [f"a/{i}.png" for i in range(8)] + ["a/missing.png"],
        "kind": ["x", "y", "z", "x", "y", "z", "x", "y", "x"],
        "size": np.arange(9) / 8,
        "weight": np.arange(9.0),
    })  # fmt: skip
    y_col = {"raw": ["size", "weight"], "multi_output": ["size", "weight"]}.get(class_mode, "kind")
    classes = ["y", "x"] if y_col == "kind" else None
    arguments = {"x_col": "file", "y_col": y_col, "weight_col": "weight", "class_mode": class_mode, "classes": classes}
    ours, keras = (
        g.flow_from_dataframe(table, str(tmp_path), **arguments, target_size=(8, 8), batch_size=3, seed=1)
        for g in both(rotation_range=30)
    )
    assert ours.filenames == keras.filenames
    for _ in range(4):
        found, expected = next(ours), next(keras)
        within(found[0], expected[0], 1)
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_array_equal(found[2], expected[2])


def test_the_functions_of_one_transform_are_the_same():
    x = images(1, dtype=np.float32)[0]
    axes = {"row_axis": 0, "col_axis": 1, "channel_axis": 2}
    calls = {
        "random_rotation": ((30,), axes),
        "random_shift": ((0.2, 0.4), axes),
        "random_shear": ((20,), axes),
        "random_zoom": (((0.6, 1.4),), axes),
        "random_channel_shift": ((40,), {"channel_axis": 2}),
        "random_brightness": (((0.5, 1.5),), {}),
        "apply_channel_shift": ((25.0,), {"channel_axis": 2}),
        "apply_brightness_shift": ((0.7, False), {}),
        "apply_affine_transform": ((), {"theta": 20, "tx": 3, "zx": 0.8, **axes}),
    }
    for name, (arguments, keywords) in calls.items():
        np.random.seed(1)
        expected = getattr(theirs, name)(x, *arguments, **keywords)
        np.random.seed(1)
        within(getattr(facade, name)(x, *arguments, compat="keras3", **keywords), expected, 1)


def test_transforms_name_all_of_keras_parameters():
    known = set(theirs.ImageDataGenerator().get_random_transform((4, 4, 3)))
    assert set(Transforms.__dataclass_fields__) == known
