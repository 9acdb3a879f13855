"""A model in a few lines of NumPy with the interface that training expects of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnfast import random
from cnnfast.training.errors import NonFiniteLoss
from cnnfast.training.trainer import Trainer


class LinearModel(Trainer):
    """y_i = x_i w_i for each of `outputs` pairs, mean squared error, plain gradient descent, in float64.

    `seen` lists the batches: (kind, xs, ys, weights).
    """

    def __init__(self, features: int = 3, outputs: int = 1, *, noise: float = 0.0, known: bool = True):
        self.outputs, self.noise, self.known = outputs, noise, known
        self.w = [np.linspace(-1, 1, features)[:, None] * (i + 1) for i in range(outputs)]
        self.seen: list[tuple[str, Any, Any, Any]] = []
        self._engine = LinearEngine(self)

    @property
    def input_names(self) -> list[str]:
        return [f"in{i}" for i in range(self.outputs)] if self.known else []

    @property
    def output_names(self) -> list[str]:
        return [f"out{i}" for i in range(self.outputs)] if self.known else []

    def get_weights(self) -> list[np.ndarray]:
        return [w.copy() for w in self.w]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.w = [np.array(w) for w in weights]


class LinearEngine:
    """Computes the steps of a LinearModel."""

    def __init__(self, model: LinearModel):
        self.model = model

    def set_loss(self, losses: Any, weights: Any, optimizer: Any) -> None:
        self.losses, self.loss_weights, self.optimizer = losses, list(weights), optimizer

    def output_shapes(self, xs: Any) -> list[tuple[int, ...]]:
        return [(len(x), 1) for x in xs]

    def predict(self, xs: Any) -> list[np.ndarray]:
        return [np.asarray(x, np.float64) @ w for x, w in zip(xs, self.model.w, strict=True)]

    def train(self, xs: Any, ys: Any, weights: Any) -> Any:
        total, losses, predictions, gradients = self._compute("train", xs, ys, weights)
        if not np.isfinite(total):
            raise NonFiniteLoss(total)
        rate = self.optimizer.learning_rate
        self.optimizer.iterations += 1
        if self.model.noise:  # stands for dropout: a step that needs a random number
            gradients[0] += self.model.noise * (random.next_seed() / 2.0**64)
        factors = [rate * f for f in self.loss_weights]
        self.model.w = [w - f * g for w, f, g in zip(self.model.w, factors, gradients, strict=True)]
        return total, losses, predictions

    def test(self, xs: Any, ys: Any, weights: Any) -> Any:
        return self._compute("test", xs, ys, weights)[:3]

    def _compute(self, kind: str, xs: Any, ys: Any, weights: Any) -> Any:
        self.model.seen.append((kind, xs, ys, weights))
        predictions = self.predict(xs)
        losses, gradients = [], []
        for x, y, p, weight in zip(xs, ys, predictions, weights, strict=True):
            difference = p - np.asarray(y, np.float64).reshape(p.shape)
            scale = np.ones((len(x), 1)) if weight is None else np.asarray(weight, np.float64).reshape(-1, 1)
            losses.append(float((scale * difference**2).mean()))
            gradients.append(2 * x.T @ (scale * difference) / len(x))
        return float(np.dot(losses, self.loss_weights)), losses, predictions, gradients


def linear_model(optimizer: Any = "sgd", metrics: Any = None, **kwargs: Any) -> LinearModel:
    """A LinearModel compiled with mean squared error."""
    model = LinearModel(**kwargs)
    model.compile(optimizer, "mse", metrics=metrics)
    return model


def linear_data(n: int = 10, features: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """x (N, features) and y (N, 1) that a linear model fits but for some noise."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, features))
    return x, x @ np.arange(1.0, features + 1)[:, None] + 0.1 * rng.normal(size=(n, 1))
