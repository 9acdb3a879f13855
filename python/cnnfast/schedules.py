"""Learning rates that change with the number of steps; any optimizer takes one as its `learning_rate`.

optimizers.SGD(schedules.CosineDecay(0.0, 2000, warmup_target=0.1, warmup_steps=200), momentum=0.9)
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from cnnfast.configurable import Configurable, describe, restore
from cnnfast.registry import Registry
from cnnfast.training.lr_find import LearningRateRange, lr_find

SCHEDULES: Registry[LearningRateSchedule] = Registry("schedule")


class LearningRateSchedule(Configurable):
    """Base of all schedules: a function of the step number (from 0) to a learning rate, in float64.

    A subclass keeps the arguments of its constructor under their names and defines `__call__`.
    """

    def __call__(self, step: int) -> float:
        raise TypeError(f"{type(self).__name__}: a schedule must define __call__()")


@SCHEDULES.add
class Constant(LearningRateSchedule):
    """Always the same rate."""

    def __init__(self, learning_rate: float, name: str = "Constant"):
        self.learning_rate = _rate(name, "learning_rate", learning_rate)
        self.name = name

    def __call__(self, step: int) -> float:
        return self.learning_rate


class _Decay(LearningRateSchedule):
    """What has a first rate and a number of steps by which its fall is measured."""

    def __init__(self, initial_learning_rate: float, decay_steps: int, name: str):
        self.initial_learning_rate = _rate(name, "initial_learning_rate", initial_learning_rate)
        self.decay_steps = _positive(name, "decay_steps", decay_steps)
        self.name = name


class _StairsDecay(_Decay):
    """A fall that may be smooth or go in stairs."""

    def __init__(self, initial_learning_rate: float, decay_steps: int, staircase: bool, name: str):
        super().__init__(initial_learning_rate, decay_steps, name)
        self.staircase = staircase

    def _time(self, step: int) -> float:
        """Steps in units of `decay_steps`, whole ones for stairs."""
        time = step / self.decay_steps
        return math.floor(time) if self.staircase else time


@SCHEDULES.add
class StepDecay(_Decay):
    """initial_learning_rate * factor^floor(step / decay_steps): the rate falls at once every `decay_steps`
    steps.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: steps between two falls.
        factor: new rate over old rate; default 0.1.
        name: for messages.

    Example:
        >>> round(StepDecay(0.1, 30)(30), 6)
        0.01
    """

    def __init__(self, initial_learning_rate: float, decay_steps: int, factor: float = 0.1, name: str = "StepDecay"):
        super().__init__(initial_learning_rate, decay_steps, name)
        self.factor = _positive(name, "factor", factor)

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * self.factor ** (step // self.decay_steps)


@SCHEDULES.add
class ExponentialDecay(_StairsDecay):
    """initial_learning_rate * decay_rate^(step / decay_steps); with `staircase` the exponent is rounded down.

    Example:
        >>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
        0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ):
        super().__init__(initial_learning_rate, decay_steps, staircase, name)
        self.decay_rate = _positive(name, "decay_rate", decay_rate)

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * self.decay_rate ** self._time(step)


@SCHEDULES.add
class InverseTimeDecay(_StairsDecay):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    With `staircase` the quotient of the steps is rounded down.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ):
        super().__init__(initial_learning_rate, decay_steps, staircase, name)
        self.decay_rate = _rate(name, "decay_rate", decay_rate)

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1.0 + self.decay_rate * self._time(step))


@SCHEDULES.add
class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] up to and including step boundaries[0], then values[1] up to boundaries[1], and so on.

    Args:
        boundaries: rising step numbers.
        values: rates, one more than boundaries.
        name: for messages.

    Example:
        >>> rate = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> rate(100), rate(101)
        (0.1, 0.01)
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"):
        self.boundaries = list(boundaries)
        self.values = [_rate(name, "values", value) for value in values]
        self.name = name
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"{name}: values must be one more than boundaries, got {len(self.values)} and {len(self.boundaries)}"
            )
        if self.boundaries != sorted(set(self.boundaries)):
            raise ValueError(f"{name}: boundaries must rise, got {self.boundaries}")

    def __call__(self, step: int) -> float:
        return self.values[bisect_left(self.boundaries, step)]


@SCHEDULES.add
class PolynomialDecay(_Decay):
    """(initial - end) * (1 - step / decay_steps)^power + end, and the end rate afterwards.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: steps until the end rate.
        end_learning_rate: default 1e-4.
        power: 1 is a straight line.
        cycle: instead of staying at the end rate, decay_steps grows to its next multiple whenever it is
            passed.
        name: for messages.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 1e-4,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ):
        super().__init__(initial_learning_rate, decay_steps, name)
        self.end_learning_rate = _rate(name, "end_learning_rate", end_learning_rate)
        self.power = _positive(name, "power", power)
        self.cycle = cycle

    def __call__(self, step: int) -> float:
        steps = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        left = 1.0 - min(step, steps) / steps
        return (self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate


@SCHEDULES.add
class CosineDecay(_Decay):
    """Half a cosine from the initial rate down to `alpha` times it (Loshchilov and Hutter 2017), after a
    warm-up.

    With `warmup_target` the rate first rises in a straight line from `initial_learning_rate` to it over
    `warmup_steps` (Goyal et al. 2017), then falls from there over `decay_steps`: target * ((1 - alpha) * (1 +
    cos(pi t)) / 2 + alpha), t from 0 to 1.

    Args:
        initial_learning_rate: the rate at step 0.
        decay_steps: steps of the fall.
        alpha: last rate over highest rate.
        name: for messages.
        warmup_target: highest rate; None for no warm-up.
        warmup_steps: steps of the rise.

    Example:
        >>> rate = CosineDecay(0.0, 900, warmup_target=0.1, warmup_steps=100)
        >>> rate(50), rate(100), rate(1000)
        (0.05, 0.1, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ):
        super().__init__(initial_learning_rate, decay_steps, name)
        self.alpha = _rate(name, "alpha", alpha)
        self.warmup_target = None if warmup_target is None else _rate(name, "warmup_target", warmup_target)
        self.warmup_steps = int(_rate(name, "warmup_steps", warmup_steps))

    def __call__(self, step: int) -> float:
        if self.warmup_target is None:
            return self._fall(self.initial_learning_rate, step)
        if step < self.warmup_steps:
            rise = self.warmup_target - self.initial_learning_rate
            return self.initial_learning_rate + rise * step / self.warmup_steps
        return self._fall(self.warmup_target, step - self.warmup_steps)

    def _fall(self, start: float, step: int) -> float:
        return start * ((1.0 - self.alpha) * _half_cosine(step / self.decay_steps) + self.alpha)


@SCHEDULES.add
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that starts again and again (SGDR, Loshchilov and Hutter 2017, section 3).

    Args:
        initial_learning_rate: highest rate of the first period.
        first_decay_steps: its length.
        t_mul: length of a period over that of the one before.
        m_mul: highest rate of a period over that of the one before.
        alpha: last rate of the first period over its highest.
        name: for messages.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ):
        self.initial_learning_rate = _rate(name, "initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = _positive(name, "first_decay_steps", first_decay_steps)
        self.t_mul = _positive(name, "t_mul", t_mul)
        self.m_mul = _positive(name, "m_mul", m_mul)
        self.alpha = _rate(name, "alpha", alpha)
        self.name = name
        if self.t_mul < 1.0:
            raise ValueError(f"{name}: t_mul must be at least 1, got {t_mul}")

    def __call__(self, step: int) -> float:
        left, length, highest = float(step), float(self.first_decay_steps), 1.0
        while left >= length:
            left, length, highest = left - length, length * self.t_mul, highest * self.m_mul
        share = (1.0 - self.alpha) * highest * _half_cosine(left / length) + self.alpha
        return self.initial_learning_rate * share


@SCHEDULES.add
class OneCycle(LearningRateSchedule):
    """Up, down, and down to almost nothing: the one-cycle policy (Smith 2018, "A disciplined approach",
    section 4).

    With p = round(pct_start * total_steps), half cosines join three rates: max_learning_rate / div_factor at
    step 0, max_learning_rate at step p, and max_learning_rate / (div_factor * final_div_factor) at step
    total_steps - 1, where it stays.

    Args:
        max_learning_rate: the highest rate; `lr_find` helps to choose it.
        total_steps: steps of the whole training: epochs times batches of an epoch.
        pct_start: share of the steps that rise; default 0.3.
        div_factor: highest rate over first rate; default 25.
        final_div_factor: first rate over last rate; default 1e4.
        name: for messages.

    Example:
        >>> rate = OneCycle(0.1, total_steps=100)
        >>> round(rate(0), 6), round(rate(30), 6), rate(99) < 1e-6
        (0.004, 0.1, True)
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        name: str = "OneCycle",
    ):
        self.max_learning_rate = _rate(name, "max_learning_rate", max_learning_rate)
        self.total_steps = int(_positive(name, "total_steps", total_steps))
        if not 0.0 < pct_start < 1.0:
            raise ValueError(f"{name}: pct_start must lie between 0 and 1, got {pct_start}")
        self.pct_start = float(pct_start)
        self.div_factor = _positive(name, "div_factor", div_factor)
        self.final_div_factor = _positive(name, "final_div_factor", final_div_factor)
        self.name = name

    def __call__(self, step: int) -> float:
        first = self.max_learning_rate / self.div_factor
        peak = round(self.pct_start * self.total_steps)
        if step < peak:
            return self.max_learning_rate + (first - self.max_learning_rate) * _half_cosine(step / peak)
        last = first / self.final_div_factor
        return last + (self.max_learning_rate - last) * _half_cosine(
            (step - peak) / max(self.total_steps - 1 - peak, 1)
        )


def _half_cosine(t: float) -> float:
    """From 1 at t = 0 to 0 at t = 1 and after."""
    return 0.5 * (1.0 + math.cos(math.pi * min(t, 1.0)))


def _rate(name: str, what: str, value: Any) -> float:
    """A finite number of at least 0."""
    number = _number(name, what, value)
    if number < 0.0:
        raise ValueError(f"{name}: {what} must be at least 0, got {value!r}")
    return number


def _positive(name: str, what: str, value: Any) -> float:
    number = _number(name, what, value)
    if number <= 0.0:
        raise ValueError(f"{name}: {what} must be greater than 0, got {value!r}")
    return number


def _number(name: str, what: str, value: Any) -> float:
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: {what} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name}: {what} must be finite, got {value!r}")
    return float(value)


def get(identifier: Any) -> Any:
    """A schedule from its description {"class_name", "config"}; a callable is one already.

    Raises:
        ValueError: an unknown class or arguments that do not fit. TypeError: anything else.
    """
    if isinstance(identifier, dict):
        return restore(SCHEDULES, identifier)
    if callable(identifier):
        return identifier
    raise TypeError(f"schedule: expected a LearningRateSchedule, got {identifier!r}")


def serialize(schedule: Any) -> dict[str, Any]:
    """{"class_name", "config"} of a schedule. ValueError for a function, which no file can hold."""
    return describe(SCHEDULES, schedule)


__all__ = [
    "Constant",
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateRange",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "StepDecay",
    "get",
    "lr_find",
    "serialize",
]
