"""The batches of the epochs of one `fit`, and where in them it is."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from typing import Any

from cnnfast import random
from cnnfast.training.batches import Batch
from cnnfast.training.sources import Source, whole_number


class Feed:
    """Cuts the passes of a source into epochs.

    Without `steps` an epoch is one pass. With it an epoch has that many batches and goes on where the one
    before stopped; a source that can be repeated starts again when it is used up.

    Args:
        op: for messages, as `fit`.
        source: the batches.
        steps: batches of an epoch, or None.

    Attributes:
        steps: batches of an epoch; None until it is known.
        step: batches of the current epoch that were given out.
        exhausted: whether the source has come to its end and cannot be repeated.
        in_memory: whether all samples are at hand, so that they can be checked before the first batch.
    """

    def __init__(self, op: str, source: Source, steps: int | None = None):
        self._op, self._source = op, source
        self._wanted = None if steps is None else whole_number(op, "steps", steps)
        self.steps = source.num_batches if self._wanted is None else self._wanted
        self.step = 0
        self.exhausted = False
        self.in_memory = source.whole is not None
        self._pass: Iterator[Batch] | None = None
        self._pass_random: dict[str, Any] | None = None
        self._pass_source: dict[str, Any] = {}
        self._position = 0

    def epoch(self) -> Iterator[tuple[int, Batch]]:
        """The rest of the current epoch: number of the batch within it, and the batch."""
        while self.step != self._wanted:
            batch = self._next()
            if batch is None:
                return
            step, self.step = self.step, self.step + 1
            yield step, batch

    def end_epoch(self) -> None:
        """What follows is the next epoch, also if the current one was left early."""
        self.step = 0
        if self._wanted is None:
            self._end_pass()

    def restart(self) -> None:
        """Begins anew, if the source can be repeated."""
        self.step = 0
        if self._source.repeatable:
            self._end_pass()

    def get_state(self) -> dict[str, Any]:
        """Where the feed is, as JSON can hold it; a generator cannot be described and begins anew."""
        source = self._source.get_state() if self._pass is None else self._pass_source
        return {"step": self.step, "position": self._position, "random": self._pass_random, "source": source}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on where `get_state` was called; the process-wide generator is left as it is."""
        self._end_pass()
        self._source.set_state(state.get("source", {}))
        self.step = int(state["step"])
        if state["random"] is not None and self._source.repeatable:
            now = random.get_state()
            random.set_state(state["random"])
            self._begin_pass(int(state["position"]))
            random.set_state(now)

    def _begin_pass(self, skip: int = 0) -> Iterator[Batch]:
        self._pass_random, self._pass_source = random.get_state(), self._source.get_state()
        self._position = skip
        self._pass = self._source.begin(skip)
        return self._pass

    def close(self) -> None:
        """Ends what goes on in the background, wherever the pass is."""
        self._end_pass()

    def _end_pass(self) -> None:
        if isinstance(self._pass, Generator):
            self._pass.close()
        self._pass, self._pass_random, self._position = None, None, 0

    def _next(self) -> Batch | None:
        """The next batch; None at the end of an epoch or, with a warning, of the data."""
        if self._pass is None and self.exhausted:
            return None
        batch = next(self._pass or self._begin_pass(), None)
        if batch is None and self._wanted is not None and self._source.repeatable:
            batch = next(self._begin_pass(), None)
        if batch is None:
            self._end_of_data()
            return None
        self._position += 1
        return batch

    def _end_of_data(self) -> None:
        self._end_pass()
        if self.steps is None:
            self.steps = self.step
        if self._source.repeatable:
            return
        self.exhausted = True
        if self._wanted is not None and self.step:
            warnings.warn(
                f"{self._op}: the input ran out of data after {self.step} of {self._wanted} batches of this epoch",
                stacklevel=6,
            )
