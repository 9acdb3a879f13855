"""Small classifiers whose answers are known, and their images."""

import numpy as np

import cnnfast
from cnnfast import layers

HOSTILE = "<script>alert(1)</script>"


def brightest(classes: int = 3) -> cnnfast.Sequential:
    """Says which of the channels of an image (8, 8, classes) is the brightest; its second filters are dead."""
    model = cnnfast.Sequential(
        [
            layers.Input((8, 8, classes)),
            layers.Conv2D(2 * classes, 1, activation="relu", name="conv"),
            layers.MaxPooling2D(2, name="pool"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(classes, activation="softmax", name="scores"),
        ],
        name="brightest",
    )
    eye = np.eye(classes)
    kernel = np.concatenate([eye, np.zeros_like(eye)], axis=1)[None, None]
    model.get_layer("conv").set_weights([kernel, np.concatenate([np.zeros(classes), -np.ones(classes)])])
    model.get_layer("scores").set_weights([4 * np.concatenate([eye, eye]), np.zeros(classes)])
    return model


def bright(count: int = 12, classes: int = 3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images for `brightest` and the classes that it gives them."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = generator.uniform(0, 0.2, (count, 8, 8, classes)).astype(np.float32)
    images[np.arange(count), 2:6, 2:6, labels] += 0.8
    return images, labels
