"""Modules that import torchvision, beside a PyTorch that it was not built for."""

from __future__ import annotations

import importlib
from typing import Any

import torch


def import_beside_torch(name: str) -> Any:
    """A module that imports torchvision.

    torchvision's operators are in a library that fits one build of PyTorch. What is measured here needs none of them,
    only their names.
    """
    try:
        return importlib.import_module(name)
    except RuntimeError:
        torch.library.register_fake = lambda *_, **__: lambda function: function
        return importlib.import_module(name)
