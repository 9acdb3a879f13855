"""What happens inside a model: the maps of each layer for single images, and ReLU channels that never speak."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnfast import activations
from cnnfast.explain.places import Place
from cnnfast.explain.probe import Probe
from cnnfast.layers.activation import ReLU
from cnnfast.models.model import Model
from cnnfast.report import images as pictures
from cnnfast.report.data import Classified, Watched

MAX_STEPS = 30
MAX_EXAMPLES = 6
MAX_CHANNELS = 64
DEAD_IMAGES = 256
_DEAD_BYTES = 2**27
_BARS = 10
_NOTHING = ("Dropout", "SpatialDropout2D", "Identity", "InputLayer")
_LESS_TELLING = ("Flatten", "Reshape", "ZeroPadding2D", "Cropping2D", "BatchNormalization", "Rescaling", "Preprocess")
_WORDS = {
    "Activation": "Each value on its own goes through a function",
    "Add": "Adds maps of two ways through the network, value by value",
    "AveragePooling2D": "Pooling: the mean of each window stays, the maps shrink",
    "BatchNormalization": "Normalization: each channel is shifted and scaled as training taught it",
    "Concatenate": "Puts the channels of several ways beside each other",
    "Conv2D": "Convolution: each filter looks for its pattern at every position and draws one map",
    "Conv2DTranspose": "Transposed convolution: each value draws its filter's pattern into a larger map",
    "Dense": "Dense: each unit weighs all values together",
    "DepthwiseConv2D": "Depthwise convolution: each channel is filtered on its own",
    "Flatten": "All maps are laid out in one long row of numbers",
    "GlobalAveragePooling2D": "Pooling: the mean of each map is what remains of it",
    "GlobalMaxPooling2D": "Pooling: the highest value of each map is what remains of it",
    "MaxPooling2D": "Pooling: the highest value of each window stays, the maps shrink",
    "Preprocess": "Preparation: pixels in the form that the network was trained with",
    "ReLU": "ReLU: what is negative becomes 0",
    "Rescaling": "Rescaling: pixels in another range",
    "SeparableConv2D": "Separable convolution: each channel is filtered, then the channels are mixed",
    "ZeroPadding2D": "Padding: a border of zeros",
}


@dataclass(frozen=True)
class Bar:
    """A class and what the network gives it; `width` from 0 to 100."""

    name: str
    text: str
    width: float
    is_true: bool


@dataclass
class Step:
    """What one layer makes of an image.

    Attributes:
        name, words: of the layer, and what it does.
        shape: of what comes out, in words.
        note: about the values.
        picture: uint8 (h, w, 3) or None.
        bars: of the last layers instead of a picture.
        src: `picture` as a data URI, once it is encoded.
    """

    name: str
    words: str
    shape: str
    note: str = ""
    picture: np.ndarray | None = None
    bars: list[Bar] = field(default_factory=list)
    src: str = ""


@dataclass(frozen=True)
class Example:
    """An image on its way through the network."""

    row: int
    steps: list[Step]


@dataclass(frozen=True)
class Dead:
    """The ReLU channels of a layer, and which of them gave nothing but 0."""

    layer: str
    channels: int
    dead: list[int]


@dataclass(frozen=True)
class Inside:
    """Examples with their steps, dead channels, and what was left out of both."""

    examples: list[Example]
    steps: int
    all_steps: int
    dead: list[Dead]
    dead_images: int


def look_inside(model: Model, watched: Watched, found: Classified) -> Inside:
    """Steps of a few telling images, and dead channels over up to 256 images spread over the data."""
    rows = _examples(found)
    examples: dict[int, Example] = {}
    counted = (0, 0)
    for some, images in watched.again(rows, found.digests, MAX_EXAMPLES):
        probe = Probe(model, images, op="report", batch_size=1)
        places, tail = _path(probe)
        steps = _limited(places)
        counted = len(steps), len(places)
        thumbnails = pictures.displayed(images, found.pixel_range)
        for i, state in enumerate(probe.run(values=steps)):
            row = some[i]
            made = [_input_step(thumbnails[i], images.shape[1:])]
            made += [_step(place, value[0]) for place, value in zip(steps, state.values, strict=True)]
            made += _last_steps(probe, tail, state.scores[0], found, row)
            examples[row] = Example(row, made)
    dead, looked = _dead_channels(model, watched, found)
    return Inside([examples[row] for row in rows], *counted, dead, looked)


def _examples(found: Classified) -> list[int]:
    """The two most confident mistakes, then the most confident right answers of different classes."""
    order = np.argsort(-found.confidence, kind="stable")
    wrong = [int(row) for row in order if found.true[row] != found.predicted[row]][:2]
    right: dict[int, int] = {}
    for row in order:
        if found.true[row] == found.predicted[row]:
            right.setdefault(int(found.true[row]), int(row))
    return (wrong + list(right.values()))[:MAX_EXAMPLES]


def _path(probe: Probe) -> tuple[list[Place], list[Place]]:
    """The places on the way to the scores, and those at the end that give them or come after them."""
    leaves = [p for p in probe.places if p.is_leaf and type(p.layer).__name__ not in _NOTHING]
    tail: list[Place] = []
    while leaves and not leaves[-1].on_the_way:
        tail.insert(0, leaves.pop())
    graph, scores = probe.graph()
    if leaves and leaves[-1].value(graph) is scores:
        tail.insert(0, leaves.pop())
    return [p for p in leaves if p.on_the_way], tail


def _limited(places: list[Place]) -> list[Place]:
    if len(places) > MAX_STEPS:
        places = [p for p in places if type(p.layer).__name__ not in _LESS_TELLING]
    if len(places) > MAX_STEPS:
        places = [places[i] for i in np.unique(np.linspace(0, len(places) - 1, MAX_STEPS).round().astype(int))]
    return places


def _input_step(image: np.ndarray, shape: tuple[int, ...]) -> Step:
    picture = pictures.enlarged(pictures.shrunk(image, 256), 256)
    return Step("image", "The image as the network gets it", "x".join(map(str, shape)), picture=picture)


def _step(place: Place, value: np.ndarray) -> Step:
    step = Step(_named(place), _words(place), "x".join(map(str, value.shape)))
    if value.ndim == 3:
        step.shape = f"{value.shape[2]} maps of {value.shape[0]}x{value.shape[1]}"
        step.picture = pictures.mosaic(value, (1 + (value.shape[2] <= 32)) * pictures.LEVELS[0].cell, MAX_CHANNELS)
        if value.shape[2] > MAX_CHANNELS:
            step.note = f"The first {MAX_CHANNELS} maps are drawn. "
    elif value.ndim == 1:
        step.shape = f"{len(value)} numbers"
        step.picture = pictures.cells_of_vector(value)
    step.note += f"Values from {value.min():.3g} to {value.max():.3g}"
    if is_relu(place.layer):
        step.note += f"; {np.mean(value <= 0):.0%} are 0"
    step.note += "."
    return step


def _last_steps(probe: Probe, tail: list[Place], scores: np.ndarray, found: Classified, row: int) -> list[Step]:
    """The scores as bars, and the probabilities."""
    first, last = (_named(tail[0]), _named(tail[-1])) if tail else ("scores", "answer")
    single = scores.size == 1
    names = [found.class_names[1]] if single else found.class_names
    order = np.argsort(-scores, kind="stable")[:_BARS]
    top = float(np.abs(scores).max()) or 1.0
    true = found.true[row] - 1 if single else found.true[row]
    bars = [Bar(names[k], f"{scores[k]:.3f}", max(0.0, 100 * float(scores[k]) / top), k == true) for k in order]
    more = "" if len(scores) <= _BARS else f" The {_BARS} highest of {len(scores)} are listed."
    words = f"Scores: what speaks for {'class ' + names[0] if single else 'each class'} in sum"
    steps = [Step(first, words, f"{len(scores)} numbers", more.strip(), bars=bars)]
    shares = found.probabilities[row]
    order = np.argsort(-shares, kind="stable")[:_BARS]
    bars = [Bar(found.class_names[k], f"{shares[k]:.1%}", 100 * float(shares[k]), k == found.true[row]) for k in order]
    how = {"softmax": "Softmax: scores become probabilities that add up to 1", "sigmoid": "Sigmoid: scores become "
           "probabilities"}.get(probe.seen_through or "", "The answer: probabilities of the classes")  # fmt: skip
    return [*steps, Step(last, how, f"{len(shares)} classes", bars=bars)]


def is_relu(layer: Any) -> bool:
    """Whether what a layer gives is never below 0 because of a ReLU."""
    if isinstance(layer, ReLU):
        return not layer.negative_slope
    return getattr(layer, "activation", None) in (activations.get("relu"), activations.get("relu6"))


def _dead_channels(model: Model, watched: Watched, found: Classified) -> tuple[list[Dead], int]:
    count = len(found.true)
    rows = np.unique(np.linspace(0, count - 1, min(count, DEAD_IMAGES)).round().astype(int)).tolist()
    alive: list[np.ndarray] = []
    relus: list[Place] = []
    size = 1
    for _, images in watched.again(rows[:1], found.digests, 1):
        relus = _relus(Probe(model, images, op="report"))
        floats = sum(int(np.prod(p.shape[1:])) for p in relus)
        size = int(np.clip(_DEAD_BYTES // (4 * max(floats, 1)), 1, 64))
        alive = [np.zeros(p.shape[-1], bool) for p in relus]
    if not relus:
        return [], 0
    for _, images in watched.again(rows, found.digests, size):
        probe = Probe(model, images, op="report", batch_size=size)
        for state in probe.run(values=_relus(probe)):
            for speaks, value in zip(alive, state.values, strict=True):
                speaks |= (value > 0).any(tuple(range(value.ndim - 1)))
    dead = [
        Dead(_named(place), len(speaks), np.flatnonzero(~speaks).tolist())
        for place, speaks in zip(relus, alive, strict=True)
    ]
    return dead, len(rows)


def _relus(probe: Probe) -> list[Place]:
    return [p for p in probe.places if p.is_leaf and p.on_the_way and is_relu(p.layer)]


def _named(place: Place) -> str:
    return f"{place.name} ({place.application + 1})" if place.application else place.name


def _words(place: Place) -> str:
    kind = type(place.layer).__name__
    words = _WORDS.get(kind, kind)
    function = getattr(place.layer, "activation", None)
    if function is None or function is activations.linear:
        return words + "."
    if kind == "Activation":
        words = "Each value on its own"
    if is_relu(place.layer):
        return f"{words}; then ReLU: what is negative becomes 0."
    return f"{words}; then {getattr(function, '__name__', 'a function').replace('_', ' ')}."
