"""Optimizers: each step against the float64 formulas, settings, state, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import optimizers
from cnnfast.graph import Graph
from cnnfast.graph.program import Program
from tests.optimizer_cases import CASES, Training, assert_close, case_id, numbers
from tests.oracle.optimizers import train


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_steps_agree_with_the_formulas_on_every_isa(rng, isa, case):
    name, options = case
    weights, gradients = numbers(rng)
    after = Training(getattr(optimizers, name)(**options), weights).run(gradients)
    assert_close(after, weights, train(name, weights, gradients, **options))


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_steps_give_the_same_bits_for_any_number_of_threads(rng, same_bits, case):
    name, options = case
    weights, gradients = [rng.standard_normal(50_001)], rng.standard_normal((2, 1, 50_001)).astype(np.float32)
    same_bits(lambda: Training(getattr(optimizers, name)(**options), weights).run(gradients))


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_a_schedule_sets_the_rate_of_each_step_without_a_new_program(rng, name):
    weights, gradients = numbers(rng)

    def schedule(step):
        return 0.1 / (1 + step)

    after = Training(getattr(optimizers, name)(learning_rate=schedule), weights).run(gradients)
    assert_close(after, weights, train(name, weights, gradients, learning_rate=schedule))


def test_an_assigned_learning_rate_holds_from_the_next_step_on(rng):
    w, g = np.zeros(3, np.float32), np.ones(3, np.float32)
    training = Training(optimizers.SGD(learning_rate=1.0), [w])
    training.step([g])
    training.optimizer.learning_rate = 0.25
    training.step([g])
    np.testing.assert_array_equal(training.variables[0].value, np.full(3, -1.25))


@pytest.mark.parametrize("how", ["var_names", "var_list"])
def test_excluded_weights_do_not_decay(rng, how):
    weights, gradients = numbers(rng)
    optimizer = optimizers.AdamW(learning_rate=0.01, weight_decay=0.5)
    if how == "var_names":
        optimizer.exclude_from_weight_decay(var_names=["w1"])
        training = Training(optimizer, weights)
    else:
        training = Training(optimizer, weights)
        optimizer.exclude_from_weight_decay(var_list=[training.variables[1]])
        graph = Graph(training=True)
        feeds = [graph.input(v.spec) for v in training.variables]
        optimizer.update_ops(graph, training.variables, feeds)
        training.program = Program(graph, feeds, [])
    exact = train("AdamW", weights, gradients, weight_decay=0.5, undecayed={1}, learning_rate=0.01)
    assert_close(training.run(gradients), weights, exact)


def test_a_small_decay_takes_its_true_share_of_the_weights():
    w = np.linspace(0.5, 1, 100_000, dtype=np.float32)
    training = Training(optimizers.SGD(learning_rate=1e-3, weight_decay=4e-3), [w])
    training.step([np.zeros_like(w)])
    lost = np.mean((w.astype(np.float64) - training.variables[0].value) / w)
    assert abs(lost / 4e-6 - 1) < 1e-3  # weights round up and down; a rounded factor would be 0.7 % off for all


def test_clipping_a_zero_gradient_by_norm_leaves_it_zero():
    training = Training(optimizers.SGD(learning_rate=1.0, clipnorm=0.5), [np.ones(4)])
    training.step([np.zeros(4, np.float32)])
    np.testing.assert_array_equal(training.variables[0].value, np.ones(4))


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_state_carried_to_another_optimizer_continues_bit_for_bit(rng, case):
    name, options = case
    weights, gradients = numbers(rng, 4)
    whole = Training(getattr(optimizers, name)(**options), weights).run(gradients)
    first = Training(getattr(optimizers, name)(**options), weights)
    middle = first.run(gradients[:2])
    second = Training(getattr(optimizers, name)(**options), middle)
    second.optimizer.set_slot_values([v.numpy() for v in first.optimizer.variables])
    second.optimizer.iterations = first.optimizer.iterations
    for a, b in zip(second.run(gradients[2:]), whole, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_description_gives_the_same_optimizer(case):
    optimizer = getattr(optimizers, case[0])(**case[1])
    description = optimizers.serialize(optimizer)
    again = optimizers.get(description)
    assert type(again) is type(optimizer)
    assert optimizers.serialize(again) == description
    assert all(description["config"][k] == v for k, v in case[1].items())


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "SGD", "Adam", "AdamW", "RMSprop"])
def test_optimizer_is_found_by_its_name_in_small_letters_and_in_its_own(name):
    assert type(optimizers.get(name)).__name__.lower() == name.lower()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"learning_rate": -1}, r"learning_rate must be a finite number of at least 0, got -1"),
        ("SGD", {"learning_rate": float("nan")}, r"learning_rate must be a finite number"),
        ("SGD", {"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0"),
        ("SGD", {"clipnorm": 1.0, "clipvalue": 1.0}, r"give at most one of .* got clipnorm and clipvalue"),
        ("SGD", {"clipvalue": 0.0}, r"clipvalue must be a positive number, got 0.0"),
        ("SGD", {"weight_decay": -0.1}, r"weight_decay must be at least 0, got -0.1"),
        ("Adam", {"beta_2": 1.0}, r"beta_2 must lie in \[0, 1\), got 1.0"),
        ("Adam", {"epsilon": 0.0}, r"epsilon must be a positive number, got 0.0"),
        ("RMSprop", {"rho": -0.1}, r"rho must lie in \[0, 1\), got -0.1"),
        ("AdamW", {"weight_decay": None}, r"weight_decay must be a number"),
    ],
)
def test_optimizer_refuses_bad_settings_with_the_values_in_the_message(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(optimizers, name)(**options)


def test_slots_of_another_shape_are_refused_and_nothing_changes(rng):
    training = Training(optimizers.Adam(), [np.ones(3), np.ones(4)])
    training.step([np.ones(3, np.float32), np.ones(4, np.float32)])
    before = [v.numpy() for v in training.optimizer.variables]
    for values in ([np.zeros(3)] * 3, [np.zeros(3), np.zeros(3), np.zeros(4), np.zeros(5)]):
        with pytest.raises(ValueError, match="expected"):
            training.optimizer.set_slot_values(values)
    for v, old in zip(training.optimizer.variables, before, strict=True):
        np.testing.assert_array_equal(v.value, old)


def test_unknown_optimizers_are_refused():
    with pytest.raises(ValueError, match="unknown optimizer 'adagrad'"):
        optimizers.get("adagrad")
    with pytest.raises(TypeError, match="expected a name or an Optimizer"):
        optimizers.get(3)


def test_learning_rates_that_are_none_are_refused():
    with pytest.raises(TypeError, match="adam: learning_rate must be a number or a schedule, got 'fast'"):
        optimizers.Adam("fast")
    for rate in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"adam: learning_rate must be a finite number of at least 0, got {rate}"):
            optimizers.Adam(rate)
    optimizer = optimizers.SGD(lambda step: 0.1 if step < 3 else float("nan"))
    assert optimizer.learning_rate == 0.1
    optimizer.iterations = 3
    with pytest.raises(ValueError, match="SGD: learning_rate must be a finite number of at least 0, got nan"):
        _ = optimizer.learning_rate
