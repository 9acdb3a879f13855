"""Random numbers keyed by what they are for and not by when they are drawn.

Each sample of each epoch has a stream of its own. Whatever order samples are asked for in, and however many threads
ask, they get the same numbers. The streams are those of NumPy's Philox generator (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", 2011): its counter holds epoch and sample, its key the seed, so that no two overlap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

#: the number, in place of a sample's, of the stream that orders an epoch
ORDER = 2**64 - 1


def sample_rng(seed: int, epoch: int, sample: int) -> np.random.Generator:
    """The generator of one sample in one epoch.

    Args:
        seed: 0 to 2**128 - 1.
        epoch, sample: 0 to 2**64 - 1.

    Example:
        >>> bool(sample_rng(1, epoch=0, sample=5).random() == sample_rng(1, epoch=0, sample=5).random())
        True
    """
    # a list would go through float64, which cannot hold large numbers
    return np.random.Generator(np.random.Philox(key=seed, counter=np.array([0, 0, epoch, sample], np.uint64)))


def order_rng(seed: int, epoch: int) -> np.random.Generator:
    """The generator of the order of samples in an epoch, and of what else concerns the epoch as a whole."""
    return sample_rng(seed, epoch, ORDER)


def uniforms(seed: int, epoch: int, samples: ArrayLike, count: int) -> np.ndarray:
    """The first `count` numbers of the streams of many samples.

    Row i is `sample_rng(seed, epoch, samples[i]).random(count)`, without the time it takes to make a generator for
    each: one is set to each counter in turn.

    Args:
        seed, epoch: as for `sample_rng`.
        samples: (N,) numbers of samples.
        count: numbers for each.

    Returns:
        float64 (N, count), uniform in [0, 1).

    Example:
        >>> rows = uniforms(1, 0, [3, 8], 5)
        >>> bool((rows[1] == sample_rng(1, 0, 8).random(5)).all())
        True
    """
    numbers = np.asarray(samples, dtype=np.uint64).tolist()
    rows = np.empty((len(numbers), count))
    generator = sample_rng(seed, epoch, 0)
    stream: Any = generator.bit_generator
    state = stream.state
    counter = state["state"]["counter"]
    for row, number in zip(rows, numbers, strict=True):
        counter[3] = number
        stream.state = state
        generator.random(out=row)
    return rows
