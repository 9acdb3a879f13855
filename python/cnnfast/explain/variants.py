"""Gradients at many variants of each sample: with noise, or on the way from a baseline.

The variants are made when they are run, a batch after the other, so that memory does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast.explain.probe import Probe
from cnnfast.explain.targets import Target, TargetLike
from cnnfast.graph.values import Value
from cnnfast.models.model import Model


class _Rows(Target):
    """Weights that are known already, one row for each sample that is run."""

    def __init__(self, weights: np.ndarray):
        self._weights = weights

    def weights(self, scores: np.ndarray, rows: slice) -> np.ndarray:
        return self._weights[rows]


@dataclass
class Explained:
    """Some samples and what is explained of them: the same for all variants of a sample, whatever these score.

    Attributes:
        probe: with the samples.
        output, batch_size: as `Probe` takes them.
        scores: of the samples themselves.
        weights: like `scores`; None if the target is a function.
        function: the target, if it is a function.
    """

    probe: Probe
    output: int | str
    batch_size: int
    scores: np.ndarray
    weights: np.ndarray | None
    function: Callable[[Any], Any] | None

    @classmethod
    def of(cls, model: Model, x: Any, target: TargetLike, *, op: str, output: int | str, batch_size: int) -> Explained:
        """Decides for each sample what is explained. Raises what `Probe` does."""
        probe = Probe(model, x, op=op, output=output, batch_size=batch_size)
        wanted = probe.target(target)
        if not isinstance(wanted, Target):
            return cls(probe, output, batch_size, probe.scores(), None, wanted)
        found = list(probe.run(wanted))
        scores = np.concatenate([f.scores for f in found])
        weights = np.concatenate([f.weights for f in found if f.weights is not None])
        return cls(probe, output, batch_size, scores, weights, None)

    def targets(self, scores: np.ndarray) -> np.ndarray:
        """float64 (N,): the target's value for scores of N variants, one of each sample."""
        if self.function is not None:
            values = np.asarray(self.function(scores), np.float64)
        else:
            assert self.weights is not None
            values = self.weights.astype(np.float64) * scores
        return values.reshape(len(scores), -1).sum(1)

    def gradients(
        self, count: int, make: Callable[[int, int], list[np.ndarray]]
    ) -> Iterator[tuple[int, int, list[np.ndarray]]]:
        """Gradients by the inputs at `count` variants of each sample.

        Args:
            count: of variants.
            make: from the numbers of a sample and of one of its variants to its inputs, float32 without the batch.

        Yields:
            Sample, variant and the gradients by its inputs; the variants of a sample one after the other.
        """
        pairs = self.probe.count * count
        batches = -(-pairs // self.batch_size)
        size = -(-pairs // batches)  # all as large as the largest must be: one Program does for all
        probe: Probe | None = None
        for begin in range(0, pairs, size):
            # The last batch is filled up with variants that are done already.
            numbers = [divmod(i % pairs, count) for i in range(begin, begin + size)]
            made = [make(sample, variant) for sample, variant in numbers]
            xs = [np.stack(parts).astype(np.float32, copy=False) for parts in zip(*made, strict=True)]
            if probe is None:
                x = xs if self.probe.several else xs[0]
                probe = Probe(self.probe.model, x, op=self.probe.op, output=self.output, batch_size=size)
            (found,) = probe.run(self._target_of([s for s, _ in numbers]), inputs=True, xs=xs)
            for row, (sample, variant) in enumerate(numbers[: pairs - begin]):
                yield sample, variant, [g[row] for g in found.inputs]

    def _target_of(self, samples: list[int]) -> Target | Callable[[Value], Value]:
        if self.function is not None:
            return self.function
        assert self.weights is not None
        return _Rows(self.weights[samples])
