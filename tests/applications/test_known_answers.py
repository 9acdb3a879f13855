"""Real weights classify real photos rightly, and compute what PyTorch computes with them.

Needs the folder of photos and weights in CNNFAST_TEST_DATA, and for most networks the one that
`tools/fetch_test_weights.py` fills in CNNFAST_TEST_WEIGHTS.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cnnfast import applications
from cnnfast.applications.imagenet_utils import decode_predictions, preprocess_input

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

CATS = {"tabby", "tiger_cat", "Egyptian_cat"}
ANSWERS = {
    "chelsea.jpg": CATS,
    "coral_cat.jpg": CATS,
    "coffee.jpg": {"espresso"},
    "coral_bird.jpg": {"chickadee"},
    "coral_dragonfly.jpg": {"dragonfly", "damselfly"},
    "coral_hot_dog.jpg": {"hotdog"},
    "coral_parrot.jpg": {"macaw"},
    "coral_sunflower.jpg": {"daisy"},  # ImageNet has no sunflower
    "creative_commons_elephant.jpg": {"African_elephant", "tusker", "Indian_elephant"},
}
MOBILENET, LITE = "mobilenet_v2-b0353104.pth", "efficientnet-lite0-57934424.pth"
RESNET = "resnet50_keras_v0.2.npz"
SQUEEZENET, VGG = "squeezenet_v1.0_fp32.npz", "vgg16_notop_torchvision_fp16.npz"
SQUEEZENET_1_1 = "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
CLASSIFIERS = [
    ("MobileNetV2", MOBILENET, "torch"),
    ("EfficientNetLite0", LITE, "lite"),
    ("SqueezeNet1_0", SQUEEZENET, "squeezenet"),
    ("ResNet50", RESNET, "caffe"),
]


def data(name):
    """A folder of the data."""
    folder = os.environ.get("CNNFAST_TEST_DATA")
    if not folder:
        pytest.skip("CNNFAST_TEST_DATA is not set")
    return Path(folder) / name


def weights(name):
    if name in (SQUEEZENET, VGG, SQUEEZENET_1_1):
        return data("weights") / name
    folder = os.environ.get("CNNFAST_TEST_WEIGHTS")
    if not folder:
        pytest.skip("CNNFAST_TEST_WEIGHTS is not set; tools/fetch_test_weights.py fills it")
    return Path(folder) / name


@cache
def photos(size):
    """The middle of each photo, (N, size, size, 3) in 0..255: the short side has 256 pixels where size is 224."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    folder = data("photos")
    arrays = []
    for name in ANSWERS:
        with image.open(folder / name) as photo:
            scale = size * 256 / 224 / min(photo.size)
            photo = photo.convert("RGB").resize([round(side * scale) for side in photo.size], image.Resampling.BILINEAR)
        left, top = ((side - size) // 2 for side in photo.size)
        arrays.append(np.asarray(photo.crop((left, top, left + size, top + size))))
    return np.stack(arrays)


def inputs(model, size):
    return preprocess_input(photos(size), mode=model.preprocessing).astype(np.float32)


@pytest.mark.parametrize(("name", "file", "mode"), CLASSIFIERS)
def test_photos_are_classified_rightly(name, file, mode):
    model = getattr(applications, name)(weights=weights(file))
    assert model.preprocessing == mode
    predictions = model.predict(inputs(model, model.input_shape[1]), verbose=0)
    found = {p: best[0][1] for p, best in zip(ANSWERS, decode_predictions(predictions, top=1), strict=True)}
    assert {p: name for p, name in found.items() if name not in ANSWERS[p]} == {}


def assert_close(ours, theirs):
    scale = np.abs(theirs).max()
    assert ours.shape == theirs.shape and scale > 0
    np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=1e-4)


def nchw(x):
    torch = pytest.importorskip("torch")
    return torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def test_mobilenet_v2_computes_what_torchvision_does():
    from tests.applications import torchvision_models

    torch, models = torchvision_models.torch, torchvision_models.models()
    network = models.mobilenet_v2()
    network.load_state_dict(torch.load(weights(MOBILENET), weights_only=True))
    model = applications.MobileNetV2(weights=weights(MOBILENET), classifier_activation=None)
    x = inputs(model, 224)
    with torch.no_grad():
        expected = network.eval()(nchw(x)).numpy()
    assert_close(model.predict(x, verbose=0), expected)


def torch_step(model, layer, values, arrays):
    """One layer of a model, with PyTorch's functions and a file's own arrays."""
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    from cnnfast import layers

    x = values[0]
    if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
        w, b = arrays(layer)
        groups = x.shape[1] if isinstance(layer, layers.DepthwiseConv2D) else 1
        padding = layer.padding
        if padding == "same":
            totals = [
                max((-(-n // s) - 1) * s + k - n, 0)
                for n, s, k in zip(x.shape[2:], layer.strides, layer.kernel_size, strict=True)
            ]
            padding = [totals[0] // 2, totals[0] - totals[0] // 2, totals[1] // 2, totals[1] - totals[1] // 2]
        if padding != "valid":
            x = F.pad(x, [padding[2], padding[3], padding[0], padding[1]])
        y = F.conv2d(x, w, b, stride=layer.strides, groups=groups)
        return F.relu(y) if layer.get_config()["activation"] == "relu" else y
    if isinstance(layer, layers.BatchNormalization):
        return F.batch_norm(x, *arrays(layer), training=False, eps=layer.epsilon)
    if isinstance(layer, layers.Dense):
        return F.linear(x, *arrays(layer))
    if isinstance(layer, layers.ZeroPadding2D):
        (top, bottom), (left, right) = layer.padding
        return F.pad(x, [left, right, top, bottom])
    if isinstance(layer, layers.MaxPooling2D):
        return F.max_pool2d(x, layer.pool_size, layer.strides, ceil_mode=layer.padding != "valid")
    if isinstance(layer, layers.GlobalAveragePooling2D):
        return x.mean((2, 3))
    if isinstance(layer, layers.Concatenate):
        return torch.cat(values, 1)
    if isinstance(layer, layers.Add):
        return sum(values)
    if isinstance(layer, layers.ReLU):
        return F.relu6(x)
    if isinstance(layer, layers.Activation):
        return F.relu(x) if layer.get_config()["activation"] == "relu" else x
    assert isinstance(layer, layers.Dropout), layer
    return x


def torch_answer(model, x, arrays):
    """What PyTorch makes of the model's layers."""
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        values = {id(model.inputs[0]): nchw(x)}
        for node in model._definition:
            y = torch_step(model, node.op, [values[id(v)] for v in node.inputs], arrays)
            values[id(node.outputs[0])] = y
        y = values[id(model.outputs[0])].numpy()
    return y.transpose(0, 2, 3, 1) if y.ndim == 4 else y


def keras_like(path):
    """Arrays for PyTorch from a file with kernels (R,S,C,K)."""
    torch = pytest.importorskip("torch")
    file = dict(np.load(path))
    names = {}
    if any(key.startswith("res2a") for key in file):
        from cnnfast.applications.resnet import _RESNET50

        names = _RESNET50.names[1]

    def arrays(layer):
        at = f"{names.get(layer.name, layer.name)}/"
        if f"{at}gamma" in file:
            order = ("moving_mean", "moving_variance", "gamma", "beta")
            return [torch.tensor(file[at + n]) for n in order]
        kernel = file[f"{at}kernel"].astype(np.float32)
        kernel = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        return torch.tensor(np.ascontiguousarray(kernel)), torch.tensor(file[f"{at}bias"])

    return arrays


def torch_like(file, name_of):
    """Arrays for PyTorch from a file in its own layout."""

    def arrays(layer):
        from cnnfast import layers

        at = name_of(layer)
        if isinstance(layer, layers.BatchNormalization):
            return [file[at + n] for n in ("running_mean", "running_var", "weight", "bias")]
        return file[f"{at}weight"], file.get(f"{at}bias")

    return arrays


def test_squeezenet_computes_what_pytorch_does():
    torch = pytest.importorskip("torch")
    file = {name: torch.tensor(a) for name, a in np.load(weights(SQUEEZENET)).items()}
    model = applications.SqueezeNet1_0(weights=weights(SQUEEZENET), classifier_activation=None)
    x = inputs(model, 227)
    assert_close(model.predict(x, verbose=0), torch_answer(model, x, torch_like(file, lambda m: f"{m.name}/")))


def test_efficientnet_lite0_computes_what_pytorch_does():
    torch = pytest.importorskip("torch")
    from cnnfast.applications.efficientnet_lite import _NETWORK

    file = torch.load(weights(LITE), weights_only=True)
    model = applications.EfficientNetLite0(weights=weights(LITE), classifier_activation=None)
    x = inputs(model, 224)
    arrays = torch_like(file, lambda m: f"{_NETWORK.names[0][m.name]}.")
    assert_close(model.predict(x, verbose=0), torch_answer(model, x, arrays))


def test_resnet50_computes_what_pytorch_does():
    model = applications.ResNet50(weights=weights(RESNET), classifier_activation=None)
    x = inputs(model, 224)
    assert_close(model.predict(x, verbose=0), torch_answer(model, x, keras_like(weights(RESNET))))


def test_vgg16s_base_computes_what_pytorch_does():
    model = applications.VGG16(weights=weights(VGG), include_top=False)
    assert model.preprocessing == "torch"  # told by the first values: names and shapes are the same in both variants
    x = inputs(model, 150)
    assert_close(model.predict(x, verbose=0), torch_answer(model, x, keras_like(weights(VGG))))


def test_squeezenet_1_1_is_read_from_keras_squeezenets_file():
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    torch = pytest.importorskip("torch")
    with h5py.File(weights(SQUEEZENET_1_1)) as h5:

        def arrays(layer):
            names = h5[layer.name].attrs["weight_names"]
            kernel, bias = (h5[layer.name][name.decode()][()] for name in names)
            return torch.tensor(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))), torch.tensor(bias)

        model = applications.SqueezeNet1_1(weights=weights(SQUEEZENET_1_1), include_top=False)
        assert model.preprocessing == "caffe"
        x = inputs(model, 227)
        assert_close(model.predict(x, verbose=0), torch_answer(model, x, arrays))
