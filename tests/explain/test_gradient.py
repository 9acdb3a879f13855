"""Saliency and gradient x input are the gradient of the score before a final activation, for any model."""

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers
from cnnfast.explain.gradient import gradient_x_input, saliency
from tests.explain.networks import images, small_convnet, two_filters

X = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4, 1)


def linear_model(seed=0):
    """Scores x @ w + b of images (3, 2, 2), with its weights."""
    model = cnnfast.Sequential([cnnfast.Input((3, 2, 2)), layers.Flatten(), layers.Dense(3)])
    generator = np.random.default_rng(seed)
    w, b = generator.normal(size=(12, 3)).astype(np.float32), generator.normal(size=3).astype(np.float32)
    model.layers[-1].set_weights([w, b])
    return model, w, b


def test_saliency_of_a_known_network_is_exact():
    # Open: filter 1 at three positions with weight 1, filter 2 at two of these with weight -1. One remains.
    expected = np.zeros((4, 4))
    expected[:3, 1:] = 1
    np.testing.assert_array_equal(saliency(two_filters(), X, 0)[0, ..., 0], expected)
    np.testing.assert_array_equal(saliency(two_filters(), X, 1, absolute=False)[0, ..., 0], -expected)
    np.testing.assert_array_equal(gradient_x_input(two_filters(), X, 1), -expected[None, ..., None] * X)


def test_saliency_is_the_slope_of_the_score():
    model, x, step = small_convnet(activation=None), images(1), 1e-3
    found = saliency(model, x, 2, absolute=False)
    moved = np.repeat(x, 2 * 360, axis=0).reshape(2, 360, 360)
    moved[0] += step * np.eye(360, dtype=np.float32)
    moved[1] -= step * np.eye(360, dtype=np.float32)
    scores = model.predict(moved.reshape(-1, 12, 10, 3), verbose=0)[:, 2].astype(np.float64).reshape(2, 360)
    slopes = ((scores[0] - scores[1]) / (2 * step)).reshape(1, 12, 10, 3)
    # Rounding of the scores (about 2, a dozen operations deep) over twice the step.
    rounding = 12 * 2**-24 * np.abs(scores).max() / step
    close = np.abs(found - slopes) < rounding
    assert rounding < 0.1 * np.abs(slopes).max()
    assert close.mean() > 0.97  # in some, the step moves a value over the kink of a ReLU or of a maximum


def test_a_linear_model_has_its_weights_as_gradient_and_its_terms_as_contributions():
    model, w, b = linear_model()
    x = np.random.default_rng(1).normal(size=(4, 3, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(
        saliency(model, x, 1, absolute=False), np.tile(w[:, 1].reshape(1, 3, 2, 2), (4, 1, 1, 1))
    )
    np.testing.assert_array_equal(saliency(model, x, 1)[0], np.abs(w[:, 1]).reshape(3, 2, 2))
    contributions = gradient_x_input(model, x, 1)
    expected = model.predict(x, verbose=0)[:, 1] - b[1]
    np.testing.assert_allclose(contributions.sum((1, 2, 3)), expected, rtol=1e-5, atol=1e-5)


def test_channels_can_be_reduced():
    model, x = small_convnet(), images()
    kept = saliency(model, x, 1)
    assert kept.shape == (5, 12, 10, 3) and kept.dtype == np.float32
    np.testing.assert_array_equal(saliency(model, x, 1, channels="max"), kept.max(-1))
    np.testing.assert_allclose(saliency(model, x, 1, channels="sum"), kept.sum(-1), rtol=1e-6)
    with pytest.raises(ValueError, match="channels must be one of 'keep', 'max', 'sum', got 'mean'"):
        saliency(model, x, channels="mean")


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_final_activation_is_seen_through(activation):
    plain, final = small_convnet(activation=None), small_convnet(activation=activation)
    np.testing.assert_allclose(saliency(final, images(), 1), saliency(plain, images(), 1), rtol=1e-6)


def test_targets_outputs_and_batches():
    model, x = small_convnet(), images()
    predicted = model.predict(x, verbose=0).argmax(1)
    np.testing.assert_array_equal(saliency(model, x), saliency(model, x, predicted))
    both = saliency(model, x, explain.weighted([1.0, -2.0, 0.0]), absolute=False)
    apart = [saliency(model, x, k, absolute=False) for k in (0, 1)]
    np.testing.assert_allclose(both, apart[0] - 2 * apart[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(saliency(model, x, 1, batch_size=2), saliency(model, x, 1), rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="saliency: target 3 is out of range"):
        saliency(model, x, 3)
    with pytest.raises(ValueError, match="output 1 is out of range"):
        gradient_x_input(model, x, output=1)


def test_uint8_images_give_what_the_same_floats_give():
    model = small_convnet()
    x = np.random.default_rng(0).integers(0, 256, (2, 12, 10, 3), np.uint8)
    np.testing.assert_array_equal(gradient_x_input(model, x, 0), gradient_x_input(model, x.astype(np.float32), 0))


def test_models_with_several_inputs_give_a_list():
    a, b = cnnfast.Input((4, 4, 2)), cnnfast.Input((5,))
    joined = layers.Concatenate()([layers.Flatten()(a), b])
    dense = layers.Dense(2)
    model = cnnfast.Model([a, b], dense(joined))
    generator = np.random.default_rng(0)
    xs = [generator.normal(size=(3, 4, 4, 2)), generator.normal(size=(3, 5))]
    maps, features = saliency(model, xs, 1, absolute=False)
    weights = dense.get_weights()[0][:, 1]
    np.testing.assert_array_equal(maps[2].reshape(-1), weights[:32])
    np.testing.assert_array_equal(features[2], weights[32:])
    for method in (saliency, gradient_x_input, explain.integrated_gradients, explain.smoothgrad, explain.vargrad):
        kept, summed = method(model, xs, 1), method(model, xs, 1, channels="sum")
        # Two values, rounded before they are added or after.
        np.testing.assert_allclose(summed[0], kept[0].sum(-1), rtol=0, atol=2**-22 * np.abs(kept[0]).max())
        np.testing.assert_array_equal(summed[1], kept[1])


def test_channels_of_no_images_cannot_be_reduced():
    model = cnnfast.Sequential([cnnfast.Input((5,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"channels='max' needs images \(N,H,W,C\), the inputs are"):
        saliency(model, np.ones((1, 5)), 1, channels="max")


def test_an_input_without_influence_is_named():
    a, b = cnnfast.Input((4,), name="used"), cnnfast.Input((4,), name="unused")
    model = cnnfast.Model([a, b], [layers.Dense(2)(a), layers.Dense(2)(b)])
    x = np.ones((1, 4))
    with pytest.raises(ValueError, match="does not depend on 'unused'"):
        saliency(model, [x, x], 0)
