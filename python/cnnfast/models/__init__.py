"""Networks: `Sequential` stacks and `Model` graphs of layers."""

from cnnfast.models.model import Model
from cnnfast.models.sequential import Sequential

__all__ = ["Model", "Sequential"]
