"""Keras 3 on the backend that KERAS_BACKEND names: TensorFlow or JAX."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cnnfast.bench.data import Data
from cnnfast.bench.peers import Session
from cnnfast.bench.peers.augmentation import GeneratorSession
from cnnfast.bench.peers.keras_style import TrainSession, build_model, kernel_answer
from cnnfast.bench.spec import Workload, gradient_targets

_TENSORFLOW = keras.backend.backend() == "tensorflow"


def start(threads: int) -> dict[str, str]:
    name = keras.backend.backend()
    if name != os.environ["KERAS_BACKEND"]:
        raise RuntimeError(f"keras runs on {name}, expected {os.environ['KERAS_BACKEND']}")
    if _TENSORFLOW:
        import tensorflow as backend

        backend.config.threading.set_intra_op_parallelism_threads(threads)
        backend.config.threading.set_inter_op_parallelism_threads(1)
    else:
        import jax as backend
    return {"keras": keras.__version__, name: backend.__version__}


def prepare(workload: Workload, data: Data) -> Session:
    if workload.mode == "augment":
        from keras.src.legacy.preprocessing.image import ImageDataGenerator

        return GeneratorSession(ImageDataGenerator, workload, data)
    if workload.mode == "train":
        return TrainSession(keras, workload, data, _place)
    return FunctionSession(workload, data)


def _place(array: np.ndarray) -> Any:
    """The array as the backend's own, so that no step has to bring it there."""
    return keras.ops.convert_to_tensor(array)


class FunctionSession:
    """A prediction, or one layer and its gradients, as a compiled function: quicker than `predict`."""

    def __init__(self, workload: Workload, data: Data):
        self._workload = workload
        model = build_model(keras, workload, data.weights)
        make = _tensorflow_function if _TENSORFLOW else _jax_function
        self._run = make(model, workload, data)

    def step(self) -> float:
        for array in self._run():
            if not _TENSORFLOW:
                array.block_until_ready()
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return kernel_answer(self._workload, self._run())


def _tensorflow_function(model: Any, workload: Workload, data: Data) -> Callable[[], list[Any]]:
    import tensorflow as tf

    targets, learned = gradient_targets(workload), {v.name: v.value for v in model.trainable_variables}
    x, dy = _place(data.x), _place(data.y)

    @tf.function
    def forward(x: Any) -> list[Any]:
        return [model(x, training=False)]

    @tf.function
    def backward(x: Any, dy: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
        wanted = [x if name == "x" else learned[name] for name in targets]
        found = tape.gradient(y, wanted, output_gradients=dy)
        return [*found, y] if workload.mode == "both" else found

    return (lambda: backward(x, dy)) if targets else (lambda: forward(x))


def _jax_function(model: Any, workload: Workload, data: Data) -> Callable[[], list[Any]]:
    import jax

    targets = gradient_targets(workload)
    x, dy = _place(data.x), _place(data.y)
    learned = [v.value for v in model.trainable_variables]
    fixed = [v.value for v in model.non_trainable_variables]
    places = [v.name for v in model.trainable_variables]

    @jax.jit
    def forward(x: Any, learned: list[Any]) -> list[Any]:
        return [model.stateless_call(learned, fixed, x, training=False)[0]]

    @jax.jit
    def backward(x: Any, learned: list[Any], dy: Any) -> list[Any]:
        def run(x: Any, learned: list[Any]) -> Any:
            return model.stateless_call(learned, fixed, x, training=True)[0]

        y, gradients = jax.vjp(run, x, learned)
        dx, dlearned = gradients(dy)
        found = [dx if name == "x" else dlearned[places.index(name)] for name in targets]
        return [*found, y] if workload.mode == "both" else found

    return (lambda: backward(x, learned, dy)) if targets else (lambda: forward(x, learned))
