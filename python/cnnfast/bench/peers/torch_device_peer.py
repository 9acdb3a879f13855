"""PyTorch on a GPU, eager or compiled: each step starts from NumPy arrays and ends with its result on the host."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from cnnfast.bench.data import Data
from cnnfast.bench.peers import Session
from cnnfast.bench.peers.channels_first import WeightLayout
from cnnfast.bench.peers.torch_peer import loss_of, network_of, optimizer_of
from cnnfast.bench.spec import Workload

#: A compiled network is traced in its first step, warmed up in the second and recorded as a CUDA graph in the third.
_COMPILED_WARM_UP_STEPS = 4


@dataclass(frozen=True)
class _Settings:
    device: str = "cuda"
    policy: str = "mixed_bfloat16"
    compiled: bool = False

    @property
    def mixed(self) -> bool:
        return self.policy == "mixed_bfloat16"

    def autocast(self) -> Any:
        return torch.autocast(self.device, torch.bfloat16) if self.mixed else contextlib.nullcontext()

    def compile(self, function: Any) -> Any:
        """The function itself, or compiled: fused by Inductor and replayed as CUDA graphs."""
        return torch.compile(function, mode="reduce-overhead", dynamic=False) if self.compiled else function


_settings = _Settings()


def start(threads: int, device: str, policy: str, compiled: str = "") -> dict[str, str]:
    """Sets PyTorch up; returns versions.

    Args:
        threads: for what the host does: copies into pinned memory, and compilation.
        device: "cuda"; tests take "cpu".
        policy: "mixed_bfloat16": autocast; "tensorfloat32": tensor cores for float32; "float32": none.
        compiled: not empty: `torch.compile` in the mode "reduce-overhead".

    Raises:
        RuntimeError: this PyTorch has no GPU.
    """
    global _settings
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(f"PyTorch {torch.__version__} finds no GPU")
    _settings = _Settings(device, policy, bool(compiled))
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = policy != "float32"
    found = {"torch": torch.__version__}
    if device == "cuda":
        found |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
    return found


def prepare(workload: Workload, data: Data) -> Session:
    if workload.mode == "train":
        return TrainSession(workload, data)
    if workload.mode == "infer":
        return InferSession(workload, data)
    raise ValueError(f"bench: PyTorch on a GPU has no rows of mode {workload.mode!r}")


def release() -> None:
    """Gives back what the row before has left on the device, for the others' sake."""
    torch.compiler.reset()
    if _settings.device == "cuda":
        torch.cuda.empty_cache()


class _Upload:
    """A NumPy array's way to the device: through a pinned buffer of its own, by a copy that the host need not wait for.

    Images stay as they are in memory: (N, H, W, C) there is what PyTorch calls channels last.
    """

    def __init__(self, array: np.ndarray, dtype: torch.dtype):
        self._array = torch.from_numpy(array)
        on_gpu = _settings.device == "cuda"
        self._pinned = torch.empty(array.shape, dtype=dtype, pin_memory=on_gpu)
        self._there = torch.empty(array.shape, dtype=dtype, device=_settings.device)
        images = array.ndim == 4
        self._seen = self._there.permute(0, 3, 1, 2) if images else self._there

    def __call__(self) -> torch.Tensor:
        self._pinned.copy_(self._array)
        self._there.copy_(self._pinned, non_blocking=True)
        return self._seen


def _place(net: nn.Module) -> nn.Module:
    return net.to(device=_settings.device, memory_format=torch.channels_last)


def _begin_step() -> None:
    """Results of the compiled step before may be overwritten from here on."""
    if _settings.compiled:
        torch.compiler.cudagraph_mark_step_begin()


class TrainSession:
    """Copies to the device, zero_grad, forward, loss, backward, optimizer step, the loss as a number."""

    warm_up_steps: int | None = None

    def __init__(self, workload: Workload, data: Data):
        self._layout, self._names = WeightLayout(workload), list(data.weights)
        self._x = _Upload(data.x, torch.float32)
        self._y = _Upload(data.y, torch.int64 if data.y.dtype == np.int32 else torch.float32)
        self._network = network_of(workload, data, self._layout).train()
        net, loss = _place(self._network), loss_of(workload)

        def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            with _settings.autocast():
                return loss(net(x), y)

        self._forward = _settings.compile(forward)
        self._optimizer = optimizer_of(workload, [p for p in net.parameters() if p.requires_grad])
        self.warm_up_steps = _COMPILED_WARM_UP_STEPS if _settings.compiled else None

    def step(self) -> float:
        x, y = self._x(), self._y()
        _begin_step()
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._forward(x, y)
        loss.backward()
        self._optimizer.step()
        return float(loss.item())

    def answer(self) -> dict[str, np.ndarray]:
        tensors = {n: self._network.tensor(n).detach().cpu().contiguous() for n in self._names}
        return {n: self._layout.restore(n, t.numpy()) for n, t in tensors.items()}


class InferSession:
    """Copies to the device, forward, the predictions in pinned memory of the host.

    Weights of convolutions and dense layers are bfloat16 from the start where the policy is mixed: autocast would
    convert them at each step.
    """

    warm_up_steps: int | None = None

    def __init__(self, workload: Workload, data: Data):
        network = network_of(workload, data, WeightLayout(workload)).eval()
        if _settings.mixed:
            for module in network.modules():
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    module.to(torch.bfloat16)
        net = _place(network)

        def forward(x: torch.Tensor) -> torch.Tensor:
            with _settings.autocast():
                return net(x)

        self._x, self._forward = _Upload(data.x, torch.float32), _settings.compile(forward)
        output = workload.shapes()[workload.layers[-1].name]
        self._y = torch.empty((workload.batch, *output), pin_memory=_settings.device == "cuda")
        self.warm_up_steps = _COMPILED_WARM_UP_STEPS if _settings.compiled else None

    def step(self) -> float:
        self._predict()
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        return {"y": self._predict().copy()}

    @torch.inference_mode()
    def _predict(self) -> np.ndarray:
        x = self._x()
        _begin_step()
        y = self._forward(x)
        self._y.copy_(y.permute(0, 2, 3, 1) if y.ndim == 4 else y, non_blocking=True)
        if _settings.device == "cuda":
            torch.cuda.synchronize()
        return self._y.numpy()
