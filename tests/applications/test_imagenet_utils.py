"""Class names, and what images must go through."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import layers
from cnnfast.applications import imagenet_utils, mobilenet_v2, resnet50, squeezenet, vgg16
from cnnfast.applications.preprocessing import MODES, preprocess_input

MEANS = {"caffe": (103.939, 116.779, 123.68), "squeezenet": (104, 117, 123)}


def test_there_are_1000_classes_in_the_order_of_the_outputs():
    classes = imagenet_utils.imagenet_classes()
    assert len(classes) == len({wnid for wnid, _ in classes}) == 1000
    assert [wnid for wnid, _ in classes] == sorted(wnid for wnid, _ in classes)
    known = {0: "tench", 1: "goldfish", 281: "tabby", 386: "African_elephant", 967: "espresso", 999: "toilet_tissue"}
    assert {i: classes[i][1] for i in known} == known
    assert classes[386][0] == "n02504458"


def test_predictions_are_decoded_best_first():
    preds = np.full((2, 1000), 1e-4, np.float32)
    preds[0, [281, 282, 285]] = 0.2, 0.5, 0.1
    preds[1, 967] = 0.9
    first, second = vgg16.decode_predictions(preds, top=3)
    assert [(wnid, name) for wnid, name, _ in first] == [
        ("n02123159", "tiger_cat"), ("n02123045", "tabby"), ("n02124075", "Egyptian_cat"),
    ]  # fmt: skip
    assert [score for *_, score in first] == [np.float32(0.5), np.float32(0.2), np.float32(0.1)]
    assert second[0] == ("n07920052", "espresso", np.float32(0.9))
    assert len(imagenet_utils.decode_predictions(preds)[0]) == 5


@pytest.mark.parametrize(
    ("preds", "top", "message"),
    [
        (np.zeros((1, 2)), 5, r"expected predictions \(N, 1000\), got shape \(1, 2\)"),
        (np.zeros(1000), 5, r"got shape \(1000,\)"),
        (np.zeros((1, 1000)), 0, "top must be an integer from 1 to 1000, got 0"),
        (np.zeros((1, 1000)), 2.5, "got 2.5"),
    ],
)
def test_other_predictions_are_refused(preds, top, message):
    with pytest.raises(ValueError, match=f"decode_predictions: .*{message}"):
        imagenet_utils.decode_predictions(preds, top)


def expected(x, mode):
    """The formulas, in float64."""
    x = x.astype(np.float64)
    if mode in MEANS:
        return x[..., ::-1] - MEANS[mode]
    if mode == "torch":
        return (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return x / 127.5 - 1 if mode == "tf" else (x - 127) / 128


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_preprocessing_as_function_and_as_layer(mode, dtype, rng):
    x = rng.integers(0, 256, (2, 4, 5, 3)).astype(dtype)
    before = x.copy()
    y = preprocess_input(x, mode=mode)
    assert y.dtype == np.float32
    oracle = expected(x, mode)
    tolerance = 2 * np.spacing(np.float32(np.abs(oracle).max()))  # a constant and a result are rounded
    np.testing.assert_allclose(y, oracle, rtol=0, atol=tolerance)
    np.testing.assert_allclose(layers.Preprocess(mode)(x), oracle, rtol=0, atol=2 * tolerance)
    np.testing.assert_allclose(preprocess_input(x[0], mode=mode), y[0])
    np.testing.assert_array_equal(x, before)


def test_float64_stays_float64():
    assert preprocess_input(np.zeros((2, 2, 3))).dtype == np.float64


def test_each_network_has_its_own_preprocessing():
    x = np.full((1, 1, 1, 3), 255.0)
    assert vgg16.preprocess_input(x)[0, 0, 0].round(3).tolist() == [151.061, 138.221, 131.32]
    assert vgg16.preprocess_input(x, variant="torchvision").ravel().round(2).tolist() == [2.25, 2.43, 2.64]
    assert mobilenet_v2.preprocess_input(x).ravel().tolist() == [1, 1, 1]
    assert squeezenet.preprocess_input(x, variant="caffe").ravel().tolist() == [151, 138, 132]
    assert resnet50.preprocess_input(x).ravel().round(3).tolist() == [151.061, 138.221, 131.32]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: preprocess_input(x, mode="pytorch"), "mode must be one of caffe, tf, torch, lite, squeezenet, got"),
        (lambda x: preprocess_input(x, "channels_first"), "data_format must be 'channels_last'"),
        (lambda x: preprocess_input(x[..., :1]), r"expected RGB images .* got shape \(2, 2, 2, 1\)"),
        (lambda x: preprocess_input(x[0, 0]), r"got shape \(2, 3\)"),
        (lambda x: vgg16.preprocess_input(x, variant="caffe"), "variant of VGG16 must be one of keras, torchvision"),
        (lambda x: layers.Preprocess("RGB"), "Preprocess: mode must be one of"),
        (lambda x: layers.Preprocess("tf")(x[..., :2]), "Preprocess expects RGB images"),
    ],
)
def test_what_cannot_be_preprocessed_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((2, 2, 2, 3)))
