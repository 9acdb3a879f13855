"""Random networks against PyTorch: outputs, and weights after steps of training."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from tests.peers import networks

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="PyTorch is not installed")

#: networks by their make and seed; "winograd4", "winograd6": wide ones, with this algorithm wherever it can be used
NETWORKS = [
    *(("narrow", seed) for seed in range(20)),
    *((kind, seed) for kind in ("wide", "winograd4", "winograd6") for seed in range(10)),
]


@pytest.fixture(autouse=True)
def plain_torch():
    """Without oneDNN: its gradient of a dilated convolution's weights can write past its buffer (PyTorch 2.13)."""
    with torch.backends.mkldnn.flags(enabled=False):
        yield


class TorchNetwork:
    """The network as plain functions on PyTorch tensors; weights in Keras' order and layout."""

    def __init__(self, net, weights):
        self.net = net
        self.weights = [torch.tensor(w) for w in weights]

    def parameters(self):
        """The trainable ones: all but the moving statistics."""
        moving = set(self._moving())
        return [w.requires_grad_() for i, w in enumerate(self.weights) if i not in moving]

    def _moving(self):
        i = 0
        for kind, s in self.net.layers:
            if kind == "norm":
                yield from (i + 2, i + 3)
            i += {"norm": 4, "conv": 1 + s.get("bias", 0), "depthwise": 2, "dense": 2}.get(kind, 0)

    @staticmethod
    def _pad(x, kernel, strides, dilation, value=0.0):
        """Keras' "same", which PyTorch has for stride 1 alone: the odd pixel goes to the far side."""
        pads = []
        for n, k, s, d in reversed(list(zip(x.shape[2:], kernel, strides, dilation, strict=True))):
            total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            pads += [total // 2, total - total // 2]
        return torch.nn.functional.pad(x, pads, value=value)

    def __call__(self, x, training):
        F = torch.nn.functional
        activations = {"relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "linear": lambda v: v}
        x = x.permute(0, 3, 1, 2)
        weights = iter(self.weights)
        history = [x]
        for kind, s in self.net.layers:
            if kind in ("conv", "depthwise"):
                w = next(weights)
                dilation, channels = s.get("dilation", (1, 1)), x.shape[1]
                groups = channels if kind == "depthwise" else s["groups"]
                if kind == "depthwise":
                    w = w.reshape(*w.shape[:2], 1, -1)
                bias = next(weights) if s.get("bias", True) else None
                if s.get("padding", "same") == "same":
                    x = self._pad(x, s["kernel"], s["strides"], dilation)
                x = F.conv2d(x, w.permute(3, 2, 0, 1).contiguous(), bias, s["strides"], 0, dilation, groups)
                x = activations[s.get("activation", "linear")](x)
            elif kind == "norm":
                gamma, beta, mean, var = (next(weights) for _ in range(4))
                if training:
                    # Keras keeps the biased variance, PyTorch the unbiased one: do it by hand.
                    batch_mean, batch_var = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
                    with torch.no_grad():
                        mean.mul_(s["momentum"]).add_((1 - s["momentum"]) * batch_mean)
                        var.mul_(s["momentum"]).add_((1 - s["momentum"]) * batch_var)
                x = F.batch_norm(x, mean.clone(), var.clone(), gamma, beta, training, 0.0, s["epsilon"])
            elif kind == "shortcut":
                x = x + history[-1 - s["back"]]
            elif kind == "max_pool":
                if s["padding"] == "same":
                    x = self._pad(x, s["size"], s["strides"], (1, 1), float("-inf"))
                x = F.max_pool2d(x, s["size"], s["strides"])
            elif kind == "average_pool":
                ones = torch.ones_like(x)
                if s["padding"] == "same":
                    x, ones = (self._pad(v, s["size"], s["strides"], (1, 1)) for v in (x, ones))
                x = F.avg_pool2d(x, s["size"], s["strides"]) / F.avg_pool2d(ones, s["size"], s["strides"])
            elif kind == "flatten":
                x = x.permute(0, 2, 3, 1).flatten(1)
            elif kind == "global_average":
                x = x.mean((2, 3))
            elif kind == "global_max":
                x = x.amax((2, 3))
            elif kind == "dense":
                w, b = next(weights), next(weights)
                x = activations[s["activation"]](x @ w + b)
            history.append(x)
        return x


@pytest.fixture(params=NETWORKS, ids=lambda p: f"{p[0]}-{p[1]}")
def network(request):
    kind, seed = request.param
    if kind.startswith("winograd"):
        cnnfast.config.set_conv2d_algorithm(kind)
    net = networks.random_network(seed, groups=True) if kind == "narrow" else networks.wide_network(seed)
    yield net, seed, networks.settings(kind)
    cnnfast.config.set_conv2d_algorithm("auto")


def _pair(net, seed):
    ours = networks.build_keras_like(net, cnnfast)
    weights = networks.random_weights(ours, seed)
    ours.set_weights(weights)
    return ours, TorchNetwork(net, weights)


def test_outputs_agree_with_torch(network):
    net, seed, _ = network
    ours, theirs = _pair(net, seed)
    ((x, _),) = networks.data(net, seed, 1)
    with torch.no_grad():
        exact = theirs(torch.tensor(x), training=False).numpy()
    assert np.max(np.abs(ours.predict_on_batch(x) - exact)) <= 1e-5 * np.max(np.abs(exact))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weights_agree_with_torch_after_five_steps(network, optimizer):
    net, seed, (rate, epsilon, tolerance) = network
    ours, theirs = _pair(net, seed)
    parameters = theirs.parameters()
    if optimizer == "sgd":
        made = cnnfast.optimizers.SGD(rate, momentum=0.9)
        torch_made = torch.optim.SGD(parameters, rate, momentum=0.9)
    else:
        made = cnnfast.optimizers.Adam(0.003, epsilon=epsilon)
        torch_made = torch.optim.Adam(parameters, 0.003)
    ours.compile(optimizer=made, loss=cnnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    for step, (x, y) in enumerate(networks.data(net, seed, 5), start=1):
        if optimizer == "adam":
            # PyTorch adds epsilon after the bias correction, Keras before: the same at each step with this epsilon.
            torch_made.param_groups[0]["eps"] = epsilon / np.sqrt(1 - 0.999**step)
        loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x), training=True), torch.tensor(y).long())
        torch_made.zero_grad()
        loss.backward()
        torch_made.step()
        ours.reset_metrics()  # as in Keras, what train_on_batch returns is a running mean
        assert np.isclose(ours.train_on_batch(x, y), loss.item(), rtol=tolerance)
    networks.assert_same_weights(ours.get_weights(), [w.detach().numpy() for w in theirs.weights], tolerance)


def test_wide_networks_take_winograds_algorithm_by_themselves():
    taken = 0
    for seed in range(10):
        net = networks.wide_network(seed)
        ours, _ = _pair(net, seed)
        ((x, _),) = networks.data(net, seed, 1)
        by_itself = ours.predict_on_batch(x)
        cnnfast.config.set_conv2d_algorithm("direct")
        taken += not np.array_equal(by_itself, ours.predict_on_batch(x))
        cnnfast.config.set_conv2d_algorithm("auto")
    assert taken >= 8
