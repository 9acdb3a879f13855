"""What Programs are built for: the device they run on, and the precision of their products."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cnnfast.ops import engine

POLICIES = ("float32", "tensorfloat32", "mixed_bfloat16")


@dataclass(frozen=True)
class Target:
    """A device and a policy.

    Attributes:
        device: "cpu", or "cuda:0" and so on.
        policy: one of POLICIES. On the CPU all is float32.
    """

    device: str = "cpu"
    policy: str = "float32"

    @property
    def backend(self) -> str:
        """ "cpu" or "cuda"."""
        return self.device.partition(":")[0]

    @property
    def is_cpu(self) -> bool:
        return self.device == "cpu"

    @property
    def fuses_poolings(self) -> bool:
        """Whether a convolution can make the pooling behind it, and read what its gradient would be."""
        return self.is_cpu

    @property
    def fuses_pointwise_depthwise(self) -> bool:
        """Whether a 1x1 convolution and the depthwise one behind it can be one step."""
        return self.is_cpu

    @property
    def adds_in_place(self) -> bool:
        """Whether a convolution may write its result over what it adds to it."""
        return self.is_cpu

    @property
    def uses_bfloat16(self) -> bool:
        return self.policy == "mixed_bfloat16" and not self.is_cpu


_current: Target | None = None


def current() -> Target:
    """What Programs are built for now; at first what CNNFAST_DEVICE and CNNFAST_POLICY say."""
    global _current
    if _current is None:
        device, policy = os.environ.get("CNNFAST_DEVICE") or "cpu", os.environ.get("CNNFAST_POLICY") or "float32"
        _current = _usable(_checked_device("CNNFAST_DEVICE", device), checked_policy("CNNFAST_POLICY", policy))
    return _current


def choose_device(name: object) -> None:
    """ValueError: no name of a device. DeviceError: it cannot be used. Nothing has changed then."""
    global _current
    _current = _usable(_checked_device("set_device", name), current().policy)


def choose_policy(name: object) -> None:
    """ValueError: no name of a policy; nothing has changed then."""
    global _current
    _current = _usable(current().device, checked_policy("set_policy", name))


def _usable(device: str, policy: str) -> Target:
    """The engine is set to it."""
    if device != "cpu":
        find_libraries()
        engine.set_cuda_device(int(device.partition(":")[2]))
        engine.set_cuda_tf32(policy == "tensorfloat32")
    return Target(device, policy)


def _checked_device(what: str, name: object) -> str:
    kind, colon, index = name.partition(":") if isinstance(name, str) else ("", "", "")
    if name == "cpu":
        return "cpu"
    if kind != "cuda" or (colon and not (index.isascii() and index.isdigit() and len(index) < 4)):
        raise ValueError(f"{what}: expected 'cpu', 'cuda' or 'cuda:0', 'cuda:1', ..., got {name!r}")
    return f"cuda:{int(index or 0)}"


def checked_policy(what: str, name: object) -> str:
    """`name`, if it is a policy's; ValueError that begins with `what` otherwise."""
    if not isinstance(name, str) or name not in POLICIES:
        raise ValueError(f"{what}: expected {', '.join(map(repr, POLICIES))}, got {name!r}")
    return name


@cache
def find_libraries() -> None:
    """Says where Python packages of NVIDIA's libraries lie, if some are installed."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    engine.set_cuda_library_paths([str(p) for root in roots for p in sorted(root.glob("*/lib")) if p.is_dir()])


@contextmanager
def using_policy(policy: str | None) -> Iterator[None]:
    """Builds for another policy for a while; None: for the one that is set."""
    before = current().policy
    if policy is None or policy == before:
        yield
        return
    choose_policy(policy)
    try:
        yield
    finally:
        choose_policy(before)


def key() -> Hashable:
    """What a Program, and what is computed for it, depends on besides the graph."""
    return engine.isa(), engine.conv2d_algorithm(), current()
