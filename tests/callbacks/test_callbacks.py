"""Callbacks: order of the calls, what each does, what each remembers."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from cnnfast import callbacks
from cnnfast.optimizers import SGD
from cnnfast.schedules import Constant
from tests.training.linear_model import linear_data, linear_model

HOOKS = [
    f"on_{what}_{when}"
    for what in ("train", "epoch", "train_batch", "test", "test_batch", "predict", "predict_batch")
    for when in ("begin", "end")
]


class Recorder(callbacks.Callback):
    """Notes every call: hook, number and names of the logs."""

    def __init__(self):
        super().__init__()
        self.calls = []
        for hook in HOOKS:
            setattr(self, hook, self._recording(hook))

    def _recording(self, hook):
        def record(*args):
            self.calls.append((hook, *args[:-1], *sorted(args[-1])))

        return record


def trained(*given, losses=None, **fit):
    """A model that has trained; `losses` are put into the logs of its epochs as val_loss."""
    model = linear_model(SGD(0.1))
    epochs = len(losses) if losses else 2

    class Put(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = losses[epoch]

    x, y = linear_data()
    first = [Put()] if losses else []
    history = model.fit(x, y, verbose=0, **{"epochs": epochs, "callbacks": [*first, *given], **fit})
    return model, history


def test_hooks_are_called_in_keras_order():
    recorder = Recorder()
    model, _ = trained(recorder, epochs=1, batch_size=4, validation_split=0.3)
    validation = [
        ("on_test_begin",),
        ("on_test_batch_begin", 0),
        ("on_test_batch_end", 0, "loss"),
        ("on_test_end", "loss"),
    ]
    assert recorder.calls == [
        ("on_train_begin",),
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 0, "loss"),
        ("on_train_batch_begin", 1),
        ("on_train_batch_end", 1, "loss"),
        *validation,
        ("on_epoch_end", 0, "loss", "val_loss"),
        ("on_train_end", "loss", "val_loss"),
    ]
    x, y = linear_data()
    recorder.calls.clear()
    model.evaluate(x, y, verbose=0, callbacks=recorder)
    assert recorder.calls == validation
    recorder.calls.clear()
    model.predict(x, verbose=0, callbacks=[recorder])
    assert recorder.calls == [
        ("on_predict_begin",),
        ("on_predict_batch_begin", 0),
        ("on_predict_batch_end", 0, "outputs"),
        ("on_predict_end",),
    ]


def test_callbacks_know_model_and_params():
    recorder = Recorder()
    model, _ = trained(recorder, epochs=3, batch_size=4)
    assert recorder.model is model
    assert recorder.params == {"verbose": 0, "epochs": 3, "steps": 3}


def test_older_names_of_the_batch_hooks_still_work():
    class Old(callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_batch_begin(self, batch, logs=None):
            self.seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            self.seen.append(("end", batch))

    old = Old()
    trained(old, epochs=1)
    assert old.seen == [("begin", 0), ("end", 0)]


def test_what_a_callback_adds_to_the_logs_reaches_later_callbacks_and_the_history():
    class Add(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["extra"] = epoch * 2

    later = Recorder()
    _, history = trained(Add(), later)
    assert history.history["extra"] == [0, 2]
    assert ("on_epoch_end", 1, "extra", "loss") in later.calls


def test_a_thing_that_is_no_callback_is_refused():
    with pytest.raises(TypeError, match="expected Callback objects, got 3"):
        trained(3)
    with pytest.raises(TypeError, match="no hook 'on_batch'"):
        callbacks.LambdaCallback(on_batch=print)


def test_stop_training_ends_the_epoch_after_its_batch():
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    recorder = Recorder()
    trained(Stop(), recorder, batch_size=2, epochs=3)
    assert [c for c in recorder.calls if c[0] in ("on_train_batch_end", "on_epoch_end")] == [
        ("on_train_batch_end", 0, "loss"),
        ("on_train_batch_end", 1, "loss"),
        ("on_epoch_end", 0, "loss"),
    ]


# EarlyStopping


@pytest.mark.parametrize(
    ("arguments", "losses", "epochs"),
    [
        ({}, [3, 2, 1, 1, 0], 4),
        ({"patience": 2}, [3, 2, 4, 4, 0], 4),
        ({"min_delta": 0.5}, [3, 2.4, 2.0, 1], 3),
        ({"mode": "max"}, [3, 2, 1], 2),
        ({"patience": 3, "baseline": 4.5}, [5, 6, 4.8, 4.9, 4.6, 4], 4),
        ({"patience": 1, "start_from_epoch": 3}, [1, 2, 3, 4, 5, 6], 5),
        ({"patience": 1}, [float("nan"), 2, 1, 2, 0], 4),
    ],
)
def test_early_stopping_waits_for_its_patience(arguments, losses, epochs):
    _, history = trained(callbacks.EarlyStopping(**arguments), losses=losses)
    assert len(history.epoch) == epochs


def test_early_stopping_restores_the_weights_of_the_best_epoch(capsys):
    kept = []
    note = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: kept.append(note.model.get_weights()))
    stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
    model, _ = trained(note, stop, losses=[3, 1, 2, 2, 2])
    np.testing.assert_array_equal(model.get_weights()[0], kept[1][0])
    assert "Epoch 4: early stopping" in capsys.readouterr().out
    model, _ = trained(note, callbacks.EarlyStopping(patience=2), losses=[3, 1, 2, 2, 2])
    np.testing.assert_array_equal(model.get_weights()[0], kept[-1][0])


def test_early_stopping_can_be_used_again():
    stop = callbacks.EarlyStopping(patience=1)
    for _ in range(2):
        _, history = trained(stop, losses=[3, 4, 5])
        assert len(history.epoch) == 2


def test_a_result_that_is_not_there_gives_a_warning():
    with pytest.warns(UserWarning, match="no 'val_loss' in the logs: loss"):
        trained(callbacks.EarlyStopping(), epochs=1)


def test_unknown_direction_and_mode_are_refused():
    with pytest.raises(ValueError, match="mode='min' or mode='max'"):
        trained(
            callbacks.LambdaCallback(on_epoch_end=lambda e, logs: logs.update(odd=1.0)),
            callbacks.EarlyStopping("odd"),
        )
    with pytest.raises(ValueError, match="got 'up'"):
        callbacks.EarlyStopping(mode="up")


# Learning rates


def test_reduce_on_plateau_lowers_the_rate_waits_and_stops_at_the_minimum():
    reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=1, min_lr=0.03)
    model, history = trained(reduce, losses=[1.0] * 10)
    np.testing.assert_allclose(history.history["learning_rate"], [0.1] * 3 + [0.05] * 2 + [0.03] * 5)
    assert model.optimizer.learning_rate == 0.03


def test_reduce_on_plateau_leaves_a_falling_loss_alone():
    _, history = trained(callbacks.ReduceLROnPlateau(patience=1), losses=[5, 4, 3, 2])
    assert set(history.history["learning_rate"]) == {0.1}


def test_learning_rate_scheduler_with_and_without_the_rate():
    _, history = trained(callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2), epochs=3)
    assert history.history["learning_rate"] == [0.05, 0.025, 0.0125]
    _, history = trained(callbacks.LearningRateScheduler(lambda epoch: 1.0 / (1 + epoch)), epochs=3)
    assert history.history["learning_rate"] == [1.0, 0.5, 1 / 3]


@pytest.mark.parametrize("rate", ["0.1", None, float("nan")])
def test_learning_rate_scheduler_refuses_what_is_no_number(rate):
    with pytest.raises(ValueError, match="finite number, epoch 0 gave"):
        trained(callbacks.LearningRateScheduler(lambda epoch: rate))


def test_a_schedule_is_not_overwritten():
    model = linear_model(SGD(Constant(0.1)))
    x, y = linear_data()
    with pytest.raises(TypeError, match="cannot be set"):
        model.fit(x, y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.1)])
    with pytest.raises(ValueError, match="between 0 and 1, got 1"):
        callbacks.ReduceLROnPlateau(factor=1.0)


# Files


def rows(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_csv_logger_writes_a_line_an_epoch(tmp_path):
    path = tmp_path / "log.csv"
    _, history = trained(callbacks.CSVLogger(path, separator=";"), epochs=3, validation_split=0.2)
    found = rows(path, ";")
    assert found[0] == ["epoch", "loss", "val_loss"]
    assert [r[0] for r in found[1:]] == ["0", "1", "2"]
    assert [float(r[1]) for r in found[1:]] == history.history["loss"]


def test_csv_logger_replaces_or_appends(tmp_path):
    path = tmp_path / "log.csv"
    for append, lines in ((False, 3), (True, 5), (False, 3)):
        trained(callbacks.CSVLogger(path, append=append))
        assert len(rows(path)) == lines


def test_csv_logger_writes_na_for_epochs_without_validation(tmp_path):
    path = tmp_path / "log.csv"
    trained(callbacks.CSVLogger(path), validation_split=0.2, validation_freq=2)
    assert rows(path)[0] == ["epoch", "loss", "val_loss"]
    assert rows(path)[1][2] == "NA" != rows(path)[2][2]


def test_csv_logger_forgets_lines_after_the_state_it_goes_on_from(tmp_path):
    path = tmp_path / "log.csv"
    logger = callbacks.CSVLogger(path)
    trained(logger)
    state = logger.get_state()
    with open(path, "a") as file:
        file.write("2,half a li")
    logger.set_state(state)
    logger.on_epoch_end(2, {"loss": 1.0})
    assert [r[0] for r in rows(path)] == ["epoch", "0", "1", "2"]


class Saver:
    """Takes the place of a model's way of saving and notes what it was asked for."""

    def __init__(self, model):
        self.saved = []
        model.save = lambda path: self.saved.append(("model", path.name))
        model.save_weights = lambda path: self.saved.append(("weights", path.name))


def saved(tmp_path, name, losses, batch_size=None, **arguments):
    model = linear_model(SGD(0.1))
    saver = Saver(model)
    put = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: logs.update(val_loss=losses[e]))
    checkpoint = callbacks.ModelCheckpoint(tmp_path / name, **arguments)
    x, y = linear_data()
    model.fit(x, y, epochs=len(losses), batch_size=batch_size, verbose=0, callbacks=[put, checkpoint])
    return saver.saved


def test_model_checkpoint_fills_in_epoch_and_results(tmp_path):
    assert saved(tmp_path, "{epoch:02d}-{val_loss:.2f}.safetensors", [0.5, 0.25]) == [
        ("model", "01-0.50.safetensors"),
        ("model", "02-0.25.safetensors"),
    ]


def test_model_checkpoint_saves_the_best_only(tmp_path):
    arguments = {"save_best_only": True, "save_weights_only": True}
    names = [n for _, n in saved(tmp_path, "{epoch}.safetensors", [3, 4, 2, 2, 1], **arguments)]
    assert names == ["1.safetensors", "3.safetensors", "5.safetensors"]
    arguments["initial_value_threshold"] = 2.5
    assert saved(tmp_path, "{epoch}.safetensors", [3, 4, 2], **arguments) == [("weights", "3.safetensors")]


def test_model_checkpoint_every_few_batches(tmp_path):
    found = saved(tmp_path, "{epoch}-{batch}.safetensors", [1, 1], batch_size=4, save_freq=2)
    assert [n for _, n in found] == ["1-2.safetensors", "2-1.safetensors", "2-3.safetensors"]


def test_model_checkpoint_refuses_bad_paths_and_frequencies(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.safetensors, got 'model\.keras'"):
        callbacks.ModelCheckpoint("model.keras")
    with pytest.raises(ValueError, match="'epoch' or a number of batches, got 'batch'"):
        callbacks.ModelCheckpoint("a.safetensors", save_freq="batch")
    with pytest.raises(ValueError, match="cannot be filled in"):
        saved(tmp_path, "{accuracy}.safetensors", [1])
