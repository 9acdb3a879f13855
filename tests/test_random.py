"""The process-wide generator: repeatable, restorable through JSON, deaf to bad states."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnfast import random


@pytest.fixture(autouse=True)
def _leave_the_generator_as_it_was():
    state = random.get_state()
    yield
    random.set_state(state)


def draw() -> list[int]:
    return [random.next_seed() for _ in range(5)]


def test_one_seed_gives_one_stream_and_another_seed_another():
    random.set_seed(3)
    first = draw()
    random.set_seed(3)
    assert draw() == first
    random.set_seed(4)
    assert draw() != first


def test_state_survives_json_in_the_middle_of_a_stream():
    random.set_seed(0)
    random.get_generator().integers(0, 10, 3, dtype=np.int32)  # leaves half of a 64-bit number unused
    text = json.dumps(random.get_state())
    expected = random.get_generator().integers(0, 1000, 4, dtype=np.int32).tolist(), draw()
    draw()
    random.set_state(json.loads(text))
    assert (random.get_generator().integers(0, 1000, 4, dtype=np.int32).tolist(), draw()) == expected


def test_the_generator_is_one_object_for_ever():
    generator = random.get_generator()
    random.set_seed(1)
    random.set_state(random.get_state())
    assert random.get_generator() is generator


def test_seeds_fill_64_bits():
    random.set_seed(0)
    seeds = [random.next_seed() for _ in range(200)]
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert max(seeds) > 2**63 and len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(
    "seed, error",
    [(-1, ValueError), (2**128, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)],
)
def test_bad_seeds_are_refused_and_change_nothing(seed, error):
    before = random.get_state()
    with pytest.raises(error, match=rf"seed .*{seed}"):
        random.set_seed(seed)
    assert random.get_state() == before


GOOD = {"bit_generator": "PCG64", "state": {"state": 1, "inc": 3}, "has_uint32": 0, "uinteger": 0}


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {},
        {**GOOD, "bit_generator": "MT19937"},
        {**GOOD, "state": {"state": 1}},
        {**GOOD, "state": {"state": -1, "inc": 3}},
        {**GOOD, "state": {"state": 2**200, "inc": 3}},
        {**GOOD, "state": {"state": "1", "inc": 3}},
        {**GOOD, "uinteger": "x"},
        {**GOOD, "has_uint32": 2**70},
    ],
)
def test_bad_states_are_refused_and_change_nothing(state):
    before = random.get_state()
    with pytest.raises(ValueError, match="no state of the generator"):
        random.set_state(state)
    assert random.get_state() == before
