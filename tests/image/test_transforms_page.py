"""The examples of docs/transforms.md run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cnnfast import Input, Sequential, layers, random
from cnnfast.image import transforms
from tests.image.pictures import photos

PAGE = Path(__file__).parents[2] / "docs" / "transforms.md"


def test_the_page_runs(monkeypatch, rng):
    monkeypatch.setattr(transforms.TRANSFORMS, "_classes", dict(transforms.TRANSFORMS._classes))
    random.set_seed(1)
    x, x_val = photos(rng, 12, 16, 16), photos(rng, 4, 16, 16)
    y, y_val = np.eye(10)[np.arange(12) % 10], np.eye(10)[:4]
    model = Sequential([Input((16, 16, 3)), layers.Rescaling(1 / 255), layers.Flatten()])
    model.add(layers.Dense(10, activation="softmax"))
    model.compile("sgd", "categorical_crossentropy")
    names = {
        "images": x, "masks": np.ones((12, 16, 16), np.uint8), "boxes": [[[2, 2, 9, 9]]] * 12, "names": [["cat"]] * 12,
        "points": [[[3, 4]]] * 12, "x": x, "y": y, "x_val": x_val, "y_val": y_val, "model": model,
    }  # fmt: skip
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(block.replace("epochs=30", "epochs=2, verbose=0"), names)
    model.fit(names["data"], verbose=0)
    dark = transforms.Compose([transforms.RandomFlip(), names["Darken"](0.9)])
    assert transforms.get(transforms.serialize(dark)) == dark
    assert dark(x, seed=1).images.mean() < x.mean()
