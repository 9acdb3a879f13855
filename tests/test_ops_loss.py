"""Losses and their gradients against the float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec
from tests.gradcheck import numeric_gradient
from tests.oracle import loss as oracle

SHAPES = [(1, 1), (1, 2), (4, 3), (33, 10), (7, 17), (2, 5, 6, 8), (5, 1000), (3, 5000), (5000, 1), (600, 10)]
SPARSE = ["sparse_softmax_crossentropy", "sparse_categorical_crossentropy"]
SMOOTHED = [
    "softmax_crossentropy",
    "categorical_crossentropy",
    "binary_crossentropy",
    "binary_crossentropy_with_logits",
    "binary_focal_crossentropy",
    "categorical_focal_crossentropy",
]
POINTWISE = [
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "hinge",
    "squared_hinge",
    "categorical_hinge",
    "poisson",
    "kl_divergence",
]
ALL = [*SPARSE, *SMOOTHED, *POINTWISE]
PROBABILITIES = ["binary_crossentropy", "mean_squared_logarithmic_error", "poisson", "kl_divergence"]


def _case(rng, name, shape, weighted):
    """Predictions, targets as the op takes them and as the oracle does, weights."""
    x = 3 * rng.standard_normal(shape).astype(np.float32)
    if name in PROBABILITIES or "focal" in name or name.endswith("categorical_crossentropy"):
        x = (1 / (1 + np.exp(-x))).astype(np.float32)
    weight = rng.random(shape[:-1]).astype(np.float32) if weighted else None
    if "hinge" in name and "categorical" not in name:
        signs = rng.choice([-1.0, 1.0], shape).astype(np.float32)
        return x, signs, signs, weight
    if name in SPARSE or "categorical" in name or "softmax" in name:
        labels = rng.integers(0, shape[-1], shape[:-1])
        dense = oracle.one_hot(labels, shape[-1])
        return x, labels if name in SPARSE else dense, dense, weight
    t = rng.random(shape).astype(np.float32)
    return x, t, t, weight


def _oracle(name):
    return getattr(oracle, name.removeprefix("sparse_"))


def _assert_close(got, exact):
    """float32 rounding of each term, whose size the largest gradient shows; the sum itself is in double."""
    loss, dx = got
    assert loss.shape == ()
    assert abs(float(loss) - exact[0]) <= 1e-5 * max(abs(exact[0]), 1e-2)
    assert dx.shape == exact[1].shape
    assert np.max(np.abs(dx - exact[1])) <= 4e-6 * np.max(np.abs(exact[1])) + 1e-12


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_agree_with_the_oracle_on_every_isa(rng, isa, name, shape, weighted):
    x, target, dense, weight = _case(rng, name, shape, weighted)
    _assert_close(getattr(ops, name)(x, target, weight), _oracle(name)(x, dense, weight))


@pytest.mark.parametrize("name", SMOOTHED)
@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_smoothed_losses_agree_with_the_oracle_on_every_isa(rng, isa, name, smoothing):
    x, target, dense, weight = _case(rng, name, (13, 11), True)
    got = getattr(ops, name)(x, target, weight, label_smoothing=smoothing)
    _assert_close(got, _oracle(name)(x, dense, weight, smoothing=smoothing))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("huber", {"delta": 0.3}),
        ("huber", {"delta": 0.0}),
        ("binary_focal_crossentropy", {"alpha": 0.3, "gamma": 0.5}),
        ("binary_focal_crossentropy", {"alpha": None, "gamma": 0.0}),
        ("categorical_focal_crossentropy", {"alpha": 0.7, "gamma": 1.0}),
    ],
)
def test_losses_with_options_agree_with_the_oracle_on_every_isa(rng, isa, name, options):
    x, target, dense, weight = _case(rng, name, (13, 11), True)
    _assert_close(getattr(ops, name)(x, target, weight, **options), _oracle(name)(x, dense, weight, **options))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_gradients_agree_with_central_differences(rng, name, weighted):
    x, target, dense, weight = _case(rng, name, (3, 2, 4), weighted)
    exact = numeric_gradient(lambda v: float(_oracle(name)(v, dense, weight)[0]), x, 1e-6)
    assert np.allclose(getattr(ops, name)(x, target, weight)[1], exact, atol=1e-6)


def test_crossentropies_take_targets_that_are_no_distribution(rng, isa):
    x, t = rng.standard_normal((5, 9)).astype(np.float32), 3 * rng.random((5, 9))
    _assert_close(ops.softmax_crossentropy(x, t), oracle.softmax_crossentropy(x, t))
    p = np.exp(x)
    _assert_close(ops.categorical_crossentropy(p, t), oracle.categorical_crossentropy(p, t))


def test_probabilities_of_zero_and_one_are_clipped_and_get_no_gradient(isa):
    x, t = np.array([[0.0, 1.0, 0.0]], np.float32), np.array([[1.0, 0.0, 0.0]], np.float32)
    for loss, dx in (ops.categorical_crossentropy(x, t), ops.binary_crossentropy(x[:, :1], t[:, :1])):
        assert float(loss) == pytest.approx(-np.log(1e-7), rel=1e-6)
        assert np.array_equal(dx, np.zeros_like(dx))


def test_huge_logits_give_a_finite_loss(isa):
    x = np.array([[1e30, -1e30], [-1e4, 1e4]], np.float32)
    loss, dx = ops.sparse_softmax_crossentropy(x, [0, 0])
    assert float(loss) == pytest.approx(1e4)
    assert np.allclose(dx, [[0, 0], [-0.5, 0.5]])
    loss, dx = ops.binary_crossentropy_with_logits(x, np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert float(loss) == pytest.approx(2500)
    assert np.allclose(dx, [[0, 0], [0, 0.25]])


def test_confident_binary_loss_keeps_its_digits(isa):
    loss, _ = ops.binary_crossentropy_with_logits(np.array([[20.0]]), np.array([[1.0]]))
    assert float(loss) == pytest.approx(np.log1p(np.exp(-20.0)), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_nan_predictions_give_a_nan_loss(rng, isa, name):
    x, target, _, _ = _case(rng, name, (9, 11), False)
    x[4, 10] = np.nan
    assert np.isnan(getattr(ops, name)(x, target)[0])


@pytest.mark.parametrize("name", ALL)
def test_losses_give_the_same_bits_for_any_number_of_threads(rng, same_bits, name):
    x, target, _, weight = _case(rng, name, (3001, 13), True)
    same_bits(lambda: getattr(ops, name)(x, target, weight))
    same_bits(lambda: getattr(ops, name)(x, target))


def test_zero_weight_leaves_a_sample_out_however_bad_it_is(isa):
    x = np.array([[1.0, 2.0], [np.inf, np.nan]], np.float32)
    loss, _ = ops.sparse_softmax_crossentropy(x, [0, 0], np.array([1.0, 0.0]))
    assert float(loss) == pytest.approx(0.5 * np.log1p(np.e), rel=1e-6)


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1, -(2**31)])
def test_a_label_out_of_range_is_named(name, label):
    with pytest.raises(ValueError, match=rf"must lie in \[0, 2\], got {label}\b"):
        getattr(ops, name)(np.ones((2, 3)), [0, label])


def test_labels_must_be_integers_of_the_right_shape():
    with pytest.raises(TypeError, match="labels must hold integers, got dtype float64"):
        ops.sparse_softmax_crossentropy(np.ones((2, 3)), [0.0, 1.0])
    with pytest.raises(ValueError, match=r"expect shape \(2,\) for x \(2, 3\), got \(3,\)"):
        ops.sparse_softmax_crossentropy(np.ones((2, 3)), [0, 1, 2])


def test_losses_refuse_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"mean_squared_error: targets expect shape \(2, 3\).*got \(2, 4\)"):
        ops.mean_squared_error(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"sample_weight expects shape \(2,\), got \(3,\)"):
        ops.mean_squared_error(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(3))


def test_gradient_of_a_scaled_loss_is_scaled(rng):
    x, t = rng.standard_normal((2, 4, 3)).astype(np.float32)
    graph = Graph()
    value = graph.input(Spec(x.shape))
    loss, _ = ops.mean_squared_error(value, graph.constant(t))
    (dx,) = differentiate(graph, [(ops.scale(loss, 2.0), 0.5), (loss, 3.0)], [value])
    _, (got,) = Program(graph, [value], [dx]).run([x])
    assert np.allclose(got, 4 * ops.mean_squared_error(x, t)[1], rtol=1e-6)


def test_a_program_without_gradients_computes_none():
    graph = Graph()
    x = graph.input(Spec((4, 3)))
    loss, _ = ops.mean_squared_error(x, graph.constant(np.zeros((4, 3), np.float32)))
    program = Program(graph, [x], [loss])
    assert [len(n.outputs) for n in graph.nodes] == [1]
    assert float(program.run([np.full((4, 3), 2.0, np.float32)])[1][0]) == 4.0


def test_log_cosh_keeps_the_digits_of_small_errors(isa):
    loss, _ = ops.log_cosh(np.array([[1e-3]]), np.zeros((1, 1)))
    assert float(loss) == pytest.approx(5e-7, rel=1e-5)


def test_equal_largest_predictions_share_the_gradient_of_the_categorical_hinge(isa):
    _, dx = ops.categorical_hinge(np.full((1, 3), 2.0), np.array([[0.0, 1.0, 0.0]]))
    assert np.array_equal(dx, [[0.5, -1.0, 0.5]])


@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), (float("inf"), ValueError), ("1", TypeError)])
def test_options_that_mean_nothing_are_refused(value, error):
    x = np.full((2, 3), 0.3, np.float32)
    with pytest.raises(error, match=f"huber: delta must be a .*got {value!r}"):
        ops.huber(x, x, delta=value)
    with pytest.raises(TypeError, match=r"huber: expected the options \['delta'\], got \['gamma'\]"):
        ops.huber(x, x, gamma=2.0)


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, float("nan")])
def test_label_smoothing_outside_its_range_is_refused(smoothing):
    x = np.full((2, 3), 0.3, np.float32)
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 1\]"):
        ops.softmax_crossentropy(x, x, label_smoothing=smoothing)
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 1\]"):
        ops.binary_focal_crossentropy(x, x, label_smoothing=smoothing)
