"""Training that was interrupted goes on as if it had not been."""

from __future__ import annotations

import random as python_random

import numpy as np
import pytest

from cnnfast import Input, Sequential, layers, losses, optimizers, random
from cnnfast.formats import load_checkpoint, load_weights, save_checkpoint
from tests.formats.files import flipped, rewritten, truncated
from tests.formats.networks import bits

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 6, 6, 2)).astype(np.float32)
Y = RNG.integers(0, 3, 40)


def network(optimizer="adam", seed=0):
    random.set_seed(seed)
    model = Sequential(
        [
            Input((6, 6, 2)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    model.compile(optimizers.get(optimizer), losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def fit(model, epochs, initial_epoch=0):
    return model.fit(X, Y, batch_size=16, epochs=epochs, initial_epoch=initial_epoch, verbose=0)


def state(model):
    slots = [s.value for w in model.weights for s in model.optimizer.slots_of(w).values()]
    numbers = (model.optimizer.iterations, model.optimizer.learning_rate, random.get_state())
    return bits(model.get_weights()), bits(slots), numbers


OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: optimizers.Adam(0.01),
    "rmsprop": lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "latest.safetensors"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resumed_training_gives_the_bits_of_uninterrupted_training(name, path):
    whole = network(OPTIMIZERS[name]())
    fit(whole, 4)
    expected = state(whole)

    first = network(OPTIMIZERS[name]())
    fit(first, 2)
    save_checkpoint(path, first, epoch=2)
    fit(first, 4, initial_epoch=2)  # what the checkpoint must not have seen

    second = network(OPTIMIZERS[name](), seed=77)
    epoch, extra, arrays = load_checkpoint(path, second)
    assert (epoch, extra, arrays) == (2, {}, {})
    fit(second, 4, initial_epoch=epoch)
    assert state(second) == expected


def test_checkpoint_goes_back_into_the_model_that_went_on(path):
    model = network()
    fit(model, 1)
    before = state(model)
    save_checkpoint(path, model, epoch=1)
    fit(model, 2, initial_epoch=1)
    assert state(model) != before
    load_checkpoint(path, model)
    assert state(model) == before


def test_learning_rate_that_was_changed_while_training_comes_back(path):
    model = network()
    model.optimizer.learning_rate = 0.007
    save_checkpoint(path, model, epoch=0)
    other = network()
    load_checkpoint(path, other)
    assert other.optimizer.learning_rate == 0.007


def test_extra_and_arrays_come_back(path):
    model = network()
    extra = {"best": 0.1, "history": [1, 2.5, None], "nested": {"a": "ä"}}
    save_checkpoint(path, model, epoch=3, extra=extra, arrays={"state/0": X})
    epoch, found, arrays = load_checkpoint(path, model)
    assert (epoch, found) == (3, extra)
    assert list(arrays) == ["state/0"] and np.array_equal(arrays["state/0"], X)


def test_weights_of_a_checkpoint_can_be_read_alone(path):
    model = network()
    fit(model, 1)
    save_checkpoint(path, model, epoch=1)
    other = network(seed=5)
    load_weights(other, path)
    assert bits(other.get_weights()) == bits(model.get_weights())


def test_model_that_is_not_compiled_has_a_checkpoint_too(path):
    model = Sequential([Input((3,)), layers.Dense(2)])
    save_checkpoint(path, model, epoch=1)
    other = Sequential([Input((3,)), layers.Dense(2)])
    load_checkpoint(path, other)
    assert bits(other.get_weights()) == bits(model.get_weights())


@pytest.mark.parametrize("epoch", [-1, 1.5, True, None])
def test_epoch_must_be_a_whole_number(path, epoch):
    with pytest.raises(ValueError, match="epoch"):
        save_checkpoint(path, network(), epoch=epoch)
    assert not path.exists()


def test_extra_that_json_cannot_hold_is_refused_and_the_old_file_stays(path):
    model = network()
    save_checkpoint(path, model, epoch=1)
    before = path.read_bytes()
    for extra in ({"loss": float("nan")}, {"model": model}):
        with pytest.raises(ValueError, match="JSON"):
            save_checkpoint(path, model, epoch=2, extra=extra)
    assert path.read_bytes() == before


@pytest.fixture
def trained(path):
    model = network()
    fit(model, 1)
    save_checkpoint(path, model, epoch=1)
    fit(model, 2, initial_epoch=1)
    return model


def refuse(path, model, message):
    before = state(model)
    with pytest.raises(ValueError, match=message) as caught:
        load_checkpoint(path, model)
    assert path.name in str(caught.value)
    assert state(model) == before


def test_checkpoint_of_another_model_or_optimizer_changes_nothing(trained, path):
    refuse(path, network("sgd"), "is of 'Adam', the model is compiled with 'SGD'")
    refuse(path, network(optimizers.Adam(amsgrad=True)), "missing: .*v_max")
    other = Sequential([Input((6, 6, 2)), layers.Flatten(), layers.Dense(3)])
    other.compile("adam", "mse")
    refuse(path, other, "unexpected: .*conv2d/kernel")
    uncompiled = network()
    uncompiled.optimizer = None
    with pytest.raises(ValueError, match="compile the model"):
        load_checkpoint(path, uncompiled)


HOSTILE = {
    "epoch below 0": {"epoch": -1},
    "epoch a float": {"epoch": 1.0},
    "extra a list": {"extra": []},
    "no random state": {"random": None},
    "random state of nothing": {"random": {}},
    "random state of another generator": {"random": {"bit_generator": "MT19937", "state": {"key": [0], "pos": 0}}},
    "random state too large": {"random": {"bit_generator": "PCG64", "state": {"state": 10**39, "inc": 1}}},
    "optimizer a list": {"optimizer": []},
    "optimizer of a module": {"optimizer": {"class_name": "os.system", "iterations": 0, "learning_rate": 0.1}},
    "iterations below 0": {"optimizer": {"class_name": "Adam", "iterations": -1, "learning_rate": 0.1}},
    "iterations endless": {"optimizer": {"class_name": "Adam", "iterations": 10**20, "learning_rate": 0.1}},
    "learning rate below 0": {"optimizer": {"class_name": "Adam", "iterations": 0, "learning_rate": -0.1}},
    "learning rate a string": {"optimizer": {"class_name": "Adam", "iterations": 0, "learning_rate": "fast"}},
    "unknown entry": {"callback": "code"},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_checkpoint_changes_nothing(trained, path, what):
    refuse(rewritten(path, lambda _, document: document.update(HOSTILE[what])), trained, "hostile")


def test_slots_that_do_not_fit_change_nothing(trained, path):
    def without(arrays, _):
        del arrays["optimizer/dense/bias/v"]

    def other(arrays, _):
        arrays["optimizer/dense/bias/v"] = np.zeros(7, np.float32)

    refuse(rewritten(path, without), trained, "missing: dense/bias/v")
    refuse(rewritten(path, other), trained, r"dense/bias/v has shape \(7,\)")


def test_truncated_checkpoint_changes_nothing(trained, path):
    whole = path.read_bytes()
    for piece in truncated(whole, python_random.Random(0)):
        path.write_bytes(piece)
        refuse(path, trained, "latest")


def test_damaged_header_changes_nothing_or_is_harmless(trained, path):
    before = state(trained)
    refused = 0
    for damaged in flipped(path.read_bytes(), python_random.Random(2), 300):
        path.write_bytes(damaged)
        try:
            load_checkpoint(path, trained)
        except ValueError:
            refused += 1
            assert state(trained) == before
        else:
            before = state(trained)
    assert refused > 150
