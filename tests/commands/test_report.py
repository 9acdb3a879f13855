"""`cnnfast report`: what it writes and says."""

import numpy as np
import pytest

import cnnfast
from cnnfast import layers
from tests.commands.conftest import SIZE, draw

pytest.importorskip("jinja2")


def test_report_writes_a_page_about_a_folder(photos, run, tmp_path):
    model = cnnfast.Sequential(
        [
            layers.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(3, 1, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    next(x for x in model.layers if isinstance(x, layers.Conv2D)).set_weights([np.eye(3)[None, None], np.zeros(3)])
    model.layers[-1].set_weights([np.array([[-50, 50], [50, -50], [0, 0]]), np.zeros(2)])
    model.class_names = ["green", "red"]
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "log.csv").write_text("epoch,loss\n0,2.0\n1,1.0\n")
    out = tmp_path / "page.html"
    status, printed, _ = run(
        "report",
        tmp_path / "model.safetensors",
        photos,
        "--out",
        out,
        "--history",
        tmp_path / "log.csv",
        "--title",
        "T",
    )
    assert status == 0 and "40 images" in printed
    text = out.read_text(encoding="utf-8")
    assert ">100.00 %<" in text and 'id="curves"' in text and "red/3.png" in text


def test_report_refuses_other_classes(run, tmp_path):
    model = cnnfast.Sequential([layers.Input((SIZE, SIZE, 3)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.class_names = ["green", "red"]
    model.save(tmp_path / "model.safetensors")
    draw(tmp_path / "fruit", ["apple", "pear"], 1, 1)
    status, _, errors = run("report", tmp_path / "model.safetensors", tmp_path / "fruit", "--out", tmp_path / "r.html")
    assert status == 1 and "no folder for class 'green'" in errors and not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("command", ["report", "evaluate", "predict"])
@pytest.mark.parametrize("name", ["nope", "nope.safetensors"])
def test_a_model_that_is_not_there_is_said_not_to_be_there(photos, run, tmp_path, command, name):
    status, _, errors = run(command, tmp_path / name, photos)
    assert status == 1 and errors == f"cnnfast {command}: there is no file or folder {tmp_path / name}\n"
