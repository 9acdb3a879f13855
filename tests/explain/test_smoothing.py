"""SmoothGrad and VarGrad are the moments of gradients at noisy copies, the same for the same seed."""

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers
from cnnfast.explain.gradient import saliency
from cnnfast.explain.smoothing import smoothgrad, vargrad
from tests.explain.networks import images, small_convnet


def squares_model():
    """Scores sum of w x^2 of images (3, 3, 2), whose gradient is 2 w x. Gives the model and w."""
    x = cnnfast.Input((3, 3, 2))
    dense = layers.Dense(2, use_bias=False)
    model = cnnfast.Model(x, dense(layers.Flatten()(layers.Multiply()([x, x]))))
    return model, dense.get_weights()[0].reshape(3, 3, 2, 2)


def undecided(x):
    """`small_convnet` with biases that leave it to the images which class is the highest, and these classes."""
    model = small_convnet(activation=None)
    w, b = model.layers[-1].get_weights()
    model.layers[-1].set_weights([w, b - model.predict(x, verbose=0).mean(0)])
    predicted = model.predict(x, verbose=0).argmax(1)
    assert len(set(predicted)) > 1
    return model, predicted


def noisy(x, samples, noise, seed):
    """(N, samples, ...): the copies, as the documentation describes their noise."""
    copies = np.empty((len(x), samples, *x.shape[1:]), np.float32)
    for i in range(len(x)):
        for j in range(samples):
            draw = np.random.default_rng([seed, i, j]).standard_normal(x.shape[1:], np.float32)
            copies[i, j] = x[i] + noise * (x[i].max() - x[i].min()) * draw
    return copies


def test_moments_are_those_of_the_gradients_at_the_copies():
    model, x = small_convnet(), images(3)
    copies = noisy(x, 7, 0.3, seed=4)
    gradients = np.stack([saliency(model, copies[i], 1, absolute=False) for i in range(3)]).astype(np.float64)
    # float32 gradients of some thirty additions each, in batches of other sizes
    options = {"samples": 7, "noise": 0.3, "seed": 4}
    mean, variance = gradients.mean(1), gradients.var(1)
    np.testing.assert_allclose(smoothgrad(model, x, 1, absolute=False, **options), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(smoothgrad(model, x, 1, **options), np.abs(mean), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vargrad(model, x, 1, **options), variance, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        smoothgrad(model, x, 1, channels="max", **options), np.abs(mean).max(-1), rtol=1e-4, atol=1e-5
    )


def test_without_noise_it_is_the_gradient_and_nothing_varies():
    model, x = small_convnet(), images(2)
    np.testing.assert_allclose(smoothgrad(model, x, 0, samples=3, noise=0), saliency(model, x, 0), rtol=1e-5, atol=1e-7)
    assert not vargrad(model, x, 0, samples=3, noise=0).any()


def test_the_noise_is_a_share_of_the_range_of_each_image():
    model, w = squares_model()
    x = np.linspace(0, 1, 18, dtype=np.float32).reshape(1, 3, 3, 2) * np.float32([1, 10]).reshape(2, 1, 1, 1)
    variance = vargrad(model, x, 1, samples=2000, noise=0.2)
    expected = (2 * w[..., 1] * 0.2) ** 2 * np.float32([1, 100]).reshape(2, 1, 1, 1)
    # The variance of 2,000 draws is off by sqrt(2 / 2000) = 3.2 %; of 36 values none by more than 5 times that.
    np.testing.assert_allclose(variance, expected, rtol=5 * np.sqrt(2 / 2000))


def test_the_seed_and_the_place_of_an_image_alone_decide():
    model, x = small_convnet(), images(4)
    options = {"samples": 5, "absolute": False}
    first = smoothgrad(model, x, 1, **options)
    np.testing.assert_array_equal(smoothgrad(model, x, 1, **options), first)
    np.testing.assert_allclose(smoothgrad(model, x, 1, batch_size=3, **options), first, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(smoothgrad(model, x[:2], 1, **options), first[:2], rtol=1e-4, atol=1e-6)
    assert not np.allclose(smoothgrad(model, x, 1, seed=1, **options), first)


def test_the_class_is_the_images_own_and_not_the_copies():
    x = images()
    model, predicted = undecided(x)
    copies = noisy(x, 4, 3.0, seed=0).reshape(-1, 12, 10, 3)
    assert (model.predict(copies, verbose=0).argmax(1) != np.repeat(predicted, 4)).any()
    options = {"samples": 4, "noise": 3.0}
    np.testing.assert_array_equal(smoothgrad(model, x, **options), smoothgrad(model, x, predicted, **options))


def test_targets_may_be_sums_of_no_weight_for_some_images_and_functions():
    model, x = small_convnet(), images(2)
    weights = np.float32([[0, 0, 0], [0, 1, 0]])
    found = smoothgrad(model, x, explain.weighted(weights), samples=3, batch_size=2)
    assert not found[0].any()
    np.testing.assert_allclose(found[1], smoothgrad(model, x, 1, samples=3)[1], rtol=1e-4, atol=1e-6)
    by_function = smoothgrad(model, x, lambda s: cnnfast.ops.slice_axis(s, 1, 1, 2), samples=3)
    np.testing.assert_allclose(by_function, smoothgrad(model, x, 1, samples=3), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "smoothgrad: samples must be a whole number from 1, got 0"),
        ({"samples": 2.5}, "samples must be a whole number"),
        ({"noise": -0.1}, "noise must be a finite number from 0, got -0.1"),
        ({"noise": np.nan}, "noise must be a finite number"),
        ({"noise": "much"}, "noise must be a finite number"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"channels": "mean"}, "channels must be one of"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        smoothgrad(small_convnet(), images(1), 1, **options)


def test_a_variance_needs_two_copies():
    with pytest.raises(ValueError, match="vargrad: samples must be a whole number from 2, got 1"):
        vargrad(small_convnet(), images(1), 1, samples=1)
