"""BatchNormalization: what it normalizes by, and when its averages move."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import layers

# float32 rounding of a handful of operations on numbers of size one
CLOSE = 1e-5


def _normalized(x, mean, variance, epsilon, gamma=1.0, beta=0.0):
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def test_training_normalizes_by_the_batch_and_moves_the_averages(rng):
    x = (3 * rng.standard_normal((8, 5, 4, 3)) + 2).astype(np.float32)
    layer = layers.BatchNormalization(momentum=0.9, epsilon=1e-2)
    layer(x)
    gamma, beta = rng.standard_normal((2, 3)).astype(np.float32)
    layer.set_weights([gamma, beta, np.full(3, 5.0), np.full(3, 7.0)])
    y = layer(x, training=True)
    mean, variance = x.astype(float).mean((0, 1, 2)), x.astype(float).var((0, 1, 2))
    assert np.allclose(y, _normalized(x, mean, variance, 1e-2, gamma, beta), atol=CLOSE)
    assert np.allclose(layer.moving_mean.value, 0.9 * 5 + 0.1 * mean, rtol=CLOSE)
    assert np.allclose(layer.moving_variance.value, 0.9 * 7 + 0.1 * variance, rtol=CLOSE)


def test_inference_normalizes_by_the_averages_and_leaves_them(rng):
    x = rng.standard_normal((4, 3)).astype(np.float32)
    layer = layers.BatchNormalization()
    layer(x)
    weights = [np.abs(rng.standard_normal(3)).astype(np.float32) + 0.1 for _ in range(4)]
    layer.set_weights(weights)
    gamma, beta, mean, variance = weights
    assert np.allclose(layer(x), _normalized(x, mean, variance, 1e-3, gamma, beta), atol=CLOSE)
    assert all(np.array_equal(a, b) for a, b in zip(weights, layer.get_weights(), strict=True))


def test_a_frozen_layer_works_as_in_inference_even_in_training(rng):
    x = rng.standard_normal((4, 3)).astype(np.float32)
    layer = layers.BatchNormalization()
    expected = layer(x)
    layer.trainable = False
    before = layer.get_weights()
    assert np.array_equal(layer(x, training=True), expected)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    layer.trainable = True
    assert not np.array_equal(layer(x, training=True), expected)


def test_scale_and_center_can_be_left_out(rng):
    x = rng.standard_normal((4, 3)).astype(np.float32)
    for center, scale in ((False, False), (False, True), (True, False)):
        layer = layers.BatchNormalization(center=center, scale=scale)
        assert np.allclose(layer(x, training=True), _normalized(x, x.mean(0), x.var(0), 1e-3), atol=CLOSE)
        names = [w.name.split("/")[1] for w in layer.trainable_weights]
        assert names == ["gamma"] * scale + ["beta"] * center
        assert [w.name.split("/")[1] for w in layer.non_trainable_weights] == [
            "moving_mean",
            "moving_variance",
        ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.BatchNormalization(axis=1)(np.ones((2, 4, 4, 3))), "axis=1"),
        (
            lambda: layers.BatchNormalization(momentum=1.5),
            "momentum must be a finite number from 0 to 1, got 1.5",
        ),
        (lambda: layers.BatchNormalization(epsilon=-1), "epsilon"),
        (lambda: layers.BatchNormalization(renorm=True), "renorm is not supported"),
        (lambda: layers.BatchNormalization(beta_constraint="max_norm"), "beta_constraint"),
        (lambda: layers.BatchNormalization(synchronized=True), "synchronized"),
    ],
)
def test_what_is_not_supported_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
