"""Workloads of `cnnfast.explain`: what a network's class scores say about the images they were computed from."""

from __future__ import annotations

from collections.abc import Iterator

from cnnfast.bench import networks
from cnnfast.bench.spec import Layer, Workload

# name, mode, network, (N, H, W, C), goal. Each is compared with the library that PyTorch's users take for it.
_ROWS = [
    ("gradcam-resnet50-16", "gradcam", networks.resnet50, (16, 224, 224, 3), 4.0),
    ("saliency-resnet50-16", "saliency", networks.resnet50, (16, 224, 224, 3), 2.0),
]


def rows() -> Iterator[Workload]:
    """The rows, each with a class to explain for every image."""
    for name, mode, network, shape, goal in _ROWS:
        yield Workload(
            f"explain/{name}", mode, shape[1:], shape[0], network(),
            description=f"{mode} of {shape[0]} images of {'x'.join(map(str, shape[1:]))}", goal=goal,
        )  # fmt: skip


def last_maps(workload: Workload) -> Layer:
    """The last layer whose output is maps of more than one position: what Grad-CAM looks at.

    Raises:
        ValueError: there is none.
    """
    shapes = workload.shapes()
    for layer in reversed(workload.layers):
        shape = shapes[layer.name]
        if len(shape) == 3 and shape[0] * shape[1] > 1:
            return layer
    raise ValueError(f"bench: {workload.name} has no layer with maps (H,W,C) of more than one position")
