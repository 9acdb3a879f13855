"""cnnfast itself."""

from __future__ import annotations

import numpy as np

import cnnfast
from cnnfast import explain
from cnnfast.bench.data import Data
from cnnfast.bench.explanations import last_maps
from cnnfast.bench.peers import Session
from cnnfast.bench.peers.augmentation import GeneratorSession
from cnnfast.bench.peers.keras_style import TrainSession, build_model, kernel_answer
from cnnfast.bench.spec import EXPLANATIONS, Workload, gradient_targets
from cnnfast.explain.maps import scaled
from cnnfast.graph.differentiate import differentiate
from cnnfast.graph.program import Program
from cnnfast.graph.values import Graph, Spec
from cnnfast.image.generator import ImageDataGenerator


def start(threads: int, device: str = "cpu", policy: str = "float32") -> dict[str, str]:
    from cnnfast.ops import engine

    cnnfast.set_threads(threads)
    versions = {"cnnfast": cnnfast.__version__, "isa": engine.isa(), "threading": engine.threading_backend()}
    return versions if device == "cpu" else versions | _on_device(device, policy)


def _on_device(device: str, policy: str) -> dict[str, str]:
    """Moves this process to a device; its name and what it is."""
    cnnfast.set_device(device)
    cnnfast.config.set_policy(policy)
    (found,) = (d for d in cnnfast.devices() if d.name == cnnfast.device())
    return {
        "device": found.name, "description": found.description, "memory_bytes": str(found.memory_bytes),
        "policy": cnnfast.config.policy(),
    }  # fmt: skip


def prepare(workload: Workload, data: Data) -> Session:
    if workload.mode == "augment":
        return GeneratorSession(ImageDataGenerator, workload, data, {"compat": "keras3"})
    if workload.mode == "train":
        return TrainSession(cnnfast, workload, data)
    if workload.mode in EXPLANATIONS:
        return ExplainSession(workload, data)
    return InferSession(workload, data) if workload.mode == "infer" else KernelSession(workload, data)


class InferSession:
    """Predictions through `predict_on_batch`: arrays in, arrays out."""

    def __init__(self, workload: Workload, data: Data):
        self._model, self._x = build_model(cnnfast, workload, data.weights), data.x

    def step(self) -> float:
        self._model.predict_on_batch(self._x)
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return {"y": np.asarray(self._model.predict_on_batch(self._x))}


class ExplainSession:
    """An explanation through `cnnfast.explain`: arrays in, arrays out."""

    def __init__(self, workload: Workload, data: Data):
        self._method = {"gradcam": self._gradcam, "saliency": self._saliency}[workload.mode]
        self._model, self._x = build_model(cnnfast, workload, data.weights), data.x
        self._classes, self._layer = data.y.tolist(), last_maps(workload).name

    def step(self) -> float:
        self._method()
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        found = self._method()
        # A map stays within [0, 1] when it is enlarged, but need not reach both ends.
        return {"y": scaled(found) if found.ndim == 3 else found}

    def _gradcam(self) -> np.ndarray:
        return explain.gradcam(self._model, self._x, self._classes, layer=self._layer)

    def _saliency(self) -> np.ndarray:
        return explain.saliency(self._model, self._x, self._classes)


class KernelSession:
    """One layer, or its gradients, as a Program of its own."""

    def __init__(self, workload: Workload, data: Data):
        self._workload = workload
        targets = gradient_targets(workload)
        model = build_model(cnnfast, workload, data.weights)
        variables = {v.name.rsplit("/", 1)[-1]: v for v in model.weights}
        graph = Graph(training=bool(targets))
        x, dy = graph.input(Spec(data.x.shape)), graph.input(Spec(data.y.shape))
        y = model(x)
        wrt = [x if name == "x" else graph.variable(variables[name]) for name in targets]
        found = [g for g in differentiate(graph, [(y, dy)], wrt) if g is not None]
        # What is not fetched is not computed: the gradient alone for "dx" and "dw".
        fetches = [*found, y] if workload.mode in ("forward", "both") else found
        self._program = Program(graph, [x, dy], fetches)
        self._feeds = [data.x, data.y]

    def step(self) -> float:
        self._program.run(self._feeds, fetch=())
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return kernel_answer(self._workload, self._program.run(self._feeds)[1])
