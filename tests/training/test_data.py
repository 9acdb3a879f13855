"""What `fit` makes of data: arrays, lists, dicts, generators, data sets; weights, splits, order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnnfast import Input, Sequential, callbacks, layers, random
from cnnfast.training.batches import Names, make_batch
from cnnfast.utils import PyDataset
from tests.training.linear_model import linear_data, linear_model


def trained_on(model, kind="train"):
    """The samples of the steps of a kind, by their first feature."""
    return [xs[0][:, 0].tolist() for k, xs, _, _ in model.seen if k == kind]


def joined(batches):
    return list(itertools.chain.from_iterable(batches))


def numbered(n):
    x = np.zeros((n, 3))
    x[:, 0] = np.arange(n)
    return x, np.zeros((n, 1))


class Batches(PyDataset):
    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count, self.events = count, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return np.full((2, 3), float(index)), np.zeros((2, 1))

    def on_epoch_begin(self):
        self.events.append("begin")

    def on_epoch_end(self):
        self.events.append("end")


def test_batches_are_32_samples_and_the_last_one_is_smaller():
    model = linear_model()
    model.fit(*numbered(70), verbose=0, shuffle=False)
    assert [len(b) for b in trained_on(model)] == [32, 32, 6]
    assert joined(trained_on(model)) == list(range(70))


def test_shuffle_gives_each_epoch_another_order_of_all_samples():
    model = linear_model()
    random.set_seed(3)
    model.fit(*numbered(10), batch_size=4, epochs=2, verbose=0)
    epochs = [joined(trained_on(model)[i : i + 3]) for i in (0, 3)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1] != list(range(10))
    again = linear_model()
    random.set_seed(3)
    again.fit(*numbered(10), batch_size=4, epochs=2, verbose=0)
    assert trained_on(again) == trained_on(model)


def test_shuffle_batch_keeps_neighbours_together():
    model = linear_model()
    random.set_seed(0)
    model.fit(*numbered(40), batch_size=4, verbose=0, shuffle="batch")
    starts = [batch[0] for batch in trained_on(model)]
    assert all(batch == [batch[0] + i for i in range(4)] for batch in trained_on(model))
    assert sorted(starts) == list(range(0, 40, 4)) != starts


def test_validation_split_takes_the_last_samples_before_shuffling():
    model = linear_model()
    history = model.fit(*numbered(10), validation_split=0.3, verbose=0)
    assert sorted(joined(trained_on(model))) == list(range(7))
    assert joined(trained_on(model, "test")) == [7, 8, 9]
    assert set(history.history) == {"loss", "val_loss"}


def test_validation_split_divides_the_sample_weights_too():
    model = linear_model()
    model.fit(*numbered(4), sample_weight=np.arange(4.0), validation_split=0.5, verbose=0, shuffle=False)
    assert [(k, w[0].tolist()) for k, _, _, w in model.seen] == [("train", [0, 1]), ("test", [2, 3])]


def test_validation_freq_as_number_and_as_list():
    x, y = numbered(4)
    for freq, expected in ((2, [2, 4]), ([1, 4], [1, 4])):
        model = linear_model()
        model.fit(x, y, epochs=4, validation_data=(x, y), validation_freq=freq, verbose=0)
        kinds = [k for k, *_ in model.seen]
        epochs = [kinds[: i + 1].count("train") for i, k in enumerate(kinds) if k == "test"]
        assert epochs == expected


def test_validation_steps_begin_with_the_first_batch_each_time():
    x, y = numbered(6)
    model = linear_model()
    model.fit(x, y, epochs=2, validation_data=(x, y), validation_steps=1, validation_batch_size=2, verbose=0)
    assert trained_on(model, "test") == [[0, 1], [0, 1]]


def test_steps_per_epoch_goes_on_where_the_epoch_before_stopped():
    model = linear_model()
    model.fit(*numbered(5), batch_size=1, steps_per_epoch=3, epochs=3, shuffle=False, verbose=0)
    assert trained_on(model) == [[0], [1], [2], [3], [4], [0], [1], [2], [3]]


def test_inputs_and_targets_by_name_in_any_order():
    x, y = linear_data()
    by_list, by_name = linear_model(outputs=2), linear_model(outputs=2)
    a = by_list.fit([x, 2 * x], [y, 3 * y], verbose=0, shuffle=False)
    b = by_name.fit({"in1": 2 * x, "in0": x}, {"out1": 3 * y, "out0": y}, verbose=0, shuffle=False)
    assert a.history == b.history


def test_plain_lists_of_numbers_are_arrays():
    model = linear_model(features=2)
    model.fit([[1, 2], [3, 4]], [0, 1], verbose=0, shuffle=False)
    _, xs, ys, _ = model.seen[0]
    assert xs[0].tolist() == [[1, 2], [3, 4]] and ys[0].tolist() == [0, 1]


def test_class_weight_weighs_samples_by_label_and_by_one_hot_row():
    x = np.zeros((3, 3))
    for y in ([0, 1, 2], [[0], [1], [2]], np.eye(3)):
        batch = make_batch("fit", (x, np.array(y)), Names(), {0: 2.0, 2: 0.5})
        assert batch.weights[0].tolist() == [2.0, 1.0, 0.5]


@pytest.mark.parametrize("y", [[0, 1, 2], [[0], [1], [2]], np.eye(3)], ids=["numbers", "column", "one-hot"])
def test_class_weight_of_a_class_that_does_not_exist_is_refused_before_training(y):
    model = Sequential([Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", ("" if np.ndim(y) == 2 and len(y[0]) == 3 else "sparse_") + "categorical_crossentropy")
    x, y, before = np.ones((3, 4)), np.array(y), model.get_weights()
    message = "class_weight names class 3, the classes are 0 to 2"
    for train in (
        lambda w: model.fit(x, y, class_weight=w, verbose=0),
        lambda w: model.fit(((x, y) for _ in range(2)), class_weight=w, verbose=0),
        lambda w: model.train_on_batch(x, y, class_weight=w),
    ):
        with pytest.raises(ValueError, match=message):
            train({1: 2.0, 3: 1.0})
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.fit(x, y, class_weight={0: 2.0, 2: 1.0}, verbose=0)


def test_single_output_has_the_classes_0_and_1():
    model = linear_model()
    x, _ = numbered(4)
    with pytest.raises(ValueError, match="class_weight names class 2, the classes are 0 to 1"):
        model.fit(x, np.zeros(4), class_weight={0: 1.0, 2: 3.0}, verbose=0)
    model.fit(x, np.zeros(4), class_weight={0: 1.0, 1: 3.0}, verbose=0)


def test_generator_of_batches_with_sample_weights():
    x, y = numbered(4)
    model = linear_model()
    model.fit(((x, y, np.full(4, w)) for w in (1.0, 2.0)), steps_per_epoch=2, verbose=0)
    assert [w[0].tolist() for *_, w in model.seen] == [[1.0] * 4, [2.0] * 4]


def test_generator_that_ends_stops_training_with_a_warning():
    x, y = numbered(4)
    model = linear_model()
    with pytest.warns(UserWarning, match="ran out of data after epoch 1 of 3"):
        history = model.fit(((x, y) for _ in range(2)), epochs=3, verbose=0)
    assert history.epoch == [0] and len(model.seen) == 2
    with pytest.warns(UserWarning, match="after 1 of 2 batches"):
        model.fit(((x, y) for _ in range(3)), epochs=2, steps_per_epoch=2, verbose=0)


def test_epoch_for_which_no_data_are_left_ends_training_without_logs():
    x, y = numbered(4)
    model, ended = linear_model(), []
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ended.append(epoch), on_train_end=ended.append)
    with pytest.warns(UserWarning, match="ran out of data after epoch 2 of 4; training stops"):
        history = model.fit(((x, y) for _ in range(4)), epochs=4, steps_per_epoch=2, verbose=0, callbacks=[note])
    assert history.epoch == [0, 1] and len(history.history["loss"]) == 2
    assert ended[:2] == [0, 1] and ended[2]["loss"] == history.history["loss"][1] and len(ended) == 3


def test_validation_for_which_no_data_are_left_gives_no_results():
    x, y = numbered(4)
    model = linear_model()
    with pytest.warns(UserWarning, match="validation_data ran out of data"):
        history = model.fit(x, y, epochs=3, verbose=0, validation_data=((x, y) for _ in range(2)))
    assert len(history.history["loss"]) == 3 and len(history.history["val_loss"]) == 1


def test_iterable_of_batches_is_iterated_anew_each_epoch():
    x, y = numbered(4)
    model = linear_model()
    model.fit(Loader(x, y), epochs=3, verbose=0)
    assert len(model.seen) == 3


class Loader:
    """Gives lists, as loaders of other libraries do."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        yield [self.x, self.y]


@pytest.mark.parametrize("workers", [1, 3])
def test_dataset_gives_its_batches_once_an_epoch_in_a_new_order(workers):
    data, model = Batches(7, workers=workers, max_queue_size=2), linear_model()
    random.set_seed(1)
    model.fit(data, epochs=2, verbose=0)
    order = [batch[0] for batch in trained_on(model)]
    assert sorted(order[:7]) == sorted(order[7:]) == list(range(7)) and order[:7] != order[7:]
    assert data.events == ["begin", "end"] * 2


def test_dataset_without_shuffle_is_in_order():
    model = linear_model()
    model.fit(Batches(4), shuffle=False, validation_data=Batches(2), verbose=0)
    assert [b[0] for b in trained_on(model)] == [0, 1, 2, 3]
    assert [b[0] for b in trained_on(model, "test")] == [0, 1]


def test_error_in_a_worker_reaches_fit():
    class Broken(Batches):
        def __getitem__(self, index):
            raise OSError(f"batch {index} is gone")

    with pytest.raises(OSError, match="is gone"):
        linear_model().fit(Broken(3, workers=2), verbose=0)


def test_predict_takes_batches_and_ignores_targets():
    x, y = numbered(6)
    model = linear_model()
    expected = model.predict(x, batch_size=4, verbose=0)
    assert expected.shape == (6, 1)
    batches = ((x[i : i + 2], y[i : i + 2]) for i in (0, 2, 4))
    np.testing.assert_array_equal(model.predict(batches, verbose=0), expected)
    np.testing.assert_array_equal(model.predict(x, batch_size=2, steps=2, verbose=0), expected[:4])


X, Y = numbered(10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": X, "y": Y[:5]}, "x has 10, y has 5"),
        ({"x": X, "y": Y, "sample_weight": np.ones(9)}, "sample_weight has 9"),
        ({"x": X[:0], "y": Y[:0]}, "no samples"),
        ({"x": X, "y": Y, "validation_split": 0.99}, "leaves 0 to train on and 10"),
        ({"x": X, "y": Y, "validation_split": 1.5}, "between 0 and 1, got 1.5"),
        ({"x": X, "y": Y, "batch_size": 0}, "at least 1, got 0"),
        ({"x": X, "y": Y, "shuffle": "samples"}, "'samples'"),
        ({"x": X, "y": Y, "steps_per_epoch": 0}, "at least 1, got 0"),
        ({"x": X, "y": Y, "validation_data": (X, Y), "validation_freq": 0}, "validation_freq"),
        ({"x": X, "y": Y, "validation_data": (X, Y, Y, Y)}, "tuple of 4"),
        ({"x": X, "y": Y, "verbose": 3}, "verbose must be"),
        ({"x": X}, "no y"),
        ({"x": [X, X], "y": Y}, "x expects 1 arrays .in0., got a list of 2"),
        ({"x": {"image": X}, "y": Y}, "expects the names .'in0'., got .'image'."),
        ({"x": X, "y": Y, "class_weight": {0: 2.0}, "sample_weight": np.ones(10)}, "got both"),
        ({"x": Batches(2), "y": Y}, "y must come with the batches"),
        ({"x": Batches(0)}, "no batches"),
        ({"x": 3.0, "y": Y}, "x must be arrays"),
    ],
)
def test_unusable_data_are_refused_with_the_numbers_before_training(arguments, message):
    model = linear_model()
    before = model.get_weights()
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(**{"verbose": 0, **arguments})
    assert not [k for k, *_ in model.seen if k == "train"]
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize("x", [np.array(["a", "b"]), np.array([None, 1.0]), np.zeros(2, complex)])
def test_data_that_are_no_real_numbers_are_refused(x):
    with pytest.raises(TypeError, match="real numbers"):
        linear_model().fit(x, np.zeros(2), verbose=0)
