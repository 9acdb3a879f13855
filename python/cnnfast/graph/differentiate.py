"""Reverse-mode differentiation: adds the nodes that compute gradients (Griewank and Walther, 2008, ch. 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnfast.graph.values import Graph, Value, given


def differentiate(
    graph: Graph,
    outputs: Sequence[tuple[Value, Any]],
    wrt: Sequence[Value],
    rules: Mapping[str, Callable[..., list[Any]]] | None = None,
) -> list[Value | None]:
    """Adds the gradient nodes of `outputs` to `graph`.

    Args:
        graph: holds all nodes of the outputs, each after the nodes it needs.
        outputs: pairs (value, its gradient): a value of the same shape or, for a scalar loss, a float.
        wrt: values to differentiate by.
        rules: gradient rules by the names of ops, in place of the ops' own: what comes out is then no gradient.

    Returns:
        For each value of `wrt` its gradient, or None if no output depends on it through differentiable ops.

    Raises:
        ValueError: an op on the way has no gradient.
    """
    reached = _reached_from(graph, wrt)
    gradients: dict[int, Any] = {}
    for value, gradient in outputs:
        _accumulate(gradients, value, gradient)
    for node in reversed(graph.nodes[:]):
        grads = [gradients.get(id(v)) for v in node.outputs]
        needs = [v is not None and id(v) in reached for v in node.inputs]
        if not any(needs) or all(g is None for g in grads):
            continue
        rule = (rules or {}).get(node.op.name) or getattr(node.op, "gradient", None)
        if rule is None:
            raise ValueError(f"{node.op.name}: this op has no gradient")
        for i, gradient in enumerate(rule(node, grads, needs)):
            if needs[i] and gradient is not None:
                _accumulate(gradients, given(node, i), gradient)
    return [gradients.get(id(v)) for v in wrt]


def _reached_from(graph: Graph, wrt: Sequence[Value]) -> set[int]:
    """Values that depend on `wrt`, itself included: gradients need not be computed for any other."""
    reached = {id(v) for v in wrt}
    for node in graph.nodes:
        if any(v is not None and id(v) in reached for v in node.inputs):
            reached.update(id(v) for v in node.outputs)
    return reached


def _accumulate(gradients: dict[int, Any], value: Value, gradient: Any) -> None:
    """A value that is used several times gets the sum of what comes back from each use."""
    from cnnfast.ops.elementwise import add

    if id(value) in gradients:
        earlier = gradients[id(value)]
        both_numbers = not isinstance(earlier, Value) and not isinstance(gradient, Value)
        gradient = earlier + gradient if both_numbers else add(earlier, gradient)
    gradients[id(value)] = gradient
