"""Features: what a frozen base computes from images, once for all the epochs in which a head is trained on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from cnnfast import layers
from cnnfast.formats.feature_files import digest_of, read_features, write_features
from cnnfast.graph.values import Spec
from cnnfast.layers.base import Layer
from cnnfast.models import Model, Sequential
from cnnfast.training.batches import Batch, Names, make_batch
from cnnfast.training.sources import is_arrays, make_source, whole_number
from cnnfast.utils import PyDataset

_POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
_PROBED_BATCHES = 3  # spread over the data
_PROBED = 4  # samples of each, whose features tell one network and one preparation of images from another
# What data sets and what they are made of call the settings of how they prepare images; an underscore may stand before.
_SETTINGS = (
    "image_shape", "image_size", "target_size", "color_mode", "interpolation", "fit", "keep_aspect_ratio", "dtype",
    "data_format", "channels_first", "rescale", "samplewise_center", "samplewise_std_normalization",
    "featurewise_center", "featurewise_std_normalization", "zca_whitening", "mean", "std",
)  # fmt: skip
_HOLDERS = ("reader", "image_data_generator")  # what in a data set has such settings too


class Features(NamedTuple):
    """What `FeatureExtractor.extract` gives; row i of each part belongs to the same sample.

    Attributes:
        features: float32 (N, ...).
        labels: as the data have them, or None.
        filenames: names of the files, or None if the data have none.
    """

    features: np.ndarray
    labels: np.ndarray | None
    filenames: list[str] | None


class FeatureExtractor:
    """Runs images through a base whose weights stay as they are, once, and keeps what comes out.

    A head that is trained on features instead of on images does not pay for the base in every epoch; `join` makes one
    model of both afterwards, which can be fine-tuned.

    Args:
        base: a built model of one input and one output, such as VGG16 without its top. What prepares the images (a
            `Rescaling`) may be its first layer. Whether it is trainable does not matter: it runs in inference mode.
        layer: name of the layer whose output is wanted, also one inside a nested model; by default the base's output.
        pooling: "avg" or "max" over rows and columns, (N, H, W, C) to (N, C); None for the whole.

    Attributes:
        model: from images to features.

    Raises:
        TypeError: no model. ValueError: a base without inputs, an unknown layer or pooling, one that does not fit.

    Example:
        >>> base = Sequential([Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu")], name="base")
        >>> extractor = FeatureExtractor(base, pooling="avg")
        >>> images, labels = np.zeros((10, 8, 8, 3), np.uint8), np.arange(10) % 2
        >>> features, labels, _ = extractor.extract((images, labels))
        >>> features.shape
        (10, 4)
        >>> head = Sequential([Input((4,)), layers.Dense(1, activation="sigmoid")])
        >>> head.compile("adam", "binary_crossentropy")
        >>> history = head.fit(features, labels, verbose=0)
        >>> extractor.join(head).predict(images, verbose=0).shape
        (10, 1)
    """

    def __init__(self, base: Model, layer: str | None = None, pooling: str | None = None):
        if not isinstance(base, Model):
            raise TypeError(f"FeatureExtractor: base must be a model, got {type(base).__name__}")
        if pooling is not None and pooling not in _POOLINGS:
            raise ValueError(f"FeatureExtractor: pooling must be None, 'avg' or 'max', got {pooling!r}")
        if len(base.inputs) != 1:
            raise ValueError(
                f"FeatureExtractor: {base.name} has {len(base.inputs)} inputs, one is needed; a Sequential needs an "
                "input shape"
            )
        if layer is None and len(base.outputs) != 1:
            raise ValueError(f"FeatureExtractor: {base.name} has {len(base.outputs)} outputs; name the layer")
        self._base = base if layer is None else Model(base.inputs[0], _layer(base, layer).output, name=base.name)
        self._pooling = None if pooling is None else _POOLINGS[pooling]()
        output = self._base.outputs[0]
        if pooling is not None and output.ndim != 4:
            raise ValueError(f"FeatureExtractor: pooling={pooling!r} needs an output (N,H,W,C), got {output.shape}")
        self.model = self._base if self._pooling is None else Model(base.inputs[0], self._pooling(output))

    def extract(
        self,
        data: Any,
        path: str | os.PathLike[str] | None = None,
        *,
        augmented_passes: int | None = None,
        batch_size: int | None = None,
        steps: int | None = None,
    ) -> Features:
        """The features of all samples.

        Rows are in the order of the data set's files, whatever it shuffles, and of what other data give. A data set
        that augments gives its images as they are (`for_inference`) unless augmented passes are asked for.

        Args:
            data: images (N, ...), (images, labels), a `PyDataset` of batches, or any iterable of batches.
            path: a folder that keeps features. They are found there again as long as weights, files (names, sizes,
                times of change), labels and the preparation of the images are the same: to tell, the settings that
                data sets of this package have are compared, and a few images from all over the data are run. A file
                there that is damaged or holds anything else is not believed. Only for arrays and data with
                `file_paths` or `filenames`.
            augmented_passes: how many times to go through data that augment, each time augmented anew; the passes
                follow each other in the result. They are found again only if the augmentation has a seed.
            batch_size: images run at once, for arrays; default 32.
            steps: batches to take, for an iterable without end.

        Raises:
            TypeError, ValueError: data that do not fit. OSError: the folder cannot be written.
        """
        if augmented_passes is not None:
            whole_number("extract", "augmented_passes", augmented_passes)
            if not isinstance(data, PyDataset):
                raise ValueError(f"extract: augmented_passes need a PyDataset that augments, got {type(data).__name__}")
        elif isinstance(data, PyDataset):
            data = data.for_inference()
        passes = augmented_passes or 1
        names = _names_of(data)
        if path is None:
            return self._run(data, passes, names, batch_size, steps)
        if steps is not None:
            raise ValueError("extract: path keeps the features of all data; leave out steps")
        if os.path.exists(path) and not os.path.isdir(path):
            raise ValueError(f"extract: path must be a folder, {os.fspath(path)!r} is a file")
        key, wanted = self._key(data, passes)
        kept = read_features(path, key, wanted)
        if kept is not None:
            return Features(kept["features"], kept.get("labels"), None if names is None else names * passes)
        found = self._run(data, passes, names, batch_size, steps)
        arrays = {"features": found.features} | ({} if found.labels is None else {"labels": found.labels})
        write_features(path, key, arrays)
        return found

    def join(self, head: Layer, *, training: bool | None = False, name: str | None = None) -> Model:
        """One model from images to what the head makes of their features, with the weights of both.

        Args:
            head: a model or layer that takes the features. The layers of a `Sequential` become layers of the model.
            training: False: the base's batch normalization keeps its statistics, and its dropout does nothing, even
                when it is unfrozen for fine-tuning. None: as the whole model.
            name: of the model.

        Raises:
            ValueError: the head does not take such features, or a name is there twice.
        """
        x = inputs = layers.Input(batch_shape=self._base.inputs[0].shape, dtype=self._base.inputs[0].dtype)
        x = self._base(x, training=training)
        tops = head.layers if isinstance(head, Sequential) else [head]
        for layer in [*([] if self._pooling is None else [self._pooling]), *tops]:
            x = layer(x)
        return Model(inputs, x, name=name)

    # Running

    def _run(
        self, data: Any, passes: int, names: list[str] | None, batch_size: int | None, steps: int | None
    ) -> Features:
        features, labels = _Rows(), _Rows()
        for _ in range(passes):
            for batch in _batches(data, self.model, batch_size, steps):
                features.add(self.model._engine.predict(batch.xs)[0], batch.samples)
                if batch.ys is not None:
                    labels.add(batch.ys[0], batch.samples)
            features.end_pass()
            labels.end_pass()
        found = features.all()
        if found is None:
            raise ValueError("extract: there was no batch")
        return Features(found, labels.all(), None if names is None else names * passes)

    def _key(self, data: Any, passes: int) -> tuple[str, dict[str, Spec]]:
        """What features depend on, as a number, and the types and shapes that they and the labels must have."""
        count, identity = _identity(data)
        parts = [passes, count, *self.model.get_weights(), *_settings(data), *identity]
        for batch in _probed_batches(data, self.model):
            probe = batch.part(slice(0, _PROBED))
            (features,) = self.model._engine.predict(probe.xs)
            parts += [*probe.xs, features, *(probe.ys or [])]
        wanted = {"features": Spec((passes * count, *features.shape[1:]))}
        if batch.ys is not None:
            wanted["labels"] = Spec((passes * count, *batch.ys[0].shape[1:]), batch.ys[0].dtype.name)
        return digest_of(parts), wanted


class _Rows:
    """Gathers the rows of batches, at their samples' numbers where these are known."""

    def __init__(self) -> None:
        self._passes: list[np.ndarray] = []
        self._parts: list[np.ndarray] = []
        self._samples: list[np.ndarray] = []

    def add(self, rows: np.ndarray, samples: np.ndarray | None) -> None:
        self._parts.append(rows)
        if samples is not None:
            self._samples.append(samples)

    def end_pass(self) -> None:
        if not self._parts:
            return
        rows = np.concatenate(self._parts)
        if self._samples:
            ordered = np.empty_like(rows)
            ordered[np.concatenate(self._samples)] = rows
            rows = ordered
        self._passes.append(rows)
        self._parts, self._samples = [], []

    def all(self) -> np.ndarray | None:
        if not self._passes:
            return None
        return self._passes[0] if len(self._passes) == 1 else np.concatenate(self._passes)


def _batches(data: Any, model: Model, batch_size: int | None, steps: int | None) -> Iterator[Batch]:
    """The batches of one pass; a data set's are what it gives to training, whatever that is."""
    x, y = data if isinstance(data, tuple) and len(data) == 2 else (data, None)
    names = Names(model.input_names, ["labels"])
    return islice(make_source("extract", x, y, names=names, batch_size=batch_size, training=True).begin(), steps)


def _probed_batches(data: Any, model: Model) -> list[Batch]:
    """Some batches of data that can be gone through again; of arrays the first, as they are compared as a whole."""
    if not isinstance(data, PyDataset):
        return [next(_batches(data, model, None, None))]
    numbers = sorted({round(i) for i in np.linspace(0, len(data) - 1, _PROBED_BATCHES)})
    return [make_batch("extract", data[i], Names(model.input_names, ["labels"])) for i in numbers]


def _settings(data: Any) -> list[Any]:
    """How a data set prepares images, as far as it says so."""
    holders = [data, *(found for name in _HOLDERS if (found := _either(data, name)) is not None)]
    found = [(name, _either(holder, name)) for holder in holders for name in _SETTINGS]
    parts: list[Any] = []
    for name, value in found:
        if isinstance(value, (str, int, float, tuple)):  # a method may be called so as well
            parts += [name, repr(value)]
        elif isinstance(value, np.ndarray):
            parts += [name, value]
    return parts


def _either(holder: Any, name: str) -> Any:
    """An attribute of this name, or of the same with an underscore before it."""
    return getattr(holder, name, getattr(holder, f"_{name}", None))


def _names_of(data: Any) -> list[str] | None:
    """The names of a data set's files, as it calls them itself."""
    names = getattr(data, "filenames", None)
    if names is None:
        names = getattr(data, "file_paths", None)
    return None if names is None else [os.fspath(name) for name in names]


def _identity(data: Any) -> tuple[int, list[Any]]:
    """The number of samples, and what changes when any of them does.

    Raises:
        ValueError: nobody can tell without going through the data.
    """
    if isinstance(data, tuple) or is_arrays(data):
        arrays = [np.asarray(part) for part in (data if isinstance(data, tuple) else (data,)) if part is not None]
        return len(arrays[0]), arrays
    paths = getattr(data, "file_paths", None)
    if paths is None:
        paths = getattr(data, "filepaths", None)  # as Keras' iterators call them
    if paths is None:
        raise ValueError(
            f"extract: path needs arrays or data with file_paths, to tell whether they have changed; "
            f"{type(data).__name__} has none"
        )
    parts: list[Any] = []
    for file in paths:
        state = os.stat(file)
        parts += [os.path.basename(file), state.st_size, state.st_mtime_ns]
    labels = getattr(data, "labels", None)
    return len(paths), [*parts, np.asarray(labels if labels is not None else [])]


def _layer(base: Model, name: str) -> Layer:
    """The layer of that name, in the model or in one inside it."""
    found = {id(v): v for v in base.all_layers() if v.name == name and v is not base}
    if len(found) != 1:
        count = "no layer is" if not found else f"{len(found)} layers are"
        raise ValueError(f"FeatureExtractor: {count} named {name!r} in {base.name}")
    return next(iter(found.values()))
