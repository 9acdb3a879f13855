"""Which devices there are, and which one models run on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from cnnfast.ops import engine, target


@dataclass(frozen=True)
class Device:
    """A processor that models can run on.

    Attributes:
        name: what `set_device` takes: "cpu", "cuda:0", ...
        description: what its maker calls it.
        memory_bytes: of its own memory; 0 for the CPU.
        capability: the compute capability of a GPU, (9, 0) for Hopper; (0, 0) for the CPU.
    """

    name: str
    description: str
    memory_bytes: int = 0
    capability: tuple[int, int] = (0, 0)


def devices() -> list[Device]:
    """The CPU, and the GPUs if this build has CUDA and there are some.

    Example:
        >>> devices()[0].name
        'cpu'
    """
    from cnnfast.info import cpu_name

    found = [Device("cpu", cpu_name())]
    with suppress(engine.DeviceError):  # `set_device` says why
        found += [Device(*row) for row in engine.cuda_devices()]
    return found


def set_device(name: str) -> None:
    """Where models run from now on; weights move there by themselves when they are first needed.

    Args:
        name: "cpu" or "cuda" (the first GPU), "cuda:1" and so on. At start: CNNFAST_DEVICE, else "cpu".

    Raises:
        ValueError: another name.
        DeviceError: this build has no CUDA, there is no driver, or no such GPU. Nothing has changed then.

    Example:
        >>> set_device("cpu")
        >>> device()
        'cpu'
    """
    target.choose_device(name)


def device() -> str:
    """The name of the device that models run on."""
    return target.current().device
