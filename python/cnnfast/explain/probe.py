"""What explanations ask of a model: values inside it, scores, and gradients of a target by them.

Nothing is attached to the model. Its layers are traced once more into a graph of their own, in which any value can be
fetched or differentiated by; the Program is kept with the model's others and forgotten with them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnfast.explain.places import LayerLike, Place, Spot, find, last_maps, needed_for, places_in, spatial
from cnnfast.explain.targets import Target, TargetLike, resolved
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec, Value, given
from cnnfast.models.engine import Engine
from cnnfast.models.model import Model
from cnnfast.ops.core import OPS, Op
from cnnfast.ops.shape import reshape

BATCH_SIZE = 32
_SEEN_THROUGH = ("softmax", "sigmoid")
_SILENT_BELOW_0 = ("relu", "relu6")  # seen through where a layer's output is the score: they give silence no gradient
_log = logging.getLogger("cnnfast.explain")

Rules = Mapping[str, Callable[..., list[Any]]]


@dataclass
class Found:
    """What a Probe found out about some samples.

    Attributes:
        rows: which of all samples they are.
        scores: (n, ...), before a final softmax or sigmoid.
        weights: like `scores`: what the target multiplies each with; None if the target is a function.
        values: (n, ...) for each layer that was asked for.
        gradients: of the target by each of `values`, if they were asked for.
        inputs: gradients of the target by each input of the model, if they were asked for.
    """

    rows: slice
    scores: np.ndarray
    weights: np.ndarray | None
    values: list[np.ndarray]
    gradients: list[np.ndarray]
    inputs: list[np.ndarray]


@dataclass
class _Steps:
    """A Program and what its fetches are: scores, values, their gradients, inputs' gradients."""

    program: Program
    is_linear: bool  # the target's weights are fed, between the two halves
    counts: tuple[int, int, int]
    score_shape: tuple[int, ...]


@dataclass
class _View:
    """What was found where a model was traced."""

    places: list[Place]
    seen_through: str | None
    last_maps: Place | None = None  # once they are asked for


class Probe:
    """A model as explanations see it.

    Args:
        model: built, or of a kind that is built when it is called.
        x: (N, H, W, C), or a list of arrays for a model with several inputs; uint8 or float, as the model wants it.
        op: name of the method, for messages.
        output: which of the model's outputs, by number or name.
        batch_size: samples run at once.
        layer: a layer whose output is the score, instead of the model's; before its final softmax, sigmoid or ReLU.

    Attributes:
        model, op, batch_size: as given.
        xs: the inputs as float32.
        several: whether x was a list.

    Raises:
        TypeError: no model, or inputs that are no numbers.
        ValueError: inputs that do not fit the model, values that are not finite, an output that is not there.
    """

    def __init__(
        self,
        model: Model,
        x: Any,
        *,
        op: str,
        output: int | str = 0,
        batch_size: int = BATCH_SIZE,
        layer: LayerLike | None = None,
    ):
        if not isinstance(model, Model):
            raise TypeError(f"{op}: model must be a cnnfast model, got {type(model).__name__}")
        if isinstance(output, bool) or not (isinstance(output, str) or hasattr(output, "__index__")):
            raise TypeError(f"{op}: output must be a number or a name, got {output!r}")
        self.model, self.op, self._output = model, op, output
        self.several = isinstance(x, (list, tuple))
        self.xs = _checked_inputs(op, x if self.several else [x])
        self.batch_size = whole_number(op, "batch_size", batch_size)
        self._scored: Place | None = None
        self._of_functions: dict[Any, tuple[Callable[[Value], Value], _Steps]] = {}
        self._view = self._looked_around()
        if layer is not None:
            self._scored = self.place(layer)
            self._view = self._looked_around()
        if self.seen_through:
            whose = model.name if self._scored is None else self._scored.name
            _log.info("%s: explains the scores before the final %s of %s", op, self.seen_through, whose)

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.xs[0])

    @property
    def places(self) -> list[Place]:
        """Where one can look, in the order of running."""
        return self._view.places

    @property
    def seen_through(self) -> str | None:
        """What stands between the scores and the model's output: "softmax" or "sigmoid"; with `layer` also "relu" and
        "relu6"."""
        return self._view.seen_through

    def place(self, layer: LayerLike) -> Place:
        """The place that a name stands for; "auto" is the last convolutional feature map.

        Raises:
            TypeError, ValueError: see `find` and `last_maps`.
        """
        if isinstance(layer, str) and layer == "auto":
            if self._view.last_maps is None:
                n = min(self.batch_size, self.count)
                self._view.last_maps = last_maps(self.op, self._trace(n)[0], self.places)
            return self._view.last_maps
        return find(self.op, self.places, layer)

    def maps(self, layer: LayerLike) -> Place:
        """A place whose output is maps that the score depends on. ValueError otherwise, which names those that are."""
        return spatial(self.op, self.place(layer), self.places)

    def outputs(self) -> dict[int, Value]:
        """By the number of each place its symbolic output, in a graph that no Program has changed."""
        applied = self._trace(min(self.batch_size, self.count))[0].applied
        return {p.index: applied[p.index].outputs[0] for p in self.places}

    def target(self, target: TargetLike) -> Target | Callable[[Value], Value]:
        """The target for these samples, checked."""
        if callable(target) and not isinstance(target, Target):
            return target
        return resolved(self.op, target, self.count, self.model.class_names)

    def run(
        self,
        target: TargetLike = None,
        *,
        values: Sequence[Place | Spot] = (),
        gradients: bool = False,
        inputs: bool = False,
        rules: Rules | None = None,
        xs: Sequence[np.ndarray] | None = None,
    ) -> Iterator[Found]:
        """What is asked for, a batch of samples after the other.

        Args:
            target: what the gradients are of; see `TargetLike`.
            values: places whose values are wanted.
            gradients: whether the gradients by these values are wanted too.
            inputs: whether the gradients by the model's inputs are wanted.
            rules: other gradient rules by the names of ops.
            xs: other inputs of the same samples instead of `self.xs`.

        Raises:
            ValueError: a target that does not fit; a value that the target does not depend on; scores that are not
                finite.
        """
        wanted = self.target(target)
        given_xs = self.xs if xs is None else list(xs)
        for begin in range(0, self.count, self.batch_size):
            rows = slice(begin, min(begin + self.batch_size, self.count))
            yield self._run([a[rows] for a in given_xs], rows, wanted, values, gradients, inputs, rules)

    def scores(self, xs: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """Scores (n, ...) before a final softmax or sigmoid, of these samples or of any others of the same shape."""
        arrays = self.xs if xs is None else list(xs)
        parts = []
        for begin in range(0, len(arrays[0]), self.batch_size):
            chunk = [np.ascontiguousarray(a[begin : begin + self.batch_size]) for a in arrays]
            steps = self._steps(len(chunk[0]), None, (), False, False, None)
            parts.append(steps.program.run(chunk)[1][0])
        return np.concatenate(parts)

    def scores_from(self, place: Place, values: np.ndarray, xs: Sequence[np.ndarray]) -> np.ndarray:
        """Scores of samples in which other values stand at a place; only what comes after the place is computed.

        Args:
            place: whose values are replaced.
            values: (n, ...), what they are replaced by.
            xs: the inputs of the same n samples, for what does not depend on the place.
        """
        n = len(values)
        program = self._cached("from", n, lambda: self._build_from(n, place), place.key)
        return program.run([np.require(a, np.float32, ["C", "A"]) for a in (values, *xs)])[1][0]

    def graph(self) -> tuple[Graph, Value]:
        """The model for one sample in a graph of its own, to look at its nodes, and the scores there."""
        graph, _, scores, _, _ = self._trace(1)
        return graph, scores

    # One batch

    def _run(
        self,
        xs: list[np.ndarray],
        rows: slice,
        target: Target | Callable[[Value], Value],
        values: Sequence[Place | Spot],
        gradients: bool,
        inputs: bool,
        rules: Rules | None,
    ) -> Found:
        function = None if isinstance(target, Target) else target
        steps = self._steps(len(xs[0]), function, values, gradients, inputs, rules)
        n_values, n_gradients, n_inputs = steps.counts
        weights = None
        if steps.is_linear:
            feed = np.zeros(steps.score_shape, np.float32)
            _, (scores, *_) = steps.program.run([*xs, feed], half=0, fetch=[0])
            assert isinstance(target, Target)
            weights = target.weights(self._finite(scores), rows)
            rest = range(1, 1 + n_values + n_gradients + n_inputs)
            _, found = steps.program.run([*xs, weights], half=1, fetch=rest)
        else:
            _, (scores, *found) = steps.program.run(xs)
            self._finite(scores)
            if isinstance(target, Target):
                weights = target.weights(scores, rows)
        ends = n_values, n_values + n_gradients
        return Found(rows, scores, weights, found[: ends[0]], found[ends[0] : ends[1]], found[ends[1] :])

    def _finite(self, scores: np.ndarray) -> np.ndarray:
        if not np.isfinite(scores).all():
            raise ValueError(f"{self.op}: {self.model.name} gives scores that are not finite; they cannot be explained")
        return scores

    # Building

    def _steps(
        self,
        n: int,
        function: Callable[[Value], Value] | None,
        values: Sequence[Place | Spot],
        gradients: bool,
        inputs: bool,
        rules: Rules | None,
    ) -> _Steps:
        needed = function if gradients or inputs else None
        kind = None if rules is None else tuple(sorted(rules.items()))
        key = tuple(p.key for p in values), gradients, inputs, kind
        if needed is None:
            return self._cached("steps", n, lambda: self._build(n, None, values, gradients, inputs, rules), *key)
        # A function may give something else when it is called the next time, so it serves for this explanation only.
        mine = n, id(needed), *key
        if mine not in self._of_functions or self._of_functions[mine][0] is not needed:
            self._of_functions[mine] = needed, self._build(n, needed, values, gradients, inputs, rules)
        return self._of_functions[mine][1]

    def _build(
        self,
        n: int,
        function: Callable[[Value], Value] | None,
        values: Sequence[Place | Spot],
        gradients: bool,
        inputs: bool,
        rules: Rules | None,
    ) -> _Steps:
        graph, feeds, scores, _, _ = self._trace(n)
        looked_at = [p.value(graph) for p in values]
        wrt = [*(looked_at if gradients else []), *(feeds if inputs else [])]
        if not wrt:
            program = Program(graph, feeds, [scores, *looked_at])
            return _Steps(program, False, (len(looked_at), 0, 0), scores.spec.known_shape)
        names = [*([p.name for p in values] if gradients else []), *self.model.input_names]
        if function is None:
            end: Value = scores
            seed: Any = graph.input(Spec(scores.spec.known_shape))
        else:
            end = self._applied(function, scores)
            seed = graph.constant(np.ones(end.spec.known_shape, np.float32))
        found = differentiate(graph, [(end, seed)], wrt, rules)
        for name, gradient in zip(names, found, strict=False):
            if gradient is None:
                raise ValueError(f"{self.op}: what is to be explained does not depend on {name!r}")
        program = Program(
            graph,
            feeds if function is not None else [*feeds, seed],
            [scores, *looked_at, *(g for g in found if g is not None)],
            pause_at=[scores] if function is None else (),
        )
        counts = len(looked_at), len(looked_at) if gradients else 0, len(feeds) if inputs else 0
        return _Steps(program, function is None, counts, scores.spec.known_shape)

    def _build_from(self, n: int, place: Place) -> Program:
        graph, feeds, scores, _, _ = self._trace(n)
        replaced = place.value(graph)
        feed = graph.input(replaced.spec)
        for node in graph.nodes:
            node.inputs = [feed if v is replaced else v for v in node.inputs]
        scores = feed if scores is replaced else scores
        needed = needed_for(graph, scores)
        graph.nodes = [node for node in graph.nodes if any(id(v) in needed for v in node.outputs)]
        return Program(graph, [feed, *feeds], [scores])

    def _applied(self, function: Callable[[Value], Value], scores: Value) -> Value:
        end = function(scores)
        if not isinstance(end, Value) or end.graph is not scores.graph:
            raise TypeError(
                f"{self.op}: a target that is a function takes the symbolic scores {scores.shape} and gives what "
                f"cnnfast.ops make of them, got {type(end).__name__}"
            )
        if end.spec.shape[:1] != scores.spec.shape[:1]:
            raise ValueError(
                f"{self.op}: a target that is a function must keep the samples apart: of scores {scores.shape} it made "
                f"{end.shape}"
            )
        return end

    def _looked_around(self) -> _View:
        n = min(self.batch_size, self.count)

        def look() -> _View:
            graph, _, scores, seen_through, output = self._trace(n)
            return _View(places_in(graph, self.model, scores, output), seen_through)

        names = tuple(layer.name for layer in self.model.all_layers())  # they may change while the structure does not
        return self._cached("places", n, look, names)

    def _cached(self, what: str, n: int, build: Callable[[], Any], *key: Any) -> Any:
        """What `build` gave for n samples of these shapes; kept with the model's Programs."""
        shapes = tuple(a.shape[1:] for a in self.xs)
        scored = None if self._scored is None else self._scored.index
        engine: Engine = self.model._engine  # type: ignore[assignment]
        return engine.cached(("explain", what, n, shapes, self._output, scored, *key), build)

    def _trace(self, n: int) -> tuple[Graph, list[Value], Value, str | None, Value]:
        """The model in a new graph for n samples: its inputs, the scores, what stands behind them and the output."""
        graph = Graph(training=False)
        feeds = [graph.input(Spec((n, *a.shape[1:]))) for a in self.xs]
        outputs = self.model(feeds if len(feeds) > 1 or self.model._several[0] else feeds[0], training=False)
        several = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        output = several[self._output_number(len(several))]
        seen: tuple[str, ...] = _SEEN_THROUGH
        if self._scored is not None:
            output, seen = graph.applied[self._scored.index].outputs[0], (*_SEEN_THROUGH, *_SILENT_BELOW_0)
        scores, seen_through = _scores_behind(output, seen)
        return graph, feeds, scores, seen_through, output

    def _output_number(self, count: int) -> int:
        if isinstance(self._output, str):
            names = self.model.output_names
            if self._output not in names:
                raise ValueError(f"{self.op}: no output is named {self._output!r}; they are {', '.join(names)}")
            return names.index(self._output)
        if not 0 <= self._output < count:
            raise ValueError(f"{self.op}: output {self._output} is out of range, {self.model.name} has {count}")
        return self._output


def unasked(scores: Value) -> Value:
    """The target where there is none: unlike a class, it fits scores of any shape."""
    return scores


def whole_number(op: str, name: str, value: Any, least: int = 1) -> int:
    """`value`, if it is a whole number from `least`. ValueError otherwise."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise ValueError(f"{op}: {name} must be a whole number from {least}, got {value!r}")
    return int(value)


def _scores_behind(output: Value, seen: Sequence[str]) -> tuple[Value, str | None]:
    """What a final op of these is made of, seen through reshapes of it; the output itself without one."""
    node = output.node
    if node is None or not isinstance(node.op, Op):
        return output, None
    if node.op.name in seen:
        return given(node, 0), node.op.name
    if node.op is OPS["reshape"]:
        before = given(node, 0)
        scores, name = _scores_behind(before, seen)
        if name is not None and before.shape[-1:] == output.shape[-1:]:
            return reshape(scores, output.spec.known_shape), name
    return output, None


def _checked_inputs(op: str, xs: Sequence[Any]) -> list[np.ndarray]:
    arrays = []
    for x in xs:
        array = np.asarray(x)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{op}: x must hold real numbers, got dtype {array.dtype}")
        if array.ndim < 2 or array.size == 0:
            raise ValueError(f"{op}: x must be a batch of samples (N,...) with N from 1, got shape {array.shape}")
        array = np.require(array, np.float32, ["C", "A"])
        if not np.isfinite(array).all():
            raise ValueError(f"{op}: x has values that are not finite")
        arrays.append(array)
    if len({len(a) for a in arrays}) != 1:
        raise ValueError(f"{op}: the inputs must have the same number of samples, got {[len(a) for a in arrays]}")
    return arrays
