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


def _mean(function):
    """A loss from the (loss, gradient) of each number: the mean over the last axis."""

    def loss(x, t, weight=None, **options):
        x, t = x.astype(np.float64), t.astype(np.float64)
        values, gradients = function(x, t, **options)
        f = _factor(x, weight) / x.shape[-1]
        return (values * f).sum(), gradients * f

    return loss


def _focal(x, t, alpha=None, gamma=2.0, smoothing=0.0):
    t = t * (1 - smoothing) + smoothing / 2
    p, q = np.clip(x, EPSILON, 1 - EPSILON), t * (1 - x) + (1 - t) * x
    entropy = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    slope = np.where(p == x, (1 - t) / (1 - p) - t / p, 0)
    balance = 1 if alpha is None else t * alpha + (1 - t) * (1 - alpha)
    return balance * q**gamma * entropy, balance * q**gamma * (slope + gamma * (1 - 2 * t) / q * entropy)


def _logarithmic(x, t):
    p = np.maximum(x, EPSILON)
    d = np.log1p(p) - np.log1p(np.maximum(t, EPSILON))
    return d**2, np.where(x > EPSILON, 2 * d / (1 + p), 0)


def _log_cosh(x, t):
    d = np.abs(x - t)  # of small numbers: 2 sinh(d/2)^2 = cosh(d) - 1 does not cancel
    return np.where(d < 1, np.log1p(2 * np.sinh(d / 2) ** 2), d + np.log1p(np.exp(-2 * d)) - np.log(2)), np.tanh(x - t)


def _huber(x, t, delta=1.0):
    d = x - t
    return np.where(abs(d) <= delta, d**2 / 2, delta * (abs(d) - delta / 2)), np.clip(d, -delta, delta)


mean_squared_error = _mean(lambda x, t: ((x - t) ** 2, 2 * (x - t)))
mean_absolute_error = _mean(lambda x, t: (abs(x - t), np.sign(x - t)))
mean_absolute_percentage_error = _mean(
    lambda x, t: (100 * abs(x - t) / np.maximum(abs(t), EPSILON), 100 * np.sign(x - t) / np.maximum(abs(t), EPSILON))
)
mean_squared_logarithmic_error = _mean(_logarithmic)
huber = _mean(_huber)
log_cosh = _mean(_log_cosh)
hinge = _mean(lambda x, t: (np.maximum(1 - t * x, 0), np.where(1 - t * x > 0, -t, 0)))
squared_hinge = _mean(lambda x, t: (np.maximum(1 - t * x, 0) ** 2, -2 * t * np.maximum(1 - t * x, 0)))
poisson = _mean(lambda x, t: (x - t * np.log(x + EPSILON), 1 - t / (x + EPSILON)))
binary_focal_crossentropy = _mean(_focal)


def kl_divergence(x, t, weight=None):
    x, f = x.astype(np.float64), _factor(x, weight)
    p, q = np.clip(x, EPSILON, 1), np.clip(t.astype(np.float64), EPSILON, 1)
    return (q * np.log(q / p) * f).sum(), np.where(p == x, -q / p, 0) * f


def categorical_hinge(x, t, weight=None):
    x, t, f = x.astype(np.float64), t.astype(np.float64), _factor(x, weight)
    wrong = (1 - t) * x
    largest = wrong == wrong.max(-1, keepdims=True)
    loss = np.maximum(1 + wrong.max(-1, keepdims=True) - (t * x).sum(-1, keepdims=True), 0)
    slope = largest * (1 - t) / largest.sum(-1, keepdims=True) - t
    return (loss * f).sum(), np.where(loss > 0, slope, 0) * f


def categorical_focal_crossentropy(x, t, weight=None, alpha=0.25, gamma=2.0, smoothing=0.0):
    x, t = x.astype(np.float64), t.astype(np.float64)
    t = t * (1 - smoothing) + smoothing / x.shape[-1]
    total, f = x.sum(-1, keepdims=True), _factor(x, weight)
    q = x / total
    p = np.clip(q, EPSILON, 1 - EPSILON)
    focus = alpha * t * (1 - p) ** gamma
    g = np.where(p == q, focus * (gamma * np.log(p) / (1 - p) - 1 / p), 0)
    return -(focus * np.log(p) * f).sum(), (g - (g * q).sum(-1, keepdims=True)) / total * f
