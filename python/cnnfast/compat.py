"""TensorFlow's names for what cnnfast has: programs for images run with their import line changed.

    import cnnfast.compat as tf                    # instead of import tensorflow as tf
    from cnnfast.compat import keras               # instead of from tensorflow import keras
    from cnnfast.compat.keras.layers import Dense  # instead of from tensorflow.keras.layers import Dense

There is nothing behind these names but cnnfast's own classes and functions. Optimizers take Keras 2's `lr`, models have
`fit_generator` and its like. What cnnfast has not is an AttributeError that says so.

Example:
    >>> import cnnfast.compat as tf
    >>> model = tf.keras.models.Sequential()
    >>> model.add(tf.keras.layers.Dense(256, activation=tf.nn.relu, input_shape=(64,)))
    >>> model.compile(optimizer=tf.keras.optimizers.RMSprop(lr=2e-5), loss="mse", metrics=["acc"])
    >>> tf.keras.layers.LSTM
    Traceback (most recent call last):
    AttributeError: cnnfast.compat: there is no tf.keras.layers.LSTM in cnnfast, which is for networks on images
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from cnnfast import activations, utils
from cnnfast import optimizers as _optimizers
from cnnfast._version import __version__
from cnnfast.layers.base import reset_names


class Namespace(ModuleType):
    """A module under TensorFlow's name.

    Args:
        name: its name after `tf.`.
        sources: names of the modules that have what it has, the first first; they are loaded when they are asked.
        values: what it has besides, by name.
    """

    def __init__(self, name: str, *sources: str, **values: Any):
        super().__init__(f"{__name__}.{name}", f"`tf.{name}`, made of {', '.join(sources) or 'parts of cnnfast'}.")
        self.__path__: list[str] = []  # what lies below is imported by its full name
        self._tf_name, self._sources = f"tf.{name}", sources
        vars(self).update(values)
        sys.modules[self.__name__] = self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        for source in self._modules():
            if hasattr(source, name):
                return getattr(source, name)
        raise missing(f"{self._tf_name}.{name}", dir(self))

    def __dir__(self) -> list[str]:
        own = [name for name, value in vars(self).items() if not name.startswith("_")]
        return sorted({*own, *(name for source in self._modules() for name in public_names(source))})

    def _modules(self) -> list[ModuleType]:
        return [module for source in self._sources if (module := _loaded(source)) is not None]


def _loaded(source: str) -> ModuleType | None:
    """A module of cnnfast; None if this version does not have it. What is missing inside it is an error as ever."""
    try:
        return importlib.import_module(source)
    except ModuleNotFoundError as error:
        if error.name is not None and (source == error.name or source.startswith(error.name + ".")):
            return None
        raise


def public_names(module: ModuleType) -> list[str]:
    return list(getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")])


def missing(name: str, known: list[str]) -> AttributeError:
    """The error for a name of TensorFlow's that cnnfast has not."""
    close = difflib.get_close_matches(name.rsplit(".", 1)[1], known, n=1, cutoff=0.8)
    hint = f"; did you mean {close[0]}?" if close else ""
    return AttributeError(f"cnnfast.compat: there is no {name} in cnnfast, which is for networks on images{hint}")


class _Stand(type):
    """A class that stands for another: what that one makes counts as its own."""

    stands_for: type

    def __instancecheck__(cls, instance: Any) -> bool:
        is_stand = "stands_for" in vars(cls)  # and not a program's own class made of it
        return isinstance(instance, cls.stands_for) if is_stand else super().__instancecheck__(instance)


def _with_old_arguments(cls: type[_optimizers.Optimizer]) -> Callable[..., _optimizers.Optimizer]:
    """The class under its own name, made with Keras 2's arguments `lr` and `decay` too.

    lr is learning_rate; with decay d the rate of step t (from 0) is learning_rate / (1 + d t). Classes made of it are
    classes of their own, which take these arguments too.
    """

    class Old(cls, metaclass=_Stand):  # type: ignore[misc, valid-type]
        stands_for = cls

        def __new__(old, *args: Any, **kwargs: Any) -> Any:
            if old is not Old:
                return super().__new__(old)
            made: Any = cls.__new__(cls)
            Old.__init__(made, *args, **kwargs)
            return made

        def __init__(self, *args: Any, lr: Any = None, decay: float = 0.0, **kwargs: Any) -> None:
            from cnnfast import schedules

            if lr is not None:
                if args or "learning_rate" in kwargs:
                    raise TypeError(f"{cls.__name__}: lr is the old name of learning_rate; give one of the two")
                kwargs["learning_rate"] = lr
            cls.__init__(self, *args, **kwargs)
            if decay:
                this: Any = self
                this.learning_rate = schedules.InverseTimeDecay(this.learning_rate, 1, decay)

    Old.__name__, Old.__qualname__, Old.__doc__ = cls.__name__, cls.__qualname__, cls.__doc__
    return Old


def clear_session(free_memory: bool = True) -> None:
    """Automatic names of layers start again; memory is freed with the models that hold it."""
    reset_names()


def image_data_format() -> str:
    """ "channels_last": images are (N, H, W, C)."""
    return "channels_last"


_NN = ("elu", "gelu", "leaky_relu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "swish", "tanh")
nn = Namespace("nn", **{name: activations.get(name) for name in _NN})
random = Namespace("random", set_seed=utils.set_random_seed)

_APPLICATIONS = ("densenet", "imagenet_utils", "mobilenet", "mobilenet_v2", "resnet", "resnet50", "vgg16", "vgg19")
_applications = {
    name: Namespace(f"keras.applications.{name}", f"cnnfast.applications.{name}") for name in _APPLICATIONS
}
_DATASETS = ("cifar10", "fashion_mnist", "mnist")
_datasets = {name: Namespace(f"keras.datasets.{name}", f"cnnfast.datasets.{name}") for name in _DATASETS}
_old_optimizers = {
    cls.__name__: _with_old_arguments(cls)
    for cls in (_optimizers.SGD, _optimizers.Adam, _optimizers.AdamW, _optimizers.RMSprop)
}
_image = Namespace("keras.preprocessing.image", "cnnfast.preprocessing.image", "cnnfast.image")
_parts: Mapping[str, Namespace] = {
    "activations": Namespace("keras.activations", "cnnfast.activations"),
    "applications": Namespace("keras.applications", "cnnfast.applications", **_applications),
    "backend": Namespace("keras.backend", clear_session=clear_session, image_data_format=image_data_format),
    "callbacks": Namespace("keras.callbacks", "cnnfast.callbacks"),
    "datasets": Namespace("keras.datasets", "cnnfast.datasets", **_datasets),
    "initializers": Namespace("keras.initializers", "cnnfast.initializers"),
    "layers": Namespace("keras.layers", "cnnfast.layers"),
    "losses": Namespace("keras.losses", "cnnfast.losses"),
    "metrics": Namespace("keras.metrics", "cnnfast.metrics"),
    "models": Namespace("keras.models", "cnnfast.models"),
    "optimizers": Namespace(
        "keras.optimizers",
        "cnnfast.optimizers",
        schedules=Namespace("keras.optimizers.schedules", "cnnfast.schedules"),
        **_old_optimizers,
    ),
    "preprocessing": Namespace("keras.preprocessing", "cnnfast.preprocessing", "cnnfast.image", image=_image),
    "regularizers": Namespace("keras.regularizers", "cnnfast.regularizers"),
    "utils": Namespace("keras.utils", "cnnfast.utils", "cnnfast.preprocessing.image", "cnnfast.image"),
}
keras = Namespace("keras", "cnnfast", __version__=__version__, **_parts)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise missing(f"tf.{name}", ["keras", "nn", "random"])


__path__: list[str] = []  # so that `import cnnfast.compat.keras.layers` finds what stands above
__all__ = ["__version__", "keras", "nn", "random"]
