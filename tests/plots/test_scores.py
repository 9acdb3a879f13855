"""Bars per class, the reliability diagram, ROC and precision-recall curves: the numbers on them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from cnnfast import metrics, plots

RNG = np.random.default_rng(6)
COUNTS = np.array([[8, 2, 0], [4, 6, 0], [1, 0, 0]])
LABELS = RNG.integers(0, 4, 200)
PROBABILITIES = RNG.dirichlet(np.ones(4), 200)


def many(classes: int) -> tuple[np.ndarray, np.ndarray]:
    true = RNG.integers(0, classes, 60 * classes)
    scores = RNG.normal(size=(len(true), classes))
    scores[np.arange(len(true)), true] += 0.5 + 0.2 * true  # the later classes are the easier
    return true, scores


def lines(axes) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_xydata() for line in axes.lines if not line.get_label().startswith("_")}


# per class


def test_bars_are_precision_recall_and_f1_and_what_is_undefined_has_a_dash():
    axes = plots.per_class(COUNTS, ["cat", "dog", "fox"]).axes[0]
    heights = {c.get_label(): [bar.get_height() for bar in c] for c in axes.containers}
    np.testing.assert_allclose(heights["precision"], [8 / 13, 6 / 8, 0])
    np.testing.assert_allclose(heights["recall"], [0.8, 0.6, 0])
    np.testing.assert_allclose(heights["F1"], [16 / 23, 12 / 18, 0])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat (10)", "dog (10)", "fox (1)"]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["0.62", "0.75", "-", "0.80", "0.60", "0.00", "0.70", "0.67", "0.00"]
    assert axes.get_title() == f"mean F1 {(16 / 23 + 12 / 18 + 0) / 3:.3f}"


@pytest.mark.parametrize(
    "sort, order",
    [(None, "zebra ant fox"), ("name", "ant fox zebra"), ("recall", "fox ant zebra"), ("support", "fox zebra ant")],
)
def test_classes_are_sorted_by_name_or_value(sort, order):
    axes = plots.per_class(COUNTS, ["zebra", "ant", "fox"], sort=sort).axes[0]
    assert [label.get_text().split()[0] for label in axes.get_xticklabels()] == order.split()


def test_bars_of_many_classes_lie_with_the_first_on_top():
    figure = plots.per_class((LABELS % 3 * 5, PROBABILITIES.argmax(1) * 4), [f"class {i}" for i in range(20)])
    axes = figure.axes[0]
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(upper.y0 > lower.y1 - 0.5 for upper, lower in pairwise(boxes))
    assert axes.containers[0][0].get_height() == pytest.approx(0.25)
    assert min(box.x0 for box in boxes) >= 0


def test_labels_and_predictions_are_counted():
    drawn = plots.per_class((LABELS, PROBABILITIES)).axes[0].containers[1]
    expected = metrics.confusion_matrix(LABELS, PROBABILITIES, normalize="true").diagonal()
    np.testing.assert_allclose([bar.get_height() for bar in drawn], expected)


# reliability


def test_the_diagram_shows_accuracies_gaps_and_how_many():
    top, bottom = plots.reliability_diagram(LABELS, PROBABILITIES, bins=5).axes
    curve = metrics.calibration_curve(LABELS, PROBABILITIES, bins=5)
    some = curve.counts > 0
    accuracy, gap = top.containers
    np.testing.assert_allclose([bar.get_height() for bar in accuracy], curve.accuracy[some])
    np.testing.assert_allclose([bar.get_x() for bar in accuracy], curve.edges[:-1][some], atol=1e-12)
    ends = [bar.get_y() + bar.get_height() for bar in gap]
    np.testing.assert_allclose(ends, curve.confidence[some])
    assert top.get_title() == f"ECE {100 * curve.ece:.1f} %, largest gap {100 * curve.mce:.1f} %"
    np.testing.assert_allclose([bar.get_height() for bar in bottom.containers[0]], curve.counts[some] / 200)
    confidence, right = PROBABILITIES.max(1).mean(), (PROBABILITIES.argmax(1) == LABELS).mean()
    assert [line.get_label() for line in bottom.lines] == [
        f"mean confidence {confidence:.1%}",
        f"accuracy {right:.1%}",
    ]
    assert [line.get_xdata()[0] for line in bottom.lines] == pytest.approx([confidence, right])


def test_a_single_probability_is_compared_with_the_share_of_ones():
    top, bottom = plots.reliability_diagram([0, 1, 1], [0.2, 0.7, 0.9]).axes
    assert (top.get_ylabel(), bottom.get_xlabel()) == ("share of ones", "probability of class 1")


# ROC and precision-recall


def test_a_single_curve_has_its_area_in_the_title():
    axes = plots.roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).axes[0]
    np.testing.assert_array_equal(axes.lines[-1].get_xydata(), [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]])
    assert axes.get_title() == "AUC 0.750" and axes.get_legend() is None
    axes = plots.precision_recall_curve([0, 1, 1, 0], [0.1, 0.9, 0.3, 0.5]).axes[0]
    np.testing.assert_allclose(
        axes.lines[-1].get_xydata(), [[0, 1], [0.5, 1], [0.5, 0.5], [1, 2 / 3], [1, 0.5]], rtol=1e-15
    )
    assert axes.get_title() == "AP 0.833" and axes.lines[-1].get_drawstyle() == "steps-pre"
    assert axes.lines[0].get_ydata()[0] == 0.5  # guessing


def test_of_several_classes_each_is_told_from_the_rest():
    names = ["cat", "dog", "fox", "owl"]
    drawn = lines(plots.roc_curve(LABELS, PROBABILITIES, names).axes[0])
    curves = [metrics.roc_curve(np.equal(LABELS, k), PROBABILITIES[:, k]) for k in range(4)]
    expected = {f"{name}: AUC {c.auc:.3f}": c for name, c in zip(names, curves, strict=True)}
    assert drawn.keys() == expected.keys()
    for label, curve in expected.items():
        np.testing.assert_array_equal(drawn[label], np.c_[curve.fpr, curve.tpr])
    title = plots.roc_curve(LABELS, PROBABILITIES).axes[0].get_title()
    assert title == f"mean AUC of 4 classes {np.mean([c.auc for c in curves]):.3f}"


def test_of_two_columns_the_second_counts():
    one = plots.roc_curve([0, 1, 0, 1], [0.2, 0.3, 0.6, 0.9]).axes[0].lines[-1].get_xydata()
    two = plots.roc_curve([0, 1, 0, 1], [[0.8, 0.2], [0.7, 0.3], [0.4, 0.6], [0.1, 0.9]]).axes[0].lines[-1]
    np.testing.assert_array_equal(one, two.get_xydata())


@pytest.mark.parametrize("draw, measure", [(plots.roc_curve, "AUC"), (plots.precision_recall_curve, "AP")])
def test_of_many_classes_the_worst_stand_out(draw, measure):
    axes = draw(*many(12)).axes[0]
    assert len(axes.lines) >= 12 + 3
    labels = list(lines(axes))
    areas = [float(label.rpartition(" ")[2]) for label in labels]
    assert len(labels) == 3 and areas == sorted(areas) and all(measure in label for label in labels)
    assert axes.get_legend().get_title().get_text() == "the worst"


def test_classes_without_samples_are_left_out():
    title = plots.roc_curve(LABELS % 3, PROBABILITIES).axes[0].get_title()
    assert title.startswith("mean AUC of 3 classes")


def test_scores_are_drawn_on_the_axes_that_are_given():
    figure = Figure()
    panels = figure.subplots(2, 2).ravel()
    assert plots.per_class(COUNTS, ax=panels[0], title="mine") is figure
    assert plots.roc_curve(LABELS, PROBABILITIES, ax=panels[1], title="mine") is figure
    assert plots.reliability_diagram(LABELS, PROBABILITIES, ax=panels[2:], title="mine") is figure
    assert [panel.get_title() for panel in panels] == ["mine", "mine", "mine", ""]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: plots.per_class(COUNTS, sort="size"), "sort must be None or one of name, precision.*, came 'size'"),
        (lambda: plots.per_class([[1, 2]]), r"per_class: expected .* square matrix, came \(1, 2\)"),
        (lambda: plots.per_class(COUNTS, ["a"]), "1 class_names for 3 classes"),
        (lambda: plots.reliability_diagram([0, 1], [0.5, 3.0]), "probabilities from 0 to 1"),
        (lambda: plots.reliability_diagram([0, 1], [0.5, 0.5], ax=[Figure().subplots()]), "needs two axes, came 1"),
        (lambda: plots.roc_curve([0, 1], [0.5]), r"2 samples need y_score \(N,\) or \(N, C\), came \(1,\)"),
        (lambda: plots.roc_curve([0, 4], PROBABILITIES[:2]), "classes from 0 to 3, has 4"),
        (lambda: plots.roc_curve([1, 1], [0.5, 0.6], ["cat", "dog"]), "all 2 samples are of class dog"),
        (lambda: plots.precision_recall_curve([0, 1], [0.5, np.nan]), "finite"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
