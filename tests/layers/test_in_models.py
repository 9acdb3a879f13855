"""Layers inside a model that is trained: penalties, dropout, batch statistics, freezing."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import layers, ops, random, regularizers


def _model(*made, shape):
    model = cnnfast.Sequential([layers.Input(shape), *made])
    model.compile(optimizer=cnnfast.optimizers.SGD(0.1), loss="mse")
    return model


def test_penalties_are_in_the_loss_and_in_the_gradient(rng):
    x, y = rng.standard_normal((2, 8, 3)).astype(np.float32)
    model = _model(layers.Dense(3, use_bias=False, kernel_regularizer=regularizers.L1L2(0.1, 0.2)), shape=(3,))
    (w,) = (v.astype(float) for v in model.get_weights())
    error = x @ w - y
    loss = np.mean(error**2) + 0.1 * np.abs(w).sum() + 0.2 * (w**2).sum()
    assert np.isclose(model.train_on_batch(x, y), loss, rtol=1e-5)
    gradient = 2 * x.T @ error / error.size + 0.1 * np.sign(w) + 0.4 * w
    assert np.allclose(model.get_weights()[0], w - 0.1 * gradient, atol=1e-6)


@pytest.mark.parametrize("layer", [layers.Dense, lambda n, **a: layers.Conv2D(n, 1, **a)])
def test_a_penalty_on_the_output_is_in_the_loss(rng, layer):
    x, y = rng.standard_normal((2, 4, 2, 2, 3)).astype(np.float32)
    made = layer(3, activation="tanh", activity_regularizer="l2")
    model = _model(made, shape=(2, 2, 3))
    out = made(x).astype(float)
    loss = np.mean((out - y) ** 2) + 0.01 * np.sum(out**2)
    assert np.isclose(model.train_on_batch(x, y), loss, rtol=1e-5)


def test_dropout_acts_in_training_only_and_follows_the_seed(rng):
    x, y = rng.standard_normal((2, 16, 32)).astype(np.float32)
    model = _model(layers.Dropout(0.5), layers.Dense(32), shape=(32,))
    start = model.get_weights()
    expected = model.layers[-1](x)
    assert np.allclose(model.predict_on_batch(x), expected, atol=1e-6)
    losses = []
    for _ in range(2):
        model.set_weights(start)
        random.set_seed(4)
        losses.append([float(model.train_on_batch(x, y)) for _ in range(3)])
    assert losses[0] == losses[1] and len(set(losses[0])) == 3
    assert not np.isclose(losses[0][0], np.mean((expected - y) ** 2))


def test_dropouts_of_equal_seeds_drop_the_same_places():
    x = np.ones((8, 64), np.float32)
    inputs = layers.Input((64,))
    drops = [layers.Dropout(0.5, seed=s) for s in (1, 1, 2, None, None)]
    model = cnnfast.Model(inputs, [d(inputs) for d in drops])
    a, b, c, d, e = model(x, training=True)
    assert np.array_equal(a, b)
    for one, other in ((a, c), (a, d), (d, e)):
        assert not np.array_equal(one, other)


def test_freezing_batch_normalization_takes_effect_at_once(rng):
    x, y = rng.standard_normal((2, 16, 4)).astype(np.float32)
    norm = layers.BatchNormalization(momentum=0.5)
    model = _model(norm, layers.Dense(4), shape=(4,))
    model.train_on_batch(x, y)
    mean, variance = x.astype(float).mean(0), x.astype(float).var(0)
    assert np.allclose(norm.moving_mean.value, 0.5 * mean, atol=1e-6)
    assert np.allclose(norm.moving_variance.value, 0.5 + 0.5 * variance, atol=1e-6)
    norm.trainable = False
    before = norm.get_weights()
    model.train_on_batch(x, y)
    assert all(np.array_equal(a, b) for a, b in zip(before, norm.get_weights(), strict=True))
    norm.trainable = True
    model.train_on_batch(x, y)
    assert not any(np.array_equal(a, b) for a, b in zip(before, norm.get_weights(), strict=True))


def test_bytes_pass_through_rescaling(rng):
    x = rng.integers(0, 256, (4, 6, 6, 3)).astype(np.uint8)
    inputs = layers.Input((6, 6, 3), dtype="uint8")
    model = cnnfast.Model(inputs, layers.Rescaling(1 / 255, -0.5)(inputs))
    assert np.allclose(model.predict_on_batch(x), x / 255 - 0.5, atol=1e-6)


def test_a_layer_of_ones_own_trains(rng):
    class Shift(layers.Layer):
        def build(self, input_shape):
            self.offset = self.add_weight((input_shape[-1],), "zeros", name="offset")

        def call(self, x):
            return ops.add(x, self.offset)

    x = rng.standard_normal((8, 3)).astype(np.float32)
    model = _model(Shift(), shape=(3,))
    model.train_on_batch(x, x + 1)
    assert np.allclose(model.get_weights()[0], 0.1 * 2 / 3, rtol=1e-5)
