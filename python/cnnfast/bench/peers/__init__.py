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
_NETWORKS = frozenset({"train", "infer"})
_CUDA = frozenset({"cuda"})
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
        devices: where it computes: "cpu", "cuda". On others than the CPU `start` also gets `device` and `policy`.
    """

    name: str
    title: str
    module: str
    requires: dict[str, str] = field(default_factory=dict)
    modes: frozenset[str] = _LAYERS
    environment: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    devices: frozenset[str] = frozenset({"cpu"})

    def missing(self) -> list[str]:
        """pip names of what is not installed. Imports nothing."""
        return [pip for module, pip in self.requires.items() if importlib.util.find_spec(module) is None]


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("cnnfast", "cnnfast", "cnnfast_peer", modes=_EXPLAINED | _IMAGES, devices=frozenset({"cpu", "cuda"})),
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
        Peer(
            "torch-eager", "PyTorch, eager", "torch_device_peer", {"torch": "torch"}, _NETWORKS, devices=_CUDA
        ),
        Peer(
            "torch-compile", "PyTorch, compiled", "torch_device_peer", {"torch": "torch"}, _NETWORKS,
            options={"compiled": "yes"}, devices=_CUDA,
        ),
    )
}  # fmt: skip

#: What a name given to --peers stands for, where that is not the peer of that name alone.
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "cpu": {
        "torch": ("torch", "torch-channels-last"),
        "all": tuple(name for name, peer in PEERS.items() if name != "cnnfast" and "cpu" in peer.devices),
    },
    "cuda": dict.fromkeys(("torch", "all"), ("torch-eager", "torch-compile")),
}


def resolve(names: str, device: str = "cpu") -> list[Peer]:
    """The peers that a comma-separated list names, each once, without cnnfast itself.

    Args:
        names: of peers and of `GROUPS`.
        device: where they shall compute.

    Raises:
        ValueError: an unknown name, or a peer that does not compute on the device.
        ModuleNotFoundError: one that is not installed; the message names the pip command.
    """
    found: dict[str, Peer] = {}
    for name in filter(None, (n.strip() for n in names.split(","))):
        groups = GROUPS[device]
        known = {**groups, **{n: (n,) for n, peer in PEERS.items() if device in peer.devices}}
        if name not in known or name == "cnnfast":
            raise ValueError(_refusal(name, device, [n for n in known if n != "cnnfast"]))
        found.update((n, PEERS[n]) for n in groups.get(name, (name,)))
    missing = {pip: None for peer in found.values() for pip in peer.missing()}
    if missing:
        raise ModuleNotFoundError(
            f"bench: --peers {names} needs packages that are not installed: pip install {' '.join(missing)}"
        )
    return list(found.values())


def _refusal(name: str, device: str, known: list[str]) -> str:
    """Why a name given to --peers cannot be had."""
    if name in PEERS and name != "cnnfast":
        where = "a GPU only" if device == "cpu" else "the CPU only"
        return f"bench: {name} is measured on {where}; with --device {device} there are {', '.join(known)}"
    return f"bench: unknown peer {name!r}; known are {', '.join(known)}"


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
