"""Nested models with frozen parts against Keras: what is trained, and the weights after steps of training."""

from __future__ import annotations

import os

import numpy as np
import pytest

import cnnfast

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

IMAGE = (16, 16, 3)


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras", reason="Keras is not installed")


def base_of(lib):
    layers = lib.layers
    x = inputs = lib.Input(IMAGE)
    for block, filters in enumerate((6, 8), 1):
        for i in (1, 2):
            x = layers.Conv2D(filters, 3, padding="same", name=f"block{block}_conv{i}")(x)
            x = layers.BatchNormalization(momentum=0.8, name=f"block{block}_norm{i}")(x)
            x = layers.ReLU(name=f"block{block}_relu{i}")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return lib.Model(inputs, x, name="base")


def sequential(lib, base):
    layers = lib.layers
    return lib.Sequential(
        [lib.Input(IMAGE), base, layers.Flatten(), layers.Dense(5, activation="relu"), layers.Dense(3)]
    )


def deeper(lib, base):
    middle = lib.Sequential([lib.Input(IMAGE), lib.layers.Rescaling(0.5), base, lib.layers.Flatten()], name="middle")
    return lib.Sequential([lib.Input(IMAGE), middle, lib.layers.Dense(3)])


def functional(lib, base):
    inputs = lib.Input(IMAGE)
    x = lib.layers.GlobalAveragePooling2D()(base(inputs))
    return lib.Model(inputs, lib.layers.Dense(3)(x))


def freeze_base(model, base):
    base.trainable = False


def book(model, conv_base):
    conv_base.trainable = True
    set_trainable = False
    for layer in conv_base.layers:
        if layer.name == "block2_conv1":
            set_trainable = True
        if set_trainable:
            layer.trainable = True
        else:
            layer.trainable = False


def norms_alone(model, base):
    for layer in base.layers:
        layer.trainable = "norm" not in layer.name


def thaw_in_frozen(model, base):
    base.trainable = False
    base.get_layer("block2_conv2").trainable = True


def freeze_head(model, base):
    model.layers[-1].trainable = False


def freeze_all(model, base):
    model.trainable = False


def nothing(model, base):
    pass


CHANGES = [nothing, freeze_base, book, norms_alone, thaw_in_frozen, freeze_head]


def pair(keras, build, seed=0):
    """Model and base, ours and Keras', with the same weights."""
    rng = np.random.default_rng(seed)
    pairs = []
    for lib in (cnnfast, keras):
        base = base_of(lib)
        pairs.append((build(lib, base), base))
    (ours, _), (theirs, _) = pairs
    weights = [
        rng.uniform(0.5, 1.5, v.shape)
        if "variance" in v.name or "gamma" in v.name
        else 0.2 * rng.standard_normal(v.shape)
        for v in ours.weights
    ]
    ours.set_weights(weights)
    theirs.set_weights(weights)  # in the same order, before anything is frozen
    return pairs


def names(variables):
    """Of what the base's layers hold; the head's layers have names that count per process."""
    found = []
    for v in variables:
        layer, weight = getattr(v, "path", v.name).split("/")[-2:]
        found.append(f"{layer}/{weight}" if layer.startswith("block") else weight)
    return sorted(found)


@pytest.mark.parametrize("change", [*CHANGES, freeze_all], ids=lambda f: f.__name__)
@pytest.mark.parametrize("build", [sequential, deeper, functional], ids=lambda f: f.__name__)
def test_the_same_weights_are_trainable(keras, build, change):
    (ours, our_base), (theirs, their_base) = pair(keras, build)
    change(ours, our_base)
    change(theirs, their_base)
    for mine, other in ((ours, theirs), (our_base, their_base)):
        assert names(mine.trainable_weights) == names(other.trainable_weights)
        assert names(mine.non_trainable_weights) == names(other.non_trainable_weights)


@pytest.mark.parametrize(
    ("build", "change"),
    [*((sequential, change) for change in CHANGES), (deeper, book), (functional, book), (functional, freeze_base)],
    ids=lambda f: f.__name__,
)
def test_the_same_weights_after_steps_of_training(keras, build, change):
    (ours, our_base), (theirs, their_base) = pair(keras, build)
    rng = np.random.default_rng(7)
    for lib, model, base in ((cnnfast, ours, our_base), (keras, theirs, their_base)):
        change(model, base)
        loss = lib.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(lib.optimizers.SGD(0.02, momentum=0.9), loss)
    for _ in range(4):
        x, y = rng.standard_normal((8, *IMAGE)).astype(np.float32), rng.integers(0, 3, 8)
        mine, other = ours.train_on_batch(x, y), theirs.train_on_batch(x, y)
        assert float(mine) == pytest.approx(float(np.asarray(other)), rel=1e-4)
    for model, base in ((ours, our_base), (theirs, their_base)):  # Keras lists frozen weights last
        model.trainable = base.trainable = True
    for v, a, b in zip(ours.weights, ours.get_weights(), theirs.get_weights(), strict=True):
        # Sums over 8 images of 16x16 pixels, four steps: errors of some 1e-5 of the largest weight.
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-4 * max(np.abs(b).max(), 0.1), err_msg=v.name)
    x = rng.standard_normal((4, *IMAGE)).astype(np.float32)
    exact = theirs.predict(x, verbose=0)
    np.testing.assert_allclose(ours.predict(x, verbose=0), exact, rtol=0, atol=1e-3 * np.abs(exact).max())
