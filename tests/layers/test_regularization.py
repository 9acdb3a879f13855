"""Dropout: share, scale, shape of the mask, seeds; penalties."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import layers, random, regularizers


def test_dropout_keeps_its_share_and_the_expectation():
    random.set_seed(3)
    x = np.ones((100, 40, 10), np.float32)
    for rate in (0.1, 0.5, 0.9):
        y = layers.Dropout(rate)(x, training=True)
        kept = y != 0
        assert np.allclose(y[kept], 1 / (1 - rate))
        # five standard deviations of a binomial share
        assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / x.size)


def test_dropout_does_nothing_outside_training_and_everything_at_the_limits():
    x = np.ones((4, 5), np.float32)
    assert np.array_equal(layers.Dropout(0.9)(x), x)
    assert np.array_equal(layers.Dropout(0.0)(x, training=True), x)
    assert not layers.Dropout(1.0)(x, training=True).any()


def test_dropout_follows_the_process_wide_seed_and_differs_from_call_to_call():
    x, layer = np.ones((8, 64), np.float32), layers.Dropout(0.5)
    random.set_seed(1)
    first, second = layer(x, training=True), layer(x, training=True)
    assert not np.array_equal(first, second)
    random.set_seed(1)
    assert np.array_equal(layer(x, training=True), first)
    random.set_seed(1)
    assert not np.array_equal(
        layers.Dropout(0.5, seed=9)(x, training=True), layers.Dropout(0.5, seed=8)(x, training=True)
    )


def test_noise_shape_drops_whole_rows_or_channels():
    x = np.ones((16, 6, 5, 32), np.float32)
    for layer in (layers.SpatialDropout2D(0.5), layers.Dropout(0.5, noise_shape=(None, 1, 1, None))):
        y = layer(x, training=True)
        assert np.array_equal(y, np.broadcast_to(y[:, :1, :1], x.shape))
        assert 0 < (y == 0).mean() < 1
    y = layers.Dropout(0.5, noise_shape=(1, 6, 5, 1))(x, training=True)
    assert np.array_equal(y, np.broadcast_to(y[:1, ..., :1], x.shape))


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_must_be_a_share(rate):
    with pytest.raises(ValueError, match="rate must be a finite number from 0 to 1"):
        layers.Dropout(rate)


def test_a_mask_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="noise_shape"):
        layers.Dropout(0.5, noise_shape=(3, 1))(np.ones((4, 5)), training=True)
    with pytest.raises(ValueError, match="noise_shape must be at least 1, got 0"):
        layers.Dropout(0.5, noise_shape=(0, 1))
    with pytest.raises(ValueError, match=r"expects \(N,H,W,C\)"):
        layers.SpatialDropout2D(0.5)(np.ones((4, 5)))


@pytest.mark.parametrize("l1", [0.0, 0.3])
@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_penalties_are_sums_of_magnitudes_and_squares(rng, l1, l2):
    w = rng.standard_normal((3, 3, 4, 5)).astype(np.float32)
    exact = l1 * np.abs(w.astype(float)).sum() + l2 * (w.astype(float) ** 2).sum()
    assert np.isclose(float(regularizers.L1L2(l1, l2)(w)), exact, rtol=1e-6)
    assert np.isclose(float(regularizers.L1(l1)(w)), l1 * np.abs(w.astype(float)).sum(), rtol=1e-6)


def test_regularizers_are_found_by_name_and_come_back():
    assert regularizers.get("l2") == regularizers.L2(0.01) and regularizers.get("l1") == regularizers.L1(0.01)
    assert regularizers.get(None) is None
    for made in (regularizers.L1(0.2), regularizers.L2(0.3), regularizers.l1_l2(l1=0.1, l2=0.2)):
        assert regularizers.get(regularizers.serialize(made)) == made
    with pytest.raises(ValueError, match="unknown regularizer 'l3'"):
        regularizers.get("l3")
    with pytest.raises(ValueError, match="l2 must be finite and at least 0, got -1"):
        regularizers.L2(-1)
    with pytest.raises(TypeError, match=r"got 0\.1"):
        regularizers.get(0.1)


def test_a_layer_lists_its_penalties_while_it_is_trainable():
    layer = layers.Dense(3, kernel_regularizer="l2", bias_regularizer=regularizers.L1(0.5))
    layer(np.ones((1, 2)))
    assert [(w.name.split("/")[1], p) for w, p in layer.penalties()] == [
        ("kernel", regularizers.L2(0.01)),
        ("bias", regularizers.L1(0.5)),
    ]
    layer.trainable = False
    assert layer.penalties() == []
