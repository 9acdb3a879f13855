"""The examples of docs/fine-tuning.md run, one after the other, on small images and few epochs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cnnfast.image import save_img

PAGE = Path(__file__).parents[1] / "docs" / "fine-tuning.md"
SMALLER = {
    r'weights="imagenet"': "weights=None",
    r"150": "32",
    r"epochs=\d+": "epochs=1",
    r"batch_size=20": "batch_size=4",
}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for part in ("train", "validation"):
        for kind in ("cats", "dogs"):
            (tmp_path / "photos" / part / kind).mkdir(parents=True)
            for i in range(4):
                save_img(tmp_path / "photos" / part / kind / f"{i}.png", rng.integers(0, 256, (40, 36, 3)), scale=False)


def test_the_examples_of_the_page_run(photos):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, object] = {}
    for block in blocks:
        for old, new in SMALLER.items():
            block = re.sub(old, new, block)
        exec(compile(block, PAGE.name, "exec"), names)
    assert names["features"].shape == (4, 2, 2, 512) and names["predictions"].shape == (4, 1)
    assert names["labels"].ravel().tolist() == ["dogs" in file for file in names["filenames"]]
    assert len(list(Path("features").iterdir())) == 2
