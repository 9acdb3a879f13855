"""What speaks for each class in the images that a report shows: Grad-CAM, a batch at a time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnnfast.explain import ExplanationWarning, gradcam
from cnnfast.explain.probe import Probe
from cnnfast.models.model import Model
from cnnfast.report import images as pictures
from cnnfast.report.data import Classified, Watched

_BATCH = 16


@dataclass
class Shown:
    """An image that the report shows.

    Attributes:
        row: which of the classified images it is.
        thumbnail: uint8 (h, w, 3).
        heats: Grad-CAM (P, Q) from 0 to 1 for the predicted class and, if that is wrong, for the true one.
        empty: of each, whether nothing in the maps speaks for the class.
    """

    row: int
    thumbnail: np.ndarray
    heats: list[np.ndarray] = field(default_factory=list)
    empty: list[bool] = field(default_factory=list)

    def strip(self, side: int) -> np.ndarray:
        """The image and it under each heat map, beside each other; no higher or wider than `side` each."""
        image = pictures.shrunk(self.thumbnail, side)
        return pictures.strip([image, *(pictures.with_heat(image, heat) for heat in self.heats)])


@dataclass(frozen=True)
class Explained:
    """The images of a report.

    Attributes:
        shown: by row.
        layer: whose maps were used; empty if there are none.
        reason: why there are none; empty if there are.
    """

    shown: dict[int, Shown]
    layer: str
    reason: str


def chosen_rows(found: Classified, count: int) -> list[int]:
    """Which images to show: the mistakes, most confident first, then of each class the first right ones, in turn."""
    wrong = np.flatnonzero(found.true != found.predicted)
    wrong = wrong[np.argsort(-found.confidence[wrong], kind="stable")]
    right = np.flatnonzero(found.true == found.predicted)
    turn = np.zeros(len(right), int)
    for k in np.unique(found.true[right]):
        of_class = found.true[right] == k
        turn[of_class] = np.arange(of_class.sum())
    right = right[np.argsort(turn, kind="stable")]
    return [int(row) for row in np.concatenate([wrong, right])[:count]]


def explain(model: Model, watched: Watched, found: Classified, rows: Sequence[int]) -> Explained:
    """Thumbnails and Grad-CAM of some rows; thumbnails alone for a model without convolutional maps."""
    shown: dict[int, Shown] = {}
    layer, reason = "", ""
    for some, images in watched.again(rows, found.digests, _BATCH):
        if not layer and not reason:
            layer, reason = _explained_layer(model, images)
        thumbnails = pictures.displayed(images, found.pixel_range)
        for row, thumbnail in zip(some, thumbnails, strict=True):
            shown[row] = Shown(row, pictures.shrunk(thumbnail, pictures.LARGEST))
        if layer:
            _add_heat(model, images, found.predicted[some], [shown[row] for row in some])
    if layer:
        mistakes = [row for row in rows if found.true[row] != found.predicted[row]]
        for some, images in watched.again(mistakes, found.digests, _BATCH):
            _add_heat(model, images, found.true[some], [shown[row] for row in some])
    return Explained(shown, layer, reason)


def _explained_layer(model: Model, images: np.ndarray) -> tuple[str, str]:
    if images.ndim != 4:
        return "", f"the model takes {images.shape}, not images (N,H,W,C)"
    try:
        return Probe(model, images[:1], op="gradcam").maps("auto").name, ""
    except ValueError as error:
        return "", str(error)


def _add_heat(model: Model, images: np.ndarray, classes: np.ndarray, shown: Sequence[Shown]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExplanationWarning)  # the page says it of each image
        heats = gradcam(model, images, target=classes.tolist(), upsample=False, batch_size=_BATCH)
    for one, heat in zip(shown, heats, strict=True):
        one.heats.append(heat)
        one.empty.append(not heat.any())
