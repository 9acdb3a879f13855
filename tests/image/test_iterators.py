"""Iterators over images: order, batches, targets, folders and tables, and what `fit` does with them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest

from cnnfast import Sequential, layers, optimizers, random
from cnnfast.callbacks import BackupAndRestore, LambdaCallback
from cnnfast.image.decode import ImageError
from cnnfast.image.generator import ImageDataGenerator
from cnnfast.image.iterators import Iterator
from cnnfast.image.parameters import COMPAT
from cnnfast.preprocessing import image as facade
from tests.image.files import folder, plain, smooth, write

COURSE = {
    "rotation_range": 40, "width_shift_range": 0.2, "height_shift_range": 0.2, "shear_range": 20, "zoom_range": 0.2,
    "horizontal_flip": True, "rescale": 1 / 255,
}  # fmt: skip
AUGMENTING = ImageDataGenerator(**COURSE)
PLAIN = ImageDataGenerator()


def numbered(count, size=(4, 4)):
    """Images that are recognised by their value."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, *size, 1)).copy()


def photos(count=10):
    return np.stack([smooth(15, 17, seed=seed) for seed in range(count)])


def epoch(flow):
    return list(islice(flow, len(flow)))


# Order and randomness


def test_batches_do_not_depend_on_who_asks_or_when():
    x = photos()
    expected = [AUGMENTING.flow(x, batch_size=3, seed=5)[i] for i in range(4)]
    flow = AUGMENTING.flow(x, batch_size=3, seed=5)
    for i in (2, 0, 3, 1, 1):
        np.testing.assert_array_equal(flow[i], expected[i])
    with ThreadPoolExecutor(4) as pool:
        for found, batch in zip(pool.map(flow.__getitem__, list(range(4)) * 5), expected * 5, strict=True):
            np.testing.assert_array_equal(found, batch)
    for found, batch in zip(epoch(AUGMENTING.flow(x, batch_size=3, seed=5)), expected, strict=True):
        np.testing.assert_array_equal(found, batch)


def test_a_samples_pixels_do_not_depend_on_the_batch_size(same_bits):
    def pixels():
        flow = AUGMENTING.flow(photos(), np.arange(10), batch_size=10, seed=5)
        x, y = flow[0]
        return x[np.argsort(y)]

    (whole,) = same_bits(pixels)
    for x, y in epoch(AUGMENTING.flow(photos(), np.arange(10), batch_size=3, seed=5)):
        np.testing.assert_array_equal(x, whole[y])


def test_epochs_differ_and_a_seed_repeats_them():
    x, y = photos(), np.arange(10)
    flow, again = (AUGMENTING.flow(x, y, batch_size=5, seed=1) for _ in range(2))
    first, second = epoch(flow), epoch(flow)
    assert not np.array_equal(first[0][1], second[0][1])
    assert sorted(np.concatenate([labels for _, labels in second])) == list(range(10))
    for (a, la), (b, lb) in zip(first + second, epoch(again) + epoch(again), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(la, lb)


def test_without_a_seed_the_process_wide_seed_repeats_them():
    batches = []
    for _ in range(2):
        random.set_seed(8)
        batches.append(next(AUGMENTING.flow(photos())))
    np.testing.assert_array_equal(*batches)


@pytest.mark.parametrize("compat", COMPAT)
def test_masks_take_the_transforms_of_their_images(compat):
    """Keras' idiom: two generators, flows with the same seed, read in step."""
    arguments = {**COURSE, "compat": compat}
    x = photos()
    images, masks = (ImageDataGenerator(**arguments).flow(x, seed=3, batch_size=4) for _ in range(2))
    for _ in range(5):
        np.testing.assert_array_equal(next(images), next(masks))


def test_in_fixed_mode_masks_do_so_whatever_else_their_images_go_through():
    x = photos()
    moves = {name: COURSE[name] for name in COURSE if name != "rescale"}
    images = ImageDataGenerator(**moves, brightness_range=(0.5, 1.0), channel_shift_range=20.0).flow(x, seed=3)
    parameters = [images.image_data_generator._draw(np.arange(10), (15, 17, 3), 3, 0).one(i) for i in range(10)]
    masks = ImageDataGenerator(**moves, interpolation_order=0).flow(x, seed=3)
    others = [masks.image_data_generator._draw(np.arange(10), (15, 17, 3), 3, 0).one(i) for i in range(10)]
    for one, other in zip(parameters, others, strict=True):
        assert {k: v for k, v in one.items() if k in ("theta", "tx", "zy", "flip_horizontal")} == {
            k: v for k, v in other.items() if k in ("theta", "tx", "zy", "flip_horizontal")
        }
    np.testing.assert_array_equal(images.samples_of(0), masks.samples_of(0))


def test_a_loop_of_ones_own_has_the_epochs_of_fit():
    own, flow = (AUGMENTING.flow(photos(), np.arange(10), batch_size=4, seed=1) for _ in range(2))
    for number in range(3):
        flow.on_epoch_begin()
        for i in range(len(own)):
            for found, expected in zip(own[i], flow[i], strict=True):
                np.testing.assert_array_equal(found, expected)
        assert own.epoch == flow.epoch == number
        own.on_epoch_end()
        np.testing.assert_array_equal(own.samples_of(0), flow.samples_of(0))
        if number != 1:  # fit calls both
            flow.on_epoch_end()


@pytest.mark.parametrize("look", [lambda flow: next(flow), lambda flow: flow[0], lambda flow: flow.on_epoch_begin()])
def test_training_goes_on_undisturbed_when_its_flow_is_looked_at(look):
    weights = []
    for hook in (lambda flow: None, look):
        random.set_seed(3)
        model = network((15, 17, 3))
        model.compile(optimizers.SGD(1e-4), "mse")
        flow = AUGMENTING.flow(photos(), np.arange(10.0), batch_size=3, seed=4)
        calls = {name: lambda *_, hook=hook, flow=flow: hook(flow) for name in ("on_train_batch_end", "on_epoch_end")}
        model.fit(flow, epochs=3, verbose=0, shuffle=False, callbacks=[LambdaCallback(**calls)])
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_reset_begins_an_epoch():
    flow = PLAIN.flow(numbered(5), batch_size=2, shuffle=False)
    next(flow)
    flow.reset()
    assert next(flow)[0, 0, 0, 0] == 0 and flow.batch_index == 1 and flow.total_batches_seen == 2


def test_uint8_images_and_floats_give_the_same_batches():
    x = photos()
    first, second = (AUGMENTING.flow(images, seed=2)[0] for images in (x, x.astype(np.float32)))
    np.testing.assert_array_equal(first, second)
    assert AUGMENTING.flow(x).x.dtype == np.uint8


def test_a_subclass_may_change_images_its_own_way():
    class Negative(ImageDataGenerator):
        def standardize(self, x):
            return 255 - super().standardize(x)

    assert next(Negative().flow(numbered(3), shuffle=False))[:, 0, 0, 0].tolist() == [255, 254, 253]


class OwnPixels(ImageDataGenerator):
    def standardize(self, x):
        return super().standardize(x)


class OwnTransform(ImageDataGenerator):
    def get_random_transform(self, img_shape, seed=None):
        return {**super().get_random_transform(img_shape, seed), "flip_vertical": True}


@pytest.mark.parametrize("kind", [OwnPixels, OwnTransform])
def test_batches_of_a_subclass_do_not_depend_on_who_asks_or_when(kind):
    x = photos()
    expected = [kind(**COURSE).flow(x, batch_size=3, seed=5)[i] for i in range(4)]
    flow = kind(**COURSE).flow(x, batch_size=3, seed=5)
    for i in (2, 0, 3, 1, 1):
        np.testing.assert_array_equal(flow[i], expected[i])
    assert len({image.tobytes() for batch in expected for image in batch}) == 10
    if kind is OwnPixels:  # it moves images as the generator itself does
        np.testing.assert_allclose(flow[0], AUGMENTING.flow(x, batch_size=3, seed=5)[0], atol=1e-6)


def test_a_transform_of_ones_own_need_not_take_a_seed():
    class Flipping(ImageDataGenerator):
        def get_random_transform(self, img_shape):
            return {"flip_horizontal": True}

    x = photos()
    np.testing.assert_array_equal(Flipping().flow(x, shuffle=False)[0], x[:, :, ::-1])


def test_a_method_replaced_on_the_generator_itself_is_called():
    generator = ImageDataGenerator()
    generator.standardize = lambda x: 255 - x
    assert next(generator.flow(numbered(3), shuffle=False))[:, 0, 0, 0].tolist() == [255, 254, 253]


def test_iterators_of_ones_own_are_data_sets():
    class Squares(Iterator):
        def _get_batches_of_transformed_samples(self, index_array):
            return index_array**2

    squares = Squares(5, batch_size=2)
    assert [squares[i].tolist() for i in range(len(squares))] == [[0, 1], [4, 9], [16]]
    assert next(squares).tolist() == [0, 1]
    with pytest.raises(IndexError, match="Squares: there is no batch 3, there are 3"):
        squares[3]


# Arrays


def test_batches_have_targets_weights_and_more_inputs():
    flow = PLAIN.flow((numbered(4), [np.arange(4) * 10]), np.arange(4), 2, False, sample_weight=np.arange(4) / 4)
    (x, more), y, weight = flow[1]
    assert x[:, 0, 0, 0].tolist() == [2, 3] == y.tolist()
    assert more.tolist() == [20, 30] and weight.tolist() == [0.5, 0.75]


@pytest.mark.parametrize("compat", COMPAT)
def test_validation_takes_the_first_samples(compat):
    generator = ImageDataGenerator(validation_split=0.25, compat=compat)
    flows = {subset: generator.flow(numbered(8), shuffle=False, subset=subset) for subset in ("training", "validation")}
    assert next(flows["validation"])[:, 0, 0, 0].tolist() == [0, 1]
    assert next(flows["training"])[:, 0, 0, 0].tolist() == [2, 3, 4, 5, 6, 7]


def test_validation_is_not_augmented_unless_asked():
    generator = ImageDataGenerator(rotation_range=90, validation_split=0.5)
    x = photos()
    plain_batch = next(generator.flow(x, shuffle=False, subset="validation"))
    np.testing.assert_array_equal(plain_batch, x[:5])
    asked = next(generator.flow(x, shuffle=False, subset="validation", augment=True))
    assert not np.array_equal(asked, plain_batch)
    as_keras = ImageDataGenerator(rotation_range=90, validation_split=0.5, compat="keras3")
    assert not np.array_equal(next(as_keras.flow(x, shuffle=False, subset="validation")), plain_batch)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"x": np.zeros((4, 4, 1))}, r"x must be images \(N,H,W,C\), got \(4, 4, 1\)"),
        ({"x": np.zeros((0, 4, 4, 1))}, r"x must be images"),
        ({"x": numbered(3), "y": [1, 2]}, r"x has 3 images, y has shape \(2,\)"),
        ({"x": numbered(3), "sample_weight": [1, 2, 3]}, "sample_weight needs y"),
        ({"x": numbered(3), "subset": "test"}, "subset must be 'training' or 'validation', got 'test'"),
        ({"x": numbered(3), "subset": "validation"}, "subset 'validation' of 3 images is empty"),
        ({"x": numbered(3), "batch_size": 0}, "batch_size must be at least 1"),
        ({"x": numbered(3), "seed": -1}, "seed must lie in 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PLAIN.flow(**arguments)


def test_subsets_of_different_classes_are_refused():
    generator = ImageDataGenerator(validation_split=0.5)
    with pytest.raises(ValueError, match="shuffle the arrays if they are sorted"):
        generator.flow(numbered(4), [0, 0, 1, 1], subset="training")
    assert generator.flow(numbered(4), [0, 0, 1, 1], subset="training", ignore_class_split=True).n == 2


# Folders


def test_a_folder_is_known_by_keras_attributes(tmp_path, capsys):
    folder(tmp_path, {"cats": 3, "dogs": 2})
    flow = PLAIN.flow_from_directory(tmp_path, (6, 5), class_mode="sparse", batch_size=2, shuffle=False)
    assert capsys.readouterr().out == "Found 5 images belonging to 2 classes.\n"
    assert flow.class_indices == {"cats": 0, "dogs": 1} and flow.class_names == ["cats", "dogs"]
    assert flow.classes.tolist() == flow.labels.tolist() == [0, 0, 0, 1, 1]
    assert flow.filenames[0] == os.path.join("cats", "0.png")
    assert flow.filepaths[4] == os.path.join(tmp_path, "dogs", "1.png")
    assert (flow.samples, flow.n, flow.num_classes, len(flow)) == (5, 5, 2, 3)
    assert flow.image_shape == (6, 5, 3) and flow.target_size == (6, 5)
    x, y = flow[1]
    assert x.dtype == y.dtype == np.float32 and x[:, 0, 0, 0].tolist() == [2, 3] and y.tolist() == [0, 1]


def test_each_class_gives_its_first_files_to_validation(tmp_path):
    folder(tmp_path, {"a": 5, "b": 10})
    generator = ImageDataGenerator(validation_split=0.4)
    found = {s: generator.flow_from_directory(tmp_path, subset=s) for s in ("training", "validation")}
    assert found["validation"].classes.tolist() == [0] * 2 + [1] * 4
    assert found["validation"].filenames[:2] == [os.path.join("a", f"{i}.png") for i in (0, 1)]
    assert sorted(found["training"].filenames + found["validation"].filenames) == sorted(
        PLAIN.flow_from_directory(tmp_path).filenames
    )


def test_class_modes_give_their_targets(tmp_path):
    folder(tmp_path, {"a": 1, "b": 1, "c": 1})

    def batch(class_mode, classes=None):
        return PLAIN.flow_from_directory(tmp_path, (8, 8), class_mode=class_mode, classes=classes, shuffle=False)[0]

    assert batch("categorical")[1].tolist() == np.eye(3).tolist()
    assert batch("sparse", ["c", "a"])[1].tolist() == [0, 1]
    x, y = batch("input")
    np.testing.assert_array_equal(x, y)
    assert batch(None).shape == (3, 8, 8, 3)
    with pytest.raises(ValueError, match="class_mode 'binary' needs two classes"):
        batch("binary")
    with pytest.raises(ValueError, match="class_mode must be one of"):
        batch("multi_output")


def test_folders_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="flow_from_directory: there is no folder"):
        PLAIN.flow_from_directory(tmp_path / "none")
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="no images"):
        PLAIN.flow_from_directory(tmp_path)
    plain(tmp_path / "a" / "0.png", 3)
    with pytest.warns(UserWarning, match="there is only one class, 'a'"):
        flow = PLAIN.flow_from_directory(tmp_path)
    (tmp_path / "a" / "0.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"0\.png: no image in one of the formats"):
        next(flow)


def test_batches_are_saved_to_look_at(tmp_path):
    flow = PLAIN.flow(photos(), batch_size=4, seed=1, save_to_dir=tmp_path, save_prefix="look", save_format="jpeg")
    epoch(flow)
    names = os.listdir(tmp_path)
    assert len(names) == 10 and all(name.startswith("look_") and name.endswith(".jpeg") for name in names)
    with pytest.raises(FileNotFoundError, match="save_to_dir: there is no folder"):
        PLAIN.flow(photos(), save_to_dir=tmp_path / "none")


# Tables


def test_a_table_is_anything_with_columns(tmp_path, capsys):
    folder(tmp_path, {"a": 3})
    table = {
        "filename": ["a/0.png", "a/1.png", "a/2.png"],
        "class": ["x", ["x", "y"], "y"],
        "age": [1.5, 2.5, 3.5],
        "w": [1, 2, 3],
    }
    flow = PLAIN.flow_from_dataframe(table, tmp_path, weight_col="w", target_size=(4, 4), shuffle=False)
    assert capsys.readouterr().out == "Found 3 validated image filenames belonging to 2 classes.\n"
    x, y, weight = flow[0]
    assert x[:, 0, 0, 0].tolist() == [0, 1, 2] and weight.tolist() == [1, 2, 3]
    assert y.tolist() == [[1, 0], [1, 1], [0, 1]]
    raw = PLAIN.flow_from_dataframe(table, tmp_path, y_col=["age", "w"], class_mode="raw", shuffle=False)
    assert raw[0][1].tolist() == [[1.5, 1], [2.5, 2], [3.5, 3]] and raw.class_names is None
    several = PLAIN.flow_from_dataframe(table, tmp_path, y_col=["age", "w"], class_mode="multi_output", shuffle=False)
    assert [part.tolist() for part in several[0][1]] == [[1.5, 2.5, 3.5], [1, 2, 3]]


def test_rows_without_file_or_class_are_left_out(tmp_path):
    folder(tmp_path, {"a": 2})
    table = {"filename": ["a/0.png", "a/gone.png", "a/1.png"], "class": ["x", "y", "z"]}
    with pytest.warns(UserWarning, match=r"1 of 3 file names in column 'filename' are no image files"):
        flow = PLAIN.flow_from_dataframe(table, tmp_path)
    assert flow.filenames == ["a/0.png", "a/1.png"] and flow.class_names == ["x", "z"]
    with pytest.warns(UserWarning):
        assert PLAIN.flow_from_dataframe(table, tmp_path, classes=["z", "y"]).class_indices == {"z": 0, "y": 1}


@pytest.mark.parametrize(
    "arguments,error,message",
    [
        ({"x_col": "file"}, ValueError, "there is no column 'file', the table has"),
        ({"x_col": "age"}, TypeError, "column 'age' must hold file names"),
        ({"y_col": "age"}, TypeError, "column 'age' must hold strings, or lists of them, row 0 has 1"),
        ({"y_col": "age", "class_mode": "multi_output"}, TypeError, "y_col must be a list of columns"),
        ({"y_col": "class", "class_mode": "raw"}, TypeError, "column 'class' must hold numbers"),
        ({"weight_col": "class"}, TypeError, "column 'class' must hold numbers, the weights"),
        ({"class_mode": "other"}, ValueError, "class_mode must be one of"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, arguments, error, message):
    folder(tmp_path, {"a": 2})
    table = {"filename": ["a/0.png", "a/1.png"], "class": ["x", "y"], "age": [1, 2]}
    with pytest.raises(error, match=f"flow_from_dataframe.*{message}"):
        PLAIN.flow_from_dataframe(table, tmp_path, **arguments)


# Models


def network(inputs=(4, 4, 1)):
    model = Sequential([layers.Input(inputs), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_fit_takes_every_sample_once_an_epoch_in_a_new_order():
    orders = []

    class Spy(ImageDataGenerator):
        def _make(self, images, samples, *more, **options):
            orders.append(samples.tolist())
            return super()._make(images, samples, *more, **options)

    flow = Spy().flow(numbered(10), np.arange(10.0), batch_size=4, seed=1)
    network().fit(flow, epochs=2, verbose=0, shuffle=False)
    first, second = ([sample for batch in part for sample in batch] for part in (orders[:3], orders[3:]))
    assert sorted(first) == sorted(second) == list(range(10)) and first != second


def test_predictions_belong_to_the_files_whatever_is_shuffled():
    model = network()
    x = numbered(10)
    flow = ImageDataGenerator(rotation_range=90).flow(x, np.arange(10.0), batch_size=4, seed=1)
    np.testing.assert_array_equal(model.predict(flow, verbose=0), model.predict(x.astype(np.float32), 4, verbose=0))
    assert model.evaluate(flow, verbose=0) == pytest.approx(model.evaluate(x, np.arange(10.0), verbose=0), rel=1e-5)


def test_augmented_predictions_differ_and_repeat():
    def predictions(train):
        model = network((15, 17, 3))
        model.set_weights([np.full(w.shape, 1e-3, np.float32) for w in model.get_weights()])
        flow = AUGMENTING.flow(photos(), np.arange(10.0), batch_size=4, seed=1, augment=True)
        if train:
            flow.on_epoch_begin()
            flow.on_epoch_end()
        return [model.predict(flow, verbose=0) for _ in range(3)]

    first, second, third = predictions(train=False)
    assert (first != second).any() and (second != third).any()
    np.testing.assert_array_equal([first, second, third], predictions(train=True))


@pytest.mark.parametrize("compat", COMPAT)
def test_the_course_trains(tmp_path, compat):
    """`fit`, `evaluate` and `predict` on folders, with a separate generator for validation."""
    folder(tmp_path, {"cats": 6, "dogs": 6})
    train = ImageDataGenerator(**COURSE, compat=compat).flow_from_directory(
        tmp_path, target_size=(8, 8), batch_size=5, class_mode="binary", seed=1
    )
    held = ImageDataGenerator(rescale=1 / 255, compat=compat).flow_from_directory(
        tmp_path, target_size=(8, 8), batch_size=5, class_mode="binary"
    )
    model = network((8, 8, 3))
    history = model.fit(train, steps_per_epoch=4, epochs=3, validation_data=held, validation_steps=2, verbose=0)
    assert len(history.history["val_loss"]) == 3 and np.isfinite(history.history["loss"]).all()
    assert model.predict(held, verbose=0).shape == (12, 1)


def test_training_does_not_depend_on_the_number_of_workers():
    weights = []
    for workers in (1, 4):
        model = network((15, 17, 3))
        model.set_weights([np.full(w.shape, 1e-3, np.float32) for w in model.get_weights()])
        flow = AUGMENTING.flow(photos(), np.arange(10.0), batch_size=3, seed=4, workers=workers)
        model.fit(flow, epochs=3, verbose=0, shuffle=False)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_state_goes_on_with_the_same_epochs():
    flow = AUGMENTING.flow(photos(), batch_size=4)
    flow.on_epoch_begin()
    flow[0]
    state = flow.get_state()
    other = AUGMENTING.flow(photos(), batch_size=4)
    other.set_state(state)
    for it in (flow, other):
        it.on_epoch_begin()
    np.testing.assert_array_equal(flow[1], other[1])
    assert flow.epoch == other.epoch == 1


@pytest.mark.parametrize("batches", [2, 4])
def test_interrupted_training_goes_on_bit_for_bit_without_a_seed(tmp_path, batches):
    def train(backup, interrupt=None):
        random.set_seed(2)
        model, seen = network((15, 17, 3)), []
        model.add(layers.Dropout(0.5))
        model.add(layers.Dense(1))
        model.compile(optimizers.SGD(1e-4), "mse")

        def count(batch, logs):
            seen.append(batch)
            if len(seen) == interrupt:
                raise KeyboardInterrupt

        hooks = [BackupAndRestore(tmp_path / backup, save_freq=1), LambdaCallback(on_train_batch_end=count)]
        flow = AUGMENTING.flow(photos(), np.arange(10.0), batch_size=3)
        try:
            model.fit(flow, epochs=2, verbose=0, callbacks=hooks)
        except KeyboardInterrupt:
            random.set_seed(999)
        return model.get_weights()

    whole = train("a")
    train("b", interrupt=batches)
    for one, other in zip(whole, train("b"), strict=True):
        np.testing.assert_array_equal(one, other)


# Names


@pytest.mark.parametrize("name", facade.__all__)
def test_every_name_of_keras_is_there(name):
    assert callable(getattr(facade, name)) and name in dir(facade)


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="has no attribute 'random_everything'"):
        facade.random_everything  # noqa: B018


def test_gray_images_of_16_bits_keep_them(tmp_path):
    gray = (smooth(8, 8, 1)[..., 0].astype(np.uint16)) * 257
    write(tmp_path / "a" / "0.png", gray)
    flow = PLAIN.flow_from_directory(tmp_path, (8, 8), "grayscale", class_mode=None)
    np.testing.assert_array_equal(next(flow)[0, ..., 0], gray)
