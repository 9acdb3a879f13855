"""`Layer`: weights with a name, and a `call` made of ops."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np

from cnnfast import initializers, regularizers
from cnnfast.graph.values import Graph, Node, Shape, Spec, Value, Variable
from cnnfast.layers.arguments import arguments_of
from cnnfast.ops.core import as_float32

_name_counts: Counter[str] = Counter()


def snake_case(class_name: str) -> str:
    """MaxPooling2D -> max_pooling2d."""
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", class_name).lower()


def unique_name(class_name: str) -> str:
    """Keras' automatic names: conv2d, conv2d_1, ..."""
    snake = snake_case(class_name)
    count = _name_counts[snake]
    _name_counts[snake] += 1
    return snake if count == 0 else f"{snake}_{count}"


def reset_names() -> None:
    """Automatic names start again from the beginning."""
    _name_counts.clear()


_MakeValues = Callable[[Sequence[int]], np.ndarray]
_initial_values: ContextVar[_MakeValues | None] = ContextVar("initial_values", default=None)


@contextlib.contextmanager
def initial_values_from(make: _MakeValues) -> Iterator[None]:
    """Within the block, `make` gives the initial values of all weights instead of their initializers.

    For reading files: values come from the file, the random generator stays where it is, `make` may refuse.
    """
    token = _initial_values.set(make)
    try:
        yield
    finally:
        _initial_values.reset(token)


class Layer:
    """Base of all layers.

    A layer of one's own creates its weights in `build` with `add_weight` and computes in `call` with `cnnfast.ops`;
    gradients follow from the ops. `call` may take `training`.

    Args:
        name: unique within a model; made from the class name if None.
        trainable: whether training changes the layer's weights.
        input_shape: shape of one sample, for the first layer of a `Sequential` (or use `Input`).

    Example:
        >>> class Shift(Layer):
        ...     def build(self, input_shape):
        ...         self.offset = self.add_weight((input_shape[-1],), "zeros", name="offset")
        ...     def call(self, x):
        ...         return ops.add(x, self.offset)
    """

    changes: ClassVar[int] = 0  # of the structure of any layer: as long as it stays, nobody needs to look

    def __init__(self, *, name: str | None = None, trainable: bool = True, **kwargs: Any):
        shape = kwargs.pop("input_shape", None)
        batch_shape = kwargs.pop("batch_input_shape", None)
        dtype = kwargs.pop("dtype", None)
        if kwargs:
            raise TypeError(f"{type(self).__name__}: unexpected arguments {sorted(kwargs)}")
        if dtype not in (None, "float32", np.float32):
            raise ValueError(f"{type(self).__name__}: layers compute in float32, got dtype={dtype!r}")
        self.name = name or unique_name(type(self).__name__)
        self.built = False
        self.structure = 0
        self._trainable = bool(trainable)
        self._nodes: list[Node] = []
        self._weights: list[Variable] = []
        self._regularizers: dict[Variable, regularizers.Regularizer] = {}
        self._wanted_input_shape: Shape | None = (
            tuple(batch_shape) if batch_shape is not None else None if shape is None else (None, *shape)
        )
        self._takes_training = "training" in inspect.signature(self.call).parameters

    # To be written by subclasses

    def build(self, input_shape: Any) -> None:
        """Creates the weights; `input_shape` holds None for the batch (a list of shapes for several inputs)."""

    def call(self, inputs: Any) -> Any:
        """Computes the outputs with `cnnfast.ops`."""
        raise TypeError(f"{type(self).__name__}: a layer must define call()")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them: name, trainable, and those kept as attributes of the
        same names (numbers, strings, lists, initializers, regularizers, named activations)."""
        return {"name": self.name, "trainable": self._trainable} | arguments_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        return cls(**config)

    # Weights

    def add_weight(
        self,
        shape: Sequence[int],
        initializer: Any = "glorot_uniform",
        *,
        name: str,
        trainable: bool = True,
        regularizer: Any = None,
    ) -> Variable:
        """A new variable of the layer.

        Args:
            shape: its shape.
            initializer: name, object or callable of a shape.
            name: its name within the layer, as `kernel`.
            trainable: False for what training does not change by gradients.
            regularizer: penalty on it that is added to the loss.
        """
        make = _initial_values.get() or initializers.get(initializer)
        value = make(tuple(int(d) for d in shape))
        variable = Variable(value, name=f"{self.name}/{name}", trainable=trainable)
        self._weights.append(variable)
        penalty = regularizers.get(regularizer)
        if penalty is not None:
            self._regularizers[variable] = penalty
        return variable

    def sublayers(self) -> Iterator[Layer]:
        """Layers kept as attributes, alone or in lists, in the order they were set."""
        for key, value in vars(self).items():
            if key.startswith("_nodes"):
                continue
            for item in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(item, Layer):
                    yield item

    def all_layers(self) -> Iterator[Layer]:
        """The layer itself and everything inside it, each once."""
        seen: set[int] = set()
        stack: list[Layer] = [self]
        while stack:
            layer = stack.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer
                stack.extend(reversed(list(layer.sublayers())))

    def _note_change(self) -> None:
        """What is inside has changed: models that contain this layer must forget their Programs."""
        self.structure += 1
        Layer.changes += 1

    def _own_weights(self, trainable: bool) -> list[Variable]:
        return [w for w in self._weights if (w.trainable and self._trainable) == trainable]

    @property
    def trainable_weights(self) -> list[Variable]:
        """What training changes by gradients: nothing of a layer or model that is frozen itself."""
        if not self._trainable:
            return []
        return [w for layer in self.all_layers() for w in layer._own_weights(True)]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """All other variables."""
        if not self._trainable:
            return self.weights
        return [w for layer in self.all_layers() for w in layer._own_weights(False)]

    @property
    def weights(self) -> list[Variable]:
        """All variables, in the order in which the layers created them."""
        return [w for layer in self.all_layers() for w in layer._weights]

    trainable_variables = trainable_weights
    variables = weights

    @property
    def trainable(self) -> bool:
        """Whether training changes the layer's weights. Setting it also sets it for all layers inside; it takes effect
        at the next step, without compiling again.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.all_layers():
            layer._trainable = bool(value)
        Variable.trainable_changes += 1

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights, in the order of `weights`."""
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all weights; all shapes are checked before any weight changes.

        Raises:
            ValueError: another number of arrays, or an array of another shape.
        """
        mine = self.weights
        if len(weights) != len(mine):
            raise ValueError(f"{self.name}: set_weights expects {len(mine)} arrays, got {len(weights)}")
        arrays = [np.asarray(w, dtype=np.float32) for w in weights]
        for variable, array in zip(mine, arrays, strict=True):
            if array.shape != variable.shape:
                raise ValueError(f"{variable.name}: set_weights expects shape {variable.shape}, got {array.shape}")
        for variable, array in zip(mine, arrays, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """Number of numbers in all weights."""
        if not self.built:
            raise ValueError(f"{self.name}: count_params needs weights; the layer has not been built yet")
        return sum(w.value.size for w in self.weights)

    def penalties(self) -> list[tuple[Variable, regularizers.Regularizer]]:
        """The regularized trainable variables and their penalties."""
        if not self._trainable:
            return []
        return [
            (w, layer._regularizers[w])
            for layer in self.all_layers()
            for w in layer._own_weights(True)
            if w in layer._regularizers
        ]

    # Calling

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """Applies the layer: to arrays at once, to symbolic values as part of a model.

        Args:
            inputs: an array or value, or a list of them.
            training: whether to behave as in training; within a model, as the model does. Default False on arrays.
        """
        flat = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        symbolic = [x for x in flat if isinstance(x, Value)]
        if not symbolic:
            flat = [as_float32(self.name, "the input", x) for x in flat]
            inputs = flat if isinstance(inputs, (list, tuple)) else flat[0]
        self._build_from([tuple(x.shape) for x in flat], isinstance(inputs, (list, tuple)))
        if symbolic and symbolic[0].graph is None:
            return self._define(inputs, flat, training)
        graph = symbolic[0].graph if symbolic else None
        if training is None:
            training = graph.training if graph is not None else False
        if graph is None:
            return self._call(inputs, training)
        return graph.apply(self, symbolic, lambda: self._call(inputs, training))

    def _call(self, inputs: Any, training: bool | None) -> Any:
        return self.call(inputs, training=training) if self._takes_training else self.call(inputs)  # type: ignore[call-arg]

    def _build_from(self, shapes: list[Shape], several: bool) -> None:
        if self.built:
            return
        unknown_batch: list[Shape] = [(None, *s[1:]) for s in shapes]
        self.build(unknown_batch if several else unknown_batch[0])
        self.built = True

    def _define(self, inputs: Any, flat: list[Value], training: bool | None) -> Any:
        """Adds the layer to a model's definition: the outputs' shapes are found by a trial trace."""
        graph = Graph()
        trial = [graph.input(Spec(v.shape)) for v in flat]  # whatever is fed becomes float32
        several_in = isinstance(inputs, (list, tuple))
        outputs = self(trial if several_in else trial[0], training=False)
        several_out = isinstance(outputs, (list, tuple))
        node = Node(self, list(flat), {"several": several_in, "training": training})
        node.outputs = [
            Value(o.spec, node=node, index=i, name=self.name)
            for i, o in enumerate(outputs if several_out else [outputs])
        ]
        self._nodes.append(node)
        return node.outputs if several_out else node.outputs[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape that an input of `input_shape` (batch first) would give; builds the layer if needed."""
        several = bool(input_shape) and isinstance(input_shape[0], (list, tuple))
        shapes = [tuple(s) for s in (input_shape if several else [input_shape])]
        graph = Graph()
        values = [graph.input(Spec(s)) for s in shapes]
        out = self(values if several else values[0])
        return [o.shape for o in out] if isinstance(out, (list, tuple)) else out.shape

    def add_loss(self, loss: Value) -> None:
        """Adds a scalar, computed in `call` with ops, to the loss of the model being trained."""
        if isinstance(loss, Value) and loss.graph is not None:
            loss.graph.losses.append(loss)

    # Where the layer stands in a model

    def _first_node(self) -> Node:
        if not self._nodes:
            raise AttributeError(
                f"{self.name}: the layer has not been used in a model yet, so it has no input or output"
            )
        return self._nodes[0]

    @property
    def input(self) -> Any:
        inputs = self._first_node().inputs
        return inputs if len(inputs) > 1 else inputs[0]

    @property
    def output(self) -> Any:
        outputs = self._first_node().outputs
        return outputs if len(outputs) > 1 else outputs[0]

    @property
    def input_shape(self) -> Any:
        x = self.input
        return [v.shape for v in x] if isinstance(x, list) else x.shape

    @property
    def output_shape(self) -> Any:
        y = self.output
        return [v.shape for v in y] if isinstance(y, list) else y.shape

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
