"""Features of a frozen base: aligned with their samples, found again only while nothing has changed."""

from __future__ import annotations

import os

import numpy as np
import pytest

import cnnfast
from cnnfast import Input, Model, Sequential, layers
from cnnfast.features import FeatureExtractor
from cnnfast.utils import PyDataset

IMAGE = (8, 8, 3)


def base_network(name="base"):
    x = inputs = Input(IMAGE)
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(4, 3, name="conv1")(x)
    x = layers.BatchNormalization(name="norm1")(x)
    x = layers.ReLU(name="relu1")(x)
    return Model(inputs, layers.MaxPooling2D(2, name="pool1")(x), name=name)


def images(n=10, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *IMAGE)).astype(np.uint8)


class Files(PyDataset):
    """Images of files, shuffled and, for training, made brighter."""

    def __init__(self, folder, n=10, brighter=False, seed=3):
        super().__init__()
        self.file_paths, self.brighter, self.seed, self.epoch = [], brighter, seed, 0
        for i in range(n):
            path = folder / f"{i}.npy"
            if not path.exists():
                np.save(path, images(1, seed=i)[0])
            self.file_paths.append(str(path))
        self.labels = np.arange(n) % 3
        self.calls = 0
        self.on_epoch_begin()

    def on_epoch_begin(self):
        rng = np.random.default_rng((self.seed, self.epoch))
        self.order, self.light = rng.permutation(len(self.labels)), rng.integers(1, 50, len(self.labels))

    def on_epoch_end(self):
        self.epoch += 1

    def samples_of(self, index):
        return self.order[4 * index : 4 * index + 4]

    def __len__(self):
        return -(-len(self.labels) // 4)

    def __getitem__(self, index):
        self.calls += 1
        samples = self.samples_of(index)
        x = np.stack([np.load(self.file_paths[i]) for i in samples]).astype(np.float32)
        return x + (self.light[samples, None, None, None] if self.brighter else 0), self.labels[samples]


def test_features_of_arrays_are_what_the_base_predicts():
    base, x, y = base_network(), images(), np.arange(10)
    features, labels, filenames = FeatureExtractor(base).extract((x, y), batch_size=3)
    np.testing.assert_array_equal(features, base.predict(x, verbose=0))
    assert labels.tolist() == y.tolist() and filenames is None
    assert FeatureExtractor(base).extract(x).labels is None


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_another_layer_and_pooling(pooling):
    base, x = base_network(), images()
    nested = Sequential([base, layers.Flatten()])
    wanted = Model(base.inputs, base.get_layer("norm1").output).predict(x, verbose=0)
    wanted = wanted.mean((1, 2)) if pooling == "avg" else wanted.max((1, 2))
    for model in (base, nested):
        found = FeatureExtractor(model, layer="norm1", pooling=pooling).extract(x).features
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_rows_stand_in_the_order_of_the_files_whatever_was_shuffled(tmp_path):
    data, extractor = Files(tmp_path), FeatureExtractor(base_network())
    features, labels, filenames = extractor.extract(data)
    alone = np.concatenate([extractor.extract(np.load(f)[None]).features for f in data.file_paths])
    np.testing.assert_allclose(features, alone, rtol=1e-6, atol=1e-7)
    assert labels.tolist() == data.labels.tolist() and filenames == data.file_paths


def test_augmented_passes_follow_each_other(tmp_path):
    data, extractor = Files(tmp_path, brighter=True), FeatureExtractor(base_network())
    features, labels, filenames = extractor.extract(data, augmented_passes=3)
    assert features.shape[0] == 30 and filenames == data.file_paths * 3
    assert labels.tolist() == data.labels.tolist() * 3
    passes = features.reshape(3, 10, *features.shape[1:])
    assert len({p.tobytes() for p in passes}) == 3


def test_features_are_found_again_as_long_as_nothing_has_changed(tmp_path):
    base, files = base_network(), tmp_path / "files"
    files.mkdir()
    kept = tmp_path / "kept"

    def batches_read(**options):
        data = Files(files, **options)
        found = FeatureExtractor(base).extract(data, kept)
        np.testing.assert_array_equal(found.features, FeatureExtractor(base).extract(Files(files, **options)).features)
        assert found.labels.tolist() == data.labels.tolist() and found.filenames == data.file_paths
        return data.calls

    everything, glance = 6, 3  # three batches, each of them probed as the set is so small
    assert batches_read() == everything
    assert batches_read() == glance
    base.get_layer("conv1").kernel.assign(1.5 * base.get_layer("conv1").kernel.numpy())
    assert batches_read() == everything
    assert batches_read() == glance
    assert batches_read(brighter=True) == everything  # other images of the same files
    assert batches_read() == glance
    os.utime(files / "7.npy", ns=(1, 1))
    assert batches_read() == everything
    np.save(files / "7.npy", images(1, seed=70)[0])
    assert batches_read() == everything
    assert len(list(kept.iterdir())) == 5


@pytest.mark.parametrize("odd", [9, 31])  # the number of the only image that shows the change
def test_another_preparation_is_another_set_though_most_images_do_not_show_it(tmp_path, odd):
    from cnnfast.image.dataset import ImageDataset
    from cnnfast.image.decode import save_img
    from cnnfast.preprocessing.image import ImageDataGenerator

    rng, paths = np.random.default_rng(0), []
    (tmp_path / "photos" / "a").mkdir(parents=True)
    for i in range(40):
        paths.append(tmp_path / "photos" / "a" / f"{i:02}.png")
        save_img(paths[-1], rng.integers(0, 256, (8, 16 if i == odd else 8, 3)).astype(np.uint8), scale=False)
    extractor = FeatureExtractor(base_network(), pooling="avg")

    def files(**options):
        return ImageDataset(paths, [0] * 40, image_size=(8, 8), batch_size=8, **options)

    def iterator(**options):
        options = {"target_size": (8, 8), "batch_size": 8, "class_mode": None, "shuffle": False} | options
        return ImageDataGenerator().flow_from_directory(str(tmp_path / "photos"), **options)

    for make, option in (
        (files, {"crop_to_aspect_ratio": True}),
        (files, {"interpolation": "nearest"}),
        (iterator, {"keep_aspect_ratio": True}),
    ):
        plain = extractor.extract(make(), tmp_path / "kept").features
        other = extractor.extract(make(**option), tmp_path / "kept").features
        np.testing.assert_array_equal(other, extractor.extract(make(**option)).features)
        assert not np.array_equal(plain, other)
    assert len(list((tmp_path / "kept").iterdir())) == 5


def test_another_network_with_the_same_weights_has_features_of_its_own(tmp_path):
    x = images()
    for strides in (1, 2):
        cnnfast.utils.set_random_seed(1)
        base = Sequential([Input(IMAGE), layers.Conv2D(4, 3, strides=strides)])
        found = FeatureExtractor(base, pooling="avg").extract(x, tmp_path).features
        np.testing.assert_array_equal(found, FeatureExtractor(base, pooling="avg").extract(x).features)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "a bit", "text", "another key", "a model"])
def test_a_file_that_is_damaged_or_foreign_is_not_believed(tmp_path, damage):
    base, x, y = base_network(), images(), np.arange(10)
    wanted = FeatureExtractor(base).extract((x, y), tmp_path).features
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(content[:-100])
    elif damage == "a bit":
        path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    elif damage == "text":
        path.write_text("features")
    elif damage == "another key":
        FeatureExtractor(base).extract((255 - x, y), tmp_path / "other")
        (other,) = (tmp_path / "other").iterdir()
        path.write_bytes(other.read_bytes())
    else:
        base.save(path)
    found = FeatureExtractor(base).extract((x, y), tmp_path)
    np.testing.assert_array_equal(found.features, wanted)
    assert found.labels.tolist() == y.tolist()
    assert path.read_bytes() == content  # repaired


def test_a_head_that_was_trained_on_features_and_its_base_are_one_model():
    base, x, y = base_network(), images(16), np.arange(16) % 2
    extractor = FeatureExtractor(base)
    features, labels, _ = extractor.extract((x, y))
    head = Sequential([Input(features.shape[1:]), layers.Flatten(), layers.Dense(1, activation="sigmoid", name="top")])
    head.compile(cnnfast.optimizers.RMSprop(1e-2), "binary_crossentropy", metrics=["acc"])
    head.fit(features, labels, epochs=3, verbose=0)
    model = extractor.join(head)
    np.testing.assert_allclose(model.predict(x, verbose=0), head.predict(features, verbose=0), rtol=1e-6)
    assert model.get_layer("base") is base and model.get_layer("top") is head.layers[-1]
    model.compile(cnnfast.optimizers.RMSprop(1e-3), "binary_crossentropy")
    moving = base.get_layer("norm1").moving_mean.numpy()
    kernel = base.get_layer("conv1").kernel.numpy()
    model.train_on_batch(x, y)
    assert not np.array_equal(base.get_layer("conv1").kernel.value, kernel)
    np.testing.assert_array_equal(base.get_layer("norm1").moving_mean.value, moving)
    pooled = FeatureExtractor(base, pooling="avg")
    joined = pooled.join(layers.Dense(3))
    assert joined.output_shape == (None, 3)


def test_batches_of_any_iterable_and_of_one_without_end():
    base, x = base_network(), images(12)

    def forever():
        while True:
            yield x[:4], np.zeros(4)
            yield x[4:8], np.ones(4)

    features, labels, _ = FeatureExtractor(base).extract(forever(), steps=3)
    np.testing.assert_array_equal(features[:8], base.predict(x[:8], batch_size=4, verbose=0))
    assert labels.tolist() == [0] * 4 + [1] * 4 + [0] * 4


def test_what_cannot_be_is_refused(tmp_path):
    base, x = base_network(), images()
    with pytest.raises(TypeError, match="base must be a model, got str"):
        FeatureExtractor("vgg16")
    with pytest.raises(ValueError, match="pooling must be None, 'avg' or 'max', got 'mean'"):
        FeatureExtractor(base, pooling="mean")
    with pytest.raises(ValueError, match="no layer is named 'block5' in base"):
        FeatureExtractor(base, layer="block5")
    with pytest.raises(ValueError, match="has 0 inputs"):
        FeatureExtractor(Sequential([layers.Dense(2)], name="late"))
    with pytest.raises(ValueError, match="needs an output"):
        FeatureExtractor(Sequential([Input((4,)), layers.Dense(2)]), pooling="avg")
    extractor = FeatureExtractor(base)
    with pytest.raises(ValueError, match="path needs arrays or data with file_paths"):
        extractor.extract(iter([(x, x[:, 0, 0, 0])]), tmp_path / "kept")
    with pytest.raises(ValueError, match="augmented_passes need a PyDataset"):
        extractor.extract(x, augmented_passes=2)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="path must be a folder"):
        extractor.extract(x, tmp_path / "file")
    with pytest.raises(ValueError, match="there was no batch"):
        extractor.extract(iter([]))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def photos(tmp_path):
    """Folders of two classes, whose file names and pixels tell the sample."""
    from cnnfast.image.decode import save_img

    for i in range(9):
        folder = tmp_path / "photos" / ("cats" if i % 3 else "dogs")
        folder.mkdir(parents=True, exist_ok=True)
        save_img(folder / f"{i}.png", np.full((8, 8, 3), 25 * i), scale=False)
    return tmp_path / "photos"


@pytest.mark.parametrize("kind", ["dataset", "iterator"])
def test_features_of_a_folder_belong_to_its_files(photos, tmp_path, kind):
    from cnnfast.image import image_dataset_from_directory
    from cnnfast.preprocessing.image import ImageDataGenerator

    base = Sequential([Input(IMAGE), layers.Rescaling(1 / 255)])
    extractor = FeatureExtractor(base, pooling="avg")

    def data(brightness=None):
        if kind == "dataset":
            dim = None if brightness is None else (lambda images, **_: images // 2)
            return image_dataset_from_directory(photos, image_size=(8, 8), batch_size=4, seed=1, augment=dim)
        made = ImageDataGenerator(rescale=0.5 if brightness else None)
        return made.flow_from_directory(photos, target_size=(8, 8), batch_size=4, class_mode="sparse", seed=1)

    for _ in range(2):  # computed, then found
        features, labels, filenames = extractor.extract(data(), tmp_path / "kept")
        numbers = [int(os.path.basename(f).split(".")[0]) for f in filenames]
        np.testing.assert_allclose(features[:, 0], 25 * np.array(numbers) / 255, rtol=1e-6)
        assert labels.tolist() == [int(n % 3 == 0) for n in numbers]
    assert len(list((tmp_path / "kept").iterdir())) == 1
    dimmed = extractor.extract(data(0.5), tmp_path / "kept", augmented_passes=2)
    numbers = [int(os.path.basename(f).split(".")[0]) for f in dimmed.filenames]
    assert len(numbers) == 18
    np.testing.assert_allclose(dimmed.features[:, 0], 12.5 * np.array(numbers) / 255, atol=0.6 / 255)
    np.testing.assert_array_equal(extractor.extract(data(0.5), tmp_path / "kept", augmented_passes=2)[0], dimmed[0])
    assert len(list((tmp_path / "kept").iterdir())) == 2
