"""Does an explanation hold under small changes of the image? Max-sensitivity and infidelity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnfast.explain.measuring import Meter, Method, images_of, quietly, settled, stream_of
from cnnfast.explain.probe import BATCH_SIZE, Probe, whole_number
from cnnfast.explain.targets import TargetLike
from cnnfast.models.model import Model

#: From random numbers and an image (H, W, C) to what is taken away from it, of the same shape.
Perturbation = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def max_sensitivity(
    method: Method,
    model: Model,
    x: Any,
    target: TargetLike = None,
    *,
    radius: float = 0.02,
    samples: int = 10,
    seed: int = 0,
    output: int | str = 0,
) -> np.ndarray:
    """How much an explanation changes at most when the image changes a little; less is better.

    max |method(x + d) - method(x)| / |method(x)| over random d, of which each value lies within the radius, in
    Euclidean norms. Where an explanation is 0 everywhere the difference is not divided.

    Args:
        method: `method(model, x, target)` that gives explanations of any shape (N, ...).
        model: any model with images as its only input.
        x: images (N, H, W, C) as the model takes them.
        target: for the method; None is the class that is predicted for the unchanged image.
        radius: largest change of a value, as a share of the range of each image's values.
        samples: changed versions of each image; the method is called once for each, with all images.
        seed: decides the changes.
        output: which output of the model predicts the class.

    Returns:
        float64 (N,).

    Raises:
        ValueError: wrong settings, or a method that gives something else than one finite explanation per image.

    Source: Yeh et al., "On the (in)fidelity and sensitivity of explanations" (2019), definition 3.1, divided by the
    norm of the explanation.

    Example:
        >>> sensitivity = max_sensitivity(cnnfast.explain.gradcam, convnet, images, target=1, samples=3)
        >>> sensitivity.shape
        (4,)
    """
    op = "max_sensitivity"
    images = images_of(Probe(model, x, op=op, output=output))
    if not 0 < radius < np.inf:
        raise ValueError(f"{op}: radius must be a number above 0, got {radius!r}")
    fixed = settled(op, model, x, target, output)
    before = _rows(op, method(model, images, fixed), len(images))
    size = np.linalg.norm(before, axis=1)
    size[size == 0] = 1
    streams = [stream_of(op, seed, i) for i in range(len(images))]
    most = np.zeros(len(images))
    for _ in range(whole_number(op, "samples", samples)):
        changed = np.stack([a + nudge(rng, a, radius) for a, rng in zip(images, streams, strict=True)])
        after = _rows(op, quietly(method, model, changed, fixed), len(images))
        most = np.maximum(most, np.linalg.norm(after - before, axis=1) / size)
    return most


def nudge(rng: np.random.Generator, image: np.ndarray, radius: float) -> np.ndarray:
    """float32 like the image: uniform within `radius` times the range of its values."""
    reach = radius * (float(image.max()) - float(image.min()))
    return rng.uniform(-reach, reach, image.shape).astype(np.float32)


def infidelity(
    model: Model,
    x: Any,
    attributions: Any,
    target: TargetLike = None,
    *,
    perturbation: Perturbation | None = None,
    samples: int = 50,
    normalize: bool = False,
    of: str = "score",
    seed: int = 0,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """How badly attributions predict what changes of the image do to the score; less is better.

    The mean over random changes d of (sum(d * attributions) - (f(x) - f(x - d)))^2. That of the gradient of a linear
    model is 0.

    Args:
        model: any model with images as its only input.
        x: images (N, H, W, C) as the model takes them.
        attributions: of each value, (N, H, W, C), in units of the score by those of the image, as a gradient; of each
            pixel, (N, H, W), it counts for all channels.
        target: as for `gradcam`, but no function.
        perturbation: from a `numpy.random.Generator` and an image (H, W, C) to what is taken away from it. Default:
            normal noise whose standard deviation is 0.1 of the range of the image's values.
        samples: changes of each image.
        normalize: attributions times the factor that suits best for each image, as the paper does it to compare
            methods whose values have different scales.
        of: "score" (before a final softmax or sigmoid) or "probability".
        seed: decides the changes.
        output: which output of a model with several.
        batch_size: images run at once.

    Returns:
        float64 (N,).

    Raises:
        ValueError: attributions or changes that do not fit the images, wrong settings.

    Source: Yeh et al. (2019), definition 2.1; the factor is that of section 5.

    Example:
        >>> infidelity(convnet, images, np.zeros(images.shape), target=1, samples=5).shape
        (4,)
    """
    op = "infidelity"
    meter = Meter(model, x, target, op=op, of=of, output=output, batch_size=batch_size)
    images = meter.images
    given = np.asarray(attributions, np.float64)
    if given.shape not in (images.shape, images.shape[:3]) or not np.isfinite(given).all():
        raise ValueError(f"{op}: images {images.shape} need finite attributions of this shape, got {given.shape}")
    given = given if given.ndim == 4 else given[..., None]
    samples = whole_number(op, "samples", samples)
    change = _noise if perturbation is None else perturbation
    expected = np.empty((len(images), samples))

    def versions(sample: int) -> Any:
        rng, image = stream_of(op, seed, sample), images[sample]
        yield image
        for i in range(samples):
            taken = np.asarray(change(rng, image), np.float32)
            if taken.shape != image.shape or not np.isfinite(taken).all():
                raise ValueError(f"{op}: a perturbation must be finite numbers {image.shape}, got {taken.shape}")
            changed = image - taken
            # What really changed, after rounding.
            expected[sample, i] = ((image.astype(np.float64) - changed) * given[sample]).sum()
            yield changed

    values = meter.all_of(1 + samples, versions)
    found = values[:, :1] - values[:, 1:]
    if normalize:
        power = (expected**2).mean(1)
        both = (expected * found).mean(1)
        expected *= np.divide(both, power, out=np.zeros_like(power), where=power > 0)[:, None]
    return ((expected - found) ** 2).mean(1)


def _noise(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    return 0.1 * (float(image.max()) - float(image.min())) * rng.standard_normal(image.shape)


def _rows(op: str, explanations: Any, count: int) -> np.ndarray:
    """float64 (N, ...), each explanation in one row."""
    found = np.asarray(explanations, np.float64)
    if found.ndim < 2 or len(found) != count or not np.isfinite(found).all():
        raise ValueError(f"{op}: the method must give {count} finite explanations (N,...), got shape {found.shape}")
    return found.reshape(count, -1)
