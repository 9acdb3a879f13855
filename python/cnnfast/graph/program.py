"""Turns a graph into a Program of the engine and runs it: one call, whatever the number of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from cnnfast.graph.constants import constants_first, is_frozen, known, pack_weights, step_of
from cnnfast.graph.fuse import fuse
from cnnfast.graph.mixed import use_bfloat16
from cnnfast.graph.plan import op_of, plan
from cnnfast.graph.shared import SharedConstants
from cnnfast.graph.values import Graph, HostVariable, Value, Variable
from cnnfast.ops import engine, target


class Program:
    """A compiled graph.

    Args:
        graph: fully known shapes. It is fused in place and belongs to the Program afterwards.
        feeds: values given at each run, in the order of `run`'s arrays.
        fetches: values that `run` returns.
        guard: a scalar (the loss): if a run finds it infinite or NaN, nothing is updated.
        pause_at: values after which the first half of a run ends (see `run`'s `half`): what a loss written in NumPy
            needs before it can say its gradient.
    """

    def __init__(
        self,
        graph: Graph,
        feeds: Sequence[Value],
        fetches: Sequence[Value],
        *,
        guard: Value | None = None,
        pause_at: Sequence[Value] = (),
    ):
        self._target = target.current()
        guards = [] if guard is None else [guard]
        fuse(graph, [*fetches, *pause_at, *guards])
        if self._target.uses_bfloat16:
            as_float32 = use_bfloat16(graph, [*fetches, *pause_at, *guards])
            fetches, others = as_float32[: len(fetches)], as_float32[len(fetches) :]
            pause_at, guards = others[: len(pause_at)], others[len(pause_at) :]
            guard = guards[0] if guards else None
        keep = [*fetches, *pause_at, *guards]
        # Updates last: until then every reader of a variable sees the old value, and a bad loss can stop them all.
        graph.nodes.sort(key=lambda n: bool(op_of(n).updates))
        pack_weights(graph)
        constants = constants_first(graph, keep)
        steps = {id(n): step_of(n) for n in graph.nodes if not op_of(n).alias}
        self._constants = SharedConstants(constants, steps)
        self._updated = [v.variable for n in graph.nodes for i in op_of(n).updates if (v := n.inputs[i]) and v.variable]
        self.is_random = any(op_of(n).random for n in graph.nodes)
        self._variables = _variables_read(graph, fetches)
        self._extra_feeds = [] if self._target.is_cpu else _fed_by_the_host(graph)
        Variable.on_devices = Variable.on_devices or not self._target.is_cpu
        self._feeds = [*feeds, *(v for v, _ in self._extra_feeds)]
        self._fetches = list(fetches)
        self._build(graph, [steps.get(id(n)) for n in graph.nodes], keep, guard, pause_at)

    def _build(
        self,
        graph: Graph,
        steps: Sequence[engine.Step | None],
        keep: Sequence[Value],
        guard: Value | None,
        pause_at: Sequence[Value],
    ) -> None:
        shared = self._constants.arrays
        memory = plan(graph, steps, keep, shared)
        numbers: dict[int, int] = {}
        specs: list[tuple[str, list[int]]] = []
        arena: list[tuple[int, int]] = []
        fixed: list[tuple[int, np.ndarray | engine.DeviceArray]] = []
        fed = {id(v) for v, _ in self._extra_feeds}

        def number(v: Value) -> int:
            owner = memory.root.get(id(v), v)
            if id(owner) not in numbers:
                i = numbers[id(owner)] = len(specs)
                specs.append(known(owner))
                if id(owner) in memory.offsets:
                    arena.append((i, memory.offsets[id(owner)]))
                elif id(owner) in shared:
                    fixed.append((i, shared[id(owner)]))
                elif id(owner) not in fed:
                    array = self._fixed(owner)
                    if array is not None:
                        fixed.append((i, array))
            return numbers[id(owner)]

        calls = []
        for i, (node, step) in enumerate(zip(graph.nodes, steps, strict=True)):
            if step is not None:
                inputs = [-1 if v is None else number(v) for v in node.inputs]
                calls.append((step, inputs, [number(v) for v in node.outputs], memory.workspaces[i]))
        self._feed_numbers = [number(v) for v in self._feeds]
        self._fetch_numbers = [number(v) for v in self._fetches]
        self._every_fetch = range(len(self._fetches))
        self._fetch_shapes = [v.spec.known_shape for v in self._fetches]
        position = {id(v): i for i, n in enumerate(n for n in graph.nodes if not op_of(n).alias) for v in n.outputs}
        self._guard = -1 if guard is None else number(guard)
        self._guard_step = -1 if guard is None else _step_of(guard, position)
        self._pause = max(self._constants.step_count, 1 + max((_step_of(v, position) for v in pause_at), default=-1))
        backend = self._target.backend
        self._engine = engine.Program(specs, arena, fixed, self._feed_numbers, calls, memory.arena_bytes, backend)
        self._end = self._engine.step_count

    def _fixed(self, v: Value) -> np.ndarray | engine.DeviceArray | None:
        """The array that a value is in at every run, where the Program runs; None: it has none."""
        if v.variable is not None:
            device = self._target.device
            return v.variable._value if self._target.is_cpu else v.variable.array_on(device, self._allocate)
        if v.constant is None or self._target.is_cpu:
            return v.constant
        array = self._allocate(v.constant.nbytes)
        array.upload(v.constant)
        return array

    def _allocate(self, nbytes: int) -> engine.DeviceArray:
        return engine.DeviceArray(self._target.backend, nbytes)

    @property
    def arena_bytes(self) -> int:
        """Memory of this Program alone."""
        return self._engine.arena_bytes

    @property
    def constant_bytes(self) -> int:
        """Memory of what depends on weights alone, which other Programs may share."""
        return self._constants.nbytes

    def run(
        self,
        arrays: Sequence[np.ndarray],
        *,
        seed: int = 0,
        half: int | None = None,
        fetch: Sequence[int] | None = None,
    ) -> tuple[bool, list[np.ndarray]]:
        """Runs all steps (or one half of them) on C-contiguous arrays of the feeds' types and shapes.

        Args:
            arrays: one per feed.
            seed: of the random ops of this run.
            half: None for everything, 0 for the steps up to `pause_at`, 1 for the rest.
            fetch: positions in `fetches` of what to return; all by default.

        Returns:
            Whether the guard let all steps run, and the fetched arrays.
        """
        if Variable.on_devices:
            for variable in self._variables:
                variable.bring_to(self._target.device)
            arrays = [*arrays, *(array() for _, array in self._extra_feeds)]
        if half != 1:
            self._constants.refresh(lambda begin, end: self._engine.run((), (), seed, begin, end))
        begin = self._pause if half == 1 else self._constants.step_count
        end = self._pause if half == 0 else self._end
        which = self._every_fetch if fetch is None else fetch
        numbers = self._fetch_numbers if fetch is None else [self._fetch_numbers[i] for i in fetch]
        try:
            finished, results = self._engine.run(arrays, numbers, seed, begin, end, self._guard, self._guard_step)
        except engine.DeviceError:
            raise  # what a device's memory holds now is worth no more than the host's copies
        except BaseException:  # where it was interrupted, some are updated
            self._note_updates()
            raise
        self._note_updates()
        return finished, [_shaped(r, self._fetch_shapes[i]) for i, r in zip(which, results, strict=True)]

    def _note_updates(self) -> None:
        for v in self._updated:
            v.changed_on(self._target.device)

    def profile(self, arrays: Sequence[np.ndarray], seed: int = 0) -> list[tuple[str, float]]:
        """Runs once and returns (op, seconds) for each step."""
        self._engine.set_profiling(True)
        try:
            self.run(arrays, seed=seed)
        finally:
            self._engine.set_profiling(False)
        return self._engine.step_seconds()


def _variables_read(graph: Graph, fetches: Sequence[Value]) -> list[Variable]:
    """The variables whose values nodes or the caller read, but for those that the host writes before each run."""
    values = [v for n in graph.nodes for v in n.inputs if v is not None] + list(fetches)
    variables = dict.fromkeys(v.variable for v in values if v.variable is not None)
    return [v for v in variables if not isinstance(v, HostVariable)]


def _fed_by_the_host(graph: Graph) -> list[tuple[Value, Callable[[], np.ndarray]]]:
    """What the host may write to between runs, and so a device must be fed with: the values, and what gives them."""
    values = {id(v): v for n in graph.nodes for v in n.inputs if v is not None}
    fed: list[tuple[Value, Callable[[], np.ndarray]]] = []
    for v in values.values():
        if isinstance(v.variable, HostVariable):
            fed.append((v, partial(getattr, v.variable, "_value")))
        elif v.constant is not None and not is_frozen(v.constant):
            fed.append((v, partial(_same, v.constant)))
    return fed


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _shaped(result: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A fetched value may share its memory with one of another shape."""
    return result if result.shape == shape else result.reshape(shape)


def _step_of(v: Value, position: dict[int, int]) -> int:
    """The step that makes a value; an alias is made with what it is an alias of, a feed before the first."""
    while id(v) not in position:
        source = v.node.inputs[0] if v.node is not None else None
        if source is None:
            return -1
        v = source
    return position[id(v)]
