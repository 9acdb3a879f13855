"""Builds and keeps the Programs of a model: one for each batch shape and each thing asked of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast import multipliers, random
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec, Value, Variable
from cnnfast.losses import Loss, NumpyLoss
from cnnfast.ops import target
from cnnfast.ops.elementwise import add, scale
from cnnfast.training.errors import NonFiniteLoss

if TYPE_CHECKING:
    from cnnfast.models.model import Model

Arrays = Sequence[np.ndarray]

#: Programs kept for a model. Each holds an arena, so a model that sees ever new shapes must forget the oldest.
MAX_PROGRAMS = 12


@dataclass
class Step:
    """A Program that computes losses, and where in its fetches they are."""

    program: Program
    predictions: int  # how many predictions come first in the fetches
    losses: int  # how many losses follow; the total comes last
    gradient_feeds: list[np.ndarray] = field(default_factory=list)  # for losses written in NumPy
    numpy_losses: list[int] = field(default_factory=list)  # the outputs they belong to


class Engine:
    """What a model computes with."""

    def __init__(self, model: Model):
        self._model = model
        self._programs: OrderedDict[Any, Any] = OrderedDict()
        self._structure: Any = None  # of the model when the Programs were built
        self._changes = -1  # anywhere, when that was looked at
        self._trainable: Any = None  # which layers and weights are trainable
        self._trainable_changes: Any = None  # anywhere, when that was looked at
        self.losses: list[Loss | None] = []
        self.loss_weights: list[float] = []
        self.optimizer: Any = None
        self.policy: str | None = None  # None: the one that is set for all

    def set_loss(self, losses: Sequence[Loss | None], weights: Sequence[float], optimizer: Any) -> None:
        """What `compile` decided; Programs that were built for another decision are forgotten."""
        self.losses, self.loss_weights, self.optimizer = list(losses), list(weights), optimizer
        self.forget()

    def __getstate__(self) -> dict[str, Any]:
        """A copy of a model builds Programs of its own."""
        return vars(self) | {"_programs": OrderedDict()}

    def forget(self) -> None:
        """Drops all Programs: they are built again when they are needed."""
        self._programs.clear()

    def output_shapes(self, xs: Arrays) -> list[tuple[int, ...]]:
        """Shapes of the outputs for such inputs; builds the model if it is not built yet."""
        return [spec.known_shape for spec in self._output_specs([_feedable(x, self._model.name) for x in xs])]

    def predict(self, xs: Arrays) -> list[np.ndarray]:
        """The model's outputs, in inference mode."""
        xs = [_feedable(x, self._model.name) for x in xs]
        program = self.cached(("predict", *_shapes(xs)), lambda: self._build_predict(xs))
        _, outputs = program.run(xs)
        return outputs

    def test(self, xs: Arrays, ys: Arrays, weights: Sequence[Any]) -> tuple[float, list[float], list[np.ndarray]]:
        """Losses and predictions in inference mode."""
        return self._run_losses("test", xs, ys, weights)

    def train(self, xs: Arrays, ys: Arrays, weights: Sequence[Any]) -> tuple[float, list[float], list[np.ndarray]]:
        """One step of training: losses and predictions before it, then the update.

        Raises:
            NonFiniteLoss: the loss, or the gradient of one written in NumPy, is NaN or infinite; nothing was updated.
        """
        if self.optimizer is None:
            raise ValueError(f"{self._model.name}: compile the model with an optimizer before training it")
        return self._run_losses("train", xs, ys, weights)

    # Running

    def _run_losses(
        self, kind: str, xs: Arrays, ys: Arrays, weights: Sequence[Any]
    ) -> tuple[float, list[float], list[np.ndarray]]:
        xs = [_feedable(x, self._model.name) for x in xs]
        specs = self._output_specs(xs)
        if len(ys) != len(specs):
            raise ValueError(f"{self._model.name}: expected targets for {len(specs)} outputs, got {len(ys)}")
        ys = [y if loss is None else loss.targets(y, s) for y, loss, s in zip(ys, self.losses, specs, strict=True)]
        given = [
            None if w is None or loss is None else loss.weights(w, s)
            for w, loss, s in zip(weights, self.losses, specs, strict=True)
        ]
        used = [i for i, loss in enumerate(self.losses) if loss is not None and not isinstance(loss, NumpyLoss)]
        feeds = [*xs, *(ys[i] for i in used), *(w for i in used if (w := given[i]) is not None)]
        key = (kind, *_shapes(xs), tuple(w is not None for w in given), self._trainable_key(kind))
        step = self.cached(key, lambda: self._build_losses(kind == "train", xs, ys, given, used))
        if kind == "train":
            self.optimizer.prepare_step()
        seed = random.next_seed() if step.program.is_random else 0
        if step.numpy_losses:
            return self._run_in_halves(kind, step, feeds, ys, seed)
        finished, out = step.program.run(feeds, seed=seed)
        total, losses, predictions = self._parts(step, out)
        self._finish(kind, finished, total)
        return total, losses, predictions

    def _run_in_halves(
        self, kind: str, step: Step, feeds: list[np.ndarray], ys: Arrays, seed: int
    ) -> tuple[float, list[float], list[np.ndarray]]:
        """Forward, the NumPy losses with their gradients, then the rest."""
        feeds = [*feeds, *step.gradient_feeds]
        finished, out = step.program.run(feeds, seed=seed, half=0)
        total, losses, predictions = self._parts(step, out)
        for i, feed in zip(step.numpy_losses, step.gradient_feeds, strict=True):
            loss = self.losses[i]
            assert isinstance(loss, NumpyLoss)
            losses[i], gradient = loss.evaluate(ys[i], predictions[i])
            bad = gradient[~np.isfinite(gradient)]
            if kind == "train" and np.isfinite(losses[i]) and bad.size:
                raise NonFiniteLoss(float(bad[0]), what=f"the gradient of {loss.name}")
            np.multiply(gradient, np.float32(self.loss_weights[i]), out=feed)
            total += losses[i] * self.loss_weights[i]
        finished = finished and bool(np.isfinite(total))
        if finished and kind == "train":
            step.program.run(feeds, seed=seed, half=1, fetch=())
        self._finish(kind, finished, total)
        return total, losses, predictions

    def _finish(self, kind: str, finished: bool, total: float) -> None:
        if kind != "train":
            return
        if not finished or not np.isfinite(total):
            raise NonFiniteLoss(total)
        self.optimizer.finish_step()

    @staticmethod
    def _parts(step: Step, out: list[np.ndarray]) -> tuple[float, list[float], list[np.ndarray]]:
        n = step.predictions
        total = float(out[-1]) if len(out) > n + step.losses else 0.0
        return total, [float(v) for v in out[n : n + step.losses]], out[:n]

    # Building

    def cached(self, key: Any, build: Any) -> Any:
        """What `build` gave for this key, or gives now; forgotten when the model's structure changes."""
        if self._changes != self._model.changes:
            self._forget_if_changed()
        if self.policy is None:
            return self._kept((target.key(), *key), build)
        with target.using_policy(self.policy):
            return self._kept((target.key(), *key), build)

    def _kept(self, key: Any, build: Any) -> Any:
        if key in self._programs:
            self._programs.move_to_end(key)
            return self._programs[key]
        made = build()
        self._programs[key] = made
        while len(self._programs) > MAX_PROGRAMS:
            self._programs.popitem(last=False)
        return made

    def _forget_if_changed(self) -> None:
        """Some structure has changed: if it is one inside this model, its Programs are of no use any more."""
        structure = tuple(layer.structure for layer in self._model.all_layers())
        if structure != self._structure:
            self.forget()
        self._structure, self._changes = structure, self._model.changes

    def _trainable_key(self, kind: str) -> Any:
        """Changes of `trainable` and of the optimizer's multipliers take effect at once: each combination has Programs
        of its own."""
        if kind != "train":
            return None
        changes = (self._model.changes, Variable.trainable_changes)
        if changes != self._trainable_changes:
            layers = self._model.all_layers()
            self._trainable = tuple((layer.trainable, *(w.trainable for w in layer._weights)) for layer in layers)
            self._trainable_changes = changes
        return self._trainable, self.optimizer.multipliers_key

    def _trace(self, graph: Graph, xs: Arrays) -> tuple[list[Value], list[Value]]:
        inputs = [graph.input(Spec(x.shape, x.dtype.name)) for x in xs]
        floats = [as_float_value(v) for v in inputs]
        several = len(floats) > 1 or self._model._several[0]
        outputs = self._model(floats if several else floats[0], training=graph.training)
        return inputs, list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]

    def _build_predict(self, xs: Arrays) -> Program:
        graph = Graph(training=False)
        inputs, outputs = self._trace(graph, xs)
        return Program(graph, inputs, outputs)

    def _output_specs(self, xs: Arrays) -> list[Spec]:
        def build() -> list[Spec]:
            return [v.spec for v in self._trace(Graph(training=False), xs)[1]]

        return self.cached(("specs", *_shapes(xs)), build)

    def _build_losses(self, training: bool, xs: Arrays, ys: Arrays, given: Sequence[Any], used: list[int]) -> Step:
        graph = Graph(training=training)
        inputs, outputs = self._trace(graph, xs)
        targets = {i: graph.input(Spec(ys[i].shape, ys[i].dtype.name)) for i in used}
        weights = {i: graph.input(Spec(w.shape)) for i in used if (w := given[i]) is not None}
        numpy_losses = [i for i, loss in enumerate(self.losses) if isinstance(loss, NumpyLoss)]
        losses: list[Value] = []
        terms: list[tuple[Value, float]] = []
        for i, loss in enumerate(self.losses):
            if i in used:
                assert loss is not None
                losses.append(loss.symbolic(targets[i], outputs[i], weights.get(i)))
                terms.append((losses[-1], self.loss_weights[i]))
            else:
                losses.append(graph.constant(np.zeros((), np.float32)))
        terms += [(v, 1.0) for v in graph.losses]
        terms += [(penalty.penalty(graph.variable(w)), 1.0) for w, penalty in self._model.penalties()]
        total = _weighted_sum(graph, terms)
        gradient_feeds = [np.zeros(outputs[i].spec.known_shape, np.float32) for i in numpy_losses]
        gradients = [graph.input(Spec(g.shape)) for g in gradient_feeds]
        if training:
            seeds: list[tuple[Value, Any]] = [
                *terms,
                *((outputs[i], g) for i, g in zip(numpy_losses, gradients, strict=True)),
            ]
            self._add_updates(graph, seeds)
        fetches = [*outputs, *losses, total]
        program = Program(
            graph,
            [*inputs, *targets.values(), *weights.values(), *gradients],
            fetches,
            guard=total if training and total.node is not None else None,
            pause_at=fetches if numpy_losses else (),
        )
        return Step(program, len(outputs), len(losses), gradient_feeds, numpy_losses)

    def _add_updates(self, graph: Graph, seeds: list[tuple[Value, Any]]) -> None:
        variables = self._model.trainable_weights
        if not variables:
            return  # all is frozen: losses are computed, as in Keras
        gradients = differentiate(graph, seeds, [graph.variable(v) for v in variables])
        pairs = [(v, g) for v, g in zip(variables, gradients, strict=True) if g is not None]
        if not pairs:
            raise ValueError(f"{self._model.name}: nothing to train: no trainable weight influences the loss")
        self.optimizer.build(variables)
        factors = multipliers.factors(self._model, self.optimizer.learning_rate_multipliers)
        self.optimizer.update_ops(graph, [v for v, _ in pairs], [g for _, g in pairs], factors)


def _weighted_sum(graph: Graph, terms: Sequence[tuple[Value, float]]) -> Value:
    total: Value | None = None
    for value, weight in terms:
        term = value if weight == 1.0 else scale(value, weight)
        total = term if total is None else add(total, term)
    return graph.constant(np.zeros((), np.float32)) if total is None else total


def as_float_value(v: Value) -> Value:
    """Images may be fed as uint8: they become floats inside the Program."""
    from cnnfast.ops.elementwise import cast

    return v if v.dtype == "float32" else cast(v)


def _shapes(arrays: Arrays) -> tuple[Any, ...]:
    return tuple([(a.shape, a.dtype) for a in arrays])


def _feedable(x: Any, name: str) -> np.ndarray:
    """float32 or uint8, C-contiguous and aligned. TypeError for what holds no real numbers, ValueError for nothing."""
    x = np.asarray(x)
    dtype = x.dtype
    if dtype.kind not in "fiub":
        raise TypeError(f"{name}: inputs must be real numbers, got dtype {dtype}")
    if x.size == 0:
        raise ValueError(f"{name}: an input is empty: shape {x.shape}")
    flags = x.flags
    if (dtype == np.float32 or dtype == np.uint8) and flags.c_contiguous and flags.aligned:
        return x  # what `require` would say too, in microseconds
    return np.require(x, np.uint8 if x.dtype == np.uint8 else np.float32, ["C", "A"])
