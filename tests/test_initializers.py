"""Initializers: distributions, fans, seeds, names and descriptions."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cnnfast import initializers, random

SHAPE = (3, 3, 40, 60)  # 21,600 numbers: a sample mean lies within 5 / sqrt(21600) = 3.4 % of a deviation
COUNT = math.prod(SHAPE)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((20, 30), (20, 30)),
        ((3, 5, 16, 32), (15 * 16, 15 * 32)),
        ((3, 3, 16, 2), (9 * 16, 9 * 2)),  # depthwise
        ((1, 1, 8, 4), (8, 4)),
    ],
)
def test_fans_count_inputs_and_outputs_of_the_window(shape, fans):
    assert initializers.compute_fans(shape) == fans


FAN_IN, FAN_OUT = 9 * 40, 9 * 60
VARIANCES = [
    ("glorot_uniform", 2 / (FAN_IN + FAN_OUT), "uniform"),
    ("glorot_normal", 2 / (FAN_IN + FAN_OUT), "normal"),
    ("he_uniform", 2 / FAN_IN, "uniform"),
    ("he_normal", 2 / FAN_IN, "normal"),
    ("lecun_uniform", 1 / FAN_IN, "uniform"),
    ("lecun_normal", 1 / FAN_IN, "normal"),
    ({"class_name": "VarianceScaling", "config": {"scale": 3.0, "mode": "fan_out"}}, 3 / FAN_OUT, "normal"),
    ("random_normal", 0.05**2, "untruncated"),
    ("random_uniform", 0.1**2 / 12, "uniform"),
]


@pytest.mark.parametrize(("initializer", "variance", "kind"), VARIANCES)
def test_scaled_initializers_have_the_variance_of_their_paper(initializer, variance, kind):
    random.set_seed(7)
    x = initializers.get(initializer)(SHAPE)
    assert x.dtype == np.float32 and x.shape == SHAPE
    assert abs(x.mean()) < 5 * math.sqrt(variance / COUNT)
    # The variance of a sample variance is at most (kurtosis - 1) sigma^4 / n, kurtosis 3 for the normal.
    assert abs(x.var() / variance - 1) < 5 * math.sqrt(2 / COUNT)
    limit = {"uniform": math.sqrt(3), "normal": 2 / 0.8796256610342398, "untruncated": math.inf}[kind]
    assert np.abs(x).max() <= limit * math.sqrt(variance) * (1 + 1e-6)
    if kind != "untruncated":
        assert np.abs(x).max() > 0.97 * limit * math.sqrt(variance)


def test_truncated_normal_stays_within_two_deviations():
    x = initializers.TruncatedNormal(mean=1.0, stddev=0.5, seed=3)(SHAPE)
    assert x.min() >= 0 and x.max() <= 2
    assert abs(x.std() / (0.5 * 0.8796256610342398) - 1) < 5 * math.sqrt(1 / COUNT)


@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (3, 3, 4, 8), (1, 1, 8, 64)])
def test_orthogonal_gives_orthonormal_columns_or_rows(shape):
    x = initializers.Orthogonal(gain=2.0, seed=1)(shape).reshape(-1, shape[-1]).astype(float)
    gram = x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T
    assert np.allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_constants_fill():
    assert initializers.get("zeros")((2, 3)).tolist() == [[0] * 3] * 2
    assert initializers.get("one")((2,)).tolist() == [1, 1]
    assert initializers.Constant(0.25)((2, 2)).tolist() == [[0.25] * 2] * 2
    assert initializers.Constant([1, 2])((3, 2)).tolist() == [[1, 2]] * 3


def test_a_seed_gives_the_same_values_at_each_call_and_none_does_not():
    for name in (
        "GlorotUniform",
        "HeNormal",
        "RandomNormal",
        "RandomUniform",
        "TruncatedNormal",
        "Orthogonal",
    ):
        cls = getattr(initializers, name)
        seeded, free = cls(seed=5), cls()
        assert np.array_equal(seeded((4, 5)), seeded((4, 5)))
        assert np.array_equal(seeded((4, 5)), cls(seed=5)((4, 5)))
        assert not np.array_equal(seeded((4, 5)), cls(seed=6)((4, 5)))
        assert not np.array_equal(free((4, 5)), free((4, 5)))


def test_unseeded_initializers_follow_the_process_wide_seed():
    random.set_seed(11)
    first = initializers.get("glorot_uniform")((4, 5))
    random.set_seed(11)
    assert np.array_equal(first, initializers.get("glorot_uniform")((4, 5)))


@pytest.mark.parametrize(
    "name",
    [
        "zeros",
        "ones",
        "constant",
        "random_normal",
        "random_uniform",
        "truncated_normal",
        "variance_scaling",
        "orthogonal",
        "glorot_uniform",
        "glorot_normal",
        "he_uniform",
        "he_normal",
        "lecun_uniform",
        "lecun_normal",
        "zero",
        "one",
        "normal",
        "uniform",
        "HeNormal",
        "Zeros",
    ],
)
def test_every_name_gives_an_initializer_that_json_can_hold(name):
    made = initializers.get(name)
    description = json.loads(json.dumps(initializers.serialize(made)))
    again = initializers.get(description)
    assert type(again) is type(made) and again == made
    assert initializers.get(made) is made


def test_a_function_is_an_initializer_and_its_result_is_checked():
    assert initializers.get(lambda shape: np.full(shape, 2))((2,)).tolist() == [2, 2]
    with pytest.raises(ValueError, match=r"expected to give numbers of shape \(2,\), got float64 of shape \(3,\)"):
        initializers.get(lambda shape: np.zeros(3))((2,))
    with pytest.raises(ValueError, match="not registered"):
        initializers.serialize(initializers.get(lambda shape: np.zeros(shape)))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: initializers.get("nonsense"), ValueError, "unknown initializer 'nonsense'"),
        (lambda: initializers.get(3), TypeError, "got 3"),
        (lambda: initializers.get({"class_name": "os.system", "config": {}}), ValueError, "os.system"),
        (lambda: initializers.get({"class_name": "HeNormal", "config": {"sed": 1}}), ValueError, "sed"),
        (lambda: initializers.get({"class_name": "HeNormal", "config": [1]}), ValueError, r"\[1\]"),
        (lambda: initializers.HeNormal(seed=-1), ValueError, "-1"),
        (lambda: initializers.HeNormal(seed=1.5), TypeError, "1.5"),
        (lambda: initializers.VarianceScaling(scale=0.0), ValueError, "scale must be above 0, got 0.0"),
        (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "'fan'"),
        (lambda: initializers.VarianceScaling(distribution="cauchy"), ValueError, "'cauchy'"),
        (lambda: initializers.Constant([1, 2, 3])((2,)), ValueError, r"\(3,\) does not fit \(2,\)"),
        (lambda: initializers.Constant("a"), TypeError, "'a'"),
        (lambda: initializers.Orthogonal()((3,)), ValueError, "at least 2 dimensions"),
    ],
)
def test_bad_initializers_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_registered_initializers_come_back_by_name():
    @initializers.register
    class EyeForTest(initializers.Initializer):
        def __init__(self, gain=1.0):
            self.gain = gain

        def __call__(self, shape, dtype=None):
            return self.gain * np.eye(*shape, dtype=np.float32)

    made = initializers.get("eye_for_test")
    assert initializers.serialize(made) == {"class_name": "EyeForTest", "config": {"gain": 1.0}}
    assert np.array_equal(made((2, 2)), np.eye(2))
