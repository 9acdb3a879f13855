"""`Model`: a graph of layers from inputs to outputs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cnnfast.graph.values import Node, Value, topological_nodes
from cnnfast.layers.base import Layer
from cnnfast.models.engine import Engine
from cnnfast.models.nested import MODELS, written_out
from cnnfast.models.summary import summary_text
from cnnfast.ops.core import Op, apply
from cnnfast.training.trainer import Trainer


class Model(Trainer, Layer):
    """Layers connected into a network, from symbolic inputs to symbolic outputs.

    Args:
        inputs: what `Input` returned, one or a list.
        outputs: values computed from them, one or a list.
        name: unique name, made from the class if None.
        trainable: whether training changes the layers' weights.

    A model is itself a layer and may be used in another one. An output may lie inside such a model: it is then written
    out, layer by layer, with the same weights. A subclass that defines `call` needs no inputs and
    outputs; such a model trains and predicts but cannot be saved whole (its code is not in the file).

    Raises:
        ValueError: an output does not depend on the inputs alone.

    Example:
        >>> x = Input((8, 8, 3))
        >>> y = layers.Dense(2)(layers.Flatten()(x))
        >>> Model(x, y).output_shape
        (None, 2)
    """

    preprocessing: str | None = None  # of a network from `applications`: the mode of `Preprocess` for its images
    variant: str | None = None  # of a network from `applications`: whose weights it has, or is made for

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ):
        Layer.__init__(self, name=name, trainable=True)
        self._engine = Engine(self)
        self._layers: list[Layer] = []
        self._inputs: list[Value] = []
        self._outputs: list[Value] = []
        self._definition: list[Node] = []
        MODELS.add(self)
        self._several = (isinstance(inputs, (list, tuple)), isinstance(outputs, (list, tuple)))
        if inputs is not None:
            self._connect(_flat(inputs, "inputs"), _flat(outputs, "outputs"))
        elif outputs is not None:
            raise ValueError("Model: outputs need inputs")
        if not trainable:
            self.trainable = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        MODELS.add(self)

    def _connect(self, inputs: list[Value], outputs: list[Value]) -> None:
        """Takes the part of the definition between inputs and outputs."""
        outputs = written_out(inputs, outputs)
        known = {id(v) for v in inputs}
        nodes = []
        for node in topological_nodes(outputs):
            if all(id(v) in known for v in node.outputs):
                continue  # an input of this model, whatever made it elsewhere
            if all(v is None or id(v) in known or v.constant is not None for v in node.inputs) and node.inputs:
                nodes.append(node)
                known.update(id(v) for v in node.outputs)
        for v in outputs:
            if id(v) not in known:
                raise ValueError(
                    f"Model: the output of {v.name or 'an op'!r} with shape {v.shape} does not depend on the given "
                    "inputs alone"
                )
        wanted = _needed(nodes, inputs, outputs)
        self._inputs, self._outputs, self._definition = inputs, outputs, wanted
        self._note_change()
        layers: dict[int, Layer] = {}
        for v in inputs:
            if v.node is not None and isinstance(v.node.op, Layer) and not v.node.inputs:
                layers.setdefault(id(v.node.op), v.node.op)
        for node in wanted:
            if isinstance(node.op, Layer):
                layers.setdefault(id(node.op), node.op)
        self._layers = list(layers.values())
        for name, count in Counter(layer.name for layer in self._layers).items():
            if count > 1:
                raise ValueError(f"Model: layer names must differ, {count} layers are named {name!r}")
        self.built = True

    def build(self, input_shape: Any) -> None:
        """Weights belong to the layers, which build themselves."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not self._definition and not self._outputs:
            raise TypeError(f"{type(self).__name__}: give inputs and outputs, or define call()")
        given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        self._check_inputs(given)
        values: dict[int, Any] = {id(v): x for v, x in zip(self._inputs, given, strict=True)}
        for node in self._definition:
            args = [None if v is None else values.get(id(v), v.constant) for v in node.inputs]
            if isinstance(node.op, Op):
                result = apply(node.op, args, node.attributes)
            else:
                fixed = node.attributes["training"]  # given where the layer was applied, as in base(x, training=False)
                mode = training if fixed is None else fixed
                result = node.op(args if node.attributes["several"] else args[0], training=mode)
            results = result if isinstance(result, (list, tuple)) else [result]
            values.update((id(v), r) for v, r in zip(node.outputs, results, strict=True))
        outputs = [values[id(v)] for v in self._outputs]
        return outputs if self._several[1] else outputs[0]

    def _check_inputs(self, given: list[Any]) -> None:
        """One input each, with the rank and the known sizes that the model was defined with."""
        if len(given) != len(self._inputs):
            raise ValueError(f"{self.name}: expected {len(self._inputs)} inputs, got {len(given)}")
        for v, x in zip(self._inputs, given, strict=True):
            shape = tuple(x.shape)
            fits = len(shape) == len(v.shape) and all(
                a is None or b is None or a == b for a, b in zip(v.shape, shape, strict=True)
            )
            if not fits:
                raise ValueError(f"{self.name}: input {v.name!r} expects shape {v.shape}, got {shape}")

    # What the user asks a model

    @property
    def layers(self) -> list[Layer]:
        """The model's layers, in the order in which they run."""
        return list(self._layers) if self._layers else list(self.sublayers())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by name or by its index in `layers`. ValueError if there is none."""
        if (name is None) == (index is None):
            raise ValueError("get_layer: give either a name or an index")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"get_layer: index {index} is out of range, the model has {len(self.layers)} layers")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"get_layer: no layer is named {name!r}; the layers are {[x.name for x in self.layers]}")

    @property
    def inputs(self) -> list[Value]:
        return list(self._inputs)

    @property
    def outputs(self) -> list[Value]:
        return list(self._outputs)

    @property
    def input(self) -> Any:
        return self._inputs if len(self._inputs) > 1 else self._inputs[0] if self._inputs else super().input

    @property
    def output(self) -> Any:
        return self._outputs if len(self._outputs) > 1 else self._outputs[0] if self._outputs else super().output

    @property
    def input_names(self) -> list[str]:
        return [v.name for v in self._inputs]

    @property
    def output_names(self) -> list[str]:
        return [v.name or f"output_{i}" for i, v in enumerate(self._outputs)]

    def summary(
        self,
        line_length: int | None = None,
        *,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
    ) -> None:
        """Prints a table of the layers: name and type, output shape, parameters.

        Args:
            line_length: width of the table in characters; as wide as needed if None.
            print_fn: called with the whole text instead of `print`.
            expand_nested: also list the layers of models inside the model.
            show_trainable: also say which layers training changes.
        """
        (print_fn or print)(summary_text(self, line_length, expand_nested, show_trainable))

    def save(self, filepath: Any, overwrite: bool = True, *, include_optimizer: bool = True) -> None:
        """Writes architecture, weights and (if compiled) the training state to one .safetensors file, atomically.

        Args:
            filepath: ends in .safetensors.
            overwrite: whether a file that is there already is replaced; FileExistsError if not.
            include_optimizer: whether the optimizer's state is written too.
        """
        from cnnfast.formats import save_model

        _check_overwrite(filepath, overwrite)
        save_model(self, filepath, include_optimizer=include_optimizer)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Writes the weights alone to a .safetensors file, or to a .weights.h5 file for Keras 3, atomically; arguments
        as for `save`."""
        from cnnfast.formats import save_weights

        _check_overwrite(filepath, overwrite)
        save_weights(self, filepath)

    def load_weights(self, filepath: Any, by_name: bool = False, skip_mismatch: bool = False) -> None:
        """Reads weights written by `save_weights` or `save`, Keras (.h5, .weights.h5, .keras), PyTorch (.pth, .pt),
        NumPy (.npz) or as other safetensors files; see `formats.load_weights`.

        Args:
            filepath: the file.
            by_name: take only weights of layers that have the same name in the file. Default: all, in order.
            skip_mismatch: skip layers whose weights do not fit, with a warning. Default: ValueError, nothing changed.
        """
        from cnnfast.formats import load_weights

        load_weights(self, filepath, by_name, skip_mismatch)

    def report(
        self,
        data: Any,
        path: Any,
        history: Any = None,
        title: str | None = None,
        max_images: int = 1000,
        *,
        max_bytes: int = 10_000_000,
        seed: int | None = None,
        created: str | None = None,
    ) -> None:
        """Writes one HTML file that shows how well and by what the model classifies labelled images.

        In it: accuracy and data hash, curves, a confusion matrix whose cells open their images with Grad-CAM beside
        them, the worst errors, the maps of each layer for a few images, dead channels, calibration, the classes one by
        one, the environment. The file asks for nothing from a network. The same model and data give the same bytes.

        Args:
            data: arrays ``(x, y)``, an `ImageDataset` or another `PyDataset` of labelled images without random changes.
                They are read in batches, several times.
            path: the file; one that is there is replaced when all is made.
            history: what `fit` returned, a mapping from names to numbers, or a CSV file of `CSVLogger`; for the curves.
            title: heading.
            max_images: images in the page: mistakes first, then right ones of all classes in turn.
            max_bytes: limit of the file. Pictures become smaller and fewer until it is kept.
            seed: that the training was started with, to be named in the page.
            created: when the report was made, in any words, to be named in the page. Nothing by default.

        Raises:
            ValueError: a model with several inputs or outputs or whose output is no class; labels that are no classes;
                data that give other images at each reading. TypeError: other data. ImportError: Jinja2 is missing.

        Example:
            >>> convnet.report((images, [0, 1, 1, 0]), "report.html", title="Four images")
            >>> from pathlib import Path
            >>> Path("report.html").read_text(encoding="utf-8").count("<h1>Four images</h1>")
            1
        """
        from cnnfast.report import write_report

        write_report(
            self, data, path, history=history, title=title, max_images=max_images, max_bytes=max_bytes, seed=seed,
            created=created,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        """The architecture as JSON can hold it."""
        from cnnfast.formats.architecture import model_config

        return model_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The model that `get_config` described, with fresh weights."""
        from cnnfast.formats.architecture import model_from_config

        return model_from_config(config)


def _check_overwrite(filepath: Any, overwrite: bool) -> None:
    if not overwrite and os.path.exists(filepath):
        raise FileExistsError(f"save: {os.fspath(filepath)!r} is there already and overwrite is False")


def _flat(values: Any, what: str) -> list[Value]:
    flat = list(values) if isinstance(values, (list, tuple)) else [values]
    flat = [
        v for part in flat for v in (part if isinstance(part, (list, tuple)) else [part])
    ]  # [model.inputs], as in Keras
    for v in flat:
        if not isinstance(v, Value) or v.graph is not None:
            raise TypeError(f"Model: {what} must be symbolic values from Input or from layers, got {type(v).__name__}")
    if not flat:
        raise ValueError(f"Model: {what} must not be empty")
    return flat


def _needed(nodes: list[Node], inputs: Sequence[Value], outputs: Sequence[Value]) -> list[Node]:
    """The nodes that outputs need, given the inputs."""
    stop = {id(v) for v in inputs}
    used = {id(v) for v in outputs} - stop
    kept = []
    for node in reversed(nodes):
        if any(id(v) in used for v in node.outputs):
            used.update(id(v) for v in node.inputs if v is not None and id(v) not in stop)
            kept.append(node)
    return kept[::-1]
