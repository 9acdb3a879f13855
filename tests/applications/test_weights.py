"""Weights from files: found by any library's names, told apart, and refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import Input, Model, applications, layers
from cnnfast.applications import _network, _weights
from cnnfast.applications.densenet import _NETWORK as DENSENET
from cnnfast.applications.efficientnet_lite import _NETWORK as LITE
from cnnfast.applications.mobilenet_v2 import _NETWORK as MOBILENET_V2
from cnnfast.applications.resnet import _RESNET18, _RESNET50, _RESNET101
from cnnfast.applications.squeezenet import _SQUEEZENET1_0, _SQUEEZENET1_1
from cnnfast.applications.vgg16 import _NETWORK as VGG16
from cnnfast.applications.vgg19 import _NETWORK as VGG19
from cnnfast.formats.foreign import ForeignWeights
from cnnfast.layers.base import initial_values_from

SMALL = {"alpha": 0.35, "input_shape": (32, 32, 3)}


def torch_array(layer, weight, value):
    """A weight of ours as PyTorch holds it."""
    if weight != "kernel":
        return value
    if isinstance(layer, layers.DepthwiseConv2D):
        r, s, c, m = value.shape
        return value.transpose(2, 3, 0, 1).reshape(c * m, 1, r, s)
    return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T


def torch_arrays(model, names, begin=""):
    """A model's weights as a state dict, by the names of its page."""
    arrays = {}
    for layer in model.layers:
        for w in layer.weights:
            ours = w.name.rsplit("/", 1)[1]
            arrays[f"{begin}{names[layer.name]}.{_weights._TORCH[ours]}"] = torch_array(layer, ours, w.numpy())
        if isinstance(layer, layers.BatchNormalization):
            arrays[f"{begin}{names[layer.name]}.num_batches_tracked"] = np.array(7.0, np.float32)
    return arrays


def keras_arrays(model):
    return {f"{layer.name}/{w.name.rsplit('/', 1)[1]}": w.numpy() for layer in model.layers for w in layer.weights}


def saved(path, arrays):
    np.savez(path, **arrays)
    return path


def assert_equal_weights(a, b):
    for x, y in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy(), err_msg=x.name)


@pytest.fixture(scope="module")
def mobilenet():
    return applications.MobileNetV2(weights=None, variant="torchvision", **SMALL)


# Whatever the names


@pytest.mark.parametrize("begin", ["", "module."])
def test_a_torch_state_dict_is_known_by_its_names(tmp_path, mobilenet, begin):
    path = saved(tmp_path / "w.npz", torch_arrays(mobilenet, MOBILENET_V2.names[0], begin))
    model = applications.MobileNetV2(weights=path, **SMALL)
    assert model.preprocessing == "torch" and model.get_layer("bn_Conv1").epsilon == 1e-5
    assert_equal_weights(model, mobilenet)


def test_layer_names_with_kernels_need_the_variant_where_variants_look_alike(tmp_path, mobilenet):
    path = saved(tmp_path / "w.npz", keras_arrays(mobilenet))
    with pytest.raises(ValueError, match=r"w.npz does not say whose .* variant='keras' or variant='torchvision'"):
        applications.MobileNetV2(weights=path, **SMALL)
    for variant, mode in (("keras", "tf"), ("torchvision", "torch")):
        model = applications.MobileNetV2(weights=path, variant=variant, **SMALL)
        assert model.preprocessing == mode
        assert_equal_weights(model, mobilenet)


def test_layer_names_with_torchs_layout(tmp_path):
    model = applications.SqueezeNet1_0(weights=None, input_shape=(64, 64, 3), variant="caffe")
    own = {layer.name: layer.name for layer in model.layers}
    arrays = {name.replace(".", "/"): a for name, a in torch_arrays(model, own).items()}
    again = applications.SqueezeNet1_0(weights=saved(tmp_path / "w.npz", arrays), input_shape=(64, 64, 3))
    assert again.preprocessing == "squeezenet"
    assert_equal_weights(again, model)


def test_old_names_of_keras_resnet50(tmp_path):
    with initial_values_from(lambda shape: np.full(shape, 0.5, np.float32)):
        model = applications.ResNet50(weights=None, classes=2, input_shape=(32, 32, 3), variant="keras-v0.2")
    names = _RESNET50.names[1]
    arrays = {f"{names[k.split('/')[0]]}/{k.split('/')[1]}": a for k, a in keras_arrays(model).items()}
    again = applications.ResNet50(weights=saved(tmp_path / "w.npz", arrays), classes=2, input_shape=(32, 32, 3))
    assert again.get_layer("conv1_bn").epsilon == 1e-3
    assert_equal_weights(again, model)


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5", "whole.safetensors"])
def test_files_of_this_package_say_whose_weights_they_hold(tmp_path, mobilenet, name):
    path = tmp_path / name
    (mobilenet.save if name.startswith("whole") else mobilenet.save_weights)(path)
    again = applications.MobileNetV2(weights=path, **SMALL)
    assert again.variant == "torchvision" and again.preprocessing == "torch"
    assert again.get_layer("bn_Conv1").epsilon == 1e-5
    assert_equal_weights(again, mobilenet)
    refused(r"do not fit variant='keras' \(they look like variant='torchvision'\)", path, variant="keras")


@pytest.mark.parametrize("name", ["w.safetensors", "w.weights.h5"])
@pytest.mark.parametrize("said", [None, "none", "../etc"])
def test_files_of_this_package_that_do_not_say_it_need_the_variant(tmp_path, mobilenet, name, said, monkeypatch):
    monkeypatch.setattr(mobilenet, "variant", said)
    path = tmp_path / name
    mobilenet.save_weights(path)
    refused(rf"{name} does not say whose weights it holds", path)
    assert_equal_weights(applications.MobileNetV2(weights=path, variant="torchvision", **SMALL), mobilenet)


def test_a_variant_that_the_values_contradict_is_refused():
    names = {"res2a_branch2a/kernel": np.zeros(1, np.float32)}
    with pytest.raises(ValueError, match=r"ResNet50: .* do not fit variant='keras' .* variant='keras-v0.2'"):
        _weights.check_variant(_RESNET50, "keras", ForeignWeights("f.h5", "keras_h5", names))
    _weights.check_variant(_RESNET50, "keras-v0.2", ForeignWeights("f.h5", "keras_h5", names))


def test_a_base_takes_files_with_and_without_top(tmp_path, mobilenet):
    whole = torch_arrays(mobilenet, MOBILENET_V2.names[0])
    base = {name: a for name, a in whole.items() if not name.startswith("classifier")}
    for arrays in (whole, base):
        path = saved(tmp_path / "w.npz", arrays)
        model = applications.MobileNetV2(weights=path, include_top=False, **SMALL)
        assert_equal_weights(model, Model(mobilenet.inputs, mobilenet.get_layer("out_relu").output))


def test_the_first_dense_layer_after_flatten_is_turned():
    """Torch flattens channels first: a position (h, w, c) of ours is row c * H * W + h * W + w of its matrix."""
    network = _network.Network(
        "Tiny", {"torchvision": _network.Variant("torch")}, None, None, ("fc1",), ({"fc1": "0"},)
    )
    image = Input((2, 3, 4))
    model = Model(image, layers.Dense(5, name="fc1")(layers.Flatten()(image)))
    x = np.random.default_rng(1).normal(size=(6, 2, 3, 4)).astype(np.float32)
    w = np.random.default_rng(2).normal(size=(5, 24)).astype(np.float32)
    file = ForeignWeights("f", "torch", {"0.weight": w, "0.bias": np.zeros(5, np.float32)})
    _weights.load(network, "torchvision", model, file, True)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), x.transpose(0, 3, 1, 2).reshape(6, 24) @ w.T, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    "network",
    [VGG16, VGG19, _RESNET18, _RESNET50, _RESNET101, MOBILENET_V2, _SQUEEZENET1_0, _SQUEEZENET1_1, LITE, DENSENET],
    ids=lambda network: network.title,
)
def test_every_layer_with_weights_has_one_name_in_other_files(network):
    with initial_values_from(np.zeros):
        constructor = getattr(applications, network.title)
        layers_with_weights = {
            layer.name for layer in constructor(weights=None, input_shape=(64, 64, 3)).layers if layer.weights
        }
    assert network.names
    for names in network.names:
        assert layers_with_weights <= set(names), set(layers_with_weights) - set(names)
        assert len(set(names.values())) == len(names)


@pytest.mark.parametrize("names", [("scale", "bias", "mean", "var"), ("a", "b", "c", "d")])
def test_batch_normalization_takes_its_vectors_by_name_only(tmp_path, mobilenet, names):
    theirs = dict(zip(("gamma", "beta", "moving_mean", "moving_variance"), names, strict=True))
    arrays = {}
    for i, (key, array) in enumerate(keras_arrays(mobilenet).items()):
        layer, weight = key.split("/")
        arrays[f"{layer}/{theirs.get(weight, weight)}"] = array + i if weight in theirs else array
    path = saved(tmp_path / "w.npz", dict(sorted(arrays.items())))
    if names[0] == "a":
        refused("missing: bn_Conv1/gamma, .*unexpected: bn_Conv1/a", path, variant="keras")
        return
    model = applications.MobileNetV2(weights=path, variant="keras", **SMALL)
    for key, array in keras_arrays(model).items():
        layer, weight = key.split("/")
        np.testing.assert_array_equal(array, arrays[f"{layer}/{theirs.get(weight, weight)}"])


def test_two_networks_in_one_file_are_refused(tmp_path, mobilenet):
    arrays = {f"{part}/{k}": a for part in ("student", "teacher") for k, a in keras_arrays(mobilenet).items()}
    path = saved(tmp_path / "w.npz", arrays)
    refused("two arrays for Conv1/'kernel': 'student/Conv1/kernel' and 'teacher/Conv1/kernel'", path, variant="keras")


# Whose weights


def test_vggs_variants_are_known_by_the_first_values():
    arrays = {"block1_conv1/kernel": np.zeros((3, 3, 3, 64), np.float32)}
    assert VGG16.recognize(arrays) is None and VGG16.recognize({}) is None
    # The first values of Keras' file, as its users print them.
    arrays["block1_conv1/kernel"][0, 0, :2, :3] = [
        [4.29470569e-01, 1.17273867e-01, 3.40129584e-02],
        [5.50379455e-01, 2.08774377e-02, 9.88311544e-02],
    ]
    assert VGG16.recognize(arrays) == "keras"
    arrays["block1_conv1/kernel"] *= 1.1
    assert VGG16.recognize(arrays) is None


@pytest.mark.parametrize(
    ("network", "kind", "names", "expected"),
    [
        (_RESNET50, "keras_h5", ["conv1_conv/kernel", "conv1_conv/bias"], "keras"),
        (_RESNET50, "keras_h5", ["res2a_branch2a/kernel"], "keras-v0.2"),
        (_RESNET50, "npz", ["conv1_conv/kernel", "conv1_conv/bias"], "keras"),
        (_RESNET50, "npz", ["conv1_conv/kernel"], "torchvision"),
        (_RESNET50, "torch", ["conv1.weight"], "torchvision"),
        (_RESNET50, "safetensors", ["layer1.0.conv1.weight"], "torchvision"),
        (MOBILENET_V2, "keras3", ["Conv1/0"], "keras"),
        (MOBILENET_V2, "torch", ["features.0.0.weight"], "torchvision"),
        (_SQUEEZENET1_0, "npz", ["fire2/squeeze1x1/weight"], "caffe"),
        (_SQUEEZENET1_1, "keras_h5", ["conv1/uniform1"], "keras"),
        (LITE, "torch", ["_conv_stem.weight"], "keras"),
    ],
)
def test_variants_are_told_apart(network, kind, names, expected):
    file = ForeignWeights("f", kind, {name: np.zeros(1, np.float32) for name in names})
    assert _weights.variant_of(network, file) == expected


# What does not fit


def refused(match, path, **arguments):
    with pytest.raises(ValueError, match=match):
        applications.MobileNetV2(weights=path, **{**SMALL, **arguments})


def test_missing_unexpected_and_different_weights_are_named(tmp_path, mobilenet):
    arrays = torch_arrays(mobilenet, MOBILENET_V2.names[0])
    arrays["strange.weight"] = arrays.pop("features.0.0.weight")
    arrays["features.0.1.bias"] = np.zeros(5, np.float32)
    path = saved(tmp_path / "w.npz", arrays)
    refused(
        r"MobileNetV2: the weights in .*w.npz do not fit: missing: Conv1/kernel; unexpected: strange.weight; "
        r"different: bn_Conv1/bias has shape \(5,\), expected \(16,\)",
        path,
    )


def test_another_number_of_classes_is_said(tmp_path, mobilenet):
    path = saved(tmp_path / "w.npz", torch_arrays(mobilenet, MOBILENET_V2.names[0]))
    refused("another number of classes than classes=7.*predictions/weight has shape", path, classes=7)


def test_a_missing_top_is_said(tmp_path, mobilenet):
    arrays = torch_arrays(mobilenet, MOBILENET_V2.names[0])
    del arrays["classifier.1.weight"], arrays["classifier.1.bias"]
    refused(r"they are without top: use include_top=False", saved(tmp_path / "w.npz", arrays))


def test_another_network_is_named(tmp_path):
    model = applications.SqueezeNet1_1(weights=None, include_top=False)
    path = saved(tmp_path / "w.npz", torch_arrays(model, _SQUEEZENET1_1.names[0]))
    refused("these look like weights of SqueezeNet: 25 convolutions", path)


def test_another_variant_is_named(tmp_path):
    with initial_values_from(np.zeros):
        model = applications.ResNet50(weights=None, variant="torchvision", include_top=False)
    path = saved(tmp_path / "w.npz", torch_arrays(model, _RESNET50.names[0]))
    with pytest.raises(ValueError, match=r"do not fit variant='keras' \(they look like variant='torchvision'\)"):
        applications.ResNet50(weights=path, variant="keras", include_top=False)


def test_images_of_another_size_do_not_fit_vggs_top():
    with initial_values_from(np.zeros):
        model = applications.VGG16(weights=None, classes=2, input_shape=(64, 64, 3))
        arrays = keras_arrays(model)
        arrays["fc1/kernel"] = np.zeros((8, 4096), np.float32)
        with pytest.raises(ValueError, match="the top is for images of another size"):
            _weights.load(VGG16, "keras", model, ForeignWeights("f", "keras_h5", arrays), True)


def test_nothing_changes_when_something_does_not_fit(mobilenet):
    arrays = torch_arrays(mobilenet, MOBILENET_V2.names[0])
    before = mobilenet.get_weights()
    arrays = {name: a + 1 for name, a in arrays.items()}
    arrays["classifier.1.bias"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="do not fit"):
        _weights.load(MOBILENET_V2, "torchvision", mobilenet, ForeignWeights("f", "torch", arrays), True)
    for a, b in zip(before, mobilenet.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_that_are_read_leave_the_random_generator_where_it_was(tmp_path, mobilenet):
    from cnnfast import random

    path = saved(tmp_path / "w.npz", torch_arrays(mobilenet, MOBILENET_V2.names[0]))
    random.set_seed(3)
    expected = random.get_generator().normal()
    random.set_seed(3)
    applications.MobileNetV2(weights=path, **SMALL)
    assert random.get_generator().normal() == expected
