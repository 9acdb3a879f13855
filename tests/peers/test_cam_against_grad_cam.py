"""Class-activation maps against pytorch-grad-cam on the same weights: the maps themselves and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest

import cnnfast
from cnnfast import layers
from cnnfast.explain.cam import (
    eigen_gradcam,
    eigencam,
    elementwise_cam,
    gradcam,
    gradcam_plus_plus,
    hirescam,
    layercam,
    xgradcam,
)
from cnnfast.explain.cam_perturbation import ablationcam, scorecam
from cnnfast.explain.fullgrad import fullgrad
from tests.applications.torchvision_models import beside_torch

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="PyTorch is not installed")


peer = beside_torch("pytorch_grad_cam")

#: Of the largest value of a map; eigenvectors are as exact as their eigenvalues are apart.
TOLERANCE = 1e-4
CLASSES = [1, 0, 2]

GRADIENTS = [
    (gradcam, "GradCAM"),
    (gradcam_plus_plus, "GradCAMPlusPlus"),
    (hirescam, "HiResCAM"),
    (xgradcam, "XGradCAM"),
    (layercam, "LayerCAM"),
    (elementwise_cam, "GradCAMElementWise"),
]
SCORES = [(scorecam, "ScoreCAM"), (ablationcam, "AblationCAM")]
COMPONENTS = [(eigencam, "EigenCAM"), (eigen_gradcam, "EigenGradCAM")]
ALL = [*GRADIENTS, *SCORES, *COMPONENTS]


class Pair:
    """The same network in both libraries: two convolutions with batch normalization and ReLU, pooling between them."""

    def __init__(self, top: str, seed: int = 0):
        self.ours = cnnfast.Sequential(
            [
                cnnfast.Input((12, 10, 3)),
                layers.Conv2D(8, 3, padding="same", name="conv1"),
                layers.BatchNormalization(epsilon=1e-3, name="norm1"),
                layers.ReLU(name="relu1"),
                layers.MaxPooling2D(2),
                layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv2"),
                layers.BatchNormalization(epsilon=1e-3, name="norm2"),
                layers.ReLU(name="relu2"),
                layers.GlobalAveragePooling2D() if top == "mean" else layers.Flatten(),
                layers.Dense(3, name="scores"),
            ]
        )
        generator = np.random.default_rng(seed)
        for layer in self.ours.layers:
            shapes = [w.shape for w in layer.get_weights()]
            drawn = [0.4 * generator.normal(size=shape) for shape in shapes]
            if layer.name.startswith("norm"):
                drawn[0], drawn[3] = (generator.uniform(0.5, 1.5, shape) for shape in (shapes[0], shapes[3]))
            layer.set_weights(drawn)
        self.theirs = self._torch(top)
        self.x = generator.normal(size=(3, 12, 10, 3)).astype(np.float32)
        # Scores above 0, of mirror images too: for them both libraries' Ablation-CAM means the same.
        lowest = self.ours.predict(np.concatenate([self.x, self.x[:, :, ::-1]]), verbose=0).min()
        kernel, bias = self.ours.get_layer("scores").get_weights()
        self.ours.get_layer("scores").set_weights([kernel, bias - lowest + 5])
        self.theirs[-1].bias.data += float(5 - lowest)

    def _torch(self, top):
        nn = torch.nn
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8, eps=1e-3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6, eps=1e-3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1) if top == "mean" else nn.Identity(), nn.Flatten(),
            nn.Linear(6 if top == "mean" else 180, 3),
        ).eval()  # fmt: skip
        for theirs, name in ((net[0], "conv1"), (net[1], "norm1"), (net[4], "conv2"), (net[5], "norm2")):
            weights = [torch.tensor(w) for w in self.ours.get_layer(name).get_weights()]
            if name.startswith("conv"):
                theirs.weight.data = weights[0].permute(3, 2, 0, 1).contiguous()
                if len(weights) > 1:
                    theirs.bias.data = weights[1]
            else:
                theirs.weight.data, theirs.bias.data, theirs.running_mean, theirs.running_var = weights
        kernel, bias = (torch.tensor(w) for w in self.ours.get_layer("scores").get_weights())
        if top != "mean":
            kernel = kernel.reshape(6, 5, 6, 3).permute(2, 0, 1, 3).reshape(180, 3)
        net[-1].weight.data, net[-1].bias.data = kernel.T.contiguous(), bias
        return net

    def peer_maps(self, kind: str, names: list[str], **options):
        """What the other library makes of the images: its raw maps of the last layer, and the final ones."""
        places = {"relu1": self.theirs[2], "relu2": self.theirs[6]}
        targets = [peer.utils.model_targets.ClassifierOutputTarget(c) for c in CLASSES]
        x = torch.tensor(self.x.transpose(0, 3, 1, 2)).contiguous()
        raw = []
        with getattr(peer, kind)(model=self.theirs, target_layers=[places[n] for n in names]) as method:
            plain = method.get_cam_image
            method.get_cam_image = lambda *a, **k: raw.append(plain(*a, **k)) or raw[-1]
            final = method(x, targets, **options)
        return (raw[-1] if raw else None), final


@pytest.fixture(params=["mean", "flat"])
def pair(request):
    made = Pair(request.param)
    theirs = made.theirs(torch.tensor(made.x.transpose(0, 3, 1, 2))).detach().numpy()
    np.testing.assert_allclose(made.ours.predict(made.x, verbose=0), theirs, rtol=1e-4, atol=1e-5)
    return made


@pytest.fixture(autouse=True)
def centred_masks(monkeypatch):
    """Score-CAM's masks enlarged as its authors do and as maps are: pixels are cells with centres. The other library
    takes them for points, the outer ones on the border."""
    monkeypatch.setattr(
        torch.nn,
        "UpsamplingBilinear2d",
        lambda size: torch.nn.Upsample(size=size, mode="bilinear", align_corners=False),
    )


def assert_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE * np.abs(other).max())


def names(case):
    return case[1] if isinstance(case, tuple) else None


@pytest.mark.parametrize("layer", ["relu1", "relu2"])
@pytest.mark.parametrize("case", [*GRADIENTS, *SCORES], ids=names)
def test_maps_agree(pair, case, layer):
    method, kind = case
    raw, final = pair.peer_maps(kind, [layer])
    found = method(pair.ours, pair.x, CLASSES, layer=layer, normalize=False, upsample=False, relu=False)
    assert_close(found, raw)
    assert_close(method(pair.ours, pair.x, CLASSES, layer=layer), final)


@pytest.mark.parametrize("case", COMPONENTS, ids=names)
def test_principal_components_agree_but_for_the_sign(pair, case):
    method, kind = case
    raw, final = pair.peer_maps(kind, ["relu2"])
    found = method(pair.ours, pair.x, CLASSES, layer="relu2", normalize=False, upsample=False, relu=False)
    signs = np.sign((found * raw).sum((1, 2)))
    assert_close(found, raw * signs[:, None, None])
    same = signs > 0
    assert_close(method(pair.ours, pair.x, CLASSES, layer="relu2")[same], final[same])


@pytest.mark.parametrize("case", [*GRADIENTS, *SCORES], ids=names)
def test_several_layers_agree(pair, case):
    method, kind = case
    _, final = pair.peer_maps(kind, ["relu1", "relu2"])
    assert_close(method(pair.ours, pair.x, CLASSES, layer=["relu1", "relu2"]), final)


@pytest.mark.parametrize("case", [*GRADIENTS, *SCORES], ids=names)
def test_smoothing_by_augmentation_agrees(pair, case):
    method, kind = case
    _, final = pair.peer_maps(kind, ["relu2"], aug_smooth=True)
    assert_close(method(pair.ours, pair.x, CLASSES, layer="relu2", aug_smooth=True), final)


@pytest.mark.parametrize("case", GRADIENTS, ids=names)
def test_smoothing_by_the_component_agrees_but_for_the_sign(pair, case):
    method, kind = case
    raw, _ = pair.peer_maps(kind, ["relu2"], eigen_smooth=True)
    options = {"normalize": False, "upsample": False, "relu": False, "eigen_smooth": True}
    found = method(pair.ours, pair.x, CLASSES, layer="relu2", **options)
    assert_close(found, raw * np.sign((found * raw).sum((1, 2)))[:, None, None])


def test_score_cam_agrees_as_it_comes_on_maps_of_the_size_of_the_image(pair, monkeypatch):
    monkeypatch.undo()  # enlarging by points, which does nothing here
    raw, _ = pair.peer_maps("ScoreCAM", ["relu1"])
    found = scorecam(pair.ours, pair.x, CLASSES, layer="relu1", normalize=False, upsample=False, relu=False)
    assert_close(found, raw)


def test_full_gradients_agree(pair):
    """Where biases are those of Conv2d and BatchNorm2d and activations are ReLU, all that the other library knows."""
    # It adds 1e-7 to the largest value of each channel when it scales it. A steeper score, whose map is the same, makes
    # the values so large that this does not count.
    found = fullgrad(pair.ours, pair.x, CLASSES)
    pair.theirs[-1].weight.data *= 1000
    _, final = pair.peer_maps("FullGrad", [])
    assert_close(found, final)
