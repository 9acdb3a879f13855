"""The book's lesson on small data, its four snippets one after the other, as they stand there.

Sizes are smaller than in the book where a constant says so.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import cnnfast.compat as tf
from cnnfast.image.decode import array_to_img

STEPS, EPOCHS, BATCH = 3, 2, 4
SIZE = (32, 32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """train/ and validation/, each with cats/ (dark) and dogs/ (bright)."""
    root = tmp_path_factory.mktemp("cats_and_dogs_small")
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("validation", 4)):
        for kind, light in (("cats", 60), ("dogs", 190)):
            (root / part / kind).mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(light, 20, (60, 50, 3)), 0, 255)
                array_to_img(pixels, scale=False).save(root / part / kind / f"{kind[:-1]}.{i}.png")
    return str(root / "train"), str(root / "validation")


def generators(folders):
    train_dir, validation_dir = folders
    with pytest.warns(UserWarning, match="shear"):  # the book's 0.2 are degrees, and were meant as radians
        train_datagen = tf.keras.preprocessing.image.ImageDataGenerator(
            rescale=1.0 / 255,
            rotation_range=40,
            width_shift_range=0.2,
            height_shift_range=0.2,
            shear_range=0.2,
            zoom_range=0.2,
            horizontal_flip=True,
            fill_mode="nearest",
        )
    test_datagen = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1.0 / 255)
    train_generator = train_datagen.flow_from_directory(
        train_dir, target_size=SIZE, batch_size=BATCH, class_mode="binary"
    )
    validation_generator = test_datagen.flow_from_directory(
        validation_dir, target_size=SIZE, batch_size=BATCH, class_mode="binary"
    )
    return train_generator, validation_generator


def fit(model, train_generator, validation_generator):
    history = model.fit_generator(
        train_generator,
        steps_per_epoch=STEPS,
        epochs=EPOCHS,
        validation_data=validation_generator,
        validation_steps=2,
        verbose=0,
    )
    acc = history.history["acc"]
    val_acc = history.history["val_acc"]
    loss = history.history["loss"]
    val_loss = history.history["val_loss"]
    assert len(acc) == len(val_acc) == len(loss) == len(val_loss) == EPOCHS
    assert np.isfinite(loss).all() and np.isfinite(val_loss).all()


def test_augmentation_a_base_and_fine_tuning_as_in_the_book(folders, capsys):
    train_generator, validation_generator = generators(folders)
    assert train_generator.class_indices == {"cats": 0, "dogs": 1}
    for data_batch, labels_batch in train_generator:
        assert data_batch.shape == (BATCH, *SIZE, 3) and data_batch.max() <= 1 and labels_batch.shape == (BATCH,)
        break

    conv_base = tf.keras.applications.VGG16(weights=None, include_top=False, input_shape=(*SIZE, 3))
    conv_base.summary()
    assert "block5_conv1" in capsys.readouterr().out

    model = tf.keras.models.Sequential()
    model.add(conv_base)
    model.add(tf.keras.layers.Flatten())
    model.add(tf.keras.layers.Dense(256, activation=tf.nn.relu))
    model.add(tf.keras.layers.Dense(1, activation=tf.nn.sigmoid))
    assert len(model.trainable_weights) == 30  # as the book prints
    conv_base.trainable = False
    assert len(model.trainable_weights) == 4

    model.compile(loss="binary_crossentropy", optimizer=tf.keras.optimizers.RMSprop(lr=2e-5), metrics=["acc"])
    before = [w.numpy() for w in conv_base.weights]
    fit(model, train_generator, validation_generator)
    assert all(np.array_equal(w.value, old) for w, old in zip(conv_base.weights, before, strict=True))

    conv_base.trainable = True

    set_trainable = False
    for layer in conv_base.layers:
        if layer.name == "block5_conv1":
            set_trainable = True
        if set_trainable:
            layer.trainable = True
        else:
            layer.trainable = False

    model.compile(loss="binary_crossentropy", optimizer=tf.keras.optimizers.RMSprop(lr=1e-5), metrics=["acc"])
    fit(model, train_generator, validation_generator)
    moved = {
        w.name.split("_")[0]
        for w, old in zip(conv_base.weights, before, strict=True)
        if not np.array_equal(w.value, old)
    }
    assert moved == {"block5"}

    last_conv_layer = model.get_layer("vgg16").get_layer("block5_conv3")
    heatmap_model = tf.keras.models.Model([model.inputs], [last_conv_layer.output, model.output])
    x = next(validation_generator)[0]
    conv_output, predictions = heatmap_model.predict(x, verbose=0)
    assert conv_output.shape == (len(x), 2, 2, 512)
    np.testing.assert_allclose(predictions, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    loss, acc = model.evaluate_generator(validation_generator, steps=2)
    assert np.isfinite(loss) and 0 <= acc <= 1


@pytest.mark.slow
def test_the_books_head_on_real_weights_tells_cats_from_dogs():
    """Features of a few real photos, a head trained on them, and the joined model on others."""
    root = os.environ.get("CNNFAST_TEST_DATA")
    if not root:
        pytest.skip("CNNFAST_TEST_DATA is not set")
    from cnnfast.features import FeatureExtractor
    from cnnfast.layers.preprocessing import Preprocess

    conv_base = tf.keras.applications.VGG16(
        weights=str(Path(root) / "weights" / "vgg16_notop_torchvision_fp16.npz"),
        include_top=False,
        input_shape=(150, 150, 3),
    )
    base = tf.keras.models.Sequential([Preprocess(conv_base.preprocessing, input_shape=(150, 150, 3)), conv_base])
    plain = tf.keras.preprocessing.image.ImageDataGenerator()
    found = []
    for part, count in (("train", 64), ("validation", 40)):
        flow = plain.flow_from_directory(
            Path(root) / "cats_and_dogs_small" / part, target_size=(150, 150), batch_size=8, class_mode="binary", seed=1
        )
        found.append(FeatureExtractor(base, pooling="avg").extract(iter(flow), steps=count // 8))
    (train, y, _), (held_out, held_y, _) = found
    head = tf.keras.models.Sequential([tf.keras.layers.Dense(1, activation=tf.nn.sigmoid, input_shape=(512,))])
    head.compile(tf.keras.optimizers.RMSprop(lr=1e-3), "binary_crossentropy", metrics=["acc"])
    head.fit(train, y, epochs=30, batch_size=16, verbose=0)
    assert head.evaluate(held_out, held_y, verbose=0)[1] >= 0.9
