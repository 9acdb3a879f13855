"""The process-wide random generator that everything draws from that was given no seed of its own."""

from __future__ import annotations

import numpy as np

_generator = np.random.default_rng()


def get_generator() -> np.random.Generator:
    """The generator from which unseeded initializers, shuffles and dropouts draw."""
    return _generator


def set_seed(seed: int) -> None:
    """Starts the process-wide generator again from `seed`: what follows is then the same in every run."""
    global _generator
    _generator = np.random.default_rng(seed)
