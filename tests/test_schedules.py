"""Schedules: formulas, files, and bad arguments."""

from __future__ import annotations

import json
import math

import pytest

from cnnfast import schedules
from cnnfast.optimizers import SGD


def test_constant_and_step_decay():
    assert [schedules.Constant(0.3)(s) for s in (0, 10**6)] == [0.3, 0.3]
    rate = schedules.StepDecay(0.1, 30, factor=0.5)
    assert [rate(s) for s in (0, 29, 30, 59, 60)] == [0.1, 0.1, 0.05, 0.05, 0.025]


def test_exponential_and_inverse_time_decay():
    assert schedules.ExponentialDecay(0.1, 100, 0.5)(50) == pytest.approx(0.1 * math.sqrt(0.5), rel=1e-15)
    assert schedules.ExponentialDecay(0.1, 100, 0.5, staircase=True)(199) == 0.05
    assert schedules.InverseTimeDecay(0.1, 10, 0.5)(20) == 0.05
    assert schedules.InverseTimeDecay(0.1, 10, 0.5, staircase=True)(19) == pytest.approx(0.1 / 1.5, rel=1e-15)


def test_piecewise_constant_changes_after_its_boundaries():
    rate = schedules.PiecewiseConstantDecay([10, 20], [3.0, 2.0, 1.0])
    assert [rate(s) for s in (0, 10, 11, 20, 21)] == [3.0, 3.0, 2.0, 2.0, 1.0]


def test_polynomial_decay_stays_or_cycles():
    rate = schedules.PolynomialDecay(1.0, 10, 0.2, power=2.0)
    assert rate(5) == pytest.approx(0.8 * 0.25 + 0.2) and rate(10) == rate(100) == 0.2
    assert schedules.PolynomialDecay(1.0, 10, 0.0, cycle=True)(15) == pytest.approx(1 - 15 / 20)


def test_cosine_decay_warms_up_in_a_line_then_falls():
    rate = schedules.CosineDecay(0.01, 100, alpha=0.1, warmup_target=0.11, warmup_steps=10)
    assert [rate(s) for s in (0, 5, 10)] == pytest.approx([0.01, 0.06, 0.11])
    assert rate(60) == pytest.approx(0.11 * (0.9 * 0.5 + 0.1))
    assert rate(110) == rate(1000) == pytest.approx(0.011)


def test_cosine_decay_restarts_begin_again_lower_and_longer():
    rate = schedules.CosineDecayRestarts(1.0, 10, t_mul=2.0, m_mul=0.5)
    assert [rate(s) for s in (0, 10, 30)] == pytest.approx([1.0, 0.5, 0.25])
    assert rate(5) == pytest.approx(0.5) and rate(20) == pytest.approx(0.25)


def test_one_cycle_rises_then_falls_far_below_its_start():
    rate = schedules.OneCycle(1.0, 100, pct_start=0.25, div_factor=10, final_div_factor=100)
    values = [rate(s) for s in range(100)]
    assert values[0] == pytest.approx(0.1) and values[25] == max(values) == 1.0
    assert values[:26] == sorted(values[:26]) and values[25:] == sorted(values[25:], reverse=True)
    assert values[-1] == pytest.approx(0.001) and rate(500) == values[-1]


ALL = [
    schedules.Constant(0.1),
    schedules.StepDecay(0.1, 30),
    schedules.ExponentialDecay(0.1, 30, 0.5, staircase=True),
    schedules.InverseTimeDecay(0.1, 30, 0.5),
    schedules.PiecewiseConstantDecay([1, 2], [0.3, 0.2, 0.1]),
    schedules.PolynomialDecay(0.1, 30, cycle=True),
    schedules.CosineDecay(0.0, 30, warmup_target=0.1, warmup_steps=5),
    schedules.CosineDecayRestarts(0.1, 30),
    schedules.OneCycle(0.1, 30),
]


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: type(s).__name__)
def test_schedules_survive_a_file(schedule):
    description = json.loads(json.dumps(schedules.serialize(schedule)))
    again = schedules.get(description)
    assert again == schedule
    assert [again(s) for s in range(100)] == [schedule(s) for s in range(100)]
    assert all(isinstance(schedule(s), float) for s in range(3))
    optimizer = SGD(schedule)
    optimizer.iterations = 17
    assert optimizer.learning_rate == schedule(17)


def test_only_registered_schedules_come_out_of_a_file():
    with pytest.raises(ValueError, match=r"unknown schedule 'os\.system'"):
        schedules.get({"class_name": "os.system", "config": {"command": "true"}})
    with pytest.raises(ValueError, match=r"StepDecay.*steps"):
        schedules.get({"class_name": "StepDecay", "config": {"steps": 3}})
    with pytest.raises(ValueError, match="not registered"):
        schedules.serialize(lambda step: 0.1)
    with pytest.raises(TypeError, match="expected a LearningRateSchedule, got 3"):
        schedules.get(3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: schedules.StepDecay(-0.1, 3), "initial_learning_rate must be at least 0, got -0.1"),
        (lambda: schedules.StepDecay(0.1, 0), "decay_steps must be greater than 0, got 0"),
        (lambda: schedules.ExponentialDecay(float("nan"), 1, 1), "must be finite, got nan"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1]), "got 1 and 2"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [0.1] * 3), "must rise"),
        (lambda: schedules.OneCycle(0.1, 10, pct_start=1.0), "pct_start must lie between 0 and 1, got 1.0"),
        (lambda: schedules.CosineDecayRestarts(0.1, 10, t_mul=0.5), "t_mul must be at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
