"""`fit`, callbacks and schedules do what Keras' do: the same linear model, data and weights on both sides."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

from cnnfast import callbacks, schedules
from cnnfast.optimizers import SGD
from tests.training.linear_model import linear_data, linear_model

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras")

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

X, Y = (a.astype(np.float32) for a in linear_data(20))
RTOL = 1e-4  # float32 there, float64 here, over some tens of steps


def both(make_callbacks=lambda c: [], *, rate=0.05, outputs=1, metrics=("mae",), **fit):
    """Trains here and there: (model, history) twice. `make_callbacks` gets the module of callbacks."""
    ours = linear_model(SGD(rate), outputs=outputs, metrics=list(metrics) if outputs == 1 else None)
    inputs = [keras.Input((3,), name=f"in{i}") for i in range(outputs)]
    layers = [keras.layers.Dense(1, use_bias=False, name=f"out{i}") for i in range(outputs)]
    theirs = keras.Model(inputs, [layer(x) for layer, x in zip(layers, inputs, strict=True)])
    theirs.compile(
        keras.optimizers.SGD(rate),
        "mse" if outputs == 1 else ["mse"] * outputs,
        metrics=list(metrics) if outputs == 1 else None,
    )
    theirs.set_weights([w.astype(np.float32) for w in ours.get_weights()])
    x, y = (X, Y) if outputs == 1 else ([X] * outputs, [Y] * outputs)
    results = []
    for model, module in ((ours, callbacks), (theirs, keras.callbacks)):
        arguments = {"batch_size": 8, "verbose": 0, "shuffle": False, **fit}
        results.append((model, model.fit(x, y, callbacks=make_callbacks(module), **arguments)))
    return results


def assert_same_history(results):
    (ours, a), (theirs, b) = results
    assert list(a.history) == list(b.history) and a.epoch == b.epoch
    for name, values in b.history.items():
        np.testing.assert_allclose(a.history[name], values, rtol=RTOL, err_msg=name)
    for w, v in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(w, v, rtol=RTOL, atol=RTOL)


@pytest.mark.parametrize(
    "fit",
    [
        {"epochs": 3},
        {"epochs": 3, "validation_split": 0.3},
        {"epochs": 4, "initial_epoch": 2, "validation_data": (X, Y), "validation_freq": 2},
        {"epochs": 2, "sample_weight": np.linspace(0, 2, 20)},
        {"epochs": 2, "steps_per_epoch": 2},
        {"epochs": 3, "validation_data": (X, Y, np.linspace(1, 3, 20)), "validation_batch_size": 7},
    ],
    ids=lambda fit: "-".join(fit),
)
def test_same_history_and_weights(fit):
    if "steps_per_epoch" in fit:
        fit = {**fit, "epochs": 1}  # Keras starts every epoch of arrays from the beginning
    assert_same_history(both(**fit))


def test_same_history_for_several_outputs():
    assert_same_history(both(outputs=2, epochs=2, validation_split=0.2))


def test_same_class_weights():
    labels = (Y[:, 0] > 0).astype(int)
    (ours, _), (theirs, _) = both(epochs=0)
    for model in (ours, theirs):
        model.fit(X, labels, class_weight={0: 3.0, 1: 0.5}, verbose=0, shuffle=False)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=RTOL)


def test_same_results_of_batch_methods_and_evaluate():
    (ours, _), (theirs, _) = both(epochs=1)
    for method in ("train_on_batch", "test_on_batch", "train_on_batch", "evaluate"):
        quiet = {"verbose": 0} if method == "evaluate" else {}
        a, b = (getattr(model, method)(X[:5], Y[:5], **quiet) for model in (ours, theirs))
        np.testing.assert_allclose(a, b, rtol=RTOL, err_msg=method)
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=RTOL, atol=RTOL)


def recorder(module, calls):
    """A callback that notes hook, number and names of logs of each call."""

    def noting(hook):
        def note(self, *args, logs=None):
            if args and not isinstance(args[-1], int):
                *args, logs = args
            calls.append((hook, *args, *sorted(logs or {})))

        return note

    hooks = [
        f"on_{what}_{when}"
        for what in ("train", "epoch", "train_batch", "test", "test_batch", "predict", "predict_batch")
        for when in ("begin", "end")
    ]
    return type("Recorder", (module.Callback,), {hook: noting(hook) for hook in hooks})()


def test_same_calls_of_hooks():
    lists = []

    def make(module):
        lists.append([])
        return [recorder(module, lists[-1])]

    (ours, _), (theirs, _) = both(make, epochs=2, validation_split=0.3)
    for model, calls, module in ((ours, lists[0], callbacks), (theirs, lists[1], keras.callbacks)):
        model.evaluate(X, Y, batch_size=8, verbose=0, callbacks=[recorder(module, calls)])
        model.predict(X, batch_size=8, verbose=0, callbacks=[recorder(module, calls)])
    assert lists[0] == lists[1] and len(lists[0]) > 30


@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 1},
        {"patience": 2, "restore_best_weights": True},
        {"monitor": "loss", "min_delta": 0.5},
        {"monitor": "val_mae", "mode": "max", "patience": 2, "restore_best_weights": True},
        {"patience": 2, "start_from_epoch": 3, "restore_best_weights": True},
        {"patience": 1, "baseline": 0.01, "restore_best_weights": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("rate", [0.05, 0.6])
def test_same_early_stopping(arguments, rate):
    assert_same_history(both(lambda c: [c.EarlyStopping(**arguments)], rate=rate, epochs=12, validation_split=0.2))


@pytest.mark.parametrize(
    "arguments",
    [
        {"monitor": "loss", "patience": 1, "min_delta": 1.0, "factor": 0.5},
        {"patience": 2, "cooldown": 2, "min_delta": 2.0, "factor": 0.3, "min_lr": 0.01},
        {"mode": "max", "patience": 1, "factor": 0.7},
    ],
    ids=str,
)
def test_same_reduction_on_plateau(arguments):
    assert_same_history(both(lambda c: [c.ReduceLROnPlateau(**arguments)], epochs=12, validation_split=0.2))


def test_same_learning_rate_scheduler():
    assert_same_history(both(lambda c: [c.LearningRateScheduler(lambda e, r: r / (1 + e))], epochs=4))


def test_same_csv_file(tmp_path):
    paths = iter([tmp_path / "ours.csv", tmp_path / "theirs.csv"])
    both(lambda c: [c.CSVLogger(str(next(paths)))], epochs=4, validation_split=0.2, validation_freq=2)
    a, b = ((tmp_path / name).read_text().splitlines() for name in ("ours.csv", "theirs.csv"))
    assert a[0] == b[0] and len(a) == len(b)
    for line, other in zip(a[1:], b[1:], strict=True):
        for cell, expected in zip(line.split(","), other.split(","), strict=True):
            assert cell == expected == "NA" or float(cell) == pytest.approx(float(expected), rel=RTOL)


def test_same_epochs_when_the_loss_is_not_a_number():
    y = Y.copy()
    y[13] = np.nan
    (ours, _), (theirs, _) = both(epochs=0)
    found = [
        model.fit(X, y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[module.TerminateOnNaN()])
        for model, module in ((ours, callbacks), (theirs, keras.callbacks))
    ]
    assert found[0].epoch == found[1].epoch == [0]
    assert np.isnan(found[0].history["loss"]).all() and np.isnan(found[1].history["loss"]).all()


DECAY = {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.6}
WARM = {"initial_learning_rate": 0.01, "decay_steps": 20, "warmup_steps": 9}
RESTARTS = {"initial_learning_rate": 0.1, "first_decay_steps": 7}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ExponentialDecay", DECAY),
        ("ExponentialDecay", {**DECAY, "staircase": True}),
        ("InverseTimeDecay", DECAY),
        ("InverseTimeDecay", {**DECAY, "staircase": True}),
        ("PiecewiseConstantDecay", {"boundaries": [3, 20], "values": [0.1, 0.05, 0.01]}),
        ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "power": 2.0}),
        ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "cycle": True}),
        ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "alpha": 0.2}),
        ("CosineDecay", {**WARM, "warmup_target": 0.1}),
        ("CosineDecay", WARM),
        ("CosineDecayRestarts", {**RESTARTS, "m_mul": 0.8, "alpha": 0.1}),
        ("CosineDecayRestarts", {**RESTARTS, "t_mul": 1.0}),
    ],
)
def test_same_schedules(name, arguments):
    ours = getattr(schedules, name)(**arguments)
    theirs = getattr(keras.optimizers.schedules, name)(**arguments)
    expected = [float(theirs(step)) for step in range(60)]
    np.testing.assert_allclose([ours(step) for step in range(60)], expected, rtol=2e-5, atol=1e-7)
    assert set(ours.get_config()) == set(theirs.get_config())
