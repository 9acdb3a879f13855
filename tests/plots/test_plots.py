"""Plots: what is drawn is what was given, in readable colours, without pyplot, and bad input is refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from cnnfast import plots
from cnnfast.plots import _style
from cnnfast.plots.confusion import _readable_on

RNG = np.random.default_rng(5)
COUNTS = np.array([[50, 3, 0], [1, 40, 9], [0, 2, 45]])


def luminance(colour) -> float:
    """Relative luminance of WCAG 2.1."""
    c = np.array(to_rgb(colour))
    return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(first, second) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def cells(axes) -> np.ndarray:
    grid = {(int(t.get_position()[1]), int(t.get_position()[0])): t for t in axes.texts}
    size = int(len(grid) ** 0.5)
    return np.array([[grid[row, column] for column in range(size)] for row in range(size)])


def png(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def overlapping(labels) -> bool:
    """Whether texts one above the other touch."""
    spans = sorted((box.y0, box.y1) for box in (label.get_window_extent() for label in labels))
    return any(lower[1] > upper[0] for lower, upper in pairwise(spans))


# the confusion matrix


def test_counts_are_printed_true_in_rows_predicted_in_columns():
    axes = plots.confusion_matrix(COUNTS, class_names=["cat", "dog", "fox"]).axes[0]
    printed = np.vectorize(lambda text: int(text.get_text()))(cells(axes))
    np.testing.assert_array_equal(printed, COUNTS)
    np.testing.assert_array_equal(axes.images[0].get_array(), COUNTS)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "fox"]
    assert axes.get_title() == "accuracy 90.0%, 150 samples"
    assert axes.yaxis_inverted()


def test_labels_and_predictions_do_as_well_as_a_matrix():
    y_true, y_pred = RNG.integers(0, 4, 100), RNG.random((100, 4))
    axes = plots.confusion_matrix((y_true, y_pred)).axes[0]
    expected = np.zeros((4, 4))
    np.add.at(expected, (y_true, y_pred.argmax(1)), 1)
    np.testing.assert_array_equal(axes.images[0].get_array(), expected)


def test_more_is_darker_and_every_number_is_readable():
    axes = plots.confusion_matrix(np.arange(1, 101).reshape(10, 10)).axes[0]
    image = axes.images[0]
    shades = [luminance(image.cmap(image.norm(value))) for value in range(101)]
    assert all(np.diff(shades) < 0)
    for text in axes.texts:
        background = image.cmap(image.norm(float(text.get_text())))
        assert contrast(text.get_color(), background) >= 4.5  # WCAG 2.1, level AA


def test_the_better_of_black_and_white_is_chosen_on_any_colour():
    for colour in RNG.random((200, 3)):
        chosen = _readable_on(tuple(colour))
        assert contrast(chosen, colour) >= max(contrast("black", colour), contrast("white", colour)) - 0.01


def test_shares_are_printed_in_percent_and_small_ones_are_not_called_nothing():
    axes = plots.confusion_matrix([[995, 5], [0, 7]], normalize="true").axes[0]
    assert [text.get_text() for text in cells(axes).ravel()] == ["100", "<1", "0", "100"]
    assert axes.get_title() == "accuracy 99.5%, 1,007 samples"


@pytest.mark.parametrize("num_classes", [1, 2, 10, 25])
def test_long_names_stay_apart_and_numbers_stay_in_their_cells(num_classes):
    names = [f"Staffordshire bullterrier {index}" for index in range(num_classes)]
    figure = plots.confusion_matrix(RNG.integers(0, 9999, (num_classes, num_classes)), names)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert not overlapping(axes.get_yticklabels())
    cell = axes.get_window_extent().width / num_classes
    assert max(text.get_window_extent().width for text in axes.texts) < cell
    page = figure.bbox
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label]:
        box = label.get_window_extent()
        assert box.x0 >= page.x0 and box.y0 >= page.y0 and box.x1 <= page.x1 and box.y1 <= page.y1


def test_a_thousand_classes_are_drawn_without_numbers_and_with_some_labels():
    figure = plots.confusion_matrix(np.eye(1000, dtype=int), title="")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert not axes.texts and not overlapping(axes.get_yticklabels())
    assert 50 < len(axes.get_yticks()) < 500
    assert figure.bbox.width < 2**16


def test_a_matrix_is_drawn_on_the_axes_that_are_given():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plots.confusion_matrix(COUNTS, ax=right, title="mine") is figure
    assert not left.images and right.get_title() == "mine"


@pytest.mark.parametrize(
    "data, arguments, message",
    [
        (np.zeros((2, 3)), {}, r"square matrix, came \(2, 3\)"),
        (np.zeros((0, 0)), {}, r"came \(0, 0\)"),
        ([[1, -1], [0, 1]], {}, "finite numbers from 0"),
        ([[1, np.nan], [0, 1]], {}, "finite numbers from 0"),
        (COUNTS, {"class_names": ["a", "b"]}, "2 class_names for 3 classes"),
        (([0, 5], [0, 1]), {"class_names": ["a", "b"]}, "0 to 1, has values from 0 to 5"),
        (COUNTS, {"normalize": "rows"}, "came 'rows'"),
    ],
)
def test_bad_matrices_are_refused(data, arguments, message):
    with pytest.raises(ValueError, match=message):
        plots.confusion_matrix(data, **arguments)


# curves

HISTORY = {
    "accuracy": [0.5, 0.8, 0.9, 0.95],
    "loss": [1.0, 0.6, 0.4, 0.2],
    "val_accuracy": [0.6, 0.85, 0.8, 0.7],
    "val_loss": [0.9, 0.7, 0.5, 0.8],
    "learning_rate": [1e-3] * 4,
}


def lines(axes) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_each_quantity_has_a_panel_with_both_curves_and_its_best_epoch():
    figure = plots.curves(HISTORY)
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy", "loss"]
    for axes, best in zip(figure.axes, ("best: 0.85 in epoch 2", "best: 0.5 in epoch 3"), strict=True):
        name = axes.get_ylabel()
        drawn = lines(axes)
        np.testing.assert_array_equal(drawn["training"], np.c_[[1, 2, 3, 4], HISTORY[name]])
        np.testing.assert_array_equal(drawn["validation"], np.c_[[1, 2, 3, 4], HISTORY[f"val_{name}"]])
        np.testing.assert_array_equal(drawn[best], [[int(best[-1]), float(best.split()[1])]])


def test_without_validation_the_training_curve_is_judged():
    drawn = lines(plots.curves({"mean_squared_error": [3.0, np.nan, 1.0, 2.0]}).axes[0])
    assert "validation" not in drawn and "best: 1 in epoch 3" in drawn


def test_a_resumed_history_keeps_its_epoch_numbers():
    history = SimpleNamespace(history={"loss": [0.3, 0.2]}, epoch=[7, 8])
    np.testing.assert_array_equal(lines(plots.curves(history).axes[0])["training"][:, 0], [8, 9])


def test_one_epoch_is_a_visible_point():
    axes = plots.curves({"loss": [0.5], "val_loss": [0.6]}).axes[0]
    assert all(line.get_marker() == "o" and line.get_markersize() >= 6 for line in axes.lines)
    assert axes.get_xlim() == (0.5, 1.5)
    assert [tick for tick in axes.get_xticks() if 0.5 < tick < 1.5] == [1]


def test_curves_take_a_choice_and_axes_of_their_own():
    figure = Figure()
    panel = figure.subplots()
    assert plots.curves(HISTORY, metrics=["loss"], ax=panel) is figure
    assert panel.get_ylabel() == "loss"


@pytest.mark.parametrize(
    "history, arguments, error, message",
    [
        ({}, {}, ValueError, r"at least 1, came \[\]"),
        ({"loss": []}, {}, ValueError, r"came \[0\]"),
        ({"loss": [1, 2], "accuracy": [1]}, {}, ValueError, r"came \[1, 2\]"),
        (HISTORY, {"metrics": ["auc"]}, ValueError, r"no series \['auc'\]; there are"),
        (HISTORY, {"ax": Figure().subplots()}, ValueError, "2 metrics need as many axes, came 1"),
        ([1, 2], {}, TypeError, "came list"),
    ],
)
def test_bad_histories_are_refused(history, arguments, error, message):
    with pytest.raises(error, match=message):
        plots.curves(history, **arguments)


# images


def test_images_have_their_captions_blue_if_right_and_red_if_wrong():
    images = RNG.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]])
    axes = plots.image_grid(images, [0, 1, 1], probabilities, class_names=["cat", "dog"]).axes
    assert [a.get_title() for a in axes] == ["cat\nas cat, 90 %", "dog\nas cat, 70 %", "dog\nas dog, 80 %"]
    assert [a.title.get_color() for a in axes] == [_style.BLUE, _style.RED, _style.BLUE]
    np.testing.assert_array_equal(axes[1].images[0].get_array(), images[1, ..., 0] / 255)


def test_images_beyond_zero_and_one_are_scaled_alike():
    images = np.stack([np.full((4, 4), -1.0), np.full((4, 4), 3.0)])
    drawn = [axes.images[0].get_array().max() for axes in plots.image_grid(images).axes]
    assert drawn == [0.0, 1.0]


def test_colour_images_and_one_hot_labels_are_taken():
    figure = plots.image_grid(RNG.random((7, 5, 6, 3)), np.eye(7), columns=3)
    assert [axes.get_title() for axes in figure.axes] == list("0123456")


def test_mistakes_come_most_confident_first_and_right_answers_not_at_all():
    probabilities = RNG.dirichlet(np.ones(4), 50)
    labels = RNG.integers(0, 4, 50)
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    order = wrong[np.argsort(-probabilities.max(1)[wrong])][:6]
    images = np.arange(50, dtype=np.uint8)[:, None, None] * np.ones((1, 3, 3), np.uint8)
    figure = plots.misclassified(images, labels, probabilities, count=6)
    shown = [round(255 * axes.images[0].get_array()[0, 0]) for axes in figure.axes]
    assert shown == order.tolist()
    assert figure.get_suptitle() == f"{len(wrong)} of 50 wrong, the most confident first"


def test_no_mistakes_are_said_in_words():
    figure = plots.misclassified(np.zeros((2, 4, 4)), [0, 1], [0, 1])
    assert figure.texts[0].get_text() == "none of 2 images is misclassified"


def test_grids_are_drawn_on_the_figure_that_is_given():
    figure = Figure()
    left, right = figure.subfigures(1, 2)
    plots.image_grid(np.zeros((4, 5, 5)), figure=left)
    plots.misclassified(np.zeros((1, 5, 5)), [0], [1], figure=right)
    assert (len(left.axes), len(right.axes)) == (4, 1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: plots.image_grid(np.zeros((0, 4, 4))), "empty"),
        (lambda: plots.image_grid(np.zeros((4, 4))), r"came \(4, 4\)"),
        (lambda: plots.image_grid(np.zeros((2, 4, 4, 2))), r"came \(2, 4, 4, 2\)"),
        (lambda: plots.image_grid(np.zeros((401, 2, 2))), "at most 400 images .* came 401"),
        (lambda: plots.image_grid(np.zeros((2, 4, 4)), [1, 2, 3]), r"2 images need labels .* came \(3,\)"),
        (lambda: plots.image_grid(np.zeros((2, 4, 4)), [0, -1]), "from -1 to 0"),
        (lambda: plots.image_grid(np.zeros((2, 4, 4)), columns=0), "columns must be at least 1"),
        (lambda: plots.misclassified(np.zeros((2, 4, 4)), [0, 1], [0]), "2 images need predictions"),
        (lambda: plots.misclassified(np.zeros((2, 4, 4)), [0, 1], [1, 0], count=0), "count must lie in 1"),
    ],
)
def test_bad_images_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# all of them


def test_plots_save_without_pyplot_and_matplotlib_is_imported_late():
    code = """
import sys
from cnnfast import plots
assert "matplotlib" not in sys.modules
import numpy as np
figures = [
    plots.confusion_matrix([[1, 2], [3, 4]]),
    plots.curves({"loss": [1, 2]}),
    plots.image_grid(np.zeros((2, 3, 3))),
    plots.misclassified(np.zeros((2, 3, 3)), [0, 1], [0, 0]),
    plots.overlay(np.zeros((4, 4)), np.eye(4)),
    plots.attribution(np.zeros((4, 4)), np.eye(4)),
    plots.explanations(np.zeros((1, 4, 4)), {"a": np.ones((1, 2, 2)), "b": -np.ones((1, 4, 4))}),
    plots.activation_mosaic(np.ones((1, 3, 3, 2))),
    plots.augmentation_samples("light", np.zeros((8, 8, 3), np.uint8), count=1),
    plots.per_class([[1, 2], [3, 4]]),
    plots.reliability_diagram([0, 1], [0.1, 0.9]),
    plots.roc_curve([0, 1], [0.1, 0.9]),
    plots.precision_recall_curve([0, 1], [0.1, 0.9]),
]
import io
for figure in figures:
    figure.savefig(io.BytesIO(), format="png")
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MPLBACKEND": "TkAgg"}
    environment.pop("DISPLAY", None)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_the_same_input_gives_the_same_picture():
    assert png(plots.confusion_matrix(COUNTS)) == png(plots.confusion_matrix(COUNTS))


# names that matplotlib would take for formulas

NAMES = ["$x_$", "$5 to $10", r"\$\frac$"]


TRUE, CHOSEN = np.arange(3), np.array([1, 2, 0])
PHOTOS = np.linspace(0, 1, 3 * 64).reshape(3, 8, 8)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.confusion_matrix(COUNTS, NAMES),
        lambda: plots.per_class(COUNTS, NAMES),
        lambda: plots.per_class(np.eye(9), NAMES * 3),
        lambda: plots.roc_curve(TRUE, np.eye(3), NAMES),
        lambda: plots.precision_recall_curve(TRUE, np.eye(3), NAMES),
        lambda: plots.image_grid(PHOTOS, TRUE, CHOSEN, NAMES),
        lambda: plots.misclassified(PHOTOS, TRUE, CHOSEN, NAMES),
        lambda: plots.explanations(PHOTOS, dict.fromkeys(NAMES, PHOTOS), titles=NAMES),
        lambda: plots.activation_mosaic(dict.fromkeys(NAMES, PHOTOS[..., None])),
        lambda: plots.curves({name: [2.0, 1.0] for name in NAMES}).figure,
    ],
)
def test_names_with_dollars_are_drawn_as_they_are(draw):
    figure = draw()
    figure.draw_without_rendering()
    written = [text.get_text() for text in figure.findobj(Text)]
    assert not any(map(is_math_text, written))
    shown = " ".join(written).replace(r"\$", "$").replace("_", " ")
    assert all(name.replace("_", " ") in shown for name in NAMES)


def test_a_heading_that_is_given_may_be_a_formula():
    figure = plots.confusion_matrix(COUNTS, title="$x^2$")
    assert figure.axes[0].get_title() == "$x^2$" and is_math_text("$x^2$")
