"""Activation maximization: images that a channel, a single unit or a class responds to most, by gradient ascent."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from cnnfast.explain.maps import ExplanationWarning
from cnnfast.explain.parametrization import WHITE, Fourier, Parametrization, Pixels
from cnnfast.explain.places import LayerLike
from cnnfast.explain.priors import Penalty, Views
from cnnfast.explain.probe import BATCH_SIZE, Probe
from cnnfast.explain.targets import Target, TargetLike
from cnnfast.formats.atomic import atomic_write
from cnnfast.layers.preprocessing import mode_of
from cnnfast.models.model import Model
from cnnfast.random import check_seed
from cnnfast.training.sources import whole_number

_OP = "maximize_activation"
_SIZE = 224  # of images for a model that takes any
_DECAY = 0.999  # of RMSprop's mean of squares
_TINY = 1e-30  # under which a gradient is none

#: What black and white are to a model: two numbers, two with one value for each channel, or a mode of `Preprocess`.
InputRange: TypeAlias = "tuple[Any, Any] | str"


@dataclass
class Ascent:
    """What `maximize_activation` writes down on its way.

    Args:
        every: steps from one frame to the next; 0 for no frames.

    Attributes:
        activations: float32 (steps + 1, N): the score of the images as the network saw them before each step, and at
            last of the images that are returned.
        frames: uint8 (N, H, W, C) each, RGB if the images are colour: the start, every so many steps, and the end.
    """

    every: int = 10
    activations: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    frames: list[np.ndarray] = field(default_factory=list)


def maximize_activation(
    model: Model,
    layer: LayerLike | None = None,
    channel: int | Sequence[int] | None = None,
    unit: tuple[int, int] | None = None,
    target: TargetLike = None,
    *,
    steps: int = 200,
    count: int | None = None,
    size: tuple[int, int] | None = None,
    input_range: InputRange = (0, 255),
    parametrization: str = "fourier",
    decorrelate: bool = True,
    jitter: int = 8,
    rotate: float = 5.0,
    scale: float = 0.1,
    penalties: Penalty | Sequence[Penalty] = (),
    learning_rate: float | None = None,
    start: Any = None,
    record: Ascent | None = None,
    output: int | str = 0,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
) -> np.ndarray:
    """Images that make a channel, a unit or a class respond as much as possible.

    Gradient ascent with RMSprop on the score, less the penalties. A layer's score is taken before its final ReLU, which
    would give no gradient where the layer is silent; a class's before a final softmax or sigmoid. Before each step the
    images are moved, turned and scaled a little, so that nothing is found that works at one place alone.

    tf-keras-vis' setting is `parametrization="pixels", jitter=4, rotate=1, scale=0, penalties=[TotalVariation(1.0),
    Norm(0.3, p=1, center=0)]`; learning rate and decay (1.0, 0.999) are the same. The pixels are what is learned here,
    so that images do not blur: gradients come back through the moves.

    Args:
        model: of one input, images (N, H, W, C).
        layer: name ("block5_conv1"), layer, (either, which application): whose channel or unit is meant. Without it the
            score is a class's.
        channel: of the layer's output, or neuron of a dense layer; a list of them makes an image for each. The score is
            the mean over positions.
        unit: row and column (P, Q) of a single position of the layer's output; default all of them.
        target: without a layer the class, number or name, or a list of them; or a `Target` of the layer's or the
            model's scores, such as `weighted`.
        steps: of the ascent.
        count: number of images, if channel and target do not say it; each starts from other noise.
        size: rows and columns of the images, for models that take any. Default the model's, or 224x224.
        input_range: what black and white are to the model. (0, 255) for a model that prepares images itself; the name
            of a mode ("caffe", "tf", "torch"; see `model.preprocessing`) or two arrays (C,) for one that wants them
            prepared.
        parametrization: "fourier": the ascent goes by frequencies and gives smooth images; "pixels": by pixels.
        decorrelate: "fourier" only: it also goes by colours as they vary in photographs.
        jitter: pixels; images are moved by up to so many either way, and come in again at the other side.
        rotate: degrees; images are turned by up to so many either way.
        scale: images are enlarged by a factor of up to 1 + scale, or reduced by as much.
        penalties: `TotalVariation`, `Norm` or others, one or a list; they see the images in 0 to 255.
        learning_rate: of RMSprop, for pixels in 0 to 255 ("pixels", default 1.0) or for amplitudes ("fourier", default
            0.003). Its mean of squares starts at 0, so the first steps are larger.
        start: images (N, H, W, C) in the input range to begin with; default grey with a little noise.
        record: takes down activations and frames (see `Ascent` and `save_gif`).
        output: which output of a model with several, by number or name.
        batch_size: images run at once.
        seed: of noise and moves, 0 to 2**128 - 1; image i draws from a stream of its own.

    Returns:
        float32 (N, H, W, C) in the input range.

    Raises:
        ValueError: a layer, channel, unit or class that is not there; sizes, ranges or numbers that do not fit.
        TypeError: no model, no numbers, no penalties.

    Warns:
        ExplanationWarning: an image whose score did not depend on it at any step.

    Source: Erhan et al., "Visualizing higher-layer features of a deep network" (2009); Yosinski et al., "Understanding
    neural networks through deep visualization" (2015); Olah, Mordvintsev and Schubert, "Feature visualization" (2017).

    Example:
        >>> best = maximize_activation(convnet, "conv", channel=[0, 3], steps=5, input_range=(0, 1))
        >>> best.shape
        (2, 16, 16, 3)
    """
    whole_number(_OP, "steps", steps)
    check_seed(_OP, seed)
    subtracted = _checked_penalties(penalties)
    _check_views(jitter, rotate, scale)
    number, wanted = _objective(layer, channel, unit, target, count, start)
    shape = (number, *_image_shape(model, size, start))
    low, high, bgr = _black_and_white(input_range, shape[3])
    how = _parametrization(parametrization, shape, decorrelate)
    rate = how.learning_rate if learning_rate is None else learning_rate
    if not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"{_OP}: learning_rate must be a number above 0, got {learning_rate!r}")

    def fed(z: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(low + (high - low) * (z / np.float32(WHITE)), np.float32)

    if start is None:
        parameters = how.noise(seed)
    else:
        given = np.asarray(start, np.float32)
        if not np.isfinite(given).all():
            raise ValueError(f"{_OP}: start has values that are not finite")
        parameters = how.describe(np.clip((given - low) / (high - low), 0, 1) * WHITE)
    z = how.images(parameters)
    probe = Probe(model, fed(z), op=_OP, output=output, batch_size=batch_size, layer=layer)
    squares, moved = np.zeros_like(parameters), np.zeros(number, bool)
    activations, frames = [], [z]
    for step in range(1, steps + 1):
        views = Views(shape, jitter, rotate, scale, seed=seed, step=step)
        scores, by_input = _climbed(probe, wanted, fed(views.apply(z)))
        moved |= np.abs(by_input).max((1, 2, 3)) > _TINY
        gradient = views.pull_back(by_input * ((high - low) / np.float32(WHITE)))
        for penalty in subtracted:
            gradient -= penalty.gradient(z)
        gradient = how.pull_back(gradient, z)
        squares = _DECAY * squares + (1 - _DECAY) * gradient**2
        parameters = how.admit(parameters + rate * gradient / (np.sqrt(squares) + np.float32(_TINY)))
        z = how.images(parameters)
        if record is not None:
            activations.append(scores)
            if record.every and (step % record.every == 0 or step == steps):
                frames.append(z)
    _warn_of_unmoved(moved)
    if record is not None:
        record.activations = np.stack([*activations, _climbed(probe, wanted, fed(z))[0]])
        record.frames = [_shown(f, bgr) for f in frames] if record.every else []
    return fed(z)


def save_gif(frames: Sequence[Any], path: Any, *, seconds: float = 0.1, repeat: bool = True) -> None:
    """Writes frames as an animated GIF, whose file is there whole or not at all.

    Args:
        frames: uint8 (H, W, C) each, grey or RGB; or (N, H, W, C), which come side by side.
        path: of the file.
        seconds: how long each frame is shown, in hundredths from 0.02; the last is shown ten times as long.
        repeat: whether it starts again at its end.

    Raises:
        ValueError: no frames, other shapes or types, frames of different sizes, a time that is too short.
        OSError: the file cannot be written.

    Example:
        >>> from cnnfast.explain.maximization import save_gif
        >>> save_gif([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)], "blink.gif")
    """
    from PIL import Image

    sheets = [_side_by_side(np.asarray(f)) for f in frames]
    if not sheets or len({s.shape for s in sheets}) != 1:
        raise ValueError(f"save_gif: expected frames of one size, got {sorted({s.shape for s in sheets})}")
    if not 0.02 <= seconds <= 600:
        raise ValueError(f"save_gif: seconds must be from 0.02 to 600, got {seconds!r}")
    pictures = [Image.fromarray(s[..., 0] if s.shape[2] == 1 else s) for s in sheets]
    times = [round(100 * seconds) * 10] * (len(pictures) - 1)
    times.append(10 * round(100 * seconds) * 10)
    loop = {"loop": 0} if repeat else {}
    with atomic_write(os.fspath(path)) as temporary:
        pictures[0].save(
            temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=times, optimize=False, **loop
        )


def _side_by_side(frame: np.ndarray) -> np.ndarray:
    if frame.dtype != np.uint8 or frame.ndim not in (3, 4) or frame.shape[-1] not in (1, 3) or not frame.size:
        raise ValueError(
            f"save_gif: frames must be uint8 (H,W,C) or (N,H,W,C) with C 1 or 3, got {frame.dtype} {frame.shape}"
        )
    return frame if frame.ndim == 3 else np.concatenate(list(frame), axis=1)


# One step


def _climbed(probe: Probe, wanted: Target, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score of each image (N,) and its gradient by the image."""
    scores, gradients = [], []
    for found in probe.run(wanted, inputs=True, xs=[x]):
        assert found.weights is not None
        products = found.scores.astype(np.float64) * found.weights
        scores.append(products.reshape(len(products), -1).sum(1))
        gradients.append(found.inputs[0])
    return np.concatenate(scores).astype(np.float32), np.concatenate(gradients)


def _shown(z: np.ndarray, bgr: bool) -> np.ndarray:
    frame = np.round(z).astype(np.uint8)
    return np.ascontiguousarray(frame[..., ::-1]) if bgr else frame


def _warn_of_unmoved(moved: np.ndarray) -> None:
    still = np.flatnonzero(~moved)
    if len(still):
        warnings.warn(
            f"{_OP}: the score of {len(still)} of {len(moved)} images ({', '.join(map(str, still[:10]))}) did not "
            "depend on them at any step: ReLUs on the way are silent. Another seed or start may wake them.",
            ExplanationWarning,
            stacklevel=3,
        )


# What is asked for


class _Channels(Target):
    """The mean over positions, or one of them, of a channel for each image."""

    def __init__(self, channels: np.ndarray, unit: tuple[int, int] | None):
        self._channels, self._unit = channels, unit

    def weights(self, scores: np.ndarray, rows: slice) -> np.ndarray:
        spatial, known = scores.shape[1:-1], scores.shape[-1]
        chosen = self._channels[rows]
        wrong = chosen[(chosen < 0) | (chosen >= known)]
        if len(wrong):
            raise ValueError(f"{_OP}: channel {wrong[0]} is out of range, the layer has the channels 0 to {known - 1}")
        where: Any = ...
        if self._unit is not None:
            if len(spatial) != 2 or not all(0 <= u < n for u, n in zip(self._unit, spatial, strict=True)):
                raise ValueError(
                    f"{_OP}: unit {self._unit} is no position of the layer's output {scores.shape}, (N,P,Q,K)"
                )
            where = self._unit
        weights = np.zeros(scores.shape, np.float32)
        share = 1.0 if self._unit is not None else 1 / np.prod(spatial)
        for sample, k in zip(weights, chosen, strict=True):
            sample[..., k][where] = share
        return weights


def _objective(layer: Any, channel: Any, unit: Any, target: Any, count: int | None, start: Any) -> tuple[int, Any]:
    """How many images are wanted, and the score to raise."""
    if (channel is None) == (target is None):
        raise ValueError(
            f"{_OP}: expected a layer and its channel, or a target; got channel {channel!r} and {target!r}"
        )
    if channel is not None and layer is None:
        raise ValueError(f"{_OP}: channel {channel!r} needs a layer")
    if unit is not None and channel is None:
        raise ValueError(f"{_OP}: unit {unit!r} needs a layer and its channel")
    if callable(target):
        raise TypeError(f"{_OP}: target must be a class, a list of them or a Target, got a function")
    asked = channel if channel is not None else target
    numbers = {
        "channel" if channel is not None else "target": len(asked) if np.ndim(asked) == 1 else None,
        "count": None if count is None else whole_number(_OP, "count", count),
        "start": None if start is None else len(np.asarray(start)),
    }
    said = {what: n for what, n in numbers.items() if n is not None}
    if len(set(said.values())) > 1 or 0 in said.values():
        raise ValueError(f"{_OP}: the number of images must be one from 1, got {said}")
    number = next(iter(said.values()), 1)
    if channel is None:
        return number, target
    chosen = [whole_number(_OP, "channel", c, 0) for c in np.broadcast_to(channel, number).tolist()]
    if unit is not None:
        if np.shape(unit) != (2,):
            raise ValueError(f"{_OP}: unit must be a row and a column of the layer's output, got {unit!r}")
        unit = whole_number(_OP, "unit", unit[0], 0), whole_number(_OP, "unit", unit[1], 0)
    return number, _Channels(np.asarray(chosen), unit)


def _image_shape(model: Any, size: Any, start: Any) -> tuple[int, int, int]:
    """(H, W, C) of the images."""
    if not isinstance(model, Model):
        raise TypeError(f"{_OP}: model must be a cnnfast model, got {type(model).__name__}")
    if start is not None:
        shape = np.shape(start)
        if len(shape) != 4 or (size is not None and tuple(size) != shape[1:3]):
            raise ValueError(f"{_OP}: start must be images (N,H,W,C) of the size {size}, got shape {shape}")
        return shape[1], shape[2], shape[3]
    inputs = model.inputs
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise ValueError(f"{_OP}: expected a model of one input (N,H,W,C), got inputs {[v.shape for v in inputs]}")
    _, h, w, c = inputs[0].shape
    if size is not None:
        if np.shape(size) != (2,):
            raise ValueError(f"{_OP}: size must be (rows, columns), got {size!r}")
        return whole_number(_OP, "size", size[0]), whole_number(_OP, "size", size[1]), int(c or 3)
    return int(h or _SIZE), int(w or _SIZE), int(c or 3)


def _black_and_white(input_range: InputRange, channels: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """Float32 (C,) each, and whether the channels are blue, green and red."""
    if isinstance(input_range, str):
        how = mode_of(_OP, input_range)
        ends = [(np.full(3, v) / how.divide - how.subtract) / how.deviation for v in (0.0, WHITE)]
    else:
        ends = [np.asarray(end, np.float64) for end in input_range]
    if len(ends) != 2 or any(e.shape not in ((), (1,), (channels,)) or not np.isfinite(e).all() for e in ends):
        raise ValueError(
            f"{_OP}: input_range must be a mode or what black and white are, numbers or ({channels},) of them, "
            f"got {input_range!r}"
        )
    low, high = (np.broadcast_to(e, channels).astype(np.float32) for e in ends)
    if not (low < high).all():
        raise ValueError(f"{_OP}: input_range must rise from black to white, got {input_range!r}")
    return low, high, isinstance(input_range, str) and mode_of(_OP, input_range).bgr


def _parametrization(name: str, shape: tuple[int, int, int, int], decorrelate: bool) -> Parametrization:
    if name == "fourier":
        return Fourier(shape, decorrelate)
    if name == "pixels":
        return Pixels(shape)
    raise ValueError(f"{_OP}: parametrization must be 'fourier' or 'pixels', got {name!r}")


def _checked_penalties(penalties: Any) -> list[Penalty]:
    several = list(penalties) if isinstance(penalties, (list, tuple)) else [penalties]
    for penalty in several:
        if not isinstance(penalty, Penalty):
            raise TypeError(
                f"{_OP}: penalties must be a Penalty, as TotalVariation, or a list of them, got {penalty!r}"
            )
    return several


def _check_views(jitter: int, rotate: float, scale: float) -> None:
    whole_number(_OP, "jitter", jitter, 0)
    for what, value in (("rotate", rotate), ("scale", scale)):
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{_OP}: {what} must be a finite number from 0, got {value!r}")
