"""The small compiler: a graph of ops is differentiated, fused, planned and becomes a Program."""

from cnnfast.graph.values import Graph, Node, Spec, Value, Variable

__all__ = ["Graph", "Node", "Spec", "Value", "Variable"]
