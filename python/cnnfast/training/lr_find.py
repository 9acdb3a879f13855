"""The learning-rate range test (Smith 2017, "Cyclical Learning Rates", section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast import random
from cnnfast.training.errors import NonFiniteLoss
from cnnfast.training.feed import Feed
from cnnfast.training.sources import Source, make_source, whole_number
from cnnfast.training.stepper import Stepper

if TYPE_CHECKING:
    from cnnfast.training.trainer import Trainer


@dataclass(frozen=True)
class LearningRateRange:
    """What a range test found.

    Attributes:
        learning_rates: the rates that were tried, rising by a constant factor.
        losses: smoothed losses at these rates.
        suggestion: the rate at which the loss was half way to its minimum, a good rate to train with.
    """

    learning_rates: np.ndarray
    losses: np.ndarray
    suggestion: float


def lr_find(
    model: Trainer,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    *,
    start: float = 1e-7,
    end: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.9,
    divergence: float = 4.0,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
) -> LearningRateRange:
    """Trains for some steps with ever higher learning rates and suggests one.

    The optimizer is a fresh copy of the model's. Weights, the model's optimizer and the process-wide
    generator are afterwards exactly what they were, also after an error.

    Args:
        model: compiled.
        x, y, batch_size, sample_weight, class_weight: as in `fit`; data that end are begun again.
        start, end: first and last learning rate.
        steps: steps between them.
        smoothing: losses are averaged with weights that fall by this factor per step.
        divergence: the test ends early when the smoothed loss is this many times its minimum, or not a
            number.

    Raises:
        TypeError, ValueError: arguments or data that do not fit, a model that is not compiled, or a loss that
            is not a number at the first rate.

    Example:
        >>> found = lr_find(model, x, y)
        >>> model.optimizer.learning_rate = found.suggestion
    """
    if not (0.0 < start < end and math.isfinite(end)):
        raise ValueError(f"lr_find: expected 0 < start < end, got start={start}, end={end}")
    if not 0.0 <= smoothing < 1.0:
        raise ValueError(f"lr_find: smoothing must lie in [0, 1), got {smoothing}")
    steps = whole_number("lr_find", "steps", steps, least=3)
    source = make_source(
        "lr_find",
        x,
        y,
        sample_weight,
        names=model._names(),
        batch_size=batch_size,
        shuffle=True,
        class_weight=class_weight,
        training=True,
    )
    rates = np.geomspace(start, end, steps)
    with _trial(model, source) as trial, closing(Feed("lr_find", source, steps)) as feed:
        losses = _sweep(trial, feed, rates, smoothing, divergence)
    if not losses:
        raise ValueError(f"lr_find: the loss is not a number from the first learning rate, {start}")
    found = np.array(losses)
    return LearningRateRange(rates[: len(found)], found, _half_way_down(rates, found, _settled(steps), smoothing))


def _sweep(trial: Stepper, feed: Feed, rates: np.ndarray, smoothing: float, divergence: float) -> list[float]:
    """Smoothed losses until the end or until they diverge."""
    smoothed: list[float] = []
    average, weight, settled = 0.0, 0.0, _settled(len(rates))
    for step, batch in feed.epoch():
        trial.optimizer.learning_rate = rates[step]
        try:
            loss = trial.train(batch)
        except NonFiniteLoss:
            break
        average = smoothing * average + (1.0 - smoothing) * loss
        weight = smoothing * weight + (1.0 - smoothing)
        smoothed.append(average / weight)
        if len(smoothed) > settled and smoothed[-1] > divergence * min(smoothed[settled:]):
            break
    return smoothed


def _settled(steps: int) -> int:
    """The step from which the average holds enough losses to mean something."""
    return steps // 10


def _half_way_down(rates: np.ndarray, losses: np.ndarray, settled: int, smoothing: float) -> float:
    """Where the loss is half way from its level at small rates to its minimum.

    That is about where it falls fastest, but does not follow the noise of single batches as a slope does. The
    losses are averages, which lag smoothing / (1 - smoothing) steps behind.
    """
    if len(losses) <= settled:
        return float(rates[0])
    lowest = settled + int(losses[settled:].argmin())
    level = float(np.median(losses[settled : max((settled + lowest) // 2, settled + 1)]))
    above = np.flatnonzero(losses[settled : lowest + 1] > (level + losses[lowest]) / 2)
    half_way = settled + int(above[-1]) if above.size else lowest
    return float(rates[max(half_way - round(smoothing / (1.0 - smoothing)), 0)])


@contextmanager
def _trial(model: Any, source: Source) -> Iterator[Stepper]:
    """A stepper of the model with an optimizer of its own, after which everything is as before."""
    stepper = model._compiled_stepper("lr_find")
    state, source_state = random.get_state(), source.get_state()
    stepper.connect(source.sample or next(source.begin()))  # the weights must be there to be kept
    weights = model.get_weights()
    try:
        yield stepper.trial(model.optimizer.without_state())
    finally:
        model.set_weights(weights)
        stepper.take_engine()
        random.set_state(state)
        source.set_state(source_state)
