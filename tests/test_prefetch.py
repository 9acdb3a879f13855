"""Things are made ahead in the background, in order, and no further than allowed."""

from __future__ import annotations

import threading
import time

import pytest

from cnnfast.prefetch import prefetched


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("cnnfast-prefetch")]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_results_come_in_order_whatever_takes_longest(workers, ahead):
    def slow_first(n):
        time.sleep(0.02 if n % 3 == 0 else 0)
        return n

    assert list(prefetched(slow_first, range(20), workers, ahead)) == list(range(20))
    assert not threads()


def test_no_more_is_made_ahead_than_allowed():
    made = []
    for given, _ in enumerate(prefetched(made.append, range(50), workers=2, ahead=4), 1):
        time.sleep(0.002)
        assert len(made) <= given + 4
    assert len(made) == 50


def test_something_is_made_while_the_consumer_is_busy():
    second = threading.Event()
    results = prefetched(lambda n: second.set() if n == 1 else None, range(2), workers=1, ahead=1)
    next(results)
    assert second.wait(5)  # without another next()
    results.close()


def test_an_error_comes_in_its_place_and_ends_the_threads():
    def fail(n):
        if n == 3:
            raise KeyError("three")
        return n

    results, found = prefetched(fail, range(100), workers=2, ahead=8), []
    with pytest.raises(KeyError, match="three"):
        found.extend(iter(lambda: next(results), None))
    assert found == [0, 1, 2]
    assert not threads()


def test_threads_end_when_the_iteration_is_abandoned():
    made = []
    results = prefetched(made.append, range(1000), workers=3, ahead=5)
    next(results)
    assert threads()
    del results
    assert not threads()
    assert len(made) < 20
