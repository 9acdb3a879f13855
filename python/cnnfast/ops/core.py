"""What an op is, and how one is applied: to arrays at once, to symbolic values as a node."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from cnnfast.graph.values import Graph, Node, Spec, Value, Variable
from cnnfast.ops import engine, target

Attributes: TypeAlias = dict[str, Any]
Tensor: TypeAlias = Any  # an array, a Variable or a symbolic Value
# A gradient rule gets the node, the gradients of its outputs (None: not needed) and which inputs need one.
GradientRule: TypeAlias = Callable[[Node, list[Any], list[bool]], list[Any]]

OPS: dict[str, Op] = {}

MAX_BYTES = 2**48  # of a tensor: sizes and what the engine computes from them stay far from the end of 64 bits


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: its kernel's name, its shape rule and its gradient rule.

    Attributes:
        name: the kernel's name in the engine.
        infer: input specs and attributes -> output specs; raises ValueError or TypeError on bad input.
        gradient: the gradients of the inputs from those of the outputs; None where there is none.
        resolve: completes the attributes once all dimensions are known (padding "same" becomes numbers).
        epilogues: activations the kernel can apply while it stores its result.
        alias: the output is the input seen with another shape; nothing is computed.
        inplace: the input whose memory the first output may take over, or None.
        updates: inputs (variables) that the op changes.
        random: the op needs a number of its own in each graph (attribute "salt").
        integer_inputs: inputs that are int32, such as labels.
        droppable: outputs at the end that nobody reads need not be computed.
        packs: the second input are weights that the kernel wants packed (see `pack_weights`).
        own_types: the shape rule says which types each input may have; without it all must be float32.
    """

    name: str
    infer: Callable[[list[Spec | None], Attributes], list[Spec]]
    gradient: GradientRule | None = None
    resolve: Callable[[list[Spec | None], Attributes], Attributes] | None = None
    epilogues: frozenset[str] = frozenset()
    alias: bool = False
    inplace: int | None = None
    updates: tuple[int, ...] = ()
    random: bool = False
    integer_inputs: tuple[int, ...] = ()
    droppable: bool = False
    packs: bool = False
    own_types: bool = False

    def __post_init__(self) -> None:
        if self.name in OPS:
            raise ValueError(f"op {self.name} is defined twice")
        OPS[self.name] = self


def as_float32(op: str, name: str, x: Any) -> np.ndarray:
    """`x` as a C-contiguous, aligned float32 array. TypeError unless it holds real numbers."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{op}: {name} must hold real numbers, got dtype {array.dtype}")
    return np.require(array, np.float32, ["C", "A"])


def as_int32(op: str, name: str, x: Any) -> np.ndarray:
    """`x` as a C-contiguous, aligned int32 array. TypeError unless it holds integers, ValueError if one is too big."""
    array = np.asarray(x)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{op}: {name} must hold integers, got dtype {array.dtype}")
    if array.size and (array.max() > np.iinfo(np.int32).max or array.min() < np.iinfo(np.int32).min):
        raise ValueError(f"{op}: {name} must fit in 32 bits, got {array.min()} to {array.max()}")
    return np.require(array, np.int32, ["C", "A"])


def apply(op: Op, inputs: Sequence[Tensor | None], attributes: Attributes | None = None, *, seed: int = 0) -> Any:
    """Applies `op`: at once if all inputs are arrays, as a new node if any is symbolic.

    Returns the output, or a tuple of outputs if the op has several, or None if it has none.
    """
    attributes = dict(attributes or {})
    if any(isinstance(x, Value) for x in inputs):
        outputs: list[Any] = _add_node(op, inputs, attributes)
    else:
        outputs = _run_now(op, inputs, attributes, seed)
    return outputs[0] if len(outputs) == 1 else tuple(outputs) if outputs else None


def _resolved(op: Op, specs: list[Spec | None], attributes: Attributes) -> Attributes:
    known = all(d is not None for s in specs if s is not None for d in s.shape[1:])
    return op.resolve(specs, attributes) if op.resolve and known else attributes


def _inferred(op: Op, specs: list[Spec | None], attributes: Attributes) -> list[Spec]:
    """The outputs' specs, after what every op demands of its inputs and outputs."""
    outputs = op.infer(specs, attributes)
    for i, spec in enumerate(specs):
        if spec is not None and not op.own_types and i not in op.integer_inputs:
            require_float(op.name, f"input {i}", spec)
    for i, spec in enumerate(outputs):
        require_size(op.name, f"output {i}", spec)
    return outputs


def _add_node(op: Op, inputs: Sequence[Tensor | None], attributes: Attributes) -> list[Value]:
    graph = next(x.graph for x in inputs if isinstance(x, Value))
    values = [_as_value(op, i, x, graph) for i, x in enumerate(inputs)]
    specs = [None if v is None else v.spec for v in values]
    attributes = _resolved(op, specs, attributes)
    if op.random and graph is not None and "salt" not in attributes:
        attributes["salt"] = graph.next_salt()
    node = Node(op, values, attributes)
    node.outputs = [Value(s, graph, node, i) for i, s in enumerate(_inferred(op, specs, attributes))]
    if graph is not None:
        graph.nodes.append(node)
    return node.outputs


def _as_value(op: Op, position: int, x: Tensor | None, graph: Graph | None) -> Value | None:
    if x is None:
        return None
    if isinstance(x, Value):
        if x.graph is not graph:
            raise ValueError(f"{op.name}: the inputs belong to different graphs")
        return x
    if isinstance(x, Variable):
        if graph is None:
            raise TypeError(f"{op.name}: a variable ({x.name}) can only be used inside a layer's call")
        return graph.variable(x)
    array = _as_array(op, position, x)
    return graph.constant(array) if graph is not None else Value(Spec(array.shape, array.dtype.name), constant=array)


def _as_array(op: Op, position: int, x: Any) -> np.ndarray:
    if isinstance(x, Variable):
        return x._value if position in op.updates else x.value  # read-only: what is only renamed is returned
    if position in op.integer_inputs:
        return as_int32(op.name, f"input {position}", x)
    if isinstance(x, np.ndarray) and x.dtype in (np.uint8, np.int32):
        return np.require(np.asarray(x), requirements=["C", "A"])
    return as_float32(op.name, f"input {position}", x)


def _run_now(op: Op, inputs: Sequence[Tensor | None], attributes: Attributes, seed: int) -> list[np.ndarray]:
    arrays = [None if x is None else _as_array(op, i, x) for i, x in enumerate(inputs)]
    specs = [None if a is None else Spec(a.shape, a.dtype.name) for a in arrays]
    attributes = _resolved(op, specs, attributes)
    if op.random:
        attributes.setdefault("salt", 0)
    out_specs = _inferred(op, specs, attributes)
    if op.alias:
        first = arrays[0]
        assert first is not None
        return [first.reshape(out_specs[0].known_shape)]
    outputs = [np.empty(s.known_shape, s.dtype) for s in out_specs]
    settings = target.step_attributes(attributes)
    engine.run_step(op.name, arrays, outputs, settings, seed, target.current().backend, op.updates)
    for i in op.updates:
        updated = inputs[i]
        if isinstance(updated, Variable):
            updated.changed()
    return outputs


def unbroken(op: str, name: str, spec: Spec | None, rank: int | None = None, letters: str = "") -> Spec:
    """Checks that a tensor is there, has `rank` dimensions and no dimension of size 0."""
    if spec is None:
        raise ValueError(f"{op}: {name} is missing")
    if rank is not None and len(spec.shape) != rank:
        raise ValueError(f"{op}: {name} expects {rank} dimensions {letters}, got shape {spec.shape}")
    if any(d == 0 for d in spec.shape):
        raise ValueError(f"{op}: {name} has a dimension of size 0: shape {spec.shape}")
    return spec


def require_size(op: str, name: str, spec: Spec) -> Spec:
    """ValueError for a tensor that no machine holds. Unknown dimensions count as 1."""
    size = math.prod(1 if d is None else d for d in spec.shape) * np.dtype(spec.dtype).itemsize
    if size > MAX_BYTES:
        raise ValueError(f"{op}: {name} may have at most 2**48 bytes, got shape {spec.shape} {spec.dtype}")
    return spec


def require_float(op: str, name: str, spec: Spec) -> Spec:
    """TypeError unless the tensor is float32 (integers become floats in `cast`, not in silence)."""
    if spec.dtype != "float32":
        raise TypeError(f"{op}: {name} must be float32, got {spec.dtype}")
    return spec
