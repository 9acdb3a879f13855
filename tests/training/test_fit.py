"""`compile`, `fit`, `evaluate`, `predict` and their relatives on a model in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import Input, Sequential, callbacks, layers, metrics, schedules
from cnnfast.optimizers import SGD
from cnnfast.training.errors import NonFiniteLoss
from tests.training.linear_model import LinearModel, linear_data, linear_model


def test_loss_of_an_epoch_is_the_mean_over_samples_not_over_batches():
    x, y = linear_data(10)
    model = linear_model(SGD(0.0))
    history = model.fit(x, y, batch_size=4, verbose=0)
    expected = np.mean((model.predict(x, verbose=0) - y) ** 2)
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-12)


def test_metrics_gather_their_state_over_batches():
    x, y = linear_data(10)
    model = linear_model(SGD(0.0), metrics=[metrics.RootMeanSquaredError(name="rmse")])
    history = model.fit(x, y, batch_size=3, verbose=0).history
    assert history["rmse"][0] == pytest.approx(np.sqrt(history["loss"][0]), rel=1e-6)


def test_results_start_anew_each_epoch():
    x, y = linear_data(10)
    model = linear_model(SGD(0.0), metrics=["mae"])
    history = model.fit(x, y, epochs=3, shuffle=False, verbose=0, validation_data=(x[:3], y[:3])).history
    assert len(set(history["loss"])) == len(set(history["mae"])) == len(set(history["val_loss"])) == 1


def test_weighted_metrics_use_sample_weights_and_metrics_do_not():
    x, y = linear_data(4)
    model = linear_model()
    model.compile("sgd", "mse", metrics=[metrics.MeanSquaredError(name="plain")], weighted_metrics=["mse"])
    weights = np.array([0.0, 0.0, 1.0, 1.0])
    found = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    errors = (model.predict(x, verbose=0) - y)[:, 0] ** 2
    assert found["plain"] == pytest.approx(errors.mean(), rel=1e-6)
    assert found["mse"] == pytest.approx(errors[2:].mean(), rel=1e-6)
    assert found["loss"] == pytest.approx(errors[2:].sum() / 4, rel=1e-6)


def test_class_weight_does_not_weigh_the_validation():
    x, _ = linear_data(4)
    labels = np.array([0, 1, 0, 1])
    model = linear_model()
    model.fit(x, labels, class_weight={1: 3.0}, validation_data=(x, labels), shuffle=False, verbose=0)
    assert [None if w[0] is None else w[0].tolist() for *_, w in model.seen] == [[1, 3, 1, 3], None]


def test_evaluate_gives_results_in_the_order_of_metrics_names():
    x, y = linear_data()
    model = linear_model(metrics=["mse", "mae"])
    by_name = model.evaluate(x, y, verbose=0, return_dict=True)
    assert model.metrics_names == ["loss", "mse", "mae"]
    assert model.evaluate(x, y, verbose=0) == [by_name[n] for n in model.metrics_names]
    assert linear_model().evaluate(x, y, verbose=0) == by_name["loss"]


def test_several_outputs_have_losses_and_metrics_of_their_own():
    x, y = linear_data()
    model = linear_model(outputs=2)
    model.compile("sgd", {"out0": "mse", "out1": "mse"}, loss_weights=[1.0, 0.5], metrics={"out1": "mae"})
    found = model.evaluate([x, x], [y, y], verbose=0, return_dict=True)
    assert model.metrics_names == ["loss", "out0_loss", "out1_loss", "out1_mae"]
    assert found["loss"] == pytest.approx(found["out0_loss"] + 0.5 * found["out1_loss"], rel=1e-12)
    assert [p.shape for p in model.predict([x, x], verbose=0)] == [(10, 1)] * 2


def test_outputs_that_are_not_known_at_compile_time_are_found_with_the_first_batch():
    x, y = linear_data()
    model = linear_model(outputs=2, known=False, metrics=[["mae"], []])
    found = model.fit([x, x], [y, y], verbose=0).history
    assert set(found) == {"loss", "output_1_loss", "output_2_loss", "output_1_mae"}


def test_accuracy_takes_the_form_that_fits_the_targets():
    model = linear_model(metrics=["accuracy"])
    x, _ = linear_data()
    labels = (model.predict(x, verbose=0) > 0.5).astype(int)
    assert model.evaluate(x, labels, verbose=0, return_dict=True)["accuracy"] == 1.0
    assert model.evaluate(x, 1 - labels, verbose=0, return_dict=True)["accuracy"] == 0.0


def test_on_batch_methods_give_the_results_of_their_batch_alone():
    x, y = linear_data()
    model = linear_model(SGD(0.0), metrics=["mae"])
    expected = model.evaluate(x[4:], y[4:], verbose=0)
    model.test_on_batch(x[:4], y[:4])
    assert model.train_on_batch(x[4:], y[4:]) == expected
    by_name = model.test_on_batch(x[4:], y[4:], return_dict=True)
    assert [by_name[name] for name in model.metrics_names] == expected
    np.testing.assert_array_equal(model.predict_on_batch(x), model.predict(x, verbose=0))


def test_initial_epoch_and_epochs_are_numbers_of_epochs():
    x, y = linear_data()
    model = linear_model()
    assert model.fit(x, y, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    assert model.fit(x, y, epochs=2, initial_epoch=2, verbose=0).history == {}


METRICS_THAT_REFUSE = {
    "AUC": ("0 or 1", np.array([0.0, 2.0, 1.0, 0.0])),
    "Precision": ("0 or 1", np.array([0.0, 1.0, 0.5, 0.0])),
    "TruePositives": ("0 or 1", np.array([0.0, 1.0, 3.0, 0.0])),
    "ConfusionMatrix": ("whole class numbers", np.array([0.0, 1.0, 0.5, 0.0])),
    "sparse_categorical_accuracy": ("classes from 0 to 0", np.array([0.0, 0.0, 0.0, 1.0])),
}


@pytest.mark.parametrize("name", METRICS_THAT_REFUSE)
def test_targets_that_a_metric_refuses_change_nothing(name):
    message, y = METRICS_THAT_REFUSE[name]
    x = np.zeros((4, 3))
    model = linear_model(metrics=[name])
    before = model.get_weights()[0]
    for call in (
        lambda: model.train_on_batch(x, y),
        lambda: model.fit(x, y, batch_size=1, shuffle=False, verbose=0),
        lambda: model.fit(((x, y) for _ in range(2)), verbose=0),
        lambda: model.fit(x, y * 0, validation_data=(x, y), verbose=0),
        lambda: model.evaluate(x, y, batch_size=1, verbose=0),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert model.seen == [] and np.array_equal(model.get_weights()[0], before) and model.optimizer.iterations == 0
    model.train_on_batch(x, y * 0)


def test_predictions_that_a_metric_refuses_change_nothing():
    x, y = linear_data(4)
    model = linear_model(metrics=["AUC"])
    for call in (model.train_on_batch, model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"AUC: y_pred must be probabilities in \[0, 1\].*from_logits=True"):
            call(x, y > 0)
    assert model.seen == []


def test_weights_that_a_metric_refuses_change_nothing():
    x, y = linear_data(4)
    model = LinearModel()
    model.compile("sgd", "mse", weighted_metrics=["AUC"])
    with pytest.raises(ValueError, match="sample_weight"):
        model.train_on_batch(x, (y > 0) * 1.0, sample_weight=np.ones((4, 3)))
    assert model.seen == []


def test_targets_that_are_refused_do_not_decide_the_form_of_accuracy():
    x = np.eye(4)
    model = Sequential([Input((4,)), layers.Dense(4, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with pytest.raises(ValueError, match="one-hot"):
        model.train_on_batch(x, x)
    model.train_on_batch(x, np.arange(4))
    assert type(model._stepper._running.metrics[0]).__name__ == "SparseCategoricalAccuracy"


def test_a_metric_of_ones_own_is_not_called_with_made_up_predictions():
    x, y = linear_data(4)
    calls = []

    def error(y_true, y_pred):
        calls.append(y_pred)
        return np.abs(y_true - y_pred)

    model = linear_model(metrics=[error])
    model.fit(x, y, verbose=0)
    assert len(calls) == 1


def test_fit_returns_the_history_that_the_model_keeps():
    x, y = linear_data()
    model = linear_model()
    own = callbacks.History()
    assert model.fit(x, y, verbose=0, callbacks=[own]) is own is model.history


def test_training_follows_the_schedule_of_the_optimizer():
    x, y = linear_data()
    model = linear_model(SGD(schedules.StepDecay(0.1, 2)))
    rates = []
    note = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: rates.append(model.optimizer.learning_rate))
    model.fit(x, y, batch_size=5, epochs=2, verbose=0, callbacks=[note])
    assert rates == pytest.approx([0.1, 0.01, 0.01, 0.001])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "sdg"}, "sdg"),
        ({"loss": "mean_error"}, "mean_error"),
        ({"loss": ["mse", "mse"]}, "loss expects 1 entries.*got 2"),
        ({"loss": {"out": "mse"}}, "no output named 'out'"),
        ({"loss": "mse", "metrics": ["mae", "mae"]}, "2 are called 'mae'"),
        ({"loss": "mse", "loss_weights": [1.0, 2.0]}, "loss_weights expects 1 entries.*got 2"),
    ],
)
def test_compile_refuses_what_does_not_fit_and_keeps_the_old(arguments, message):
    model = linear_model("sgd")
    before = model.optimizer
    with pytest.raises(ValueError, match=message):
        model.compile(**arguments)
    assert model.optimizer is before
    x, y = linear_data()
    model.fit(x, y, verbose=0)


def test_a_model_that_is_not_compiled_says_so():
    from tests.training.linear_model import LinearModel

    x, y = linear_data()
    for call in (LinearModel().fit, LinearModel().evaluate, LinearModel().train_on_batch):
        with pytest.raises(ValueError, match="compile the model first"):
            call(x, y)
    assert LinearModel().predict(x, verbose=0).shape == (10, 1)


def bad_data():
    x, y = linear_data(10)
    y[5] = np.nan
    return x, y


def test_loss_that_is_not_a_number_raises_and_keeps_the_weights_before_the_batch():
    x, y = bad_data()
    model, twin = linear_model(), linear_model()
    with pytest.raises(NonFiniteLoss, match=r"NaN in epoch 1, batch 3.*learning rate") as caught:
        model.fit(x, y, batch_size=2, shuffle=False, verbose=0, epochs=2)
    assert (caught.value.epoch, caught.value.batch) == (0, 2) and np.isnan(caught.value.loss)
    twin.fit(x[:4], y[:4], batch_size=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], twin.get_weights()[0])


def test_terminate_on_nan_stops_with_the_loss_in_the_logs(capsys):
    x, y = bad_data()
    model, twin = linear_model(), linear_model()
    ended = []
    note = callbacks.LambdaCallback(on_train_end=ended.append)
    history = model.fit(
        x, y, batch_size=2, shuffle=False, verbose=0, epochs=3, callbacks=[callbacks.TerminateOnNaN(), note]
    )
    assert np.isnan(history.history["loss"]).tolist() == [True] and len(ended) == 1
    assert "Batch 3" in capsys.readouterr().out
    twin.fit(x[:4], y[:4], batch_size=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], twin.get_weights()[0])


def test_terminate_on_nan_may_be_asked_to_raise():
    x, y = bad_data()
    with pytest.raises(NonFiniteLoss):
        linear_model().fit(x, y, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


def test_data_without_a_batch_are_refused():
    model = linear_model()
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="there was no batch"):
            call(iter([]), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"class_weight": [1, 2, 3]}, TypeError, "class_weight expects a dict"),
        ({"class_weight": {"0": 5.0}}, ValueError, "class numbers as keys, got '0'"),
        ({"class_weight": {-1: 5.0}}, ValueError, "class numbers as keys, got -1"),
        ({"class_weight": {0: float("nan")}}, ValueError, "finite weights of at least 0, got nan for 0"),
        ({"class_weight": {0: -1.0}}, ValueError, "finite weights of at least 0, got -1.0 for 0"),
        ({"class_weight": {1: "2"}}, ValueError, "finite weights of at least 0, got '2' for 1"),
        ({"sample_weight": np.array([1, np.nan, 1, 1])}, ValueError, "sample_weight must hold finite numbers, got nan"),
        ({"initial_epoch": -1}, ValueError, "initial_epoch must be at least 0, got -1"),
    ],
)
def test_fit_refuses_arguments_that_mean_nothing(arguments, error, message):
    x, _ = linear_data(4)
    with pytest.raises(error, match=message):
        linear_model().fit(x, np.array([0, 1, 0, 1]), verbose=0, **arguments)
