"""Penalties on weights (or activations) that are added to the loss. Keras' names and defaults."""

from __future__ import annotations

import inspect
import math
from typing import Any

from cnnfast import ops
from cnnfast.configurable import Configurable, describe, restore
from cnnfast.registry import Registry

REGULARIZERS: Registry[Regularizer] = Registry("regularizer")


class Regularizer(Configurable):
    """Base of all regularizers: `penalty` gives a scalar, made of ops, for a tensor.

    Example:
        >>> class Larger(Regularizer):
        ...     def penalty(self, w):
        ...         return ops.sum_abs(w, scale=10.0)
        >>> float(Larger()([1.0, -2.0]))
        30.0
    """

    def penalty(self, w: Any) -> Any:
        """The scalar that is added to the loss for the tensor `w`."""
        raise TypeError(f"{type(self).__name__}: a regularizer must define penalty(w)")

    def __call__(self, w: Any) -> Any:
        return self.penalty(w)


def register(cls: type[Regularizer]) -> type[Regularizer]:
    """Makes a regularizer of one's own known to `get` and to saved models; usable as a decorator."""
    return REGULARIZERS.add(cls, cls.__name__.lower())


@register
class L1L2(Regularizer):
    """l1 * sum |w| + l2 * sum w^2.

    Args:
        l1: factor of the sum of absolute values; default 0.
        l2: factor of the sum of squares; default 0.

    Raises:
        ValueError: a factor that is negative or not finite.

    Example:
        >>> float(L1L2(l1=0.5, l2=2.0)([1.0, -3.0]))
        22.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1 = self._factor("l1", l1)
        self.l2 = self._factor("l2", l2)

    def _factor(self, name: str, value: float) -> float:
        value = 0.0 if value is None else float(value)
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{type(self).__name__}: {name} must be finite and at least 0, got {value!r}")
        return value

    def penalty(self, w: Any) -> Any:
        if self.l1 and self.l2:
            return ops.add(ops.sum_abs(w, scale=self.l1), ops.sum_squares(w, scale=self.l2))
        return ops.sum_abs(w, scale=self.l1) if self.l1 else ops.sum_squares(w, scale=self.l2)


@register
class L1(L1L2):
    """l1 * sum |w|; default factor 0.01. Weights that do not matter become exactly 0 or nearly so."""

    def __init__(self, l1: float = 0.01):
        super().__init__(l1=l1)


@register
class L2(L1L2):
    """l2 * sum w^2; default factor 0.01. Note that there is no 1/2, as in Keras."""

    def __init__(self, l2: float = 0.01):
        super().__init__(l2=l2)


REGULARIZERS.add(L1L2, "l1_l2")
l1, l2, l1_l2 = L1, L2, L1L2


def get(regularizer: Any) -> Regularizer | None:
    """The regularizer that is meant.

    Args:
        regularizer: a name ("l2"), an object, a class, a description as `serialize` gives, or None.

    Raises:
        ValueError: an unknown name, or arguments that the class does not take.
        TypeError: anything else.

    Example:
        >>> get("l2")
        L2(l2=0.01)
    """
    if regularizer is None or isinstance(regularizer, Regularizer):
        return regularizer
    if isinstance(regularizer, str):
        return REGULARIZERS.find(regularizer)()
    if isinstance(regularizer, dict):
        return restore(REGULARIZERS, regularizer)
    if inspect.isclass(regularizer) and issubclass(regularizer, Regularizer):
        return regularizer()
    raise TypeError(f"regularizer: expected a name, a Regularizer or None, got {regularizer!r}")


def serialize(regularizer: Regularizer) -> dict[str, Any]:
    """{"class_name", "config"} of a registered regularizer. ValueError for any other."""
    return describe(REGULARIZERS, regularizer)
