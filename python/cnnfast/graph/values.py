"""The words of the graph: what flows (`Value`), what computes (`Node`), what is learned (`Variable`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import numpy as np

if TYPE_CHECKING:
    from cnnfast.layers.base import Layer
    from cnnfast.ops.core import Op
    from cnnfast.ops.engine import DeviceArray

Shape = tuple[int | None, ...]

_HOST = "cpu"  # the place of a variable's array that NumPy shows


@dataclass(frozen=True)
class Spec:
    """Shape and type of a value. A dimension that is not known yet (the batch of a model) is None."""

    shape: Shape
    dtype: str = "float32"

    @property
    def nbytes(self) -> int:
        itemsize = 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize  # NumPy knows no bfloat16
        return math.prod(self.known_shape) * itemsize

    @property
    def known_shape(self) -> tuple[int, ...]:
        """The shape, all of whose dimensions must be known."""
        if None in self.shape:
            raise ValueError(f"a shape must be fully known here, got {self.shape}")
        return tuple(map(int, cast("tuple[int, ...]", self.shape)))


class Variable:
    """An array that belongs to a layer or an optimizer and that Programs read and change in place.

    Args:
        value: initial value; copied into an own C-contiguous array.
        name: for messages and files.
        trainable: whether training may change it by a gradient.

    Example:
        >>> v = Variable(np.zeros(3), name="bias")
        >>> v.assign([1, 2, 3]); v.value.tolist()
        [1.0, 2.0, 3.0]
    """

    __slots__ = ("_arrays", "_host", "_places", "_trainable", "changes", "name")
    trainable_changes: ClassVar[int] = 0  # of any variable or layer: as long as it stays, nobody needs to look
    on_devices: ClassVar[bool] = False  # whether any may have its current value elsewhere than on the host

    def __init__(self, value: Any, name: str = "variable", trainable: bool = True, dtype: str = "float32"):
        self._host: np.ndarray = np.array(value, dtype=dtype, order="C")
        self._arrays: dict[str, DeviceArray] = {}  # copies of it, by device
        self._places = {_HOST}  # which of them all hold the current value
        self.name = name
        self.trainable = trainable
        self.changes = 0  # what was computed from the value holds as long as this stays the same

    def __getstate__(self) -> dict[str, Any]:
        """A copy has no memory on any device."""
        return {"value": self._value, "name": self.name, "trainable": self.trainable, "changes": self.changes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Variable.__init__(self, state["value"], state["name"], state["trainable"], state["value"].dtype.name)
        self.changes = state["changes"]

    @property
    def _value(self) -> np.ndarray:
        """The host's array, with the current value. Who writes to it calls `changed`."""
        places = self._places
        if _HOST not in places:
            self._arrays[next(iter(places))].download(self._host)
            places.add(_HOST)  # of that value: meanwhile there may be another
        return self._host

    def changed(self) -> None:
        """Says that the host's array was written to."""
        self._places = {_HOST}
        self.changes += 1

    def changed_on(self, device: str) -> None:
        """Says that the copy on a device was written to."""
        self._places = {device}
        self.changes += 1

    def array_on(self, device: str, allocate: Callable[[int], DeviceArray]) -> DeviceArray:
        """Its memory on a device, the same at every call."""
        if device not in self._arrays:
            self._arrays[device] = allocate(self._host.nbytes)
        return self._arrays[device]

    def bring_to(self, device: str) -> None:
        """Copies the current value to where `array_on` is, or to the host, if it is not there."""
        places = self._places
        if device in places:
            return
        value = self._value
        if device != _HOST:
            self._arrays[device].upload(value)
            places.add(device)

    @property
    def trainable(self) -> bool:
        """Whether training may change it by a gradient; may be set at any time."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        Variable.trainable_changes += 1

    @property
    def value(self) -> np.ndarray:
        """The array itself, read-only; `assign` changes it. It shows what later steps on the CPU make of it; what steps
        on a GPU make of it shows in what is asked for after them."""
        view = self._value.view()
        view.flags.writeable = False
        return view

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @property
    def spec(self) -> Spec:
        return Spec(self._host.shape, self._host.dtype.name)

    def assign(self, value: Any) -> None:
        """Copies `value` in. ValueError if its shape is another."""
        value = np.asarray(value)
        if value.shape != self.shape:
            raise ValueError(f"{self.name}: expected shape {self.shape}, got {value.shape}")
        np.copyto(self._host, value, casting="unsafe")
        self.changed()

    def numpy(self) -> np.ndarray:
        """A copy of the current value."""
        return self._value.copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._value, dtype=dtype)

    def __repr__(self) -> str:
        return f"<Variable {self.name} shape={self.shape} trainable={self.trainable}>"


class HostVariable(Variable):
    """A variable that the host writes before each run, such as the numbers of an optimizer's step."""

    __slots__ = ()


class Value:
    """A tensor that is described, not computed: the output of a node, an input, a variable or a constant.

    Values with a `graph` are being compiled: their shapes are known and their nodes are in the graph's list. Values
    without one define a model (what `Input` returns): unknown dimensions are None, nodes are found from the outputs.
    """

    __slots__ = ("constant", "graph", "index", "name", "node", "spec", "variable")

    def __init__(
        self,
        spec: Spec,
        graph: Graph | None = None,
        node: Node | None = None,
        index: int = 0,
        variable: Variable | None = None,
        constant: np.ndarray | None = None,
        name: str = "",
    ):
        self.spec = spec
        self.graph = graph
        self.node = node
        self.index = index
        self.variable = variable
        self.constant = constant
        self.name = name

    @property
    def shape(self) -> Shape:
        return self.spec.shape

    @property
    def dtype(self) -> str:
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        return len(self.spec.shape)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("a symbolic value has no numbers yet: use cnnfast.ops on it, or run the model on arrays")

    def __repr__(self) -> str:
        return f"<Value shape={self.shape} dtype={self.dtype}{' ' + self.name if self.name else ''}>"


@dataclass(eq=False)
class Node:
    """One application of an op (or, in a model's definition, of a layer) to values."""

    op: Op | Layer
    inputs: list[Value | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: list[Value] = field(default_factory=list)

    def take_over(self, later: Node) -> None:
        """Computes from now on what `later` computed from this node's first output."""
        y = later.outputs[0]
        y.node, y.index = self, 0
        self.outputs[0] = y


def given(node: Node, i: int) -> Value:
    """Input i of a node, which must be there."""
    value = node.inputs[i]
    assert value is not None
    return value


class Applied(NamedTuple):
    """One application of a layer while a graph was built.

    Attributes:
        path: names of the layers around it and its own, the outermost first.
        layer: the layer.
        inputs, outputs: its values in this graph.
        nodes: which of the graph's nodes compute it, those of the layers inside it included.
    """

    path: tuple[str, ...]
    layer: Layer
    inputs: list[Value]
    outputs: list[Value]
    nodes: range


class Graph:
    """Nodes in the order they run, while a Program is being built.

    Args:
        training: whether layers behave as in training (dropout, batch statistics).
    """

    def __init__(self, training: bool = False):
        self.training = training
        self.nodes: list[Node] = []
        self._variables: dict[int, Value] = {}
        self._salt = 0
        self.losses: list[Value] = []  # scalars that layers add to the loss
        self.applied: list[Applied] = []  # each application of a layer, after those of the layers inside it
        self._path: list[str] = []  # names of the layers that are being applied, the outermost first

    def input(self, spec: Spec, name: str = "") -> Value:
        """A value that each run is fed with."""
        return Value(spec, graph=self, name=name)

    def variable(self, variable: Variable) -> Value:
        """The value of a variable; the same one at every call."""
        if id(variable) not in self._variables:
            self._variables[id(variable)] = Value(variable.spec, graph=self, variable=variable, name=variable.name)
        return self._variables[id(variable)]

    def constant(self, array: np.ndarray) -> Value:
        return Value(
            Spec(array.shape, array.dtype.name), graph=self, constant=np.require(array, requirements=["C", "A"])
        )

    def uses(self, keep: Sequence[Value]) -> Counter[int]:
        """How often each value is read, by its id; `keep` are read once more, after the last node."""
        counts = Counter(id(v) for node in self.nodes for v in node.inputs if v is not None)
        counts.update(id(v) for v in keep)
        return counts

    def apply(self, layer: Layer, inputs: list[Value], call: Callable[[], Any]) -> Any:
        """What `call` gives, which applies `layer` to `inputs`; takes a note of it."""
        begin = len(self.nodes)
        self._path.append(layer.name)
        try:
            result = call()
            outputs = list(result) if isinstance(result, (list, tuple)) else [result]
            nodes = range(begin, len(self.nodes))
            self.applied.append(Applied(tuple(self._path), layer, inputs, outputs, nodes))
        finally:
            self._path.pop()
        return result

    def next_salt(self) -> int:
        """A number for each random op of the graph, the same whenever the same graph is built."""
        self._salt += 1
        return self._salt

    @property
    def variables(self) -> list[Variable]:
        return [v.variable for v in self._variables.values() if v.variable is not None]


def topological_nodes(outputs: Sequence[Value]) -> list[Node]:
    """All nodes that `outputs` depend on, each after the nodes it needs (iterative: models can be deep)."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(v.node, False) for v in reversed(outputs) if v.node is not None]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        for v in reversed(node.inputs):
            if v is not None and v.node is not None and id(v.node) not in seen:
                stack.append((v.node, False))
    return order
