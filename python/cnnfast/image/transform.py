"""`Transform`, the base of everything that changes images at random, and how a batch enters and leaves it."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import numpy as np

from cnnfast.configurable import Configurable
from cnnfast.image import door
from cnnfast.image.arguments import number
from cnnfast.image.pixels import to_dtype
from cnnfast.image.work import Work, boxes_in_frame
from cnnfast.registry import Registry


class Augmented(NamedTuple):
    """What a transform gives: the parts that it was given, None for those that it was not.

    Attributes:
        images: (N, P, Q, C), the dtype of the input.
        masks: (N, P, Q) or (N, P, Q, C), the dtype of the input.
        boxes: for each image an array (n, 4), float64; x_min, y_min, x_max, y_max.
        labels: labels of the images, or for each image those of the boxes that are left.
        keypoints: for each image an array (n, 2), float64; x, y; also those outside of the image.
    """

    images: Any
    masks: Any = None
    boxes: Any = None
    labels: Any = None
    keypoints: Any = None


class Transform(Configurable):
    """Base of all transforms: called on a batch of images, or on one, it gives changed copies.

    What happens to an image depends on `seed`, `epoch` and its number in `samples`, and on nothing else: not on
    the other images of the batch, their order, or the number of threads. (MixUp and CutMix alone mix an image with
    another one of its batch.)

    A subclass keeps the arguments of its constructor under their names and defines `apply`.
    """

    def __call__(
        self,
        images: Any,
        *,
        seed: int = 0,
        epoch: int = 0,
        samples: Any = None,
        masks: Any = None,
        boxes: Any = None,
        labels: Any = None,
        keypoints: Any = None,
        value_range: float = 255.0,
        min_visible: float = 0.0,
        threads: int | None = None,
    ) -> Augmented:
        """Transforms a batch.

        Args:
            images: (N, H, W, C), or one image (H, W, C): uint8, or floats from 0 to `value_range`; floats give
                float32.
            seed: key of the randomness, 0 to 2**128 - 1.
            epoch: number of the pass over the data, from 0.
            samples: number of each image in the data set, (N,) or one number; default 0 to N - 1.
            masks: (N, H, W) or (N, H, W, C), or those of one image: take the same geometry without interpolation,
                and no change of colour.
            boxes: for each image (n, 4), in pixels from the upper left corner of the image: x_min, y_min, x_max,
                y_max; the whole image is (0, 0, W, H). They become the boxes around their moved corners, cut
                off at the edges; those of which nothing is left are dropped, together with their labels.
            labels: with boxes, for each image the n labels of its boxes; else labels (N,) or one-hot (N, K) of the
                images, which only MixUp and CutMix change.
            keypoints: for each image (n, 2), x and y; none is dropped.
            value_range: white in float images: 255 or 1, say.
            min_visible: boxes of which a smaller part than this would be left are dropped, too.
            threads: 1 computes on the calling thread only; None on as many as the engine has.

        Returns:
            `Augmented`: images, masks, boxes, labels, keypoints; new arrays, as many dimensions as came in.

        Raises:
            TypeError: arrays of another dtype. ValueError: shapes or lengths that do not fit, float images outside
                their range, what the transform cannot work with.
        """
        single = np.ndim(images) == 3
        if single:
            images, samples, masks, boxes, labels, keypoints = (
                None if part is None else [part] for part in (images, samples, masks, boxes, labels, keypoints)
            )
        op = type(self).__name__
        array = door.check_images(op, np.asarray(images))
        count = len(array)
        mask_array = None if masks is None else door.check_masks(op, np.asarray(masks), array.shape)
        box_list = None if boxes is None else door.check_points(op, "boxes", boxes, count, 4)
        box_labels = None
        if labels is not None and box_list is not None:
            box_labels, labels = door.check_box_labels(op, labels, box_list), None
        number(op, "min_visible", min_visible, 0.0, 1.0)
        work = Work(
            array,
            door.generators(op, seed, epoch, samples, count),
            scale=number(op, "value_range", value_range, 1e-6),
            masks=mask_array,
            boxes=box_list,
            keypoints=None if keypoints is None else door.check_points(op, "keypoints", keypoints, count, 2),
            labels=None if labels is None else door.check_labels(op, labels, count),
            threads=threads,
        )
        self.prepare(work)
        self.apply(work, np.arange(count))
        done = Augmented(work.writable(np.arange(count)), work.masks(), None, work.labels, work.keypoints)
        if masks is not None:
            done = done._replace(masks=_as_they_came(done.masks, np.asarray(masks)))
        if work.corners is not None:
            found, left = _boxes_left(work, box_labels, min_visible)
            done = done._replace(boxes=found, labels=left)
        return Augmented(*(None if part is None else part[0] for part in done)) if single else done

    def prepare(self, work: Work) -> None:
        """Looks at a batch before anything is done to it, and refuses what the transform cannot work with."""

    def apply(self, work: Work, which: np.ndarray) -> None:
        """Changes the images of the batch whose numbers are in `which`."""
        raise TypeError(f"{type(self).__name__}: a transform must define apply()")

    def plain_labels(self, labels: Any) -> Any:
        """Labels (N,) or (N, K) in the form in which a call gives them, unmixed."""
        return labels

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        given = {name: getattr(self, name) for name in defaults}
        arguments = (f"{name}={value!r}" for name, value in given.items() if _plain(value) != _plain(defaults[name]))
        return f"{type(self).__name__}({', '.join(arguments)})"

    def get_config(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in super().get_config().items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in config.items()})


TRANSFORMS: Registry[Transform] = Registry("transform")


def _plain(value: Any) -> Any:
    """An argument as JSON gives it back."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _as_they_came(masks: Any, given: np.ndarray) -> np.ndarray:
    """Masks (N, P, Q, C) with the dtype and the rank that they had at first, in memory of their own."""
    found = np.asarray(masks if given.ndim == 4 else masks[..., 0])
    done = found.astype(bool) if given.dtype == bool else to_dtype(found, given.dtype)
    return done.copy() if np.may_share_memory(done, given) else done


def _boxes_left(work: Work, labels: list[np.ndarray] | None, min_visible: float) -> tuple[list[np.ndarray], Any]:
    assert work.corners is not None
    boxes, kept = zip(*(boxes_in_frame(c, work.size, min_visible) for c in work.corners), strict=True)
    left = None if labels is None else [label[stay] for label, stay in zip(labels, kept, strict=True)]
    return list(boxes), left
