"""Activations and their derivatives by x, in float64."""

from __future__ import annotations

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=[np.float64])
_SLOPE = math.sqrt(2 / math.pi)


def _sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def _cdf(x):
    return 0.5 * (1 + _erf(x / math.sqrt(2)))


def _density(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _inner(x):
    return _SLOPE * (x + 0.044715 * x**3)


def _gelu_tanh_slope(x):
    t = np.tanh(_inner(x))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _SLOPE * (1 + 3 * 0.044715 * x * x)


#: name -> (value, derivative), at the parameters that the tests use
ACTIVATIONS = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: ((x > 0) & (x < 6)) * 1.0),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.3 * x), lambda x: np.where(x > 0, 1, 0.3)),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x))),
    "gelu": (lambda x: x * _cdf(x), lambda x: _cdf(x) + x * _density(x)),
    "gelu_tanh": (lambda x: 0.5 * x * (1 + np.tanh(_inner(x))), _gelu_tanh_slope),
    "elu": (lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))),
            lambda x: np.where(x > 0, 1, 0.7 * np.exp(np.minimum(x, 0)))),
    "softplus": (lambda x: np.logaddexp(x, 0), _sigmoid),
}  # fmt: skip
