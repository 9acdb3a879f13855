"""`Sequential`: a plain stack of layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cnnfast.graph.values import Value
from cnnfast.layers.base import Layer
from cnnfast.layers.input import Input
from cnnfast.models.model import Model


class Sequential(Model):
    """A stack of layers, each fed by the one before.

    Args:
        layers: the layers; the first may be an `Input`, or have `input_shape=`. Without either, the model is built
            when it first sees data.
        name: unique name, made from the class if None.
        trainable: whether training changes the layers' weights.

    Example:
        >>> model = Sequential([Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")])
        >>> model.output_shape
        (None, 10)
    """

    def __init__(self, layers: Iterable[Any] | None = None, *, name: str | None = None, trainable: bool = True):
        super().__init__(name=name)
        self._stack: list[Layer] = []
        for layer in layers or []:
            self.add(layer)
        if not trainable:
            self.trainable = False

    def add(self, layer: Any) -> None:
        """Puts a layer on top.

        Raises:
            TypeError: not a layer.
            ValueError: a second layer of the same name, or one that does not fit the output below it.
        """
        if isinstance(layer, Value):
            self._begin(layer)
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"{self.name}: add expects a layer, got {type(layer).__name__}")
        if any(layer.name == other.name for other in self._stack):
            raise ValueError(f"{self.name}: a layer named {layer.name!r} is already in the model")
        if not self._inputs and not self._stack:
            shape = layer._wanted_input_shape
            if shape is None and isinstance(layer, Model) and layer.inputs:
                shape = layer.inputs[0].shape
            if shape is not None:
                self._begin(Input(batch_shape=shape))
        if self._inputs:
            top = layer(self._outputs[0])
            if isinstance(top, (list, tuple)):
                raise ValueError(f"{self.name}: a layer in a Sequential must have one output, {layer.name} has several")
            self._push(layer, top)
        self._stack.append(layer)

    def _begin(self, x: Value) -> None:
        if self._inputs or self._stack:
            raise ValueError(f"{self.name}: an Input must be the first thing in the model")
        self._inputs = self._outputs = [x]

    def _push(self, layer: Layer, top: Value) -> None:
        """Connects one more layer; `_connect` walks the whole stack, which is too slow to do for each layer."""
        if not self._definition or top.node is None:
            self._connect(self._inputs, [top])
            return
        self._note_change()
        self._definition.append(top.node)
        self._layers.append(layer)
        self._outputs = [top]

    def pop(self) -> Layer:
        """Takes the top layer off and returns it."""
        if not self._stack:
            raise ValueError(f"{self.name}: the model has no layers to take off")
        layer = self._stack.pop()
        self._note_change()
        if self._inputs:
            node = layer._nodes.pop()
            below = [v for v in node.inputs if v is not None]
            if self._stack:
                self._connect(self._inputs, below)
            else:
                self._outputs, self._definition, self._layers = below, [], []
        return layer

    def build(self, input_shape: Any) -> None:
        """Builds all layers for inputs of `input_shape`, batch first."""
        if self._inputs or not self._stack:
            return
        stack, self._stack = self._stack, []
        self._begin(Input(batch_shape=(None, *tuple(input_shape)[1:])))
        for layer in stack:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        return list(self._stack)
