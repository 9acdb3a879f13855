"""The networks against torchvision's with the same weights, which come over in its own files."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import applications
from tests.applications import torchvision_models

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
torch = torchvision_models.torch
models = torchvision_models.models()

NETWORKS = [
    ("VGG16", "vgg16", 224),
    ("ResNet18", "resnet18", 97),
    ("ResNet34", "resnet34", 96),
    ("ResNet50", "resnet50", 97),
    ("ResNet101", "resnet101", 64),
    ("MobileNetV2", "mobilenet_v2", 97),
    ("SqueezeNet1_0", "squeezenet1_0", 224),
    ("SqueezeNet1_1", "squeezenet1_1", 98),
    ("DenseNet121", "densenet121", 97),
]


@pytest.mark.parametrize(("name", "theirs", "size"), NETWORKS)
def test_logits_and_features_agree(tmp_path, rng, name, theirs, size):
    classes = 10 if name.startswith("VGG") else 1000
    network = torchvision_models.randomized(getattr(models, theirs)(num_classes=classes), seed=1)
    path = tmp_path / "network.pth"
    torch.save(network.state_dict(), path)
    shape = (size, size, 3)
    x = rng.normal(size=(2, *shape)).astype(np.float32)
    images = torch.tensor(x).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = network(images).numpy()
        features = network.features(images).permute(0, 2, 3, 1).numpy() if hasattr(network, "features") else None
    constructor = getattr(applications, name)
    model = constructor(weights=path, classes=classes, classifier_activation=None, input_shape=shape)
    assert model.preprocessing == "torch"
    assert_close(model.predict(x, verbose=0), logits)
    if features is not None:
        base = constructor(weights=path, include_top=False, input_shape=shape)
        if name == "DenseNet121":  # torchvision's features end before the last ReLU
            features = np.maximum(features, 0)
        assert_close(base.predict(x, verbose=0), features)


def test_vgg19s_base_agrees(tmp_path, rng):
    """Its dense layers are VGG16's, and take seconds to fill."""
    network = torch.nn.Module()
    network.features = models.vgg.make_layers(models.vgg.cfgs["E"])
    torchvision_models.randomized(network, seed=1)
    torch.save(network.state_dict(), tmp_path / "network.pth")
    x = rng.normal(size=(2, 64, 64, 3)).astype(np.float32)
    with torch.no_grad():
        features = network.features(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    base = applications.VGG19(weights=tmp_path / "network.pth", include_top=False)
    assert_close(base.predict(x, verbose=0), features)


def assert_close(ours, theirs):
    scale = np.abs(theirs).max()
    assert scale > 0
    np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=1e-4)


def test_densenets_official_files_have_dots_in_their_names(tmp_path):
    state = torchvision_models.randomized(models.densenet121(num_classes=2), seed=1).state_dict()
    old = dict(state.items())
    for k in state:
        if ".denselayer" in k:
            head, layer, rest = k.rsplit(".", 2)[0], k.rsplit(".", 2)[1], k.rsplit(".", 2)[2]
            old[f"{head}.{layer[:-1]}.{layer[-1]}.{rest}"] = old.pop(k)
    torch.save(old, tmp_path / "old.pth")
    torch.save(state, tmp_path / "new.pth")
    a, b = (
        applications.DenseNet121(weights=tmp_path / f"{age}.pth", classes=2, input_shape=(32, 32, 3))
        for age in ("old", "new")
    )
    for x, y in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())
