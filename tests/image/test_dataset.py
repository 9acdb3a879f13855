"""Batches of images from files: what is in them, in which order, and what happens to files that are broken."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from cnnfast import Input, Sequential, layers, random
from cnnfast.callbacks import BackupAndRestore, LambdaCallback
from cnnfast.image import ImageDataset, ImageError, transforms
from tests.image.files import content, plain, smooth, write


def dataset(folder, count=10, **options):
    """Images of the values 0, 1, 2...; of classes 0, 1, 0, 1..."""
    paths = [plain(folder / f"{i}.png", i) for i in range(count)]
    defaults = {"labels": np.arange(count) % 2, "image_size": (4, 4), "batch_size": 3}
    return ImageDataset(paths, **{**defaults, **options})


def values(batches):
    """The values by which images are recognised."""
    return [int(image[0, 0, 0]) for batch in batches for image in (batch[0] if isinstance(batch, tuple) else batch)]


def test_batches_are_uint8_with_the_labels_of_their_images(tmp_path):
    data = dataset(tmp_path)
    batches = list(data)
    assert [x.shape for x, _ in batches] == [(3, 4, 4, 3)] * 3 + [(1, 4, 4, 3)]
    assert len(data) == data.num_batches == 4 and data.samples == 10
    assert all(x.dtype == np.uint8 and y.dtype == np.int32 for x, y in batches)
    assert values(batches) == list(range(10))
    assert np.concatenate([y for _, y in batches]).tolist() == [0, 1] * 5


@pytest.mark.parametrize(
    ("mode", "labels", "expected"),
    [
        ("int", [1, 0, 2], [1, 0, 2]),
        ("categorical", [1, 0, 2], [[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        ("binary", [1, 0, 1], [[1], [0], [1]]),
        ("raw", [1.5, 0, 2], [1.5, 0, 2]),
        ("raw", [[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4], [5, 6]]),
    ],
)
def test_labels_have_the_form_that_was_asked_for(tmp_path, mode, labels, expected):
    _, y = dataset(tmp_path, 3, labels=labels, label_mode=mode)[0]
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == (np.int32 if mode == "int" else np.float32)


def test_images_come_alone_with_weights_as_floats_and_channels_first(tmp_path):
    assert dataset(tmp_path, labels=None)[0].shape == (3, 4, 4, 3)
    assert dataset(tmp_path, label_mode=None)[0].shape == (3, 4, 4, 3)
    x, _, weights = dataset(tmp_path, sample_weight=np.arange(10), dtype="float32")[1]
    assert x.dtype == np.float32 and x.max() == 5.0 and weights.tolist() == [3, 4, 5]
    assert dataset(tmp_path, data_format="channels_first")[0][0].shape == (3, 3, 4, 4)
    assert dataset(tmp_path, color_mode="grayscale")[-1][0].shape == (1, 4, 4, 1)


# Order


def test_training_sees_all_files_in_a_new_order_each_epoch(tmp_path):
    data = dataset(tmp_path, shuffle=True, seed=1)
    first, second = values(data), values(data)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second and first != list(range(10))


def test_the_order_depends_on_seed_and_epoch_alone(tmp_path):
    orders = [[values(data) for _ in range(3)] for data in [dataset(tmp_path, shuffle=True, seed=1) for _ in range(2)]]
    assert orders[0] == orders[1]
    assert orders[0] != [values(d) for d in [dataset(tmp_path, shuffle=True, seed=2)] for _ in range(3)]


def test_without_a_seed_the_package_s_generator_decides(tmp_path):
    orders = []
    for _ in range(2):
        random.set_seed(5)
        orders.append(values(dataset(tmp_path, shuffle=True)))
    assert orders[0] == orders[1] and orders[0] != list(range(10))


def test_samples_of_tells_what_is_in_a_batch(tmp_path):
    data = dataset(tmp_path, shuffle=True, seed=1)
    for _ in range(2):
        data.on_epoch_begin()
        for index in range(len(data)):
            x, y = data[index]
            samples = data.samples_of(index)
            assert values([x]) == samples.tolist()
            np.testing.assert_array_equal(y, data.labels[samples])
            assert [Path(data.file_paths[i]).stem for i in samples] == [str(v) for v in values([x])]


def test_inference_sees_the_files_in_their_order_and_leaves_training_alone(tmp_path):
    data = dataset(tmp_path, shuffle=True, seed=1, augment=lambda images, **_: images + 100)
    data.on_epoch_begin()
    order = data.samples_of(0).tolist()
    plain = data.for_inference()
    assert values(plain) == list(range(10))
    assert data.samples_of(0).tolist() == order
    assert values([data[0]]) == [v + 100 for v in order]


def test_batches_out_of_range_are_refused(tmp_path):
    data = dataset(tmp_path)
    assert values([data[-1]]) == [9]
    for index in 4, -5:
        with pytest.raises(IndexError, match=f"no batch {index}, there are 4"):
            data[index]


# Augmentation


def test_augment_is_told_seed_epoch_and_samples(tmp_path):
    seen = []

    def augment(images, *, labels, seed, epoch, samples, threads):
        seen.append((seed, epoch, samples.tolist(), labels.tolist(), threads))
        return images + 100, labels + 10

    data = dataset(tmp_path, 4, augment=augment, seed=9, workers=0)
    assert values(data) == [100, 101, 102, 103]
    assert seen == [(9, 0, [0, 1, 2], [0, 1, 0], 1), (9, 0, [3], [1], 1)]
    assert [y.tolist() for _, y in data] == [[10, 11, 10], [11]]
    assert [epoch for _, epoch, *_ in seen] == [0, 0, 1, 1]


def test_transforms_are_taken_by_name_and_leave_validation_alone(tmp_path):
    paths = [write(tmp_path / f"{i}.png", smooth(16, 16, seed=i)) for i in range(4)]
    data = ImageDataset(paths, [0, 1, 0, 1], image_size=(16, 16), augment="standard", seed=1)
    changed, labels = data[0]
    same = data.for_inference()[0][0]
    assert labels.tolist() == [0, 1, 0, 1] and changed.dtype == np.uint8
    np.testing.assert_array_equal(same, [smooth(16, 16, seed=i) for i in range(4)])
    assert all((one != other).any() for one, other in zip(changed, same, strict=True))
    with pytest.raises(ValueError, match="unknown preset 'stong'"):
        dataset(tmp_path, augment="stong")


def test_where_training_mixes_images_validation_has_labels_of_the_same_form(tmp_path):
    data = dataset(tmp_path, image_size=(16, 16), augment=transforms.MixUp(num_classes=2), seed=1)
    mixed, plain = data[0][1], data.for_inference()[0][1]
    assert mixed.shape == plain.shape == (3, 2) and mixed.dtype == plain.dtype == np.float32
    np.testing.assert_allclose(mixed.sum(axis=1), 1.0, rtol=1e-6)
    assert plain.tolist() == [[1, 0], [0, 1], [1, 0]]


def test_a_data_set_that_is_wrapped_keeps_its_names(tmp_path):
    inner = dataset(tmp_path, class_names=["even", "odd"], shuffle=True, seed=1, directory=tmp_path)
    data = transforms.AugmentedDataset(inner, transform="light")
    model = Sequential([Input((4, 4, 3)), layers.Flatten()])
    full = model.evaluate_full(data, verbose=0)
    assert full.class_names == ["even", "odd"]
    assert full.filenames == [f"{i}.png" for i in range(10)]
    assert full.predictions[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize("workers", [0, 3])
def test_a_seed_is_drawn_before_threads_begin(tmp_path, workers):
    seeds = []
    for _ in range(2):
        random.set_seed(3)
        data = dataset(tmp_path, augment=lambda images, **_: images, workers=workers)
        batches = iter(data)
        next(batches)
        seeds.append((data.seed, random.next_seed()))
        batches.close()
    random.set_seed(3)
    assert seeds == [(random.next_seed(), random.next_seed())] * 2


def test_augment_must_not_lose_images(tmp_path):
    data = dataset(tmp_path, augment=lambda images, **_: images[:1])
    with pytest.raises(ValueError, match="augment was given 3 images and gave 1"):
        data[0]


# The model


def network():
    random.set_seed(2)
    model = Sequential(
        [Input((4, 4, 3)), layers.Rescaling(1 / 10), layers.Flatten(), layers.Dropout(0.3), layers.Dense(2)]
    )
    model.compile("adam", "mse")
    return model


def test_predictions_belong_to_file_paths_though_training_shuffles(tmp_path):
    shuffled = {"shuffle": True, "seed": 1, "augment": lambda images, **_: images + 50}
    data = dataset(tmp_path, labels=np.ones((10, 2)), label_mode="raw", **shuffled)
    model = network()
    model.fit(data, verbose=0)
    expected = model.predict(np.stack([np.full((4, 4, 3), i, np.uint8) for i in range(10)]), verbose=0)
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_leaves_the_order_to_the_data_set(tmp_path, shuffle):
    def order_with(process_seed):
        seen = []

        def note(images, samples, **_):
            seen.append(samples.tolist())
            return images

        labels = {"labels": np.ones((10, 2)), "label_mode": "raw"}
        data = dataset(tmp_path, shuffle=shuffle, seed=1, augment=note, workers=0, **labels)
        model = network()
        random.set_seed(process_seed)
        model.fit(data, epochs=2, verbose=0)
        return seen

    orders = order_with(1), order_with(2)
    assert orders[0] == orders[1]
    in_order = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]] * 2
    assert (orders[0] == in_order) is not shuffle


@pytest.mark.parametrize("seed", [7, None])
@pytest.mark.parametrize("batches", [3, 4, 6])
@pytest.mark.parametrize("steps", [None, 3])
def test_interrupted_training_goes_on_bit_for_bit(tmp_path, seed, batches, steps):
    def noise(images, *, seed, epoch, samples, **_):
        generator = np.random.default_rng([seed, epoch, *samples])
        return images + generator.integers(0, 5, images.shape, np.uint8)

    def train(backup, interrupt=None):
        y = np.random.default_rng(0).normal(size=(10, 2))
        data = dataset(tmp_path, labels=y, label_mode="raw", shuffle=True, seed=seed, augment=noise)
        model, seen = network(), []

        def count(batch, logs):
            seen.append(batch)
            if len(seen) == interrupt:
                raise KeyboardInterrupt

        callbacks = [BackupAndRestore(tmp_path / backup, save_freq=1), LambdaCallback(on_train_batch_end=count)]
        try:
            model.fit(data, epochs=3, steps_per_epoch=steps, verbose=0, callbacks=callbacks)
        except KeyboardInterrupt:
            random.set_seed(999)  # another process knows nothing of this one
        return model.get_weights()

    whole = train("a")
    train("b", interrupt=batches)
    for one, other in zip(whole, train("b"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_iterations_do_not_disturb_each_other(tmp_path, workers, wrapped):
    data = dataset(tmp_path, shuffle=True, seed=1, workers=workers)
    if wrapped:
        data = transforms.AugmentedDataset(data, transform=transforms.RandomFlip())
    one, other = zip(*zip(data, data, strict=True), strict=True)
    assert sorted(values(one)) == sorted(values(other)) == list(range(10))
    assert values(one) != values(other)


def test_training_goes_on_undisturbed_when_its_data_are_looked_at(tmp_path):
    def train(look=False, interrupt=None, backup="a"):
        y = np.random.default_rng(0).normal(size=(10, 2))
        brighter = lambda images, epoch, **_: images + np.uint8(epoch)  # noqa: E731
        data = dataset(tmp_path, labels=y, label_mode="raw", shuffle=True, seed=1, augment=brighter)
        model, seen = network(), []

        def after(batch, logs):
            if look:
                next(iter(data))
            seen.append(batch)
            if len(seen) == interrupt:
                raise KeyboardInterrupt

        hooks = [BackupAndRestore(tmp_path / backup, save_freq=1), LambdaCallback(on_train_batch_end=after)]
        try:
            model.fit(data, epochs=3, verbose=0, callbacks=hooks)
        except KeyboardInterrupt:
            random.set_seed(999)
        return model.get_weights()

    whole = train()
    looked_at = train(look=True, backup="b")
    train(look=True, interrupt=6, backup="c")
    resumed = train(look=False, backup="c")
    for one, *others in zip(whole, looked_at, resumed, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)


# Broken files


def broken(folder, count=10, **options):
    """A data set with one file that is empty, one that is cut off and one that is missing."""
    paths = [plain(folder / f"{i}.png", i) for i in range(count)]
    paths[2].write_bytes(b"")
    paths[5].write_bytes(content("PNG")[:300])
    paths[8].unlink()
    return ImageDataset(paths, np.arange(count), image_size=(4, 4), batch_size=3, **options)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_broken_file_stops_the_iteration_by_its_name_and_no_thread_is_left(tmp_path, workers):
    data = broken(tmp_path, workers=workers)
    with pytest.raises(ImageError, match=r"2\.png: the file is empty"):
        list(data)
    model = network()
    with pytest.raises(ImageError, match=r"2\.png: the file is empty"):
        model.predict(data, verbose=0)
    assert not [t for t in threading.enumerate() if t.name.startswith("cnnfast-prefetch")]


def test_what_was_read_before_a_broken_file_is_given_out(tmp_path):
    data = broken(tmp_path)
    (tmp_path / "2.png").write_bytes(plain(tmp_path / "x.png", 2).read_bytes())
    seen = []
    with pytest.raises(ImageError, match=r"5\.png: damaged PNG"):
        for batch in data:
            seen += values([batch])
    assert seen == [0, 1, 2]


def test_broken_files_are_skipped_and_everything_stays_aligned(tmp_path):
    data = broken(tmp_path, on_error="skip", sample_weight=np.arange(10) * 2)
    kept = [0, 1, 3, 4, 6, 7, 9]
    assert data.samples == 7 and len(data) == 3
    assert data.labels.tolist() == kept
    assert [Path(path).stem for path in data.file_paths] == [str(i) for i in kept]
    assert values(data) == kept
    assert np.concatenate([y for _, y, _ in data]).tolist() == kept
    assert np.concatenate([w for *_, w in data]).tolist() == [2 * i for i in kept]
    assert {Path(path).name: problem.split(":")[0] for path, problem in data.skipped.items()} == {
        "2.png": "the file is empty",
        "5.png": "damaged PNG image",
        "8.png": "No such file or directory",
    }


def test_broken_files_are_named_in_a_warning(tmp_path):
    with pytest.warns(UserWarning, match=r"3 of 10 files cannot be read[\s\S]*2\.png: the file is empty\n.*5\.png"):
        assert broken(tmp_path, on_error="warn").samples == 7


def test_if_no_file_can_be_read_that_is_an_error(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"a\.png: the file is empty \(none of 1 files can be read\)"):
        ImageDataset([path], on_error="skip")


@pytest.mark.parametrize("use", ["fit", "evaluate", "evaluate_full", "predict"])
def test_no_thread_is_left_when_the_model_refuses_the_data(tmp_path, use):
    data = dataset(tmp_path, image_size=(5, 5))
    with pytest.raises(ValueError, match="expects shape") as kept:  # its traceback keeps all frames alive
        getattr(network(), use)(data, verbose=0)
    assert not [t for t in threading.enumerate() if t.name.startswith("cnnfast-prefetch")]
    assert kept.tb is not None


# The cache


def test_what_is_in_the_cache_is_not_read_again(tmp_path):
    data = dataset(tmp_path, cache=True)
    before = values(data)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    assert values(data) == before == values(data.for_inference())


def test_the_cache_is_bounded(tmp_path):
    data = dataset(tmp_path, cache=4 * 48 + 47)  # of 4 x 4 x 3 bytes each, four and a bit
    before = values(data)
    for i in range(4):
        (tmp_path / f"{i}.png").unlink()
    assert values(data) == before
    (tmp_path / "4.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"4\.png"):
        list(data)


def test_skipped_files_do_not_disturb_the_cache(tmp_path):
    data = broken(tmp_path, on_error="skip", cache=True)
    assert values(data) == values(data) == [0, 1, 3, 4, 6, 7, 9]
    for path in tmp_path.glob("*.png"):
        path.unlink()
    assert values(data) == [0, 1, 3, 4, 6, 7, 9]


def test_augmentation_does_not_reach_the_cache(tmp_path):
    def brighten(images, **_):
        images += 50
        return images

    data = dataset(tmp_path, cache=True, augment=brighten)
    assert values(data) == values(data) == [50 + i for i in range(10)]


# Arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"labels": [0, 1]}, ValueError, "there are 10 files and 2 labels"),
        ({"labels": np.arange(10), "label_mode": "binary"}, ValueError, "needs two classes, got 10"),
        ({"labels": np.arange(10), "class_names": ["a", "b"]}, ValueError, "classes from 0 to 1"),
        ({"labels": np.arange(10) - 1}, ValueError, "from -1 to 8"),
        ({"class_names": ["a", "a"]}, ValueError, "must differ"),
        ({"labels": ["cat"] * 10}, TypeError, "labels must be numbers"),
        ({"label_mode": "sparse"}, ValueError, "label_mode must be one of 'int'"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": None}, TypeError, "batch_size must be a whole number"),
        ({"image_size": (4, 4, 3)}, ValueError, "image_size must be"),
        ({"color_mode": "bgr"}, ValueError, "color_mode must be"),
        ({"interpolation": "gaussian"}, ValueError, "interpolation must be one of"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, ValueError, "exclude each other"),
        ({"dtype": "float64"}, ValueError, "dtype must be one of"),
        ({"data_format": "NCHW"}, ValueError, "data_format must be one of"),
        ({"on_error": "ignore"}, ValueError, "on_error must be one of"),
        ({"cache": -1}, ValueError, "cache must be at least 0"),
        ({"workers": -1}, ValueError, "workers must be at least 0"),
        ({"augment": 3}, TypeError, "transforms.get: expected a transform"),
        ({"seed": -1}, ValueError, "seed must lie in"),
        ({"sample_weight": [1.0]}, ValueError, r"sample_weight must be \(10,\)"),
        ({"sample_weight": np.ones(10), "labels": None}, ValueError, "sample_weight needs labels"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        dataset(tmp_path, **options)


def test_there_must_be_files():
    with pytest.raises(ValueError, match="there are no files"):
        ImageDataset([])
