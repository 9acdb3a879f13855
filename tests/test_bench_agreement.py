"""Whether two peers' answers agree: what must be caught, and what is only rounding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnnfast.bench.agreement import Answer, Check, checks, disagreement
from cnnfast.bench.data import make_data
from cnnfast.bench.peers import cnnfast_peer
from cnnfast.bench.spec import Workload
from tests.bench_rows import small_prediction, small_training


def differs(check: Check, expected: Answer, got: Answer) -> str:
    return disagreement([check], [expected], [got])


def answers(check: Check) -> Answer:
    """A plausible answer: weights that moved, or random outputs."""
    rng = np.random.default_rng(0)
    start = make_data(check.workload).weights
    if check.steps:
        moved = {k: w + rng.standard_normal(w.shape).astype(np.float32) for k, w in start.items()}
        return Answer([2.0] * check.steps, moved)
    return Answer([], {"y": rng.standard_normal((5, 4)).astype(np.float32)})


def changed(answer: Answer, name: str, change: float) -> Answer:
    arrays = {k: a.copy() for k, a in answer.arrays.items()}
    arrays[name].flat[0] += change
    return dataclasses.replace(answer, arrays=arrays)


def test_training_is_checked_by_prediction_gradient_rule_and_update() -> None:
    found = {c.what: c.workload for c in checks(small_training(0.5))}
    assert list(found) == ["prediction", "gradient", "optimizer", "update"]
    assert all(found[w].layers == small_training(0.0).layers for w in ("prediction", "gradient", "update"))
    assert [w.optimizer for w in found.values()] == ["adam", "sgd", "adam", "adam"]


@pytest.mark.parametrize("row", [small_training(), small_prediction()], ids=lambda w: w.mode)
def test_equal_answers_agree(row: Workload) -> None:
    todo = list(checks(row))
    assert disagreement(todo, [answers(c) for c in todo], [answers(c) for c in todo]) == ""


def test_one_wrong_output_is_caught() -> None:
    (check,) = checks(small_prediction())
    good = answers(check)
    assert differs(check, good, changed(good, "y", 1e-6)) == ""
    assert "y differs by" in differs(check, good, changed(good, "y", 1e-2))
    assert "y differs by inf" in differs(check, good, changed(good, "y", float("nan")))


def test_one_wrong_gradient_is_caught_whatever_the_size_of_the_weight() -> None:
    check = list(checks(small_training()))[1]
    good = answers(check)
    assert differs(check, good, changed(good, "conv2d_1/kernel", 0.01)) == ""
    assert "conv2d_1/kernel differs by" in differs(check, good, changed(good, "conv2d_1/kernel", 1.0))
    assert "dense_5/bias differs by" in differs(check, good, changed(good, "dense_5/bias", 0.5))


def test_rounding_of_a_gradient_that_is_nothing_is_no_difference() -> None:
    check = list(checks(small_training()))[1]
    good, start = answers(check), make_data(check.workload).weights
    good.arrays["dense_5/bias"][:] = start["dense_5/bias"]
    assert differs(check, good, changed(good, "dense_5/bias", 1e-6)) == ""
    assert "dense_5/bias differs by" in differs(check, good, changed(good, "dense_5/bias", 1e-2))


def run(workload: Workload) -> list[Answer]:
    """cnnfast's answers to the checks of a row."""
    found = []
    for check in checks(workload):
        session = cnnfast_peer.prepare(check.workload, make_data(check.workload))
        losses = [session.step() for _ in range(check.steps)]
        found.append(Answer(losses, {k: a.copy() for k, a in session.answer().items()}))
    return found


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_a_learning_rate_wrong_by_a_fifth_is_caught(optimizer: str) -> None:
    right = dataclasses.replace(small_training(), optimizer=optimizer)
    todo, good = list(checks(right)), run(right)
    assert disagreement(todo, good, run(right)) == ""
    for factor in (0.8, 1.2):
        bad = run(dataclasses.replace(right, learning_rate=factor * right.learning_rate))
        assert disagreement(todo, good, bad).startswith("update: the change of all weights differs by 2.0e-01")


def test_another_update_rule_is_caught() -> None:
    right = small_training()
    found = disagreement(list(checks(right)), run(right), run(dataclasses.replace(right, optimizer="rmsprop")))
    assert found.startswith("optimizer: losses")


@pytest.mark.parametrize("change, allowed", [(1.001, True), (1.02, False)])
def test_a_rule_that_is_two_per_cent_off_is_caught(change: float, allowed: bool) -> None:
    todo, good = list(checks(small_training())), run(small_training())
    start = make_data(todo[2].workload).weights
    arrays = {k: (start[k] + change * (a - start[k])) for k, a in good[2].arrays.items()}
    bad = [*good[:2], dataclasses.replace(good[2], arrays=arrays), good[3]]
    assert (disagreement(todo, good, bad) == "") == allowed


def test_a_step_whose_sign_is_chance_is_no_difference() -> None:
    """Where the gradient is nothing but rounding, Adam and RMSprop step as far as elsewhere, either way."""
    todo, good = list(checks(small_training())), run(small_training())
    gradient = np.abs(good[1].arrays["dense_5/kernel"] - make_data(todo[1].workload).weights["dense_5/kernel"])
    start = make_data(todo[3].workload).weights["dense_5/kernel"]

    def turned(where: tuple[np.ndarray, ...]) -> list[Answer]:
        arrays = {k: a.copy() for k, a in good[3].arrays.items()}
        arrays["dense_5/kernel"][where] = (2 * start - arrays["dense_5/kernel"])[where]
        return [*good[:3], dataclasses.replace(good[3], arrays=arrays)]

    order = np.unravel_index(np.argsort(gradient, axis=None), gradient.shape)
    least, most = (tuple(i[:2] for i in order), tuple(i[-2:] for i in order))
    assert disagreement(todo, good, turned(least)) == ""
    assert "update: the change of all weights" in disagreement(todo, good, turned(most))


@pytest.mark.parametrize("loss", [2.1, float("nan")])
def test_another_loss_is_caught(loss: float) -> None:
    check = list(checks(small_training()))[3]
    good = answers(check)
    assert "losses" in differs(check, good, dataclasses.replace(good, losses=[2.0, loss]))


def test_missing_arrays_and_other_shapes_are_caught() -> None:
    (check,) = checks(small_prediction())
    good = answers(check)
    assert "expected ['y'], got ['z']" in differs(check, good, Answer([], {"z": good.arrays["y"]}))
    assert "shapes (5, 4) and (4, 5)" in differs(check, good, Answer([], {"y": good.arrays["y"].T}))
