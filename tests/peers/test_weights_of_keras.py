"""Weights that Keras saved, in each of its formats: the same outputs here, in Keras' order of layers or by name."""

from __future__ import annotations

import os

import numpy as np
import pytest

from cnnfast import Input, Model, Sequential, layers
from cnnfast.formats.foreign import read_foreign
from cnnfast.formats.keras_order import keras_layers

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("h5py", reason="h5py is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

IMAGE = (9, 9, 3)
ENDINGS = (".weights.h5", ".keras", ".h5")


class Ours:
    Input, Model, Sequential, layers = Input, Model, Sequential, layers


def every_kind(k, name="every"):
    """Each layer with weights, one after the other."""
    return k.Sequential(
        [
            k.Input(IMAGE),
            k.layers.Conv2D(4, 3, padding="same", activation="relu"),
            k.layers.BatchNormalization(),
            k.layers.Dropout(0.5),
            k.layers.DepthwiseConv2D(3, depth_multiplier=2),
            k.layers.SeparableConv2D(5, 3, use_bias=False),
            k.layers.BatchNormalization(scale=False),
            k.layers.Conv2DTranspose(3, 3, strides=2),
            k.layers.Conv2D(6, 2, groups=3),
            k.layers.Flatten(),
            k.layers.Dense(7, activation="relu"),
            k.layers.Dense(3),
        ],
        name=name,
    )


def branches(k):
    """Blocks whose shortcut is as deep as the middle of the other branch, all of the same shapes."""
    x = inputs = k.Input(IMAGE)
    x = k.layers.Conv2D(4, 1)(x)
    for _ in range(2):
        y = k.layers.BatchNormalization()(k.layers.Conv2D(4, 3, padding="same")(x))
        y = k.layers.Activation("relu")(y)
        y = k.layers.BatchNormalization()(k.layers.Conv2D(4, 3, padding="same")(y))
        shortcut = k.layers.BatchNormalization()(k.layers.Conv2D(4, 3, padding="same")(x))
        x = k.layers.Add()([y, shortcut])
    z = k.layers.Concatenate()([k.layers.Conv2D(4, 3)(x), k.layers.Conv2D(4, 3)(x)])
    return k.Model(inputs, k.layers.Dense(2)(k.layers.GlobalAveragePooling2D()(z)))


def nested(k, names=True):
    """A base within a model as in transfer learning, and a functional model within it."""
    label = (lambda name: {"name": name}) if names else (lambda name: {})
    u = k.Input((7, 7, 4))
    v = k.layers.BatchNormalization()(k.layers.Conv2D(4, 3)(u))
    inner = k.Model(u, k.layers.Conv2D(4, 1)(v), **label("inner"))
    base = k.Sequential(
        [
            k.Input(IMAGE),
            k.layers.Conv2D(4, 3, **label("block1_conv1")),
            k.layers.BatchNormalization(**label("block1_bn")),
            inner,
            k.layers.Conv2D(4, 3, **label("block2_conv1")),
        ],
        **label("base"),
    )
    return k.Sequential([k.Input(IMAGE), base, k.layers.Flatten(), k.layers.Dense(2)])


def shared(k):
    """A layer and a model that are each used twice."""
    same = k.layers.Conv2D(3, 3, padding="same")
    twice = k.Sequential([k.Input(IMAGE), k.layers.Conv2D(3, 1), k.layers.Conv2D(3, 1)])
    x = k.Input(IMAGE)
    y = twice(same(twice(x)))
    return k.Model(x, k.layers.Dense(2)(k.layers.Flatten()(same(y))))


NETWORKS = (every_kind, branches, nested, shared)


def randomize(model):
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(0.2, 1.0, w.shape) * rng.choice((-1, 1), w.shape) ** (w.ndim > 1)
                       for w in model.get_weights()])  # fmt: skip


def assert_same_outputs(ours, theirs):
    x = np.random.default_rng(4).standard_normal((3, *IMAGE)).astype(np.float32)
    exact = np.asarray(theirs(x, training=False))
    assert np.max(np.abs(ours.predict(x, verbose=0) - exact)) <= 1e-5 * np.max(np.abs(exact))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)
def test_weights_of_every_format_give_the_same_outputs(network, ending, tmp_path):
    theirs, ours = network(keras), network(Ours)
    randomize(theirs)
    path = tmp_path / f"weights{ending}"
    (theirs.save_weights if ending == ".weights.h5" else theirs.save)(path)
    ours.load_weights(path)
    assert_same_outputs(ours, theirs)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)
def test_layers_stand_in_the_order_of_keras(network):
    theirs, ours = network(keras), network(Ours)
    kinds = [type(layer).__name__ for layer in theirs.layers]
    names = {"Model": "Functional"}
    mine = [names.get(type(layer).__name__, type(layer).__name__) for layer in keras_layers(ours)]
    assert [k for k in mine if k != "InputLayer"] == [k for k in kinds if k != "InputLayer"]


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_base_that_was_partly_frozen_when_saved_fits(names, ending, tmp_path):
    """Keras lists what is trained first; the names, or else the same state here, say what is what."""
    nested(keras, False)  # automatic names go on counting, so that they are other ones than ours
    theirs, ours = nested(keras, names), nested(Ours, names)
    randomize(theirs)
    for model in (theirs, ours) if not names else (theirs,):
        model.layers[0].layers[0].trainable = False
        model.layers[0].layers[1].trainable = False
    path = tmp_path / f"weights{ending}"
    (theirs.save_weights if ending == ".weights.h5" else theirs.save)(path)
    ours.load_weights(path)
    assert_same_outputs(ours, theirs)


def test_a_compiled_and_trained_model_fits(tmp_path):
    """Its file holds the optimizer's state and the state of random generators too."""
    theirs, ours = every_kind(keras), every_kind(Ours)
    theirs.compile("adam", "mse", metrics=["mae"])
    theirs.fit(np.ones((4, *IMAGE)), np.ones((4, 3)), verbose=0)
    for ending in ENDINGS:
        path = tmp_path / f"trained{ending}"
        (theirs.save_weights if ending == ".weights.h5" else theirs.save)(path)
        ours.load_weights(path)
        assert_same_outputs(ours, theirs)


def heads(k, classes):
    return k.Sequential(
        [
            k.Input(IMAGE),
            k.layers.Conv2D(4, 3, name="conv"),
            k.layers.Flatten(),
            k.layers.Dense(classes, name=f"head_{classes}"),
        ]
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_by_name_takes_only_layers_of_the_same_name(ending, tmp_path):
    theirs, ours = heads(keras, 5), heads(Ours, 2)
    randomize(theirs)
    before = ours.layers[-1].get_weights()
    path = tmp_path / f"weights{ending}"
    (theirs.save_weights if ending == ".weights.h5" else theirs.save)(path)
    ours.load_weights(path, by_name=True)
    for a, b in zip(ours.layers[0].get_weights(), theirs.layers[0].get_weights(), strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(ours.layers[-1].get_weights(), before, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_layer_that_does_not_fit_is_named_and_can_be_skipped(ending, tmp_path):
    theirs, ours = heads(keras, 5), heads(Ours, 2)
    randomize(theirs)
    before = ours.get_weights()
    path = tmp_path / f"weights{ending}"
    (theirs.save_weights if ending == ".weights.h5" else theirs.save)(path)
    with pytest.raises(
        ValueError, match=r"kernel expects shape \(196, 2\).* \(196, 5\).*Nothing has changed"
    ) as caught:
        ours.load_weights(path)
    assert str(path) in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), before, strict=True))
    with pytest.warns(UserWarning, match="skipped"):
        ours.load_weights(path, skip_mismatch=True)
    assert np.array_equal(ours.layers[0].get_weights()[0], theirs.layers[0].get_weights()[0])
    assert np.array_equal(ours.layers[-1].get_weights()[0], before[-2])


def test_another_number_of_layers_is_refused(tmp_path):
    theirs, ours = heads(keras, 5), every_kind(Ours)
    for ending, message in ((".h5", "9 layers with weights"), (".weights.h5", "missing in the file")):
        path = tmp_path / f"weights{ending}"
        (theirs.save_weights if ending == ".weights.h5" else theirs.save)(path)
        with pytest.raises(ValueError, match=message):
            ours.load_weights(path)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_become_float32(dtype, tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        theirs = heads(keras, 5)
        theirs.save_weights(tmp_path / "a.weights.h5")
    finally:
        keras.config.set_dtype_policy(before)
    arrays = read_foreign(tmp_path / "a.weights.h5").arrays
    for array, exact in zip(arrays.values(), theirs.get_weights(), strict=True):
        assert array.dtype == np.float32 and array.flags.writeable and array.flags.c_contiguous
        assert np.array_equal(array, np.asarray(exact).astype(np.float32))


def test_users_names_are_kept(tmp_path):
    theirs = nested(keras)
    theirs.save_weights(tmp_path / "a.weights.h5")
    theirs.save(tmp_path / "a.h5")
    numbered, named = read_foreign(tmp_path / "a.weights.h5"), read_foreign(tmp_path / "a.h5")
    assert numbered.structure["base/block1_conv1/0"] == "sequential/conv2d/0"
    assert "base/block1_conv1/kernel" in named.arrays
    assert numbered.kind == "keras3" and named.kind == "keras_h5"


@pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)
def test_keras_reads_what_is_written_for_it(network, tmp_path):
    theirs, ours = network(keras), network(Ours)
    randomize(ours)
    ours.save_weights(tmp_path / "a.weights.h5")
    theirs.load_weights(tmp_path / "a.weights.h5")
    assert_same_outputs(ours, theirs)
