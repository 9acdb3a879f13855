"""The suite: a closed table of named workloads. A new row is one more entry in a table below."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from cnnfast.bench import convolutions, explanations, networks
from cnnfast.bench.spec import Net, Workload

_SPARSE = "sparse_categorical_crossentropy"
_BINARY = "binary_crossentropy"
_KERNEL_GOAL = 0.8

# name, network, input shape, batch, loss, optimizer, goal
_TRAIN = [
    ("mnist-64", networks.mnist_convnet, (28, 28, 1), 64, _SPARSE, "adam", 3),
    ("cats-dogs-32", networks.cats_dogs_convnet, (150, 150, 3), 32, _BINARY, "rmsprop", 3),
    ("resnet8-64", networks.resnet_small, (32, 32, 3), 64, _SPARSE, "adam", 1.1),
    ("vgg16-block5-16", networks.vgg16_fine_tune, (150, 150, 3), 16, _BINARY, "rmsprop", 2.5),
    ("resnet18-cifar-64", networks.resnet18_cifar, (32, 32, 3), 64, _SPARSE, "adam", 2.5),
    ("mobilenet-v2-16", networks.mobilenet_v2, (224, 224, 3), 16, _SPARSE, "adam", 2),
]

# name, network, input shape, batch sizes and their goals
_INFER = [
    ("mnist", networks.mnist_convnet, (28, 28, 1), {1: 2.5, 128: 1.1}),
    ("vgg16-base", networks.vgg16_features, (150, 150, 3), {16: 2.5}),
    ("resnet50", networks.resnet50, (224, 224, 3), {1: 1.3, 8: 1.3}),
    ("mobilenet-v2", networks.mobilenet_v2, (224, 224, 3), {1: 1.2, 8: 1.2}),
]

# name, (N, H, W, C), K, kernel, strides, padding. First layers (C of 1 or 3) need no dx.
_CONV = [
    ("mnist-1", (64, 28, 28, 1), 32, 3, 1, "valid"),
    ("mnist-2", (64, 13, 13, 32), 64, 3, 1, "valid"),
    ("mnist-3", (64, 5, 5, 64), 64, 3, 1, "valid"),
    ("cats-dogs-1", (32, 150, 150, 3), 32, 3, 1, "valid"),
    ("cats-dogs-2", (32, 74, 74, 32), 64, 3, 1, "valid"),
    ("cats-dogs-3", (32, 36, 36, 64), 128, 3, 1, "valid"),
    ("cats-dogs-4", (32, 17, 17, 128), 128, 3, 1, "valid"),
]

# name, kind, (N, ...), options, modes
_OTHER: list[tuple[str, str, tuple[int, ...], dict[str, Any], tuple[str, ...]]] = [
    ("max-pool", "max_pool", (64, 26, 26, 32), {"kernel": 2, "strides": 2}, ("forward", "both")),
    ("max-pool-3x3", "max_pool", (8, 112, 112, 64), {"kernel": 3, "strides": 2}, ("forward", "both")),
    ("average-pool", "average_pool", (32, 36, 36, 64), {"kernel": 2, "strides": 2}, ("forward", "both")),
    ("batch-norm", "batch_norm", (64, 32, 32, 64), {}, ("forward", "both")),
    ("dense-576-64", "dense", (64, 576), {"units": 64}, ("forward", "dx", "dw")),
    ("dense-6272-512", "dense", (32, 6272), {"units": 512}, ("forward", "dx", "dw")),
    ("softmax", "softmax", (256, 1000), {}, ("forward", "both")),
    ("relu", "relu", (32, 74, 74, 64), {}, ("forward", "both")),
]


# The course's: every image turned, shifted, sheared, zoomed and flipped by chance, then divided by 255.
_COURSE: dict[str, Any] = {
    "rotation_range": 40, "width_shift_range": 0.2, "height_shift_range": 0.2, "shear_range": 0.2, "zoom_range": 0.2,
    "horizontal_flip": True, "fill_mode": "nearest", "rescale": 1 / 255,
}  # fmt: skip

# name, (N, H, W, C), options, goal
_AUGMENT: list[tuple[str, tuple[int, ...], dict[str, Any], float]] = [("course-150", (32, 150, 150, 3), _COURSE, 2.0)]


def _train_rows() -> Iterator[Workload]:
    for name, network, shape, batch, loss, optimizer, goal in _TRAIN:
        yield Workload(
            f"train/{name}", "train", shape, batch, network(), loss, optimizer,
            description=f"training step, batch {batch}, {'x'.join(map(str, shape))}, {optimizer}", goal=goal,
        )  # fmt: skip


def _infer_rows() -> Iterator[Workload]:
    for name, network, shape, batches in _INFER:
        for batch, goal in batches.items():
            text = f"prediction, batch {batch}, {'x'.join(map(str, shape))}"
            yield Workload(f"infer/{name}-{batch}", "infer", shape, batch, network(), description=text, goal=goal)


def _augment_rows() -> Iterator[Workload]:
    for name, shape, options, goal in _AUGMENT:
        net = Net()
        net.add("augmentation", **options)
        yield Workload(
            f"augment/{name}", "augment", shape[1:], shape[0], net.built(),
            description=f"a batch of {shape[0]} images of {'x'.join(map(str, shape[1:]))}, transformed", goal=goal,
        )  # fmt: skip


def _kernel_row(name: str, mode: str, kind: str, shape: tuple[int, ...], **options: Any) -> Workload:
    net = Net()
    net.add(kind, **options)
    text = ", ".join(
        f"{k} {v}" for k, v in net.layers[0].options.items() if v != "" and k not in ("groups", "dilation", "bias")
    )
    return Workload(
        f"kernel/{name}/{mode}", mode, shape[1:], shape[0], net.built(),
        description=f"{kind} {mode}, x {'x'.join(map(str, shape))}{', ' if text else ''}{text}", goal=_KERNEL_GOAL,
    )  # fmt: skip


def _kernel_rows() -> Iterator[Workload]:
    for name, images, filters, kernel, strides, padding in _CONV:
        options = {"filters": filters, "kernel": kernel, "strides": strides, "padding": padding}
        for mode in ("forward", "dx", "dw") if images[3] > 3 else ("forward", "dw"):
            yield _kernel_row(f"conv-{name}", mode, "conv2d", images, **options)
    for name, kind, shape, options, modes in _OTHER:
        for mode in modes:
            yield _kernel_row(name, mode, kind, shape, **options)


def _core() -> list[Workload]:
    return [*_train_rows(), *_infer_rows(), *_augment_rows(), *explanations.rows(), *_kernel_rows()]


def workloads() -> dict[str, Workload]:
    """All rows of the suite by name, in the order they are run."""
    return {row.name: row for row in [*_core(), *convolutions.rows(_kernel_row)]}


def select(*patterns: str) -> list[Workload]:
    """The rows whose name contains or matches (as a shell pattern, "kernel/*/dw") one of `patterns`.

    Without patterns: all but the hundreds of convolutions of well-known networks (`convolutions`).

    Raises:
        ValueError: a pattern that no row matches.
    """
    if not patterns:
        return _core()
    table = workloads()
    names = matching(table, patterns, "cnnfast bench --list")
    return [row for name, row in table.items() if name in names]


def matching(names: Collection[str], patterns: Iterable[str], listing: str) -> set[str]:
    """Those of `names` that contain or match (as a shell pattern) one of `patterns`.

    Args:
        names: of rows.
        patterns: at least one.
        listing: the command that shows all names, for the message.

    Raises:
        ValueError: a pattern that none matches.
    """
    found: set[str] = set()
    for pattern in patterns:
        matched = {name for name in names if pattern in name or fnmatch.fnmatchcase(name, pattern)}
        if not matched:
            raise ValueError(f"bench: no workload matches {pattern!r}; `{listing}` shows all {len(names)}")
        found |= matched
    return found
