"""Networks whose explanations are known, or that are awkward to explain."""

import numpy as np

import cnnfast
from cnnfast import layers


def two_filters() -> cnnfast.Sequential:
    """Captum's test network with classes +y and -y: a 3x3 convolution of ones with two filters and the biases -50 and
    -75, ReLU, a dense row of five 1 and three -1 over the channels-first order."""
    model = cnnfast.Sequential(
        [
            cnnfast.Input((4, 4, 1)),
            layers.Conv2D(2, 3, name="conv"),
            layers.ReLU(name="relu"),
            layers.Flatten(),
            layers.Dense(2, name="dense", use_bias=False),
        ]
    )
    model.get_layer("conv").set_weights([np.ones((3, 3, 1, 2)), np.array([-50.0, -75.0])])
    row = np.array([1.0] * 5 + [-1.0] * 3).reshape(2, 2, 2).transpose(1, 2, 0).reshape(-1)
    model.get_layer("dense").set_weights([np.stack([row, -row], axis=1)])
    return model


def small_convnet(seed: int = 1, activation: str | None = "softmax", classes: int = 3) -> cnnfast.Sequential:
    """Convolution with bias and ReLU, batch normalization, pooling, a second convolution, mean, dense."""
    cnnfast.utils.set_random_seed(seed)
    model = cnnfast.Sequential(
        [
            cnnfast.Input((12, 10, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="conv1"),
            layers.BatchNormalization(name="bn"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv2"),
            layers.ReLU(name="relu2"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(classes, activation=activation, name="scores"),
        ]
    )
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights([w + 0.3 * np.abs(generator.normal(size=w.shape)) for w in layer.get_weights()])
    return model


def images(count: int = 5, seed: int = 1) -> np.ndarray:
    """Images for `small_convnet`."""
    return np.random.default_rng(seed).normal(size=(count, 12, 10, 3)).astype(np.float32)
