"""Measures of explanations give the numbers that their papers' definitions give, on models whose answers are known."""

import numpy as np
import pytest

import cnnfast
from cnnfast import layers
from cnnfast.explain import curves, imputation, localization, measuring, region, robustness, weighted
from cnnfast.explain.cam import gradcam
from tests.explain.networks import images, small_convnet

SIZE = 8


def reader(of=((2, 3),), channels: int = 1) -> cnnfast.Sequential:
    """A model whose single score is the sum of the pixels at `of`."""
    model = cnnfast.Sequential(
        [cnnfast.Input((SIZE, SIZE, channels)), layers.Flatten(), layers.Dense(1, use_bias=False, name="dense")]
    )
    kernel = np.zeros((SIZE, SIZE, channels, 1), np.float32)
    for row, column in of:
        kernel[row, column] = 1
    model.get_layer("dense").set_weights([kernel.reshape(-1, 1)])
    return model


def pointing_to(row: int, column: int, count: int = 1) -> np.ndarray:
    maps = np.zeros((count, SIZE, SIZE))
    maps[:, row, column] = 1
    return maps


# Insertion and deletion


@pytest.mark.parametrize("steps", [4, 16, 64])
def test_a_perfect_explanation_scores_1_by_insertion_and_0_by_deletion_but_for_the_first_step(steps):
    model, x, maps = reader(), np.ones((2, SIZE, SIZE, 1)), pointing_to(2, 3, 2)
    come = curves.insertion(model, x, maps, steps=steps, baseline=0, of="score", target=1)
    gone = curves.deletion(model, x, maps, steps=steps, baseline=0, of="score", target=1)
    np.testing.assert_array_equal(come.curve, [[0] + [1] * steps] * 2)
    np.testing.assert_array_equal(gone.curve, [[1] + [0] * steps] * 2)
    np.testing.assert_allclose(come.area, 1 - 0.5 / steps, rtol=1e-15)
    np.testing.assert_allclose(gone.area, 0.5 / steps, rtol=1e-12)


def test_the_worst_explanation_scores_0_by_insertion_and_1_by_deletion():
    model, x, maps = reader(), np.ones((1, SIZE, SIZE, 1)), -pointing_to(2, 3)
    assert curves.insertion(model, x, maps, 1, steps=64, baseline=0, of="score").area == 0.5 / 64
    assert curves.deletion(model, x, maps, 1, steps=64, baseline=0, of="score").area == 1 - 0.5 / 64


def test_pixels_come_in_the_order_of_the_map_as_many_at_each_step():
    rng = np.random.default_rng(0)
    x, maps = rng.normal(size=(2, SIZE, SIZE, 1)), rng.normal(size=(2, SIZE, SIZE))
    model = reader([(i, j) for i in range(SIZE) for j in range(SIZE)])
    found = curves.insertion(model, x, maps, 1, steps=5, baseline=0.5, of="score").curve
    for sample in range(2):
        order = np.argsort(-maps[sample].reshape(-1))
        pixels = x[sample].reshape(-1)
        for step, count in enumerate([0, 13, 26, 38, 51, 64]):
            expected = pixels[order[:count]].sum() + 0.5 * (64 - count)
            # A sum of 64 products in float32.
            assert abs(found[sample, step] - expected) <= 64 * 2**-24 * np.abs(pixels).sum()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_curves_of_the_probability_begin_and_end_with_what_the_model_predicts(activation):
    model, x = small_convnet(activation=activation), images(3)
    expected = model.predict(x, verbose=0)
    if activation is None:
        powers = np.exp(expected.astype(np.float64) - expected.max(1, keepdims=True))
        expected = powers / powers.sum(1, keepdims=True)
    maps = gradcam(model, x, 1)
    curve = curves.deletion(model, x, maps, 1, steps=7).curve
    np.testing.assert_allclose(curve[:, 0], expected[:, 1], rtol=1e-5)
    plain = np.broadcast_to(x.mean((1, 2), keepdims=True, dtype=np.float64), x.shape)
    end = curves.insertion(model, plain, maps, 1, steps=7, baseline=x).curve
    np.testing.assert_allclose(end[:, [0, -1]], curve[:, [0, -1]], rtol=1e-5)


def test_the_two_classes_of_a_single_probability_sum_to_1():
    model, x = small_convnet(activation="sigmoid", classes=1), images(3)
    maps = np.random.default_rng(0).random((3, 12, 10))
    one, zero = (curves.insertion(model, x, maps, target, steps=3).curve for target in (1, 0))
    np.testing.assert_allclose(one + zero, 1, rtol=1e-12)


def test_a_weight_of_a_single_probability_is_a_factor_of_it():
    model, x = small_convnet(activation="sigmoid", classes=1), images(3)
    maps = np.random.default_rng(0).random((3, 12, 10))
    once, twice = (curves.deletion(model, x, maps, weighted([w]), steps=3).curve for w in (1.0, 2.0))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_the_probability_of_maps_of_a_single_score_is_its_sigmoid(activation):
    x = cnnfast.Input((6, 6, 2))
    model = cnnfast.Model(x, layers.Conv2D(1, 3, padding="same", activation=activation)(x))
    image = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    mask = np.zeros((6, 6))
    mask[1:4, 2:5] = 1
    curve = curves.deletion(model, image, image, region(0, mask=mask), steps=4, baseline=0).curve
    found = model.predict(np.stack([*image, np.zeros_like(image[0])]), verbose=0)[..., 0].astype(np.float64)
    shares = found if activation else 1 / (1 + np.exp(-found))
    expected = (shares * mask).sum((1, 2))
    np.testing.assert_allclose(curve[:, 0], expected[:2], rtol=1e-5)
    np.testing.assert_allclose(curve[:, -1], expected[2], rtol=1e-5)


def test_the_predicted_class_is_that_of_the_whole_image_throughout():
    model, x = small_convnet(), images()
    maps = gradcam(model, x)
    predicted = model.predict(x, verbose=0).argmax(1)
    for game in (curves.insertion, curves.deletion):
        np.testing.assert_array_equal(game(model, x, maps).curve, game(model, x, maps, predicted).curve)


def test_weighted_scores_can_be_measured():
    model, x = small_convnet(activation=None), images(2)
    maps = gradcam(model, x, 0)
    curve = curves.deletion(model, x, maps, weighted([1.0, -1.0, 0.0]), of="score", steps=2).curve
    scores = model.predict(x, verbose=0)
    np.testing.assert_allclose(curve[:, 0], scores[:, 0] - scores[:, 1], rtol=1e-4)


def test_a_sample_is_measured_alike_whatever_batch_it_is_in():
    model, x = small_convnet(), images(5)
    maps = np.zeros((5, 12, 10))  # all order is random
    found = curves.insertion(model, x, maps, 1, steps=6, seed=3).curve
    np.testing.assert_allclose(curves.insertion(model, x[:2], maps[:2], 1, steps=6, seed=3).curve, found[:2], rtol=1e-5)
    np.testing.assert_allclose(
        curves.insertion(model, x, maps, 1, steps=6, seed=3, batch_size=4).curve, found, rtol=1e-5
    )
    assert not np.allclose(curves.insertion(model, x, maps, 1, steps=6, seed=4).curve, found)


def test_channels_of_an_explanation_count_by_their_absolute_values():
    model, x = small_convnet(), images(2)
    maps = np.random.default_rng(0).normal(size=(2, 12, 10, 3))
    np.testing.assert_array_equal(
        curves.insertion(model, x, maps, 1).curve, curves.insertion(model, x, np.abs(maps).sum(3), 1).curve
    )


def test_blur_is_a_gaussian_of_11_pixels_that_keeps_a_plain_image():
    offsets = np.arange(-5, 6)
    kernel = np.exp(-(offsets**2) / 50)
    image = np.zeros((1, 21, 23, 1))
    image[0, 10, 11] = 1
    blurred = curves.blurred(image)[0, :, :, 0]
    np.testing.assert_allclose(blurred[5:16, 6:17], np.outer(kernel, kernel) / kernel.sum() ** 2, rtol=1e-6)
    assert blurred[:5].max() == 0 and blurred[:, 17:].max() == 0
    np.testing.assert_allclose(curves.blurred(np.full((1, 3, 4, 2), 7.0)), 7, rtol=1e-6)


# ROAD


def dense_imputation(image: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The same equations, written out pixel by pixel and solved as one full matrix."""
    rows, columns = keep.shape
    matrix, right = np.eye(rows * columns), np.zeros((rows * columns, image.shape[2]))
    for i, j in np.ndindex(rows, columns):
        me = i * columns + j
        if keep[i, j]:
            right[me] = image[i, j]
            continue
        around = {
            (i + a) * columns + j + b: 1 / 6 if a == 0 or b == 0 else 1 / 12
            for a in (-1, 0, 1) for b in (-1, 0, 1)
            if (a or b) and 0 <= i + a < rows and 0 <= j + b < columns
        }  # fmt: skip
        for other, weight in around.items():
            matrix[me, other] = -weight / sum(around.values())
    return np.linalg.solve(matrix, right).reshape(image.shape)


@pytest.mark.parametrize("shape", [(1, 9), (2, 2), (5, 7), (16, 16), (23, 18), (32, 33)])
@pytest.mark.parametrize("kind", ["scattered", "hole", "one pixel left"])
def test_missing_pixels_are_the_weighted_means_of_their_neighbours(shape, kind):
    rng = np.random.default_rng(shape[0])
    image = rng.normal(size=(*shape, 2))
    keep = rng.random(shape) < 0.4
    if kind == "hole":
        keep = np.ones(shape, bool)
        keep[shape[0] // 4 : -1 or None, 1:] = False
    elif kind == "one pixel left":
        keep[:] = False
    keep[0, 0] = True
    # The residual is 1e-7 of the right side; the inverse of a hole of side s has the norm s^2 at most.
    tolerance = 1e-7 * max(shape) ** 2 * np.abs(image).max()
    np.testing.assert_allclose(imputation.imputed(image, keep), dense_imputation(image, keep), atol=tolerance, rtol=0)


def test_imputation_keeps_what_is_kept_and_continues_a_ramp():
    ramp = np.add.outer(np.arange(16.0), 2 * np.arange(20.0))[..., None]
    keep = np.ones((16, 20), bool)
    keep[3:12, 4:15] = False
    found = imputation.imputed(ramp, keep)
    np.testing.assert_array_equal(found[keep], ramp[keep])
    np.testing.assert_allclose(found, ramp, atol=1e-4)  # a ramp is the mean of its neighbours: it is the solution
    np.testing.assert_array_equal(imputation.imputed(ramp, np.ones((16, 20), bool)), ramp)


def test_road_removes_the_relevant_pixel_first_or_last():
    model = reader()
    x = np.zeros((1, SIZE, SIZE, 1))
    x[0, 2, 3] = 1  # its neighbours say 0
    options = {"target": 1, "of": "score", "noise": 0.0, "percentiles": [10, 50, 90]}
    most, least, both = (imputation.road(model, x, pointing_to(2, 3), order=o, **options) for o in
                         ("most", "least", "combined"))  # fmt: skip
    np.testing.assert_allclose(most.change, -1, atol=1e-6)
    np.testing.assert_array_equal(least.change, 0)
    np.testing.assert_allclose(both.change, 0.5, atol=1e-6)
    np.testing.assert_allclose(both.mean, 0.5, atol=1e-6)


def test_road_adds_noise_to_what_is_removed_alone_and_in_units_of_the_range():
    everything = reader([(i, j) for i in range(SIZE) for j in range(SIZE)])
    x = np.zeros((400, SIZE, SIZE, 1))
    x[:, 0, 0] = 10
    maps = np.arange(SIZE * SIZE, dtype=float).reshape(1, SIZE, SIZE)[:, ::-1, ::-1].repeat(400, 0)
    found = imputation.road(everything, x, maps, 1, order="least", percentiles=[50], of="score", noise=0.02).change
    clean = imputation.road(everything, x, maps, 1, order="least", percentiles=[50], of="score", noise=0.0).change
    # 32 pixels are removed: normal with the deviation 0.2 * sqrt(32), estimated to 1 / sqrt(800), at 5 sigma.
    assert abs((found - clean).std() / (0.2 * 32**0.5) - 1) < 5 / 800**0.5


def test_road_of_a_map_with_many_equal_values_removes_as_many_pixels_as_asked():
    everything = reader([(i, j) for i in range(SIZE) for j in range(SIZE)])
    seen = []
    original = imputation.imputed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imputation, "imputed", lambda image, keep: seen.append(keep.sum()) or original(image, keep))
        imputation.road(everything, np.ones((1, SIZE, SIZE, 1)), pointing_to(0, 0), 1, percentiles=[10, 50, 90])
    assert seen == [7, 32, 57] * 2


# Where it lies


def test_the_pointing_game_counts_maxima_on_the_object():
    maps = np.zeros((4, 10, 20))
    for i, (row, column) in enumerate([(0, 0), (4, 9), (5, 9), (9, 19)]):
        maps[i, row, column] = 1
    upper_left = (0, 0, 0.5, 0.5)
    assert localization.pointing_game(maps, box=upper_left).tolist() == [True, True, False, False]
    assert localization.pointing_game(maps, box=upper_left, tolerance=1).tolist() == [True, True, True, False]
    assert localization.pointing_game(maps, box=upper_left, tolerance=11.1).tolist() == [True, True, True, False]
    assert localization.pointing_game(maps, box=upper_left, tolerance=11.2).all()  # sqrt(5^2 + 10^2) = 11.18
    mask = np.zeros((10, 20))
    mask[:5, :10] = 1
    assert localization.pointing_game(maps, mask=mask).tolist() == [True, True, False, False]
    boxes = [(0, 0, 0.1, 0.1), (0, 0, 0.1, 0.1), (0.5, 0, 1, 0.5), (0.5, 0.5, 1, 1)]
    assert localization.pointing_game(maps, box=boxes).tolist() == [True, False, True, True]


def test_a_map_without_contrast_points_to_nothing():
    flat = np.zeros((1, 8, 8))
    for tolerance in (0, 3):
        assert not localization.pointing_game(flat, box=(0, 0, 0.5, 1), tolerance=tolerance).any()
    assert localization.energy_in_box(flat, box=(0, 0, 0.5, 1)) == 0


def test_energy_is_the_share_of_the_positive_mass():
    maps = np.array([[[3.0, 1.0], [-5.0, 4.0]]])
    np.testing.assert_allclose(localization.energy_in_box(maps, box=(0, 0, 1, 0.5)), 3 / 8)
    np.testing.assert_allclose(localization.energy_in_box(maps, mask=[[0, 1], [0, 1]]), 5 / 8)
    np.testing.assert_allclose(localization.energy_in_box(maps[..., None], box=(0, 0, 1, 0.5)), 8 / 13)


# Small changes


def test_infidelity_of_the_gradient_of_a_linear_model_is_0():
    model = reader([(2, 3), (4, 5)])
    x = np.random.default_rng(0).normal(size=(3, SIZE, SIZE, 1))
    gradient = (pointing_to(2, 3) + pointing_to(4, 5))[..., None].repeat(3, 0)
    found = robustness.infidelity(model, x, gradient, 1)
    assert found.max() <= (4 * 2**-24 * np.abs(x).max() * 2) ** 2  # the scores' rounding
    np.testing.assert_array_equal(robustness.infidelity(model, x, gradient[..., 0], 1), found)
    scaled = robustness.infidelity(model, x, 7 * gradient, 1, normalize=True)
    assert scaled.max() <= (4 * 2**-24 * np.abs(x).max() * 2) ** 2
    assert robustness.infidelity(model, x, 7 * gradient, 1).min() > 0.01


def test_infidelity_of_no_attribution_is_the_mean_square_of_the_change():
    model, x = reader(), np.zeros((2, SIZE, SIZE, 1))

    def steps(rng, image):
        taken = np.zeros_like(image)
        taken[2, 3] = 3
        return taken

    assert robustness.infidelity(model, x, np.zeros(x.shape), 1, perturbation=steps).tolist() == [9, 9]
    # The attribution says 1 * 3, the score falls by 3; twice of it says 6.
    exact = pointing_to(2, 3)[..., None].repeat(2, 0)
    assert robustness.infidelity(model, x, exact, 1, perturbation=steps).tolist() == [0, 0]
    assert robustness.infidelity(model, x, 2 * exact, 1, perturbation=steps).tolist() == [9, 9]


def test_max_sensitivity_of_the_image_itself_is_the_largest_relative_change():
    model, x = small_convnet(), images(3)
    found = robustness.max_sensitivity(lambda m, x, t: x, model, x, radius=0.1, samples=4, seed=5)
    for i, image in enumerate(x):
        rng = measuring.stream_of("", 5, i)
        sizes = [np.linalg.norm(robustness.nudge(rng, image, 0.1)) for _ in range(4)]
        np.testing.assert_allclose(found[i], max(sizes) / np.linalg.norm(image), rtol=1e-5)
    reach = 0.1 * np.ptp(x, (1, 2, 3))
    assert (found <= reach * np.sqrt(360) / np.linalg.norm(x.reshape(3, -1), axis=1)).all()


def test_max_sensitivity_of_a_constant_explanation_is_0_and_keeps_the_target():
    model, x = small_convnet(), images(3)
    seen = []

    def constant(model, x, target):
        seen.append(np.array(target))
        return np.ones((len(x), 4))

    assert not robustness.max_sensitivity(constant, model, x, samples=2).any()
    np.testing.assert_array_equal(seen, [model.predict(x, verbose=0).argmax(1)] * 3)


def test_max_sensitivity_of_a_sample_does_not_depend_on_the_others():
    model, x = small_convnet(), images(4)
    found = robustness.max_sensitivity(gradcam, model, x, 1, samples=3)
    np.testing.assert_allclose(robustness.max_sensitivity(gradcam, model, x[:1], 1, samples=3), found[:1], rtol=1e-4)


# What is wrong


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m, x, h: curves.insertion(m, x, h[:, 1:]),
            r"insertion: images \(2, 12, 10, 3\) need maps \(2, 12, 10\)",
        ),
        (lambda m, x, h: curves.deletion(m, x, h, steps=121), "120 pixels cannot be divided into 121 steps"),
        (lambda m, x, h: curves.deletion(m, x, h, steps=0), "steps must be a whole number from 1, got 0"),
        (lambda m, x, h: curves.deletion(m, x, h, baseline="grey"), "baseline must be 'blur', 'mean', a number"),
        (
            lambda m, x, h: curves.deletion(m, x, h, baseline=np.zeros(5)),
            r"need a baseline that fits, got shape \(5,\)",
        ),
        (lambda m, x, h: curves.insertion(m, x, h, lambda s: s), "a function cannot be measured"),
        (lambda m, x, h: curves.insertion(m, x, h, 3), "target 3 is out of range"),
        (lambda m, x, h: curves.insertion(m, x, h, of="logit"), "of must be 'probability' or 'score', got 'logit'"),
        (lambda m, x, h: curves.insertion(m, x, h * np.nan), "maps have values that are not finite"),
        (lambda m, x, h: imputation.road(m, x, h, order="first"), "order must be one of combined, most, least"),
        (lambda m, x, h: imputation.road(m, x, h, percentiles=[100]), "list of numbers between 0 and 100, got"),
        (lambda m, x, h: imputation.road(m, x, h, percentiles=50), "must be a list of numbers .* got 50"),
        (lambda m, x, h: imputation.road(m, x, h, noise=-1), "noise must be a number from 0"),
        (lambda m, x, h: localization.pointing_game(h), "give a box or a mask"),
        (lambda m, x, h: localization.pointing_game(h, box=(0, 0, 0, 0)), "no pixel of sample 0 lies on the object"),
        (lambda m, x, h: localization.energy_in_box(h, mask=np.ones((3, 3))), "need a mask"),
        (lambda m, x, h: localization.energy_in_box(h, box=(0, 1)), "box must be"),
        (lambda m, x, h: robustness.infidelity(m, x, h[:1]), "need finite attributions of this shape"),
        (lambda m, x, h: robustness.infidelity(m, x, h, perturbation=lambda r, i: 1), r"finite numbers \(12, 10, 3\)"),
        (lambda m, x, h: robustness.max_sensitivity(gradcam, m, x, radius=0), "radius must be a number above 0"),
        (lambda m, x, h: robustness.max_sensitivity(lambda *a: h[:1], m, x), "must give 2 finite explanations"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(small_convnet(), images(2), np.ones((2, 12, 10)))
