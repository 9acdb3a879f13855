"""Draw ``docs/transforms.png``: what the transforms make of a drawn picture, its mask and its box.

python tools/draw_transforms.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cnnfast.image import transforms

TARGET = Path(__file__).parents[1] / "docs" / "transforms.png"
SIZE, FINE = 120, 4  # pixels, and points along each of them
HOUSE = (60, 53, 102, 94)
Shape = np.ndarray


def landscape(night: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A house by a tree under the sun, or under the moon: picture (SIZE, SIZE, 3) and mask of the house."""
    y, x = (np.mgrid[: SIZE * FINE, : SIZE * FINE] + 0.5) / FINE
    sky = ((20, 24, 60), (90, 80, 130)) if night else ((70, 140, 220), (205, 230, 250))
    canvas = np.array(sky[0]) + (y / 90)[..., None].clip(0, 1) * (np.array(sky[1]) - sky[0])

    def paint(shape: Shape, colour: tuple[int, int, int]) -> None:
        dimmed = np.array(colour) * (np.array([0.4, 0.45, 0.65]) if night else 1.0)
        canvas[shape] = dimmed

    def light(shape: Shape, colour: tuple[int, int, int]) -> None:
        canvas[shape] = colour

    light(np.hypot(x - 24, y - 24) < 11, (245, 240, 215) if night else (255, 214, 60))
    if night:
        for column, row in np.random.default_rng(3).uniform(4, 116, (30, 2)) * (1, 0.45):
            light(np.hypot(x - column, y - row) < 0.7, (240, 240, 255))
    paint(y > 74 + 7 * np.sin(x / 17 + 2), (120, 170, 90))
    paint(y > 86 + 5 * np.sin(x / 23), (84, 140, 70))
    paint((abs(x - 34) < 3) & (y > 66) & (y < 96), (110, 75, 45))
    for column, row, radius in ((34, 56, 13), (26, 63, 9), (43, 62, 9)):
        paint(np.hypot(x - column, y - row) < radius, (45, 115, 60))
    walls = (x > 63) & (x < 99) & (y > 68) & (y < 94)
    roof = (y > 53) & (y < 69) & (abs(x - 81) < (y - 53) * 21 / 16)
    paint(walls, (235, 215, 185))
    paint(roof, (190, 65, 50))
    paint((x > 77) & (x < 85) & (y > 78) & (y < 94), (120, 80, 50))
    for left in (67, 89):
        light((x > left) & (x < left + 6) & (y > 75) & (y < 82), (255, 225, 120) if night else (150, 200, 235))
    fine = canvas.reshape(SIZE, FINE, SIZE, FINE, 3).mean((1, 3))
    mask = (walls | roof).reshape(SIZE, FINE, SIZE, FINE).mean((1, 3)) > 0.5
    return np.rint(fine).clip(0, 255).astype(np.uint8), mask


def rows() -> list[tuple[str, transforms.Transform]]:
    """What is shown, a row of examples each."""
    return [
        (
            "RandomAffine,\nmask, box",
            transforms.Compose([transforms.RandomFlip(), transforms.RandomAffine(25, 0.1, 10, 0.25)]),
        ),
        ("RandomResizedCrop", transforms.RandomResizedCrop(scale=(0.25, 0.8))),
        ("ColorJitter", transforms.ColorJitter(0.4, 0.4, 0.7, 0.12)),
        ("Cutout", transforms.Cutout(0.35, fill="mean")),
        ("RandAugment", transforms.RandAugment(2, 14)),
        ("TrivialAugment", transforms.TrivialAugment()),
        ("MixUp", transforms.MixUp(2, alpha=3.0)),
        ("CutMix", transforms.CutMix(2, alpha=2.0)),
    ]


def draw(columns: int = 7) -> Figure:
    """The sheet: a row for each transform, the picture itself at its left."""
    (day, mask), (night, _) = landscape(), landscape(night=True)
    listed = rows()
    figure = Figure(figsize=(1.16 * (columns + 1) + 0.9, 1.2 * len(listed)), layout="constrained", dpi=110)
    grid = figure.subplots(len(listed), columns + 1)
    for line, (name, transform) in zip(grid, listed, strict=True):
        mixes = name in ("MixUp", "CutMix")
        boxed = "box" in name
        images = np.stack([day, *[night if mixes and i % 2 else day for i in range(1, columns + 1)]])[1:]
        if mixes:
            labels = np.arange(1, columns + 1) % 2
            tries = (transform(images, seed=seed, labels=labels) for seed in range(1000))
            out = next(out for out in tries if (out.labels.min(1) > 0.1).sum() >= columns - 1)  # day meets night
        elif boxed:
            out = transform(images, seed=2, masks=np.stack([mask] * columns), boxes=[[HOUSE]] * columns)
        else:
            out = transform(images, seed=2)
        for i, axes in enumerate(line):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.imshow(day if i == 0 else out.images[i - 1], extent=(0, SIZE, SIZE, 0))
            if boxed:
                outline(axes, mask if i == 0 else out.masks[i - 1], [HOUSE] if i == 0 else out.boxes[i - 1])
            if mixes and i:
                axes.set_xlabel(f"{out.labels[i - 1, 0]:.0%} day", fontsize=7, labelpad=2)
        line[0].set_ylabel(name, fontsize=8)
    return figure


def outline(axes: object, mask: np.ndarray, boxes: object) -> None:
    """The edge of a mask, and boxes."""
    centres = np.arange(SIZE) + 0.5
    axes.contour(centres, centres, mask, levels=[0.5], colors="white", linewidths=0.9)
    for x_min, y_min, x_max, y_max in boxes:
        axes.plot([x_min, x_max, x_max, x_min, x_min], [y_min, y_min, y_max, y_max, y_min], color="#ffd400", lw=1.1)


if __name__ == "__main__":
    draw().savefig(TARGET)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")
