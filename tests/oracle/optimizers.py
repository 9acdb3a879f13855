"""One step of each optimizer in float64, from the papers and Keras' documented conventions."""

from __future__ import annotations

import numpy as np


def clip(gradients, clipnorm=None, clipvalue=None, global_clipnorm=None):
    """The gradients after the one way of clipping that is given."""
    if clipnorm is not None:
        return [g * min(1, clipnorm / np.linalg.norm(g)) for g in gradients]
    if global_clipnorm is not None:
        norm = np.sqrt(sum(np.sum(g * g) for g in gradients))
        return [g * min(1, global_clipnorm / norm) for g in gradients]
    if clipvalue is not None:
        return [np.clip(g, -clipvalue, clipvalue) for g in gradients]
    return gradients


def sgd(w, g, slots, t, learning_rate=0.01, momentum=0.0, nesterov=False):
    velocity = slots["velocity"] = momentum * slots.get("velocity", 0) - learning_rate * g
    return w + (momentum * velocity - learning_rate * g if nesterov else velocity)


def adam(w, g, slots, t, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False):
    m = slots["m"] = beta_1 * slots.get("m", 0) + (1 - beta_1) * g
    v = slots["v"] = beta_2 * slots.get("v", 0) + (1 - beta_2) * g * g
    if amsgrad:
        v = slots["v_max"] = np.maximum(slots.get("v_max", 0), v)
    step = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return w - step * m / (np.sqrt(v) + epsilon)


def rmsprop(w, g, slots, t, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
    square = slots["square"] = rho * slots.get("square", 0) + (1 - rho) * g * g
    mean = slots["mean"] = rho * slots.get("mean", 0) + (1 - rho) * g
    move = learning_rate * g / np.sqrt(square - (mean * mean if centered else 0) + epsilon)
    move = slots["move"] = momentum * slots.get("move", 0) + move
    return w - move


STEPS = {"SGD": sgd, "Adam": adam, "AdamW": adam, "RMSprop": rmsprop}
CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


def train(name, weights, gradients, weight_decay=None, undecayed=(), **options):
    """The weights after one step for each list of gradients; those numbered in `undecayed` do not decay."""
    weights = [np.array(w, dtype=np.float64) for w in weights]
    slots = [{} for _ in weights]
    clipping = {k: options.pop(k) for k in CLIPPING if k in options}
    rates = options.pop("learning_rate")
    for t, step_gradients in enumerate(gradients, start=1):
        rate = rates(t - 1) if callable(rates) else rates
        clipped = clip([g.astype(np.float64) for g in step_gradients], **clipping)
        for i, g in enumerate(clipped):
            decay = 0 if i in undecayed else rate * (weight_decay or 0)
            weights[i] = STEPS[name](weights[i] * (1 - decay), g, slots[i], t, learning_rate=rate, **options)
    return weights
