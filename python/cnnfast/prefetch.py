"""Making things ahead in background threads, in order and with a bound on what lies ready."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Key = TypeVar("Key")
Made = TypeVar("Made")

_here = threading.local()


def in_background() -> bool:
    """Whether this thread makes things ahead; it should not wait for the threads that compute then.

    Example:
        >>> in_background(), list(prefetched(lambda key: in_background(), [0], workers=1, ahead=1))
        (False, [True])
    """
    return getattr(_here, "makes_ahead", False)


def _enter_background() -> None:
    _here.makes_ahead = True


def prefetched(
    make: Callable[[Key], Made], keys: Iterable[Key], workers: int, ahead: int
) -> Generator[Made, None, None]:
    """`make(key)` for each key, in order, while threads make the next ones.

    The threads end with the iteration, also when it is abandoned. An exception in `make` is raised in the place of
    its result, so that what was given out before does not depend on the threads' speed.

    Args:
        make: called in the threads, several at once if there are several workers.
        keys: what it is called with.
        workers: threads; with 1 too everything is made in the background.
        ahead: results that are made or waiting at most, besides the one that was given out last.

    Example:
        >>> list(prefetched(lambda n: n * n, range(4), workers=2, ahead=2))
        [0, 1, 4, 9]
    """
    rest = iter(keys)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="cnnfast-prefetch", initializer=_enter_background)
    try:
        waiting: deque[Future[Made]] = deque(pool.submit(make, key) for key in islice(rest, max(ahead, workers)))
        while waiting:
            made = waiting.popleft().result()
            waiting.extend(pool.submit(make, key) for key in islice(rest, 1))
            yield made
    finally:
        pool.shutdown(cancel_futures=True)
