"""The first layer's filters are shown as they are, scaled, and in RGB."""

import numpy as np
import pytest

import cnnfast
from cnnfast import layers
from cnnfast.explain.filters import first_layer_filters

KERNEL = np.stack([np.arange(12.0).reshape(2, 2, 3), -np.ones((2, 2, 3)), np.zeros((2, 2, 3))], axis=3)


def network(*before):
    model = cnnfast.Sequential(
        [cnnfast.Input((5, 5, 3)), *before, layers.Conv2D(3, 2, name="conv"), layers.Conv2D(1, 1)]
    )
    model.get_layer("conv").set_weights([KERNEL, np.zeros(3)])
    return model


def test_each_filter_is_stretched_to_0_to_1():
    found = first_layer_filters(network())
    assert found.shape == (3, 2, 2, 3) and found.dtype == np.float32
    np.testing.assert_array_equal(found[0], np.float32(np.arange(12).reshape(2, 2, 3) / 11))
    assert not found[1:].any()


def test_symmetric_scaling_keeps_0_in_the_middle():
    found = first_layer_filters(network(), symmetric=True)
    np.testing.assert_allclose(found[0], 0.5 + np.arange(12).reshape(2, 2, 3) / 22, rtol=1e-6)
    assert (found[1] == 0).all() and (found[2] == 0.5).all()


def test_filters_behind_turned_channels_are_turned_back_also_in_nested_models():
    plain, turned = (
        first_layer_filters(network()),
        first_layer_filters(network(layers.preprocessing.Preprocess("caffe"))),
    )
    np.testing.assert_array_equal(turned, plain[..., ::-1])
    nested = cnnfast.Sequential([cnnfast.Input((5, 5, 3)), layers.preprocessing.Preprocess("caffe"), network()])
    np.testing.assert_array_equal(first_layer_filters(nested), plain[..., ::-1])
    kept = first_layer_filters(network(layers.preprocessing.Preprocess("torch")))
    np.testing.assert_array_equal(kept, plain)


def test_models_without_filters_are_named():
    with pytest.raises(ValueError, match="has no Conv2D"):
        first_layer_filters(cnnfast.Sequential([cnnfast.Input((4,)), layers.Dense(2)]))
    with pytest.raises(ValueError, match="is not built"):
        first_layer_filters(cnnfast.Sequential([layers.Conv2D(2, 3)]))
    with pytest.raises(TypeError, match="model must be a cnnfast model, got str"):
        first_layer_filters("model")
