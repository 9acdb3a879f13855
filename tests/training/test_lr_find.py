"""The learning-rate range test finds a good rate and leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import Input, Sequential, layers, random, schedules
from cnnfast.optimizers import SGD, Adam, AdamW
from tests.training.linear_model import linear_data, linear_model


def everything(model):
    return [w.tobytes() for w in model.get_weights()], model.optimizer.iterations, random.get_state()


def test_suggestion_is_below_divergence_and_trains_well():
    x, y = linear_data(64)
    model = linear_model(SGD(0.01))
    found = schedules.lr_find(model, x, y, batch_size=16)
    assert found.learning_rates[0] == pytest.approx(1e-7)
    assert len(found.learning_rates) == len(found.losses) < 100  # it diverges before 10
    ratios = found.learning_rates[1:] / found.learning_rates[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    before = model.evaluate(x, y, verbose=0)
    model.compile(SGD(found.suggestion), "mse")
    model.fit(x, y, batch_size=16, epochs=20, verbose=0)
    assert model.evaluate(x, y, verbose=0) < before / 10


def test_model_optimizer_and_generator_are_untouched():
    x, y = linear_data(20)
    model = linear_model(SGD(0.05), noise=0.1, metrics=["mae"])
    model.fit(x, y, verbose=0)
    before, results, optimizer = everything(model), model.history.history, model.optimizer
    schedules.lr_find(model, x, y)
    assert everything(model) == before and model.optimizer is optimizer
    assert optimizer.learning_rate == 0.05 and optimizer.iterations == 1
    twin = linear_model(SGD(0.05), noise=0.1, metrics=["mae"])
    twin.set_weights(model.get_weights())
    twin.optimizer.iterations = 1
    state = random.get_state()
    a = model.fit(x, y, epochs=2, verbose=0).history
    random.set_state(state)
    assert twin.fit(x, y, epochs=2, verbose=0).history == a and results != a


def test_nothing_is_lost_when_the_data_fail_in_the_middle():
    x, y = linear_data(20)
    model = linear_model()

    def broken():
        yield x, y
        yield x, y
        raise OSError("the disk is gone")

    before = everything(model)
    with pytest.raises(OSError, match="the disk is gone"):
        schedules.lr_find(model, broken())
    assert everything(model) == before
    model.fit(x, y, verbose=0)
    assert model.optimizer.iterations == 1


def test_schedule_that_no_file_can_hold_comes_back():
    x, y = linear_data()

    def schedule(step):
        return 0.01

    model = linear_model(SGD(schedule))
    schedules.lr_find(model, x, y, steps=5)
    assert model.optimizer.schedule is schedule


@pytest.mark.parametrize("how", ["var_list", "var_names"])
def test_weights_without_decay_have_none_in_the_trial_either(rng, how):
    x, y = rng.standard_normal((32, 3)), rng.standard_normal((32, 1))
    model = Sequential([Input((3,)), layers.Dense(1)])

    def losses(optimizer):
        random.set_seed(1)
        model.compile(optimizer, "mse")
        return schedules.lr_find(model, x, y, batch_size=16, steps=20).losses.tolist()

    undecayed = AdamW(weight_decay=0.5)
    undecayed.exclude_from_weight_decay(**{how: model.weights if how == "var_list" else ["kernel", "bias"]})
    assert losses(undecayed) == losses(Adam()) != losses(AdamW(weight_decay=0.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": 1.0, "end": 0.1}, "0 < start < end, got start=1.0, end=0.1"),
        ({"steps": 2}, "steps must be at least 3, got 2"),
        ({"smoothing": 1.0}, "smoothing must lie in"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    x, y = linear_data()
    with pytest.raises(ValueError, match=message):
        schedules.lr_find(linear_model(), x, y, **arguments)


def test_loss_that_is_never_a_number_is_an_error():
    x, y = linear_data()
    model = linear_model()
    before = everything(model)
    with pytest.raises(ValueError, match="not a number from the first learning rate"):
        schedules.lr_find(model, x, y * np.nan)
    assert everything(model) == before
