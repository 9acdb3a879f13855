"""Networks: `Sequential` stacks and `Model` graphs of layers."""

from typing import TYPE_CHECKING, Any

from cnnfast.models.model import Model
from cnnfast.models.sequential import Sequential

if TYPE_CHECKING:
    from cnnfast.formats import load_model

__all__ = ["Model", "Sequential", "load_model"]


def __getattr__(name: str) -> Any:
    if name == "load_model":  # when it is asked for: files are made of models
        from cnnfast.formats import load_model

        return load_model
    raise AttributeError(f"module 'cnnfast.models' has no attribute {name!r}")
