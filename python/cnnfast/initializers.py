"""How weights begin. Keras' names, defaults and distributions."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnfast.configurable import Configurable, describe, restore
from cnnfast.random import check_seed, get_generator
from cnnfast.registry import Registry

# A normal distribution cut at two standard deviations has this standard deviation.
_TRUNCATED_STDDEV = 0.87962566103423978

INITIALIZERS: Registry[Initializer] = Registry("initializer")


class Initializer(Configurable):
    """Base of all initializers: called with a shape, gives a float32 array.

    Example:
        >>> class Diagonal(Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return np.eye(*shape, dtype=np.float32)
        >>> Diagonal()((2, 2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        raise TypeError(f"{type(self).__name__}: an initializer must define __call__(shape)")


def register(cls: type[Initializer]) -> type[Initializer]:
    """Makes an initializer of one's own known to `get` and to saved models; usable as a decorator."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
    return INITIALIZERS.add(cls, snake)


@register
class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.zeros(shape, np.float32)


@register
class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.ones(shape, np.float32)


@register
class Constant(Initializer):
    """All `value`: a number, or numbers (a list or array) that broadcast to the weight's shape. Default 0."""

    def __init__(self, value: Any = 0.0):
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"Constant: value must be a number or an array of numbers, got {value!r}")
        self.value = array.tolist()

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        value = np.asarray(self.value, np.float32)
        try:
            return np.broadcast_to(value, tuple(shape)).copy()
        except ValueError as error:
            raise ValueError(f"Constant: value of shape {value.shape} does not fit {tuple(shape)}") from error


class _Random(Initializer):
    """Base of what draws: the same numbers at each call for a seed; None draws on, process-wide."""

    def __init__(self, seed: int | None):
        self.seed = None if seed is None else check_seed(type(self).__name__, seed)

    def _generator(self) -> np.random.Generator:
        return get_generator() if self.seed is None else np.random.default_rng(self.seed)


@register
class RandomNormal(_Random):
    """Normal distribution.

    Args:
        mean: default 0.
        stddev: default 0.05.
        seed: the same seed gives the same values at each call; None draws on.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.mean, self.stddev = float(mean), float(stddev)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._generator().normal(self.mean, self.stddev, tuple(shape)).astype(np.float32)


@register
class TruncatedNormal(_Random):
    """Normal distribution without what lies further than two standard deviations from the mean.

    Args:
        mean: default 0.
        stddev: before cutting; default 0.05.
        seed: the same seed gives the same values at each call; None draws on.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.mean, self.stddev = float(mean), float(stddev)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        standard = _truncated_normal(self._generator(), math.prod(shape))
        return (self.mean + self.stddev * standard).reshape(tuple(shape)).astype(np.float32)


def _truncated_normal(generator: np.random.Generator, count: int) -> np.ndarray:
    """`count` standard normal numbers in [-2, 2], by drawing again what falls outside."""
    x = generator.standard_normal(count)
    outside = np.flatnonzero(np.abs(x) > 2)
    while outside.size:
        x[outside] = generator.standard_normal(outside.size)
        outside = outside[np.abs(x[outside]) > 2]
    return x


@register
class RandomUniform(_Random):
    """Uniform distribution on [minval, maxval).

    Args:
        minval: default -0.05.
        maxval: default 0.05.
        seed: the same seed gives the same values at each call; None draws on.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.minval, self.maxval = float(minval), float(maxval)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._generator().uniform(self.minval, self.maxval, tuple(shape)).astype(np.float32)


def compute_fans(shape: Sequence[int]) -> tuple[float, float]:
    """(fan_in, fan_out) of a weight: how many inputs each output sums, and the reverse.

    The last two dimensions are input and output channels, those before them the window: so for
    dense (in, out), convolution (R, S, C, K) and depthwise (R, S, C, multiplier).

    Example:
        >>> compute_fans((3, 3, 16, 32))
        (144, 288)
    """
    shape = tuple(shape)
    if len(shape) < 2:
        fan = shape[0] if shape else 1
        return fan, fan
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


@register
class VarianceScaling(_Random):
    """Draws so that the variance is scale / fan.

    Args:
        scale: default 1.
        mode: "fan_in" (default), "fan_out" or "fan_avg".
        distribution: "truncated_normal" (default), "untruncated_normal" or "uniform".
        seed: the same seed gives the same values at each call; None draws on.

    Example:
        >>> VarianceScaling(2.0, seed=1)((3, 3, 16, 32)).shape
        (3, 3, 16, 32)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ):
        super().__init__(seed)
        if not scale > 0:
            raise ValueError(f"VarianceScaling: scale must be above 0, got {scale!r}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"VarianceScaling: mode must be 'fan_in', 'fan_out' or 'fan_avg', got {mode!r}")
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                "VarianceScaling: distribution must be 'truncated_normal', 'untruncated_normal' or "
                f"'uniform', got {distribution!r}"
            )
        self.scale, self.mode, self.distribution = float(scale), mode, distribution

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        shape = tuple(shape)
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(1.0, fan))
        generator = self._generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * stddev
            return generator.uniform(-limit, limit, shape).astype(np.float32)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, stddev, shape).astype(np.float32)
        x = _truncated_normal(generator, math.prod(shape)).reshape(shape)
        return (stddev / _TRUNCATED_STDDEV * x).astype(np.float32)


@register
class GlorotUniform(VarianceScaling):
    """Uniform on +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""

    def __init__(self, seed: int | None = None):
        super().__init__(1.0, "fan_avg", "uniform", seed)


@register
class GlorotNormal(VarianceScaling):
    """Truncated normal, variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""

    def __init__(self, seed: int | None = None):
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


@register
class HeUniform(VarianceScaling):
    """Uniform on +-sqrt(6 / fan_in) (He et al., 2015)."""

    def __init__(self, seed: int | None = None):
        super().__init__(2.0, "fan_in", "uniform", seed)


@register
class HeNormal(VarianceScaling):
    """Truncated normal, variance 2 / fan_in: keeps the variance through ReLU layers (He et al., 2015)."""

    def __init__(self, seed: int | None = None):
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


@register
class LecunUniform(VarianceScaling):
    """Uniform on +-sqrt(3 / fan_in) (LeCun et al., 1998, section 4.6)."""

    def __init__(self, seed: int | None = None):
        super().__init__(1.0, "fan_in", "uniform", seed)


@register
class LecunNormal(VarianceScaling):
    """Truncated normal, variance 1 / fan_in (LeCun et al., 1998, section 4.6)."""

    def __init__(self, seed: int | None = None):
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


@register
class Orthogonal(_Random):
    """Orthonormal rows or columns, whichever are fewer, times `gain` (Saxe et al., 2014).

    Args:
        gain: default 1.
        seed: the same seed gives the same values at each call; None draws on.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None):
        super().__init__(seed)
        self.gain = float(gain)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        shape = tuple(shape)
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: a shape of at least 2 dimensions is needed, got {shape}")
        rows, cols = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(self._generator().standard_normal((max(rows, cols), min(rows, cols))))
        # The signs of r's diagonal make the distribution uniform over orthogonal matrices (Mezzadri, 2007).
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        q = q if rows >= cols else q.T
        return (self.gain * q).reshape(shape).astype(np.float32)


for _cls, _short in ((Zeros, "zero"), (Ones, "one"), (RandomNormal, "normal"), (RandomUniform, "uniform")):
    INITIALIZERS.add(_cls, _short)


class _FromFunction(Initializer):
    """Any callable of a shape; what it returns is checked."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        value = np.asarray(self.function(tuple(shape)))
        if value.shape != tuple(shape) or value.dtype.kind not in "fiu":
            raise ValueError(
                f"initializer {self.function!r} expected to give numbers of shape {tuple(shape)}, "
                f"got {value.dtype} of shape {value.shape}"
            )
        return value.astype(np.float32)


def get(initializer: Any) -> Any:
    """The initializer that is meant.

    Args:
        initializer: a name ("he_normal" or "HeNormal"), an object, a class, a description as `serialize`
            gives, a function of a shape, or None.

    Returns:
        An `Initializer`, or None for None.

    Raises:
        ValueError: an unknown name, or arguments that the class does not take.
        TypeError: anything else.

    Example:
        >>> get("zeros")((2,)).tolist()
        [0.0, 0.0]
    """
    if initializer is None or isinstance(initializer, Initializer):
        return initializer
    if isinstance(initializer, str):
        return INITIALIZERS.find(initializer)()
    if isinstance(initializer, dict):
        return restore(INITIALIZERS, initializer)
    if inspect.isclass(initializer) and issubclass(initializer, Initializer):
        return initializer()
    if callable(initializer):
        return _FromFunction(initializer)
    raise TypeError(f"initializer: expected a name, an Initializer or a function of a shape, got {initializer!r}")


def serialize(initializer: Initializer) -> dict[str, Any]:
    """{"class_name", "config"} of a registered initializer. ValueError for any other."""
    return describe(INITIALIZERS, initializer)
