"""The names of classes come from the data, stay with the model, and guard against data of other classes."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import Input, Sequential, layers, load_model
from cnnfast.formats import safetensors_io
from cnnfast.training.class_names import class_names_of
from cnnfast.utils import PyDataset


class Named(PyDataset):
    """One batch; the classes have names."""

    def __init__(self, class_names=("cats", "dogs"), **attributes):
        super().__init__()
        self.class_names = None if class_names is None else list(class_names)
        vars(self).update(attributes)

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])


def network():
    model = Sequential([Input((2,)), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_fit_takes_the_names_of_the_data():
    model = network()
    assert model.class_names is None
    model.fit(Named(), verbose=0)
    assert model.class_names == ["cats", "dogs"]
    model.fit(*Named()[0], verbose=0)
    model.fit(Named(None), verbose=0)
    assert model.class_names == ["cats", "dogs"]


@pytest.mark.parametrize("use", ["fit", "evaluate", "evaluate_full"])
@pytest.mark.parametrize("names", [("dogs", "cats"), ("cats", "cows")])
def test_data_of_other_classes_are_refused_with_both_lists(use, names):
    model = network()
    model.fit(Named(), verbose=0)
    before = model.get_weights()
    with pytest.raises(ValueError, match=rf"{use}: the data have the classes \['{names[0]}'.*knows \['cats', 'dogs'\]"):
        getattr(model, use)(Named(names), verbose=0)
    assert model.class_names == ["cats", "dogs"]
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    model.class_names = None
    getattr(model, use)(Named(names), verbose=0)


def test_validation_data_must_have_the_classes_of_the_training_data():
    model = network()
    with pytest.raises(ValueError, match="validation_data: the data have the classes"):
        model.fit(Named(), validation_data=Named(("dogs", "cats")), verbose=0)
    assert model.class_names is None


def test_predict_does_not_ask():
    model = network()
    model.class_names = ["a", "b"]
    assert model.predict(Named(), verbose=0).shape == (4, 2)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (Named(None, class_indices={"b": 1, "a": 0}), ["a", "b"]),  # as iterators of Keras have them
        (Named(None, class_indices={"b": 1, "a": 0}, class_mode="input"), None),
        (Named(None, class_indices={"b": 1, "a": 0}, class_mode=None), None),
        (Named(("0", "1")), None),  # numbers are no names
        (Named([]), None),
        (np.zeros(3), None),
    ],
)
def test_where_names_are_found(data, names):
    assert class_names_of(data) == names


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("ab", TypeError, "None or a list of strings"),
        ([1, 2], TypeError, "None or a list of strings"),
        ([], ValueError, "1 to 100000 names"),
        ([""], ValueError, "1 to 200 characters"),
        (["x" * 201], ValueError, "1 to 200 characters"),
        (["\x1b[2J"], ValueError, "control characters"),
        (["a\nb"], ValueError, "control characters"),
        (["\ud800"], ValueError, "control characters"),
    ],
)
def test_names_that_are_none_are_refused(names, error, message):
    model = network()
    model.class_names = ["kept"]
    with pytest.raises(error, match=message):
        model.class_names = names
    assert model.class_names == ["kept"]


def test_names_are_a_copy():
    model = network()
    names = ["a", "b"]
    model.class_names = names
    names.append("c")
    model.class_names.append("d")
    assert model.class_names == ["a", "b"]


def test_names_are_saved_and_loaded(tmp_path):
    model = network()
    model.save(tmp_path / "without.safetensors")
    model.class_names = ["Kätzchen", "犬"]
    model.save(tmp_path / "with.safetensors")
    assert load_model(tmp_path / "without.safetensors").class_names is None
    assert load_model(tmp_path / "with.safetensors").class_names == ["Kätzchen", "犬"]


@pytest.mark.parametrize("names", ["ab", [1], [], ["\x1b[2J"], ["x" * 10**4], {"a": 0}, None])
def test_hostile_names_in_a_file_are_refused(tmp_path, names):
    path = tmp_path / "m.safetensors"
    network().save(path)
    arrays, document = safetensors_io.read(path)
    safetensors_io.write(path, arrays, document | {"class_names": names})
    with pytest.raises(ValueError, match=r"m\.safetensors.*class_names"):
        load_model(path)


def test_the_summary_names_the_classes():
    model, texts = network(), []
    model.summary(print_fn=texts.append)
    model.class_names = ["cats", "dogs"]
    model.summary(print_fn=texts.append)
    model.class_names = list("abcdefg")
    model.summary(print_fn=texts.append)
    assert "Classes" not in texts[0]
    assert texts[1].endswith(" Classes: 2 (cats, dogs)")
    assert texts[2].endswith(" Classes: 7 (a, b, c, d, e, ...)")
