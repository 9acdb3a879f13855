"""Settings of optimizers that the oracle and Keras are compared on, and how steps are made with them."""

from __future__ import annotations

import numpy as np

from cnnfast.graph import Graph, Variable
from cnnfast.graph.program import Program
from tests.tolerance import UNIT_ROUNDOFF

CASES = [
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.5, "weight_decay": 0.01}),
    ("Adam", {"learning_rate": 0.01}),
    ("Adam", {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"learning_rate": 0.01, "amsgrad": True}),
    ("Adam", {"learning_rate": 0.01, "weight_decay": 0.1}),
    ("Adam", {"learning_rate": 0.01, "clipnorm": 0.5}),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.004}),
    ("RMSprop", {"learning_rate": 0.01}),
    ("RMSprop", {"learning_rate": 0.01, "rho": 0.5, "momentum": 0.9, "epsilon": 1e-3}),
    ("RMSprop", {"learning_rate": 0.01, "centered": True, "epsilon": 1e-2}),
    ("RMSprop", {"learning_rate": 0.01, "momentum": 0.3, "centered": True, "weight_decay": 0.2}),
    ("SGD", {"learning_rate": 0.1, "clipnorm": 1.0}),
    ("SGD", {"learning_rate": 0.1, "clipnorm": 1e6}),
    ("SGD", {"learning_rate": 0.1, "clipvalue": 0.3}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "global_clipnorm": 2.0}),
]


def case_id(case):
    return "-".join([case[0], *(f"{k}={v}" for k, v in case[1].items() if k != "learning_rate")])


SHAPES = [(), (1,), (7,), (3, 3, 2, 5), (20_001,)]


class Training:
    """Weights, and a Program that makes one step of an optimizer with gradients that it is fed with."""

    def __init__(self, optimizer, weights):
        self.optimizer = optimizer
        self.variables = [Variable(w, name=f"layer/w{i}") for i, w in enumerate(weights)]
        graph = Graph(training=True)
        gradients = [graph.input(v.spec) for v in self.variables]
        optimizer.build(self.variables)
        optimizer.update_ops(graph, self.variables, gradients)
        self.program = Program(graph, gradients, [])

    def step(self, gradients):
        self.optimizer.prepare_step()
        self.program.run(gradients)
        self.optimizer.finish_step()

    def run(self, steps):
        for gradients in steps:
            self.step(gradients)
        return [v.numpy() for v in self.variables]


def numbers(rng, steps=5):
    """Weights of all shapes, and gradients for each step."""
    weights = [rng.standard_normal(s).astype(np.float32) for s in SHAPES]
    gradients = [[np.asarray(rng.standard_normal(s), np.float32) for s in SHAPES] for _ in range(steps)]
    return weights, gradients


def assert_close(weights, before, exact):
    """Weights after a few steps from `before` against exact ones."""
    for w, start, w64 in zip(weights, before, exact, strict=True):
        # Some ten roundings a step, of the weight and of what is added to it (a few times what is left).
        scale = np.max(np.abs(start)) + np.max(np.abs(w64 - start))
        np.testing.assert_allclose(w, w64, rtol=0, atol=64 * UNIT_ROUNDOFF * scale)
