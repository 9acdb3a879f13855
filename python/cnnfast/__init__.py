"""cnnfast: build, train, run and explain convolutional networks on the computer you have.

The names follow Keras: `layers`, `models`, `optimizers`, `losses`, `metrics`, `callbacks`, `datasets`. Submodules are
loaded when they are first used, so that `import cnnfast` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cnnfast._version import __version__

if TYPE_CHECKING:
    from cnnfast import (
        activations,
        applications,
        callbacks,
        compat,
        config,
        datasets,
        explain,
        features,
        image,
        initializers,
        layers,
        losses,
        metrics,
        models,
        ops,
        optimizers,
        plots,
        preprocessing,
        regularizers,
        schedules,
        utils,
    )
    from cnnfast.formats import load_model
    from cnnfast.hardware import device, devices, set_device
    from cnnfast.layers.input import Input
    from cnnfast.models import Model, Sequential
    from cnnfast.ops.engine import DeviceError
    from cnnfast.schedules import lr_find

_MODULES = (
    "activations", "applications", "callbacks", "compat", "config", "datasets", "explain", "features", "image",
    "initializers", "layers", "losses", "metrics", "models", "ops", "optimizers", "plots", "preprocessing",
    "regularizers", "schedules", "utils",
)  # fmt: skip
_NAMES = {
    "Input": "cnnfast.layers.input",
    "DeviceError": "cnnfast.ops.engine",
    "Model": "cnnfast.models",
    "Sequential": "cnnfast.models",
    "device": "cnnfast.hardware",
    "devices": "cnnfast.hardware",
    "load_model": "cnnfast.formats",
    "lr_find": "cnnfast.schedules",
    "set_device": "cnnfast.hardware",
}

__all__ = [
    "DeviceError",
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "device",
    "devices",
    "get_threads",
    "load_model",
    "lr_find",
    "set_device",
    "set_threads",
    *_MODULES,
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"cnnfast.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'cnnfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def set_threads(threads: int) -> None:
    """How many threads to compute with, from now on. Results do not depend on it, bit for bit.

    Args:
        threads: 1 to 1024. At start: CNNFAST_NUM_THREADS, else OMP_NUM_THREADS, else what the process may use.

    Raises:
        ValueError: out of range.
        TypeError: not an integer.
    """
    from cnnfast.ops import engine

    if isinstance(threads, bool) or not hasattr(threads, "__index__"):
        raise TypeError(f"set_threads: expected an integer, got {threads!r}")
    engine.set_num_threads(threads.__index__())


def get_threads() -> int:
    """How many threads computations use."""
    from cnnfast.ops import engine

    return engine.num_threads()
