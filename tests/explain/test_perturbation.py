"""Occlusion and RISE are the formulas of their papers, and what all perturbations share keeps its promises."""

import numpy as np
import pytest

import cnnfast
from cnnfast import layers, ops
from cnnfast.explain import weighted
from cnnfast.explain.kernel_shap import kernel_shap
from cnnfast.explain.lime import lime
from cnnfast.explain.maps import upsampled
from cnnfast.explain.occlusion import occlusion
from cnnfast.explain.probe import Probe
from cnnfast.explain.rise import rise, smooth_masks
from tests.explain.networks import images, small_convnet

METHODS = {
    "occlusion": lambda *a, **k: occlusion(*a, **({"window": 4} | k)),
    "rise": lambda *a, **k: rise(*a, **({"masks": 40, "cells": 3} | k)),
    "lime": lambda *a, **k: lime(*a, **({"segments": 9, "samples": 40} | k)),
    "kernel_shap": lambda *a, **k: kernel_shap(*a, **({"segments": 9, "samples": 40} | k)),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def linear(seed=0, shape=(6, 5, 2), classes=3):
    """A model whose scores are sums over pixels, and what its weights are, (H, W, C, K)."""
    model = cnnfast.Sequential([cnnfast.Input(shape), layers.Flatten(), layers.Dense(classes)])
    weights = np.random.default_rng(seed).normal(size=(*shape, classes)).astype(np.float32)
    model.layers[-1].set_weights([weights.reshape(-1, classes), np.arange(classes, dtype=np.float32)])
    return model, weights.astype(np.float64)


def scores(model, x):
    return Probe(model, x, op="test").scores().astype(np.float64)


# What all share


@every_method
def test_a_map_does_not_depend_on_the_other_images_and_is_the_same_again(method):
    model, x = small_convnet(), images(4)
    together = method(model, x, [0, 1, 2, 0])
    assert together.shape == (4, 12, 10) and together.dtype == np.float32
    np.testing.assert_array_equal(method(model, x, [0, 1, 2, 0]), together)
    np.testing.assert_array_equal(method(model, x[2:3], 2)[0], together[2])


@every_method
def test_no_more_copies_are_made_at_once_than_asked_and_maps_do_not_change_by_it(method, monkeypatch):
    model, x = small_convnet(), images(2)
    expected, sizes, asked = method(model, x, 1), [], Probe.scores
    monkeypatch.setattr(Probe, "scores", lambda self, xs: sizes.append(len(xs[0])) or asked(self, xs))
    found = method(model, x, 1, batch_size=5)
    assert max(sizes) == 5
    # Rounding of scores, which differs between kernels for batches, over what is divided by: few float32 steps.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@every_method
def test_the_predicted_class_is_that_of_the_whole_image(method):
    model, _ = linear()
    x = np.random.default_rng(3).normal(size=(5, 6, 5, 2)).astype(np.float32)
    predicted = scores(model, x).argmax(1)
    hidden = x.copy()
    hidden[:, :4, :4] = 9
    assert (scores(model, hidden).argmax(1) != predicted).any()
    np.testing.assert_array_equal(method(model, x, baseline=9), method(model, x, predicted, baseline=9))


@every_method
def test_targets_can_be_names_sums_and_functions(method):
    model, x = small_convnet(), images(2)
    model.class_names = ["a", "b", "c"]
    expected = method(model, x, 1, of="score")
    for target in ["b", [1, 1], weighted([0, 1, 0]), lambda s: ops.slice_axis(s, 1, 1, 2)]:
        np.testing.assert_allclose(method(model, x, target, of="score"), expected, rtol=1e-6, atol=1e-7)


@every_method
def test_a_single_score_has_two_classes_whose_probabilities_sum_to_1(method):
    model, x = small_convnet(activation="sigmoid", classes=1), images(2)
    one, zero = (method(model, x, target, of="probability").astype(np.float64) for target in (1, 0))
    constant = METHODS["rise"](model, x, 1, of="score", baseline=x) / scores(model, x)[:, :, None]
    # The average mask, where the sum of probabilities is averaged; 0 where its changes are.
    expected = constant if method is METHODS["rise"] else np.zeros_like(one)
    np.testing.assert_allclose(one + zero, expected, rtol=1e-5, atol=1e-6)
    scored = [method(model, x, target, of="score") for target in (1, 0)]
    np.testing.assert_array_equal(scored[0], -scored[1])


@pytest.mark.parametrize("activation", ["softmax", None, "sigmoid"])
def test_probabilities_are_what_the_models_end_makes_of_scores(activation):
    model, x = small_convnet(activation=activation), images(1)
    full = small_convnet(activation=activation or "softmax")
    hidden = np.zeros_like(x)
    expected = full.predict(x, verbose=0)[0, 2] - full.predict(hidden, verbose=0)[0, 2]
    found = occlusion(model, x, 2, window=(12, 10), of="probability")
    np.testing.assert_allclose(found, np.full((1, 12, 10), expected), rtol=1e-5, atol=1e-6)


@every_method
def test_baselines_can_be_numbers_channels_and_images(method):
    model, x = small_convnet(), images(3)
    channels = np.array([0.5, -1, 2])
    expected = method(model, x, 1, baseline=channels, of="score")
    for baseline in (np.broadcast_to(channels, x.shape[1:]), np.broadcast_to(channels, x.shape)):
        np.testing.assert_array_equal(method(model, x, 1, baseline=baseline, of="score"), expected)
    assert not np.allclose(method(model, x, 1, of="score"), expected, rtol=1e-2)


@every_method
def test_images_can_be_bytes(method):
    model = small_convnet()
    x = np.random.default_rng(0).integers(256, size=(1, 12, 10, 3)).astype(np.uint8)
    np.testing.assert_array_equal(method(model, x, 1), method(model, x.astype(np.float32), 1))


@every_method
def test_regions_of_maps_of_scores_are_targets(method):
    x = cnnfast.Input((8, 8, 2))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    model = cnnfast.Model(x, layers.Conv2D(3, 1, activation="softmax")(y))
    image = np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype(np.float32)
    corner = cnnfast.explain.region(1, box=(0, 0, 0.25, 0.25))
    heat = occlusion(model, image, corner, window=2)
    assert heat[:, :3, :3].any()
    assert np.abs(heat[:, 4:, 4:]).max() <= 1e-5 * np.abs(heat).max()
    assert method(model, image, corner).shape == (2, 8, 8)


@every_method
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 3}, "target 3 is out of range, the model has the classes 0 to 2"),
        ({"of": "logit"}, "of must be 'score' or 'probability', got 'logit'"),
        ({"of": "probability", "target": lambda s: s}, "take of='score'"),
        ({"baseline": [1, 2]}, r"baseline must be a number, \(C,\), .* got shape \(2,\)"),
        ({"baseline": np.nan}, "baseline must be finite"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1"),
        ({"x": [images(), images()]}, "input"),
        ({"x": images()[:0]}, "N from 1"),
    ],
)
def test_bad_arguments_of_all_methods_are_named(method, arguments, message):
    with pytest.raises(ValueError, match=message):
        method(small_convnet(), **({"x": images(), "target": 1} | arguments))


def test_what_is_no_image_or_no_finite_score_is_named():
    flat = cnnfast.Sequential([cnnfast.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"x must be images \(N,H,W,C\), got shape \(3, 4\)"):
        occlusion(flat, np.ones((3, 4)))
    a, b = cnnfast.Input((4, 4, 1)), cnnfast.Input((4, 4, 1))
    both = cnnfast.Model([a, b], layers.Dense(2)(layers.Flatten()(layers.Add()([a, b]))))
    with pytest.raises(ValueError, match="expected a model with one input of images, got 2 inputs"):
        rise(both, [np.ones((1, 4, 4, 1))] * 2)
    model, _ = linear()
    with pytest.raises(ValueError, match=r"occlusion: .* gives scores that are not finite"):
        occlusion(model, np.ones((1, 6, 5, 2)), window=2, baseline=3e38)
    with pytest.raises(TypeError, match="occlusion: baseline must be numbers, got 'blur'"):
        occlusion(model, np.ones((1, 6, 5, 2)), window=2, baseline="blur")
    with pytest.raises(TypeError, match="a target that is a function takes the scores"):
        occlusion(model, np.ones((1, 6, 5, 2)), lambda s: 1, window=2)
    for mixing in (lambda s: 1.0, lambda s: s.sum(keepdims=True)[..., 0].repeat(len(s) + 1)):
        with pytest.raises(ValueError, match="occlusion: a target that is a function must keep the samples apart"):
            occlusion(model, np.ones((1, 6, 5, 2)), mixing, window=2)


# Occlusion


@pytest.mark.parametrize("baseline", [0, 0.75])
def test_occlusion_of_single_pixels_of_a_linear_model_is_weight_times_difference(baseline):
    model, weights = linear()
    x = np.random.default_rng(1).normal(size=(3, 6, 5, 2)).astype(np.float32)
    expected = ((x.astype(np.float64) - baseline) * weights[..., 1]).sum(-1)
    # Each score is a sum of 60 products in float32.
    np.testing.assert_allclose(occlusion(model, x, 1, window=1, baseline=baseline), expected, atol=60 * 2**-23 * 4)


@pytest.mark.parametrize(
    ("window", "strides"), [((3, 4), (2, 3)), (5, 1), ((4, 3), None), ((12, 2), (5, 2)), ((12, 10), 3)]
)
def test_occlusion_is_the_mean_drop_over_the_windows_that_cover_a_pixel(window, strides):
    model, x = small_convnet(), images(2)
    height, width = (window, window) if isinstance(window, int) else window
    down, right = (
        (1, 1) if strides == 1 else strides if isinstance(strides, tuple) else (-(-height // 2), -(-width // 2))
    )
    if strides == 3:
        down = right = 3
    total, count = np.zeros((2, 12, 10)), np.zeros((12, 10))
    whole = scores(model, x)[:, 1]
    row = 0
    while True:
        column = 0
        while True:
            part = np.s_[row : row + height, column : column + width]
            hidden = x.copy()
            hidden[:, part[0], part[1]] = 0.25
            total[:, part[0], part[1]] += (whole - scores(model, hidden)[:, 1])[:, None, None]
            count[part] += 1
            if column + width >= 10:
                break
            column += right
        if row + height >= 12:
            break
        row += down
    found = occlusion(model, x, 1, window, strides, baseline=0.25)
    np.testing.assert_allclose(found, total / count, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("shape", "window"), [((20, 17, 1), (15, 15)), ((20, 9, 1), (15, 9)), ((6, 5, 1), (6, 5))])
def test_the_usual_window_fits_into_small_images(shape, window):
    model, _ = linear(shape=shape)
    x = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    np.testing.assert_array_equal(occlusion(model, x, 1), occlusion(model, x, 1, window=window))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"window": 15}, ValueError, r"window \(15, 15\) is larger than the images \(H,W\)=\(12, 10\)"),
        ({"window": (3, 11)}, ValueError, r"window \(3, 11\) is larger"),
        ({"window": 3, "strides": 4}, ValueError, r"strides \(4, 4\) would leave pixels out, window is \(3, 3\)"),
        ({"window": 0}, ValueError, "window must be at least 1"),
        ({"window": 2.5}, TypeError, "window must be whole numbers"),
        ({"window": 3, "strides": 0}, ValueError, "strides must be at least 1"),
    ],
)
def test_windows_that_do_not_fit_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        occlusion(small_convnet(), images(), **arguments)


# RISE


def random_masks(seed, count, cells, probability, size):
    """The masks of the paper, one after the other, in float64, from the same random numbers."""
    generator = np.random.default_rng(seed)
    grids = generator.random((count, cells, cells)) < probability
    cell = [-(-n // cells) for n in size]
    shifts = [generator.integers(c, size=count) for c in cell]
    large = upsampled(grids.astype(np.float64), ((cells + 1) * cell[0], (cells + 1) * cell[1])).astype(np.float64)
    return np.stack([m[r : r + size[0], c : c + size[1]] for m, r, c in zip(large, *shifts, strict=True)])


def test_masks_lie_in_0_to_1_and_keep_the_probability_on_average():
    masks = smooth_masks(np.random.default_rng(0), 4000, 5, 0.3, (23, 11))
    all_masks = masks(slice(0, 4000))
    assert all_masks.shape == (4000, 23, 11)
    assert all_masks.min() >= 0 and all_masks.max() <= 1 + 1e-6
    # 5 standard errors of a coin's average.
    assert np.abs(all_masks.mean(0) - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 4000)
    np.testing.assert_array_equal(masks(slice(7, 9)), all_masks[7:9])
    np.testing.assert_allclose(all_masks[:50], random_masks(0, 4000, 5, 0.3, (23, 11))[:50], atol=1e-6)


@pytest.mark.parametrize("of", ["score", "probability"])
def test_rise_is_the_average_of_masks_weighted_by_what_the_model_says(of):
    model, x = small_convnet(), images(2)
    masks = random_masks(3, 30, 4, 0.4, (12, 10))
    expected = []
    for image in x:
        copies = (masks[..., None] * image + (1 - masks[..., None]) * 0.5).astype(np.float32)
        values = model.predict(copies, verbose=0) if of == "probability" else scores(model, copies)
        expected.append(np.tensordot(values[:, 1].astype(np.float64), masks, 1) / (30 * 0.4))
    found = rise(model, x, 1, masks=30, cells=4, probability=0.4, seed=3, of=of, baseline=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(rise(model, x, 1, masks=30, cells=4, probability=0.4, seed=4, of=of), expected, rtol=1e-2)


@pytest.mark.parametrize("pixel", [(4, 9), (12, 3)])
def test_rise_peaks_at_the_one_pixel_that_a_model_reads(pixel):
    model = cnnfast.Sequential([cnnfast.Input((16, 14, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    weights = np.zeros((16, 14, 2), np.float32)
    weights[(*pixel, 1)] = 4
    model.layers[-1].set_weights([weights.reshape(-1, 2), np.array([2, 0], np.float32)])
    heat = rise(model, np.ones((1, 16, 14, 1)), 1, masks=3000, cells=6)[0]
    found = np.unravel_index(heat.argmax(), heat.shape)
    # Neighbours in a cell of 3 pixels share most of their masks.
    assert np.abs(np.subtract(found, pixel)).max() <= 1
    far = np.hypot(*(np.indices(heat.shape) - np.reshape(pixel, (2, 1, 1)))) > 7
    assert heat[pixel] > heat[far].max() + 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"masks": 0}, ValueError, "rise: masks must be at least 1, got 0"),
        ({"cells": 2.5}, TypeError, "rise: cells must be a whole number"),
        ({"probability": 0}, ValueError, "probability must be above 0"),
        ({"probability": 1.5}, ValueError, "rise: probability must be finite and in 0 to 1"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_bad_numbers_for_rise_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        rise(small_convnet(), images(), **arguments)
