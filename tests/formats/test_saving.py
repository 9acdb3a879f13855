"""Whole models and weights in files."""

from __future__ import annotations

import os
import random as python_random

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Model, Sequential, layers, losses, metrics, optimizers, random
from cnnfast.formats import load_model, load_weights, safetensors_io, save_model, save_weights
from cnnfast.formats.weights import named_weights
from tests.formats.files import flipped, rewritten, truncated
from tests.formats.networks import NETWORKS, bits, inputs_of, randomize


def small() -> Sequential:
    return Sequential([Input((4, 4, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def saved(path):
    model = small()
    randomize(model)
    save_model(model, path)
    return model


def outputs(model, xs):
    return model._engine.predict(xs)


# What comes back


@pytest.mark.parametrize("name", NETWORKS)
def test_loaded_model_predicts_the_same_bits(name, path):
    model = NETWORKS[name]()
    randomize(model)
    model.save(path)
    again = cnnfast.load_model(path)
    for samples in (1, 5):
        xs = inputs_of(model, samples)
        assert bits(outputs(again, xs)) == bits(outputs(model, xs))
    assert [w.trainable for w in again.weights] == [w.trainable for w in model.weights]
    assert len(again.trainable_weights) == len(model.trainable_weights)


def test_loading_draws_no_random_numbers(saved, path):
    before = random.get_state()
    load_model(path)
    assert random.get_state() == before


def test_one_model_saved_twice_gives_equal_files(saved, path, tmp_path):
    save_model(load_model(path), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_file_is_an_ordinary_safetensors_file(saved, path):
    from safetensors.numpy import load_file

    arrays = load_file(path)
    assert sorted(arrays) == [f"weights/{layer}/{w}" for layer in ("conv2d", "dense") for w in ("bias", "kernel")]
    assert np.array_equal(arrays["weights/dense/kernel"], saved.layers[-1].kernel.value)


def test_layer_of_ones_own_comes_back_when_it_is_given(path):
    class Offset(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape):
            self.inner = layers.Dense(self.units)

        def call(self, x):
            return self.inner(x)

    layers.register(Offset)
    model = Sequential([Input((3,)), Offset(2), layers.Dense(1)])
    model.save(path)
    x = inputs_of(model)
    assert bits(outputs(load_model(path), x)) == bits(outputs(model, x))
    layers.LAYERS._classes.pop("Offset")
    with pytest.raises(ValueError, match=r"model\.safetensors.*unknown layer 'Offset'"):
        load_model(path)
    assert isinstance(load_model(path, custom_objects={"Offset": Offset}).layers[0], Offset)


# Weights alone


def test_weights_go_into_another_model_of_the_same_structure(saved, path, tmp_path):
    save_weights(saved, tmp_path / "weights.safetensors")
    for file in (path, tmp_path / "weights.safetensors"):
        other = small()
        load_weights(other, file)
        assert bits(other.get_weights()) == bits(saved.get_weights())


def test_weights_that_do_not_fit_are_named_and_nothing_changes(saved, path):
    other = Sequential(
        [
            Input((4, 4, 1)),
            layers.Conv2D(2, 3, use_bias=False),
            layers.Flatten(),
            layers.Dense(4),
            layers.Dense(1),
        ]
    )
    before = bits(other.get_weights())
    with pytest.raises(ValueError) as caught:
        other.load_weights(path)
    message = str(caught.value)
    assert "model.safetensors" in message
    assert "missing: dense_1/kernel, dense_1/bias" in message
    assert "unexpected: conv2d/bias" in message
    assert "dense/kernel has shape (8, 3) and type float32, expected (8, 4) and float32" in message
    assert bits(other.get_weights()) == before


def test_weights_of_another_type_are_refused(saved, path):
    def change(arrays, _):
        arrays["weights/dense/bias"] = arrays["weights/dense/bias"].astype(np.float64)

    with pytest.raises(ValueError, match=r"dense/bias has shape .* type float64"):
        load_weights(saved, rewritten(path, change))


def test_names_from_a_file_are_shown_harmlessly(saved, path):
    def change(arrays, _):
        arrays["weights/\x1b[2Jevil\n"] = arrays["weights/dense/bias"]

    with pytest.raises(ValueError) as caught:
        load_weights(saved, rewritten(path, change))
    assert str(caught.value).isprintable()


# What cannot be saved


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model"])
def test_other_endings_are_refused(tmp_path, name):
    model = small()
    for function in (model.save, model.save_weights, load_model):
        with pytest.raises(ValueError, match=r"ends in \.safetensors"):
            function(tmp_path / name)
    assert not os.listdir(tmp_path)


def test_model_without_weights_yet_is_refused_and_nothing_is_written(path):
    model = Sequential([layers.Flatten(), layers.Dense(2)])
    for function in (model.save, model.save_weights):
        with pytest.raises(ValueError, match="has no weights yet"):
            function(path)
    assert not path.exists()


def test_model_with_a_call_of_its_own_saves_its_weights_only(path):
    class Mine(Model):
        def __init__(self):
            super().__init__()
            self.top = layers.Dense(2)

        def call(self, x):
            return self.top(x)

    model, other = Mine(), Mine()
    model(np.ones((1, 3), np.float32)), other(np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match="save_weights"):
        model.save(path)
    model.save_weights(path)
    other.load_weights(path)
    assert bits(other.get_weights()) == bits(model.get_weights())


def test_failed_saving_leaves_the_old_file(saved, path):
    before = path.read_bytes()
    bad = Sequential([Input((3,)), layers.Dense(2, activation=lambda x: x)])
    with pytest.raises(ValueError, match="activation"):
        bad.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


# What is compiled


def compiled_equally(a, b):
    assert type(a.optimizer) is type(b.optimizer)
    assert a.optimizer.get_config() == b.optimizer.get_config()
    assert a.optimizer.iterations == b.optimizer.iterations
    pairs = zip(named_weights(a).values(), named_weights(b).values(), strict=True)
    for v, w in pairs:
        assert a.optimizer.decays(v) == b.optimizer.decays(w)
        mine, others = a.optimizer.slots_of(v), b.optimizer.slots_of(w)
        assert mine.keys() == others.keys()
        assert bits([s.value for s in mine.values()]) == bits([s.value for s in others.values()])


def train(model, batches, seed=3):
    random.set_seed(seed)
    rng = np.random.default_rng(seed)
    for _ in range(batches):
        x = rng.standard_normal((8, 4, 4, 1)).astype(np.float32)
        model.train_on_batch(x, rng.integers(0, 3, 8))


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.SGD(0.05),
        optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        optimizers.Adam(0.01, amsgrad=True, clipnorm=1.0),
        optimizers.AdamW(0.01),
        optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    ],
    ids=lambda o: o.name,
)
def test_loaded_model_goes_on_training_bit_for_bit(optimizer, path):
    model = small()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy", metrics.SparseTopKCategoricalAccuracy(2)])
    train(model, 3)
    model.save(path)
    again = load_model(path)
    compiled_equally(model, again)
    train(model, 3, seed=4)
    train(again, 3, seed=4)
    compiled_equally(model, again)
    assert bits(again.get_weights()) == bits(model.get_weights())
    assert list(again.test_on_batch(*held_out(), return_dict=True)) == list(
        model.test_on_batch(*held_out(), return_dict=True)
    )


def held_out():
    rng = np.random.default_rng(9)
    return rng.standard_normal((8, 4, 4, 1)).astype(np.float32), rng.integers(0, 3, 8)


def test_losses_and_metrics_of_several_outputs_come_back(path):
    model = NETWORKS["several_inputs_and_outputs"]()
    model.compile(
        "sgd",
        loss={"one": "mse", "two": losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)},
        loss_weights={"one": 0.5},
        metrics={"two": ["binary_accuracy", "mse"]},
    )
    model.save(path)
    again = load_model(path)
    targets = [np.ones((5, 1), np.float32), np.ones((5, 2), np.float32)]
    xs = inputs_of(model)
    assert again.test_on_batch(xs, targets, return_dict=True) == model.test_on_batch(xs, targets, return_dict=True)


def test_model_that_was_not_compiled_or_is_not_to_be_is_not_compiled(saved, path, tmp_path):
    assert not load_model(path).compiled
    saved.compile("adam", "mse")
    saved.save(tmp_path / "compiled.safetensors")
    assert load_model(tmp_path / "compiled.safetensors").compiled
    assert not load_model(tmp_path / "compiled.safetensors", compile=False).compiled


def test_optimizer_state_can_be_left_out(path):
    model = small()
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
    train(model, 2)
    model.save(path, include_optimizer=False)
    again = load_model(path)
    assert again.optimizer.iterations == 0
    assert not any(again.optimizer.slots_of(w) for w in again.weights)
    assert all(name.startswith("weights/") for name in safetensors_io.read(path)[0])


def test_function_as_loss_is_left_out_with_a_warning(path):
    model = small()
    model.compile("adam", lambda y, p: (0.0, np.zeros_like(p)))
    with pytest.warns(UserWarning, match="compile it again"):
        model.save(path)
    assert not load_model(path).compiled


# Hostile files


def changed_config(**config):
    def change(_, document):
        document["architecture"]["layers"][2]["config"].update(config)

    return change


def changed_training(**entries):
    def change(_, document):
        document["training"].update(entries)

    return change


def described(class_name, **config):
    return {"class_name": class_name, "config": config}


@pytest.mark.parametrize("units", [4, 10**9, 10**12, 2**63, 10**38])
def test_no_more_memory_is_taken_for_weights_than_the_file_holds(saved, path, units):
    with pytest.raises(ValueError, match=r"hostile\.safetensors.*layer 3 \(Sequential\).*the file has \d+ left"):
        load_model(rewritten(path, changed_config(units=units)))


def test_fewer_weights_than_the_file_holds_are_refused(saved, path):
    with pytest.raises(ValueError, match="dense/kernel has shape"):
        load_model(rewritten(path, changed_config(units=2)))
    with pytest.raises(ValueError, match="unexpected: dense/bias"):
        load_model(rewritten(path, changed_config(use_bias=False)))


HOSTILE_TRAINING = {
    "unknown key": {"code": "x"},
    "optimizer of a module": {"optimizer": described("os.system")},
    "optimizer a string": {"optimizer": "adam"},
    "optimizer with another argument": {"optimizer": described("Adam", path="/etc/passwd")},
    "learning rate below 0": {"optimizer": described("Adam", learning_rate=-1.0)},
    "learning rate a function": {"optimizer": described("Adam", learning_rate=described("eval"))},
    "unknown loss": {"loss": described("eval")},
    "loss a string of code": {"loss": "__import__('os')"},
    "two losses": {"loss": [described("MeanSquaredError")] * 2},
    "loss for an unknown output": {"loss": {"nowhere": described("MeanSquaredError")}},
    "loss weight a string": {"loss_weights": "1"},
    "unknown metric": {"metrics": ["os.system"]},
    "metric of 10**12 classes": {"metrics": [described("ConfusionMatrix", num_classes=10**12)]},
    "metric of 10**9 thresholds": {"metrics": [described("AUC", num_thresholds=10**9)]},
    "metric a number": {"metrics": [3]},
    "negative iterations": {"iterations": -1},
    "endless iterations": {"iterations": 10**30},
    "iterations a boolean": {"iterations": True},
    "decay of an unknown weight": {"without_decay": ["nothing"]},
    "decay of no list": {"without_decay": "dense/kernel"},
}


@pytest.mark.parametrize("what", HOSTILE_TRAINING)
def test_hostile_training_configuration_is_refused(path, what):
    model = small()
    model.compile("adam", "mse")
    model.save(path)
    hostile = rewritten(path, changed_training(**HOSTILE_TRAINING[what]))
    with pytest.raises(ValueError, match=r"hostile\.safetensors"):
        load_model(hostile)
    load_model(hostile, compile=False)


def test_slots_that_do_not_fit_are_refused(path):
    model = small()
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True))
    train(model, 1)
    model.save(path)

    def without(arrays, _):
        del arrays["optimizer/dense/bias/m"]

    def more(arrays, _):
        arrays["optimizer/dense/bias/momentum"] = arrays["optimizer/dense/bias/m"]

    def other(arrays, _):
        arrays["optimizer/dense/bias/m"] = np.zeros(2, np.float32)

    for change, message in (
        (without, "missing: dense/bias/m"),
        (more, "unexpected: .*momentum"),
        (other, r"\(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            load_model(rewritten(path, change))


def test_files_of_other_kinds_and_versions_are_refused(saved, path, tmp_path):
    save_weights(saved, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="must hold model, it holds 'weights'"):
        load_model(tmp_path / "weights.safetensors")
    for entry, message in (
        ({"version": 2}, "version 2"),
        ({"kind": ["model"]}, "kind"),
        ({"path": "x"}, "path"),
    ):
        with pytest.raises(ValueError, match=message):
            load_model(rewritten(path, lambda _, document, entry=entry: document.update(entry)))


def test_arrays_of_unknown_purpose_are_refused(saved, path):
    hostile = rewritten(path, lambda arrays, _: arrays.update({"code/x": np.zeros(3, np.uint8)}))
    for read in (load_model, saved.load_weights):
        with pytest.raises(ValueError, match="array 'code/x' must begin with"):
            read(hostile)


def test_truncated_files_are_refused_and_the_model_stays_as_it_was(saved, path):
    whole, before = path.read_bytes(), bits(saved.get_weights())
    for piece in truncated(whole, python_random.Random(0)):
        path.write_bytes(piece)
        for read in (load_model, saved.load_weights):
            with pytest.raises(ValueError, match=r"model\.safetensors"):
                read(path)
    assert bits(saved.get_weights()) == before


def test_damaged_headers_are_refused_or_still_give_a_model(path):
    model = small()
    model.compile("adam", "mse", metrics=["mse"])
    model.save(path)
    refused = 0
    for damaged in flipped(path.read_bytes(), python_random.Random(1), 400):
        path.write_bytes(damaged)
        try:
            loaded = load_model(path)
        except ValueError as error:
            refused += 1
            assert "model.safetensors" in str(error)
        else:
            assert loaded.count_params() == model.count_params()
    assert refused > 200


@pytest.mark.skipif(os.name != "posix", reason="modes as POSIX has them")
@pytest.mark.parametrize("write", ["save", "save_weights"])
def test_a_new_file_has_the_mode_that_the_umask_grants(tmp_path, write):
    model = cnnfast.Sequential([cnnfast.Input((3,)), layers.Dense(2)])
    path = tmp_path / "model.safetensors"
    before = os.umask(0o027)
    try:
        getattr(model, write)(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_there_is_kept_if_it_must_not_be_overwritten(path):
    model = Sequential([Input((3,)), layers.Dense(2)])
    model.save(path, overwrite=False)
    before = path.read_bytes()
    model.set_weights([np.ones((3, 2)), np.ones(2)])
    for write in (model.save, model.save_weights):
        with pytest.raises(FileExistsError, match=r"model\.safetensors.*overwrite is False"):
            write(path, overwrite=False)
    assert path.read_bytes() == before
    model.save(path)
    assert path.read_bytes() != before


def test_a_folder_that_is_missing_is_named(tmp_path):
    model = Sequential([Input((3,)), layers.Dense(2)])
    with pytest.raises(FileNotFoundError, match=r"cannot write into the folder '.*gone': .*m\.safetensors") as caught:
        model.save(tmp_path / "gone" / "m.safetensors")
    assert caught.value.errno is not None and "tmp'" not in str(caught.value)


def test_what_a_network_wants_of_its_images_comes_back(path):
    model = cnnfast.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=2)
    model.save(path)
    again = load_model(path)
    assert (again.variant, again.preprocessing) == (model.variant, model.preprocessing) == ("keras", "tf")


@pytest.mark.parametrize(
    ("entry", "value"),
    [("variant", "a b"), ("variant", 3), ("variant", "x" * 41), ("preprocessing", "os"), ("preprocessing", None)],
)
def test_variants_and_preprocessings_that_are_no_names_are_refused(saved, path, entry, value):
    bad = rewritten(path, lambda _, document: document.update({entry: value}))
    with pytest.raises(ValueError, match=entry):
        load_model(bad)


def test_load_model_is_found_where_keras_has_it():
    assert cnnfast.models.load_model is cnnfast.load_model
    with pytest.raises(AttributeError, match="no attribute 'clone'"):
        _ = cnnfast.models.clone
