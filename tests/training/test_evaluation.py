"""`evaluate_full`: predictions, labels and file names are those of the same samples, however they are shuffled."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, layers, random
from cnnfast.image import image_dataset_from_directory
from cnnfast.training.evaluation import Evaluation
from cnnfast.utils import PyDataset
from tests.image.files import folder

COUNT = 10


class Shuffled(PyDataset):
    """Samples whose input is their number, in an order of its own, as data sets that shuffle have one."""

    def __init__(self, workers=1, numbered=True, labelled=True):
        super().__init__(workers)
        self.filenames = [f"{i}.png" for i in range(COUNT)]
        self.order = np.random.default_rng(4).permutation(COUNT)
        self.numbered, self.labelled = numbered, labelled

    def __len__(self):
        return 4

    def __getitem__(self, index):
        samples = self.order[3 * index : 3 * index + 3]
        x, y = samples[:, None].astype(float), samples % 2
        return (x, y, samples + 1.0) if self.labelled else x

    def samples_of(self, index):
        return self.order[3 * index : 3 * index + 3] if self.numbered else None


def network(outputs=2):
    random.set_seed(1)
    model = Sequential([Input((1,)), layers.Dense(outputs, "softmax" if outputs > 1 else "sigmoid")])
    loss = "sparse_categorical_crossentropy" if outputs > 1 else "binary_crossentropy"
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def of_numbers(model):
    return model.predict(np.arange(COUNT, dtype=float)[:, None], verbose=0)


@pytest.mark.parametrize("workers", [1, 3])
def test_rows_are_those_of_the_data_set_whatever_its_order(workers):
    model, data = network(), Shuffled(workers)
    full = model.evaluate_full(data, verbose=0)
    assert len(full) == COUNT and full.filenames == data.filenames
    assert full.samples.tolist() == list(range(COUNT))
    assert full.labels.tolist() == [0, 1] * 5
    assert full.sample_weight.tolist() == list(range(1, COUNT + 1))
    np.testing.assert_allclose(full.predictions, of_numbers(model), rtol=1e-6)


def test_results_are_those_of_evaluate():
    model = network()
    assert model.evaluate_full(Shuffled(), verbose=0).results == model.evaluate(Shuffled(), verbose=0, return_dict=True)


def test_some_steps_give_their_rows_alone():
    full = network().evaluate_full(Shuffled(), steps=2, verbose=0)
    assert full.samples.tolist() == sorted(Shuffled().order[:6])
    assert full.filenames == [f"{i}.png" for i in full.samples]


def test_arrays_lists_and_generators_have_no_file_names():
    model = network()
    x, y = np.arange(COUNT, dtype=float)[:, None], np.arange(COUNT) % 2
    batches = [(x[i : i + 4], y[i : i + 4]) for i in range(0, COUNT, 4)]
    for full in model.evaluate_full(x, y, verbose=0), model.evaluate_full((b for b in batches), verbose=0):
        assert full.filenames is None and full.labels.tolist() == y.tolist()
        np.testing.assert_allclose(full.predictions, of_numbers(model), rtol=1e-6)


def test_without_numbers_of_samples_no_file_name_is_guessed():
    full = network().evaluate_full(Shuffled(numbered=False), verbose=0)
    assert full.filenames is None
    assert full.labels.tolist() == (Shuffled().order % 2).tolist()


def test_data_without_labels_and_models_that_are_not_compiled_will_do():
    model = network()
    full = model.evaluate_full(Shuffled(labelled=False), verbose=0)
    assert full.labels is None and full.results == {} and full.filenames == Shuffled().filenames
    with pytest.raises(ValueError, match="there are no labels"):
        full.confusion_matrix()
    plain = Sequential([Input((1,)), layers.Dense(2)])
    assert plain.evaluate_full(Shuffled(), verbose=0).labels.tolist() == [0, 1] * 5


def test_several_outputs_come_as_lists():
    x = Input((1,))
    model = Model(x, [layers.Dense(2, name="a")(x), layers.Dense(1, name="b")(x)])
    inputs = np.arange(5.0)[:, None]
    full = model.evaluate_full(inputs, [np.arange(5), np.arange(5) * 2], verbose=0)
    assert [p.shape for p in full.predictions] == [(5, 2), (5, 1)]
    assert [y.tolist() for y in full.labels] == [[0, 1, 2, 3, 4], [0, 2, 4, 6, 8]]
    with pytest.raises(ValueError, match="predictions of 2 outputs"):
        full.predicted_classes  # noqa: B018


@pytest.mark.parametrize("outputs", [1, 2])
def test_classes_mistakes_and_confusion_agree(outputs):
    model = network(outputs)
    model.class_names = ["even", "odd"]
    full = model.evaluate_full(Shuffled(), verbose=0)
    scores = of_numbers(model)
    expected = scores.argmax(axis=1) if outputs == 2 else (scores[:, 0] > 0.5).astype(int)
    np.testing.assert_array_equal(full.predicted_classes, expected)
    wrong = np.flatnonzero(expected != np.arange(COUNT) % 2)
    mistakes = full.mistakes()
    assert sorted(m.sample for m in mistakes) == wrong.tolist()
    assert [m.score for m in mistakes] == sorted((m.score for m in mistakes), reverse=True)
    for m in mistakes:
        assert m.filename == f"{m.sample}.png"
        assert (m.true, m.predicted) == (["even", "odd"][m.sample % 2], ["even", "odd"][expected[m.sample]])
        score = scores[m.sample].max() if outputs == 2 else abs(scores[m.sample, 0] - 1 + expected[m.sample])
        assert m.score == pytest.approx(score)
    matrix = full.confusion_matrix()
    assert matrix.shape == (2, 2) and matrix.sum() == COUNT
    assert matrix.trace() == COUNT - len(wrong)
    assert full.confusion_matrix("true").sum() == pytest.approx(2.0)


def test_one_hot_labels_are_classes_too():
    y = np.eye(2)[np.arange(COUNT) % 2]
    full = network().evaluate_full(np.arange(COUNT, dtype=float)[:, None], np.argmax(y, axis=1), verbose=0)
    other = Sequential([Input((1,)), layers.Dense(2)]).evaluate_full(np.arange(COUNT)[:, None] * 1.0, y, verbose=0)
    np.testing.assert_array_equal(full.true_classes, other.true_classes)


def test_the_confusion_matrix_is_drawn_with_the_names():
    model = network()
    model.class_names = ["even", "odd"]
    figure = model.evaluate_full(Shuffled(), verbose=0).plot_confusion_matrix()
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["even", "odd"]


def test_the_table_has_a_line_for_each_file(tmp_path):
    model = network()
    model.class_names = ["even", "odd"]
    full = model.evaluate_full(Shuffled(), verbose=0)
    full.save_csv(tmp_path / "full.csv")
    with open(tmp_path / "full.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["filename", "true", "predicted", "even", "odd"]
    assert [row[0] for row in rows] == full.filenames
    assert [row[1] for row in rows] == ["even", "odd"] * 5
    np.testing.assert_allclose([[float(v) for v in row[3:]] for row in rows], full.predictions, rtol=1e-6)


def test_tables_have_file_names_of_any_bytes(tmp_path):
    names = [os.fsdecode(f"{i}-".encode() + b"\xff\xe9.png") for i in range(2)]
    predictions = np.eye(2, dtype=np.float32)
    full = Evaluation(predictions, np.arange(2), names, None, np.arange(2), {}, ["a", "b"])
    full.save_csv(tmp_path / "full.csv")
    with open(tmp_path / "full.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert [row["filename"] for row in csv.DictReader(file)] == names


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "full.csv"
    path.write_text("old")
    names = ["a.png", "\ud800.png"]  # half of a pair, which no file name has
    full = Evaluation(np.eye(2), np.arange(2), names, None, np.arange(2), {}, None)
    with pytest.raises(UnicodeEncodeError):
        full.save_csv(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="evaluate_full: there was no batch"):
        network().evaluate_full(iter([]), verbose=0)


@pytest.mark.parametrize("shuffle", [True, False])
def test_image_folders_are_evaluated_file_by_file(tmp_path, shuffle):
    data = image_dataset_from_directory(
        folder(tmp_path, {"a": 7, "b": 5}), image_size=(2, 2), batch_size=5, shuffle=shuffle, seed=1, verbose=False
    )
    next(iter(data))  # somebody has looked at a batch
    flat = Sequential([Input((2, 2, 3)), layers.Flatten()])
    full = flat.evaluate_full(data, verbose=0)
    assert full.filenames == data.filenames and full.class_names == ["a", "b"]
    np.testing.assert_array_equal(full.labels, data.labels)
    for name, row in zip(full.filenames, full.predictions, strict=True):
        letter, number = name.replace("\\", "/").split("/")
        assert row[0] == int(number.split(".")[0]) + (7 if letter == "b" else 0)
