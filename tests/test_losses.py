"""Losses as objects: names, targets, weights, reductions, configs."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import Input, Sequential, layers, losses, ops
from tests.oracle import loss as oracle

POINTWISE = {
    "mean_squared_error": "mse MSE",
    "mean_absolute_error": "mae MAE",
    "mean_absolute_percentage_error": "mape MAPE",
    "mean_squared_logarithmic_error": "msle MSLE",
    "kl_divergence": "kld KLD KLDivergence",
    "huber": "Huber",
    "log_cosh": "LogCosh",
    "poisson": "Poisson",
    "hinge": "Hinge",
    "squared_hinge": "SquaredHinge",
    "categorical_hinge": "CategoricalHinge",
    "binary_focal_crossentropy": "BinaryFocalCrossentropy",
    "categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
}


def _arrays(rng, name):
    """Targets and predictions (6, 4) that suit any of the losses."""
    p = rng.random((6, 4)).astype(np.float32)
    if "categorical" in name:
        return np.eye(4, dtype=np.float32)[rng.integers(0, 4, 6)], p
    if "hinge" in name:
        return rng.choice([-1.0, 1.0], (6, 4)), p
    return rng.random((6, 4)).astype(np.float32), p


@pytest.mark.parametrize("name", POINTWISE)
def test_names_and_aliases_mean_the_loss_of_the_oracle(rng, name):
    t, p = _arrays(rng, name)
    w = rng.random(6).astype(np.float32)
    for alias in [name, *POINTWISE[name].split()]:
        assert losses.get(alias)(t, p) == pytest.approx(getattr(oracle, name)(p, t)[0], rel=1e-5)
    summed = type(losses.get(name))(reduction="sum")
    assert summed(t, p, w) == pytest.approx(6 * getattr(oracle, name)(p, t, w)[0], rel=1e-5)


@pytest.mark.parametrize("name", POINTWISE)
def test_losses_come_back_from_their_descriptions(rng, name):
    cls = type(losses.get(name))
    options = {"Huber": {"delta": 0.2}, "BinaryFocalCrossentropy": {"apply_class_balancing": True, "gamma": 1.0}}
    loss = cls(**options.get(cls.__name__, {}), reduction="sum", name="mine")
    again = losses.get(losses.serialize(loss))
    t, p = _arrays(rng, name)
    assert type(again) is cls and again.get_config() == loss.get_config() and again(t, p) == loss(t, p)


@pytest.mark.parametrize("name", POINTWISE)
def test_training_takes_the_gradient_of_the_loss(rng, name):
    t, x = _arrays(rng, name)
    model = Sequential([Input((4,)), layers.Dense(4, activation="sigmoid", kernel_initializer="zeros")])
    model.compile("sgd", name)
    model.optimizer.learning_rate = 1.0
    kernel = model.get_weights()[0]
    loss = model.train_on_batch(x, t)
    half = np.full((6, 4), 0.5)
    exact, dp = getattr(oracle, name)(half, t)
    assert loss == pytest.approx(exact, rel=1e-5)
    np.testing.assert_allclose(kernel - model.get_weights()[0], x.T @ (dp * 0.25), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["hinge", "squared_hinge"])
def test_hinges_take_zeros_for_minus_one(rng, name):
    signs, p = _arrays(rng, name)
    assert losses.get(name)((signs + 1) / 2, p) == losses.get(name)(signs, p)


@pytest.mark.parametrize(
    ("focal", "activation"),
    [(losses.BinaryFocalCrossentropy, ops.sigmoid), (losses.CategoricalFocalCrossentropy, ops.softmax)],
)
def test_focal_losses_of_logits_are_those_of_their_probabilities(rng, focal, activation):
    x, t = rng.standard_normal((6, 4)).astype(np.float32), np.eye(4)[[0, 1, 2, 3, 1, 2]]
    assert focal(from_logits=True)(t, x) == pytest.approx(focal()(t, activation(x)), rel=1e-6)


def test_focal_loss_without_focus_is_the_crossentropy(rng):
    t, p = _arrays(rng, "binary_crossentropy")
    assert losses.BinaryFocalCrossentropy(gamma=0.0)(t, p) == pytest.approx(losses.BinaryCrossentropy()(t, p), rel=1e-6)


def test_arguments_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="huber_loss: delta must be a finite number of at least 0, got -1"):
        losses.Huber(delta=-1)
    with pytest.raises(TypeError, match=r"categorical_focal_crossentropy: alpha must be a number, got \[0.5, 0.5\]"):
        losses.CategoricalFocalCrossentropy(alpha=[0.5, 0.5])
    with pytest.raises(ValueError, match=r"MeanAbsoluteError: reduction must be one of .*got 'none'"):
        losses.MeanAbsoluteError(reduction="none")
    with pytest.raises(ValueError, match="Poisson: dtype must be a floating type or None, got 'int32'"):
        losses.Poisson(dtype="int32")
    with pytest.raises(ValueError, match=r"hinge: targets expect the predictions' shape \(2, 3\), got \(2, 2\)"):
        losses.Hinge()(np.zeros((2, 2)), np.zeros((2, 3)))


def test_a_subclass_keeps_the_loss(rng):
    class Tenfold(losses.MeanAbsoluteError):
        def compute(self, y_true, y_pred, sample_weight):
            return ops.scale(super().compute(y_true, y_pred, sample_weight), 10.0)

    t, p = _arrays(rng, "mae")
    assert Tenfold()(t, p) == pytest.approx(10 * losses.MeanAbsoluteError()(t, p), rel=1e-6)
