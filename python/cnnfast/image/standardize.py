"""Keras' standardisation of images: what is done to every image, augmented or not, and the statistics it needs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.image.parameters import KERAS, OP, number

_EPSILON = 1e-6  # added to standard deviations before dividing


class Standardization:
    """The part of `ImageDataGenerator` that standardises; see there for the arguments.

    Attributes:
        mean, std: of each channel, set by `fit` or by hand; None before.
        zca_whitening_matrix: (H*W*C, H*W*C), set by `fit`; None before.
    """

    compat: str
    data_format: str

    def __init__(
        self,
        featurewise_center: bool,
        samplewise_center: bool,
        featurewise_std_normalization: bool,
        samplewise_std_normalization: bool,
        zca_whitening: bool,
        zca_epsilon: float,
        rescale: float | None,
        preprocessing_function: Callable[[np.ndarray], np.ndarray] | None,
    ):
        if preprocessing_function is not None and not callable(preprocessing_function):
            raise TypeError(f"{OP}: preprocessing_function must be a function, got {preprocessing_function!r}")
        self.featurewise_center = bool(featurewise_center)
        self.samplewise_center = bool(samplewise_center)
        self.featurewise_std_normalization = bool(featurewise_std_normalization)
        self.samplewise_std_normalization = bool(samplewise_std_normalization)
        self.zca_whitening = bool(zca_whitening)
        self.zca_epsilon = number("zca_epsilon", zca_epsilon)
        self.rescale = None if rescale is None else number("rescale", rescale)
        self.preprocessing_function = preprocessing_function
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self.zca_whitening_matrix: np.ndarray | None = None
        if self.zca_whitening:
            self._override("zca_whitening", "featurewise_center", True)
            self._override("zca_whitening", "featurewise_std_normalization", False)
        if self.featurewise_std_normalization:
            self._override("featurewise_std_normalization", "featurewise_center", True)
        if self.samplewise_std_normalization:
            self._override("samplewise_std_normalization", "samplewise_center", True)

    def _override(self, because: str, name: str, value: bool) -> None:
        if getattr(self, name) != value:
            setattr(self, name, value)
            warnings.warn(f"{OP}: {because} sets {name} to {value}", stacklevel=4)

    @property
    def _changes_range(self) -> bool:
        """Whether the result of standardising is not of the range that images have."""
        samplewise = self.samplewise_center or self.samplewise_std_normalization
        return bool(self.rescale) or samplewise or self.featurewise_center or self.zca_whitening

    @property
    def _rescales_first(self) -> bool:
        """Whether rescaling is the first thing that is done."""
        return bool(self.rescale) and self.preprocessing_function is None

    def standardize(self, x: np.ndarray) -> np.ndarray:
        """Standardises an image or a batch: preprocessing function, rescaling, sample's mean and standard deviation,
        mean and standard deviation of the training images, whitening, in this order.

        Args:
            x: an image (H, W, C) or images (N, H, W, C). Floats are changed in place, as in Keras.

        Returns:
            The result; x itself where that could be.

        Raises:
            ValueError: x has another rank.

        With compat "fixed" the mean and standard deviation of a sample are those of each image of a batch, and the
        preprocessing function gets one image at a time; Keras takes the whole batch in both.

        Example:
            >>> from cnnfast.preprocessing.image import ImageDataGenerator
            >>> generator = ImageDataGenerator(rescale=1 / 255)
            >>> float(generator.standardize(np.full((2, 2, 3), 51.0)).max())
            0.2
        """
        x = np.asarray(x)
        if x.ndim not in (3, 4):
            raise ValueError(f"standardize: expected (H,W,C) or (N,H,W,C), got {x.shape}")
        if x.dtype.kind != "f":
            x = x.astype(np.float32)
        if x.ndim == 4 and self.compat not in KERAS:
            return self._standardize_each(x)
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        if self.rescale:
            x *= self.rescale
        self._standardize_sample(x)
        return self._standardize_features(x)

    def _standardize_each(self, images: np.ndarray, rescaled: bool = False) -> np.ndarray:
        """Standardises each image of a batch, in place; `rescaled` if that has been done."""
        if self.preprocessing_function is not None:
            for image in images:
                image[...] = self._preprocessed(image)
        if self.rescale and not rescaled:
            images *= self.rescale
        if self.samplewise_center or self.samplewise_std_normalization:
            for image in images:
                self._standardize_sample(image)
        return self._standardize_features(images)

    def _preprocessed(self, image: np.ndarray) -> np.ndarray:
        assert self.preprocessing_function is not None
        result = self.preprocessing_function(image)
        if np.shape(result) != image.shape:
            raise ValueError(
                f"{OP}: preprocessing_function must return an image of the shape it gets, {image.shape}, "
                f"got {type(result).__name__} of shape {np.shape(result)}"
            )
        return result

    def _standardize_sample(self, x: np.ndarray) -> None:
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + _EPSILON

    def _standardize_features(self, x: np.ndarray) -> np.ndarray:
        if self.featurewise_center and self._fitted("featurewise_center", self.mean):
            x -= self.mean
        if self.featurewise_std_normalization and self._fitted("featurewise_std_normalization", self.std):
            assert self.std is not None
            x /= self.std + _EPSILON
        if self.zca_whitening and self._fitted("zca_whitening", self.zca_whitening_matrix):
            assert self.zca_whitening_matrix is not None
            size = math.prod(x.shape[-3:])
            if self.zca_whitening_matrix.shape != (size, size):
                raise ValueError(
                    f"{OP}: the whitening matrix is for images of {len(self.zca_whitening_matrix)} numbers, "
                    f"got images {x.shape[-3:]} of {size}; `fit` wants images of this shape"
                )
            x = (x.reshape(-1, size) @ self.zca_whitening_matrix).reshape(x.shape).astype(x.dtype, copy=False)
        return x

    def _fitted(self, what: str, statistics: Any) -> bool:
        if statistics is None:
            warnings.warn(
                f"{OP}: {what} has no effect before the generator is fitted: call .fit(images) first", stacklevel=3
            )
        return statistics is not None

    def _fit(self, x: np.ndarray) -> None:
        """Takes mean, standard deviation and whitening matrix from images (rescaled, augmented), which it changes.

        Keras sums in the images' precision; "fixed" sums in double.
        """
        precision = x.dtype if self.compat in KERAS else np.dtype(np.float64)
        channel = 3 if self.data_format == "channels_last" else 1
        axes = tuple(axis for axis in range(4) if axis != channel)
        shape = tuple(x.shape[axis] if axis == channel else 1 for axis in range(1, 4))
        if self.featurewise_center:
            self.mean = np.mean(x, axis=axes, dtype=precision).astype(x.dtype).reshape(shape)
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = np.std(x, axis=axes, dtype=precision).astype(x.dtype).reshape(shape)
            x /= self.std + _EPSILON
        if self.zca_whitening:
            flat = x.reshape(len(x), -1).astype(precision, copy=False)
            self.zca_whitening_matrix = whitening_matrix(flat, self.zca_epsilon).astype(x.dtype, copy=False)


def whitening_matrix(x: np.ndarray, epsilon: float) -> np.ndarray:
    """The matrix that makes the columns of x uncorrelated and of variance 1, and changes them as little as possible.

    It is U diag(sqrt(N) / (s + epsilon)) U^T, with x^T = U diag(s) V^T ("zero-phase component analysis", Bell and
    Sejnowski 1997).

    Args:
        x: (N, D), of mean 0.
        epsilon: added to the singular values.

    Returns:
        (D, D).

    Example:
        >>> x = np.array([[1.0, 1], [-1, -1], [2, -2], [-2, 2]])
        >>> white = x @ whitening_matrix(x, 0.0)
        >>> np.allclose(white.T @ white / 4, np.eye(2))
        True
    """
    u, s, _ = np.linalg.svd(x.T, full_matrices=False)
    return (u * (math.sqrt(len(x)) / (s + epsilon))) @ u.T
