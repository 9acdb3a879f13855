"""`AugmentedDataset`: what training sees, what validation sees, and going on after an interruption."""

from __future__ import annotations

import numpy as np
import pytest

from cnnfast import Input, Sequential, callbacks, layers, random
from cnnfast.image import transforms as T
from cnnfast.image.transforms import AugmentedDataset
from cnnfast.utils import PyDataset
from tests.image.pictures import photos


@pytest.fixture
def data(rng):
    return photos(rng, 20, 12, 12), np.arange(20) % 3


def network(classes=3, loss="sparse_categorical_crossentropy"):
    random.set_seed(5)
    model = Sequential([Input((12, 12, 3)), layers.Rescaling(1 / 255), layers.Flatten()])
    model.add(layers.Dense(classes, "softmax"))
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def in_order(batches, dataset):
    """The images of an epoch by number of the sample."""
    images = [image for batch in batches for image in batch[0]]
    samples = np.concatenate([dataset.samples_of(i) for i in range(len(dataset))])
    return np.stack([images[i] for i in np.argsort(samples)])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_pixels_depend_on_seed_epoch_and_sample_alone(data, workers):
    dataset = AugmentedDataset(*data, "strong", batch_size=6, seed=9, workers=workers)
    for epoch in range(2):
        found = in_order(list(dataset), dataset)
        expected = T.get("strong")(data[0], seed=9, epoch=epoch).images
        np.testing.assert_array_equal(found, expected)
    other = AugmentedDataset(*data, "strong", batch_size=4, shuffle=False, seed=9)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in other]), T.get("strong")(data[0], seed=9).images)


def test_each_epoch_has_another_order_and_labels_stay_with_their_images(data):
    x, y = data
    dataset = AugmentedDataset(x, y, T.RandomFlip(p=0), batch_size=7, seed=1, sample_weight=np.arange(20))
    orders = []
    for _ in range(3):
        batches = list(dataset)
        assert [len(images) for images, *_ in batches] == [7, 7, 6]
        order = np.concatenate([weights for *_, weights in batches]).astype(int)
        assert sorted(order) == list(range(20))
        np.testing.assert_array_equal(np.concatenate([images for images, *_ in batches]), x[order])
        np.testing.assert_array_equal(np.concatenate([labels for _, labels, _ in batches]), y[order])
        orders.append(order.tolist())
    assert orders[0] != orders[1] != orders[2] != list(range(20))


def test_validation_sees_images_as_they_are(data):
    x, y = data
    model = network()
    dataset = AugmentedDataset(x, y, "strong", batch_size=5, seed=1)
    history = model.fit(dataset, validation_data=AugmentedDataset(x, y, "strong", batch_size=5), epochs=1, verbose=0)
    plain = model.evaluate(x, y, verbose=0, return_dict=True)
    assert history.history["val_loss"][0] == pytest.approx(plain["loss"], rel=1e-5)
    np.testing.assert_array_equal(model.predict(dataset, verbose=0), model.predict(x, batch_size=5, verbose=0))
    asked = AugmentedDataset(x, y, "strong", batch_size=5, seed=1, augment_inference=True)
    assert model.evaluate(asked, verbose=0)[0] != pytest.approx(plain["loss"], rel=1e-5)
    again = np.concatenate([images for images, _ in asked.for_inference()])
    np.testing.assert_array_equal(again, T.get("strong")(x, seed=1, epoch=1).images)  # the second time


def test_mixed_labels_train_and_plain_ones_validate_in_the_same_form(data):
    x, y = data
    mix = T.Compose([T.RandomFlip(), T.OneOf([T.MixUp(3), T.CutMix(3)])])
    dataset = AugmentedDataset(x, y, mix, batch_size=5, seed=1)
    labels = np.concatenate([labels for _, labels in dataset])
    assert labels.shape == (20, 3) and (labels.max(1) < 1).any()
    plain = np.concatenate([labels for _, labels in dataset.for_inference()])
    np.testing.assert_array_equal(plain, np.eye(3, dtype=np.float32)[y])
    model = network(loss="categorical_crossentropy")
    history = model.fit(dataset, validation_data=dataset, epochs=2, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()


class Stop(Exception):
    pass


@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_interrupted_training_goes_on_bit_for_bit(data, tmp_path, save_freq):
    def train(model, stop_at=None):
        seen = []

        def count(batch, logs):
            seen.append(batch)
            if len(seen) == stop_at:
                raise Stop

        model.fit(
            AugmentedDataset(*data, "standard", batch_size=4, seed=3, workers=2),
            epochs=4,
            verbose=0,
            callbacks=[
                callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq),
                callbacks.LambdaCallback(on_train_batch_end=count),
            ],
        )
        return model.get_weights()

    whole = train(network())
    with pytest.raises(Stop):
        train(network(), stop_at=13)
    rest = train(network())
    for a, b in zip(whole, rest, strict=True):
        assert a.tobytes() == b.tobytes()


class Inner(PyDataset):
    """Numbered batches, which may know their samples."""

    def __init__(self, x, y, numbered):
        super().__init__(workers=2)
        self.x, self.y, self.numbered, self.events = x, y, numbered, []

    def __len__(self):
        return 4

    def __getitem__(self, index):
        part = slice(5 * index, 5 * index + 5)
        return self.x[part], self.y[part], np.ones(5)

    def samples_of(self, index):
        return np.arange(5 * index, 5 * index + 5) if self.numbered else None

    def on_epoch_begin(self):
        self.events.append("begin")

    def on_epoch_end(self):
        self.events.append("end")

    def get_state(self):
        return {"events": len(self.events)}

    def set_state(self, state):
        self.events = ["restored"] * state["events"]


def test_any_data_set_can_be_augmented(data):
    x, y = data
    inner = Inner(x, y, numbered=True)
    dataset = AugmentedDataset(inner, transform="standard", seed=2)
    assert len(dataset) == 4 and dataset.workers == 2 and dataset.makes_ahead
    found = np.concatenate([images for images, _, weights in dataset if weights.all()])
    np.testing.assert_array_equal(found, T.get("standard")(x, seed=2).images)
    assert inner.events == ["begin", "end"]
    state = dataset.get_state()
    second = [images for images, *_ in dataset]
    again = AugmentedDataset(Inner(x, y, numbered=True), transform="standard", seed=2)
    again.set_state(state)
    np.testing.assert_array_equal(np.concatenate([images for images, *_ in again]), np.concatenate(second))
    assert again._data.events[:2] == ["restored"] * 2
    by_place = AugmentedDataset(Inner(x, y, numbered=False), transform="standard", seed=2)
    first, other = ([images for images, *_ in by_place] for _ in range(2))
    assert len({image.tobytes() for batch in first + other for image in batch}) == 40
    np.testing.assert_array_equal(np.concatenate([b[0] for b in dataset.for_inference()]), x)


def test_seed_comes_from_the_library_unless_given(data):
    random.set_seed(4)
    one = [images for images, _ in AugmentedDataset(*data, "light")]
    random.set_seed(4)
    same = [images for images, _ in AugmentedDataset(*data, "light")]
    other = [images for images, _ in AugmentedDataset(*data, "light")]
    np.testing.assert_array_equal(one, same)
    assert (one[0] != other[0]).any()


X = np.zeros((4, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: AugmentedDataset(X, np.zeros(3)), ValueError, "y must come for each of 4 images"),
        (lambda: AugmentedDataset(X, np.zeros(4), sample_weight=[1]), ValueError, "sample_weight must come for each"),
        (lambda: AugmentedDataset(X, transform=None), TypeError, "a transform is needed"),
        (lambda: AugmentedDataset(X, transform="weak"), ValueError, "unknown preset 'weak'"),
        (lambda: AugmentedDataset(X, transform=T.MixUp(2)), ValueError, "MixUp: labels are needed"),
        (lambda: AugmentedDataset(X, [0, 0, 0, 9], T.MixUp(2)), ValueError, "classes from 0 to 1"),
        (lambda: AugmentedDataset(X, transform=T.CenterCrop(9)), ValueError, "does not fit"),
        (lambda: AugmentedDataset(X[..., 0]), ValueError, r"images must be \(N, H, W, C\)"),
        (lambda: AugmentedDataset(X.astype(int)), TypeError, "images must be uint8 or floats"),
        (lambda: AugmentedDataset(X, batch_size=0), ValueError, "batch_size must be at least 1, got 0"),
        (lambda: AugmentedDataset(X, workers=-1), ValueError, "workers must be at least 0"),
        (lambda: AugmentedDataset(X)[1], IndexError, "there is no batch 1, there are 1"),
        (lambda: AugmentedDataset(Inner(X, X, True), np.zeros(4)), ValueError, "y is up to the data set Inner"),
        (lambda: AugmentedDataset(Inner(X, X, True), batch_size=3), ValueError, "batch_size is up to the data set"),
    ],
)
def test_misuse_is_refused_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()
