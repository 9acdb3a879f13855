"""The one source of randomness of the process: initial weights, shuffling, the seeds of dropout masks.

Everything random in cnnfast draws from one `numpy.random.Generator`, so `set_seed` makes a run repeatable and
`get_state` is all that a checkpoint needs to continue it exactly. Until seeded it starts from the operating
system's entropy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_generator = np.random.Generator(np.random.PCG64())


def get_generator() -> np.random.Generator:
    """The generator itself; the same object for the life of the process.

    Example:
        >>> from cnnfast import random
        >>> random.set_seed(1)
        >>> order = random.get_generator().permutation(5)
        >>> random.set_seed(1)
        >>> bool((random.get_generator().permutation(5) == order).all())
        True
    """
    return _generator


def next_seed() -> int:
    """A new seed, 0 to 2**64 - 1, for something that keeps a stream of its own, such as a dropout layer."""
    return int(_generator.integers(0, 2**64, dtype=np.uint64))


def set_seed(seed: int) -> None:
    """Start the generator anew from `seed`, 0 to 2**128 - 1.

    Raises:
        TypeError: `seed` is no whole number. ValueError: it is out of range.
    """
    number = check_seed("random.set_seed", seed)
    _generator.bit_generator.state = np.random.PCG64(number).state


def check_seed(op: str, seed: int, limit: int = 2**128) -> int:
    """`seed` as an int from 0 to `limit` - 1; else TypeError or ValueError in the name of `op`."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"{op}: seed must be a whole number, came {seed!r}")
    if not 0 <= seed < limit:
        raise ValueError(f"{op}: seed must lie in 0 to {limit - 1}, came {seed}")
    return int(seed)


def get_state() -> dict[str, Any]:
    """The generator's state, JSON-able: what is drawn after `set_state` repeats what was drawn after this."""
    return dict(_generator.bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Put the generator back into a state that `get_state` gave.

    Raises:
        ValueError: `state` is none; the generator is left alone.

    Example:
        >>> from cnnfast import random
        >>> state = random.get_state()
        >>> first = random.next_seed()
        >>> random.set_state(state)
        >>> random.next_seed() == first
        True
    """
    trial: Any = np.random.PCG64()
    try:
        trial.state = state
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"random.set_state: no state of the generator: {state!r}") from error
    _generator.bit_generator.state = trial.state
