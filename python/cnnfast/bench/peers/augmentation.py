"""What the peers that change images have in common, and the two generators with Keras' arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.bench.data import Data
from cnnfast.bench.spec import Workload

#: A transform of which every part is known, in Keras' words: what it makes of an image is compared.
KNOWN = {"theta": 20.0, "tx": 7.25, "ty": -12.5, "shear": 5.0, "zx": 0.9, "zy": 1.1, "flip_horizontal": True}


def settings(workload: Workload) -> dict[str, Any]:
    """The options of an "augment" workload's one layer."""
    return workload.layers[0].options


class GeneratorSession:
    """Batch after batch of `ImageDataGenerator.flow`.

    Args:
        generator: Keras' class, or one with its arguments.
        known: arguments with which it makes what Keras' makes of known parameters.
    """

    def __init__(
        self, generator: Callable[..., Any], workload: Workload, data: Data, known: dict[str, Any] | None = None
    ):
        options = settings(workload)
        self._exact, self._images = generator(**options, **(known or {})), data.x
        self._batches = generator(**options).flow(data.x, batch_size=workload.batch, shuffle=False, seed=workload.seed)

    def step(self) -> float:
        next(self._batches)
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return {"known": self._transformed(KNOWN), "flipped": self._transformed({"flip_horizontal": True})}

    def _transformed(self, transform: dict[str, Any]) -> np.ndarray:
        images = self._images.astype(np.float32)
        return np.stack([self._exact.standardize(self._exact.apply_transform(x, transform)) for x in images])
