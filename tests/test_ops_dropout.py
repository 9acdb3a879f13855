"""Dropout: the right elements, the right share of them, the same ones again for the gradient."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import ops, random
from cnnfast.graph import Graph, Spec
from cnnfast.graph.program import Program
from cnnfast.ops import engine
from tests.gradients import rule_gradients
from tests.oracle.philox import kept, philox4x32


def test_the_oracle_gives_the_published_answers():
    # The known-answer tests that accompany the paper's own implementation (Random123, philox4x32, 10 rounds).
    assert philox4x32((0,) * 4, (0,) * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox4x32((2**32 - 1,) * 4, (2**32 - 1,) * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


@pytest.mark.parametrize("n", [1, 63, 64, 65, 255, 256, 257, 1000])
@pytest.mark.parametrize(("seed", "salt"), [(0, 1), (2**64 - 1, 7), (12345678901234, 2**40 + 3)])
def test_dropout_drops_what_the_generator_says_on_every_isa(isa, n, seed, salt):
    x, y = np.arange(1, n + 1, dtype=np.float32), np.empty(n, np.float32)
    engine.run_step("dropout", [x], [y], {"rate": 0.375, "salt": salt}, seed)
    np.testing.assert_array_equal(y, np.where(kept(n, 0.375, seed, salt), x * np.float32(1.6), 0))


def test_dropout_drops_the_same_elements_on_every_isa_and_for_any_number_of_threads(same_bits):
    x = np.ones((3, 100, 333), np.float32)
    before, results = engine.isa(), []
    for name in engine.available_isas():
        engine.set_isa(name)
        results.append(same_bits(lambda: ops.dropout(x, 0.3, seed=11))[0])
    engine.set_isa(before)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_drops_the_share_it_should_and_keeps_the_mean(rate):
    n = 200_000
    y = ops.dropout(np.ones(n), rate, seed=3)
    deviation = np.sqrt(rate * (1 - rate) / n)
    assert abs(np.mean(y == 0) - rate) <= 5 * deviation
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_dropout_at_rate_0_changes_nothing_and_at_rate_1_leaves_nothing():
    x = np.linspace(-3, 3, 1000, dtype=np.float32)
    np.testing.assert_array_equal(ops.dropout(x, 0.0, seed=1), x)
    np.testing.assert_array_equal(ops.dropout(x, 1.0, seed=1), np.zeros(1000))


def test_what_is_dropped_is_0_even_where_x_is_infinite():
    y = ops.dropout(np.full(1000, np.inf), 0.5, seed=1)
    assert set(y.tolist()) == {0.0, np.inf}


def test_noise_shape_drops_along_its_axes_together(rng, isa):
    x = rng.standard_normal((4, 6, 7, 5)).astype(np.float32)
    y = ops.dropout(x, 0.5, (None, 1, 1, 5), seed=5)
    noise = ops.dropout(np.ones((4, 1, 1, 5)), 0.5, seed=5)
    assert 0 < np.mean(noise == 0) < 1
    np.testing.assert_array_equal(y, x * noise)


def test_gradient_drops_what_the_forward_pass_dropped(rng):
    x, dy = rng.standard_normal((2, 3, 1000)).astype(np.float32)
    for options in ({}, {"noise_shape": (1, None)}, {"seed": 9}):
        y, (dx,) = rule_gradients(lambda x, o=options: ops.dropout(x, 0.375, **o), [x], dy, seed=77)
        np.testing.assert_array_equal(dx != 0, y != 0)
        np.testing.assert_array_equal(dx[y != 0], (dy * np.float32(1.6))[y != 0])


def test_each_dropout_of_a_graph_and_each_run_drops_other_elements():
    graph = Graph(training=True)
    x = graph.input(Spec((1000,)))
    program = Program(graph, [x], [ops.dropout(x, 0.5), ops.dropout(x, 0.5)])
    ones = np.ones(1000, np.float32)
    _, (first, second) = program.run([ones], seed=1)
    _, (again, _) = program.run([ones], seed=1)
    _, (other, _) = program.run([ones], seed=2)
    np.testing.assert_array_equal(first, again)
    for a in (second, other):
        assert 0.4 < np.mean(a != first) < 0.6


def test_dropout_on_arrays_draws_its_seed_from_the_process_generator():
    x = np.ones(200)
    random.set_seed(4)
    first, second = ops.dropout(x, 0.5), ops.dropout(x, 0.5)
    random.set_seed(4)
    np.testing.assert_array_equal(ops.dropout(x, 0.5), first)
    assert not np.array_equal(first, second)


def test_building_a_graph_with_dropout_draws_nothing():
    random.set_seed(4)
    expected = random.next_seed()
    random.set_seed(4)
    graph = Graph(training=True)
    ops.dropout(graph.input(Spec((3,))), 0.5)
    assert random.next_seed() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": -0.1}, r"dropout: rate must lie in \[0, 1\], got -0.1"),
        ({"rate": np.nan}, r"rate must lie in \[0, 1\], got nan"),
        (
            {"rate": 0.5, "noise_shape": (2,)},
            r"noise_shape must hold 1 or the sizes of x \(2, 3\), got \(2,\)",
        ),
        ({"rate": 0.5, "noise_shape": (2, 2)}, r"got \(2, 2\)"),
        ({"rate": 0.5, "seed": -1}, r"seed must lie in 0"),
    ],
)
def test_dropout_refuses_bad_input_with_the_values_in_the_message(options, message):
    with pytest.raises(ValueError, match=message):
        ops.dropout(np.ones((2, 3)), **options)
