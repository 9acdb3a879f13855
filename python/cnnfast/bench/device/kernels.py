"""Kernels that wait for memory, each in a Program of its own, timed by the engine's profile.

A kernel is measured by the bytes that it must move: what it reads from outside counted once, what it writes for
others counted once. A kernel that has to read its input twice, such as batch normalization, does not get there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

import numpy as np

from cnnfast.bench.statistics import Spread, spread

Shape: TypeAlias = tuple[int, ...]

#: The row that every other is measured against.
COPY = "kernel/copy"
WARM_UP_RUNS = 2
_BATCH = 64
_DRAWN = 1 << 20


@dataclass(frozen=True)
class KernelRow:
    """A row of the suite: one kernel at one size under one policy.

    Attributes:
        name: as `cnnfast bench --only` takes it: "kernel/batch-norm-relu-56x56x256/mixed_bfloat16".
        kind: a key of the tables of graphs in this module.
        shape: of its largest tensor, the batch included.
        policy: under which its Program is built.
        mode, group: as of a `Workload`.
    """

    name: str
    kind: str
    shape: Shape
    policy: str
    mode: str = "kernel"
    group: str = "kernel"

    @property
    def description(self) -> str:
        return f"{self.kind}, {'x'.join(map(str, self.shape))}, {self.policy}"


@dataclass
class KernelResult:
    """What came of one row.

    Attributes:
        row: which.
        seconds: of the kernel alone, one figure for each run.
        bytes: read and written, each tensor once.
        types: of the largest tensors it read, as they are in the Program.
        error: why there are no figures, or "".
    """

    row: KernelRow
    seconds: list[float] = field(default_factory=list)
    bytes: int = 0
    types: str = ""
    error: str = ""

    @property
    def spread(self) -> Spread:
        return spread(self.seconds)

    @property
    def bandwidth(self) -> float | None:
        """Bytes a second, by the median; None without figures."""
        return self.bytes / self.spread.median if self.seconds and not self.error else None


@dataclass(frozen=True)
class _Case:
    """A graph that holds the kernel and as little else as possible.

    Attributes:
        ops: whose steps are the kernel; casts before it and what makes its inputs or reads its outputs are not.
        feeds, fetches: of the Program. Fetches are small: they are copied to the host at each run.
        arrays: for the feeds.
    """

    ops: frozenset[str]
    feeds: list[Any]
    fetches: list[Any]
    arrays: list[np.ndarray]


class _Feeds:
    """Collects the feeds of a graph with arrays of normal numbers for them.

    Args:
        graph: that they are of.
        rng: makes the numbers.
        policy: under which the graph becomes a Program.
    """

    def __init__(self, graph: Any, rng: np.random.Generator, policy: str):
        self._graph, self._rng, self._policy = graph, rng, policy
        self.values: list[Any] = []
        self.arrays: list[np.ndarray] = []

    def normal(self, shape: Shape) -> Any:
        """Normal numbers, the same ones again after the first million: to draw all would take longer than to run."""
        drawn = self._rng.standard_normal(min(prod(shape), _DRAWN), dtype=np.float32)
        return self.add(np.resize(drawn, shape))

    def activation(self, shape: Shape) -> Any:
        """Normal numbers in the type that flows between layers: where that is bfloat16, it comes from a convolution.

        What it makes is scaled by 1, lest the convolution becomes one with what is measured.
        """
        from cnnfast import ops
        from cnnfast.graph.values import Variable

        x = self.normal(shape)
        if self._policy != "mixed_bfloat16":
            return x
        ones = Variable(np.ones((1, 1, shape[-1], 1)), "ones", trainable=False)
        return ops.scale(ops.depthwise_conv2d(x, self._graph.variable(ones)), 1.0)

    def add(self, array: np.ndarray) -> Any:
        from cnnfast.graph.values import Spec

        self.arrays.append(array)
        self.values.append(self._graph.input(Spec(array.shape, array.dtype.name)))
        return self.values[-1]

    def case(self, ops: Sequence[str], fetches: Sequence[Any]) -> _Case:
        return _Case(frozenset(ops), self.values, list(fetches), self.arrays)


# What builds the graph of a kind: from the Graph, its feeds and the shape of the largest tensor.
_Build: TypeAlias = Callable[[Any, _Feeds, Shape], _Case]


def _small(y: Any) -> Any:
    """A small value that needs all of `y`: what is not read is not computed, what is fetched is copied."""
    from cnnfast import ops

    return ops.global_average_pool2d(y)


def _copy(graph: Any, feeds: _Feeds, shape: Shape) -> _Case:
    from cnnfast import ops

    return feeds.case(["scale"], [_small(ops.scale(feeds.add(np.ones(shape, np.float32)), 1.0))])


def _batch_norm(residual: bool, backward: bool) -> _Build:
    """Batch normalization, a sum if there is a residual, ReLU; or the gradients of all these."""

    def build(graph: Any, feeds: _Feeds, shape: Shape) -> _Case:
        from cnnfast import ops
        from cnnfast.graph.differentiate import differentiate
        from cnnfast.graph.values import Variable

        x = feeds.activation(shape)
        r = feeds.activation(shape) if residual else None
        scales = [graph.variable(Variable(np.full(shape[-1], value), name)) for name, value in _SCALES.items()]
        y, mean, _ = ops.batch_norm(x, *scales)
        y = ops.relu(y if r is None else ops.add(y, r))
        if not backward:
            return feeds.case(["batch_norm", "add", "relu"], [_small(y), mean])
        dy = feeds.activation(shape)
        _, dgamma, *dr = differentiate(graph, [(y, dy)], [x, scales[0], *([] if r is None else [r])])
        return feeds.case(["batch_norm_backward", "relu_backward"], [dgamma, *map(_small, dr)])

    return build


_SCALES = {"gamma": 1.0, "beta": 0.1}


def _relu_backward_bias(graph: Any, feeds: _Feeds, shape: Shape) -> _Case:
    from cnnfast import ops

    dz = ops.relu_backward(feeds.activation(shape), feeds.activation(shape))
    return feeds.case(["relu_backward_bias", "relu_backward", "bias_backward"], [ops.bias_backward(dz)])


def _max_pool(backward: bool) -> _Build:
    """ResNet's pooling: windows of 3x3, a step of 2."""

    def build(graph: Any, feeds: _Feeds, shape: Shape) -> _Case:
        from cnnfast import ops
        from cnnfast.graph.differentiate import differentiate

        x = feeds.activation(shape)
        y, argmax = ops.max_pool2d_argmax(x, 3, strides=2, padding=1)
        if not backward:
            return feeds.case(["max_pool2d"], [argmax])
        (dx,) = differentiate(graph, [(y, feeds.activation(y.spec.known_shape))], [x])
        return feeds.case(["max_pool2d_backward"], [_small(dx)])

    return build


def _softmax(graph: Any, feeds: _Feeds, shape: Shape) -> _Case:
    from cnnfast import ops

    return feeds.case(["softmax"], [ops.softmax(feeds.normal(shape))])


def _softmax_loss(graph: Any, feeds: _Feeds, shape: Shape) -> _Case:
    from cnnfast import ops

    labels = np.arange(prod(shape[:-1]), dtype=np.int32).reshape(shape[:-1]) % shape[-1]
    found = ops.sparse_softmax_crossentropy(feeds.normal(shape), feeds.add(labels))
    return feeds.case(["softmax_crossentropy"], found)


def _adam_update(graph: Any, feeds: _Feeds, shape: Shape) -> _Case:
    from cnnfast.graph.values import Variable
    from cnnfast.ops.optimizer import ADAM_UPDATE, update

    w, m, v = (graph.variable(Variable(np.zeros(shape), name)) for name in ("w", "m", "v"))
    hyper = graph.variable(Variable([0.0, 1e-3, 0.1, 1e-3, 1e-7, 0.0, 0.0, 0.0], "hyper"))
    update(ADAM_UPDATE, w, feeds.normal(shape), hyper, [m, v, None])
    return feeds.case(["adam_update"], [])


def _dropout(graph: Any, feeds: _Feeds, shape: Shape) -> _Case:
    from cnnfast import ops

    return feeds.case(["dropout"], [_small(ops.dropout(feeds.activation(shape), 0.5))])


_BUILDERS: dict[str, _Build] = {
    "copy": _copy,
    "batch-norm-relu": _batch_norm(residual=False, backward=False),
    "batch-norm-add-relu": _batch_norm(residual=True, backward=False),
    "batch-norm-relu-backward": _batch_norm(residual=False, backward=True),
    "batch-norm-add-relu-backward": _batch_norm(residual=True, backward=True),
    "relu-backward-bias": _relu_backward_bias,
    "max-pool": _max_pool(backward=False),
    "max-pool-backward": _max_pool(backward=True),
    "softmax": _softmax,
    "softmax-loss": _softmax_loss,
    "adam-update": _adam_update,
    "dropout": _dropout,
}

_LARGE, _DEEP, _STEM = (_BATCH, 56, 56, 256), (_BATCH, 14, 14, 1024), (_BATCH, 112, 112, 64)
# ResNet-50's sizes: the largest and a deep activation, the classifier's output for 256 images, the largest weight and
# as many numbers as the whole network has.
_SIZES: dict[str, tuple[Shape, ...]] = {
    "batch-norm-relu": (_LARGE, _DEEP),
    "batch-norm-add-relu": (_LARGE, _DEEP),
    "batch-norm-relu-backward": (_LARGE, _DEEP),
    "batch-norm-add-relu-backward": (_LARGE, _DEEP),
    "relu-backward-bias": (_LARGE, _DEEP),
    "max-pool": (_STEM,),
    "max-pool-backward": (_STEM,),
    "softmax": ((256, 1000),),
    "softmax-loss": ((256, 1000),),
    "adam-update": ((3, 3, 512, 512), (25_557_032,)),
    "dropout": (_LARGE,),
}
_POLICIES = ("mixed_bfloat16", "float32")
_FLOAT32_ONLY = frozenset({"softmax", "softmax-loss", "adam-update"})  # under every policy
_COPIED = (64, 64, 64, 1024)  # 1 GiB of float32


def rows() -> Iterator[KernelRow]:
    """The rows, the copy first."""
    yield KernelRow(COPY, "copy", _COPIED, "float32")
    for kind, shapes in _SIZES.items():
        for shape in shapes:
            sizes = "x".join(map(str, shape[1:] if shape[0] == _BATCH else shape))
            for policy in _POLICIES[1:] if kind in _FLOAT32_ONLY else _POLICIES:
                yield KernelRow(f"kernel/{kind}-{sizes}/{policy}", kind, shape, policy)


def measure(row: KernelRow, runs: int) -> dict[str, Any]:
    """Runs a row in this process, on its device.

    Returns:
        "seconds" of the kernel in each of `runs`, "bytes" and "types", as in `KernelResult`.

    Raises:
        ValueError: the Program holds no step of the kernel.
    """
    from cnnfast import config

    before = config.policy()
    config.set_policy(row.policy)
    try:
        program, case, kernel = _program(row)
        profiles = [program.profile(case.arrays, seed=run) for run in range(WARM_UP_RUNS + runs)]
    finally:
        config.set_policy(before)
    seconds = [sum(s for op, s in steps if op in case.ops) for steps in profiles[WARM_UP_RUNS:]]
    return {"seconds": seconds, "bytes": _traffic(kernel), "types": _types(kernel)}


def _program(row: KernelRow) -> tuple[Any, _Case, _Kernel]:
    """A row's Program, what it is fed with, and the nodes that are its kernel."""
    from cnnfast.graph.program import Program
    from cnnfast.graph.values import Graph

    graph = Graph(training=True)
    case = _BUILDERS[row.kind](graph, _Feeds(graph, np.random.default_rng(1), row.policy), row.shape)
    program = Program(graph, case.feeds, case.fetches)
    inside = [n for n in graph.nodes if n.op.name in case.ops]
    if not inside:
        raise ValueError(f"{row.name}: no step is one of {sorted(case.ops)}: {[n.op.name for n in graph.nodes]}")
    return program, case, _Kernel(inside, [n for n in graph.nodes if n.op.name not in case.ops])


@dataclass(frozen=True)
class _Kernel:
    """Nodes of a compiled graph: those that are measured, and the others."""

    inside: list[Any]
    outside: list[Any]

    def read(self) -> list[Any]:
        """Values that come from outside, each once."""
        made = {id(v) for n in self.inside for v in n.outputs}
        found = {id(v): v for n in self.inside for v in n.inputs if v is not None and id(v) not in made}
        return list(found.values())

    def written(self) -> list[Any]:
        """Values made for others, or for nobody; what is changed in place, too."""
        inner = {id(v) for n in self.inside for v in n.inputs} - {id(v) for n in self.outside for v in n.inputs}
        changed = [n.inputs[i] for n in self.inside for i in n.op.updates if n.inputs[i] is not None]
        return [v for n in self.inside for v in n.outputs if id(v) not in inner] + changed


_ITEM_SIZES = {"bfloat16": 2, "float32": 4, "int32": 4, "uint8": 1}


def _nbytes(value: Any) -> int:
    return prod(value.spec.known_shape) * _ITEM_SIZES[value.dtype]


def _traffic(kernel: _Kernel) -> int:
    return sum(map(_nbytes, [*kernel.read(), *kernel.written()]))


def _types(kernel: _Kernel) -> str:
    """The types of the largest tensors that are read, such as "bfloat16"."""
    read = [v for v in kernel.read() if v.dtype != "uint8"]  # where a pooling's largest values were
    most = max(prod(v.spec.known_shape) for v in read)
    return ", ".join(sorted({v.dtype for v in read if prod(v.spec.known_shape) == most}))
