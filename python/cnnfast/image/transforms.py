"""Random changes of images for training, with their masks, boxes and labels; and ready-made chains of them.

augment = transforms.Compose([transforms.RandomFlip(), transforms.RandomAffine(rotation=15, zoom=0.2)])
augment(images, seed=0, epoch=3, samples=numbers).images

What happens to an image is drawn from (seed, epoch, number of the sample) alone. `AugmentedDataset` does it in the
background of a training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnfast.configurable import describe, restore
from cnnfast.image.augmented import AugmentedDataset
from cnnfast.image.colour import (
    AutoContrast,
    ColorJitter,
    Equalize,
    Grayscale,
    Invert,
    Posterize,
    Sharpness,
    Solarize,
)
from cnnfast.image.compose import Compose, OneOf, RandomApply
from cnnfast.image.erase import Cutout, RandomErasing
from cnnfast.image.geometry import (
    CenterCrop,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomRotation,
    Resize,
)
from cnnfast.image.mixing import CutMix, MixUp
from cnnfast.image.policies import RandAugment, TrivialAugment
from cnnfast.image.transform import TRANSFORMS, Augmented, Transform

__all__ = [
    "Augmented",
    "AugmentedDataset",
    "AutoContrast",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "Equalize",
    "Grayscale",
    "Invert",
    "MixUp",
    "OneOf",
    "PRESETS",
    "Pad",
    "Posterize",
    "RandAugment",
    "RandomAffine",
    "RandomApply",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "Resize",
    "Sharpness",
    "Solarize",
    "Transform",
    "TrivialAugment",
    "deserialize",
    "get",
    "register",
    "serialize",
]


def _light() -> Transform:
    """Mirrored, and moved by up to 10 %: what nearly every photo can bear."""
    return Compose([RandomFlip(), RandomAffine(shift=0.1, zoom=0.1)])


def _standard() -> Transform:
    """Mirrored, turned, moved and zoomed in one warp, colours slightly changed: for some thousand photos."""
    return Compose(
        [
            RandomFlip(),
            RandomAffine(rotation=15, shift=0.1, shear=5, zoom=0.2),
            ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
        ]
    )


def _strong() -> Transform:
    """Crops from a third of the area on, mirrored, turned, colours changed, a quarter covered: for long trainings."""
    return Compose(
        [
            RandomResizedCrop(scale=(0.35, 1.0)),
            RandomFlip(),
            RandomAffine(rotation=20, shear=10),
            ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05),
            Cutout(0.25, p=0.5),
        ]
    )


def _randaugment() -> Transform:
    """Mirrored, moved, then RandAugment with 2 operations at magnitude 9 of 30."""
    return Compose([RandomFlip(), RandomAffine(shift=0.1), RandAugment()])


def _trivial() -> Transform:
    """Mirrored, moved, then TrivialAugment Wide: nothing to tune."""
    return Compose([RandomFlip(), RandomAffine(shift=0.1), TrivialAugment()])


PRESETS: dict[str, Callable[[], Transform]] = {
    "light": _light,
    "standard": _standard,
    "strong": _strong,
    "randaugment": _randaugment,
    "trivial": _trivial,
}


def get(identifier: Any) -> Transform | None:
    """The transform that an identifier means.

    Args:
        identifier: a transform; the name of one of `PRESETS`: "light", "standard", "strong", "randaugment" or
            "trivial"; a description from `serialize`; None for none.

    Raises:
        ValueError: an unknown name, or a description with unknown names or arguments. TypeError: something else.

    Example:
        >>> from cnnfast.image import transforms
        >>> transforms.get("light")
        Compose(transforms=[RandomFlip(), RandomAffine(shift=0.1, zoom=0.1)])
    """
    if identifier is None or isinstance(identifier, Transform):
        return identifier
    if isinstance(identifier, str):
        if identifier not in PRESETS:
            raise ValueError(f"transforms.get: unknown preset {identifier!r}; known: {', '.join(PRESETS)}")
        return PRESETS[identifier]()
    if isinstance(identifier, dict):
        return deserialize(identifier)
    raise TypeError(f"transforms.get: expected a transform, a name or a description, came {identifier!r}")


def serialize(transform: Transform) -> dict[str, Any]:
    """The description of a transform, as JSON can hold it. ValueError if its class is not registered."""
    return describe(TRANSFORMS, transform)


def deserialize(description: dict[str, Any]) -> Transform:
    """The transform of a description. ValueError for unknown classes or arguments that do not fit."""
    return restore(TRANSFORMS, description)


def register(cls: type[Transform]) -> type[Transform]:
    """Lets descriptions name a transform of one's own; usable as a decorator."""
    return TRANSFORMS.add(cls)
