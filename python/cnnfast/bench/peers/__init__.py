"""The closed table of what can be measured, each in a process of its own (`cnnfast.bench.worker`)."""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from cnnfast.bench.spec import EXPLANATIONS


class Session(Protocol):
    """A workload made ready by a peer."""

    def step(self) -> float:
        """Does the work once and returns when it is done: the loss for "train", else 0."""

    def answer(self) -> dict[str, np.ndarray]:
        """What must agree, in cnnfast's layouts whatever the peer computes in.

        For "train" all weights as they are now; for "infer" {"y"}; for kernels {"y"}, or gradients as {"dx"}
        and {"dkernel"}, or for "both" y and all gradients; for explanations {"y"}.
        """


_LAYERS = frozenset({"train", "infer", "forward", "dx", "dw", "both"})
_FORWARD_ONLY = frozenset({"infer", "forward"})
_IMAGES = frozenset({"augment"})
_EXPLAINED = _LAYERS | frozenset(EXPLANATIONS)
_ONNX = {"onnx": "onnx"}


@dataclass(frozen=True)
class Peer:
    """One framework in one configuration.

    Attributes:
        name: as the table prints it.
        title: for people.
        module: in this package: defines `start(threads, **options)`, called once, which returns versions, and
            `prepare(workload, data)`, which returns a Session.
        requires: modules that must be importable, and the name pip knows each by.
        modes: what it can do.
        environment: variables of its process.
        options: for `start`.
    """

    name: str
    title: str
    module: str
    requires: dict[str, str] = field(default_factory=dict)
    modes: frozenset[str] = _LAYERS
    environment: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """pip names of what is not installed. Imports nothing."""
        return [pip for module, pip in self.requires.items() if importlib.util.find_spec(module) is None]


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("cnnfast", "cnnfast", "cnnfast_peer", modes=_EXPLAINED | _IMAGES),
        Peer(
            "torch", "PyTorch, contiguous", "torch_peer", {"torch": "torch"}, _EXPLAINED,
            options={"layout": "contiguous"},
        ),
        Peer(
            "torch-channels-last", "PyTorch, channels last", "torch_peer", {"torch": "torch"}, _EXPLAINED,
            options={"layout": "channels_last"},
        ),
        Peer(
            "keras", "Keras on TensorFlow", "keras_peer", {"keras": "keras", "tensorflow": "tensorflow-cpu"},
            _LAYERS | _IMAGES, environment={"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        ),
        Peer(
            "keras-jax", "Keras on JAX", "keras_peer", {"keras": "keras", "jax": "jax"},
            environment={"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        ),
        Peer(
            "onnxruntime", "ONNX Runtime", "onnxruntime_peer", {**_ONNX, "onnxruntime": "onnxruntime"},
            _FORWARD_ONLY,
        ),
        Peer("openvino", "OpenVINO", "openvino_peer", {**_ONNX, "openvino": "openvino"}, _FORWARD_ONLY),
        Peer(
            "albumentations", "albumentations", "albumentations_peer", {"albumentations": "albumentations"}, _IMAGES,
            environment={"NO_ALBUMENTATIONS_UPDATE": "1"},
        ),
        Peer(
            "torchvision", "torchvision v2", "torchvision_peer", {"torch": "torch", "torchvision": "torchvision"},
            _IMAGES,
        ),
    )
}  # fmt: skip

#: What a name given to --peers stands for, where that is not the peer of that name alone.
GROUPS: dict[str, tuple[str, ...]] = {
    "torch": ("torch", "torch-channels-last"),
    "all": tuple(name for name in PEERS if name != "cnnfast"),
}


def resolve(names: str) -> list[Peer]:
    """The peers that a comma-separated list names, each once, without cnnfast itself.

    Raises:
        ValueError: an unknown name.
        ModuleNotFoundError: one that is not installed; the message names the pip command.
    """
    found: dict[str, Peer] = {}
    for name in filter(None, (n.strip() for n in names.split(","))):
        if (name not in PEERS and name not in GROUPS) or name == "cnnfast":
            known = ", ".join(n for n in {**GROUPS, **PEERS} if n != "cnnfast")
            raise ValueError(f"bench: unknown peer {name!r}; known are {known}")
        found.update((n, PEERS[n]) for n in GROUPS.get(name, (name,)))
    missing = {pip: None for peer in found.values() for pip in peer.missing()}
    if missing:
        raise ModuleNotFoundError(
            f"bench: --peers {names} needs packages that are not installed: pip install {' '.join(missing)}"
        )
    return list(found.values())


def thread_environment(threads: int) -> dict[str, str]:
    """The variables by which libraries learn how many threads to use before they start."""
    count = str(threads)
    names = (
        "CNNFAST_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS", "NPROC",  # NPROC: the thread pool of XLA's CPU client
    )  # fmt: skip
    return {**dict.fromkeys(names, count), "TF_NUM_INTEROP_THREADS": "1"}


def limit_cpus(threads: int) -> None:
    """Leaves this process as many CPUs as it has threads, always the same ones (where the system can)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
