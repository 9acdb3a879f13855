"""Small workloads, and a machine of round figures, for the tests of the benchmark suite."""

from __future__ import annotations

import dataclasses

from cnnfast.bench.peak import Peak
from cnnfast.bench.runner import Measurement, Result
from cnnfast.bench.spec import Net, Workload

PEAK = Peak("avx2", 2, operations=1e9, read=1e6, write=5e5, triad=8e5)


def small_training(dropout: float = 0.0) -> Workload:
    net = Net()
    net.add("conv2d", filters=3, kernel=3, activation="relu")
    net.add("max_pool", kernel=2, strides=2)
    net.add("flatten")
    net.add("dropout", rate=dropout)
    net.add("dense", units=4, activation="softmax")
    return Workload("small", "train", (6, 6, 2), 5, net.built(), "sparse_categorical_crossentropy", "adam")


def small_prediction() -> Workload:
    return dataclasses.replace(small_training(), name="small-infer", mode="infer", loss="", optimizer="")


def branched_training() -> Workload:
    """Nearly every kind of layer, with uneven padding, groups, branches and a frozen layer."""
    net = Net()
    net.add("conv2d", filters=4, kernel=3, strides=2, padding="same", bias=False)
    net.add("batch_norm")
    x = net.add("relu")
    a = net.add("conv2d", x, filters=6, kernel=3, padding="same", groups=2, activation="relu", trainable=False)
    net.add("depthwise", x, kernel=3, padding=1)
    net.add("relu6")
    b = net.add("conv2d", filters=6, kernel=1)
    y = net.add("add", a, b)
    net.add("concatenate", y, x)
    net.add("relu")
    net.add("max_pool", kernel=3, strides=2, padding=1)
    pooled = net.add("average_pool", kernel=2, strides=2)
    net.add("flatten", pooled)
    net.add("dense", units=7, activation="relu")
    net.add("dense", units=1, activation="sigmoid")
    return Workload("branched", "train", (17, 15, 3), 5, net.built(), "binary_crossentropy", "rmsprop")


def measured(row: Workload, **seconds: list[float]) -> Result:
    """A row's result: the seconds of each peer's rounds."""
    found = {
        name: Measurement(name, rounds, 1, [2.0] * len(rounds), peak_bytes=3 << 20) for name, rounds in seconds.items()
    }
    return Result(row, found, "cnnfast")
