"""albumentations: a transform of one image, which OpenCV computes; images of a batch on as many threads as allowed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import albumentations
import cv2
import numpy as np

from cnnfast.bench.data import Data
from cnnfast.bench.peers import Session
from cnnfast.bench.peers.augmentation import settings
from cnnfast.bench.spec import Workload

_THREADS = 1


def start(threads: int) -> dict[str, str]:
    global _THREADS
    _THREADS = threads
    cv2.setNumThreads(1)  # one image is too small to share
    return {"albumentations": version("albumentations"), "opencv": cv2.__version__}


def prepare(workload: Workload, data: Data) -> Session:
    return AlbumentationsSession(workload, data)


class AlbumentationsSession:
    """The transform closest to the workload's, then the division."""

    def __init__(self, workload: Workload, data: Data):
        o = settings(workload)
        z, s = o["zoom_range"], o["shear_range"]
        affine = albumentations.Affine(
            rotate=(-o["rotation_range"], o["rotation_range"]),
            translate_percent={
                "x": (-o["width_shift_range"], o["width_shift_range"]),
                "y": (-o["height_shift_range"], o["height_shift_range"]),
            },
            shear={"x": (-s, s), "y": (0, 0)},
            scale={"x": (1 - z, 1 + z), "y": (1 - z, 1 + z)},
            interpolation=cv2.INTER_LINEAR,
            border_mode=cv2.BORDER_REPLICATE,
            p=1.0,
        )
        divide = albumentations.ToFloat(max_value=1 / o["rescale"])
        self._random = albumentations.Compose([affine, albumentations.HorizontalFlip(p=0.5), divide])
        self._flipped = albumentations.Compose([albumentations.HorizontalFlip(p=1.0), divide])
        self._images = data.x
        self._pool = ThreadPoolExecutor(_THREADS)

    def step(self) -> float:
        self._batch(self._random)
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return {"flipped": self._batch(self._flipped)}

    def _batch(self, transform: albumentations.Compose) -> np.ndarray:
        return np.stack(list(self._pool.map(lambda image: transform(image=image)["image"], self._images)))
