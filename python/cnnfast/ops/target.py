"""What Programs are built for: the device they run on, and the precision of their products."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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


_device: str | None = None  # None: as the environment says
_policy: str | None = None
#: Of the model whose Programs this thread builds, where it has a policy of its own.
_policy_here: ContextVar[str | None] = ContextVar("_policy_here", default=None)


def current() -> Target:
    """What Programs are built for now; at first what CNNFAST_DEVICE and CNNFAST_POLICY say."""
    return _target(_chosen_device(), _policy_here.get() or chosen_policy())


@cache
def _target(device: str, policy: str) -> Target:
    return Target(device, policy)


def _chosen_device() -> str:
    global _device
    if _device is None:
        _device = _usable("CNNFAST_DEVICE", os.environ.get("CNNFAST_DEVICE") or "cpu")
    return _device


def chosen_policy() -> str:
    """The policy of models that have none of their own."""
    global _policy
    if _policy is None:
        _policy = checked_policy("CNNFAST_POLICY", os.environ.get("CNNFAST_POLICY") or "float32")
    return _policy


def choose_device(name: object) -> None:
    """ValueError: no name of a device. DeviceError: it cannot be used. Nothing has changed then."""
    global _device
    _device = _usable("set_device", name)


def choose_policy(name: object) -> None:
    """ValueError: no name of a policy; nothing has changed then."""
    global _policy
    _policy = checked_policy("set_policy", name)


def _usable(what: str, name: object) -> str:
    """The engine uses that device from now on."""
    device = _checked_device(what, name)
    if device != "cpu":
        find_libraries()
        try:
            engine.set_cuda_device(int(device.partition(":")[2]))
        except engine.DeviceError as error:
            raise engine.DeviceError(f"{what}: {error}") from None
    return device


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
def using_policy(policy: str) -> Iterator[None]:
    """What this thread builds meanwhile is for that policy."""
    token = _policy_here.set(policy)
    try:
        yield
    finally:
        _policy_here.reset(token)


def step_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine must know besides an op's own attributes."""
    rounds = current().policy == "tensorfloat32" and not current().is_cpu
    return {**attributes, "tf32": 1} if rounds else dict(attributes)


def key() -> Hashable:
    """What a Program, and what is computed for it, depends on besides the graph."""
    now = current()
    return engine.isa(), engine.conv2d_algorithm(), now.device, "float32" if now.is_cpu else now.policy
