"""Keras 3 on the backend that KERAS_BACKEND names: TensorFlow or JAX."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cnnfast.bench.data import Data
from cnnfast.bench.peers import Session
from cnnfast.bench.peers.keras_style import ModelSession, build_model, kernel_answer
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
    if workload.mode in ("train", "infer"):
        # On CPUs TensorFlow runs convolutions several times faster without XLA, which Keras would choose.
        return ModelSession(keras, workload, data, **({"jit_compile": False} if _TENSORFLOW else {}))
    return KernelSession(workload, data)


class KernelSession:
    """One layer, or one of its gradients, as a compiled function of x and dy."""

    def __init__(self, workload: Workload, data: Data):
        self._targets = gradient_targets(workload)
        model = build_model(keras, workload, data.weights)
        make = _tensorflow_function if _TENSORFLOW else _jax_function
        self._run = make(model, self._targets, data)

    def step(self) -> float:
        for array in self._run():
            if not _TENSORFLOW:
                array.block_until_ready()
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return kernel_answer(self._targets, self._run())


def _targets_of(model: Any, targets: list[str], x: Any) -> list[Any]:
    by_name = {v.name: v for v in model.trainable_variables}
    return [x if name == "x" else by_name[name] for name in targets]


def _tensorflow_function(model: Any, targets: list[str], data: Data) -> Callable[[], list[Any]]:
    import tensorflow as tf

    x, dy = tf.constant(data.x), tf.constant(data.y)

    @tf.function
    def forward(x: Any) -> list[Any]:
        return [model(x, training=False)]

    @tf.function
    def backward(x: Any, dy: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
        wanted = [v if v is x else v.value for v in _targets_of(model, targets, x)]
        return list(tape.gradient(y, wanted, output_gradients=dy))

    return (lambda: backward(x, dy)) if targets else (lambda: forward(x))


def _jax_function(model: Any, targets: list[str], data: Data) -> Callable[[], list[Any]]:
    import jax

    x, dy = jax.numpy.asarray(data.x), jax.numpy.asarray(data.y)
    learned = [v.value for v in model.trainable_variables]
    fixed = [v.value for v in model.non_trainable_variables]
    names = [v.name for v in model.trainable_variables]

    @jax.jit
    def forward(x: Any, learned: list[Any]) -> list[Any]:
        return [model.stateless_call(learned, fixed, x, training=False)[0]]

    @jax.jit
    def backward(x: Any, learned: list[Any], dy: Any) -> list[Any]:
        def run(x: Any, learned: list[Any]) -> Any:
            return model.stateless_call(learned, fixed, x, training=True)[0]

        dx, dlearned = jax.vjp(run, x, learned)[1](dy)
        return [dx if name == "x" else dlearned[names.index(name)] for name in targets]

    return (lambda: backward(x, learned, dy)) if targets else (lambda: forward(x, learned))
