"""ROC, precision-recall and calibration curves, and the scores of classes, against counting."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import metrics

RNG = np.random.default_rng(3)


def test_the_roc_curve_of_four_samples():
    curve = metrics.roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    assert curve.fpr.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.tpr.tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve.thresholds.tolist() == [np.inf, 0.8, 0.4, 0.35, 0.1]
    assert curve.auc == 0.75


def test_the_precision_recall_curve_of_four_samples():
    curve = metrics.precision_recall_curve([0, 1, 1, 0], [0.1, 0.9, 0.3, 0.5])
    assert curve.precision.tolist() == [1, 1 / 2, 2 / 3, 1 / 2]
    assert curve.recall.tolist() == [0.5, 0.5, 1, 1]
    assert curve.average_precision == pytest.approx(1 / 2 + 1 / 2 * 2 / 3, abs=1e-15)


@pytest.mark.parametrize("distinct", [2, 5, 1000])
def test_the_area_is_how_often_a_positive_scores_more_than_a_negative(distinct):
    true, scores = RNG.integers(0, 2, 200), RNG.integers(0, distinct, 200) / 8
    ahead = scores[true == 1][:, None] - scores[true == 0]
    wins = np.mean((ahead > 0) + 0.5 * (ahead == 0))
    assert metrics.roc_curve(true, scores).auc == pytest.approx(wins, abs=1e-12)


def test_every_point_is_what_counting_at_its_threshold_gives():
    true, scores = RNG.integers(0, 2, 100), RNG.integers(0, 30, 100)
    roc, pr = metrics.roc_curve(true, scores), metrics.precision_recall_curve(true, scores)
    assert pr.thresholds.tolist() == sorted(set(scores.tolist()), reverse=True) == roc.thresholds[1:].tolist()
    for i, threshold in enumerate(pr.thresholds):
        chosen = scores >= threshold
        assert pr.precision[i] == true[chosen].mean()
        assert pr.recall[i] == roc.tpr[i + 1] == chosen[true == 1].mean()
        assert roc.fpr[i + 1] == chosen[true == 0].mean()


@pytest.mark.parametrize("scores, auc, ap", [([0, 0, 1, 1], 1, 1), ([1, 1, 0, 0], 0, 0.5), ([3, 3, 3, 3], 0.5, 0.5)])
def test_perfect_inverse_and_constant_scores(scores, auc, ap):
    assert metrics.roc_curve([0, 0, 1, 1], scores).auc == auc
    assert metrics.precision_recall_curve([0, 0, 1, 1], scores).average_precision == ap


def test_calibration_in_two_bins():
    probabilities = [[0.5, 0.5], [0.25, 0.75], [0.0, 1.0], [0.1, 0.9]]
    curve = metrics.calibration_curve([0, 1, 0, 1], probabilities, bins=2)
    assert curve.edges.tolist() == [0, 0.5, 1]
    assert curve.counts.tolist() == [1, 3]  # one half belongs to the lower bin
    np.testing.assert_allclose(curve.confidence, [0.5, 2.65 / 3], atol=1e-15)
    np.testing.assert_allclose(curve.accuracy, [1, 2 / 3], atol=1e-15)
    assert curve.ece == pytest.approx(1 / 4 * 0.5 + 3 / 4 * 0.65 / 3, abs=1e-15)
    assert curve.mce == 0.5


def test_of_a_single_probability_the_share_of_ones_counts():
    curve = metrics.calibration_curve([1, 0, 0, 1], [[0.1], [0.1], [0.0], [1.0]], bins=10)
    assert curve.counts.tolist() == [3, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    np.testing.assert_allclose(curve.accuracy[[0, 9]], [1 / 3, 1])
    assert np.isnan(curve.confidence[1:9]).all() and np.isnan(curve.accuracy[1:9]).all()
    assert curve.ece == pytest.approx(3 / 4 * (1 / 3 - 0.2 / 3), abs=1e-15)


def test_probabilities_that_are_kept_are_calibrated():
    p = RNG.uniform(size=100_000)
    curve = metrics.calibration_curve(RNG.uniform(size=len(p)) < p, p)
    # a bin's gap has a deviation of at most 1/2 / sqrt(6667), the mean of its absolute value 0.8 of that
    assert 0 < curve.ece < 2 * 0.8 * 0.5 / np.sqrt(len(p) / 15)


def test_class_scores_are_quotients_and_nan_where_there_is_nothing():
    scores = metrics.class_scores([[8, 2, 0, 0], [4, 6, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(scores.precision, [8 / 13, 6 / 8, np.nan, np.nan])
    np.testing.assert_allclose(scores.recall, [0.8, 0.6, 0, np.nan])
    np.testing.assert_allclose(scores.f1, [16 / 23, 12 / 18, 0, np.nan])
    assert scores.support.tolist() == [10, 10, 1, 0]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.roc_curve([0, 1, 2], [1, 2, 3]), "y_true must be 0 or 1, has values from 0 to 2"),
        (lambda: metrics.roc_curve([0, 1], [1, 2, 3]), "y_true has 2 samples, y_score 3"),
        (lambda: metrics.roc_curve([0, 1], [1, np.nan]), "y_score must be finite"),
        (lambda: metrics.roc_curve([1, 1], [1, 2]), "no negatives"),
        (lambda: metrics.roc_curve([0, 0], [1, 2]), "no positives"),
        (lambda: metrics.roc_curve([0, 1], [[1, 2], [3, 4]]), r"y_score must be \(N,\) or \(N, 1\), came \(2, 2\)"),
        (lambda: metrics.precision_recall_curve([0, 0], [1, 2]), "precision_recall_curve: y_true has no positives"),
        (lambda: metrics.calibration_curve([0, 1], [0.5, 1.5]), "from 0 to 1, has values from 0.5 to 1.5"),
        (lambda: metrics.calibration_curve([0, 1], [0.5, np.nan]), "from 0 to 1"),
        (lambda: metrics.calibration_curve([0, 2], [0.5, 0.5]), "classes from 0 to 1, has 2"),
        (lambda: metrics.calibration_curve([0, 1], [0.5]), r"2 samples need y_pred \(N,\) or \(N, C\), came \(1,\)"),
        (lambda: metrics.calibration_curve([0, 1], [0.5, 0.5], bins=0), "bins must be a whole number from 1, came 0"),
        (lambda: metrics.class_scores([[1, 2]]), r"square matrix, came \(1, 2\)"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
