"""`ImageDataGenerator`: random transforms and standardisation of images, with Keras' arguments."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnfast import random
from cnnfast.image import parameters
from cnnfast.image.intensity import brighten, shift_channels
from cnnfast.image.keras_affine import apply_affine, scaled
from cnnfast.image.parameters import COMPAT, DRAWS, KERAS, OP, Transforms
from cnnfast.image.pixels import to_dtype
from cnnfast.image.standardize import Standardization
from cnnfast.image.streams import sample_rng, uniforms

if TYPE_CHECKING:
    from cnnfast.image.file_iterators import DataFrameIterator, DirectoryIterator
    from cnnfast.image.iterators import NumpyArrayIterator

FILL_MODES = ("constant", "nearest", "reflect", "wrap")
_DTYPES = ("float16", "float32", "float64", "uint8")


class ImageDataGenerator(Standardization):
    """Makes batches of images that are transformed at random, a little differently each time, and standardised.

    Per image, in this order: affine transform (rotation, shift, shear, zoom), channel shift, flips, brightness,
    `preprocessing_function`, `rescale`, sample's mean and standard deviation, those of the training images, whitening.

    Everything random in a sample comes from a stream of its own, keyed by seed, epoch and sample (`sample_rng`), and
    each parameter has its place there. So the same pixels come out for any number of threads and any order of access;
    and two generators whose flows have the same seed move their images alike, whatever else they do: that is how masks
    take the transforms of their images.

    Args:
        featurewise_center: subtract the mean of the training images, by channel; needs `fit`.
        samplewise_center: subtract each image's own mean.
        featurewise_std_normalization: divide by the training images' standard deviation; needs `fit`.
        samplewise_std_normalization: divide by each image's own standard deviation.
        zca_whitening: make pixels uncorrelated over the training images; needs `fit`. For small images: the matrix has
            (H*W*C) squared entries.
        zca_epsilon: added to the singular values in whitening.
        rotation_range: degrees; rotates by up to as much either way.
        width_shift_range, height_shift_range: a float below 1: shifts by up to this fraction of the size either way;
            a float of at least 1: by up to as many pixels; an int n: by a whole number of pixels below n; a sequence:
            by one of its numbers, with a random sign.
        brightness_range: smallest and largest factor, as (0.5, 1.5). For images of values from 0 to 255.
        shear_range: degrees; leans by up to as much either way.
        zoom_range: smallest and largest factor, or z for (1 - z, 1 + z), drawn for rows and columns each. A factor
            above 1 makes things smaller.
        channel_shift_range: adds a number of up to as much either way to all channels; values stay in the range that
            the image had.
        fill_mode: what lies outside the image: "nearest" (its edge), "constant" (`cval`), "reflect" or "wrap".
        cval: for "constant".
        horizontal_flip, vertical_flip: mirror every other image, at random.
        rescale: factor, as 1 / 255; None or 0: none.
        preprocessing_function: gets an image (H, W, C) and returns one of its shape; called from several threads.
        data_format: "channels_last" (None means it), or "channels_first" for images and batches (N, C, H, W).
        validation_split: fraction of the samples, the first ones (of each class, with folders), that
            ``subset="validation"`` takes and ``subset="training"`` leaves.
        interpolation_order: of the splines: 0 nearest, 1 linear, 3 cubic, up to 5.
        dtype: of the batches: "float32", "float64", "float16" or "uint8". Transforms compute in single precision.
        compat: "fixed": what Keras' documentation promises. "keras3": what today's Keras (since 2.9) does, to the pixel
            and drawn from `np.random` in its order. "keras2": what Keras 2.1.3 to 2.8 did. See docs/augmentation.md.

    Raises:
        TypeError, ValueError: arguments that do not fit.

    Validation is never augmented unless asked: with "fixed", a flow gives images as they are, in the order of the
    files, in `evaluate`, `predict` and as validation data of `fit`, and always for ``subset="validation"``;
    ``augment=True`` in the flow asks for it.

    Example:
        >>> generator = ImageDataGenerator(rotation_range=40, zoom_range=0.2, horizontal_flip=True, rescale=1 / 255)
        >>> images, labels = np.zeros((10, 8, 8, 3), np.uint8), np.arange(10)
        >>> x_batch, y_batch = next(generator.flow(images, labels, batch_size=4, seed=1))
        >>> x_batch.shape, x_batch.dtype, y_batch.shape
        ((4, 8, 8, 3), dtype('float32'), (4,))
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: float | Sequence[float] = 0.0,
        height_shift_range: float | Sequence[float] = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], np.ndarray] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
        compat: str = "fixed",
    ):
        self.compat = _one_of("compat", compat, COMPAT)
        self.data_format = _one_of("data_format", data_format or "channels_last", ("channels_last", "channels_first"))
        super().__init__(
            featurewise_center,
            samplewise_center,
            featurewise_std_normalization,
            samplewise_std_normalization,
            zca_whitening,
            zca_epsilon,
            rescale,
            preprocessing_function,
        )
        self.rotation_range = parameters.number("rotation_range", rotation_range)
        self.width_shift_range = parameters.shift_range("width_shift_range", width_shift_range)
        self.height_shift_range = parameters.shift_range("height_shift_range", height_shift_range)
        self.brightness_range = (
            None if brightness_range is None else parameters.pair("brightness_range", brightness_range)
        )
        self.shear_range = parameters.number("shear_range", shear_range)
        self.zoom_range = parameters.zoom_range(zoom_range, compat)
        self.channel_shift_range = parameters.number("channel_shift_range", channel_shift_range)
        self.fill_mode = _one_of("fill_mode", fill_mode, FILL_MODES)
        self.cval = parameters.number("cval", cval)
        self.horizontal_flip, self.vertical_flip = bool(horizontal_flip), bool(vertical_flip)
        self.interpolation_order = parameters.whole("interpolation_order", interpolation_order, 0, 5)
        self.dtype = _one_of("dtype", np.dtype("float32" if dtype is None else dtype).name, _DTYPES)
        self.validation_split = parameters.number("validation_split", validation_split)
        if self.validation_split and not 0 < self.validation_split < 1:
            raise ValueError(f"{OP}: validation_split must lie between 0 and 1, got {validation_split}")
        if self.dtype == "uint8" and self._changes_range:
            raise ValueError(f"{OP}: dtype uint8 cannot hold rescaled or standardised images; use float32")
        first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if first else (3, 1, 2)
        if 0 < abs(self.shear_range) < 1:
            warnings.warn(
                f"{OP}: shear_range={shear_range} is in degrees, less than one of them, which cannot be seen; "
                f"Keras up to 2.1.2 took radians, where it meant {np.rad2deg(self.shear_range):.3g} degrees",
                stacklevel=2,
            )

    # Flows

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
        **more: Any,
    ) -> NumpyArrayIterator:
        """Batches of images in memory, endlessly; see `NumpyArrayIterator` for the arguments.

        Example:
            >>> flow = ImageDataGenerator(validation_split=0.2).flow(np.zeros((10, 4, 4, 1)), subset="training")
            >>> flow.n
            8
        """
        from cnnfast.image.iterators import NumpyArrayIterator

        return NumpyArrayIterator(
            x, y, self, batch_size, shuffle, sample_weight, seed, None, save_to_dir, save_prefix, save_format, subset,
            ignore_class_split, **more,
        )  # fmt: skip

    def flow_from_directory(
        self,
        directory: str | os.PathLike[str],
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        **more: Any,
    ) -> DirectoryIterator:
        """Batches of the images in a folder that has a folder for each class, endlessly; see `DirectoryIterator` for
        the arguments.

        Example:
            >>> import os
            >>> from cnnfast.image.decode import save_img
            >>> for name in "cats", "dogs":
            ...     os.makedirs(f"train/{name}")
            ...     save_img(f"train/{name}/0.png", np.zeros((2, 2, 3)))
            >>> flow = ImageDataGenerator().flow_from_directory("train", target_size=(4, 4), class_mode="binary")
            Found 2 images belonging to 2 classes.
            >>> flow.class_indices
            {'cats': 0, 'dogs': 1}
        """
        from cnnfast.image.file_iterators import DirectoryIterator

        return DirectoryIterator(
            directory, self, target_size, color_mode, classes, class_mode, batch_size, shuffle, seed, None, save_to_dir,
            save_prefix, save_format, follow_links, subset, interpolation, keep_aspect_ratio, **more,
        )  # fmt: skip

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: Sequence[int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        **more: Any,
    ) -> DataFrameIterator:
        """Batches of the images that a table names, endlessly; see `DataFrameIterator` for the arguments.

        Example:
            >>> from cnnfast.image.decode import save_img
            >>> save_img("a.png", np.zeros((2, 2, 3)))
            >>> table = {"filename": ["a.png", "a.png"], "class": ["x", "y"]}
            >>> flow = ImageDataGenerator().flow_from_dataframe(table)
            Found 2 validated image filenames belonging to 2 classes.
        """
        from cnnfast.image.file_iterators import DataFrameIterator

        return DataFrameIterator(
            dataframe, directory, self, x_col, y_col, weight_col, target_size, color_mode, classes, class_mode,
            batch_size, shuffle, seed, None, save_to_dir, save_prefix, save_format, subset, interpolation,
            validate_filenames=validate_filenames, **more,
        )  # fmt: skip

    # One image

    def get_random_transform(self, img_shape: Sequence[int], seed: int | None = None) -> dict[str, Any]:
        """Draws the parameters of a transform.

        Args:
            img_shape: (H, W, C), or (C, H, W) with "channels_first".
            seed: for the same parameters again; None draws from cnnfast's generator. With compat "keras3" and
                "keras2" it seeds `np.random`, from which the parameters come in any case.

        Returns:
            theta and shear in degrees, counter-clockwise; tx and ty, what is added to the x and y in pixels where the
            result is read; zx and zy, factors in these directions; flip_horizontal and flip_vertical;
            channel_shift_intensity and brightness, None if they are not in use. With compat "keras3" and "keras2" tx
            belongs to `height_shift_range`.

        Example:
            >>> ImageDataGenerator(rotation_range=40).get_random_transform((8, 8, 3), seed=1)["zx"]
            1.0
        """
        if len(img_shape) != 3:
            raise ValueError(f"get_random_transform: img_shape must be (H,W,C), got {tuple(img_shape)}")
        if self.compat in KERAS:
            if seed is not None:
                np.random.seed(seed)  # noqa: NPY002
            return parameters.draw_as_keras(self._ranges, *self._size(img_shape))
        if seed is None:
            u = random.get_generator().random((1, DRAWS))
        else:
            u = uniforms(random.check_seed("get_random_transform", seed), 0, [0], DRAWS)
        return parameters.draw(self._ranges, *self._size(img_shape), u).one(0)

    def apply_transform(self, x: np.ndarray, transform_parameters: Mapping[str, Any]) -> np.ndarray:
        """Transforms an image with parameters as `get_random_transform` returns them; x stays as it is.

        Args:
            x: an image (H, W, C), or (C, H, W) with "channels_first".
            transform_parameters: what is missing does nothing.

        Returns:
            Image of the shape of x, and of its type ; whole numbers are rounded. With brightness
            float32, as in Keras.

        Raises:
            ValueError: x is no image, or a parameter is unknown. TypeError: a parameter is no number.

        Example:
            >>> generator = ImageDataGenerator()
            >>> generator.apply_transform(np.arange(3.0).reshape(1, 3, 1), {"flip_horizontal": True}).ravel()
            array([2., 1., 0.])
        """
        x = np.asarray(x)
        if x.ndim != 3 or 0 in x.shape:
            raise ValueError(f"apply_transform: expected an image (H,W,C), got {x.shape}")
        transforms = parameters.collect([transform_parameters])
        if transforms.brightness is not None:
            self._warn_of_small_values("apply_transform", x)
        image = np.moveaxis(x, self.channel_axis - 1, 2)[None]
        if x.dtype != np.uint8:
            image = image.astype(np.float32)
        result = np.moveaxis(self._transformed(image, transforms)[0], 2, self.channel_axis - 1)
        if transforms.brightness is not None:
            return result
        return to_dtype(result, x.dtype)

    def random_transform(self, x: np.ndarray, seed: int | None = None) -> np.ndarray:
        """`apply_transform` with the parameters of `get_random_transform`.

        Example:
            >>> x = np.arange(48, dtype=np.float32).reshape(4, 4, 3)
            >>> generator = ImageDataGenerator(rotation_range=40)
            >>> bool((generator.random_transform(x, seed=3) == generator.random_transform(x, seed=3)).all())
            True
        """
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Takes mean, standard deviation and whitening matrix from training images, as far as they are in use.

        Args:
            x: (N, H, W, C), or (N, C, H, W) with "channels_first"; it is rescaled if `rescale` says so, but
                `preprocessing_function` is left out, as in Keras.
            augment: take them from images that are transformed at random.
            rounds: how often each image is, with `augment`.
            seed: of the transforms.

        Raises:
            ValueError: x is no batch of images.

        Example:
            >>> generator = ImageDataGenerator(featurewise_center=True)
            >>> generator.fit(np.full((2, 4, 4, 1), 7.0))
            >>> generator.mean.tolist()
            [[[7.0]]]
        """
        rounds = parameters.whole("rounds of fit", rounds, 1, 2**31)
        precision = self.dtype if self.compat in KERAS and self.dtype != "uint8" else "float32"
        images = np.array(x, dtype=precision)
        if images.ndim != 4 or images.size == 0:
            raise ValueError(f"fit: expected images (N,H,W,C), got {images.shape}")
        self._warn_of_channels("fit", images.shape)
        if self.rescale:
            images *= self.rescale
        if augment:
            images = self._augmented_for_fit(images, rounds, seed)
        elif seed is not None and self.compat in KERAS:
            np.random.seed(seed)  # noqa: NPY002
        self._fit(images)

    def _augmented_for_fit(self, images: np.ndarray, rounds: int, seed: int | None) -> np.ndarray:
        key = None
        if self.compat not in KERAS:
            key = random.next_seed() if seed is None else random.check_seed("fit", seed)
        elif seed is not None:
            np.random.seed(seed)  # noqa: NPY002
        channels_last = np.ascontiguousarray(np.moveaxis(images, self.channel_axis, 3), dtype=np.float32)
        batches = []
        for epoch in range(rounds):
            transforms = self._draw(np.arange(len(images)), channels_last.shape[1:], key, epoch)
            batches.append(self._transformed(channels_last, transforms))
        return np.moveaxis(np.concatenate(batches), 3, self.channel_axis).astype(images.dtype)

    # Batches

    @property
    def _ranges(self) -> parameters.Ranges:
        return parameters.Ranges(
            self.rotation_range,
            self.width_shift_range,
            self.height_shift_range,
            self.shear_range,
            self.zoom_range,
            self.channel_shift_range,
            self.brightness_range,
            self.horizontal_flip,
            self.vertical_flip,
        )

    def _size(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of the shape of one image."""
        return shape[self.row_axis - 1], shape[self.col_axis - 1]

    @property
    def _varies(self) -> bool:
        """Whether anything is random."""
        affine = self.rotation_range or self.shear_range or self.zoom_range != (1, 1)
        shifts = self.width_shift_range or self.height_shift_range
        flips = self.horizontal_flip or self.vertical_flip
        return bool(affine or shifts or flips or self.channel_shift_range or self.brightness_range is not None)

    @property
    def _customized(self) -> bool:
        """Whether a subclass, or this generator alone, does something to images of its own."""
        return any(map(self._replaces, ("get_random_transform", "apply_transform", "standardize")))

    def _replaces(self, name: str) -> bool:
        """Whether a method is another than that of this class."""
        method = getattr(self, name)
        return getattr(method, "__func__", method) is not getattr(ImageDataGenerator, name)

    def _make(
        self,
        images: np.ndarray,
        samples: np.ndarray,
        key: int | None,
        epoch: int,
        augment: bool = True,
        threads: int | None = None,
    ) -> np.ndarray:
        """The batch of some samples.

        Args:
            images: (N, H, W, C) uint8 or float32, as they were loaded.
            samples, key, epoch: the streams that transforms come from; without a key `np.random`.
            augment: whether to transform.
            threads: as for `warp`.

        Returns:
            (N, H, W, C) or (N, C, H, W) of the generator's type.
        """
        if self._customized:
            numbers = samples.tolist()
            made = [self._make_one_by_methods(*one, key, epoch, augment) for one in zip(images, numbers, strict=True)]
            return np.stack(made)
        if key is None and self.preprocessing_function is not None and len(samples) > 1:
            # that function may draw from np.random too, between two transforms
            parts = [slice(i, i + 1) for i in range(len(samples))]
            return np.concatenate(
                [self._make(images[part], samples[part], None, epoch, augment, threads) for part in parts]
            )
        varies = augment and (self._varies or key is None)
        return self._batch(images, self._draw(samples, images.shape[1:], key, epoch) if varies else None, threads)

    def _make_one_by_methods(
        self, image: np.ndarray, sample: int, key: int | None, epoch: int, augment: bool
    ) -> np.ndarray:
        """One image, by the methods that a subclass may have of its own, called as Keras calls them."""
        x = np.array(np.moveaxis(image, 2, self.channel_axis - 1), dtype=self.dtype)
        if augment:
            x = self.apply_transform(x, self._random_transform_of(x.shape, sample, key, epoch))
        return np.asarray(self.standardize(x), dtype=self.dtype)

    def _random_transform_of(self, shape: Sequence[int], sample: int, key: int | None, epoch: int) -> dict[str, Any]:
        """The parameters of one sample; a method of a subclass gets a seed from the sample's stream if it takes one."""
        if key is None:
            return self.get_random_transform(shape)
        if not self._replaces("get_random_transform"):
            return parameters.draw(self._ranges, *self._size(shape), uniforms(key, epoch, [sample], DRAWS)).one(0)
        if "seed" not in inspect.signature(self.get_random_transform).parameters:
            return self.get_random_transform(shape)
        return self.get_random_transform(shape, seed=int(sample_rng(key, epoch, sample).integers(2**32)))

    def _draw(self, samples: np.ndarray, shape: Sequence[int], key: int | None, epoch: int) -> Transforms:
        """The transforms of samples, images of shape (H, W, C), from their streams; without a key `np.random`."""
        rows, columns = shape[:2]
        if key is None:
            return parameters.collect([parameters.draw_as_keras(self._ranges, rows, columns) for _ in samples])
        return parameters.draw(self._ranges, rows, columns, uniforms(key, epoch, samples, DRAWS))

    def _transformed(
        self,
        images: np.ndarray,
        transforms: Transforms,
        dtype: np.dtype | None = None,
        scale: float | None = None,
        threads: int | None = None,
    ) -> np.ndarray:
        """Images (N, H, W, C), uint8 or float32, transformed.

        Args:
            dtype: of the result, that of the images by default; changes of intensity make it float32.
            scale: factor of the result of the affine transform.
        """
        result = apply_affine(
            images,
            transforms,
            compat=self.compat,
            fill_mode=self.fill_mode,
            cval=self.cval,
            order=self.interpolation_order,
            dtype=images.dtype if dtype is None else dtype,
            scale=scale,
            threads=threads,
        )
        if transforms.changes_intensity:
            result = result.astype(np.float32, copy=False)
        if transforms.channel_shift_intensity is not None:
            shift_channels(result, transforms.channel_shift_intensity)
        if transforms.brightness is not None:
            brighten(result, transforms.brightness, self.compat)
        return result

    def _batch(self, images: np.ndarray, transforms: Transforms | None, threads: int | None = None) -> np.ndarray:
        """Images (N, H, W, C), uint8 or float32, transformed and standardised, in the generator's type and format."""
        dtype = np.dtype(np.uint8 if self.dtype == "uint8" else np.float32)
        intensity = transforms is not None and transforms.changes_intensity
        scale = self.rescale if self._rescales_first and not intensity else None
        if transforms is None:
            result = scaled(images, dtype, scale)
        else:
            result = self._transformed(images, transforms, dtype, scale, threads)
        if self.data_format == "channels_first":
            result = np.ascontiguousarray(result.transpose(0, 3, 1, 2))
        result = self._standardize_each(result, rescaled=scale is not None)
        # Keras puts floats into a batch of bytes as they are
        return to_dtype(result, np.dtype(self.dtype), cut=self.compat in KERAS)

    def _warn_of_channels(self, op: str, shape: Sequence[int]) -> None:
        channels = shape[self.channel_axis]
        if channels not in (1, 3, 4):
            warnings.warn(
                f"{op}: expected images of 1, 3 or 4 channels on axis {self.channel_axis} ({self.data_format}), "
                f"got {channels} of shape {tuple(shape)}",
                stacklevel=4,
            )

    def _warn_of_small_values(self, op: str, x: np.ndarray) -> None:
        """Brightness is meant for values from 0 to 255; most of [0, 1] becomes black in Keras, and never white here."""
        if x.dtype.kind == "f" and x.size and 0 < x.max() <= 1:
            warnings.warn(
                f"{op}: brightness_range is for images of values from 0 to 255, the largest here is {x.max():.3g}; "
                "leave the division by 255 to `rescale`, which comes after it",
                stacklevel=4,
            )


def _one_of(what: str, value: Any, choices: Sequence[str]) -> Any:
    if value not in choices:
        raise ValueError(f"{OP}: {what} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value
