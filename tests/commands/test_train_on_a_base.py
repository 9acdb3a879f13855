"""`cnnfast train --base`: features once, then the head, then the base's last layers; with weights from a file."""

import json

import numpy as np
import pytest

import cnnfast
from cnnfast import applications
from cnnfast.commands import networks
from tests.commands.conftest import SIZE


@pytest.fixture
def weights(tmp_path):
    """A base as it might have been trained; only its shapes matter here."""
    cnnfast.utils.set_random_seed(5)
    base = applications.MobileNetV2(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), alpha=1.0)
    base.save_weights(tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


@pytest.fixture
def train(photos, weights, run):
    def start(out, *words):
        options = ("--image-size", SIZE, "--batch-size", 8, "--epochs", 2, "--variant", "keras")
        return run("train", photos, "--out", out, "--base", "mobilenet-v2", "--weights", weights, *options, *words)

    return start


def base_weights(run_folder):
    model = cnnfast.load_model(run_folder / "model.safetensors")
    return networks.base_of(model)


def test_a_head_on_a_frozen_base_leaves_the_base_as_it_was(train, weights, tmp_path):
    status, printed, errors = train(tmp_path / "run")
    assert (status, errors) == (0, "")
    assert "computing the features of 40 images" in printed
    base = base_weights(tmp_path / "run")
    fresh = applications.MobileNetV2(weights=weights, include_top=False, input_shape=(SIZE, SIZE, 3), variant="keras")
    assert all(map(np.array_equal, base.get_weights(), fresh.get_weights()))
    assert not (tmp_path / "run" / "work").exists()


def test_fine_tuning_changes_the_last_layers_alone(train, weights, tmp_path):
    status, printed, _ = train(
        tmp_path / "run", "--augment", "light", "--fine-tune", "block_16", "--fine-tune-epochs", 1,
        "--fine-tune-learning-rate", 0.01,
    )  # fmt: skip
    assert status == 0
    notes = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [stage["stage"] for stage in notes["stages"]] == ["head", "fine-tune"]
    fresh = applications.MobileNetV2(weights=weights, include_top=False, input_shape=(SIZE, SIZE, 3), variant="keras")
    best = cnnfast.load_model(tmp_path / "run" / "model.safetensors")
    names = [layer.name for layer in networks.base_of(best).layers]
    first = names.index("block_16_expand")
    for mine, layer in zip(networks.base_of(best).layers[:first], fresh.layers, strict=False):
        assert all(map(np.array_equal, mine.get_weights(), layer.get_weights()))
    assert "fine-tune: best of 1 epochs" in printed


def test_unfreezing_begins_with_the_first_layer_of_that_name():
    base = applications.VGG16(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    networks.unfreeze_from(base, "block5")
    trained = [layer.name for layer in base.layers if layer.trainable]
    assert trained == ["block5_conv1", "block5_conv2", "block5_conv3", "block5_pool"]
    with pytest.raises(ValueError, match="no layer's name begins with 'block6'"):
        networks.unfreeze_from(base, "block6")
    assert [layer.name for layer in base.layers if layer.trainable] == trained


def test_an_unknown_layer_to_fine_tune_from_is_named(train, tmp_path):
    status, _, errors = train(tmp_path / "run", "--fine-tune", "block5")
    assert status == 1
    assert "no layer's name begins with 'block5'" in errors and "block_16_expand" in errors


def test_an_unknown_base_is_refused_with_those_that_there_are(photos, run, tmp_path):
    status, _, errors = run("train", photos, "--out", tmp_path / "run", "--base", "alexnet")
    assert status == 1
    assert "no network 'alexnet'" in errors and "VGG16" in errors


def test_weights_of_another_network_are_refused(photos, weights, run, tmp_path):
    status, _, errors = run(
        "train", photos, "--out", tmp_path / "run", "--base", "vgg16", "--weights", weights, "--variant", "keras"
    )
    assert status == 1
    assert "base.safetensors" in errors and "do not fit" in errors
