"""`cnnfast evaluate` and `cnnfast predict`: what they print and write, and what they refuse."""

import csv

import numpy as np
import pytest

import cnnfast
from cnnfast import layers
from cnnfast.image.decode import read_image
from tests.commands.conftest import SIZE, draw


@pytest.fixture
def colours(tmp_path):
    """A model that needs no training: it compares the means of two channels."""
    model = cnnfast.Sequential(
        [
            layers.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 255),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    # red pictures have a mean red that is higher, green ones a mean green
    model.layers[-1].set_weights([np.array([[-50, 50], [50, -50], [0, 0]]), np.zeros(2)])
    model.class_names = ["green", "red"]
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_evaluate_tells_accuracy_recall_and_precision(colours, photos, run, tmp_path):
    (photos / "green" / "0.png").rename(photos / "red" / "wrong.png")
    status, printed, _ = run("evaluate", colours, photos, "--out", tmp_path / "out")
    assert status == 0
    assert "accuracy 0.9750 on 40 images" in printed
    lines = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line}
    assert lines["green"] == ["19", "1.0000", "0.9500"]
    assert lines["red"] == ["21", "0.9524", "1.0000"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "confusion_matrix.png", "evaluation.csv", "mistakes.png",
    ]  # fmt: skip
    with open(tmp_path / "out" / "evaluation.csv") as file:
        wrong = [row["filename"] for row in csv.DictReader(file) if row["true"] != row["predicted"]]
    assert wrong == ["red/wrong.png"]


def test_evaluate_refuses_a_folder_of_other_classes(colours, run, tmp_path):
    draw(tmp_path / "fruit", ["apple", "pear"], 2, 1)
    status, _, errors = run("evaluate", colours, tmp_path / "fruit")
    assert status == 1
    assert "no folder for class 'green'" in errors


def test_predict_prints_and_writes_the_scores_of_files_and_folders(colours, photos, run, tmp_path):
    single = photos / "red" / "3.png"
    status, printed, _ = run("predict", colours, single, photos / "green", "--csv", tmp_path / "scores.csv")
    assert status == 0
    assert printed.splitlines()[0].split()[:2] == [str(single), "red"]
    with open(tmp_path / "scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["red"] + ["green"] * 20
    scores = cnnfast.load_model(colours).predict(read_image(single, size=(SIZE, SIZE))[None], verbose=0)[0]
    assert [float(rows[0][name]) for name in ("green", "red")] == pytest.approx(scores.tolist())


def test_predict_names_unreadable_files_and_goes_on(colours, photos, run, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    status, printed, errors = run("predict", colours, tmp_path / "broken.png", photos / "red" / "1.png")
    assert status == 1
    assert "broken.png" in errors and "broken.png" not in printed
    assert "1.png  red" in printed


def test_a_model_that_takes_no_images_is_refused(photos, run, tmp_path):
    model = cnnfast.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.save(tmp_path / "dense.safetensors")
    status, _, errors = run("predict", tmp_path / "dense.safetensors", photos / "red")
    assert status == 1
    assert "does not take images of one size" in errors
