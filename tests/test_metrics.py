"""Metrics: known values, agreement of streams with wholes, refusal of bad input, and equality with Keras."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnfast import metrics

RNG = np.random.default_rng(7)
N, C = 57, 6
LABELS = RNG.integers(0, C, N)
ONE_HOT = np.eye(C, dtype=np.float32)[LABELS]
LOGITS = RNG.normal(size=(N, C)).astype(np.float32)
PROBABILITIES = (np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)).astype(np.float32)
YES_NO = RNG.integers(0, 2, (N, 1)).astype(np.float32)
SIGMOIDS = RNG.random((N, 1)).astype(np.float32)
MULTI = RNG.integers(0, 2, (N, C)).astype(np.float32)
SCORES = RNG.random((N, C)).astype(np.float32)
WEIGHTS = RNG.random(N).astype(np.float32)
VALUES = RNG.normal(size=(N, 3)).astype(np.float32)
OTHERS = RNG.normal(size=(N, 3)).astype(np.float32)

# class name, constructor arguments, y_true, y_pred
CASES = [
    ("Accuracy", {}, LABELS, RNG.integers(0, C, N)),
    ("BinaryAccuracy", {}, YES_NO, SIGMOIDS),
    ("BinaryAccuracy", {"threshold": 0.3}, YES_NO[:, 0], SIGMOIDS),
    ("BinaryAccuracy", {}, MULTI, SCORES),
    ("CategoricalAccuracy", {}, ONE_HOT, PROBABILITIES),
    ("SparseCategoricalAccuracy", {}, LABELS, PROBABILITIES),
    ("SparseCategoricalAccuracy", {}, LABELS[:, None], LOGITS),
    ("TopKCategoricalAccuracy", {"k": 3}, ONE_HOT, PROBABILITIES),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, LABELS, PROBABILITIES),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, LABELS, np.argsort(-LOGITS, 1)),
    ("Precision", {}, YES_NO, SIGMOIDS),
    ("Precision", {"thresholds": [0.7, 0.2]}, YES_NO[:, 0], SIGMOIDS[:, 0]),
    ("Precision", {"top_k": 2}, MULTI, SCORES),
    ("Precision", {"class_id": 3, "thresholds": 0.4}, MULTI, SCORES),
    ("Recall", {}, YES_NO, SIGMOIDS),
    ("Recall", {"top_k": 3, "class_id": 1}, MULTI, SCORES),
    ("Recall", {"thresholds": [0.0, 0.5, 1.0]}, MULTI, SCORES),
    ("TruePositives", {}, YES_NO, SIGMOIDS),
    ("TrueNegatives", {"thresholds": 0.25}, YES_NO, SIGMOIDS),
    ("FalsePositives", {"thresholds": [0.1, 0.9]}, YES_NO, SIGMOIDS),
    ("FalseNegatives", {}, YES_NO, SIGMOIDS),
    ("AUC", {}, YES_NO, SIGMOIDS),
    ("AUC", {"curve": "PR"}, YES_NO, SIGMOIDS),
    ("AUC", {"curve": "PR", "summation_method": "majoring", "num_thresholds": 50}, YES_NO, SIGMOIDS),
    ("AUC", {"summation_method": "minoring"}, YES_NO, SIGMOIDS),
    ("AUC", {"thresholds": [0.3, 0.35, 0.8]}, YES_NO, SIGMOIDS),
    ("AUC", {"from_logits": True}, YES_NO, LOGITS[:, :1]),
    ("AUC", {"multi_label": True, "label_weights": [1, 2, 0, 1, 1, 3]}, MULTI, SCORES),
    ("AUC", {"multi_label": True, "curve": "PR"}, MULTI, SCORES),
    ("AUC", {"label_weights": [1, 2, 0, 1, 1, 3]}, MULTI, SCORES),
    ("MeanSquaredError", {}, VALUES, OTHERS),
    ("RootMeanSquaredError", {}, VALUES, OTHERS),
    ("MeanAbsoluteError", {}, VALUES, OTHERS),
    ("BinaryCrossentropy", {}, MULTI, SCORES),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, MULTI, LOGITS),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ONE_HOT, PROBABILITIES),
    ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT, LOGITS),
    ("SparseCategoricalCrossentropy", {}, LABELS, PROBABILITIES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, LABELS[:, None], LOGITS),
]
IDS = [f"{name}-{index}" for index, (name, *_) in enumerate(CASES)]
# float64 sums in another order: N C = 342 terms of rounding 2^-53 each
STREAM_TOLERANCE = 2 * N * C * 2.0**-53


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name, arguments, y_true, y_pred", CASES, ids=IDS)
def test_batches_give_what_the_whole_gives(name, arguments, y_true, y_pred, weights):
    whole, stream = (getattr(metrics, name)(**arguments) for _ in range(2))
    whole.update_state(y_true, y_pred, weights)
    for part in np.array_split(np.arange(N), [1, 20, 21, 50]):
        stream.update_state(y_true[part], y_pred[part], None if weights is None else weights[part])
    np.testing.assert_allclose(stream.result(), whole.result(), rtol=STREAM_TOLERANCE)
    assert np.any(whole.result() != 0)


@pytest.mark.parametrize("name, arguments, y_true, y_pred", CASES, ids=IDS)
def test_weight_two_counts_as_seeing_the_sample_twice(name, arguments, y_true, y_pred):
    weighted, repeated = (getattr(metrics, name)(**arguments) for _ in range(2))
    weighted.update_state(y_true, y_pred, np.where(np.arange(N) < 10, 2, 1))
    repeated.update_state(y_true, y_pred)
    repeated.update_state(y_true[:10], y_pred[:10])
    np.testing.assert_allclose(weighted.result(), repeated.result(), rtol=STREAM_TOLERANCE)


@pytest.mark.parametrize("name, arguments, y_true, y_pred", CASES, ids=IDS)
def test_config_survives_json_and_gives_the_same_metric(name, arguments, y_true, y_pred):
    metric = getattr(metrics, name)(**arguments, name="mine")
    again = metrics.deserialize(json.loads(json.dumps(metrics.serialize(metric))))
    assert type(again) is type(metric) and again.name == "mine"
    np.testing.assert_array_equal(again(y_true, y_pred), metric(y_true, y_pred))


@pytest.mark.parametrize("name, arguments, y_true, y_pred", CASES, ids=IDS)
def test_reset_forgets_everything(name, arguments, y_true, y_pred):
    metric = getattr(metrics, name)(**arguments)
    fresh = metric.result()
    first = metric(y_true, y_pred, WEIGHTS)
    metric.reset_state()
    np.testing.assert_array_equal(metric.result(), fresh)
    np.testing.assert_array_equal(metric(y_true, y_pred, WEIGHTS), first)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("weights", [None, WEIGHTS, WEIGHTS[:, None]], ids=["plain", "(N,)", "(N, 1)"])
@pytest.mark.parametrize("name, arguments, y_true, y_pred", CASES, ids=IDS)
def test_equals_keras(name, arguments, y_true, y_pred, weights):
    keras = pytest.importorskip("keras")
    ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
    for part in np.array_split(np.arange(N), 3):
        batch_weights = None if weights is None else weights[part]
        ours.update_state(y_true[part], y_pred[part], batch_weights)
        if y_pred.ndim == 1 and weights is not None:
            batch_weights = batch_weights.reshape(-1)  # Keras' detection metrics refuse (N, 1) beside (N,)
        theirs.update_state(y_true[part], y_pred[part], sample_weight=batch_weights)
    # Keras sums N C terms in float32
    np.testing.assert_allclose(ours.result(), np.asarray(theirs.result()), rtol=N * C * 2.0**-24, atol=1e-6)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", [(), (4,), (4, 1), (4, 3), (4, 3, 2), (4, 3, 1), (1, 3, 2)])
def test_weighted_mean_of_many_axes_equals_keras(shape):
    keras = pytest.importorskip("keras")
    values, weights = RNG.random((4, 3, 2)), RNG.random(shape)
    theirs = keras.metrics.Mean()
    theirs.update_state(values, sample_weight=weights)
    np.testing.assert_allclose(metrics.Mean()(values, weights), float(theirs.result()), rtol=24 * 2.0**-24)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_dense_predictions_equal_keras():
    keras = pytest.importorskip("keras")
    y_true, y_pred = RNG.integers(0, 4, (5, 3, 2)), RNG.random((5, 3, 2, 4)).astype(np.float32)
    for labels in (y_true, y_true[..., None]):
        for weights in (None, RNG.random(5), RNG.random((5, 3, 2))):
            theirs = keras.metrics.SparseCategoricalAccuracy()
            theirs.update_state(labels, y_pred, sample_weight=weights)
            ours = metrics.SparseCategoricalAccuracy()(labels, y_pred, weights)
            np.testing.assert_allclose(ours, float(theirs.result()), rtol=30 * 2.0**-24)


def test_one_number_per_sample_needs_no_last_axis():
    flat, column = metrics.MeanSquaredError(), metrics.MeanSquaredError()
    flat.update_state([0.0, 1.0, 4.0], [1.0, 1.0, 1.0], [1, 1, 2])
    column.update_state([[0.0], [1.0], [4.0]], [[1.0], [1.0], [1.0]], [1, 1, 2])
    assert flat.result() == column.result() == (1 + 0 + 2 * 9) / 4


def test_roc_area_of_untied_scores_is_the_share_of_ordered_pairs():
    scores = RNG.permutation(200) / 199.0  # one score between every two thresholds: the curve is exact
    labels = RNG.integers(0, 2, 200)
    pairs = scores[labels == 1][:, None] > scores[labels == 0]
    assert metrics.AUC(num_thresholds=2001)(labels, scores) == pytest.approx(pairs.mean(), abs=1e-12)


def test_ties_at_the_kth_place_count_as_hits_and_nan_does_not():
    scores = [[0.2, 0.4, 0.4], [np.nan, 0.1, 0.2]]
    assert metrics.sparse_top_k_categorical_accuracy([2, 0], scores, k=1).tolist() == [1, 0]


def test_predictions_that_are_not_numbers_are_never_positive():
    assert metrics.Recall()([1, 1], [np.nan, 0.9]) == 0.5


def test_threshold_of_the_same_float32_value_is_not_exceeded():
    assert metrics.BinaryAccuracy(threshold=0.3)([0.0], np.float32([0.3])) == 1
    assert metrics.TruePositives(thresholds=0.3)([1], np.float32([0.3])) == 0


def test_confusion_matrix_has_true_classes_in_rows():
    matrix = metrics.confusion_matrix([0, 0, 1, 2], [1, 1, 1, 0], num_classes=4)
    expected = np.zeros((4, 4), int)
    expected[0, 1], expected[1, 1], expected[2, 0] = 2, 1, 1
    np.testing.assert_array_equal(matrix, expected)
    assert matrix.dtype == np.int64


@pytest.mark.parametrize("normalize, axis", [("true", 1), ("pred", 0), ("all", None)])
def test_normalized_confusion_matrix_sums_to_one_or_stays_zero(normalize, axis):
    matrix = metrics.confusion_matrix(LABELS, LOGITS, num_classes=C + 1, normalize=normalize)
    sums = np.atleast_1d(matrix.sum(axis))
    np.testing.assert_allclose(sums[: None if axis is None else C], 1, rtol=C * C * 2.0**-53)
    assert axis is None or sums[C] == 0


def test_confusion_matrix_takes_labels_scores_and_single_probabilities():
    expected = metrics.confusion_matrix(LABELS, LOGITS.argmax(1))
    np.testing.assert_array_equal(metrics.confusion_matrix(ONE_HOT, LOGITS), expected)
    np.testing.assert_array_equal(metrics.confusion_matrix(LABELS[:, None], LOGITS), expected)
    binary = metrics.confusion_matrix(YES_NO, SIGMOIDS)
    np.testing.assert_array_equal(binary, metrics.confusion_matrix(YES_NO, SIGMOIDS[:, 0] > 0.5))


def test_confusion_metric_grows_and_equals_the_function():
    metric = metrics.ConfusionMatrix()
    for label in range(C):
        metric.update_state(LABELS[label == LABELS], LOGITS[label == LABELS].argmax(1), WEIGHTS[label == LABELS])
    whole = metrics.confusion_matrix(LABELS, LOGITS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(metric.result(), whole, rtol=N * 2.0**-53)


@pytest.mark.parametrize(
    "y_true_shape, y_pred_shape, loss, expected",
    [
        ((8,), (8,), None, metrics.BinaryAccuracy),
        ((8,), (8, 1), None, metrics.BinaryAccuracy),
        ((8, 1), (8, 1), None, metrics.BinaryAccuracy),
        ((8,), (8, 5), None, metrics.SparseCategoricalAccuracy),
        ((8, 1), (8, 5), None, metrics.SparseCategoricalAccuracy),
        ((8, 5), (8, 5), None, metrics.CategoricalAccuracy),
        ((8, 4, 4), (8, 4, 4, 3), None, metrics.SparseCategoricalAccuracy),
        ((8, 5), (8, 5), "sparse_categorical_crossentropy", metrics.CategoricalAccuracy),
        (None, (8, 5), "sparse_categorical_crossentropy", metrics.SparseCategoricalAccuracy),
        (None, (8, 5), "categorical_crossentropy", metrics.CategoricalAccuracy),
        (None, (8, 1), "binary_crossentropy", metrics.BinaryAccuracy),
    ],
)
def test_accuracy_means_what_the_shapes_need(y_true_shape, y_pred_shape, loss, expected):
    assert metrics.resolve_accuracy(y_true_shape, y_pred_shape, loss) is expected
    metric = metrics.get("acc", y_true_shape, y_pred_shape, loss)
    assert type(metric) is expected and metric.name == "acc"


@pytest.mark.parametrize(
    "identifier, cls",
    [
        ("accuracy", metrics.Accuracy),
        ("mse", metrics.MeanSquaredError),
        ("MAE", metrics.MeanAbsoluteError),
        ("AUC", metrics.AUC),
        ("auc", metrics.AUC),
        ("top_k_categorical_accuracy", metrics.TopKCategoricalAccuracy),
        ("sparse_categorical_crossentropy", metrics.SparseCategoricalCrossentropy),
        (metrics.Precision, metrics.Precision),
        (metrics.mean_absolute_error, metrics.MeanMetricWrapper),
        ({"class_name": "Recall", "config": {"top_k": 2}}, metrics.Recall),
    ],
)
def test_get_finds_metrics_by_what_people_write(identifier, cls):
    metric = metrics.get(identifier)
    assert type(metric) is cls
    if isinstance(identifier, str):
        assert metric.name == identifier


def test_names_are_keras_names():
    names = {cls().name for cls in (metrics.AUC, metrics.Precision, metrics.TruePositives, metrics.Mean)}
    assert names == {"auc", "precision", "true_positives", "mean"}
    assert metrics.SparseTopKCategoricalAccuracy().name == "sparse_top_k_categorical_accuracy"


BAD = [
    ("SparseCategoricalAccuracy", [0, 3], np.zeros((2, 3)), "from 0 to 2, has values from 0 to 3"),
    ("SparseCategoricalAccuracy", [0, -1], np.zeros((2, 3)), "has values from -1 to 0"),
    ("SparseCategoricalAccuracy", [0.5, 1], np.zeros((2, 3)), "whole class numbers, has 0.5"),
    ("SparseCategoricalAccuracy", [0, 1, 1], np.zeros((2, 3)), r"\(2,\), came \(3,\)"),
    ("SparseCategoricalAccuracy", [], np.zeros((0, 3)), "empty"),
    ("SparseTopKCategoricalAccuracy", [9], np.zeros((1, 3)), "from 0 to 2"),
    ("CategoricalAccuracy", [0, 1], np.zeros((2, 3)), "sparse_categorical_accuracy"),
    ("BinaryAccuracy", np.zeros((2, 1)), np.zeros((2, 3)), r"\(2, 1\) and \(2, 3\)"),
    ("MeanSquaredError", np.zeros(2), np.zeros(3), r"\(2,\) and \(3,\)"),
    ("Precision", [0, 2], [0.5, 0.5], "0 or 1, has values from 0 to 2"),
    ("AUC", [0, 1], [0.5, 1.5], "probabilities in .* from_logits"),
    ("ConfusionMatrix", [0, 1], [0, -2], "from -2 to 0"),
    ("ConfusionMatrix", [0, 1], [0], "2 samples, y_pred 1"),
]


@pytest.mark.parametrize("name, y_true, y_pred, message", BAD)
def test_bad_batches_are_refused_and_change_nothing(name, y_true, y_pred, message):
    metric = getattr(metrics, name)()
    before = metric.result()
    with pytest.raises(ValueError, match=message):
        metric.update_state(y_true, y_pred)
    np.testing.assert_array_equal(metric.result(), before)


def test_weights_that_do_not_fit_are_refused_and_change_nothing():
    for name in ("MeanSquaredError", "Precision", "AUC"):
        metric = getattr(metrics, name)()
        with pytest.raises(ValueError, match=r"sample_weight \(5,.*\) does not fit"):
            metric.update_state(np.zeros((4, 2)), np.zeros((4, 2)), np.ones(5))
        assert metric.result() == 0


def test_text_is_no_prediction():
    with pytest.raises(TypeError, match="y_pred must be numbers"):
        metrics.BinaryAccuracy()([0], ["cat"])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: metrics.Precision(thresholds=1.5), r"in \[0, 1\], came 1.5"),
        (lambda: metrics.Recall(top_k=0), "top_k must be at least 1"),
        (lambda: metrics.TopKCategoricalAccuracy(k=0), "at least 1, came 0"),
        (lambda: metrics.AUC(curve="DET"), "'ROC' or 'PR', came 'DET'"),
        (lambda: metrics.AUC(num_thresholds=1), "in 2 to 1000000, came 1"),
        (lambda: metrics.AUC(num_labels=3), "needs multi_label"),
        (lambda: metrics.AUC(label_weights=[0, 0]), "nor all 0"),
        (lambda: metrics.ConfusionMatrix(normalize="rows"), "'true', 'pred' or 'all', came 'rows'"),
        (lambda: metrics.AUC(num_thresholds=10**12), "in 2 to 1000000"),
        (lambda: metrics.ConfusionMatrix(num_classes=10**9), "in 1 to 10000, came 1000000000"),
        (lambda: metrics.confusion_matrix([0], [10**15]), "in 1 to 10000"),
        (lambda: metrics.BinaryCrossentropy(label_smoothing=1.5), "0 to 1, came 1.5"),
        (lambda: metrics.deserialize({"class_name": "AUC", "config": {"name": {}}}), "must be text"),
        (lambda: metrics.Mean(dtype="int32"), "floating type"),
        (lambda: metrics.get("accurracy"), "unknown metric 'accurracy'"),
        (lambda: metrics.deserialize({"class_name": "os.system", "config": {}}), "unknown metric"),
        (lambda: metrics.deserialize({"class_name": "AUC", "config": {"sort": 1}}), "bad config for AUC"),
        (lambda: metrics.deserialize({"class_name": "AUC"}), "expected class_name and config"),
        (lambda: metrics.MeanMetricWrapper(metrics.accuracy).get_config(), "cannot be saved"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_multi_label_area_refuses_another_number_of_labels():
    metric = metrics.AUC(multi_label=True)
    before = metric(MULTI, SCORES)
    with pytest.raises(ValueError, match=rf"\(N, {C}\), came \({N}, 2\)"):
        metric.update_state(MULTI[:, :2], SCORES[:, :2])
    assert metric.result() == before
