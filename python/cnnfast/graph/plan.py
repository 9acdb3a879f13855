"""Where each value of a graph lives: which values share memory, and at which offset of the arena."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from cnnfast.graph.values import Graph, Node, Value, given
from cnnfast.ops import engine, target
from cnnfast.ops.core import Op


def op_of(node: Node) -> Op:
    """The op of a node of a compiled graph, which holds no layers any more."""
    assert isinstance(node.op, Op)
    return node.op


def memory_of(v: Value) -> Value:
    """The value that `v` is an alias of, or itself."""
    while v.node is not None and op_of(v.node).alias:
        v = given(v.node, 0)
    return v


@dataclass
class MemoryPlan:
    """Arena offsets by the value whose memory it is, workspace offsets by node, and the arena's size in bytes."""

    root: dict[int, Value]
    offsets: dict[int, int]
    workspaces: list[int]
    arena_bytes: int


def plan(
    graph: Graph, steps: Sequence[engine.Step | None], keep: Sequence[Value], outside: Container[int] = ()
) -> MemoryPlan:
    """Plans the memory of `graph`.

    Args:
        graph: all nodes, in the order they run.
        steps: steps[i] is node i's, None for aliases.
        keep: what must survive to the end.
        outside: the ids of values that have memory of their own.
    """
    root = _share(graph, keep, outside)
    end = len(graph.nodes)
    born: dict[int, int] = {}
    died: dict[int, int] = {}
    owner: dict[int, Value] = {}
    for i, node in enumerate(graph.nodes):
        for v in node.outputs:
            r = root[id(v)]
            born.setdefault(id(r), i)
            died[id(r)] = max(died.get(id(r), i), i)
            owner[id(r)] = r
        for v in filter(None, node.inputs):
            died[id(root.get(id(v), v))] = i
    for v in keep:
        died[id(root.get(id(v), v))] = end
    in_arena = [r for key, r in owner.items() if r.node is not None and key in born and key not in outside]
    blocks = [(r.spec.nbytes, born[id(r)], died[id(r)]) for r in in_arena]
    with_workspace = [i for i, s in enumerate(steps) if s is not None and s.workspace_bytes]
    blocks += [(s.workspace_bytes, i, i) for i in with_workspace if (s := steps[i]) is not None]
    arena_bytes, offsets = engine.plan_memory(blocks)
    workspaces = [0] * len(graph.nodes)
    for i, offset in zip(with_workspace, offsets[len(in_arena) :], strict=True):
        workspaces[i] = offset
    return MemoryPlan(
        root,
        {id(r): o for r, o in zip(in_arena, offsets[: len(in_arena)], strict=True)},
        workspaces,
        arena_bytes,
    )


def _share(graph: Graph, keep: Sequence[Value], outside: Container[int]) -> dict[int, Value]:
    """For each value the one whose memory it uses: its own, what it is an alias of, or what it overwrites."""
    root: dict[int, Value] = {}

    def find(v: Value) -> Value:
        return root.get(id(v), v)

    for node in graph.nodes:
        op = op_of(node)
        for v in node.outputs:
            root[id(v)] = v
        if op.alias:
            assert node.inputs[0] is not None
            root[id(node.outputs[0])] = find(node.inputs[0])
    last_use: dict[int, int] = {}
    for i, node in enumerate(graph.nodes):
        for v in filter(None, node.inputs):
            last_use[id(find(v))] = i
    for v in keep:
        last_use[id(find(v))] = len(graph.nodes)
    for i, node in enumerate(graph.nodes):
        place = op_of(node).inplace
        if op_of(node).packs and not target.current().adds_in_place:
            place = None
        x = None if place is None or place >= len(node.inputs) else node.inputs[place]
        if x is None:
            continue
        taken, y = find(x), node.outputs[0]
        others = [v for j, v in enumerate(node.inputs) if v is not None and j != place]
        if (
            taken.node is not None  # not a feed, a variable or a constant
            and id(taken) not in outside
            and id(y) not in outside
            and last_use[id(taken)] == i
            and all(find(v) is not taken for v in others)
            and taken.spec.nbytes == y.spec.nbytes
        ):
            _redirect(root, y, taken)
            last_use[id(taken)] = last_use.get(id(y), i)
    return root


def _redirect(root: dict[int, Value], old: Value, new: Value) -> None:
    """Everything that lived in `old` now lives in `new`."""
    for key, value in root.items():
        if value is old:
            root[key] = new
