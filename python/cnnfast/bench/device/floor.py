"""The floor of a workload on a GPU, from what its maker states of it.

    floor seconds = max(operations / tensor cores' operations a second, bytes / memory's bytes a second)

Operations are those of `bench.floor`: of the definition, two for each multiply-add.

Bytes are the arrays that enter or leave: the batch, the weights and in training the optimizer's numbers, in float32;
weights that no step changes in the type that is multiplied. And what lies between layers if it is larger than the
second-level cache: each output of a convolution or a dense layer, once written and once read on the way forward; where
a gradient comes back through it, once more read, and its gradient once written and once read. So everything between two
convolutions is taken to be part of one of them, and what a cache holds to cost nothing. That is what could be, not what
any library does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from cnnfast.bench.floor import Work, work
from cnnfast.bench.spec import Workload


@dataclass(frozen=True)
class Chip:
    """What the maker states of a GPU: most operations a second by policy (without sparsity), bytes a second, cache.

    Attributes:
        name: what is in the description of the device.
        operations: by policy: tensor cores for bfloat16 and TF32, other cores for float32.
        bandwidth: of its memory, bytes a second.
        cache: bytes of the second-level cache.
    """

    name: str
    operations: dict[str, float]
    bandwidth: float
    cache: int


def _chip(name: str, bfloat16: float, tf32: float, float32: float, gigabytes: float, megabytes: int) -> Chip:
    rates = {"mixed_bfloat16": bfloat16 * 1e12, "tensorfloat32": tf32 * 1e12, "float32": float32 * 1e12}
    return Chip(name, rates, gigabytes * 1e9, megabytes * 1_000_000)


# NVIDIA's data sheets of the A100, the H100 and the H200; a longer name before those it begins with.
_CHIPS = (
    _chip("NVIDIA H200 NVL", 835.5, 417.5, 60, 4800, 50),
    _chip("NVIDIA H200", 989.5, 494.7, 67, 4800, 50),
    _chip("NVIDIA H100 PCIe", 756, 378, 51, 2000, 50),
    _chip("NVIDIA H100 80GB HBM3", 989.5, 494.7, 67, 3350, 50),
    _chip("NVIDIA A100-SXM4-80GB", 312, 156, 19.5, 2039, 40),
    _chip("NVIDIA A100 80GB PCIe", 312, 156, 19.5, 1935, 40),
    _chip("NVIDIA A100-SXM4-40GB", 312, 156, 19.5, 1555, 40),
    _chip("NVIDIA A100-PCIE-40GB", 312, 156, 19.5, 1555, 40),
)


def chip_of(description: str) -> Chip | None:
    """What is known of a device by its description; None for one that is not in the table: it has no floors.

    Example:
        >>> chip_of("NVIDIA H200").bandwidth
        4800000000000.0
    """
    return next((chip for chip in _CHIPS if chip.name in description), None)


def device_work(workload: Workload, policy: str, cache: int) -> Work:
    """What a step has to compute and to move on a GPU whose second-level cache holds `cache` bytes."""
    whole, item = work(workload), 2 if policy == "mixed_bfloat16" else 4
    return Work(whole.operations, whole.bytes - (4 - item) * _fixed_weights(workload) + _between(workload, item, cache))


def floor(workload: Workload, policy: str, chip: Chip) -> float:
    """Seconds below which the chip cannot do it by the definition."""
    todo = device_work(workload, policy, chip.cache)
    return max(todo.operations / chip.operations[policy], todo.bytes / chip.bandwidth)


def _fixed_weights(workload: Workload) -> int:
    """How many weights no step changes: they can be converted once."""
    frozen = {layer.name for layer in workload.layers if not layer.trainable or workload.mode == "infer"}
    return sum(prod(s) for name, s in workload.weight_shapes().items() if name.rsplit("/", 1)[0] in frozen)


def _between(workload: Workload, item: int, cache: int) -> int:
    """Bytes of what lies between layers, each time that it is written or read."""
    shapes = workload.shapes()
    total, reached = 0, set[str]()  # names of values that depend on a trainable weight
    for layer in workload.layers[:-1]:
        multiplies = layer.kind in ("conv2d", "depthwise", "dense")
        if not reached.isdisjoint(layer.inputs) or (layer.trainable and (multiplies or layer.kind == "batch_norm")):
            reached.add(layer.name)
        size = item * workload.batch * prod(shapes[layer.name])
        if multiplies and size > cache:
            total += size * (5 if workload.mode == "train" and layer.name in reached else 2)
    return total


def host_copies(workload: Workload) -> int:
    """Bytes that each step copies between host and device: images, labels as int32 or float32, and what comes back."""
    output = workload.batch * prod(workload.shapes()[workload.layers[-1].name])
    images = 4 * workload.batch * prod(workload.input_shape)
    if workload.mode != "train":
        return images + 4 * output
    labels = workload.batch if workload.loss == "sparse_categorical_crossentropy" else output
    return images + 4 * labels + 4  # the loss
