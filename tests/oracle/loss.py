"""Softmax and losses in plain float64 NumPy: the oracle. A loss is (number, gradient)."""

from __future__ import annotations

import numpy as np

EPSILON = 1e-7  # Keras': probabilities are kept this far from 0 and 1


def softmax(x):
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_backward(dy, x):
    y = softmax(x)
    return y * (dy - (dy * y).sum(-1, keepdims=True))


def _factor(x, weight):
    """What each sample's loss counts for, (..., 1)."""
    samples = x[..., 0].size
    return np.ones((*x.shape[:-1], 1)) / samples if weight is None else weight[..., None].astype(float) / samples


def one_hot(labels, classes):
    return np.eye(classes)[labels]


def softmax_crossentropy(x, t, weight=None, smoothing=0.0):
    x, t = x.astype(np.float64), t.astype(np.float64)
    t = t * (1 - smoothing) + smoothing / x.shape[-1]
    z = x - x.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    f = _factor(x, weight)
    return -(t * log_p * f).sum(), (np.exp(log_p) * t.sum(-1, keepdims=True) - t) * f


def categorical_crossentropy(x, t, weight=None, smoothing=0.0):
    x, t = x.astype(np.float64), t.astype(np.float64)
    t = t * (1 - smoothing) + smoothing / x.shape[-1]
    total, f = x.sum(-1, keepdims=True), _factor(x, weight)
    q = x / total
    g = np.where((q > EPSILON) & (q < 1 - EPSILON), -t / np.clip(q, EPSILON, 1), 0)
    loss = -(t * np.log(np.clip(q, EPSILON, 1 - EPSILON)) * f).sum()
    return loss, (g - (g * q).sum(-1, keepdims=True)) / total * f


def binary_crossentropy(x, t, weight=None, smoothing=0.0):
    x, t = x.astype(np.float64), t.astype(np.float64) * (1 - smoothing) + smoothing / 2
    p, f = np.clip(x, EPSILON, 1 - EPSILON), _factor(x, weight) / x.shape[-1]
    loss = -((t * np.log(p) + (1 - t) * np.log(1 - p)) * f).sum()
    return loss, np.where(p == x, (1 - t) / (1 - p) - t / p, 0) * f


def binary_crossentropy_with_logits(x, t, weight=None, smoothing=0.0):
    x, t = x.astype(np.float64), t.astype(np.float64) * (1 - smoothing) + smoothing / 2
    f = _factor(x, weight) / x.shape[-1]
    loss = ((np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))) * f).sum()
    return loss, (1 / (1 + np.exp(-x)) - t) * f


def mean_squared_error(x, t, weight=None):
    d, f = x.astype(np.float64) - t, _factor(x, weight) / x.shape[-1]
    return (d * d * f).sum(), 2 * d * f
