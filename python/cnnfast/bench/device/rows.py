"""The suite on a GPU: a closed table of networks, as `workloads` is for the CPU, and the names of the kernels."""

from __future__ import annotations

from collections.abc import Iterator

from cnnfast.bench import networks
from cnnfast.bench.device import kernels
from cnnfast.bench.device.kernels import KernelRow
from cnnfast.bench.spec import Workload
from cnnfast.bench.workloads import matching

_SPARSE = "sparse_categorical_crossentropy"
_BINARY = "binary_crossentropy"

# name, network, input shape, batch sizes, loss, optimizer
_TRAIN = [
    ("resnet50", networks.resnet50, (224, 224, 3), (256,), _SPARSE, "adam"),
    ("vgg16-block5", networks.vgg16_fine_tune, (150, 150, 3), (16, 64), _BINARY, "rmsprop"),
    ("mnist", networks.mnist_convnet, (28, 28, 1), (64,), _SPARSE, "adam"),
    ("cats-dogs", networks.cats_dogs_convnet, (150, 150, 3), (32,), _BINARY, "rmsprop"),
    ("resnet18-cifar", networks.resnet18_cifar, (32, 32, 3), (64, 256), _SPARSE, "adam"),
]

# name, network, input shape, batch sizes
_INFER = [
    ("resnet50", networks.resnet50, (224, 224, 3), (1, 64)),
    ("vgg16-base", networks.vgg16_features, (150, 150, 3), (1, 64)),
    ("mobilenet-v2", networks.mobilenet_v2, (224, 224, 3), (1, 64)),
    ("mnist", networks.mnist_convnet, (28, 28, 1), (1,)),
]


def _train_rows() -> Iterator[Workload]:
    for name, network, shape, batches, loss, optimizer in _TRAIN:
        for batch in batches:
            text = f"training step, batch {batch}, {'x'.join(map(str, shape))}, {optimizer}"
            yield Workload(f"train/{name}-{batch}", "train", shape, batch, network(), loss, optimizer, description=text)


def _infer_rows() -> Iterator[Workload]:
    for name, network, shape, batches in _INFER:
        for batch in batches:
            text = f"prediction, batch {batch}, {'x'.join(map(str, shape))}"
            yield Workload(f"infer/{name}-{batch}", "infer", shape, batch, network(), description=text)


def rows() -> dict[str, Workload | KernelRow]:
    """All rows by name, in the order they are run."""
    every: list[Workload | KernelRow] = [*_train_rows(), *_infer_rows(), *kernels.rows()]
    return {row.name: row for row in every}


def select(*patterns: str) -> list[Workload | KernelRow]:
    """The rows whose name contains or matches one of `patterns` (all without any), as `workloads.select` does.

    Kernels are shown as a part of the copy's bandwidth, so the copy comes before them even if nobody named it.

    Raises:
        ValueError: a pattern that no row matches.
    """
    table = rows()
    names = matching(table, patterns, "cnnfast bench --device cuda --list") if patterns else set(table)
    if any(isinstance(table[name], KernelRow) for name in names):
        names.add(kernels.COPY)
    return [row for name, row in table.items() if name in names]
