"""Images as gradient ascent searches them: by their pixels, or by a spectrum with colours that vary independently.

Both describe images z (N, H, W, C) in 0 to 255 by parameters, and bring gradients by z back to the parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from cnnfast.image.streams import sample_rng

WHITE = 255.0
# The axes along which the colours of ImageNet's pixels vary independently, as columns, and the variance along each.
# Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks" (2012),
# section 4.1; the numbers are those of https://github.com/facebookarchive/fb.resnet.torch (datasets/imagenet.lua).
_AXES = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
_VARIANCES = np.array([0.2175, 0.0188, 0.0045])
# Lighting varies most; it keeps its size.
_COLOURS = _AXES * np.sqrt(_VARIANCES / _VARIANCES[0]) / np.abs(_AXES[:, 0]).max()
_EDGE = 1e-3  # how close to black and white a start may be, as a share: at both the logit is infinite


class Parametrization(ABC):
    """Images by parameters.

    Args:
        shape: (N, H, W, C) of the images.

    Attributes:
        learning_rate: a good default for its parameters.
    """

    learning_rate: float

    def __init__(self, shape: tuple[int, int, int, int]):
        self.shape = shape

    @abstractmethod
    def noise(self, seed: int) -> np.ndarray:
        """Parameters of grey images with a little noise; image i draws from a stream of its own."""

    @abstractmethod
    def describe(self, z: np.ndarray) -> np.ndarray:
        """Parameters of given images."""

    @abstractmethod
    def images(self, parameters: np.ndarray) -> np.ndarray:
        """The images z."""

    @abstractmethod
    def pull_back(self, gradient: np.ndarray, z: np.ndarray) -> np.ndarray:
        """From the gradient by the images z to that by their parameters."""

    def admit(self, parameters: np.ndarray) -> np.ndarray:
        """The nearest parameters of images that can be shown."""
        return parameters

    def _drawn(self, seed: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.stack([sample_rng(seed, 0, i).normal(size=shape) for i in range(self.shape[0])]).astype(np.float32)


class Pixels(Parametrization):
    """The pixels themselves, kept between black and white."""

    learning_rate = 1.0

    def noise(self, seed: int) -> np.ndarray:
        return self.admit(WHITE / 2 + 10 * self._drawn(seed, self.shape[1:]))

    def describe(self, z: np.ndarray) -> np.ndarray:
        return z.astype(np.float32)

    def images(self, parameters: np.ndarray) -> np.ndarray:
        return parameters

    def pull_back(self, gradient: np.ndarray, z: np.ndarray) -> np.ndarray:
        return gradient

    def admit(self, parameters: np.ndarray) -> np.ndarray:
        return np.clip(parameters, 0, WHITE)


class Fourier(Parametrization):
    """A spectrum, each frequency scaled as in natural images, where amplitudes fall with 1 / frequency.

    z = 255 sigmoid(colours @ irfft2(scale * parameters)). Steepest ascent in these parameters favours what is smooth,
    whereas a step along the gradient by pixels mostly adds high frequencies. The images are periodic.

    Args:
        shape: (N, H, W, C) of the images.
        decorrelate: whether parameters are along the axes on which colours vary independently; for C = 3 only.

    Source: Olah, Mordvintsev and Schubert, "Feature visualization" (2017), "Preconditioning and parameterization".
    """

    learning_rate = 0.003

    def __init__(self, shape: tuple[int, int, int, int], decorrelate: bool = True):
        super().__init__(shape)
        _, h, w, c = shape
        frequencies = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None, :])
        self._scale = (0.25 / np.maximum(frequencies, 1 / max(h, w)))[..., None].astype(np.float32)
        # irfft2 reads the columns between the first and the middle one as those of their mirrored frequencies, too.
        self._counts = np.full((w // 2 + 1, 1), 2, np.float32)
        self._counts[0] = 1
        if w % 2 == 0:
            self._counts[-1] = 1
        self._colours = (_COLOURS if decorrelate and c == 3 else np.eye(c)).astype(np.float32)

    def noise(self, seed: int) -> np.ndarray:
        _, h, w, c = self.shape
        return 0.01 * self._drawn(seed, (2, h, w // 2 + 1, c))

    def describe(self, z: np.ndarray) -> np.ndarray:
        share = np.clip(z.astype(np.float64) / WHITE, _EDGE, 1 - _EDGE)
        sheets = np.log(share / (1 - share)) @ np.linalg.inv(self._colours.astype(np.float64)).T
        spectrum = np.fft.rfft2(sheets, axes=(1, 2), norm="ortho") / self._scale
        return np.stack([spectrum.real, spectrum.imag], 1).astype(np.float32)

    def images(self, parameters: np.ndarray) -> np.ndarray:
        spectrum = (parameters[:, 0] + 1j * parameters[:, 1]) * self._scale
        sheets = np.fft.irfft2(spectrum, s=self.shape[1:3], axes=(1, 2), norm="ortho")
        # tanh does not overflow.
        return (WHITE / 2 * (1 + np.tanh(sheets @ self._colours.T / 2))).astype(np.float32)

    def pull_back(self, gradient: np.ndarray, z: np.ndarray) -> np.ndarray:
        sheets = gradient * z * (1 - z / WHITE) @ self._colours
        spectrum = np.fft.rfft2(sheets, axes=(1, 2), norm="ortho") * self._scale * self._counts
        return np.stack([spectrum.real, spectrum.imag], 1).astype(np.float32)
