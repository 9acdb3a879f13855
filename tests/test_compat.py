"""Programs written for TensorFlow run with their import line changed."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import cnnfast
import cnnfast.compat as tf
from cnnfast.compat import keras


def small_base():
    """A convolutional base with names of VGG16's layers, for images of 24x24."""
    x = inputs = keras.Input((24, 24, 3))
    for block in (4, 5):
        for i in (1, 2, 3):
            x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name=f"block{block}_conv{i}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return keras.Model(inputs, x, name="vgg16")


def book_model(conv_base):
    """The book's second snippet, as it stands there but for the size of the dense layer."""
    model = tf.keras.models.Sequential()
    model.add(conv_base)
    model.add(tf.keras.layers.Flatten())
    model.add(tf.keras.layers.Dense(16, activation=tf.nn.relu))
    model.add(tf.keras.layers.Dense(1, activation=tf.nn.sigmoid))
    return model


def test_a_new_head_on_a_frozen_base(tmp_path):
    conv_base = small_base()
    model = book_model(conv_base)
    assert len(model.trainable_weights) == 16
    conv_base.trainable = False
    assert len(model.trainable_weights) == 4
    model.compile(loss="binary_crossentropy", optimizer=tf.keras.optimizers.RMSprop(lr=2e-5), metrics=["acc"])
    rng = np.random.default_rng(0)

    def generator():
        while True:
            yield rng.random((4, 24, 24, 3)), rng.integers(0, 2, 4)

    before = [w.numpy() for w in conv_base.weights]
    history = model.fit_generator(
        generator(), steps_per_epoch=3, epochs=2, validation_data=generator(), validation_steps=2, verbose=0
    )
    assert list(history.history) == ["acc", "loss", "val_acc", "val_loss"]
    assert all(np.array_equal(w.value, old) for w, old in zip(conv_base.weights, before, strict=True))
    loss, acc = model.evaluate_generator(generator(), steps=2)
    assert np.isfinite(loss) and 0 <= acc <= 1
    assert model.predict_generator(generator(), steps=2).shape == (8, 1)
    model.save(tmp_path / "cats_and_dogs_small.safetensors")
    again = tf.keras.models.load_model(tmp_path / "cats_and_dogs_small.safetensors")
    assert again.layers[2].get_config()["activation"] == "relu"
    assert isinstance(again.optimizer, tf.keras.optimizers.RMSprop) and again.optimizer.learning_rate == 2e-5


def test_the_unfreezing_loop():
    conv_base = small_base()
    model = book_model(conv_base)
    conv_base.trainable = False
    model.compile(loss="binary_crossentropy", optimizer=tf.keras.optimizers.RMSprop(lr=1e-5), metrics=["acc"])

    conv_base.trainable = True

    set_trainable = False
    for layer in conv_base.layers:
        if layer.name == "block5_conv1":
            set_trainable = True
        if set_trainable:
            layer.trainable = True
        else:
            layer.trainable = False

    names = [w.name for w in model.trainable_weights]
    assert len(names) == 10 and all(name.startswith("block5") for name in names[:6])
    x, y = np.random.default_rng(1).random((4, 24, 24, 3)), np.array([0, 1, 1, 0])
    before = {w.name: w.numpy() for w in conv_base.weights}
    model.train_on_batch(x, y)
    moved = [w.name for w in conv_base.weights if not np.array_equal(w.value, before[w.name])]
    assert moved and all(name.startswith("block5") for name in moved)


def test_the_models_that_grad_cam_looks_through():
    model = book_model(small_base())
    x = np.random.default_rng(2).random((1, 24, 24, 3))
    last_conv_layer = model.get_layer("vgg16").get_layer("block5_conv3")
    heatmap_model = tf.keras.models.Model([model.inputs], [last_conv_layer.output, model.output])
    conv_output, predictions = heatmap_model.predict(x, verbose=0)
    assert conv_output.shape == (1, 12, 12, 8)
    np.testing.assert_allclose(predictions, model.predict(x, verbose=0), rtol=1e-6)
    activations = tf.keras.Model(
        inputs=model.inputs, outputs=[layer.output for layer in model.get_layer("vgg16").layers[1:5]]
    )
    assert [a.shape[1:] for a in activations.predict(x, verbose=0)] == [(24, 24, 8)] * 3 + [(12, 12, 8)]


def test_modules_can_be_imported_by_their_full_names():
    assert importlib.import_module("cnnfast.compat.keras.layers").Dense is cnnfast.layers.Dense
    from cnnfast.compat.keras.datasets import mnist
    from cnnfast.compat.keras.models import Sequential
    from cnnfast.compat.keras.optimizers.schedules import ExponentialDecay
    from cnnfast.compat.keras.utils import to_categorical

    assert mnist.load_data is cnnfast.datasets.mnist.load_data and Sequential is keras.Sequential is cnnfast.Sequential
    assert ExponentialDecay is cnnfast.schedules.ExponentialDecay and to_categorical([1]).shape == (1, 2)
    assert tf.keras is keras and keras.__version__ == tf.__version__ == cnnfast.__version__
    assert tf.keras.callbacks.EarlyStopping is cnnfast.callbacks.EarlyStopping
    assert {"Dense", "Conv2D"} <= set(dir(tf.keras.layers))


@pytest.mark.parametrize("name", ["relu", "softmax", "sigmoid", "tanh", "elu", "selu", "leaky_relu", "gelu", "swish"])
def test_activations_as_objects_are_saved_by_name(name):
    layer = tf.keras.layers.Dense(3, activation=getattr(tf.nn, name))
    again = cnnfast.layers.deserialize(cnnfast.layers.serialize(layer))
    assert again.activation is layer.activation


def test_optimizers_take_the_arguments_of_keras_2():
    adam = tf.keras.optimizers.Adam(lr=0.1, decay=0.5)
    assert type(adam) is cnnfast.optimizers.Adam and isinstance(adam, tf.keras.optimizers.Adam)
    adam.iterations = 2
    assert adam.learning_rate == 0.05
    assert tf.keras.optimizers.SGD(0.5, momentum=0.9).learning_rate == 0.5
    assert not isinstance(adam, tf.keras.optimizers.SGD)
    with pytest.raises(TypeError, match="lr is the old name of learning_rate"):
        tf.keras.optimizers.SGD(learning_rate=0.1, lr=0.1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(tf.keras.optimizers.RMSprop, "mse")
    assert type(model.optimizer) is cnnfast.optimizers.RMSprop


def test_a_programs_own_optimizer_stays_what_it_is():
    class Still(tf.keras.optimizers.SGD):
        def _numbers(self, rate):
            return super()._numbers(0 * rate)

    still = Still(lr=0.1, momentum=0.5)
    assert type(still) is Still and still.lr == still.learning_rate == 0.1 and still.momentum == 0.5
    assert isinstance(still, tf.keras.optimizers.SGD) and isinstance(still, cnnfast.optimizers.SGD)
    assert not isinstance(tf.keras.optimizers.SGD(), Still)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(still, "mse")
    before = model.get_weights()
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    assert model.optimizer is still
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_images_in_folders_are_found_where_keras_2_had_them():
    found = tf.keras.preprocessing.image_dataset_from_directory
    assert found is tf.keras.utils.image_dataset_from_directory


def test_old_names_of_the_backend():
    keras.backend.clear_session()
    assert keras.layers.Dense(1).name == "dense" and keras.backend.image_data_format() == "channels_last"
    tf.random.set_seed(3)
    first = cnnfast.random.get_generator().random()
    tf.random.set_seed(3)
    assert cnnfast.random.get_generator().random() == first


@pytest.mark.parametrize(
    "name",
    ["GradientTape", "constant", "keras.layers.LSTM", "keras.mixed_precision", "nn.conv2d", "keras.backend.gradients"],
)
def test_what_cnnfast_has_not_is_said_plainly(name):
    where = tf
    *path, last = name.split(".")
    for part in path:
        where = getattr(where, part)
    with pytest.raises(AttributeError, match=rf"there is no tf\.{name} in cnnfast, which is for networks on images"):
        getattr(where, last)
    assert not hasattr(where, last)


def test_a_name_that_is_nearly_right_is_suggested():
    with pytest.raises(AttributeError, match=r"did you mean Conv2D\?"):
        _ = tf.keras.layers.Conv2d
