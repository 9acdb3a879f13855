"""`compare` ranks methods by what is known of their explanations, and draws them."""

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers
from cnnfast.commands.explain import METHODS
from cnnfast.explain.comparison import compare
from tests.explain.networks import images, small_convnet

SIZE = 12


def quarter_reader() -> cnnfast.Sequential:
    """Class 1 is how bright the upper left quarter is, class 0 always 0."""
    model = cnnfast.Sequential(
        [cnnfast.Input((SIZE, SIZE, 1)), layers.Flatten(), layers.Dense(2, use_bias=False, name="dense")]
    )
    kernel = np.zeros((SIZE, SIZE, 2), np.float32)
    kernel[:6, :6, 1] = 0.2
    model.get_layer("dense").set_weights([kernel.reshape(-1, 2)])
    return model


def right(model, x, target):
    maps = np.zeros(x.shape[:3])
    maps[:, :6, :6] = 1
    return maps


def wrong(model, x, target):
    return 1 - right(model, x, target)


def jumpy(model, x, target):
    """The right place, by much that hangs on the last digits of the image."""
    return right(model, x, target) * (2 + np.sin(1e4 * x[..., 0]))


def bright_spot(count: int = 3) -> np.ndarray:
    x = np.random.default_rng(0).random((count, SIZE, SIZE, 1)).astype(np.float32) * 0.1
    x[:, :6, :6] += 0.9
    return x


@pytest.fixture(scope="module")
def result():
    return compare(quarter_reader(), bright_spot(), 1, {"wrong": wrong, "jumpy": jumpy, "right": right})


def test_the_right_explanation_comes_first_and_the_wrong_one_last(result):
    assert [row["method"] for row in result.rows] == ["right", "jumpy", "wrong"]
    assert result.rows[0]["insertion"] > result.rows[2]["insertion"]
    assert result.rows[0]["deletion"] < result.rows[2]["deletion"]
    assert result.rows[0]["road"] > 0 > result.rows[2]["road"]
    assert result.rows[0]["max_sensitivity"] == 0 < result.rows[1]["max_sensitivity"]


def test_mean_ranks_are_those_of_the_table(result):
    def shown(row, name):
        return float(f"{row[name]:.4g}")

    for row in result.rows:
        places = []
        for name, more in result.measures.items():
            mine, all_ = shown(row, name), [shown(r, name) for r in result.rows]
            better = [v for v in all_ if (v > mine if more else v < mine)]
            places.append(len(better) + (all_.count(mine) + 1) / 2)
        assert row["mean_rank"] == pytest.approx(np.mean(places))


def test_rows_are_means_of_the_values_that_each_measure_gives_alone(result):
    model, x = quarter_reader(), bright_spot()
    alone = explain.curves.insertion(model, x, right(model, x, 1), 1, steps=25).area
    np.testing.assert_array_equal(result.values["right"]["insertion"], alone)
    for row in result.rows:
        for name in result.measures:
            assert row[name] == result.values[row["method"]][name].mean()


def test_methods_that_agree_but_for_rounding_share_their_rank():
    methods = {"one": right, "two": lambda m, x, t: right(m, x, t) * (1 + 1e-12)}
    found = compare(quarter_reader(), bright_spot(), 1, methods)
    assert [row["mean_rank"] for row in found.rows] == [1.5, 1.5]


def test_the_table_is_aligned_and_names_all(result):
    lines = str(result).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == [
        "method", "seconds", "insertion", "↑", "deletion", "↓", "road", "↑", "max_sensitivity", "↓", "mean", "rank"
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[2:]] == ["right", "jumpy", "wrong"]


def test_the_same_seed_gives_the_same_table(result):
    again = compare(quarter_reader(), bright_spot(), 1, {"wrong": wrong, "jumpy": jumpy, "right": right})
    for method, measures in again.values.items():
        for name, values in measures.items():
            np.testing.assert_array_equal(values, result.values[method][name])


def test_the_plot_shows_the_maps_of_an_image_the_best_first(result):
    pytest.importorskip("matplotlib")
    figure = result.plot(image=1)
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["image", "1. right", "2. jumpy", "3. wrong"]
    np.testing.assert_array_equal(shown[1].images[1].get_array(), right(None, bright_spot(), 1)[1])
    assert f"{result.values['right']['insertion'][1]:.3f}" in shown[1].texts[0].get_text()
    coloured = np.zeros((3, SIZE, SIZE, 3), np.uint8)
    coloured[1, :, :, 0] = 255
    first = next(axes for axes in result.plot(1, coloured).axes if axes.images)
    np.testing.assert_array_equal(first.images[0].get_array()[0, 0], [1, 0, 0])
    with pytest.raises(ValueError, match=r"need pictures of their size, got \(2, 12, 12, 3\)"):
        result.plot(1, coloured[:2])
    named = compare(quarter_reader(), bright_spot(), 1, {"$x_$": right}, ["deletion"]).plot()
    named.draw_without_rendering()
    assert next(axes for axes in named.axes[1:] if axes.images).get_title() == r"1. \$x_\$"
    with pytest.raises(IndexError, match="there is no image 3, there are 3"):
        result.plot(image=3)


def test_by_default_methods_of_the_package_are_compared_for_the_predicted_class():
    model, x = small_convnet(), images(2)
    found = compare(model, x, measures=["insertion"])
    assert "gradcam" in found.maps
    np.testing.assert_array_equal(found.maps["gradcam"], explain.gradcam(model, x))
    chosen = compare(model, x, methods=["gradcam"], measures="randomisation")
    assert [row["method"] for row in chosen.rows] == ["gradcam"]
    assert 0 <= chosen.rows[0]["randomisation"] <= 1


def test_every_method_that_the_command_knows_can_be_compared():
    found = compare(small_convnet(), images(1), 1, METHODS, ["deletion"])
    assert {*found.maps} == {*METHODS}


def test_methods_that_cannot_explain_a_model_are_left_out_unless_asked_for(monkeypatch):
    model, x = quarter_reader(), bright_spot()
    monkeypatch.setattr("cnnfast.explain.comparison._METHODS", ("gradcam", "saliency"))
    found = compare(model, x, 1, measures=["deletion"])
    assert [*found.maps] == ["saliency"]
    assert "left out: gradcam (gradcam: no convolution has maps" in str(found)
    with pytest.raises(ValueError, match="no convolution has maps"):
        compare(model, x, 1, methods=["gradcam"])


def test_methods_taken_by_name_explain_the_output_that_is_measured():
    x = cnnfast.Input((SIZE, SIZE, 1))
    flat = layers.Flatten()(x)
    model = cnnfast.Model(x, [layers.Dense(2, name="a")(flat), layers.Dense(2, name="b")(flat)])
    measures = ["deletion", "max_sensitivity", "randomisation"]
    named = compare(model, bright_spot(), 1, ["gradient_x_input"], measures, output="b")
    own = {"own": lambda m, x, t: explain.gradient_x_input(m, x, t, output="b")}
    expected = compare(model, bright_spot(), 1, own, measures, output="b")
    np.testing.assert_array_equal(named.maps["gradient_x_input"], expected.maps["own"])
    for name in measures:
        np.testing.assert_array_equal(named.values["gradient_x_input"][name], expected.values["own"][name])
    first = compare(model, bright_spot(), 1, ["gradient_x_input"], measures)
    assert not np.array_equal(first.maps["gradient_x_input"], expected.maps["own"])


def test_maps_of_scores_are_measured_by_the_score_of_a_region():
    x = cnnfast.Input((6, 6, 2))
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="maps")(x)
    model = cnnfast.Model(x, layers.Conv2D(3, 1, activation="softmax", name="classes")(y))
    image = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    found = compare(model, image, explain.region(1, box=(0, 0, 1, 1)), ["gradcam"], ["insertion"])
    assert np.isfinite(found.rows[0]["insertion"])
    with pytest.raises(ValueError, match="have no predicted class"):
        compare(model, image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": ["gradcan"]}, r"cnnfast\.explain has no method 'gradcan'"),
        ({"methods": "superpixels"}, "has no method 'superpixels'; it has gradcam, "),
        ({"methods": ["gradcam", "compare"]}, "has no method 'compare'; it has gradcam, "),
        ({"methods": {}}, "there are no methods to compare"),
        ({"measures": ["beauty"]}, r"measures must be some of insertion, deletion, road, .* got \['beauty'\]"),
        ({"measures": []}, "measures must be some of"),
        ({"methods": {"flat": lambda m, x, t: np.ones((2, 3, 3))}}, "compare: flat: images .* need maps"),
        ({"target": lambda s: s}, "a function cannot be measured"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        compare(small_convnet(), images(2), **arguments)


def test_methods_must_be_functions():
    with pytest.raises(TypeError, match="method 'a' must be a function"):
        compare(small_convnet(), images(2), methods={"a": 1})
