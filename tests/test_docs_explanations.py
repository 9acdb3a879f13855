"""The examples of docs/explanations.md run, one after the other, on small images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cnnfast.image import save_img

PAGE = Path(__file__).parents[1] / "docs" / "explanations.md"
SMALLER = {'weights="imagenet"': "weights=None, input_shape=(64, 64, 3)", "(224, 224)": "(64, 64)"}


@pytest.mark.filterwarnings("ignore::cnnfast.explain.ExplanationWarning")  # the weights are random
def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("cat-and-dog.jpg", "elephants.jpg"):
        save_img(name, rng.integers(0, 256, (80, 70, 3)), scale=False)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks:
        for old, new in SMALLER.items():
            block = block.replace(old, new)
        exec(compile(block, PAGE.name, "exec"), names)
    shapes = [np.shape(names[name]) for name in ("heat", "cat", "early", "fused")]
    assert shapes == [(2, 64, 64), (1, 64, 64), (2, 64, 64), (2, 64, 64)]
