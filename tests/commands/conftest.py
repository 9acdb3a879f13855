"""Folders of small pictures that two classes of which can be told apart, and the command line as a function."""

import numpy as np
import pytest

from cnnfast.cli import main
from cnnfast.image.decode import save_img

SIZE = 48


def draw(path, classes, count, seed):
    """`count` pictures for each class: noise with a bright square whose colour is the class."""
    generator = np.random.default_rng(seed)
    for channel, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for i in range(count):
            picture = generator.integers(0, 120, (SIZE, SIZE, 3))
            row, column = generator.integers(0, SIZE // 2, 2)
            picture[row : row + SIZE // 2, column : column + SIZE // 2, channel] += 120
            save_img(path / name / f"{i}.png", picture, scale=False)


@pytest.fixture
def photos(tmp_path):
    draw(tmp_path / "photos", ["red", "green"], 20, 1)
    return tmp_path / "photos"


@pytest.fixture
def run(capsys):
    """Runs `cnnfast` with some words; returns the exit status, what it printed, and its errors."""

    def run_command(*words):
        status = main([str(word) for word in words])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run_command
