"""Whether two peers computed the same: a ratio of times means nothing otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cnnfast.bench.data import make_data
from cnnfast.bench.spec import Workload

Arrays = Mapping[str, np.ndarray]

#: Largest difference of outputs, and of a single kernel's gradients, as a part of the largest magnitude.
OUTPUT_TOLERANCE = 1e-4
#: Difference of a whole network's gradients, in the Euclidean norm. Among millions of activations some are so
#: near to a ReLU's kink or a pooling's tie that rounding decides: measured up to 2e-3 between peers. Wrong
#: arithmetic is far above: gradients are sums of terms of both signs, so to leave out one term in a thousand
#: changes them by 3 %.
GRADIENT_TOLERANCE = 1e-2
#: Difference of weight changes, in the Euclidean norm. Adam and RMSprop divide by the gradient's magnitude,
#: so where a gradient is rounding noise its sign, and a whole step, is chance: measured up to 0.05.
UPDATE_TOLERANCE = 0.2
#: Relative difference of losses.
LOSS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Check:
    """One thing that peers must agree on.

    Attributes:
        what: for messages.
        workload: what to load.
        steps: how many steps to do before the answer is taken.
        compare: which tolerance holds: "output", "gradient" (a change of weights by gradient descent) or
            "update" (by the optimizer).
    """

    what: str
    workload: Workload
    steps: int
    compare: str


def checks(workload: Workload) -> Iterator[Check]:
    """What to check for a workload.

    Training is checked in three ways, without dropout: predictions; gradients, as the change that one step of
    plain gradient descent makes; losses and the change of the weights over two steps of the optimizer itself.
    """
    if workload.mode != "train":
        yield Check("output", workload, 0, "output")
        return
    plain = workload.without_dropout()
    yield Check("prediction", dataclasses.replace(plain, mode="infer"), 0, "output")
    # A large rate, so that the change is not lost in the rounding of the weights.
    descent = dataclasses.replace(plain, optimizer="sgd", learning_rate=100.0)
    yield Check("gradient", descent, 1, "gradient")
    yield Check("update", plain, 2, "update")


@dataclass(frozen=True)
class Answer:
    losses: list[float]
    arrays: dict[str, np.ndarray]


def disagreement(check: Check, expected: Answer, got: Answer) -> str:
    """Why two answers to a check differ, or "" if they agree.

    Args:
        check: what was asked.
        expected: one peer's answer.
        got: another's.
    """
    if expected.arrays.keys() != got.arrays.keys():
        return f"{check.what}: expected {sorted(expected.arrays)}, got {sorted(got.arrays)}"
    for a, b in zip(expected.losses, got.losses, strict=True):
        if not abs(a - b) <= LOSS_TOLERANCE * max(abs(a), abs(b)):  # written so that NaN fails
            return f"{check.what}: losses {_numbers(expected.losses)} and {_numbers(got.losses)}"
    start = make_data(check.workload).weights
    for name, reference in expected.arrays.items():
        if name.rsplit("/", 1)[-1].startswith("moving"):
            continue  # PyTorch's running variance is the unbiased one, Keras' is not
        if reference.shape != got.arrays[name].shape:
            return f"{check.what}: {name} has shapes {reference.shape} and {got.arrays[name].shape}"
        error = _difference(check, name, start, reference, got.arrays[name])
        if not error <= _TOLERANCE[check.compare]:
            return f"{check.what}: {name} differs by {error:.1e}, allowed is {_TOLERANCE[check.compare]:.0e}"
    return ""


_TOLERANCE = {"output": OUTPUT_TOLERANCE, "gradient": GRADIENT_TOLERANCE, "update": UPDATE_TOLERANCE}


def _difference(check: Check, name: str, start: Arrays, a: np.ndarray, b: np.ndarray) -> float:
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    if check.steps:
        a, b = a.astype(np.float64) - start[name], b.astype(np.float64) - start[name]
    size = _largest if check.compare == "output" else _norm
    error, scale = size(a - b), size(a)
    return 0.0 if error == 0 else error / scale if scale else float("inf")


def _largest(a: np.ndarray) -> float:
    return float(np.abs(a).max(initial=0.0))


def _norm(a: np.ndarray) -> float:
    return float(np.linalg.norm(a))


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{v:.6g}" for v in values)
