"""Integrated gradients sum to the difference of the scores, in memory that does not grow with the steps."""

import tracemalloc

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers
from cnnfast.explain.gradient import gradient_x_input
from cnnfast.explain.integrated import _METHODS, integrated_gradients
from tests.explain.networks import images, small_convnet
from tests.explain.test_gradient import linear_model
from tests.explain.test_smoothing import squares_model, undecided

RULES = tuple(_METHODS)


def pictures(count=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3, 3, 2)).astype(np.float32)


@pytest.mark.parametrize("method", RULES)
def test_a_linear_model_is_explained_exactly_with_any_steps(method):
    model, w, _ = linear_model()
    x = np.random.default_rng(1).normal(size=(4, 3, 2, 2)).astype(np.float32)
    for n_steps in (2, 7):
        found, error = integrated_gradients(
            model, x, 2, baseline=0.5, n_steps=n_steps, method=method, return_error=True
        )
        np.testing.assert_allclose(found, (x - 0.5) * w[:, 2].reshape(3, 2, 2), rtol=1e-6)
        np.testing.assert_allclose(error, 0, atol=1e-5)  # rounding of scores of a dozen terms around 1
        assert error.shape == (4,) and error.dtype == np.float64


@pytest.mark.parametrize(
    ("method", "n_steps", "factor"),
    [
        ("gausslegendre", 1, 1), ("riemann_middle", 1, 1), ("riemann_trapezoid", 2, 1), ("gausslegendre", 9, 1),
        ("riemann_left", 4, 3 / 4), ("riemann_right", 4, 5 / 4), ("riemann_left", 1, 0),
    ],
)  # fmt: skip
def test_squares_have_the_quadratures_known_errors(method, n_steps, factor):
    """The gradient 2 w x a is linear on the way: the mean of a over the points is 1/2 times `factor`."""
    model, w = squares_model()
    x = pictures()
    found, error = integrated_gradients(model, x, 0, n_steps=n_steps, method=method, return_error=True)
    terms = w[..., 0] * x.astype(np.float64) ** 2
    np.testing.assert_allclose(found, factor * terms, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(error, (factor - 1) * terms.sum((1, 2, 3)), atol=1e-5)


def test_nodes_and_weights_of_gauss_are_numpys():
    for n in (1, 2, 3, 10, 50, 301):
        points, weights = _METHODS["gausslegendre"](n)
        theirs = np.polynomial.legendre.leggauss(n)
        np.testing.assert_allclose(points, (1 + theirs[0]) / 2, rtol=0, atol=1e-14)
        np.testing.assert_allclose(weights, theirs[1] / 2, rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", RULES)
def test_weights_of_each_rule_sum_to_one(method):
    points, weights = _METHODS[method](6)
    assert weights.sum() == pytest.approx(1, abs=1e-15)
    assert points.min() >= 0 and points.max() <= 1 and (np.diff(points) > 0).all()


def test_contributions_of_a_network_sum_to_the_difference_of_the_scores():
    model, x = small_convnet(activation=None), images()
    found, error = integrated_gradients(model, x, 1, baseline=-0.5, n_steps=400, return_error=True)
    scores = [model.predict(a, verbose=0)[:, 1].astype(np.float64) for a in (x, np.full_like(x, -0.5))]
    difference = scores[0] - scores[1]
    assert (np.abs(difference) > 0.5).any()
    # Kinks leave an error that falls with the steps; the sums are near 100, with 360 float32 terms.
    np.testing.assert_allclose(found.sum((1, 2, 3), dtype=float), difference, rtol=1e-3)
    np.testing.assert_allclose(error, found.sum((1, 2, 3), dtype=float) - difference, atol=2e-4)
    coarse = integrated_gradients(model, x, 1, baseline=-0.5, n_steps=2, return_error=True)[1]
    assert np.abs(error).max() < 0.1 * np.abs(coarse).max()


def test_a_network_without_biases_and_kinks_on_the_way_is_gradient_x_input():
    """From 0 a piecewise linear network without biases has one gradient all the way."""
    model = cnnfast.Sequential(
        [
            cnnfast.Input((6, 6, 2)),
            layers.Conv2D(4, 3, use_bias=False, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(2, use_bias=False),
        ]
    )
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    expected = gradient_x_input(model, x, 1)
    np.testing.assert_allclose(integrated_gradients(model, x, 1, n_steps=5), expected, rtol=1e-5, atol=1e-6)


def test_baselines_are_numbers_arrays_or_averaged_lists():
    model, x = small_convnet(), images(2)
    ones = integrated_gradients(model, x, 0, baseline=1.0, n_steps=6)
    same = [np.ones((12, 10, 3)), np.ones(3), np.ones_like(x), [1], [1.0, np.ones((12, 10, 3))]]
    for baseline in same:
        found = integrated_gradients(model, x, 0, baseline=baseline, n_steps=6)
        np.testing.assert_allclose(found, ones, rtol=1e-4, atol=1e-6)
    other = np.random.default_rng(3).normal(size=x.shape)  # one for each image
    there = integrated_gradients(model, x, 0, baseline=other, n_steps=6)
    both, error = integrated_gradients(model, x, 0, baseline=[1.0, other], n_steps=6, return_error=True)
    np.testing.assert_allclose(both, (ones.astype(np.float64) + there) / 2, rtol=1e-4, atol=1e-5)
    scores = [small_convnet(activation=None).predict(a, verbose=0)[:, 0] for a in (x, np.ones_like(x), other)]
    np.testing.assert_allclose(error, both.sum((1, 2, 3)) - scores[0] + (scores[1] + scores[2]) / 2, atol=1e-4)


def test_the_class_is_the_images_own_all_the_way():
    x = images()
    model, predicted = undecided(x)
    start = model.predict(np.zeros_like(x[:1]), verbose=0).argmax()
    assert (predicted != start).any()
    found, error = integrated_gradients(model, x, n_steps=5, return_error=True)
    expected, expected_error = integrated_gradients(model, x, predicted, n_steps=5, return_error=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(error, expected_error)


def test_sums_and_functions_of_scores_are_targets():
    model, x = small_convnet(), images(2)
    expected, error = integrated_gradients(model, x, 1, n_steps=5, return_error=True)
    for target in (explain.weighted([0, 1, 0]), lambda s: cnnfast.ops.slice_axis(s, 1, 1, 2)):
        found, its_error = integrated_gradients(model, x, target, n_steps=5, return_error=True)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(its_error, error, atol=1e-5)


def test_maps_of_scores_are_explained_by_regions_and_functions():
    x = cnnfast.Input((6, 6, 2))
    maps = layers.Conv2D(3, 3, padding="same", activation="relu")(x)
    model = cnnfast.Model(x, layers.Conv2D(2, 1, activation="softmax")(maps))
    image = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    classes = model.predict(image, verbose=0).argmax(-1)
    assert (model.predict(np.zeros_like(image), verbose=0).argmax(-1) != classes).any()
    # The region is where the image itself has the class, all the way from the baseline.
    found, error = integrated_gradients(model, image, explain.region(1), n_steps=200, return_error=True)
    fixed = integrated_gradients(model, image, explain.region(1, classes == 1), n_steps=200)
    np.testing.assert_array_equal(found, fixed)
    np.testing.assert_allclose(error, 0, atol=0.01 * np.abs(found).sum((1, 2, 3)).max())
    total, its_error = integrated_gradients(
        model, image, lambda s: cnnfast.ops.slice_axis(s, 3, 1, 2), n_steps=200, return_error=True
    )
    everywhere = integrated_gradients(model, image, explain.region(1, np.ones((6, 6))), n_steps=200)
    np.testing.assert_allclose(total, everywhere, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(its_error, 0, atol=0.01 * np.abs(total).sum((1, 2, 3)).max())


def test_several_inputs_have_a_baseline_each_and_one_error():
    a, b = cnnfast.Input((2, 2, 1)), cnnfast.Input((3,))
    dense = layers.Dense(1, use_bias=False)
    model = cnnfast.Model([a, b], dense(layers.Concatenate()([layers.Flatten()(a), b])))
    w = dense.get_weights()[0][:, 0]
    xs = [np.ones((2, 2, 2, 1)), np.full((2, 3), 2.0)]
    found, error = integrated_gradients(model, xs, 1, baseline=(0.5, [1.0, 0.0, 2.0]), n_steps=3, return_error=True)
    np.testing.assert_allclose(found[0].reshape(2, 4)[1], 0.5 * w[:4], rtol=1e-6)
    np.testing.assert_allclose(found[1][1], w[4:] * [1, 2, 0], rtol=1e-6)
    np.testing.assert_allclose(error, 0, atol=1e-6)


def test_batches_of_points_do_not_matter():
    model, x = small_convnet(), images(3)
    one = integrated_gradients(model, x, 1, n_steps=10)
    for batch_size in (1, 7, 64):
        found = integrated_gradients(model, x, 1, n_steps=10, batch_size=batch_size)
        np.testing.assert_allclose(found, one, rtol=1e-4, atol=1e-6)


def test_memory_does_not_grow_with_the_steps():
    model = cnnfast.Sequential(
        [cnnfast.Input((32, 32, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]
    )
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)

    def peak(n_steps):
        tracemalloc.start()
        integrated_gradients(model, x, 1, n_steps=n_steps, batch_size=5)
        kept = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return kept

    peak(10)  # what is built once
    programs = len(model._engine._programs)
    few, many = peak(10), peak(500)
    assert len(model._engine._programs) == programs
    # Points and weights are 16 bytes a step, a few of them at a time; one more copy of an image would be 12,288.
    assert many - few < 500 * 16 * 8
    assert many < 40 * x.nbytes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 0}, "n_steps must be a whole number from 1, got 0"),
        ({"n_steps": 1, "method": "riemann_trapezoid"}, "n_steps must be a whole number from 2, got 1"),
        ({"method": "simpson"}, "method must be one of gausslegendre, riemann_left, .* got 'simpson'"),
        ({"baseline": np.zeros((5, 5))}, r"baseline \(5, 5\) does not fit x, which is \(2, 12, 10, 3\)"),
        ({"baseline": np.inf}, "baseline has values that are not finite"),
        ({"baseline": []}, "baseline is an empty list"),
        ({"baseline": (0, 1)}, "1 inputs need as many baselines, got 2"),
        ({"channels": "mean"}, "channels must be one of"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        integrated_gradients(small_convnet(), images(2), 1, **options)


def test_a_baseline_of_words_is_named():
    with pytest.raises(TypeError, match="baseline must hold real numbers"):
        integrated_gradients(small_convnet(), images(2), 1, baseline="black")
