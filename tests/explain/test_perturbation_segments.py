"""Superpixels are connected and follow edges; LIME is weighted least squares; KernelSHAP gives Shapley values."""

from itertools import permutations
from math import factorial

import numpy as np
import pytest

from cnnfast.explain.kernel_shap import coalitions, fitted, kernel_shap
from cnnfast.explain.lime import lime, nearness, tosses
from cnnfast.explain.superpixels import superpixels
from tests.explain.networks import images, small_convnet
from tests.explain.test_perturbation import linear, scores

EACH_PIXEL = np.arange(30).reshape(6, 5)
LABELS = np.add.outer(np.arange(12) // 4 * 2, np.arange(10) // 5)  # 6 blocks


def linear_case():
    model, weights = linear()
    x = np.random.default_rng(1).normal(size=(2, 6, 5, 2)).astype(np.float32)
    return model, x, ((x.astype(np.float64) - 0.5) * weights[..., 1]).sum(-1)


def values_of(model, image, labels, shown, baseline, target=1):
    """Scores of copies of an image in float64, and what they come from, the plain way."""
    kept = shown[:, labels][..., None].astype(bool)
    return scores(model, np.where(kept, image, np.float32(baseline)))[:, target]


# Superpixels


def parts(mask):
    """Number of connected parts, by flooding."""
    left, count = {tuple(p) for p in np.argwhere(mask)}, 0
    while left:
        count, border = count + 1, [left.pop()]
        while border:
            r, c = border.pop()
            found = left & {(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)}
            left -= found
            border += found
    return count


def test_superpixels_are_connected_numbered_without_gaps_and_about_as_many_as_asked():
    noise = np.random.default_rng(0).normal(size=(2, 40, 31, 3))
    smooth = noise.cumsum(1).cumsum(2)
    for labels in superpixels(np.concatenate([noise, smooth]), 20):
        count = labels.max() + 1
        assert 15 <= count <= 30
        assert all(parts(labels == k) == 1 for k in range(count))


def test_superpixels_follow_an_edge():
    image = np.zeros((1, 32, 32, 3), np.float32)
    edge = np.add.outer(np.arange(32), 2 * np.arange(32)) > 50
    image[0, edge] = [0.2, 0.8, 0.4]
    labels = superpixels(image, 16)[0]
    sides = [set(labels[edge]), set(labels[~edge])]
    assert not sides[0] & sides[1]
    assert len(sides[0]) > 3 and len(sides[1]) > 3


def test_superpixels_do_not_depend_on_the_scale_of_colours_or_on_other_images():
    x = np.random.default_rng(0).normal(size=(2, 24, 24, 3)).cumsum(1)
    labels = superpixels(x, 9)
    np.testing.assert_array_equal(superpixels(64 * x, 9), labels)
    np.testing.assert_array_equal(superpixels(x[1:], 9)[0], labels[1])


@pytest.mark.parametrize("value", [0, 0.1, 255])
def test_superpixels_of_one_colour_are_the_grid(value):
    labels = superpixels(np.full((1, 12, 8, 3), value), 6)[0]
    np.testing.assert_array_equal(labels, np.add.outer(np.arange(12) // 4 * 2, np.arange(8) // 4))


def test_superpixels_can_be_one_or_as_many_as_pixels():
    x = images(1)
    assert not superpixels(x, 1).any()
    assert len(np.unique(superpixels(x, 120, iterations=0))) >= 100
    assert superpixels(x[:, :1, :1], 50).shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x": np.ones((4, 4, 3))}, ValueError, r"x must be images \(N,H,W,C\)"),
        ({"x": np.full((1, 4, 4, 3), np.inf)}, ValueError, "not finite"),
        ({"x": [[[["a"]]]]}, TypeError, "real numbers"),
        ({"segments": 0}, ValueError, "segments must be at least 1"),
        ({"compactness": -1}, ValueError, "compactness must be finite and at least 0"),
    ],
)
def test_bad_arguments_of_superpixels_are_named(arguments, error, message):
    with pytest.raises(error, match=f"superpixels: .*{message}"):
        superpixels(**({"x": images()} | arguments))


# Segments, as both methods take them


@pytest.mark.parametrize("method", [lime, kernel_shap])
def test_segments_can_be_a_number_or_any_labels(method):
    model, x = small_convnet(), images(2)
    expected = method(model, x, 1, segments=superpixels(x, 8), samples=60)
    np.testing.assert_array_equal(method(model, x, 1, segments=8, samples=60), expected)
    np.testing.assert_array_equal(
        method(model, x, 1, segments=LABELS, samples=60),
        method(model, x, 1, segments=np.stack([LABELS, LABELS]) * 7 - 20, samples=60),
    )
    one = method(model, x, 1, segments=1, samples=60)
    assert all(len(np.unique(m)) == 1 for m in one)


@pytest.mark.parametrize("method", [lime, kernel_shap])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"segments": 0}, ValueError, "segments must be at least 1"),
        ({"segments": LABELS[:5]}, ValueError, r"segments must be \(N,H,W\) or \(H,W\) .* got shape \(5, 10\)"),
        ({"segments": LABELS * 1.0}, TypeError, "segments must be whole numbers, got dtype float64"),
        ({"samples": 0}, ValueError, "samples must be at least"),
        ({"seed": "a"}, (TypeError, ValueError), "seed"),
    ],
)
def test_bad_segments_and_samples_are_named(method, arguments, error, message):
    with pytest.raises(error, match=message):
        method(small_convnet(), images(), **arguments)


# LIME


@pytest.mark.parametrize("alpha", [0.0, 1.0, 10.0])
def test_lime_is_the_closed_form_of_weighted_ridge_regression(alpha):
    model, x = small_convnet(), images(2)
    found = lime(model, x, 1, LABELS, samples=80, kernel_width=0.4, alpha=alpha, seed=5, baseline=0.5)
    shown = tosses(80, 6, 5)
    distance = 1 - np.sqrt(shown.sum(1)) / np.sqrt(6)
    counts = np.exp(-(distance**2) / (2 * 0.4**2))
    for image, heat in zip(x, found, strict=True):
        values = values_of(model, image, LABELS, shown, 0.5)
        design = np.column_stack([shown, np.ones(80)])
        ridge = alpha * np.diag([1.0] * 6 + [0.0])
        slopes = np.linalg.solve(design.T @ (counts[:, None] * design) + ridge, design.T @ (counts * values))[:6]
        np.testing.assert_allclose(heat, slopes[LABELS], rtol=1e-4, atol=1e-5)


def test_lime_of_a_linear_model_without_a_ridge_is_weight_times_difference():
    model, x, expected = linear_case()
    found = lime(model, x, 1, EACH_PIXEL, samples=120, alpha=0, baseline=0.5)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_tosses_show_all_first_and_then_half_and_the_nearest_count_most():
    shown = tosses(2000, 10, 0)
    assert shown[0].all()
    assert abs(shown[1:].mean() - 0.5) < 5 * 0.5 / np.sqrt(20000)
    counts = nearness(np.tri(11, 10, -1), 0.25)  # 0 to 10 segments shown
    assert (np.diff(counts) > 0).all() and counts[-1] == 1
    np.testing.assert_allclose(counts[0], np.exp(-8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"kernel_width": 0}, "lime: kernel_width must be above 0"), ({"alpha": -1}, "lime: alpha must be finite and at")],
)
def test_bad_numbers_for_lime_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        lime(small_convnet(), images(), **arguments)


# KernelSHAP


def shapley(game, segments):
    """Shapley values by their definition: what each adds, averaged over all orders."""
    total = np.zeros(segments)
    orders = list(permutations(range(segments)))
    for order in orders:
        shown = np.zeros(segments)
        before = game(shown)
        for one in order:
            shown[one] = 1
            after = game(shown)
            total[one] += after - before
            before = after
    return total / len(orders)


def test_kernel_shap_with_samples_for_all_choices_is_exactly_the_shapley_values():
    model, x = small_convnet(), images(2)
    found = kernel_shap(model, x, 1, LABELS, samples=64, baseline=0.25)
    for image, heat in zip(x, found, strict=True):
        shown = (np.arange(64)[:, None] >> np.arange(6)) & 1
        values = values_of(model, image, LABELS, shown, 0.25)
        expected = shapley(lambda z, v=values: v[int(z @ 2 ** np.arange(6))], 6)
        np.testing.assert_allclose(heat, expected[LABELS], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("samples", [2, 3, 10, 40, 64, 1000])
def test_kernel_shap_sums_to_the_difference_between_image_and_baseline(samples):
    model, x = small_convnet(), images(3)
    found = kernel_shap(model, x, 2, LABELS, samples=samples, baseline=0.25)
    expected = scores(model, x)[:, 2] - scores(model, np.full_like(x, 0.25))[:, 2]
    np.testing.assert_allclose(found[:, ::4, ::5].sum((1, 2)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("samples", [62, 200])
def test_kernel_shap_of_a_linear_model_is_weight_times_difference(samples):
    model, x, expected = linear_case()
    found = kernel_shap(model, x, 1, EACH_PIXEL, samples=samples, baseline=0.5)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_drawn_pairs_are_exact_for_games_of_pairs():
    """With complements, what two segments do together cancels in the fit and is shared equally between them."""
    generator = np.random.default_rng(0)
    alone, together = generator.normal(size=12), np.triu(generator.normal(size=(12, 12)), 1)
    shown, counts = coalitions(12, 60, 0)
    values = shown @ alone + np.einsum("ni,ij,nj->n", shown, together, shown)
    found = fitted(shown[2:], values[2:], counts, values[0], values[1])
    np.testing.assert_allclose(found, alone + (together + together.T).sum(1) / 2, atol=1e-12)


def test_drawn_choices_come_near_the_shapley_values():
    reading = np.random.default_rng(0).normal(size=(10, 4))

    def game(shown):
        return np.maximum(shown @ reading - 1, 0).sum(-1)

    def values(samples, seed=0):
        shown, counts = coalitions(10, samples, seed)
        assert len(shown) <= samples
        v = game(shown)
        return fitted(shown[2:], v[2:], counts, v[0], v[1])

    exact = _by_subsets(game, 10)
    np.testing.assert_allclose(values(1024), exact, atol=1e-12)
    scale = np.abs(exact).max()
    errors = [np.mean([np.abs(values(n, seed) - exact).max() for seed in range(10)]) / scale for n in (24, 120, 600)]
    # Errors of single draws fall with the root of their number, and faster as more sizes are taken whole.
    assert errors[1] < 0.1 and errors[1] < errors[0] / 2 and errors[2] < errors[1] / 2


def _by_subsets(game, segments):
    shown = ((np.arange(2**segments)[:, None] >> np.arange(segments)) & 1).astype(float)
    sizes, v = shown.sum(1).astype(int), game(shown)
    found = np.zeros(segments)
    for i in range(segments):
        without = shown[:, i] == 0
        share = [factorial(s) * factorial(segments - s - 1) / factorial(segments) for s in sizes[without]]
        found[i] = np.dot(share, v[np.flatnonzero(without) + 2**i] - v[without])
    return found


@pytest.mark.parametrize(("segments", "samples"), [(1, 5), (2, 5), (5, 32), (6, 64), (6, 40), (50, 1000), (50, 60)])
def test_choices_have_the_weights_of_shapleys_kernel(segments, samples):
    shown, counts = coalitions(segments, samples, 0)
    assert not shown[0].any() and shown[1].all()
    sizes = shown[2:].sum(1).astype(int)
    assert len(shown) <= samples and ((sizes > 0) & (sizes < segments)).all()
    np.testing.assert_allclose(counts.sum(), sum(1 / (k * (segments - k)) for k in range(1, segments)), rtol=1e-12)
    # Sizes that are taken whole weigh what they must; as many of a size as of its complement's.
    np.testing.assert_array_equal(
        np.bincount(sizes, minlength=segments + 1)[::-1], np.bincount(sizes, minlength=segments + 1)
    )
    if samples >= 2 + 2 * segments and segments > 2:
        np.testing.assert_allclose(counts[sizes == 1].sum(), 1 / (segments - 1), rtol=1e-12)
    if samples >= 2**segments:
        assert len(np.unique(shown, axis=0)) == 2**segments


def test_seeds_decide_what_is_drawn():
    model, x = small_convnet(), images(1)
    for method in (lime, kernel_shap):
        one, same, other = (method(model, x, 1, 12, 30, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        assert not np.allclose(one, other, rtol=1e-3)
