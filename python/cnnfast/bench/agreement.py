"""Whether two peers computed the same: a ratio of times means nothing otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cnnfast.bench.data import make_data
from cnnfast.bench.spec import INPUT, Workload

Arrays = Mapping[str, np.ndarray]

#: Largest difference of outputs, and of a single kernel's gradients, as a part of the largest magnitude.
OUTPUT_TOLERANCE = 1e-4
#: Difference of a weight's gradient in a whole network, in the Euclidean norm. Among millions of activations
#: some are so near to a ReLU's kink or a pooling's tie that rounding decides, and depth magnifies it: 2e-3
#: between any two peers in shallow networks, 0.02 in MobileNetV2. Wrong arithmetic is above: a gradient is a
#: sum of terms of both signs, so to leave out one in a hundred changes it by 10 %.
GRADIENT_TOLERANCE = 0.05
#: A gradient whose root mean square is less than this part of the network's is measured against that part: a
#: bias before a normalization has gradient 0, of which only rounding is seen.
GRADIENT_FLOOR = 0.01
#: Difference of a weight's change by the optimizer, in a network whose gradients leave nothing to chance. To leave
#: out a bias correction, or to mistake a decay rate, changes it by several per cent.
RULE_TOLERANCE = 2e-3
#: Difference of the change of all weights by the optimizer in the network itself, in the Euclidean norm, every number
#: weighed by its gradient. Adam and RMSprop divide by the gradient's magnitude: where that is as small as the
#: differences above, its sign, and a whole step, is chance; but such steps are not what lowers the loss.
UPDATE_TOLERANCE = 0.03
#: Relative difference of losses.
LOSS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Check:
    """One thing that peers must agree on.

    Attributes:
        what: for messages.
        workload: what to load.
        steps: how many steps to do before the answer is taken.
        compare: what is compared, and with which tolerance: "output", "gradient" (a change of weights by gradient
            descent, or a gradient of the input), "rule" (by the optimizer) or "update" (by the optimizer, weighed by
            the gradient); "images": the outputs that both can make.
    """

    what: str
    workload: Workload
    steps: int
    compare: str


def checks(workload: Workload) -> Iterator[Check]:
    """What to check for a workload.

    Training is checked in four ways, without dropout: predictions; gradients, as the change that one step of plain
    gradient descent makes; the optimizer's rule, as the change that several steps make in a network so small that its
    gradients are the same to the last digits; and losses and the change over two steps of the whole.
    """
    if workload.mode == "augment":
        yield Check("images", workload, 0, "images")
        return
    if workload.mode == "saliency":
        # A gradient through the whole network: the few ReLUs near their kinks show in it, as they do in a weight's.
        yield Check("input gradient", workload, 0, "gradient")
        return
    if workload.mode != "train":
        yield Check("output", workload, 0, "output")
        return
    plain = workload.without_dropout()
    yield Check("prediction", dataclasses.replace(plain, mode="infer"), 0, "output")
    # A large rate, so that the change is not lost in the rounding of the weights.
    descent = dataclasses.replace(plain, optimizer="sgd", learning_rate=100.0)
    yield Check("gradient", descent, 1, "gradient")
    yield Check("optimizer", _single_layer(plain), 5, "rule")
    yield Check("update", plain, 2, "update")


def _single_layer(workload: Workload) -> Workload:
    """The last layer alone, with its loss and optimizer, and steps so long that rounding of weights does not matter."""
    last = dataclasses.replace(workload.layers[-1], inputs=(INPUT,))
    return dataclasses.replace(workload, input_shape=(16,), batch=4, layers=(last,), learning_rate=0.1)


@dataclass(frozen=True)
class Answer:
    losses: list[float]
    arrays: dict[str, np.ndarray]


def disagreement(todo: Sequence[Check], expected: Sequence[Answer], got: Sequence[Answer]) -> str:
    """The first thing in which two peers differ, or "" if they agree.

    Args:
        todo: what was asked.
        expected: one peer's answers.
        got: another's.
    """
    gradient: Arrays = {}
    for check, one, other in zip(todo, expected, got, strict=True):
        if check.compare == "images":
            one, other = _shared(one, other), _shared(other, one)
        if found := _form_disagreement(one, other):
            return f"{check.what}: {found}"
        start = make_data(check.workload).weights if check.steps else {}
        a, b = _changes(start, one), _changes(start, other)
        if check.compare == "gradient":
            gradient = a
        for name, error in _ERRORS[check.compare](a, b, gradient):
            if not error <= _TOLERANCE[check.compare]:  # written so that NaN fails
                return f"{check.what}: {name} differs by {error:.1e}, allowed is {_TOLERANCE[check.compare]:g}"
    return ""


def _shared(answer: Answer, other: Answer) -> Answer:
    """What of an answer the other has too: only what all peers can make is in each."""
    return Answer(answer.losses, {name: a for name, a in answer.arrays.items() if name in other.arrays})


def _form_disagreement(expected: Answer, got: Answer) -> str:
    """What forbids to compare the numbers of two answers, or a loss that differs."""
    if expected.arrays.keys() != got.arrays.keys():
        return f"expected {sorted(expected.arrays)}, got {sorted(got.arrays)}"
    for name, a in expected.arrays.items():
        if a.shape != got.arrays[name].shape:
            return f"{name} has shapes {a.shape} and {got.arrays[name].shape}"
    for one, other in zip(expected.losses, got.losses, strict=True):
        if not abs(one - other) <= LOSS_TOLERANCE * max(abs(one), abs(other)):
            return f"losses {_numbers(expected.losses)} and {_numbers(got.losses)}"
    return ""


def _changes(start: Arrays, answer: Answer) -> Arrays:
    """What must agree: outputs as they are, of weights in float64 how they changed."""
    if not start:
        return answer.arrays
    return {
        name: a.astype(np.float64) - start[name]
        for name, a in answer.arrays.items()
        if not name.rsplit("/", 1)[-1].startswith("moving")  # PyTorch's running variance is the unbiased one
    }


def _output_errors(a: Arrays, b: Arrays, _: Arrays) -> Iterator[tuple[str, float]]:
    for name in a:
        yield name, _part(np.abs(a[name] - b[name]).max(initial=0.0), np.abs(a[name]).max(initial=0.0))


def _gradient_errors(a: Arrays, b: Arrays, _: Arrays) -> Iterator[tuple[str, float]]:
    mean_square = _square_sum(a) / max(1, sum(v.size for v in a.values()))
    for name, v in a.items():
        floor = GRADIENT_FLOOR * np.sqrt(mean_square * v.size)
        yield name, _part(_norm(v - b[name]), max(_norm(v), floor))


def _rule_errors(a: Arrays, b: Arrays, _: Arrays) -> Iterator[tuple[str, float]]:
    for name, v in a.items():
        yield f"the change of {name}", _part(_norm(v - b[name]), _norm(v))


def _update_errors(a: Arrays, b: Arrays, gradient: Arrays) -> Iterator[tuple[str, float]]:
    weighed = {name: gradient[name] * v for name, v in a.items()}
    difference = {name: gradient[name] * (v - b[name]) for name, v in a.items()}
    yield "the change of all weights", _part(np.sqrt(_square_sum(difference)), np.sqrt(_square_sum(weighed)))


_ERRORS = {
    "output": _output_errors, "images": _output_errors, "gradient": _gradient_errors, "rule": _rule_errors,
    "update": _update_errors,
}  # fmt: skip
_TOLERANCE = {
    "output": OUTPUT_TOLERANCE, "images": OUTPUT_TOLERANCE, "gradient": GRADIENT_TOLERANCE, "rule": RULE_TOLERANCE,
    "update": UPDATE_TOLERANCE,
}  # fmt: skip


def _norm(v: np.ndarray) -> float:
    return float(np.linalg.norm(v))


def _square_sum(arrays: Arrays) -> float:
    return float(sum(np.vdot(v, v) for v in arrays.values()))


def _part(error: float, scale: float) -> float:
    """error / scale; infinite for what is not finite or differs from nothing at all."""
    if error == 0:
        return 0.0
    return float(error / scale) if scale > 0 and np.isfinite(error) else float("inf")


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{v:.6g}" for v in values)
