"""Helpers: one-hot labels, seeds, normalisation, splits, PyDataset."""

from __future__ import annotations

import random as python_random

import numpy as np
import pytest

from cnnfast import random, utils

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("shape", [(), (5,), (5, 1), (2, 3), (2, 3, 1), (1,)])
def test_one_hot_rows_have_their_one_at_the_class(shape):
    labels = RNG.integers(0, 4, shape)
    rows = utils.to_categorical(labels, 6)
    assert rows.shape == (labels[..., 0] if len(shape) > 1 and shape[-1] == 1 else labels).shape + (6,)
    np.testing.assert_array_equal(rows.argmax(-1).ravel(), labels.ravel())
    np.testing.assert_array_equal(rows.sum(-1), 1)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_one_hot_and_normalize_equal_keras():
    keras = pytest.importorskip("keras")
    for labels, count in (
        ([0, 2, 1], None),
        ([[0], [3]], 5),
        (np.uint8([[1, 2], [0, 0]]), None),
        ([1.0, 2.0], 3),
    ):
        ours, theirs = utils.to_categorical(labels, count), keras.utils.to_categorical(labels, count)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    x = RNG.normal(size=(4, 3, 2))
    for axis, order in ((-1, 2), (1, 1), (2, np.inf)):
        ours, theirs = utils.normalize(x, axis, order), keras.utils.normalize(x, axis, order)
        np.testing.assert_allclose(ours, theirs, rtol=2.0**-52)


@pytest.mark.parametrize(
    "labels, count, error, message",
    [
        ([0, 3], 3, ValueError, "from 0 to 2, has values from 0 to 3"),
        ([-1, 0], None, ValueError, "from -1 to 0"),
        ([0.5], None, ValueError, "whole class numbers, has 0.5"),
        ([np.nan], 3, ValueError, "whole class numbers, has nan"),
        ([], None, ValueError, "empty"),
        ([0], 0, ValueError, "at least 1, came 0"),
        (["a"], None, TypeError, "x must be numbers"),
    ],
)
def test_bad_labels_are_refused(labels, count, error, message):
    with pytest.raises(error, match=message):
        utils.to_categorical(labels, count)


def test_set_random_seed_repeats_all_three_generators():
    def draw():
        return python_random.random(), np.random.random(), random.next_seed()  # noqa: NPY002

    utils.set_random_seed(5)
    first = draw()
    utils.set_random_seed(np.int64(5))
    assert draw() == first


@pytest.mark.parametrize("seed, error", [(-1, ValueError), (2**32, ValueError), (0.5, TypeError)])
def test_bad_seed_changes_no_generator(seed, error):
    before = python_random.getstate(), random.get_state()
    with pytest.raises(error, match="set_random_seed"):
        utils.set_random_seed(seed)
    assert (python_random.getstate(), random.get_state()) == before


def test_normalize_works_along_the_first_axis_and_keeps_zeros():
    x = np.array([[3.0, 0.0], [4.0, 0.0]])
    np.testing.assert_allclose(utils.normalize(x, axis=0), [[0.6, 0], [0.8, 0]], rtol=2.0**-52)


@pytest.mark.parametrize(
    "sizes, expected",
    [
        ({"left_size": 7}, (7, 3)),
        ({"right_size": 4}, (6, 4)),
        ({"left_size": 0.75}, (8, 2)),
        ({"right_size": 0.25}, (8, 2)),
        ({"left_size": 0.5, "right_size": 2}, (5, 2)),
        ({"left_size": np.float32(0.3)}, (3, 7)),
    ],
)
def test_split_sizes(sizes, expected):
    data = np.arange(10)
    left, right = utils.split_dataset(data, **sizes)
    np.testing.assert_array_equal(left, data[: expected[0]])
    np.testing.assert_array_equal(right, data[-expected[1] :])


def test_split_shuffles_all_arrays_alike_and_keeps_the_type():
    x, y = np.arange(20).reshape(10, 2), np.arange(10)
    for dataset in ((x, y), [x, y]):
        left, right = utils.split_dataset(dataset, left_size=0.6, shuffle=True, seed=1)
        assert type(left) is type(right) is type(dataset)
        labels = np.concatenate([left[1], right[1]])
        np.testing.assert_array_equal(np.concatenate([left[0], right[0]]), x[labels])
        assert sorted(labels) == list(range(10)) and not np.array_equal(labels, y)


def test_split_shuffles_by_the_global_seed():
    random.set_seed(9)
    first = utils.split_dataset(np.arange(30), 10, shuffle=True)[0]
    random.set_seed(9)
    np.testing.assert_array_equal(utils.split_dataset(np.arange(30), 10, shuffle=True)[0], first)


@pytest.mark.parametrize(
    "dataset, sizes, error, message",
    [
        (np.arange(4), {}, ValueError, "is needed"),
        (np.arange(4), {"left_size": 4}, ValueError, "means 4 of 4"),
        (np.arange(4), {"left_size": 0}, ValueError, "means 0 of 4"),
        (np.arange(4), {"left_size": 1.0}, ValueError, "between 0 and 1, came 1.0"),
        (np.arange(4), {"left_size": 0.1}, ValueError, "means 0 of 4"),
        (np.arange(4), {"left_size": 3, "right_size": 0.5}, ValueError, "parts of 3 and 2 of 4"),
        (np.arange(4), {"left_size": "half"}, TypeError, "came 'half'"),
        ((np.arange(4), np.arange(5)), {"left_size": 2}, ValueError, r"one length, came \[4, 5\]"),
        ([1, 2], {"left_size": 1}, TypeError, "came int, int"),
        ((), {"left_size": 1}, TypeError, "came nothing"),
    ],
)
def test_bad_splits_are_refused(dataset, sizes, error, message):
    with pytest.raises(error, match=message):
        utils.split_dataset(dataset, **sizes)


class Numbers(utils.Sequence):
    def __init__(self):  # forgets super().__init__(), as many do
        self.count = 4

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return index * 10


def test_data_set_gives_each_batch_once_per_epoch_even_without_super_init():
    data = Numbers()
    assert [list(data), list(data), data.num_batches, data.workers] == [
        [0, 10, 20, 30],
        [0, 10, 20, 30],
        4,
        1,
    ]


def test_data_set_says_what_is_missing_and_refuses_no_workers():
    with pytest.raises(NotImplementedError, match="needs __len__"):
        len(utils.PyDataset())
    with pytest.raises(NotImplementedError, match="which gives batch 2"):
        utils.PyDataset()[2]
    with pytest.raises(ValueError, match="at least 1, came 0 and 10"):
        utils.PyDataset(workers=0)
