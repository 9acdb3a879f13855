"""Explanations over images, and mosaics of activations."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import rgb_to_hsv
from matplotlib.figure import Figure

from cnnfast import plots
from cnnfast.explain.maps import upsampled

RNG = np.random.default_rng(8)
PHOTO = RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8)
HEAT = RNG.uniform(size=(12, 10))
RAMP = np.linspace(-1, 1, 120).reshape(12, 10)


def bar_of(figure: Figure):
    return figure.axes[-1]


# heat maps


def test_the_map_lies_over_the_image_with_a_bar_of_its_colours():
    figure = plots.overlay(PHOTO, HEAT, alpha=0.3, title="Grad-CAM")
    photo, heat = figure.axes[0].images
    np.testing.assert_array_equal(photo.get_array(), PHOTO / 255)
    np.testing.assert_array_equal(heat.get_array(), HEAT)
    assert heat.get_alpha() == 0.3 and heat.get_clim() == (0, 1)
    assert figure.axes[0].get_title() == "Grad-CAM"
    figure.draw_without_rendering()
    assert bar_of(figure).get_ylim() == (0, 1)


def test_small_maps_are_upsampled_to_the_image():
    heat = plots.overlay(PHOTO, HEAT[:3, :5]).axes[0].images[1].get_array()
    np.testing.assert_array_equal(heat, upsampled(HEAT[None, :3, :5], (12, 10))[0])


@pytest.mark.parametrize(
    "heat, expected", [(HEAT * 7, (0, 7 * HEAT.max())), (RAMP, (-1, 1)), (HEAT * 0, (0, 1)), (HEAT / 5, (0, 1))]
)
def test_the_colours_reach_from_the_least_value_to_the_largest(heat, expected):
    assert plots.overlay(PHOTO, heat).axes[0].images[1].get_clim() == pytest.approx(expected)


def test_limits_make_maps_comparable():
    assert plots.overlay(PHOTO, HEAT, limits=(-2, 3)).axes[0].images[1].get_clim() == (-2, 3)


def test_the_default_colours_are_as_plain_in_grey():
    name = plots.overlay(PHOTO, HEAT).axes[0].images[1].cmap.name
    grey = colormaps[name](np.linspace(0, 1, 64))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(grey) > 0).all()


# signed values


def test_signed_values_have_a_scale_that_is_symmetric_around_white():
    values = RNG.normal(size=(12, 10, 3))
    drawn = plots.attribution(PHOTO, values).axes[0].images[1]
    np.testing.assert_allclose(drawn.get_array(), values.sum(2), atol=1e-12)
    limit = np.percentile(np.abs(values.sum(2)), 99)
    assert drawn.get_clim() == pytest.approx((-limit, limit))
    assert rgb_to_hsv(drawn.cmap(0.5)[:3])[1] < 0.02
    negative, positive = drawn.cmap(drawn.norm(-limit)), drawn.cmap(drawn.norm(limit))
    assert negative[2] > negative[0] and positive[0] > positive[2]  # blue is against, red is for


def test_what_says_nothing_shows_the_image_in_grey():
    values = np.zeros((12, 10))
    values[3, 4] = -5
    grey, drawn = plots.attribution(PHOTO, values).axes[0].images
    assert grey.get_array().ndim == 2 and grey.get_array().min() >= 0.55 and grey.get_array().max() <= 1
    expected = np.zeros((12, 10))
    expected[3, 4] = 1
    np.testing.assert_array_equal(drawn.get_alpha(), expected)
    assert drawn.get_clim() == (-5, 5)  # though 99 % are 0


def test_a_few_extremes_do_not_make_the_rest_pale():
    values = np.ones((50, 50))
    values[0, 0] = 1000
    assert plots.attribution(None, values).axes[0].images[0].get_clim() == (-1, 1)
    assert plots.attribution(None, values, percentile=100).axes[0].images[0].get_clim() == (-1000, 1000)
    assert plots.attribution(None, values, limit=4).axes[0].images[0].get_clim() == (-4, 4)


# grids


def test_methods_are_columns_and_images_rows():
    photos, heat, signed = RNG.random((2, 12, 10)), RNG.random((2, 4, 5)) * 9, RNG.normal(size=(2, 12, 10, 1))
    figure = plots.explanations(photos, {"Grad-CAM": heat, "IG": signed}, titles=["cat", "dog"])
    grid = np.array(figure.axes[:6]).reshape(2, 3)
    assert [ax.get_title() for ax in grid[0]] == ["image", "Grad-CAM", "IG"]
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["cat", "dog"]
    for n in range(2):
        np.testing.assert_array_equal(grid[n, 0].images[0].get_array(), photos[n])
        large = upsampled(heat[n][None], (12, 10))[0]
        np.testing.assert_allclose(grid[n, 1].images[1].get_array(), large / large.max(), rtol=1e-6)
        assert grid[n, 1].images[1].get_clim() == (0, 1)
        limit = np.percentile(np.abs(signed[n]), 99)
        np.testing.assert_allclose(grid[n, 2].images[1].get_array(), signed[n, ..., 0] / limit)
        assert grid[n, 2].images[1].get_clim() == (-1, 1)
    assert len(figure.axes) == 8  # and a bar for each kind of map


def test_values_of_which_none_is_negative_are_added_up_and_drawn_as_an_overlay():
    sizes = np.abs(RNG.normal(size=(1, 12, 10, 3)))
    figure = plots.explanations(PHOTO[None], {"saliency": sizes})
    drawn = figure.axes[1].images[1]
    added = sizes[0].sum(2)
    np.testing.assert_allclose(drawn.get_array(), added / added.max())
    assert drawn.get_clim() == (0, 1) and drawn.cmap.name == "inferno" and len(figure.axes) == 3


def test_maps_of_nothing_stay_dark():
    figure = plots.explanations(RNG.random((1, 4, 4)), {"zero": np.zeros((1, 4, 4))})
    assert not figure.axes[1].images[1].get_array().any()


def test_overlays_are_drawn_on_the_axes_and_figures_that_are_given():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plots.overlay(PHOTO, HEAT, ax=right, colour_bar=False) is figure
    assert plots.attribution(PHOTO, HEAT, ax=left, colour_bar=False) is figure
    assert (len(left.images), len(right.images), len(figure.axes)) == (2, 2, 2)
    sheet = Figure()
    assert plots.explanations(PHOTO[None], {"a": HEAT[None]}, figure=sheet) is sheet
    assert plots.activation_mosaic(np.ones((1, 2, 2, 3)), figure=sheet) is sheet


# activations


def test_a_layer_is_a_mosaic_of_channels_with_their_mean_in_the_middle():
    maps = RNG.normal(5, 3, (2, 6, 7, 5))
    maps[1, ..., 2] = 0
    figure = plots.activation_mosaic({"conv": maps, "pool": maps[:, :3, :3]}, sample=1, columns=3)
    assert [ax.get_title("left") for ax in figure.axes] == [
        "conv: 5 channels of 6 x 7, 1 all 0",
        "pool: 5 channels of 3 x 3, 1 all 0",
    ]
    mosaic = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    assert mosaic.shape == (2 * 6 + 1, 3 * 7 + 2)
    for k in (0, 1, 3, 4):
        row, column = divmod(k, 3)
        cell = mosaic[row * 7 :, column * 8 :][:6, :7]
        a = maps[1, ..., k]
        np.testing.assert_allclose(cell, np.clip((a - a.mean()) / a.std() * 64 + 128, 0, 255))
    assert (mosaic[:6, 16:] == 0).all()  # the silent one
    assert np.isnan(mosaic[6]).all() and np.isnan(mosaic[7:, 16:]).all()  # between, and after the last


def test_a_constant_channel_is_even_and_not_its_rounding():
    mosaic = plots.activation_mosaic(np.full((1, 9, 9, 1), 0.1)).axes[0].images[0].get_array()
    assert (mosaic == 128).all()


def test_only_the_first_of_many_channels_are_drawn_and_that_is_said():
    figure = plots.activation_mosaic(RNG.random((1, 4, 4, 100)), channels=32)
    assert figure.axes[0].get_title("left") == "100 channels of 4 x 4, the first 32 drawn"
    assert figure.axes[0].images[0].get_array().shape == (2 * 5 - 1, 16 * 5 - 1)


def test_mosaics_lie_one_below_the_other_in_full_width():
    figure = plots.activation_mosaic({"a": RNG.random((1, 9, 9, 32)), "b": RNG.random((1, 4, 8, 32))})
    figure.draw_without_rendering()
    upper, lower = (ax.get_tightbbox() for ax in figure.axes)
    assert upper.y0 >= lower.y1 and lower.y0 >= 0 and upper.y1 <= figure.bbox.y1
    assert upper.width == pytest.approx(lower.width, rel=0.01)
    assert upper.width > 0.95 * figure.bbox.width


def test_mosaics_of_many_layers_still_make_a_figure():
    figure = plots.activation_mosaic({str(i): np.ones((1, 2, 2, 64)) for i in range(400)})
    assert figure.get_size_inches()[1] <= 300


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: plots.overlay(np.zeros((4, 4, 2)), np.eye(4)), r"overlay: image must be .*, came \(4, 4, 2\)"),
        (lambda: plots.overlay(np.zeros((4, 4)), np.eye(5)), r"heat must be \(4, 4\) .* smaller map, came \(5, 5\)"),
        (lambda: plots.overlay(np.zeros((4, 4)), np.zeros((1, 4, 4))), r"came \(1, 4, 4\)"),
        (lambda: plots.overlay(np.zeros((4, 4)), np.full((4, 4), np.nan)), "heat has values that are not finite"),
        (lambda: plots.overlay(np.zeros((4, 4)), np.eye(4), alpha=2), "alpha must lie in 0 to 1, came 2"),
        (lambda: plots.overlay(np.zeros((4, 4)), np.eye(4), limits=(1, 1)), r"limits must rise, came \(1, 1\)"),
        (lambda: plots.attribution(np.zeros((4, 4)), np.zeros(4)), r"values must be \(H, W, C\) .*, came \(4,\)"),
        (lambda: plots.attribution(None, np.eye(4), percentile=101), "percentile must lie in 0 to 100, came 101"),
        (lambda: plots.attribution(None, np.eye(4), limit=0), "limit must be above 0, came 0"),
        (lambda: plots.explanations(np.zeros((2, 4, 4)), {}), "maps must be a mapping"),
        (lambda: plots.explanations(np.zeros((4, 4)), {"a": np.eye(4)}), r"images must be .*, came \(4, 4\)"),
        (
            lambda: plots.explanations(np.zeros((2, 4, 4)), {"a": np.zeros((3, 4, 4))}),
            r"2 images need maps \(2, P, Q\) of 'a', came \(3, 4, 4\)",
        ),
        (
            lambda: plots.explanations(np.zeros((2, 4, 4)), {"a": np.zeros((2, 4, 4))}, titles=["x"]),
            "2 images need as many titles, came 1",
        ),
        (lambda: plots.explanations(np.zeros((300, 4, 4)), {"a": np.zeros((300, 4, 4))}), "more than 400 pictures"),
        (lambda: plots.activation_mosaic({}), "no activations to draw"),
        (lambda: plots.activation_mosaic(np.zeros((4, 4, 3))), r"expected maps \(N, P, Q, K\) of '', came \(4, 4, 3\)"),
        (lambda: plots.activation_mosaic({"c": np.zeros((1, 4, 4, 3))}, sample=1), "no sample 1, 'c' has maps of 1"),
        (lambda: plots.activation_mosaic(np.full((1, 4, 4, 3), np.inf)), "not finite"),
        (lambda: plots.activation_mosaic(np.zeros((1, 4, 4, 3)), columns=0), "columns must be at least 1, came 0"),
        (lambda: plots.activation_mosaic(np.zeros((1, 4, 4, 3)), channels=0), "channels must be at least 1, came 0"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
