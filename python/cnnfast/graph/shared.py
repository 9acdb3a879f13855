"""What Programs compute from weights alone is computed once for all of them, in arrays that they share.

Packed weights may be larger than the weights (seven times for Winograd's F(6x6)), and a model has a Program for each
batch size and for each thing asked of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from operator import attrgetter
from weakref import WeakValueDictionary

import numpy as np

from cnnfast.graph.plan import memory_of, op_of
from cnnfast.graph.values import Node, Spec, Value, Variable
from cnnfast.ops import engine, target

_changes_of = attrgetter("changes")  # a network has hundreds of variables, and a run looks at all


class Constant:
    """The outputs of an op that depend on weights alone, as long as some Program reads them.

    Attributes:
        specs: of the outputs.
        arrays: the outputs.
        variables: the weights they depend on.
        computed_at: the number of changes of the weights that the arrays hold the results of.
    """

    def __init__(self, specs: Sequence[Spec], sources: Sequence[Source]):
        self.specs = list(specs)
        self.arrays: list[np.ndarray | engine.DeviceArray] = []
        self._sources = list(sources)  # keeps alive what the constant is known by
        self.variables = list(dict.fromkeys(v for s in sources for v in _variables_of(s)))
        self.computed_at: int | None = None

    @property
    def changes(self) -> int:
        """Of the weights, all together. Each number only grows: where the sum is the same, so is every weight."""
        return sum(map(_changes_of, self.variables))


Source = Constant | Variable | np.ndarray

#: By what they are computed for, and what is computed from which sources.
_constants: WeakValueDictionary[Hashable, Constant] = WeakValueDictionary()
#: Held while constants are looked for or computed. A signal's handler may predict in the midst of that.
_lock = threading.RLock()


def _renew_lock() -> None:
    """A forked child does not have the thread that held it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class SharedConstants:
    """The constants that one Program reads, and the steps by which it computes them where no other has.

    Args:
        groups: the first nodes of the Program, a group for each constant (see `constants_first`).
        steps: the engine's steps by the id of their node.

    Attributes:
        arrays: by the id of their value.
        step_count: how many steps that are.
    """

    def __init__(self, groups: Sequence[Sequence[Node]], steps: Mapping[int, engine.Step]):
        self._ranges: list[tuple[Constant, int, int]] = []  # and the steps [begin, end) that compute it
        self.step_count = 0
        constants = _constants_of(groups, steps)
        for group, constant in zip(groups, constants, strict=True):
            begin = self.step_count
            self.step_count += sum(id(n) in steps for n in group)
            self._ranges.append((constant, begin, self.step_count))
        outputs = [v for group in groups for v in group[-1].outputs]
        arrays = [array for c in constants for array in c.arrays]
        self.arrays = {id(v): array for v, array in zip(outputs, arrays, strict=True)}
        self._variables = list(dict.fromkeys(v for c in constants for v in c.variables))
        self._seen: int | None = None  # their changes when all constants were last found up to date

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())

    def refresh(self, run_steps: Callable[[int, int], object]) -> None:
        """Brings all constants up to date: calls run_steps(begin, end) for those whose weights have changed."""
        changes = sum(map(_changes_of, self._variables))
        if changes == self._seen:
            return
        with _lock:
            # Rewriting one that is up to date would disturb Programs that are running.
            stale = [(c, c.changes, begin, end) for c, begin, end in self._ranges if c.changes != c.computed_at]
            for begin, end in _joined([(begin, end) for *_, begin, end in stale]):
                run_steps(begin, end)
            for constant, now, *_ in stale:
                constant.computed_at = now
        self._seen = changes


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same steps, those that follow each other in one range."""
    joined: list[tuple[int, int]] = []
    for begin, end in ranges:
        if joined and joined[-1][1] == begin:
            begin = joined.pop()[0]
        joined.append((begin, end))
    return joined


def _constants_of(groups: Sequence[Sequence[Node]], steps: Mapping[int, engine.Step]) -> list[Constant]:
    """The constant that each group of nodes computes: what a Program reads already, or a new one."""
    found: list[Constant] = []
    new: dict[Hashable, Constant] = {}
    made: dict[int, Constant] = {}
    with _lock:
        for group in groups:
            what, sources = _structure(group, steps, made)
            key = target.key(), *what, *map(id, sources)
            constant = _constants.get(key) or new.get(key)
            if constant is None:
                constant = new[key] = Constant([v.spec for v in group[-1].outputs], sources)
            found.append(constant)
            made.update((id(v), constant) for v in group[-1].outputs)
        _allocate(list(new.values()))
        _constants.update(new)
    return found


def _allocate(constants: Sequence[Constant]) -> None:
    """Gives constants their arrays: on the CPU in one piece, for huge pages, which is freed with the last of them."""
    if not target.current().is_cpu:
        for constant in constants:
            constant.arrays = [engine.DeviceArray(target.current().backend, spec.nbytes) for spec in constant.specs]
        return
    size, offsets = engine.plan_memory([(spec.nbytes, 0, 0) for c in constants for spec in c.specs])
    memory, offset = engine.arena_array(size), iter(offsets)
    for constant in constants:
        constant.arrays = [_view(memory[next(offset) :], spec) for spec in constant.specs]


def _view(memory: np.ndarray, spec: Spec) -> np.ndarray:
    return memory[: spec.nbytes].view(spec.dtype).reshape(spec.known_shape)


def _structure(
    group: Sequence[Node], steps: Mapping[int, engine.Step], made: Mapping[int, Constant]
) -> tuple[list[Hashable], list[Source]]:
    """What a group computes, and from what, in the order in which it reads it."""
    what: list[Hashable] = []
    sources: list[Source] = []
    position: dict[int, int] = {}

    def read(v: Value | None) -> Hashable:
        if v is None:
            return None
        memory = memory_of(v)
        if id(memory) in position:
            return position[id(memory)], memory.index, v.spec
        source: Source | None = memory.constant if memory.variable is None else memory.variable
        sources.append(made[id(memory)] if source is None else source)
        return memory.index, v.spec

    for node in group:
        if id(node) not in steps:
            continue  # readers see through aliases
        settings: Hashable = steps[id(node)].packed_layout  # the same for many shapes of the input
        settings = settings or repr(sorted(node.attributes.items()))
        inputs = tuple(read(v) for v in node.inputs)
        what.append((op_of(node).name, settings, inputs, tuple(v.spec for v in node.outputs)))
        position.update((id(v), len(what)) for v in node.outputs)
    return what, sources


def _variables_of(source: Source) -> Sequence[Variable]:
    if isinstance(source, Constant):
        return source.variables
    return [source] if isinstance(source, Variable) else []
