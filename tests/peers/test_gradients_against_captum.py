"""Attributions by gradients against Captum on the same weights."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import layers
from cnnfast.explain.backprop_rules import deconvnet, guided_backprop, guided_gradcam
from cnnfast.explain.gradient import gradient_x_input, saliency
from cnnfast.explain.integrated import integrated_gradients
from cnnfast.explain.smoothing import smoothgrad, vargrad
from tests.explain.networks import two_filters

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
attr = pytest.importorskip("captum.attr", reason="Captum is not installed")

SEEDS = range(4)
N, CLASSES = 3, 4


def network(seed: int) -> tuple[cnnfast.Sequential, torch.nn.Sequential]:
    """Convolution, batch normalization, ReLU and max-pooling twice and a dense head, in both libraries.

    Sizes, channels and strides change with the seed; the ReLUs are layers in one and fused activations in others.
    """
    rng = np.random.default_rng(seed)
    size, filters = [(16, 12), (13, 17), (20, 20), (11, 11)][seed % 4], [int(n) for n in rng.integers(6, 12, 2)]
    fused = seed % 2 == 1  # convolution, ReLU, normalization instead of convolution, normalization, ReLU
    cnnfast.utils.set_random_seed(seed)
    ours = cnnfast.Sequential([cnnfast.Input((*size, 3))])
    theirs = []
    for block, (c, k) in enumerate(zip([3, filters[0]], filters, strict=True)):
        ours.add(layers.Conv2D(k, 3, activation="relu" if fused else None, name=f"conv{block}"))
        theirs.append(torch.nn.Conv2d(c, k, 3))
        ours.add(layers.BatchNormalization(name=f"norm{block}"))
        norm = torch.nn.BatchNorm2d(k, eps=1e-3)
        theirs += [torch.nn.ReLU(), norm] if fused else [norm, torch.nn.ReLU()]
        if not fused:
            ours.add(layers.ReLU(name=f"relu{block}"))
        if block == 0:
            ours.add(layers.MaxPooling2D(2))
            theirs.append(torch.nn.MaxPool2d(2))
    ours.add(layers.GlobalAveragePooling2D())
    ours.add(layers.Dense(CLASSES, activation="softmax", name="scores"))
    theirs += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(filters[1], CLASSES)]
    for layer in ours.layers:
        layer.set_weights([w + 0.2 * rng.normal(size=w.shape) for w in layer.get_weights()])
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([*layer.get_weights()[:3], rng.uniform(0.5, 1.5, layer.get_weights()[3].shape)])
    net = torch.nn.Sequential(*theirs).eval()
    copy_weights(ours, net)
    return ours, net


def copy_weights(ours: cnnfast.Sequential, net: torch.nn.Sequential) -> None:
    with_weights = [m for m in net if next(m.parameters(), None) is not None]
    for layer, module in zip([la for la in ours.layers if la.get_weights()], with_weights, strict=True):
        weights = [torch.tensor(w) for w in layer.get_weights()]
        with torch.no_grad():
            if isinstance(module, torch.nn.BatchNorm2d):
                for theirs, w in zip(
                    (module.weight, module.bias, module.running_mean, module.running_var), weights, strict=True
                ):
                    theirs.copy_(w)
            else:
                module.weight.copy_(weights[0].permute(3, 2, 0, 1) if weights[0].ndim == 4 else weights[0].T)
                if module.bias is not None:
                    module.bias.copy_(weights[1])


@pytest.fixture(params=SEEDS)
def case(request):
    """Both networks, images, classes, and the images and classes as Captum takes them."""
    ours, net = network(request.param)
    rng = np.random.default_rng(100 + request.param)
    x = rng.normal(size=(N, *ours.inputs[0].shape[1:])).astype(np.float32)
    target = rng.integers(0, CLASSES, N)
    pixels = torch.tensor(x).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        probabilities = net(pixels).softmax(1).numpy()
    np.testing.assert_allclose(ours.predict(x, verbose=0), probabilities, rtol=1e-4, atol=1e-6)
    return ours, net, x, target, pixels, torch.tensor(target)


def channels_last(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().permute(0, 2, 3, 1).numpy()


def assert_same(ours: np.ndarray, theirs: np.ndarray, tolerance: float = 1e-4) -> None:
    """The largest difference relative to the largest value, for each image."""
    assert ours.shape == theirs.shape
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(b).max() > 0
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


def test_saliency(case):
    ours, net, x, target, pixels, classes = case
    assert_same(saliency(ours, x, target), channels_last(attr.Saliency(net).attribute(pixels, classes)))
    signed = channels_last(attr.Saliency(net).attribute(pixels, classes, abs=False))
    assert_same(saliency(ours, x, target, absolute=False), signed)


def test_gradient_x_input(case):
    ours, net, x, target, pixels, classes = case
    assert_same(gradient_x_input(ours, x, target), channels_last(attr.InputXGradient(net).attribute(pixels, classes)))


@pytest.mark.parametrize(
    "method", ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"]
)
def test_integrated_gradients_and_their_error(case, method):
    ours, net, x, target, pixels, classes = case
    theirs, delta = attr.IntegratedGradients(net).attribute(
        pixels, -0.25, classes, n_steps=20, method=method, return_convergence_delta=True
    )
    found, error = integrated_gradients(
        ours, x, target, baseline=-0.25, n_steps=20, method=method, return_error=True, batch_size=7
    )
    if method == "riemann_trapezoid":  # its weights sum to 19/20 there
        assert_same(found * (19 / 20), channels_last(theirs))
        delta = delta + theirs.sum((1, 2, 3)) / 19
    else:
        assert_same(found, channels_last(theirs))
    np.testing.assert_allclose(error, delta.detach().numpy(), atol=1e-4 * np.abs(found).sum((1, 2, 3)).max())


def test_integrated_gradients_from_a_baseline_for_each_image(case):
    ours, net, x, target, pixels, classes = case
    baseline = np.random.default_rng(7).normal(size=x.shape).astype(np.float32)
    theirs = attr.IntegratedGradients(net).attribute(pixels, torch.tensor(baseline).permute(0, 3, 1, 2), classes)
    assert_same(integrated_gradients(ours, x, target, baseline=baseline), channels_last(theirs))


def test_guided_backprop_and_deconvnet(case):
    ours, net, x, target, pixels, classes = case
    assert_same(guided_backprop(ours, x, target), channels_last(attr.GuidedBackprop(net).attribute(pixels, classes)))
    assert_same(deconvnet(ours, x, target), channels_last(attr.Deconvolution(net).attribute(pixels, classes)))


def test_guided_gradcam(case):
    ours, net, x, target, pixels, classes = case
    relus = [i for i, m in enumerate(net) if isinstance(m, torch.nn.ReLU)]
    for block, number in enumerate(relus):
        name = f"relu{block}" if "relu0" in [la.name for la in ours.layers] else f"conv{block}"
        theirs = attr.GuidedGradCam(net, net[number]).attribute(pixels, classes, interpolate_mode="bilinear")
        found = guided_gradcam(ours, x, target, name)
        for a, b in zip(found, channels_last(theirs), strict=True):
            assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()
        assert found.any()


def test_smoothgrad_and_vargrad_with_the_same_noise(case, monkeypatch):
    ours, net, x, target, pixels, classes = case
    samples, noise = 6, 0.1
    draws = np.stack(
        [
            np.random.default_rng([3, i, j]).standard_normal(x.shape[1:], np.float32) * noise * np.ptp(x[i])
            for i in range(N)
            for j in range(samples)
        ]
    )
    monkeypatch.setattr(torch, "normal", lambda mean, std: torch.tensor(draws).permute(0, 3, 1, 2))
    tunnel = attr.NoiseTunnel(attr.Saliency(net))
    options = {"nt_samples": samples, "stdevs": noise, "target": classes, "abs": False}
    mean, variance = (
        channels_last(tunnel.attribute(pixels, nt_type=kind, **options)) for kind in ("smoothgrad", "vargrad")
    )
    chosen = {"samples": samples, "noise": noise, "seed": 3}
    assert_same(smoothgrad(ours, x, target, absolute=False, **chosen), mean)
    assert_same(vargrad(ours, x, target, **chosen), variance)


def test_the_known_network_of_captum():
    """All of this network's values are whole numbers or halves: they are the same, bit for bit."""
    ours = two_filters()
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8, 2, bias=False)
    )
    row = torch.tensor([1.0] * 5 + [-1.0] * 3)
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.copy_(torch.tensor([-50.0, -75.0]))
        net[3].weight.copy_(torch.stack([row, -row]))
    pixels = torch.arange(16.0).reshape(1, 1, 4, 4)
    x = channels_last(pixels)
    for target in (0, 1):
        for method, theirs in [
            (saliency, attr.Saliency(net)),
            (gradient_x_input, attr.InputXGradient(net)),
            (guided_backprop, attr.GuidedBackprop(net)),
            (deconvnet, attr.Deconvolution(net)),
        ]:
            expected = channels_last(theirs.attribute(pixels, target))
            np.testing.assert_array_equal(method(ours, x, target), expected, err_msg=method.__name__)
    cam = attr.GuidedGradCam(net, net[1]).attribute(pixels, 0, interpolate_mode="bilinear")
    np.testing.assert_array_equal(guided_gradcam(ours, x, 0, "relu"), channels_last(cam))
