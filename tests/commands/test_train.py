"""`cnnfast train`: what it leaves behind, that it goes on after an interruption, and what it refuses."""

import csv
import json

import numpy as np
import pytest

import cnnfast
from cnnfast import callbacks
from tests.commands.conftest import SIZE, draw

QUICK = ("--image-size", SIZE, "--epochs", 3, "--batch-size", 8)


def weights_in(run_folder):
    return cnnfast.load_model(run_folder / "model.safetensors").get_weights()


def test_a_folder_of_photos_becomes_a_model_tables_and_pictures(photos, run, tmp_path):
    out = tmp_path / "run"
    status, printed, errors = run("train", photos, "--out", out, *QUICK)
    assert (status, errors) == (0, "")
    assert "32 images to train with, classes: green, red" in printed
    assert "8 images to validate with" in printed
    assert sorted(path.name for path in out.iterdir() if path.name != "mistakes.png") == [
        "confusion_matrix.png", "curves-scratch.png", "history-scratch.csv", "model.safetensors", "run.json",
        "validation.csv",
    ]  # fmt: skip
    assert cnnfast.load_model(out / "model.safetensors").class_names == ["green", "red"]
    [stage] = json.loads((out / "run.json").read_text())["stages"]
    with open(out / "history-scratch.csv") as file:
        accuracies = [float(row["val_accuracy"]) for row in csv.DictReader(file)]
    assert stage["val_accuracy"] == max(accuracies) == accuracies[stage["best_epoch"] - 1]
    with open(out / "validation.csv") as file:
        rows = list(csv.DictReader(file))
    right = np.mean([row["true"] == row["predicted"] for row in rows])
    assert right == pytest.approx(stage["val_accuracy"])


def test_validation_keeps_the_same_share_of_each_class(photos, run, tmp_path):
    run("train", photos, "--out", tmp_path / "run", *QUICK)
    with open(tmp_path / "run" / "validation.csv") as file:
        names = [row["true"] for row in csv.DictReader(file)]
    assert (names.count("green"), names.count("red")) == (4, 4)


def test_train_and_validation_folders_are_found(tmp_path, run):
    draw(tmp_path / "pets" / "train", ["red", "green"], 8, 1)
    draw(tmp_path / "pets" / "validation", ["red", "green"], 4, 2)
    status, printed, _ = run("train", tmp_path / "pets", "--out", tmp_path / "run", *QUICK)
    assert status == 0
    assert "16 images to train with" in printed
    assert "8 images to validate with" in printed


class Interruption(callbacks.Callback):
    """Ctrl-C at the end of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_bit_for_bit(photos, run, tmp_path, monkeypatch):
    run("train", photos, "--out", tmp_path / "straight", *QUICK)
    real = callbacks.EarlyStopping
    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "EarlyStopping", lambda *_, **__: Interruption(2))
        status, _, errors = run("train", photos, "--out", tmp_path / "halved", *QUICK)
    assert status == 130
    assert errors == f"cnnfast train: stopped; cnnfast train --out {tmp_path / 'halved'} goes on from here\n"
    assert callbacks.EarlyStopping is real
    status, printed, _ = run("train", "--out", tmp_path / "halved")
    assert status == 0
    assert "Epoch 3/3" in printed and "Epoch 2/3" not in printed
    for mine, other in zip(weights_in(tmp_path / "halved"), weights_in(tmp_path / "straight"), strict=True):
        assert np.array_equal(mine, other)


def test_a_finished_training_is_not_trained_again(photos, run, tmp_path):
    run("train", photos, "--out", tmp_path / "run", *QUICK)
    before = weights_in(tmp_path / "run")
    status, printed, _ = run("train", photos, "--out", tmp_path / "run", *QUICK)
    assert status == 0
    assert "scratch: finished before" in printed and "Epoch" not in printed
    assert all(map(np.array_equal, before, weights_in(tmp_path / "run")))


def test_another_training_is_not_overwritten(photos, run, tmp_path):
    run("train", photos, "--out", tmp_path / "run", *QUICK)
    status, _, errors = run("train", photos, "--out", tmp_path / "run", *QUICK, "--seed", 2)
    assert status == 1
    assert "holds another training (seed 1, now 2)" in errors


def test_unreadable_files_are_named_and_left_out_or_refused(photos, run, tmp_path):
    (photos / "red" / "broken.jpg").write_text("not a picture")
    status, _, errors = run("train", photos, "--out", tmp_path / "run", *QUICK)
    assert status == 0
    assert "broken.jpg" in errors
    status, _, errors = run("train", photos, "--out", tmp_path / "strict", *QUICK, "--on-error", "raise")
    assert status == 1
    assert "broken.jpg" in errors


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "there is no folder"),
        (lambda path: path.mkdir(), "has no folders"),
        (lambda path: (path / "cats").mkdir(parents=True), "no images"),
        (lambda path: draw(path, ["cats"], 3, 1), "has one class, 'cats'"),
        (lambda path: path.write_text(""), "is a file, expected a folder"),
    ],
)
def test_a_folder_without_classes_of_photos_is_refused(prepare, message, run, tmp_path):
    prepare(tmp_path / "photos")
    status, _, errors = run("train", tmp_path / "photos", "--out", tmp_path / "run", *QUICK)
    assert status == 1
    assert message in errors


def test_other_classes_in_the_validation_folder_are_refused(photos, run, tmp_path):
    draw(tmp_path / "held", ["red", "yellow"], 2, 1)
    status, _, errors = run("train", photos, "--validation", tmp_path / "held", "--out", tmp_path / "run", *QUICK)
    assert status == 1
    assert "['green', 'red']" in errors and "['red', 'yellow']" in errors


def test_going_on_needs_a_training(run, tmp_path):
    status, _, errors = run("train", "--out", tmp_path / "nothing")
    assert status == 1
    assert "holds no training" in errors


@pytest.mark.parametrize("option", [("--weights", "w.npz"), ("--fine-tune", "block5"), ("--variant", "keras")])
def test_options_of_a_base_need_a_base(option, photos, run, tmp_path):
    status, _, errors = run("train", photos, "--out", tmp_path / "run", *option)
    assert status == 1
    assert f"{option[0]} needs --base" in errors


def test_damaged_notes_are_named(photos, run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"version": 1, "settings": {"seed": 1}, "stages": []}')
    status, _, errors = run("train", "--out", tmp_path / "run")
    assert status == 1
    assert "run.json does not describe a training" in errors
