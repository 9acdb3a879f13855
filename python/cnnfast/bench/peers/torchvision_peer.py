"""torchvision's transforms, version 2: a transform of one image; images of a batch on as many threads as allowed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from cnnfast.bench.data import Data
from cnnfast.bench.peers import Session
from cnnfast.bench.peers.augmentation import settings
from cnnfast.bench.peers.torchvision_import import import_beside_torch
from cnnfast.bench.spec import Workload

v2 = import_beside_torch("torchvision.transforms.v2")

_THREADS = 1


def start(threads: int) -> dict[str, str]:
    global _THREADS
    _THREADS = threads
    torch.set_num_threads(1)  # one image is too small to share
    return {"torchvision": version("torchvision"), "torch": torch.__version__}


def prepare(workload: Workload, data: Data) -> Session:
    return TorchvisionSession(workload, data)


class TorchvisionSession:
    """The transform closest to the workload's (black outside: it cannot repeat the edge), then the division."""

    def __init__(self, workload: Workload, data: Data):
        o = settings(workload)
        z, s = o["zoom_range"], o["shear_range"]
        affine = v2.RandomAffine(
            degrees=o["rotation_range"],
            translate=(o["width_shift_range"], o["height_shift_range"]),
            scale=(1 - z, 1 + z),
            shear=(-s, s),
            interpolation=v2.InterpolationMode.BILINEAR,
        )
        divide = v2.ToDtype(torch.float32, scale=True)
        self._random = v2.Compose([affine, v2.RandomHorizontalFlip(0.5), divide])
        self._flipped = v2.Compose([v2.RandomHorizontalFlip(1.0), divide])
        self._images = torch.from_numpy(data.x).permute(0, 3, 1, 2).contiguous()
        self._pool = ThreadPoolExecutor(_THREADS)

    def step(self) -> float:
        self._batch(self._random)
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return {"flipped": self._batch(self._flipped).permute(0, 2, 3, 1).contiguous().numpy()}

    def _batch(self, transform: Any) -> torch.Tensor:
        return torch.stack(list(self._pool.map(transform, self._images)))
