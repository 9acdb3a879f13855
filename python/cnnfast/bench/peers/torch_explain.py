"""Explanations of PyTorch's networks by the libraries that are made for it, called as their own pages show it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cnnfast.bench.data import Data
from cnnfast.bench.explanations import last_maps
from cnnfast.bench.peers.channels_first import images_last
from cnnfast.bench.peers.torchvision_import import import_beside_torch
from cnnfast.bench.spec import Workload
from cnnfast.explain.maps import scaled


class GradcamSession:
    """pytorch-grad-cam on the network before its final softmax."""

    def __init__(self, workload: Workload, data: Data, network: Any, x: torch.Tensor):
        gradcam = import_beside_torch("pytorch_grad_cam").GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        network.eval()
        self._x, self._targets = x, [ClassifierOutputTarget(int(y)) for y in data.y]
        self._cam = gradcam(model=network, target_layers=[network.get_submodule(last_maps(workload).name)])

    def step(self) -> float:
        self._cam(input_tensor=self._x, targets=self._targets)
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        # It stretches its maps once more after it has enlarged them.
        return {"y": scaled(self._cam(input_tensor=self._x, targets=self._targets))}


class SaliencySession:
    """Captum's Saliency on the network before its final softmax."""

    def __init__(self, workload: Workload, data: Data, network: Any, x: torch.Tensor):
        from captum.attr import Saliency

        self._x, self._targets = x.requires_grad_(), torch.from_numpy(data.y).to(torch.int64)
        self._saliency = Saliency(network.eval())

    def step(self) -> float:
        self._saliency.attribute(self._x, target=self._targets)
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return {"y": images_last(self._saliency.attribute(self._x, target=self._targets).detach().numpy())}


SESSIONS: dict[str, Any] = {"gradcam": GradcamSession, "saliency": SaliencySession}
