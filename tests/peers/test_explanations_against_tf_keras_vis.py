"""Gradients and class-activation maps against tf-keras-vis on the same weights in Keras."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

import cnnfast
from cnnfast import explain, layers

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
keras = pytest.importorskip("keras", reason="Keras is not installed")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("tf_keras_vis", reason="tf-keras-vis is not installed")

#: Of the largest value.
TOLERANCE = 1e-4
CLASSES = [1, 0, 2]
#: Its Grad-CAM++ brings the weights of each map to a sum of 1, its Score-CAM enlarges masks otherwise: not compared.
MAPS = {"gradcam": "Gradcam", "layercam": "Layercam"}


class Pair:
    """The same network in both libraries: two convolutions with pooling between them, batch normalization, a top."""

    def __init__(self, top: str, seed: int = 0):
        self.ours = self._built(cnnfast.Sequential, cnnfast.Input, layers, top)
        self.theirs = self._built(keras.Sequential, keras.Input, keras.layers, top)
        generator = np.random.default_rng(seed)
        for layer, other in zip(self.ours.layers, self.theirs.layers, strict=True):
            weights = [0.4 * generator.normal(size=w.shape) for w in layer.get_weights()]
            if layer.name == "norm":
                weights[3] = np.abs(weights[3]) + 0.5  # a variance
            layer.set_weights(weights)
            other.set_weights(weights)
        self.x = generator.normal(size=(3, 12, 10, 3)).astype(np.float32)

    @staticmethod
    def _built(model, start, kinds, top):
        return model(
            [
                start((12, 10, 3)),
                kinds.Conv2D(8, 3, padding="same", activation="relu", name="conv1"),
                kinds.BatchNormalization(name="norm"),
                kinds.MaxPooling2D(2),
                kinds.Conv2D(6, 3, padding="same", activation="relu", name="conv2"),
                kinds.GlobalAveragePooling2D() if top == "mean" else kinds.Flatten(),
                kinds.Dense(3, name="scores"),
            ]
        )

    def peer(self, module: str, kind: str, **options) -> np.ndarray:
        score = import_module("tf_keras_vis.utils.scores").CategoricalScore(CLASSES)
        method = getattr(import_module(f"tf_keras_vis.{module}"), kind)(self.theirs)
        return np.asarray(method(score, self.x, **options))


@pytest.fixture(params=["mean", "flat"])
def pair(request):
    made = Pair(request.param)
    np.testing.assert_allclose(
        made.ours.predict(made.x, verbose=0), made.theirs.predict(made.x, verbose=0), rtol=1e-4, atol=1e-5
    )
    return made


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape and np.abs(theirs).max() > 0
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE * np.abs(theirs).max())


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
@pytest.mark.parametrize("method", MAPS)
def test_raw_maps_are_the_same(pair, method, layer):
    ours = getattr(explain, method)(pair.ours, pair.x, CLASSES, layer=layer, normalize=False, upsample=False)
    theirs = pair.peer(method, MAPS[method], penultimate_layer=layer, expand_cam=False, normalize_cam=False)
    assert_same(ours, theirs)


def test_gradients_are_the_same(pair):
    theirs = pair.peer("saliency", "Saliency", keepdims=True, normalize_map=False)
    assert_same(explain.saliency(pair.ours, pair.x, CLASSES), theirs)
