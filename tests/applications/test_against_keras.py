"""The networks against Keras': the same layers, and the same predictions with weights that come over in its files."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import applications

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
keras = pytest.importorskip("keras", reason="Keras is not installed")
pytest.importorskip("h5py", reason="h5py is not installed")

NETWORKS = [
    ("VGG16", {"include_top": False}, 64),
    ("VGG16", {"input_shape": (32, 32, 3), "classes": 3}, 32),
    ("VGG19", {"include_top": False}, 64),
    ("ResNet50", {"classes": 10, "input_shape": (64, 64, 3)}, 64),
    ("ResNet101", {"include_top": False, "pooling": "avg"}, 97),
    ("MobileNet", {}, 224),
    ("MobileNet", {"alpha": 0.5, "depth_multiplier": 2, "input_shape": (97, 97, 3), "include_top": False}, 97),
    ("MobileNetV2", {}, 224),
    ("MobileNetV2", {"alpha": 0.35, "include_top": False, "input_shape": (97, 97, 3), "pooling": "max"}, 97),
    ("MobileNetV2", {"alpha": 1.4, "include_top": False}, 96),
    ("DenseNet121", {"classes": 10, "input_shape": (64, 64, 3)}, 64),
]
CASES = [(*network, ".h5") for network in NETWORKS]
CASES += [(*NETWORKS[8], ending) for ending in (".weights.h5", ".keras")]


def randomized(model, rng):
    """Nothing stays 0 or 1."""
    for w in model.weights:
        name = w.path.rsplit("/", 1)[1]
        if name in ("gamma", "moving_variance"):
            w.assign(rng.uniform(0.5, 1.5, w.shape))
        elif name in ("beta", "bias", "moving_mean"):
            w.assign(rng.normal(0, 0.1, w.shape))
    return model


def named(model):
    """Layers with their output shapes, but for those with automatic names."""
    return {
        layer.name: tuple(layer.output.shape)
        for layer in model.layers
        if not layer.name.startswith(("input_layer", "global_", "zero_padding2d")) and not layer.name.endswith("_pool")
    }


@pytest.mark.parametrize(("name", "arguments", "size", "ending"), CASES)
def test_layers_and_predictions_agree(tmp_path, rng, name, arguments, size, ending):
    theirs = randomized(getattr(keras.applications, name)(weights=None, **arguments), rng)
    path = tmp_path / f"network{ending}"
    (theirs.save_weights if ending == ".weights.h5" else theirs.save)(path)
    ours = getattr(applications, name)(weights=path, **arguments)
    assert ours.count_params() == theirs.count_params()
    if not arguments.get("pooling"):
        apart = {"conv1_pad", "pool1_pad"} if name == "DenseNet121" else set()  # which Keras gives automatic names
        assert {k: v for k, v in named(ours).items() if k not in apart} == named(theirs)
    x = rng.normal(size=(2, size, size, 3)).astype(np.float32)
    expected = theirs.predict(x, verbose=0)
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(ours.predict(x, verbose=0) / scale, expected / scale, rtol=0, atol=1e-4)


@pytest.mark.parametrize("module", ["vgg16", "vgg19", "resnet50", "mobilenet", "mobilenet_v2", "densenet"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_preprocessing_is_the_same_bit_for_bit(rng, module, dtype):
    x = rng.uniform(0, 255, (2, 5, 6, 3)).astype(dtype)
    theirs = getattr(keras.applications, module).preprocess_input(x.copy())
    ours = getattr(applications, module).preprocess_input(x)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def test_predictions_are_decoded_as_keras_does(monkeypatch, rng):
    from keras.src.applications import imagenet_utils  # which would fetch the names from the internet

    names = {str(i): list(entry) for i, entry in enumerate(applications.imagenet_utils.imagenet_classes())}
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", names)
    preds = rng.uniform(size=(3, 1000)).astype(np.float32)
    assert applications.vgg16.decode_predictions(preds, top=7) == imagenet_utils.decode_predictions(preds, top=7)


@pytest.mark.parametrize("name", ["VGG16", "VGG19", "ResNet50", "ResNet101", "MobileNet", "MobileNetV2", "DenseNet121"])
def test_signatures_are_keras_with_one_more_argument(name):
    import inspect

    theirs = inspect.signature(getattr(keras.applications, name)).parameters
    ours = dict(inspect.signature(getattr(applications, name)).parameters)
    assert ours.pop("variant").default is None
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]
