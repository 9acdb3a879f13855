"""How long cnnfast takes from nothing to a first result, each time in a fresh process."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

from cnnfast.bench.process import ask_python
from cnnfast.bench.report import duration
from cnnfast.bench.runner import Settings
from cnnfast.bench.statistics import Spread, spread
from cnnfast.bench.workloads import workloads

# The clock starts before the package is there, so this is not in a module of it.
_CHILD = """
import time
begin = time.perf_counter()
import numpy
numpy_there = time.perf_counter()
import cnnfast
cnnfast.Model, cnnfast.layers.Conv2D, cnnfast.optimizers.Adam
cnnfast_there = time.perf_counter()
from cnnfast.bench.startup import measure
measure(numpy_there - begin, cnnfast_there - numpy_there)
"""

#: What is measured, in its order.
TITLES = {
    "import_numpy": "import numpy",
    "import_cnnfast": "import cnnfast with layers and optimizers",
    "model": "ResNet-50: layers, and weights set from arrays",
    "program": "ResNet-50: building the Program of a prediction, batch 1",
    "first_prediction": "ResNet-50: its first run",
    "later_prediction": "ResNet-50: a later run",
    "first_training": "ResNet-50: first training step, batch 8, with its Program",
    "later_training": "ResNet-50: a later training step",
}


def start_up(settings: Settings) -> dict[str, Spread]:
    """Seconds of each thing in `TITLES`, over as many fresh processes as there are rounds.

    Raises:
        WorkerError: a process failed.
    """
    runs = [ask_python("-c", _CHILD, threads=settings.threads) for _ in range(settings.rounds)]
    return {name: spread([run[name] for run in runs]) for name in TITLES}


def text(found: dict[str, Spread]) -> str:
    """The figures as lines to read."""
    width = max(map(len, TITLES.values()))
    return "\n".join(
        f"{TITLES[n]:<{width}}  {duration(s.median):<8}  {duration(s.low)} - {duration(s.high)}"
        for n, s in found.items()
    )


def measure(import_numpy: float, import_cnnfast: float) -> None:
    """The child's part: prints the seconds of everything as JSON."""
    print(json.dumps({"import_numpy": import_numpy, "import_cnnfast": import_cnnfast, **_resnet50()}))


def _resnet50() -> dict[str, float]:
    import cnnfast
    from cnnfast.bench.data import make_data
    from cnnfast.bench.peers.keras_style import build_model, make_optimizer
    from cnnfast.graph.program import Program
    from cnnfast.graph.values import Graph, Spec

    row = workloads()["infer/resnet50-1"]
    train = dataclasses.replace(row, mode="train", batch=8, loss="sparse_categorical_crossentropy", optimizer="adam")
    data, many = make_data(row), make_data(train)
    seconds, model = _timed(lambda: build_model(cnnfast, row, data.weights))
    found = {"model": seconds}

    def program() -> Program:
        graph = Graph(training=False)
        x = graph.input(Spec(data.x.shape))
        return Program(graph, [x], [model(x)])

    found["program"], made = _timed(program)
    for name in ("first_prediction", "later_prediction"):
        found[name] = _timed(lambda: made.run([data.x]))[0]
    model.compile(optimizer=make_optimizer(cnnfast, train), loss=train.loss)
    for name in ("first_training", "later_training"):
        found[name] = _timed(lambda: model.train_on_batch(many.x, many.y))[0]
    return found


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    made = run()
    return time.perf_counter() - begin, made
