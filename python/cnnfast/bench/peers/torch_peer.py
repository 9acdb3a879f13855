"""PyTorch, eager, in either memory layout."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from cnnfast.bench.data import Data
from cnnfast.bench.peers import Session
from cnnfast.bench.peers.channels_first import WeightLayout, images_first, images_last
from cnnfast.bench.peers.keras_style import kernel_answer
from cnnfast.bench.shapes import Options, Shape, padding_of, pair
from cnnfast.bench.spec import EXPLANATIONS, INPUT, Workload, gradient_targets

#: What explains PyTorch's networks: pip's name and the module's.
_EXPLAINERS = {"captum": "captum", "grad-cam": "pytorch_grad_cam"}

_memory_format = torch.contiguous_format


def start(threads: int, layout: str) -> dict[str, str]:
    global _memory_format
    _memory_format = getattr(torch, "channels_last" if layout == "channels_last" else "contiguous_format")
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    return {"torch": torch.__version__, **{p: version(p) for p in _EXPLAINERS if find_spec(_EXPLAINERS[p])}}


def prepare(workload: Workload, data: Data) -> Session:
    if workload.mode in EXPLANATIONS:
        from cnnfast.bench.peers.torch_explain import SESSIONS

        network = network_of(workload, data, WeightLayout(workload))
        return SESSIONS[workload.mode](workload, data, network, _tensor(data.x))
    kind: Any = {"train": TrainSession, "infer": InferSession}.get(workload.mode, KernelSession)
    return kind(workload, data)


class Padded(nn.Module):
    """A module after uneven zero padding, which PyTorch's own padding arguments cannot say."""

    def __init__(self, sides: tuple[int, int, int, int], module: nn.Module):
        super().__init__()
        self.sides, self.module = sides, module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(F.pad(x, self.sides))


class Activated(nn.Module):
    """A module and the activation on its output, in place where the gradient allows it."""

    def __init__(self, module: nn.Module, activation: nn.Module):
        super().__init__()
        self.module, self.activation = module, activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.module(x))


class Add(nn.Module):
    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        return sum(x[1:], x[0])


class Concatenate(nn.Module):
    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        return torch.cat(x, dim=1)


_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "sigmoid": nn.Sigmoid,
    "softmax": lambda: nn.Softmax(dim=1),
}


def _convolution(x: Shape, o: Options, filters: int, groups: int) -> nn.Module:
    (top, bottom), (left, right) = padding_of(x[:2], o)
    even = top == bottom and left == right
    conv = nn.Conv2d(
        x[2], filters, pair(o["kernel"]), o["strides"], (top, left) if even else 0, o.get("dilation", 1),
        groups, bias=o["bias"],
    )  # fmt: skip
    return conv if even else Padded((left, right, top, bottom), conv)


def _pool(module: Any) -> Callable[[Shape, Options], nn.Module]:
    def make(x: Shape, o: Options) -> nn.Module:
        (top, bottom), (left, right) = padding_of(x[:2], o)
        if (top, left) != (bottom, right):
            raise ValueError(f"bench: {module.__name__} has no uneven padding {(top, bottom), (left, right)}")
        return module(o["kernel"], o["strides"], (top, left))

    return make


# kind -> module, from the shape of one input sample (H, W, C) and the options
_MODULES: dict[str, Callable[[Shape, Options], nn.Module]] = {
    "conv2d": lambda x, o: _convolution(x, o, o["filters"], o["groups"]),
    "depthwise": lambda x, o: _convolution(x, o, x[2], x[2]),
    "dense": lambda x, o: nn.Linear(x[0], o["units"], bias=o["bias"]),
    "batch_norm": lambda x, o: (nn.BatchNorm2d if len(x) == 3 else nn.BatchNorm1d)(
        x[-1], eps=o["epsilon"], momentum=1 - o["momentum"]
    ),
    "max_pool": _pool(nn.MaxPool2d),
    "average_pool": _pool(nn.AvgPool2d),
    "global_average_pool": lambda x, o: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "flatten": lambda x, o: nn.Flatten(),
    "dropout": lambda x, o: nn.Dropout(o["rate"]),
    "relu": lambda x, o: nn.ReLU(),
    "relu6": lambda x, o: nn.ReLU6(),
    "softmax": lambda x, o: nn.Softmax(dim=1),
    "add": lambda x, o: Add(),
    "concatenate": lambda x, o: Concatenate(),
}
_PARAMETERS = {
    "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


class Network(nn.Module):
    """The layers of a workload, run in their order."""

    def __init__(self, workload: Workload, *, drop_last_activation: bool):
        super().__init__()
        shapes = workload.shapes()
        self._plan: list[tuple[nn.Module, tuple[str, ...], str]] = []
        self._holders: dict[str, nn.Module] = {}
        for layer in workload.layers:
            module = _MODULES[layer.kind](shapes[layer.inputs[0]], layer.options)
            holder = module.module if isinstance(module, Padded) else module
            holder.requires_grad_(layer.trainable)
            activation = layer.options.get("activation")
            if activation and not (drop_last_activation and layer is workload.layers[-1]):
                module = Activated(module, _ACTIVATIONS[activation]())
            self.add_module(layer.name, module)
            self._holders[layer.name] = holder
            self._plan.append((module, layer.inputs, layer.name))
        self._output = workload.layers[-1].name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {INPUT: x}
        for module, inputs, name in self._plan:
            values[name] = module(*[values[i] for i in inputs])
        return values[self._output]

    def tensor(self, name: str) -> torch.Tensor:
        """The parameter or buffer behind a weight "layer/weight"."""
        layer, weight = name.rsplit("/", 1)
        return getattr(self._holders[layer], _PARAMETERS[weight])


def network_of(workload: Workload, data: Data, layout: WeightLayout) -> Network:
    """The workload's network with its weights, on the CPU in the chosen memory layout."""
    # The losses below take logits, as PyTorch's users give them, and explanations are of logits.
    net: Any = Network(workload, drop_last_activation=workload.mode in ("train", *EXPLANATIONS))
    with torch.no_grad():
        for name, w in data.weights.items():
            net.tensor(name).copy_(torch.from_numpy(layout.convert(name, w)))
    return net.to(memory_format=_memory_format)


def _tensor(x: np.ndarray) -> torch.Tensor:
    t = torch.from_numpy(images_first(x))
    return t.to(memory_format=_memory_format) if t.ndim == 4 else t


def loss_of(workload: Workload) -> nn.Module:
    """The workload's loss, of logits."""
    losses = {
        "sparse_categorical_crossentropy": nn.CrossEntropyLoss,
        "binary_crossentropy": nn.BCEWithLogitsLoss,
    }
    return losses[workload.loss]()


def optimizer_of(workload: Workload, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Epsilons as in `keras_style.make_optimizer`; fused kernels where PyTorch has them."""
    rate = workload.learning_rate
    if workload.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, fused=True)
    if workload.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, eps=1e-10, fused=True)
    if workload.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, alpha=0.9, eps=1e-10)
    raise ValueError(f"bench: unknown optimizer {workload.optimizer!r}")


class TrainSession:
    """zero_grad, forward, loss, backward, optimizer step."""

    def __init__(self, workload: Workload, data: Data):
        self._layout = WeightLayout(workload)
        self._names = list(data.weights)
        self._net = network_of(workload, data, self._layout).train()
        self._x = _tensor(data.x)
        self._y = torch.from_numpy(data.y).to(torch.int64 if data.y.dtype == np.int32 else torch.float32)
        self._loss = loss_of(workload)
        learned = [p for p in self._net.parameters() if p.requires_grad]
        self._optimizer = optimizer_of(workload, learned)

    def step(self) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(self._net(self._x), self._y)
        loss.backward()
        self._optimizer.step()
        return loss.item()

    def answer(self) -> dict[str, np.ndarray]:
        return {n: self._layout.restore(n, self._net.tensor(n).detach().numpy()) for n in self._names}


class InferSession:
    def __init__(self, workload: Workload, data: Data):
        self._net = network_of(workload, data, WeightLayout(workload)).eval()
        self._x = _tensor(data.x)

    @torch.inference_mode()
    def step(self) -> float:
        self._net(self._x)
        return 0.0

    @torch.inference_mode()
    def answer(self) -> dict[str, np.ndarray]:
        return {"y": images_last(self._net(self._x).numpy())}


class KernelSession:
    """One layer; its gradients through autograd, which computes only those that are asked for."""

    def __init__(self, workload: Workload, data: Data):
        self._workload, self._targets = workload, gradient_targets(workload)
        self._layout, self._layer = WeightLayout(workload), workload.layers[0].name
        self._net = network_of(workload, data, self._layout).train(bool(self._targets))
        self._x, self._dy = _tensor(data.x).requires_grad_(bool(self._targets)), _tensor(data.y)
        self._wrt = [self._x if t == "x" else self._net.tensor(f"{self._layer}/{t}") for t in self._targets]
        self._y = self._net(self._x) if workload.mode in ("dx", "dw") else None

    def _run(self) -> tuple[torch.Tensor, ...]:
        if not self._targets:
            with torch.inference_mode():
                return (self._net(self._x),)
        if self._y is not None:
            return torch.autograd.grad(self._y, self._wrt, self._dy, retain_graph=True)
        y = self._net(self._x)
        return (*torch.autograd.grad(y, self._wrt, self._dy), y)

    def step(self) -> float:
        self._run()
        return 0.0

    def answer(self) -> dict[str, np.ndarray]:
        found = kernel_answer(self._workload, [t.detach() for t in self._run()])
        return {
            name: images_last(a) if name in ("y", "dx") else self._layout.restore(f"{self._layer}/{name[1:]}", a)
            for name, a in found.items()
        }
