"""The examples of docs/augmentation.md run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cnnfast import Sequential, layers
from tests.image.files import folder, smooth

PAGE = Path(__file__).parents[2] / "docs" / "augmentation.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def compiled(*parts):
    model = Sequential(list(parts))
    model.compile("adam", "binary_crossentropy")
    return model


@pytest.mark.filterwarnings("ignore:The input ran out of data")
def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part in "train", "validation":
        folder(Path("data") / part, {"cats": 2, "dogs": 2})
    classifier = compiled(layers.Input((150, 150, 3)), layers.GlobalAveragePooling2D(), layers.Dense(1, "sigmoid"))
    segmenter = compiled(layers.Input((16, 16, 3)), layers.Conv2D(1, 1, activation="sigmoid"))
    names = {
        "x": np.stack([smooth(16, 16, seed=seed) for seed in range(4)]),
        "y": np.stack([smooth(16, 16, 1, seed) > 128 for seed in range(4)]).astype(np.uint8),
    }
    assert len(EXAMPLES) == 2
    for example, model in zip(EXAMPLES, (classifier, segmenter), strict=True):
        exec(example.replace("epochs=30", "epochs=2, verbose=0"), names | {"model": model}, names)
        assert len(model.history.history["loss"]) == 2
    images, masks = names["images"], names["masks"]
    assert set(np.unique(next(masks))) <= {0, 1} and next(images).max() <= 1
