"""What this installation is and what it runs on."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from cnnfast._version import __version__
from cnnfast.ops import engine, target

_DEPENDENCIES = ("numpy", "matplotlib", "safetensors", "pooch")


def cpu_name() -> str:
    """The processor's name as the operating system knows it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def system_info() -> dict[str, Any]:
    """CPU, instruction sets, threads and versions, as JSON can hold them.

    Example:
        >>> system_info()["isa"] in system_info()["isas_available"]
        True
    """
    versions = {}
    for name in _DEPENDENCIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "cnnfast": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "isa": engine.isa(),
        "isas_available": engine.available_isas(),
        "threads": engine.num_threads(),
        "threads_allowed": engine.default_num_threads(),
        "threading": engine.threading_backend(),
        **_cuda_info(),
        "dependencies": versions,
    }


def _cuda_info() -> dict[str, Any]:
    """Whether this build has CUDA, the GPUs, why there are none, and NVIDIA's libraries."""
    found: dict[str, Any] = {"cuda": engine.has_cuda(), "gpus": [], "cuda_problem": "", "cuda_libraries": {}}
    if not found["cuda"]:
        return found | {"cuda_problem": "not built"}
    target.find_libraries()
    try:
        found["gpus"] = [f"{name} {description}" for name, description, *_ in engine.cuda_devices()]
        found["cuda_libraries"] = dict(engine.cuda_libraries())
    except engine.DeviceError as error:
        found["cuda_problem"] = str(error)
    return found


def info_text() -> str:
    """`system_info` as lines to read."""
    i = system_info()
    rows = {
        "cnnfast": i["cnnfast"],
        "Python": f"{i['python']} on {i['platform']}",
        "CPU": i["cpu"],
        "instruction set": f"{i['isa']} (available: {', '.join(i['isas_available'])})",
        "threads": f"{i['threads']} of {i['threads_allowed']} allowed, {i['threading']}",
        "CUDA": i["cuda_problem"] or ", ".join(i["gpus"]),
        **i["cuda_libraries"],
        **i["dependencies"],
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
